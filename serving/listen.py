"""A port that is free, and the server on it."""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from serving.arrival import Paced, Reader, linger
from serving.guard import HEADERS
from utils.errors import UserError

USUAL, TRIED = 8765, 20  # the first port that is tried where none is asked for, and how many from there on
CONNECTIONS = 64  # at once, a thread each; others wait in the system's queue
_QUEUE = 256


class Handler(WSGIRequestHandler):
    """Answers without a line for each request, and gives up on who is too slow."""

    command, requestline, request_version = "", "", "HTTP/1.1"  # of a request whose first line has not come
    answered = False

    def setup(self) -> None:
        """Read and write at a pace."""
        super().setup()
        self.paced = Paced(self.connection)
        self.rfile, self.wfile = Reader(self.paced), self.paced  # type: ignore[assignment]

    def handle_one_request(self) -> None:
        """Answer a request; one that has begun and does not end is told so."""
        super().handle_one_request()
        if self.paced.late and self.paced.received and not self.answered:
            self.send_error(HTTPStatus.REQUEST_TIMEOUT)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin the answer."""
        self.answered = True
        super().send_response(code, message)

    def version_string(self) -> str:
        """Name the program, and no versions."""
        return "streetscale"

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is refused before the page sees it, as an address that is too long, as the page answers."""
        del explain
        name = HTTPStatus(code).phrase if code in {*HTTPStatus} else message or "refused"
        self.request_version = "HTTP/1.1"  # what is no request is taken for one of HTTP/0.9, which has no codes
        body = json.dumps({"error": f"{code}: {name}"}).encode()
        self.send_response(code, name)
        for header, value in {**HEADERS, "Content-Type": "application/json", "Connection": "close"}.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, *args: Any, **more: Any) -> None:
        """Say nothing: predictions say their own lines."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing of connections that broke off."""


class Server(ThreadedWSGIServer):
    """Answers up to `CONNECTIONS` at once."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._room = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, once there is room for one."""
        self._room.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def shutdown_request(self, request: Any) -> None:
        """End a connection so that its peer sees the whole answer."""
        linger(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke off."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def server(app: Flask, host: str, port: int) -> Server:
    """Listen on `port` of `host`, 0: the first one free. UserError where it is taken, or the address is not ours."""
    bound = _bound(host, port)
    with bound:  # the server has a copy of it
        return Server(host, bound.getsockname()[1], app, Handler, fd=bound.fileno())


def address(host: str, port: int) -> str:
    """Write the address to open."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _bound(host: str, port: int) -> socket.socket:
    """Bind a socket and listen."""
    for number in [port] if port else [*range(USUAL, USUAL + TRIED), 0]:
        found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, number))
            found.listen(_QUEUE)
            return found
        except OSError as error:
            found.close()
            if error.errno != errno.EADDRINUSE or port:
                raise UserError(_why(host, number, error)) from None
    raise AssertionError("port 0 is always free")


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port} is taken: give another one, or leave it out for one that is free"
    if error.errno == errno.EACCES:
        return f"--port {port} is not allowed ({error.strerror}): give one from 1024 on"
    return f"--host {host}: {error.strerror or error}; give an address of this machine, 0.0.0.0 for all"
