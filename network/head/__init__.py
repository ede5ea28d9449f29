"""Heads: features -> logits, attention, or richer features. None knows its trunk."""
