"""Scores of predictions, and what becomes of them: sinks, charts, the report."""
