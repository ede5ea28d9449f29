"""Who may ask: no pages of other sites, and nobody by a name that others point at this machine (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

# A name or an address, and a port: no user in front of them (evil.com@127.0.0.1), no path behind them.
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]*)?")
LOCAL = ("127.0.0.1", "localhost", "::1")
_OURS = ("", "same-origin", "none")  # what browsers call the site that a request comes from: nobody's, ours, typed in

# Of every answer; the page itself also says where its parts may come from.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = f"{_NOTHING}; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"
# A report brings its style and its pictures along, and runs nothing.
REPORT = f"{_NOTHING}; style-src 'unsafe-inline'; img-src data:; sandbox"


@dataclass(frozen=True)
class Guard:
    """Says which requests are answered, on the address `host` that the server listens on."""

    host: str

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the server."""
        return self.host not in LOCAL

    def refusal(self, host: str, origin: str, site: str, changes: bool) -> str:
        """Say why a request is refused; empty for one that is answered.

        `host`, `origin`, `site`: its headers Host, Origin and Sec-Fetch-Site; `changes`: it asks for work (POST).
        """
        if not self._is_ours(_name_of(host)):
            return f"this page is not served as {host!r}: open the address that serve.py has printed"
        if changes and (site not in _OURS or (origin and urlsplit(origin).netloc.lower() != host.lower())):
            return "pages of other sites may not send pictures here"
        return ""

    def _is_ours(self, name: str) -> bool:
        """Say whether a name can only be this machine's. A port may be another one: that of a tunnel."""
        if name in LOCAL or name == self.host.lower():
            return bool(name)
        return self.is_open and (_is_address(name) or name in _own_names())


def _name_of(host: str) -> str:
    """Take the name out of a header: localhost of localhost:8000, ::1 of [::1]:8000; empty for what is none."""
    found = _HOST.fullmatch(host.strip())
    return (found["six"] or found["name"]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    return {socket.gethostname().lower(), socket.getfqdn().lower()}
