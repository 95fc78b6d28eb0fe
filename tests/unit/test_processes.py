"""Processes are ended by what they are, never by an id alone; one front passes connections to two ports."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import postgres
import processes
import pytest
import server
from processes import Service

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [
    sys.executable,
    "-uc",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)",
]


@pytest.fixture
def service(tmp_path):
    service = Service("sleeper", tmp_path)
    yield service
    if service.process:
        service.process.kill()
        service.process.wait()


@pytest.fixture
def stranger():
    """A process nobody asked us to end."""
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def test_a_service_is_found_and_ended_by_another_command(service, tmp_path):
    service.start(SLEEP)
    other = Service("sleeper", tmp_path)
    assert other.pid() == service.process.pid
    assert other.stop()
    assert service.process.wait(5) == -signal.SIGTERM
    assert not service.file.exists()


def test_a_service_that_does_not_listen_is_ended_all_the_same(service):
    service.start(DEAF)
    server.wait_for(lambda: "deaf" in service.log_text(), 5, "it has begun")
    assert service.stop(seconds=0.3)
    assert service.process.wait(5) == -signal.SIGKILL


def test_a_stranger_who_has_the_id_now_is_left_alone(service, stranger):
    service.file.write_text(json.dumps({"pid": stranger.pid, "identity": "another boot 12345"}))
    assert service.pid() is None
    assert not service.stop()
    assert stranger.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 4}', '{"pid": "x", "identity": "y"}', "null"])
def test_a_broken_file_is_nobody(service, text):
    service.file.write_text(text)
    assert service.pid() is None
    assert not service.stop()


def test_the_dead_are_nobody_even_unburied(service):
    service.start(SLEEP)
    os.kill(service.process.pid, signal.SIGKILL)
    server.wait_for(lambda: service.pid() is None, 5, "it is known as dead before anybody waited for it")
    assert not service.stop()


def test_a_process_name_may_hold_anything(tmp_path):
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(sys.executable)
    process = subprocess.Popen([str(program), "-c", "import time; time.sleep(60)"])
    try:
        assert processes.identity(process.pid) == processes.identity(process.pid)
        assert processes.identity(process.pid).split()[1].isdecimal()
    finally:
        process.kill()
        process.wait()


def test_what_a_service_says_begins_with_its_last_start(service):
    for word in ("first", "second"):
        service.start([sys.executable, "-c", f"print('{word}')"])
        service.process.wait(5)
    assert service.log_text() == "second\n"
    assert "first" in service.log.read_text()
    with pytest.raises(AssertionError, match="sleeper has ended; .* says:\nsecond"):
        service.check_alive()


@pytest.fixture
def cluster(tmp_path):
    cluster = postgres.Cluster(tmp_path, durable=True)
    cluster.data.mkdir()
    return cluster


def test_a_mark_of_another_process_does_not_stop_a_cluster(cluster, stranger):
    cluster.pid_file.write_text(f"{stranger.pid}\n{cluster.data}\n")
    assert cluster.postmaster() is None
    cluster.clear_traces()
    assert not cluster.pid_file.exists()
    cluster.stop()
    assert stranger.poll() is None


def test_a_mark_of_nobody_is_left_to_postgresql(cluster, stranger):
    stranger.kill()
    stranger.wait()
    cluster.pid_file.write_text(f"{stranger.pid}\n{cluster.data}\n")
    cluster.clear_traces()
    assert cluster.pid_file.exists()


def test_a_mark_stays_while_sessions_of_the_dead_server_work(cluster, stranger, monkeypatch):
    session = subprocess.Popen(SLEEP, cwd=cluster.data)
    try:
        monkeypatch.setattr(postgres, "START_SECONDS", 0.2)
        cluster.pid_file.write_text(f"{stranger.pid}\n{cluster.data}\n")
        with pytest.raises(SystemExit, match=f"still work in {cluster.data}: .{session.pid}."):
            cluster.clear_traces()
        assert cluster.pid_file.exists()
    finally:
        session.kill()
        session.wait()


def test_a_cluster_leaves_a_port_somebody_has_taken(cluster):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cluster.port_file.write_text(str(taken.getsockname()[1]))
        cluster.clear_traces()
        assert cluster.port() != taken.getsockname()[1]


def test_a_given_postgresql_that_does_not_answer_is_told(monkeypatch):
    for name, value in {"PGHOST": "127.0.0.1", "PGPORT": str(server.free_port()), "PGUSER": "shop"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(postgres, "binaries", lambda: Path("/bin/false").parent)
    monkeypatch.setattr(postgres.Given, "is_running", lambda self: False)
    with pytest.raises(SystemExit, match="MISSING: PostgreSQL at 127.0.0.1:.* does not answer. Start it, or"):
        postgres.Given().start()


def test_the_user_odoo_refuses_is_told_before_odoo_does(monkeypatch):
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGUSER", "postgres")
    with pytest.raises(SystemExit, match="Run: createuser -d odoo"):
        postgres.Given().start()


@pytest.fixture
def root(monkeypatch):
    """Be root on a machine of which this gives what can be run there."""
    possible = []
    monkeypatch.setattr(postgres.os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "run", lambda *_command: None)
    monkeypatch.setattr(postgres, "can_run", lambda command: bool({*map(str, command)} & {*possible}))
    return possible


def test_an_ordinary_user_runs_postgresql_as_himself(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres.os, "geteuid", lambda: 1000)
    assert postgres.as_user(["initdb"], tmp_path) == ["initdb"]


def test_root_runs_postgresql_in_a_namespace_else_as_nobody(root, tmp_path):
    root += ["unshare", "setpriv"]
    assert postgres.as_user(["initdb"], tmp_path)[0] == "unshare"
    root.remove("unshare")
    assert postgres.as_user(["initdb"], tmp_path)[0] == "setpriv"


def test_root_in_a_place_nobody_may_enter_is_told_where_to_go(root, tmp_path):
    with pytest.raises(SystemExit, match=f"MISSING: a way for other users to {tmp_path}.* such as /opt"):
        postgres.as_user(["initdb"], tmp_path)


def test_a_taken_port_is_replaced():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert server.free_port(number) not in (0, number)
    assert server.free_port(number) == number


class Named(BaseHTTPRequestHandler):
    """Answers with the server's name, and closes as Odoo's workers do."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.name)

    def log_message(self, *_arguments):
        """Keep the tests' output clean."""


@pytest.fixture
def front(tmp_path):
    """A front before two servers called pages and sockets; gives its port."""
    inner = []
    for name in (b"pages", b"sockets"):
        inner.append(ThreadingHTTPServer(("127.0.0.1", 0), Named))
        inner[-1].name = name
        threading.Thread(target=inner[-1].serve_forever, args=(0.01,), daemon=True).start()
    front = server.FrontService(sys.executable, tmp_path)
    front.start(server.free_port(), *(each.server_port for each in inner))
    front.wait_until_it_answers()
    yield front
    front.stop()
    front.process.wait(5)
    for each in inner:
        each.shutdown()
        each.server_close()


def ask(port, first):
    """Send a request and give all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"{first} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_the_front_sends_web_sockets_to_one_port_and_all_else_to_the_other(front):
    assert ask(front.port, "GET /web/login").endswith(b"pages")
    assert ask(front.port, "GET /websocket?version=1").endswith(b"sockets")
    assert ask(front.port, "GET /web/websocket").endswith(b"pages")


def test_the_front_closes_where_nobody_answers(tmp_path):
    front = server.FrontService(sys.executable, tmp_path)
    front.start(server.free_port(), server.free_port(), server.free_port())
    front.wait_until_it_answers()
    try:
        began = time.monotonic()
        assert ask(front.port, "GET /") == b""
        assert time.monotonic() - began < 3
    finally:
        front.stop()
        front.process.wait(5)
    assert front.log_text() == ""
