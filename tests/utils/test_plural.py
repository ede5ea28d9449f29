"""Numbers with their nouns."""

from __future__ import annotations

from utils.plural import counted


def test_one_has_no_s() -> None:
    assert (counted(1, "image"), counted(0, "image"), counted(2, "copy", "copies")) == (
        "1 image",
        "0 images",
        "2 copies",
    )
