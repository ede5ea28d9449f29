"""Text as any editor saves it: every mark and end of line is read alike, other bytes are named with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils import textfile
from utils.errors import UserError

TEXT = "straße.png a.png\n東京.png b.png\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_ends_of_lines(encoding: str, end: str, tmp_path: Path) -> None:
    file = tmp_path / "x.lst"
    file.write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert textfile.read(file) == TEXT and textfile.lines(file) == TEXT.split("\n")[:-1]


def test_big_endian(tmp_path: Path) -> None:
    file = tmp_path / "x.lst"
    file.write_bytes(("\ufeff" + TEXT).encode("utf-16-be"))
    assert textfile.read(file) == TEXT


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a\r\nb\rstra\xdfe\n", "the list x, line 3: byte 5, 0xDF, is no UTF-8: save the file as UTF-8"),
        (b"\xef\xbb\xbfa\nx\xff", "the list x, line 2: byte 2, 0xFF, is no UTF-8: save the file as UTF-8"),
        ("a\n".encode("utf-16-le"), "the list x, line 1: byte 2, 0x00, is no UTF-8: save the file as UTF-8"),
        (b"\xff\xfea", "the list x begins as UTF-16 and is not: save the file as UTF-8"),
    ],
)
def test_other_bytes_are_named(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UserError) as told:
        textfile.read(tmp_path / "x", "the list x")
    assert str(told.value) == says


def test_names_in_any_encoding(tmp_path: Path) -> None:
    r"""A name that is no UTF-8 is the file's own; blanks and ends of lines of Unicode may stand in names, too."""
    (tmp_path / "x").write_bytes(b"stra\xdfe.png\na\xe2\x80\xa8b.png\na\xc2\x85b.png\n")
    assert textfile.lines(tmp_path / "x", names=True) == ["stra\udcdfe.png", "a\u2028b.png", "a\x85b.png"]
    with pytest.raises(UserError, match="^here: byte 5, 0xDF, is no UTF-8"):
        textfile.check_utf8("stra\udcdfe.png", "here")
    textfile.check_utf8("東京.png", "here")


@pytest.mark.parametrize("name", ["nowhere", "folder", "a\0b"])
def test_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="^cannot read the list: "):
        textfile.read(tmp_path / name, "the list")


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 3}', '[{"b": {"a": 1, "a": 1}}]'])
def test_key_that_stands_twice_in_json(text: str) -> None:
    with pytest.raises(UserError, match="'a' stands twice in one object"):
        textfile.parse_json(text)


def test_json_of_programs(tmp_path: Path) -> None:
    """What is none is a ValueError, however deep it goes."""
    file = tmp_path / "x.json"
    file.write_text('{"a": [1, 1]}')
    assert textfile.read_json(file) == {"a": [1, 1]}
    for text in ("", "{", "[" * 200_000, '{"a":' * 200_000, "\xff"):
        file.write_text(text, encoding="latin-1")
        with pytest.raises(ValueError):
            textfile.read_json(file)
    with pytest.raises(ValueError):
        textfile.parse_json("[" * 200_000)
    with pytest.raises(UserError, match="'b' stands twice"):
        textfile.parse_json('{"a": 1, "b": 2, "b": 3}')
    with pytest.raises(OSError):
        textfile.read_json(tmp_path / "none")
