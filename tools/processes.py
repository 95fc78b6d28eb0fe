"""Processes that outlive the command that started them, known again by more than their id."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")


def identity(pid):
    """Give what no later process with this id has: the machine's boot and the process's start in it.

    :return: None when no such process lives
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything; the fields after it start with the third.
    fields = status.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else f"{BOOT.read_text().strip()} {started}"


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def working_in(folder):
    """List the processes whose working directory is this one, as far as this user may know."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if place.readlink() == folder:
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


class Service:
    """A process with a file that says which one it is.

    :param Path folder: where the file and the log are kept
    """

    def __init__(self, name, folder):
        self.name, self.file, self.log = name, folder / f"{name}.pid", folder / f"{name}.log"
        self.process, self._begin = None, 0

    def start(self, command, **options):
        """Start it in a session of its own: Ctrl-C in the terminal is not for it."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **options,
            )  # fmt: skip
        self.remember(self.process.pid)

    def log_text(self):
        """Give what it has written since its start."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def check_alive(self):
        """Make sure of what this object has started.

        :raise AssertionError: it has ended; shows its last words
        """
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} has ended; {self.log} says:\n{self.log_text()[-3000:]}")

    def remember(self, pid):
        self.file.write_text(json.dumps({"pid": pid, "identity": identity(pid)}))

    def pid(self):
        """Give the id of the process this file is about; None when it has ended, whoever has the id now."""
        try:
            kept = json.loads(self.file.read_text())
            pid, meant = int(kept["pid"]), kept["identity"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return pid if meant and meant == identity(pid) else None

    def stop(self, number=signal.SIGTERM, seconds=20):
        """End it, gently first, with all that belongs to its session.

        :return: whether there was anything to end
        """
        pid = self.pid()
        if pid:
            os.kill(pid, number)
            if not self.ended_within(seconds):
                # Its session is its own, unless it is a command that somebody typed.
                (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, signal.SIGKILL)
                self.ended_within(5)
        self.file.unlink(missing_ok=True)
        return bool(pid)

    def ended_within(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.pid():
                return True
            time.sleep(0.05)
        return False
