"""Writes a number for messages: with its noun, in singular or plural; in percent."""

from __future__ import annotations

import math


def counted(count: int, thing: str, plural: str = "") -> str:
    """Write a number with its noun: "1 image", "2 images"; `plural`: where an s does not make it."""
    return f"{count} {thing if count == 1 else plural or thing + 's'}"


def percent(value: float) -> str:
    """0.5 -> "50.00"; undefined -> "-"."""
    return "-" if math.isnan(value) else f"{100 * value:.2f}"
