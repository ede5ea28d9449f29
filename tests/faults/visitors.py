"""Visitors of the served page, good and bad: each sends one request by hand and says what became of it."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Callable
from urllib.parse import quote

import cv2
import numpy as np
from served import colored

Kind = Callable[[socket.socket, int], None]  # what it sends
HANG_UP, NOTHING = "hung up", "nothing"  # what becomes of a request besides a code
NAMES = ("../../etc/passwd", "/etc/shadow", "C:\\a.png", "a\0b.png", "<img src=x onerror=alert(1)>.png", "x" * 9000)


def scene(number: int) -> np.ndarray:
    """(24, 32) classes, others for each number."""
    return np.random.default_rng(number).integers(0, 3, (3, 4)).repeat(8, 0).repeat(8, 1)


def png(number: int) -> bytes:
    """The file of a picture of that scene."""
    return cv2.imencode(".png", colored(scene(number))[..., ::-1])[1].tobytes()


def head(length: object, name: str = "a.png", more: str = "") -> bytes:
    """What comes before the bytes of a picture."""
    lines = [
        f"POST /predict?network=given&name={quote(name)} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/octet-stream",
        f"Content-Length: {length}",
        *([more] if more else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(peer: socket.socket) -> tuple[object, dict[str, object]]:
    """The code of an answer and what it says; a code alone for what is not JSON."""
    text = bytearray()
    while part := peer.recv(1 << 16):
        text += part
    if not text:
        return NOTHING, {}
    top, _, body = bytes(text).partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body) if b"application/json" in top else {}


def good(peer: socket.socket, number: int) -> None:
    data = png(number)
    peer.sendall(head(len(data)) + data)


def named(peer: socket.socket, number: int) -> None:
    data = png(number)
    peer.sendall(head(len(data), NAMES[number % len(NAMES)]) + data)


def trickling(peer: socket.socket, number: int) -> None:
    """Letter by letter, for longer than a request may take."""
    data = head(9000) + png(number)
    for at in range(60):
        peer.sendall(data[: len(head(9000))] if at == 0 else b"x")
        time.sleep(0.05)


def endless_head(peer: socket.socket, number: int) -> None:
    peer.sendall(b"GET / HTTP/1.1\r\n")
    for at in range(60):
        peer.sendall(f"X-{number}-{at}: x\r\n".encode())
        time.sleep(0.05)


def broken(peer: socket.socket, number: int) -> None:
    data = png(number)[:-30]
    peer.sendall(head(len(data)) + data)


def bomb(peer: socket.socket, number: int) -> None:
    """A few bytes that promise 30,000 x 30,000 pixels."""
    data = bytearray(png(number))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    peer.sendall(head(len(data)) + data)


def large(peer: socket.socket, number: int) -> None:
    """More bytes than are taken, all of which it sends."""
    del number
    peer.sendall(head(3_000_000))
    for _ in range(30):
        peer.sendall(bytes(100_000))


def short(peer: socket.socket, number: int) -> None:
    """Says more bytes than it has."""
    peer.sendall(head(len(png(number)) + 999) + png(number))
    peer.shutdown(socket.SHUT_WR)


def long(peer: socket.socket, number: int) -> None:
    """Says fewer bytes than it sends."""
    peer.sendall(head(len(png(number)) - 40) + png(number) + b"GET / HTTP/1.1\r\n\r\n" * 9)


def no_number(peer: socket.socket, number: int) -> None:
    peer.sendall(head(("minus", "-1", "1e3", "")[number % 4]) + png(number))


def chunked(peer: socket.socket, number: int) -> None:
    data = png(number)
    start = head(0, more="Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    peer.sendall(start + f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")


def no_http(peer: socket.socket, number: int) -> None:
    peer.sendall(bytes(np.random.default_rng(number).integers(0, 256, 500, np.uint8)) + b"\r\n\r\n")


def idle(peer: socket.socket, number: int) -> None:
    del peer, number
    time.sleep(1)


def leaving(peer: socket.socket, number: int) -> None:
    """Hangs up in the middle of its picture, or before its answer."""
    data = png(number)
    peer.sendall((head(len(data)) + data)[: None if number % 2 else -20])
    raise ConnectionError


# What each may be answered besides 503, by which the page says that it is full.
KINDS: dict[Kind, tuple[object, ...]] = {
    good: (200,),
    named: (200,),
    trickling: (408,),
    endless_head: (408,),
    broken: (422,),
    bomb: (422,),
    large: (413,),
    short: (400,),
    long: (422,),
    no_number: (411, 422),
    chunked: (411,),
    no_http: (400,),
    idle: (NOTHING,),
    leaving: (HANG_UP,),
}


def visit(port: int, kind: Kind, number: int) -> tuple[object, dict[str, object]]:
    """One request; gives its code and answer."""
    with socket.create_connection(("127.0.0.1", port), 120) as peer:
        try:
            # Who is cut off while it sends still has its answer to read.
            with contextlib.suppress(BrokenPipeError):
                kind(peer, number)
        except ConnectionResetError:
            pass
        except ConnectionError:
            return HANG_UP, {}
        return answer(peer)


def mask(said: dict[str, object]) -> np.ndarray:
    """(H, W) ids of classes that an answer holds."""
    data = base64.b64decode(str(said["mask"]).partition(",")[2])
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found
