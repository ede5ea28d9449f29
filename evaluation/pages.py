"""HTML pages that need nothing but themselves: templates of this folder with one style, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

STYLE = Path(__file__).with_name("style.css")  # of all pages


@cache
def _templates() -> Environment:
    """Open the place that templates come from; each is compiled once."""
    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def render(template: str, view: Mapping[str, Any]) -> str:
    """Write a page as text; whatever is put into it, names of files too, is escaped."""
    return _templates().get_template(template).render(view)


def css_color(rgb: Sequence[int]) -> str:
    """CSS text of a color: (0, 0, 142) -> "#00008e"."""
    return "#" + "".join(f"{channel:02x}" for channel in rgb)


def data_uri(data: bytes) -> str:
    """Write JPEG or PNG bytes as a data URI."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def mark(kind: str, of: str) -> str:
    """Name what a page is `of` as a comment of HTML, by which it is known again."""
    return f"<!-- {kind} {quote(of).replace('-', '%2D')} -->"


def is_free(page: Path, known: str) -> bool:
    """Say whether a page is not there, or ends in this mark; one without any may be anybody's."""
    try:
        return page.read_bytes().rstrip().endswith(known.encode())
    except (FileNotFoundError, NotADirectoryError):
        return True
