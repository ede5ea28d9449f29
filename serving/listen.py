"""A port that is free, and the server on it."""

from __future__ import annotations

import errno
import json
import socket
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from serving.guard import HEADERS
from utils.errors import UserError

USUAL, TRIED = 8765, 20  # the first port that is tried where none is asked for, and how many from there on


class Handler(WSGIRequestHandler):
    """Answers without a line for each request, and gives up on who sends nothing for a minute."""

    timeout = 60

    def version_string(self) -> str:
        """Name the program, and no versions."""
        return "streetscale"

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is refused before the page sees it, as an address that is too long, as the page answers."""
        del explain
        name = HTTPStatus(code).phrase if code in {*HTTPStatus} else message or "refused"
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


def server(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """Listen on `port` of `host`, 0: the first one free. UserError where it is taken, or the address is not ours."""
    bound = _bound(host, port)
    with bound:  # the server has a copy of it
        return make_server(host, bound.getsockname()[1], app, threaded=True, request_handler=Handler, fd=bound.fileno())


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
            found.listen(64)
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
