"""A real Odoo for the whole-system tests: prefork workers, the real job runner, real PostgreSQL.

Only processes started here are ever signalled, by id.
"""

import os
import random
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import psycopg2
import requests

ROOT = Path(__file__).resolve().parents[2]
STAGE = os.environ["HARNESS_STAGE"]
sys.path.insert(0, str(ROOT / "tools"))

import databases  # noqa: E402
from environment import BUILD, Odoo  # noqa: E402
from postgres import TESTS  # noqa: E402
from processes import working_in  # noqa: E402
from server import OdooService, SimulatorService, free_port, wait_for  # noqa: E402

# Whoever ends the run ends its servers, too: as with Ctrl-C, what was started is stopped.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Seconds. Jobs of a dead worker fill the channel until queue_job's runner looks for such, once a minute when
# nothing happens; the sweep comes after.
RECOVERY = 150


def moment(text):
    """Read the simulator's time as seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class OdooServer:
    """A prefork server with a job runner on a copy of the addon's template database."""

    DATABASE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)

    def __init__(self):
        source = Path(os.environ["HARNESS_SOURCE"])
        self.odoo = Odoo(os.environ["HARNESS_SERIES"], source, "given by the test run")
        # Stages run at once, each with a server of its own.
        self.db = f"{STAGE}_{self.odoo.series.replace('.', '_')}"
        self.service = OdooService(self.odoo, self.db, TESTS, self.odoo.build / STAGE)
        self.log = self.service.log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = {}
        self.process = None
        self._connection = None
        self._uids = {}

    def create(self):
        # A test run that was killed leaves one; while its job runner lives, the next one's waits.
        self.service.stop()
        databases.copy(self.odoo, os.environ["HARNESS_TEMPLATE"], self.db)
        # A copy's sequences are only safe from a crash after this: PostgreSQL logs their values ahead of
        # time, but in the database that was copied.
        TESTS.client("psql", "-d", "postgres", "-qc", "CHECKPOINT")
        self.log.unlink(missing_ok=True)

    def drop(self):
        if self._connection:
            self._connection.close()
        databases.drop(self.odoo, self.db)

    # -- the server ------------------------------------------------------------------------------------

    def start(self):
        """Start the server and wait until it answers and its job runner is ready."""
        self.service.start(self.port, data_dir=self.odoo.build / "data", **self.options)
        self.process = self.service.process
        self.service.wait_until_it_answers()
        if self.options.get("jobs", True):
            self.service.wait_for_runner()

    def answers(self):
        """Tell whether the server answers just now."""
        return self.service.answers()

    def stop(self):
        """Stop the server as an administrator would; its whole process group ends."""
        if self.process and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """End every process of the server at once, as a power cut would."""
        for pid in [self.process.pid, *self.children()]:
            self._kill(pid)
        self.process.wait()

    def kill_worker(self):
        """End one of the HTTP workers, which also run the jobs.

        :return: its process id
        """
        pid = random.choice(wait_for(self._workers, 60, "a worker is alive"))
        self._kill(pid)
        return pid

    def kill_workers(self):
        """End all HTTP workers at once, so that whichever runs a job is among them."""
        for pid in self._workers():
            self._kill(pid)

    def _workers(self):
        others = {self.runner_pid(), *self._named("cron"), *self._named("gevent")}
        return [pid for pid in self.children() if pid not in others]

    def kill_runner(self):
        """End the job runner's process; the server starts another."""
        # After another kill the next one takes a moment to appear.
        self._kill(wait_for(self.runner_pid, 60, "a job runner is alive"))

    def kill_postgres(self):
        """End the tests' PostgreSQL as a power cut would, and start it again."""
        self._kill(TESTS.postmaster())
        wait_for(lambda: not working_in(TESTS.data), 60, "PostgreSQL's sessions have ended")
        TESTS.start()
        self.forget_session()

    def forget_session(self):
        """Have the next query begin a session: the one before it has ended with its server."""
        if self._connection:
            self._connection.close()

    def runner_pid(self):
        """Give the job runner's process id, which it writes into each of its log lines."""
        found = re.findall(r" (\d+) INFO \S+ \S*jobrunner\S*: ", self.log_text())
        alive = set(self.children())
        return next((int(pid) for pid in reversed(found) if int(pid) in alive), None)

    def _named(self, word):
        """Give the children whose process title holds a word."""
        return [pid for pid in self.children() if word in self._title(pid)]

    def _title(self, pid):
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def children(self):
        """Give the process ids of the server's living children."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def _kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    # -- what tests ask --------------------------------------------------------------------------------

    def sql(self, query, parameters=None):
        """Run a query beside the server and give its rows."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(dbname=self.db)
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def rpc(self, model, method, *args, login="admin", password="admin", **kwargs):
        """Call a public method as a user, over the network.

        :raise AssertionError: the call failed; its text holds the server's message
        """
        if login not in self._uids:
            self._uids[login] = self._jsonrpc("common", "login", self.db, login, password)
        credentials = self.db, self._uids[login], password
        return self._jsonrpc("object", "execute_kw", *credentials, model, method, args, kwargs)

    def _jsonrpc(self, service, method, *args):
        params = {"service": service, "method": method, "args": args}
        body = {"jsonrpc": "2.0", "method": "call", "params": params, "id": 1}
        answer = requests.post(f"{self.url}/jsonrpc", json=body, timeout=60).json()
        if "error" in answer:
            raise AssertionError(answer["error"]["data"]["message"])
        return answer.get("result")  # a method without a return value gives none

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def postgres_log(self):
        return TESTS.log.read_text(errors="replace")

    def errors(self):
        """Give the log's lines of level ERROR or CRITICAL."""
        return re.findall(r"^.* (?:ERROR|CRITICAL) .*$", self.log_text(), re.M)


class Simulator:
    """The marketplace simulator as a process of its own."""

    def __init__(self):
        self.service = SimulatorService(sys.executable, BUILD / f"simulator-{STAGE}")
        self.service.stop()
        self.service.start()
        self.service.wait_until_it_answers()
        self.process, self.url = self.service.process, self.service.url
        self._session = requests.Session()

    def control(self, method, path, json=None, **query):
        """Command the simulator.

        :param str path: below ``_control/``
        """
        url = f"{self.url}/_control/{path}"
        response = self._session.request(method, url, json=json, params=query, timeout=120)
        assert response.ok, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return response.json() if response.content else None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
