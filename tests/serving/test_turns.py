"""One at a time, a bounded number of others behind it."""

from __future__ import annotations

import threading

import pytest

from serving.turns import BusyError, Turns


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
