"""What processes of a run have to agree on, and the one line where they do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datasets.base import Item, listed
from engine import agree
from utils import digest, distributed
from utils.distributed import DistributedContext
from utils.errors import UserError


@dataclass(frozen=True)
class Two(DistributedContext):
    """The first of several processes, which hears of the others what a test says."""

    others: Sequence[Any] = ()

    def gather(self, value: Any) -> list[Any]:
        return [value, *self.others]


def facts(**changed: str) -> dict[str, str]:
    return {"torch": "2.6", "the option lr": "0.1", "the starting point": "none"} | changed


@pytest.mark.parametrize(
    ("theirs", "line"),
    [
        (facts(), ""),
        (facts(torch="2.7"), "process 1 on b has torch 2.7, process 0 on {here} 2.6: start all processes with"),
        (facts(**{"the option lr": "1"}), "has the option lr 1, process 0 on {here} 0.1"),
        (facts(**{"the starting point": "a.pth (digest 12)"}), "has the starting point a.pth (digest 12), process 0"),
        (facts(extra="1"), "process 1 on b has extra 1, process 0 on {here} unset"),
    ],
)
def test_the_first_difference(theirs: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agree.socket, "gethostname", lambda: "a")
    ranks = Two(world=3, others=[("b", theirs), ("c", facts())])
    if not line:
        return agree.compare(ranks, facts)
    with pytest.raises(UserError) as caught:
        agree.compare(ranks, facts)
    assert line.format(here="a") in str(caught.value) and "\n" not in str(caught.value)


def test_one_process_compares_nothing() -> None:
    agree.compare(DistributedContext(), lambda: pytest.fail("called"))


def fails() -> int:
    raise UserError("no room")


@pytest.mark.parametrize(("work", "found"), [(lambda: 5, 5), (fails, "no room")])
def test_what_the_main_process_finds_is_everybodys(work: Callable[[], int], found: int | str) -> None:
    told: list[Any] = []
    for rank in range(2):
        others: Any = DistributedContext()
        object.__setattr__(others, "rank", rank)
        object.__setattr__(
            others, "gather", lambda value, rank=rank: [told.append(value) or value, None] if not rank else told
        )
        if isinstance(found, int):
            assert distributed.from_main(others, work) == found
        else:
            with pytest.raises(UserError, match=found):
                distributed.from_main(others, work)


def test_facts_of_a_start(tmp_path: Path) -> None:
    """A process's own number is no difference; other code, another file under the same name are."""
    package = tmp_path / "code" / "engine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "a.py").write_text("x = 1")
    (tmp_path / "start.pth").write_bytes(b"1")

    def told(options: dict[str, Any]) -> dict[str, str]:
        start = agree.start_facts(options, tmp_path / "start.pth", ["sky", 0])
        return agree.command_facts(options, tmp_path / "code") | start

    before = told({"lr": 0.1, "local_rank": 0, "global_rank": 0})
    assert before == told({"lr": 0.1, "local_rank": 1, "global_rank": 9})
    (package / "a.py").write_text("x = 2")
    (tmp_path / "start.pth").write_bytes(b"2")
    after = told({"lr": 0.2})
    assert {key for key in before if before[key] != after[key]} == {
        "the code of digest", "the option lr", "the starting point",
    }  # fmt: skip


def test_lists_of_images() -> None:
    """Their folder may have another name on each machine; names, order, number and labels count."""
    one, two = Item("/a/x.png", "/a/x_l.png", "x"), Item("/a/y.png", None, "y")
    assert listed([one, two]) == listed([one._replace(image="/b/x.png", label="/b/x_l.png"), two])
    others = [[two, one], [one], [one, two._replace(label="y_l.png")], [one._replace(train_ids=True), two]]
    assert len({listed(items) for items in ([one, two], *others)}) == 5


def test_digest_of_names_that_are_no_text() -> None:
    assert digest.of_names(["a\udcff"]) != digest.of_names(["a\udcfe"])
