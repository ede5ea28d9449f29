"""Writes a number with its noun, in singular or plural, for messages."""

from __future__ import annotations


def counted(count: int, thing: str, plural: str = "") -> str:
    """Write a number with its noun: "1 image", "2 images"; `plural`: where an s does not make it."""
    return f"{count} {thing if count == 1 else plural or thing + 's'}"
