"""The addon comes into a database with a past, is upgraded, and goes again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..system.harness import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import databases
from environment import ADDON, Odoo
from postgres import TESTS

PAST = """
before_18 = "detailed_type" in env["product.template"]._fields
storable = {"detailed_type": "product"} if before_18 else {"type": "consu", "is_storable": True}
product = env["product.product"].create(
    {"name": "Old product", "list_price": 5, "taxes_id": False, **storable}
)
partner = env["res.partner"].create({"name": "Old customer"})
orders = env["sale.order"].create([
    {"partner_id": partner.id, "order_line": [(0, 0, {"product_id": product.id, "product_uom_qty": 2})]}
    for _number in range(3)
])
orders[0].action_confirm()
orders[1].with_context(disable_cancel_warning=True).action_cancel()
env.cr.commit()
"""
# An account with an imported order, a waiting job and a listing.
WORK = """
account = env["marketplace.config"].create({
    "name": "Shop", "code": "shop", "dialect": "rest", "api_base_url": "https://marketplace.test/api",
    "auth_token": "token", "webhook_token": "hook"})
account.action_activate()
product = env["product.product"].search([("name", "=", "Old product")])
product.cartona_id = "OLD"
message = (
    '{"id": "N1", "status": "confirmed", "modified_at": "2026-11-12T10:00:00Z", "currency": "%s", "total": 5,'
    ' "customer": {"id": "C1", "name": "Shop"},'
    ' "lines": [{"id": "1", "sku": "OLD", "quantity": 1, "unit_price": 5}]}' % env.company.currency_id.name)
account._receive(account._entrance().messages("orders", message.encode(), {}))
env.cr.commit()
actor = account.with_user(account.user_id).with_company(account.company_id)
actor._job_import()
env.cr.commit()
assert env["sale.order"].search([("cartona_id", "=", "N1")]).state == "sale"
assert env["queue.job"].search_count([("model_name", "=", "marketplace.config"), ("state", "=", "pending")])
"""
UNINSTALL = """
env["ir.module.module"].search([("name", "=", "cartona_integration")]).button_immediate_uninstall()
"""
COUNTS = """
SELECT (SELECT count(*) FROM sale_order), (SELECT count(*) FROM sale_order WHERE state = 'sale'),
       (SELECT count(*) FROM res_partner WHERE name IN ('Old customer', 'Shop') AND NOT is_company),
       (SELECT count(*) FROM product_product)
"""


class Database:
    """A database of its own, without a server.

    :param template: what it is a copy of; the one without the addon when not given
    """

    def __init__(self, template=None, name="lifecycle"):
        source = Path(os.environ["HARNESS_SOURCE"])
        self.odoo = Odoo(os.environ["HARNESS_SERIES"], source, "given by the test run")
        self.name = f"{name}_{self.odoo.series.replace('.', '_')}"
        databases.copy(self.odoo, template or databases.ensure_base(self.odoo), self.name)
        # A configuration file of its own: other stages write theirs at the same time.
        folder = self.odoo.build / "install"
        self.conf = databases.config(self.odoo, folder=folder, data_dir=self.odoo.build / "data")

    def shell(self, script):
        """Run Python inside Odoo.

        :raise AssertionError: it failed
        """
        command = [
            *self.odoo.command,
            "shell",
            "-c",
            self.conf,
            "-d",
            self.name,
            "--no-http",
            "--log-level=warn",
        ]
        result = subprocess.run(
            [str(part) for part in command], input=f"{script}\nprint('REACHED THE END')\n", text=True,
            capture_output=True, env=self.odoo.environment(), check=False,
        )  # fmt: skip
        assert "REACHED THE END" in result.stdout, f"{result.stdout[-2000:]}{result.stderr[-4000:]}"

    def modules(self, *what):
        databases.run_odoo(self.odoo, self.conf, self.name, *what)

    def sql(self, query):
        found = TESTS.client("psql", "-d", self.name, "-AtF", "|", "-c", query)
        return [line.split("|") for line in found.split("\n") if line]


@pytest.fixture
def database():
    database = Database()
    yield database
    databases.drop(database.odoo, database.name)


def test_it_is_installed_upgraded_and_uninstalled_on_a_database_with_a_past(database):
    database.shell(PAST)
    [before] = database.sql(COUNTS)
    database.modules("-i", ADDON)
    orders, _confirmed, *_rest = before
    [installed] = database.sql(COUNTS)
    assert installed[0] == orders, "orders of before are untouched"
    database.shell(WORK)
    [worked] = database.sql(COUNTS)
    database.modules("-u", ADDON)
    assert database.sql(COUNTS) == [worked], "an upgrade keeps what there is"
    assert database.sql("SELECT code, state FROM marketplace_config") == [["shop", "live"]]
    database.shell(UNINSTALL)
    # The product of charges is the addon's own and goes with it, where no order uses it.
    assert database.sql(COUNTS)[0][:3] == worked[:3], "orders and customers stay"
    jobs = "SELECT DISTINCT state FROM queue_job WHERE model_name = 'marketplace.config'"
    assert not {state for [state] in database.sql(jobs)} & {"pending", "enqueued", "wait_dependencies"}
    tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'marketplace_%'"
    assert database.sql(tables) == [["0"]]
