"""Where a marketplace's address may lead: the table of server-side request forgery."""

import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
from urllib3.util import connection

from cartona_integration import connections
from cartona_integration.exceptions import ForbiddenTarget

PRIVATE = [
    "127.0.0.1", "127.1", "127.255.255.254", "2130706433", "0x7f000001", "0177.0.0.1", "0",
    "localhost", "LOCALHOST", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.168.257",
    "169.254.169.254", "100.64.0.1", "100.127.255.254", "192.0.0.8", "192.0.2.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]",
    "[2002:c0a8:101::1]", "[2001:0:7f00:1::]", "[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd12:3456::1]",
    "[ff02::1]", "[2001:db8::1]", "[100::1]", "[4000::1]",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "134744072", "[2606:4700:4700::1111]", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]",
    "[2002:808:808::1]",
]  # fmt: skip


@pytest.fixture(autouse=True)
def forbidden(monkeypatch):
    """Let no variable allow private targets."""
    monkeypatch.delenv(connections.ALLOW_PRIVATE_TARGETS, raising=False)
    monkeypatch.delitem(connections._local.__dict__, "transports", raising=False)


@pytest.fixture
def connected(monkeypatch):
    """Note what is connected to, instead of doing it."""
    seen = []

    def note(address, *_args, **_options):
        seen.append(address)
        raise OSError("a test connects to nothing")

    monkeypatch.setattr(connection, "create_connection", note)
    return seen


@pytest.fixture
def transport():
    account = SimpleNamespace(id=1, env=SimpleNamespace(cr=SimpleNamespace(dbname="none")))
    return connections.transport_of(account)


@contextmanager
def looked_up(monkeypatch, *answers):
    """Let any name mean these addresses, one list after the other."""
    left = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ips] for ips in answers]
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_args, **_options: left.pop(0))
        yield


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", PRIVATE)
def test_nothing_connects_to_what_is_not_public(connected, transport, scheme, host):
    with pytest.raises(ForbiddenTarget):
        transport.call("GET", f"{scheme}://{host}/api", timeout=1)
    assert connected == []


@pytest.mark.parametrize("host", PUBLIC)
def test_the_public_is_connected_to(connected, transport, host):
    with pytest.raises(connections.TROUBLE):
        transport.call("GET", f"https://{host}/api", timeout=1)
    assert len(connected) == 1


def test_a_name_is_connected_to_where_it_was_looked_up(monkeypatch, connected, transport):
    for _time in range(100):
        connected.clear()
        # Whoever asks a second time is led elsewhere.
        with (
            looked_up(monkeypatch, ["8.8.8.8"], ["127.0.0.1"]),
            pytest.raises(connections.TROUBLE),
        ):
            transport.call("GET", "https://rebound.test/api", timeout=1)
        assert connected == [("8.8.8.8", 443)]


def test_one_private_address_among_public_ones_is_enough(monkeypatch, connected, transport):
    with looked_up(monkeypatch, ["8.8.8.8", "10.0.0.1"]), pytest.raises(ForbiddenTarget):
        transport.call("GET", "https://mixed.test/api", timeout=1)
    assert connected == []


def test_where_one_address_does_not_answer_the_next_one_is_tried(monkeypatch, connected, transport):
    with looked_up(monkeypatch, ["8.8.8.8", "1.1.1.1"]), pytest.raises(connections.TROUBLE):
        transport.call("GET", "https://two.test/api", timeout=1)
    assert connected == [("8.8.8.8", 443), ("1.1.1.1", 443)]


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".test"])
def test_a_name_that_means_nothing_is_trouble(connected, transport, host):
    with pytest.raises(connections.TROUBLE):
        transport.call("GET", f"https://{host}/api", timeout=1)
    assert connected == []


class Said(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(self.headers["Host"].split(":")[0].encode()[:2])

    def log_message(self, *_args):
        """Be quiet."""


def test_simulators_are_called_where_the_environment_allows_it(monkeypatch, transport):
    monkeypatch.setenv(connections.ALLOW_PRIVATE_TARGETS, "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Said) as server:
        Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        answer = transport.call("GET", f"http://localhost:{server.server_port}/", timeout=5)
        assert answer.content == b"lo", "the server is told the name, not the address"
        transport.close()
        server.shutdown()
