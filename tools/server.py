"""Start Odoo and the marketplace simulator the way production runs: prefork workers, the job runner beside them."""

import re
import socket
import time
import urllib.error
import urllib.request

import databases
from environment import ROOT
from processes import Service

WORKERS = 4
JOBS_AT_ONCE = 2
START_SECONDS = 90
HEALTH = "/marketplace_integration/webhook/test"


def free_port(wanted=0):
    """Give a port nobody listens on: the wanted one if it is free."""
    for number in (wanted, 0):
        with socket.socket() as probe:
            # As a server would: what an ended server left behind in the system's books is not in the way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return probe.getsockname()[1]


def wait_for(condition, seconds, what):
    """Poll until ``condition()`` is true and give its value.

    :raise AssertionError: it did not come true in time
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class OdooService(Service):
    """An Odoo server on one database.

    :param Path folder: of its configuration, files, log and pid file
    """

    def __init__(self, odoo, database, cluster, folder, name="odoo"):
        super().__init__(name, folder)
        self.odoo, self.database, self.cluster, self.folder = odoo, database, cluster, folder

    def start(self, port, **options):
        """Start it and wait until it answers and its job runner is ready.

        :raise AssertionError: it ended, or is not ready in time
        """
        conf = databases.config(
            self.odoo, self.cluster, self.folder,
            db_name=self.database,
            workers=WORKERS,
            max_cron_threads=1,
            limit_time_real=120,
            limit_time_cpu=120,
            http_interface="127.0.0.1",
            http_port=port,
            gevent_port=free_port(),
            server_wide_modules="base,web,queue_job,cartona_integration",
            **options,
        )  # fmt: skip
        settings = {
            "ODOO_QUEUE_JOB_CHANNELS": f"root:{JOBS_AT_ONCE}",
            "ODOO_QUEUE_JOB_HOST": "127.0.0.1",
            "ODOO_QUEUE_JOB_PORT": str(port),
            "MARKETPLACE_ALLOW_PRIVATE_TARGETS": "1",
        }
        begin = self.log_size()
        command = [self.odoo.python, "-m", "odoo", "-c", conf]
        process = super().start(command, env=self.odoo.environment(**settings))
        url = f"http://127.0.0.1:{port}{HEALTH}"
        wait_for(lambda: self._answers(process, url), START_SECONDS, f"the server answers; see {self.log}")
        ready = "queue job runner ready for db"
        wait_for(lambda: ready in self.log_text(begin), START_SECONDS, "the job runner is ready")
        return process

    def _answers(self, process, url):
        if process.poll() is not None:
            raise AssertionError(f"the server ended; {self.log} ends with:\n{self.log_text()[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False


class SimulatorService(Service):
    """The simulated marketplace."""

    def __init__(self, python, folder, name="simulator"):
        super().__init__(name, folder)
        self.python, self.url = python, None

    def start(self, port=0, *options):
        """Start it and wait until it says its address."""
        begin = self.log_size()
        command = [
            self.python,
            "-u",
            "-m",
            "tests.simulator",
            "--port",
            port,
            "--log-level",
            "WARNING",
            *options,
        ]
        process = super().start(command, cwd=ROOT)
        wait_for(lambda: self._says_address(process, begin), 30, f"the simulator answers; see {self.log}")
        return process

    def _says_address(self, process, begin):
        if process.poll() is not None:
            raise AssertionError(f"the simulator ended:\n{self.log_text(begin)}")
        found = re.search(r"^LISTENING (\S+)$", self.log_text(begin), re.M)
        self.url = found and found[1]
        return self.url
