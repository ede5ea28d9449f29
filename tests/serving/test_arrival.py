"""Connections at a pace: what arrives, what is sent, how they end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from serving import arrival
from serving.arrival import Paced, Reader, linger


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection whose requests have a fifth of a second."""
    monkeypatch.setattr(arrival, "GRACE", 0.2)
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_comes_in_time_is_read(pair: tuple[socket.socket, socket.socket]) -> None:
    paced = Paced(pair[0])
    pair[1].sendall(b"one\ntwo")
    pair[1].shutdown(socket.SHUT_WR)
    reader = Reader(paced)
    assert (reader.readline(), reader.read(100), reader.read()) == (b"one\n", b"two", b"")
    assert (paced.received, paced.late) == (7, False)


def test_bytes_that_trickle_do_not_begin_the_time_anew(pair: tuple[socket.socket, socket.socket]) -> None:
    paced, stop = Paced(pair[0]), threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            pair[1].sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    reader = Reader(paced)
    with pytest.raises(TimeoutError):
        while reader.read(1000):
            pass
    stop.set()
    thread.join()
    assert paced.late and 0 < paced.received < 100


def test_much_is_given_more_time(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "PACE", 10)
    paced = Paced(pair[0])
    pair[1].sendall(b"x" * 100)
    assert Reader(paced).read(200) == b"x" * 100
    threading.Timer(0.4, lambda: pair[1].sendall(b"y")).start()  # later than the first bytes had to come
    assert paced.readinto(bytearray(1)) == 1


def test_who_asks_for_all_gets_a_part(pair: tuple[socket.socket, socket.socket], monkeypatch) -> None:
    monkeypatch.setattr(arrival, "AT_ONCE", 4)
    pair[1].sendall(b"x" * 10)
    reader = Reader(Paced(pair[0]))
    assert reader.read(10_000_000) == b"xxxx" and reader.read() == b"xxxx"


def test_who_does_not_take_an_answer_is_let_go(pair: tuple[socket.socket, socket.socket], monkeypatch) -> None:
    monkeypatch.setattr(arrival, "PACE", 1e12)
    with pytest.raises(TimeoutError):
        Paced(pair[0]).write(bytes(20_000_000))


def test_an_end_waits_for_the_peer_and_not_for_ever(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "LINGER", 0.2)
    pair[0].sendall(b"answer")
    thread = threading.Thread(target=linger, args=(pair[0],))
    thread.start()
    pair[1].sendall(b"x" * 1000)  # still sending
    assert pair[1].recv(10) == b"answer" and pair[1].recv(10) == b""
    thread.join(10)
    assert not thread.is_alive() and pair[0].fileno() == -1
