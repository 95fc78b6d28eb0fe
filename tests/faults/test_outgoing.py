"""Prices and stock change while the marketplaces fail and processes die: in the end both sides agree."""

import random
import threading
import time
from collections import Counter

import pytest

from ..system.harness import wait_for
from ..system.test_prices_and_stock import Shelf, let_late_calls_be_over, settled
from .common import SEED, Trouble, conflicts, size

PRODUCTS = size("PRODUCTS", 50)
CHANGES = size("CHANGES", 2000)
# A fifth of what people do is about so many products at once, at most.
BULK = size("BULK", 1)
CLERKS = 4
KILLS = min(60, max(3, CHANGES // 500))


def some(share):
    """Give a function that chooses a share of a shop's listings by their ids there."""

    def choose(shop, rng):
        return [known for known in shop.listing_ids if rng.random() < share]

    return choose


FAULTS = [
    (4, "429", {"retry_after": 1}),
    (3, "500", {}),
    (2, "503", {"retry_after": 1}),
    (2, "timeout_after", {"seconds": 3}),
    (2, "timeout_before", {"seconds": 3}),
    (2, "not_json", {}),
    # Carried out behind what came since.
    (2, "late", {"seconds": 3, "after": 20}),
    (1, "cut", {}),
    (1, "empty", {}),
    (1, "wrong_shape", {}),
    (1, "redirect", {}),
    (2, "422", {"message": "one of them is bad"}),
    (2, "partial", {"refuse": some(0.2), "reorder": True}),
    (2, "partial", {"omit": some(0.3)}),
    (2, "partial", {"skip": some(0.3), "extra": ["stranger"]}),
]


class Clerk(threading.Thread):
    """A user who changes prices and takes inventory, and repeats what a killed process did not answer."""

    def __init__(self, shelf, login, keys, changes, seed):
        super().__init__(daemon=True)
        self.shelf, self.login, self.keys, self.left = shelf, login, keys, changes
        self.random, self.lost, self.refused = random.Random(seed), 0, Counter()

    def run(self):
        while self.left > 0:
            many = self.random.randint(1, BULK) if BULK > 1 and self.random.random() < 0.2 else 1
            try:
                self.change(many)
                self.left -= many
            except AssertionError as error:
                # The server's answer: two people at the same product is Odoo's affair.
                self.refused[str(error)[:60]] += 1
                self.left -= many
            except Exception:  # a killed worker's connection
                self.lost += 1
                time.sleep(0.5)

    def change(self, many):
        if self.random.random() < 0.5:
            self.price(self.random.sample(self.shelf.keys, many), self.random.randint(1, 999))
        else:
            self.count({key: self.random.randint(0, 99) for key in self.random.sample(self.keys, many)})

    def price(self, keys, price):
        products = [self.shelf.products[key] for key in keys]
        self.call("product.product", "write", products, {"list_price": price})

    def count(self, quantities):
        values = [
            {
                "product_id": self.shelf.products[key],
                "location_id": self.shelf.location,
                "inventory_quantity": quantity,
            }
            for key, quantity in quantities.items()
        ]
        quants = self.call("stock.quant", "create", values, context={"inventory_mode": True})
        self.call("stock.quant", "action_apply_inventory", quants)

    def call(self, *args, **kwargs):
        return self.shelf.server.rpc(*args, login=self.login, password=self.login, **kwargs)


@pytest.fixture(scope="session")
def logins(server):
    """Users who may sell and keep stock, and know nothing of marketplaces."""
    groups = [
        server.sql("SELECT res_id FROM ir_model_data WHERE module = %s AND name = %s", name.split("."))[0][0]
        for name in ("base.group_user", "stock.group_stock_manager", "sales_team.group_sale_manager")
    ]
    field = "groups_id" if server.odoo.series < "19" else "group_ids"
    names = [f"clerk-{number}" for number in range(CLERKS)]
    for name in names:
        values = {"name": name, "login": name, "password": name, field: [(6, 0, groups)]}
        server.rpc("res.users", "create", values)
    return names


def add_rival(server, shop):
    """Add a second push job, which no check of ours knows of, beside the one there was."""
    server.sql(
        """
        INSERT INTO queue_job
        SELECT (jsonb_populate_record(job, jsonb_build_object(
                   'id', nextval('queue_job_id_seq'), 'uuid', gen_random_uuid()::text, 'state', 'pending',
                   'identity_key', NULL, 'eta', NULL, 'date_enqueued', NULL, 'date_started', NULL,
                   'date_done', NULL))).*
          FROM queue_job job WHERE identity_key = %s ORDER BY id DESC LIMIT 1
        """,
        [f"marketplace.push.{shop.account}"],
    )


def test_both_sides_agree_at_rest_whatever_went_wrong(open_shop, server, logins, show):
    shops = open_shop("cartona", timeout=2), open_shop("rest", timeout=2)
    shelf = Shelf(server, PRODUCTS, *shops)
    for shop in shops:
        names = {"cartona": "supplier_product_id", "rest": "id"}
        listings = shop.simulator.control("GET", f"accounts/{shop.code}/listings")
        shop.listing_ids = [str(listing[names[shop.dialect]]) for listing in listings]
    before = len(server.postgres_log())
    clerks = [
        # Everybody may price everything; a shelf is counted by one: Odoo asks people who count the same one.
        Clerk(shelf, login, shelf.keys[part::CLERKS], CHANGES // CLERKS, f"{SEED}{part}")
        for part, login in enumerate(logins)
    ]
    trouble = Trouble(shops, "update_products", FAULTS)
    begun = time.monotonic()
    for thread in (*clerks, trouble):
        thread.start()
    rivals = kills = 0
    while any(clerk.is_alive() for clerk in clerks):
        time.sleep(1)
        for shop in shops:
            add_rival(server, shop)
            rivals += 1
        done = CHANGES - sum(clerk.left for clerk in clerks)
        if kills < KILLS and done > CHANGES * (kills + 1) / (KILLS + 1):
            server.kill_workers()
            kills += 1
    took = time.monotonic() - begun
    trouble.end()
    time.sleep(1)
    let_late_calls_be_over(server)
    wait_for(lambda: settled(shelf), 180, "nothing waits and nothing is in doubt")
    refused = {shop.code: shelf.links(shop, "reason IS NOT NULL") for shop in shops}
    unexplained = {shop.code: shelf.differing(shop) - refused[shop.code] for shop in shops}
    # A person has them sent once more.
    server.rpc("marketplace.config", "action_sync_products", [shop.account for shop in shops])
    wait_for(
        lambda: shelf.agrees() and not any(shelf.links(shop, "reason IS NOT NULL") for shop in shops),
        60,
        "both marketplaces show what Odoo says, and no reason is left",
    )
    calls, struck = trouble.struck()
    ours = conflicts(server.postgres_log()[before:])
    business = [statement for statement in ours if "INSERT INTO marketplace_mark" in statement]
    show(
        f"{CHANGES} changes of {PRODUCTS} products by {CLERKS} users in {took:.0f} s (seed {SEED}): "
        f"{calls} calls, {struck} went wrong, {rivals} rival pushers, {kills} kills of all workers, "
        f"{sum(clerk.lost for clerk in clerks)} requests repeated after a kill, "
        f"{sum(len(codes) for codes in refused.values())} listings said why they differ, 0 differ at rest; "
        f"conflicts on our tables: {len(business)} in business transactions, {dict(Counter(ours))} in all"
    )
    assert not any(unexplained.values()), f"what differs says why: {unexplained}"
    assert not business
    for clerk in clerks:
        assert not clerk.refused
