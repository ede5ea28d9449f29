"""What takes the place of a bad sample, and what never does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from datasets.batches import CollateRead, ErrorCapturingDataset, Read, WorkerError, collate_read
from media.reading import PictureError
from utils.contracts import CropRequest, Sample
from utils.errors import MachineError, UserError

BAD = {1: UserError("one is wrong"), 2: PictureError("two is no picture"), 3: MachineError("too many open files")}


@dataclass
class Numbers:
    """Sample n of six has the name n; `errors`: what reading it raises."""

    errors: Mapping[int, Exception] = field(default_factory=lambda: BAD)

    def __len__(self) -> int:
        return 6

    def __getitem__(self, request: CropRequest) -> Sample:
        if request.index in self.errors:
            raise self.errors[request.index]
        image = np.full((2, 2, 3), request.seed % 200, np.uint8)
        return Sample(image, np.zeros((2, 2), np.uint8), str(request.index), (2, 2), None, request.short)

    def file_of(self, index: int) -> str:
        return f"{index}.png"


def request(index: int, seed: int = 7) -> CropRequest:
    return CropRequest(index, (3, 4), seed, 5)


def test_without_others_an_error_stays_one() -> None:
    found = ErrorCapturingDataset(Numbers())[request(1)]
    assert found == WorkerError("one is wrong", of_sample=True)


@pytest.mark.parametrize("index", [1, 2])
def test_another_takes_its_place_by_the_seed(index: int) -> None:
    data = ErrorCapturingDataset(Numbers(), instead=(0, 4, 5))
    one, again = (data[request(index)] for _ in range(2))
    assert one.name == again.name in ("0", "4", "5") and (one.image == again.image).all()
    assert one.instead_of == (str(BAD[index]),) and one.short == 5
    assert len({data[request(index, seed)].name for seed in range(20)}) == 3
    assert data[request(0)].instead_of == ()


def test_others_may_be_bad_as_well() -> None:
    data = ErrorCapturingDataset(Numbers(), instead=(1, 2, 5))
    found = [data[request(1, seed)] for seed in range(30)]
    assert {sample.name for sample in found} == {"5"} and max(len(sample.instead_of) for sample in found) > 1
    none = ErrorCapturingDataset(Numbers(), instead=(1, 2))[request(1)]
    assert none.message.startswith("17 samples in a row cannot be read, the last: ") and not none.of_sample


def test_what_no_file_is_to_blame_for_stays_an_error() -> None:
    data = ErrorCapturingDataset(Numbers(BAD | {4: RuntimeError("ours")}), instead=(0, 5))
    assert data[request(3)] == WorkerError("too many open files")
    assert "RuntimeError: ours" in data[request(4)].message and "4.png" in data[request(4)].message


def test_batches_carry_what_was_left_out() -> None:
    data = ErrorCapturingDataset(Numbers(), instead=(0,))
    read = CollateRead()([data[request(0)], data[request(2)]])
    assert isinstance(read, Read) and read.batch["name"] == ["0", "0"] and read.left_out == ["two is no picture"]
    assert CollateRead()([data[request(3)]]) == WorkerError("too many open files")


@pytest.mark.parametrize(
    ("lenient", "labels", "left"), [(True, True, ["one is wrong", "two is no picture"]), (True, False, "one is wrong"),
                                    (False, True, "one is wrong")])  # fmt: skip
def test_evaluations_leave_out_what_they_may(lenient: bool, labels: bool, left: list[str] | str) -> None:
    data = ErrorCapturingDataset(Numbers())
    read = collate_read([data[request(i)] for i in (0, 1, 2)], lenient, labels)
    assert read.message == left if isinstance(read, WorkerError) else read.left_out == left
