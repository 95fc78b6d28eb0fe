"""A running shop with the connector: PostgreSQL, simulated marketplaces and Odoo, on loopback addresses.

``demo.py`` starts it and stays until Ctrl-C; ``demo.py stop`` ends it from elsewhere; ``demo.py clean`` ends
it and takes away everything the project made in its folder.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import databases
import demo_data
import setup
from environment import ADDON, BUILD, CACHE, ROOT, say
from postgres import TESTS, Cluster, Given
from processes import Service
from server import FrontService, OdooService, SimulatorService, free_port

FOLDER = BUILD / "demo"
ODOO_PORT = 8069
SIMULATOR_PORT = 8070
MODULES = f"sale_management,sale_stock,{ADDON}"
OWN = Cluster(FOLDER / "postgres", durable=True)
RUNNER = Service("demo", FOLDER)
GIVEN = "-given"  # ends the folder's name of a demo on a PostgreSQL that is not ours
LEFT_BY_PYTHON = ("__pycache__", ".pytest_cache", ".ruff_cache")


class Ended(Exception):
    """One of the servers ended by itself."""


class Demo:
    """The demo on one series of Odoo: its servers, and what it remembers between two starts."""

    def __init__(self, odoo, cluster):
        self.odoo, self.cluster = odoo, cluster
        self.folder = FOLDER / (odoo.series if cluster is OWN else odoo.series + GIVEN)
        self.database = database_of(self.folder)
        self.server = OdooService(odoo, self.database, cluster, self.folder)
        self.front = FrontService(odoo.python, self.folder)
        self.simulator = SimulatorService(odoo.python, self.folder)
        self.memory = self.folder / "memory.json"

    def recall(self):
        """Give what was kept: ports, tokens, and which code the database was made with."""
        if self.memory.exists():
            return json.loads(self.memory.read_text())
        tokens = demo_data.make_tokens()
        return {
            "odoo": ODOO_PORT,
            "simulator": SIMULATOR_PORT,
            "tokens": tokens,
            "code": None,
            "filled": False,
        }

    def keep(self, kept):
        """Write it: a crash leaves the old or the new, and only the user can read it, as it holds tokens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.memory.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(kept, indent=1))
        fresh.replace(self.memory)

    def start(self):
        """Start everything and fill it.

        :return: what is kept
        """
        kept = self.recall()
        self.ensure_database(kept)
        kept["simulator"] = free_port(kept["simulator"])
        kept["odoo"] = free_port(kept["odoo"])
        self.keep(kept)
        say("starting Odoo with its job runner, and the simulated marketplaces")
        http_port, socket_port = free_port(), free_port()
        self.server.start(http_port, socket_port)
        self.simulator.start(kept["simulator"], "--state", self.folder / "simulator.json")
        self.front.start(kept["odoo"], http_port, socket_port)
        for service in (self.simulator, self.front, self.server):
            service.wait_until_it_answers()
        self.fill(kept)
        self.server.wait_for_runner()
        return kept

    def fill(self, kept):
        """Make the data that is missing. An owner who changed the password has made the shop his own."""
        say("looking after the shop's data")
        where = self.url(kept), self.database, self.odoo.series, self.simulator.url
        try:
            demo_data.fill(*where, kept["tokens"])
        except demo_data.Failed as error:
            if not kept["filled"]:
                raise
            say(f"the shop's data stays as it is: {error}")
        kept["filled"] = True
        self.keep(kept)

    def url(self, kept):
        return f"http://127.0.0.1:{kept['odoo']}"

    def ensure_database(self, kept):
        """Have the database with the addon as it is now."""
        code = digest_of(self.odoo.addons / ADDON)
        if kept["code"] == code and self.has_database():
            return
        conf = databases.config(self.odoo, self.cluster, self.folder)
        if kept["code"] and self.has_database():
            say("the addon has changed: updating it")
            databases.run_odoo(self.odoo, conf, self.database, "-u", ADDON)
        else:
            say("installing sales, stock and the addon (a minute or two, once)")
            self.forget()
            kept.update(self.recall())
            self.cluster.client("createdb", "-T", "template0", "-E", "UTF8", self.database)
            databases.run_odoo(self.odoo, conf, self.database, "-i", MODULES)
        kept["code"] = code
        self.keep(kept)

    def has_database(self):
        query = f"SELECT 1 FROM pg_database WHERE datname = '{self.database}'"
        return bool(self.cluster.client("psql", "-d", "postgres", "-Atc", query).strip())

    def forget(self):
        """Take away an installation that did not come to its end, and what belonged to it."""
        self.cluster.client("dropdb", "--if-exists", "--force", self.database)
        for path in (self.folder / "data", self.folder / "simulator.json", self.memory):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def watch(self):
        """Stay as long as everything runs.

        :raise Ended: something does not
        """
        while True:
            for service in (self.front, self.server, self.simulator):
                if not service.pid():
                    raise Ended(f"{service.name} has ended by itself: see {service.log}")
            if not self.cluster.is_running():
                raise Ended("PostgreSQL does not answer any more")
            time.sleep(1)


def database_of(folder):
    """Give the name of a demo's database."""
    return f"cartona_demo_{folder.name.removesuffix(GIVEN).replace('.', '_')}"


def digest_of(folder):
    """Give a digest of an addon's code; its tests are not part of it."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and place.parts[0] != "tests" and path.suffix != ".pyc":
            digest.update(f"{place}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def guide(demo, kept):
    """Print what to open, who to be and what to try."""
    url, simulator = demo.url(kept), demo.simulator.url
    shops = "\n".join(
        f"    {plan['name']}: {simulator}/shop/{code}" for code, plan in demo_data.ACCOUNTS.items()
    )
    print(f"""
The shop is open · Odoo {demo.odoo.series}: {demo.odoo.why}

  Odoo                  {url}/web/login        login admin, password admin
  The marketplaces (what customers see and do there)
{shops}

  What to try
    1. Marketplaces > Dashboard: a dozen orders came in while this started. One needs attention: it names
       a product Odoo does not know. Give "{name_of(demo_data.WITHOUT_KEY)}" (Inventory > Products)
       the marketplace key {demo_data.WITHOUT_KEY}: the order is imported by itself.
    2. Open a marketplace above and order something: seconds later it is a sale order.
    3. Change a product's price or stock in Odoo and watch the marketplace's page.
    4. Cancel an order at the marketplace: the sale order follows.

  Ctrl-C here, or `make stop` anywhere, ends it. `make demo` starts it again as it was. Log: {demo.server.log}
""", flush=True)  # fmt: skip


def name_of(key):
    return next(row[1] for row in demo_data.PRODUCTS if row[0] == key)


@contextmanager
def only_one():
    """Hold the place of the one demo that runs in this folder.

    :raise SystemExit: another one has it
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("The demo runs already, in another terminal. `make stop` ends it.") from None
        RUNNER.remember(os.getpid())
        try:
            yield
        finally:
            RUNNER.file.unlink(missing_ok=True)


def start():
    """Start the demo and stay until it is told to end."""
    began = time.monotonic()
    with only_one():
        cluster = Given() if os.environ.get("PGHOST") else OWN
        try:
            end_services()
            odoo, _started = setup.prepare(cluster)
            demo = Demo(odoo, cluster)
            guide(demo, demo.start())
            say(f"ready after {time.monotonic() - began:.0f} s")
            demo.watch()
        finally:
            # A second Ctrl-C must not leave half of it running.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            say("stopping")
            end_services()
            OWN.stop()


def services():
    """Find every server a demo of this folder may have left."""
    folders = sorted(path for path in FOLDER.glob("*.*") if path.is_dir())
    return [Service(name, folder) for folder in folders for name in ("front", "odoo", "simulator")]


def end_services():
    """End the servers of a demo; Odoo first, it needs the others."""
    return [service.name for service in services() if service.stop()]


def stop():
    """End the demo that runs in another terminal, or what one that was killed has left."""
    ended = RUNNER.stop(seconds=60)
    left = end_services()
    left += ["PostgreSQL"] if OWN.postmaster() else []
    OWN.stop()
    say("stopped" if ended or left else "nothing was running")


def clean():
    """Take away everything the project made in its folder, and name what lies elsewhere."""
    stop()
    TESTS.stop()
    drop_given()
    shutil.rmtree(BUILD, ignore_errors=True)
    for name in LEFT_BY_PYTHON:
        for folder in ROOT.rglob(name):
            shutil.rmtree(folder, ignore_errors=True)
    say("nothing made is left in this folder")
    if CACHE.exists():
        say(f"Odoo's source stays for next time; remove it with: rm -r {CACHE}")


def drop_given():
    """Take the demo's databases off a PostgreSQL that is not ours."""
    if not os.environ.get("PGHOST"):
        for folder in FOLDER.glob(f"*{GIVEN}"):
            say(
                f"the database {database_of(folder)} stays on the PostgreSQL you gave: PGHOST was not set now"
            )
        return
    for folder in FOLDER.glob(f"*{GIVEN}"):
        Given().client("dropdb", "--if-exists", "--force", database_of(folder))


def main(arguments):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    # A shell starts background processes with it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    commands = {"start": start, "stop": stop, "clean": clean}
    name = arguments[0] if arguments else "start"
    if len(arguments) > 1 or name not in commands:
        raise SystemExit(__doc__)
    try:
        commands[name]()
    except KeyboardInterrupt:
        return 0
    except (Ended, AssertionError, demo_data.Failed) as error:
        say(f"The demo cannot go on: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        say(f"The demo cannot go on: {error.cmd[0]} failed, its words are above. {error.stderr or ''}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
