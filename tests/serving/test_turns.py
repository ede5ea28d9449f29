"""One at a time, a bounded number of others behind it."""

from __future__ import annotations

import io
import threading

import pytest

from serving.turns import BusyError, Store, Turns


def test_one_works_and_others_wait_or_go() -> None:
    turns, began, go_on = Turns(waiting=1), threading.Event(), threading.Event()
    order: list[str] = []

    def visit(name: str) -> None:
        with turns.place():
            turns.do(lambda: (began.set(), go_on.wait(10), order.append(name)))

    threads = [threading.Thread(target=visit, args=(name,)) for name in "ab"]
    threads[0].start()
    assert began.wait(10)
    threads[1].start()
    for _ in range(1000):  # until the second one has its place
        if not turns._places._value:
            break
        threads[1].join(0.01)
    with pytest.raises(BusyError, match="2 pictures are waiting already"), turns.place():
        pass
    assert order == []
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert order == ["a", "b"]
    with turns.place():  # there is room again
        assert turns.do(lambda: threading.current_thread().name) == turns.do(lambda: threading.current_thread().name)
    turns.close()


def test_what_fails_leaves_its_place() -> None:
    turns = Turns(waiting=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.place():
            turns.do(lambda: 1 / 0)
    turns.close()


def test_pictures_are_held_up_to_a_bound() -> None:
    store = Store(most=1000)
    with store.holding(io.BytesIO(b"x" * 700), 600) as first, store.holding(io.BytesIO(b"y" * 400), 400) as second:
        assert (bytes(first), bytes(second)) == (b"x" * 600, b"y" * 400)
        with pytest.raises(BusyError, match="MB of pictures are waiting already"), store.holding(io.BytesIO(b"z"), 1):
            pass
    with store.holding(io.BytesIO(b"z" * 1000), 1000) as third:  # there is room again
        assert len(third) == 1000


def test_who_sends_slowly_takes_no_more_room_than_has_come() -> None:
    store, going = Store(most=1000), threading.Event()

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            del size
            going.wait(10)
            return b"x"

    thread = threading.Thread(target=lambda: store.holding(Slow(), 900).__enter__())  # type: ignore[arg-type]
    thread.start()
    with store.holding(io.BytesIO(b"y" * 1000), 1000) as data:
        assert len(data) == 1000
    going.set()
    thread.join(10)
