"""Who is answered: this machine by its own names, and no page of another site."""

from __future__ import annotations

import pytest

from serving.guard import PAGE, REPORT, Guard


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "localhost:9000"])
def test_this_machine_is_answered(host: str) -> None:
    assert Guard("127.0.0.1").refusal(host, f"http://{host}", "same-origin", True) == ""
    assert Guard("127.0.0.1").refusal(host, "", "", True) == ""  # no browser


@pytest.mark.parametrize(
    "host", ["", "evil.example:8765", "localhost.evil.example", "192.168.1.2:8765", "[::1", "127.0.0.1@evil.example"]
)
def test_other_names_are_refused(host: str) -> None:
    """A name that somebody points at 127.0.0.1 would make his page one of ours."""
    assert "not served as" in Guard("127.0.0.1").refusal(host, "", "", False)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://evil.example", "cross-site"),
        ("http://evil.example", ""),
        ("http://localhost:9000", "same-site"),
        ("http://localhost:9000", ""),
        ("null", ""),
    ],
)
def test_other_sites_may_send_nothing(origin: str, site: str) -> None:
    guard = Guard("127.0.0.1")
    assert "other sites" in guard.refusal("localhost:8765", origin, site, True)
    assert guard.refusal("localhost:8765", origin, site, False) == ""  # a link that leads here


def test_an_open_server_answers_addresses_but_no_strange_names() -> None:
    guard = Guard("0.0.0.0")
    assert guard.is_open and not Guard("::1").is_open and Guard("box.lan").is_open
    assert guard.refusal("192.168.1.2:8765", "", "", True) == ""
    assert Guard("box.lan").refusal("box.lan:8765", "http://box.lan:8765", "", True) == ""
    assert "not served as" in guard.refusal("evil.example:8765", "", "", False)


def test_nothing_comes_from_elsewhere() -> None:
    for policy in (PAGE, REPORT):
        assert policy.startswith("default-src 'none'") and "http" not in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in PAGE and "script-src" not in REPORT and "sandbox" in REPORT


@pytest.mark.parametrize("host", ["evil.com@127.0.0.1", "127.0.0.1/x", "127.0.0.1:80:80", "127.0.0.1 evil.com", "[::1"])
def test_a_host_is_a_name_and_a_port_alone(host: str) -> None:
    assert "not served as" in Guard("127.0.0.1").refusal(host, "", "", False)
    assert Guard("::1").refusal("[::1]:8765", "", "", False) == ""
