"""Start Odoo and the simulator the way production runs: prefork workers, the job runner beside them."""

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

    def start(self, port, socket_port=None, jobs=JOBS_AT_ONCE, **options):
        """Start it.

        :param int socket_port: where it answers web sockets; any free one when not given
        :param int jobs: at once; 0: without a job runner
        """
        settings = {
            "db_name": self.database,
            "workers": WORKERS,
            "max_cron_threads": 1,
            "limit_time_real": 120,
            "limit_time_cpu": 120,
            "http_interface": "127.0.0.1",
            "http_port": port,
            "gevent_port": socket_port or free_port(),
            "server_wide_modules": "base,web,queue_job,cartona_integration",
        }
        conf = databases.config(self.odoo, self.cluster, self.folder, **settings | options)
        variables = {
            "ODOO_QUEUE_JOB_CHANNELS": f"root:{jobs}",
            "ODOO_QUEUE_JOB_HOST": "127.0.0.1",
            "ODOO_QUEUE_JOB_PORT": str(port),
            "MARKETPLACE_ALLOW_PRIVATE_TARGETS": "1",
        }
        self.health = f"http://127.0.0.1:{port}{HEALTH}"
        super().start([*self.odoo.command, "-c", conf], env=self.odoo.environment(**variables))

    def wait_until_it_answers(self):
        wait_for(self.answers, START_SECONDS, f"the server answers; see {self.log}")

    def wait_for_runner(self):
        """Wait until the job runner is ready, some seconds after the server."""
        ready = "queue job runner ready for db"
        wait_for(lambda: ready in self.log_text(), START_SECONDS, "the job runner is ready")

    def answers(self):
        """Tell whether it answers; an end is an error."""
        self.check_alive()
        try:
            with urllib.request.urlopen(self.health, timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False


class SimulatorService(Service):
    """The simulated marketplace."""

    def __init__(self, python, folder, name="simulator"):
        super().__init__(name, folder)
        self.python, self.url = python, None

    def start(self, port=0, *options):
        """Start it; a port of 0 is any free one."""
        command = [self.python, "-u", "-m", "tests.simulator", "--port", port, "--log-level", "WARNING"]
        super().start([*command, *options], cwd=ROOT)

    def wait_until_it_answers(self):
        """Wait until it says its address, and keep that."""
        self.url = wait_for(self._address, START_SECONDS, f"the simulator answers; see {self.log}")

    def _address(self):
        self.check_alive()
        found = re.search(r"^LISTENING (\S+)$", self.log_text(), re.M)
        return found and found[1]


class FrontService(Service):
    """The one address for Odoo's two ports."""

    def __init__(self, python, folder, name="front"):
        super().__init__(name, folder)
        self.python = python

    def start(self, port, http_port, socket_port):
        self.port = port
        super().start([self.python, ROOT / "tools" / "front.py", port, http_port, socket_port])

    def wait_until_it_answers(self):
        wait_for(self._listens, START_SECONDS, f"the front listens; see {self.log}")

    def _listens(self):
        self.check_alive()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
