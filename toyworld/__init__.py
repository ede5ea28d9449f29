"""Procedural street scenes: a small world in metres, drawn from back to front. `datasets.toy` writes them as files."""
