"""A copied database started beside the original."""

from pathlib import Path

import databases
import pytest
from server import OdooService, free_port, wait_for

from ..system.harness import TESTS, OdooServer


class CopiedServer(OdooServer):
    """A server on a copy of another one's database, made one of the ways administrators do it."""

    def __init__(self, original, make):
        super().__init__()
        self.make = make
        self.original, self.db = original, f"{original.db}_copy"
        folder = Path(self.odoo.build) / "copy"
        self.service = OdooService(self.odoo, self.db, TESTS, folder)
        self.log, self.port = self.service.log, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def create(self):
        self.service.stop()
        # PostgreSQL copies no database that is in use.
        self.original.stop()
        self.original._connection.close()
        self.make(self.odoo, self.original.db, self.db)
        TESTS.client("psql", "-d", "postgres", "-qc", "CHECKPOINT")
        self.log.unlink(missing_ok=True)


def dump_and_restore(odoo, source, name):
    """Copy a database by a backup, without its files."""
    databases.drop(odoo, name)
    backup = odoo.build / f"{name}.dump"
    TESTS.client("pg_dump", "-Fc", "-f", backup, source)
    TESTS.client("createdb", "-T", "template0", name)
    TESTS.client("pg_restore", "--no-owner", "-d", name, backup)
    backup.unlink()


@pytest.fixture(params=[databases.copy, dump_and_restore], ids=["template", "backup"])
def copy(server, request):
    copied = CopiedServer(server, request.param)
    yield copied
    copied.stop()
    copied.drop()


def test_a_copy_calls_nobody_until_a_person_starts_it_there(server, copy, open_shop, products):
    shop = open_shop("rest")
    shop.post("listings", [{"id": "C1", "sku": "TEA-25", "name": "Tea", "price": "1.00"}])
    server.rpc("marketplace.config", "action_sync_products", [shop.account])

    def is_linked():
        return server.sql(
            "SELECT 1 FROM marketplace_product_link WHERE account_id = %s AND state = 'linked'",
            [shop.account],
        )

    wait_for(is_linked, 30, "the listing is linked")
    copy.create()
    before = calls(shop)
    copy.start()
    # A change of price in the copy, and its sweep.
    [[product]] = copy.sql("SELECT id FROM product_product WHERE cartona_id = 'TEA-25'")
    copy.rpc("product.product", "write", [product], {"list_price": 4711})
    copy.rpc("marketplace.config", "action_test_connection", [shop.account])

    def is_paused():
        return copy.sql("SELECT 1 FROM marketplace_config WHERE id = %s AND state = 'paused'", [shop.account])

    [[cron]] = copy.sql("SELECT res_id FROM ir_model_data WHERE name = 'cron_sweep'")
    copy.rpc("ir.cron", "method_direct_trigger", [cron])
    wait_for(is_paused, 10, "the copy pauses its accounts")
    assert calls(shop) == before, "nobody was called"
    asked = "SELECT 1 FROM mail_activity WHERE res_model = 'marketplace.config' AND summary ILIKE '%copy%'"
    assert len(copy.sql(asked)) == 1
    # The original goes on undisturbed.
    server.start()
    [[price]] = server.sql(
        "SELECT list_price FROM product_template template JOIN product_product product"
        " ON product.product_tmpl_id = template.id WHERE product.id = %s",
        [product],
    )
    server.rpc("product.product", "write", [product], {"list_price": float(price) + 1})
    wait_for(lambda: calls(shop) > before, 30, "the original sends")
    assert server.sql("SELECT state FROM marketplace_config WHERE id = %s", [shop.account]) == [("live",)]
    # And somebody starts the copy.
    copy.rpc("marketplace.config", "action_activate", [shop.account])
    after = calls(shop)
    copy.rpc("product.product", "write", [product], {"list_price": 13})
    wait_for(lambda: calls(shop) > after, 30, "the copy sends, as somebody wants it")


def calls(shop):
    """Count the calls the marketplace got for the account."""
    return len(shop.simulator.control("GET", "calls", account=shop.code))
