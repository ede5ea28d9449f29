"""A port that is free, and bounds that hold on a real connection."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serving import arrival, listen
from serving.app import Served, create
from utils.errors import UserError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def running(served: Callable[..., Served]) -> Iterator[int]:
    """The port of a server that answers."""
    server = listen.server(create(served(checkpoint="x.pth", most_bytes=1000)), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_port_that_is_taken_is_said(client: Any, taken: int) -> None:
    with pytest.raises(UserError, match=f"--port {taken} is taken: give another one, or leave it out"):
        listen.server(client.application, "127.0.0.1", taken)


def test_without_one_the_next_is_taken(client: Any, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "USUAL", taken)
    monkeypatch.setattr(listen, "TRIED", 1)
    server = listen.server(client.application, "127.0.0.1", 0)
    assert server.port not in (0, taken)
    server.server_close()


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_of_others_is_said(client: Any, host: str) -> None:
    with pytest.raises(UserError, match=f"--host {host}: .*; give an address of this machine"):
        listen.server(client.application, host, 0)


def test_addresses() -> None:
    assert listen.address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert listen.address("::1", 80) == "http://[::1]:80/"
    assert socket.gethostname() in listen.address("0.0.0.0", 80)


def asked(port: int, head: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """The answer to a request that is written by hand: its code and its JSON."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head.format(port=port).replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        text = b""
        while part := connection.recv(1 << 16):
            text += part
    head, _, answer = text.decode().partition("\r\n\r\n")
    return int(head.split()[1]), json.loads(answer)


POST = (
    "POST /predict?name=x.png&network=given HTTP/1.1\nHost: localhost:{port}\nContent-Type: application/octet-stream\n"
)


def test_a_body_that_is_too_long_is_not_read(running: int) -> None:
    """Neither one that says so, nor one that says nothing of its length and does not end."""
    code, found = asked(running, f"{POST}Content-Length: 99999999")
    assert code == 413 and "--max_upload" in found["error"]
    chunk = b"800\r\n" + b"x" * 0x800 + b"\r\n"
    code, found = asked(running, f"{POST}Transfer-Encoding: chunked", chunk + chunk)
    assert code == 411


def test_a_body_that_breaks_off_is_a_line(running: int) -> None:
    code, found = asked(running, f"{POST}Content-Length: 500", b"x" * 20)
    assert code == 400 or "no picture" in found["error"]


def test_it_says_nothing_of_requests(running: int, capfd: pytest.CaptureFixture[str]) -> None:
    code, _ = asked(running, "GET /nothing HTTP/1.1\nHost: evil.example")
    assert code == 403
    assert capfd.readouterr() == ("", "")


def test_an_address_that_is_too_long_is_answered_as_the_page_answers(running: int) -> None:
    with socket.create_connection(("127.0.0.1", running), 10) as peer:
        peer.sendall(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 414 " in head.splitlines()[0] and b"application/json" in head and b"nosniff" in head
    assert json.loads(body)["error"].startswith("414: ") and b"<" not in body


def test_what_is_no_request_is_told_so_with_a_code(running: int) -> None:
    code, found = asked(running, "\x16\x03\x01 hello {port}")
    assert code == 400 and found["error"].startswith("400: ")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has a quarter of a second to arrive, and its peer as long to go."""
    monkeypatch.setattr(arrival, "GRACE", 0.25)
    monkeypatch.setattr(arrival, "LINGER", 0.25)


def received(peer: socket.socket) -> bytes:
    """All that a server sends until it closes."""
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("GET / HTT", b"408: Request Timeout"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nA: ", b"408: Request Timeout"),
        (f"{POST}Content-Length: 900\n\nx".replace("\n", "\r\n").replace("{port}", "1"), b"too slowly"),
        ("", b""),
    ],
)
def test_who_is_too_slow_is_told_and_let_go(running: int, impatient: None, sent: str, words: bytes) -> None:
    """A letter each moment would begin a socket's own timeout anew; who has said nothing is told nothing."""
    del impatient
    with socket.create_connection(("127.0.0.1", running), 20) as peer:
        peer.sendall(sent.encode())
        for _ in range(12 if sent else 0):
            threading.Event().wait(0.05)
            with contextlib.suppress(OSError):
                peer.sendall(b"x")
        answer = received(peer)
    assert words in answer and bool(answer) == bool(words)
    assert not words or b" 408 " in answer.splitlines()[0]


def test_a_refusal_reaches_who_sends_on(running: int) -> None:
    """A connection that is closed while its peer sends would lose the answer."""
    head = f"{POST.format(port=running)}Content-Length: 4000000\n\n".replace("\n", "\r\n").encode()
    with socket.create_connection(("127.0.0.1", running), 20) as peer:
        peer.sendall(head)
        for _ in range(40):
            peer.sendall(bytes(100_000))
            threading.Event().wait(0.002)
        assert b" 413 " in received(peer).splitlines()[0]


def test_connections_are_bounded_and_others_wait(
    served: Callable[..., Served], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del impatient
    monkeypatch.setattr(listen, "CONNECTIONS", 2)
    server = listen.server(create(served(checkpoint="x.pth")), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    before = threading.active_count()
    try:
        idle = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(5)]
        with socket.create_connection(("127.0.0.1", server.port), 20) as peer:
            peer.sendall(b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
            threading.Event().wait(0.1)
            assert threading.active_count() <= before + 2
            assert b" 200 " in received(peer).splitlines()[0]
        for other in idle:
            other.close()
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
