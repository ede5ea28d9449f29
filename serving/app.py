"""The page's addresses: the page itself, a prediction, the reports of runs. Every error is one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, render_template, request, send_file
from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    LengthRequired,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from evaluation import pages
from inference.memory import is_out_of_memory
from serving import answer, guard, runs, uploads
from serving.networks import Networks
from serving.turns import BusyError, Store, Turns
from utils.errors import UserError, in_short
from utils.plural import percent

BINARY = "application/octet-stream"  # browsers ask before they send this elsewhere than to the page's own site
GIVEN = "given"  # the key of the network that --snapshot names
SAY_MOST = 300  # letters of an error


@dataclass
class Served:
    """What is served: a checkpoint, the runs below a folder, or both; and what bounds it.

    `most_bytes`, `most_pixels`: of a picture; `say`: prints a line on the terminal.
    """

    networks: Networks
    guard: guard.Guard
    checkpoint: str = ""
    root: Path | None = None
    most_bytes: int = 30 * 2**20
    most_pixels: int = 64_000_000
    say: Callable[[str], None] = print
    turns: Turns = field(default_factory=lambda: Turns(waiting=7))
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.most_bytes * (self.turns.waiting + 1))

    def listing(self) -> runs.Listing:
        """The runs as they are now."""
        return runs.listing(self.root) if self.root else runs.Listing([], [])

    def checkpoints(self, found: runs.Listing) -> dict[str, str]:
        """{key: path} of the networks that may be asked for, the one to begin with first."""
        given = {GIVEN: self.checkpoint} if self.checkpoint else {}
        return given | {run.key: run.checkpoint for run in found.runs if run.checkpoint}


def create(served: Served) -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = served.most_bytes
    app.jinja_env.globals["day"] = _day
    app.jinja_env.globals["percent"] = percent
    _protect(app, served)

    @app.get("/")
    def page() -> Response:
        return _page(served)

    @app.get("/style.css")
    def style() -> Response:
        return Response(pages.STYLE.read_text(encoding="utf-8"), mimetype="text/css")

    @app.post("/predict")
    def predict() -> Response:
        return jsonify(_predict(served))

    @app.get("/report/<key>")
    def report(key: str) -> Response:
        return _report(served, key)

    return app


def _protect(app: Flask, served: Served) -> None:
    """Refuse requests of others before anything of them is read; no answer says more than a line of an error."""

    @app.before_request
    def refuse() -> Response | None:
        h = request.headers
        why = served.guard.refusal(
            h.get("Host", ""), h.get("Origin", ""), h.get("Sec-Fetch-Site", ""), request.method not in ("GET", "HEAD")
        )
        return _error(why, 403) if why else None

    @app.after_request
    def harden(response: Response) -> Response:
        for name, value in guard.HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Content-Security-Policy", guard.PAGE)
        return response

    @app.errorhandler(Exception)
    def explain(error: Exception) -> Response:
        return _explained(error, served)


def _explained(error: Exception, served: Served) -> Response:
    """Answer an error with a line, and a code that says whose fault it is."""
    if isinstance(error, BusyError):
        return _error(str(error), 503)
    if isinstance(error, UserError):
        return _error(str(error), 422)
    if isinstance(error, RequestEntityTooLarge):
        return _error(f"the file is too large: at most {served.most_bytes / 2**20:g} MB are taken (--max_upload)", 413)
    if isinstance(error, ClientDisconnected) and isinstance(error.__context__, TimeoutError):
        return _error("the file arrives too slowly: send it again over a better connection", 408)
    if isinstance(error, HTTPException):
        return _error(f"{error.code}: {error.name}", error.code or 500)
    if is_out_of_memory(error):
        return _error("there is no memory for this picture: try a smaller one", 422)
    line = f"it failed, by a fault of this program: {in_short(error)}"
    served.say(line)
    return _error(line, 500)


def _error(line: str, code: int) -> Response:
    response = jsonify(error=" ".join(line.split())[:SAY_MOST])
    response.status_code = code
    return response


def _page(served: Served) -> Response:
    """Write the page, with the runs as they are now."""
    found = served.listing()
    given = Path(served.checkpoint).name if served.checkpoint else ""
    view: dict[str, Any] = {
        "given": given,
        "key": next(iter(served.checkpoints(found)), ""),
        "runs": found.runs,
        "notes": found.notes,
        "root": served.root,
        "most_bytes": served.most_bytes,
        "binary": BINARY,
        "is_open": served.guard.is_open,
    }
    return Response(render_template("index.html", **view), mimetype="text/html")


def _predict(served: Served) -> dict[str, Any]:
    """Read a picture from the request's body, into memory alone, and give what the page shows of it."""
    if request.mimetype != BINARY:
        raise UnsupportedMediaType
    if request.content_length is None:  # a body that does not say where it ends would be cut at the bound
        raise LengthRequired
    name, key = uploads.file_name(request.args.get("name", "")), request.args.get("network", "")
    # A place in the queue is for who has sent a picture: those who send slowly keep nobody out.
    with served.store.holding(request.stream, request.content_length) as data, served.turns.place():
        return served.turns.do(lambda: _predicted(served, name, data, key))


def _predicted(served: Served, name: str, data: bytearray, key: str) -> dict[str, Any]:
    began = time.perf_counter()
    image, notes = uploads.picture(name, bytes(data), served.most_pixels)
    network = served.networks.of(key, served.checkpoints(served.listing()))
    found = answer.answer(network, image)
    seconds = time.perf_counter() - began
    served.say(f"{name}: {found['width']} x {found['height']}, {seconds:.1f} s")
    notes += [found["note"]] if found["note"] else []
    return {**found, "name": name, "notes": notes, "seconds": round(seconds, 1), "network": str(network)}


def _report(served: Served, key: str) -> Response:
    """Give the report of a run of the list, as it lies there; it may run nothing, and ask nobody for anything."""
    run = next((run for run in served.listing().runs if run.key == key), None)
    if run is None or run.report is None:
        raise NotFound
    response = send_file(run.report, mimetype="text/html", conditional=False, etag=False)  # in parts: it may be large
    response.headers["Content-Security-Policy"] = guard.REPORT
    return response


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else ""
