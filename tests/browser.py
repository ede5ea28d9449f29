"""A headless Chromium that a test drives through the pipe of its debugger, so that no further package is needed."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", "about:blank")
SECONDS = 120  # until a page has to have answered: the machine may be busy


def chromium() -> str:
    """The browser's path; the test is skipped where there is none, unless REQUIRE_CHROMIUM says that there is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        assert "REQUIRE_CHROMIUM" not in os.environ, "chromium was said to be here"
        pytest.skip("no chromium here (Debian: apt-get install chromium)")
    return found


class Page:
    """One page of the browser. `complaints`: what its console has said, blocked content too."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer = send, receive, b""
        self._numbers, self._session = itertools.count(1), ""
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the debugger and its answer."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._send, json.dumps({"id": number, "method": method, "params": params, **session}).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._receive], [], [], SECONDS)[0], "the browser does not answer"
            part = os.read(self._receive, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(params)[:500])

    def value(self, script: str) -> Any:
        """What an expression of the page gives; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, address: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load an address in a window of a size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=address)
        self.until(f"location.href !== 'about:blank' && document.readyState === 'complete' && {json.dumps(address)}")

    def until(self, condition: str) -> Any:
        """Wait until an expression is true; gives its value."""
        end = time.monotonic() + SECONDS
        while not (found := self.value(condition)):
            assert time.monotonic() < end, condition
            time.sleep(0.1)
        return found

    def choose(self, selector: str, *files: Path) -> None:
        """Put files into a field, as somebody does who picks them."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def picture(self, path: Path) -> None:
        """Write what the window shows."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))


@contextmanager
def opened(profile: Path) -> Iterator[Page]:
    """A page of a browser of its own, which ends with the block."""
    there, send = os.pipe()
    receive, back = os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (there, back)]

    def place() -> None:  # where the browser looks for its pipe
        os.dup2(theirs[0], 3)
        os.dup2(theirs[1], 4)

    command = [chromium(), f"--user-data-dir={profile}", *FLAGS]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, preexec_fn=place, pass_fds=(3, 4), stdin=quiet, stdout=quiet, stderr=quiet)
    for end in (there, back, *theirs):
        os.close(end)
    try:
        yield Page(send, receive)
    finally:
        process.kill()
        process.wait()
        os.close(send)
        os.close(receive)
