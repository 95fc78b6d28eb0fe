"""Odoo inside this process, and how much CPU and how many SQL statements something takes.

CPU is this process's and that of its PostgreSQL sessions, in seconds: neighbours on the machine change it
little.
"""

import gc
import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import odoo
from odoo import api
from odoo.modules.registry import Registry
from odoo.sql_db import Cursor

from ..system.harness import TESTS, Odoo, databases


@dataclass
class Cost:
    """What something took."""

    cpu: float = 0.0  # seconds
    sql: int = 0
    by_cursor: Counter = field(default_factory=Counter)

    def of(self, cr):
        """Give the statements of one transaction's cursor."""
        return self.by_cursor[id(cr)]


class Inside:
    """Odoo in this process on a copy of the addon's template database."""

    def __init__(self):
        self.odoo = Odoo(
            os.environ["HARNESS_SERIES"], Path(os.environ["HARNESS_SOURCE"]), "given by the test run"
        )
        self.db = f"inside_{self.odoo.series.replace('.', '_')}"
        databases.copy(self.odoo, os.environ["HARNESS_TEMPLATE"], self.db)
        conf = databases.config(
            self.odoo, TESTS, self.odoo.build / "bench", data_dir=self.odoo.build / "data", max_cron_threads=0
        )
        os.environ["MARKETPLACE_ALLOW_PRIVATE_TARGETS"] = "1"
        odoo.tools.config.parse_config(["-c", str(conf), "-d", self.db, "--no-http", "--log-level=error"])
        self.api, self.registry = api, Registry(self.db)
        self._count(Cursor)

    def _count(self, cursors):
        """Count the statements of all cursors."""
        self.counts, execute = Counter(), cursors.execute

        def counted(cursor, *args, **kwargs):
            self.counts[id(cursor)] += 1
            return execute(cursor, *args, **kwargs)

        cursors.execute = counted

    def close(self):
        odoo.sql_db.close_all()
        databases.drop(self.odoo, self.db)

    @contextmanager
    def transaction(self, rollback=False):
        """Give an environment of the superuser in a transaction of its own."""
        with self.registry.cursor() as cr:
            yield self.api.Environment(cr, 1, {})
            if rollback:
                cr.rollback()

    @contextmanager
    def meter(self):
        """Give a Cost that is filled in at the end."""
        gc.collect()  # what was measured before leaves nothing to this one
        cost, sql, ours, theirs = Cost(), Counter(self.counts), time.process_time(), self._sessions()
        yield cost
        ended = self._sessions()
        used = sum(ended[pid] - theirs.get(pid, 0) for pid in ended)
        cost.cpu = time.process_time() - ours + used
        cost.by_cursor = self.counts - sql
        cost.sql = sum(cost.by_cursor.values())

    def _sessions(self):
        """Give {process id: CPU seconds} of PostgreSQL's processes."""
        found = {}
        for pid in children(TESTS.postmaster()):
            try:
                title = Path(f"/proc/{pid}/cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if f" {self.db} " in title:
                found[pid] = _seconds(pid)
        return found

    # -- what the benches are about ------------------------------------------------------------------

    def make_account(self, dialect, **values):
        """Make a live account.

        :return: its id
        """
        with self.transaction() as env:
            code = f"{dialect}{env['marketplace.config'].search_count([]) + 1}"
            account = env["marketplace.config"].create(
                {
                    "name": code,
                    "code": code,
                    "dialect": dialect,
                    "api_base_url": "http://127.0.0.1:9/",
                    "auth_token": f"token-{code}-0123456789",
                    "webhook_token": f"hook-{code}-0123456789",
                    "calls_per_second": 0,
                    **values,
                }
            )
            account.action_activate()
            return account.id

    def make_products(self, count, prefix):
        """Make storable products without taxes, a thousand pieces of each in stock.

        :return: their ids
        """
        storable = (
            {"detailed_type": "product"}
            if self.odoo.series < "18"
            else {"type": "consu", "is_storable": True}
        )
        with self.transaction() as env:
            found = env["product.product"].create(
                [
                    {"name": f"{prefix}{number}", "cartona_id": f"{prefix}{number}", "taxes_id": False,
                     "list_price": 10, **storable}
                    for number in range(count)
                ]
            )  # fmt: skip
            location = env["stock.warehouse"].search([], limit=1, order="id").lot_stock_id
            env["stock.quant"].create(
                [
                    {"product_id": product.id, "location_id": location.id, "quantity": 1000}
                    for product in found
                ]
            )
            return found.ids

    def link(self, account_id, products):
        """List products on an account; what they show is settled."""
        with self.transaction() as env:
            env.cr.execute(
                "DELETE FROM marketplace_product_link WHERE account_id = %s AND product_id = ANY(%s)",
                [account_id, products],
            )
            env["marketplace.product.link"].create(
                [
                    {"account_id": account_id, "product_id": product, "key": f"K{product}",
                     "external_id": f"E{product}", "state": "linked"}
                    for product in products
                ]
            )  # fmt: skip
        self.forget_work()

    def forget_work(self):
        with self.transaction() as env:
            env.cr.execute("DELETE FROM marketplace_mark")
            env.cr.execute("DELETE FROM queue_job")

    def set_state(self, state):
        """Open or close all accounts, without the work that follows from it."""
        with self.transaction() as env:
            env["marketplace.config"].search([]).write({"state": state})
        self.forget_work()


def cpu_seconds(server):
    """Give the CPU seconds a server's processes and all PostgreSQL sessions have used so far."""
    return sum(map(_seconds, [*server.children(), *children(TESTS.postmaster())]))


def _seconds(pid):
    # A worker works in a thread of its own.
    return sum(map(_nanoseconds, Path(f"/proc/{pid}/task").glob("*/schedstat"))) / 1e9


def _nanoseconds(path):
    try:
        return int(path.read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []
