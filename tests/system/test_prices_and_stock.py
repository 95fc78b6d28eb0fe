"""Prices and stock of Odoo on both marketplaces, on a real server."""

import random
import threading
import time
from itertools import count

import pytest

from .harness import RECOVERY, moment, wait_for

SEED = 20261125
numbers = count(1)


class Shelf:
    """Products in stock, for 10 each, listed in some shops, each shop with its own ids."""

    def __init__(self, server, size, *shops):
        self.server, self.shops = server, shops
        [[self.location]] = server.sql("SELECT lot_stock_id FROM stock_warehouse ORDER BY id LIMIT 1")
        name = f"shelf{next(numbers)}"
        self.keys = [f"{name}-{number}" for number in range(size)]
        for shop in shops:
            shop.post("listings", [self._listing(shop, key) for key in self.keys])
        self.products = {key: self._product(key) for key in self.keys}
        wait_for(self.agrees, 60, "all listings are linked and show the first figures")

    def _listing(self, shop, key):
        number = f"{shop.account}{self.keys.index(key):03}"
        if shop.dialect == "cartona":
            return {"supplier_product_id": number, "internal_product_id": key, "selling_price": 1}
        return {"id": f"L{number}", "sku": key, "name": key, "price": "1"}

    def _product(self, key):
        storable = (
            {"detailed_type": "product"}
            if self.server.odoo.series < "18"
            else {"type": "consu", "is_storable": True}
        )
        values = {"name": key, "cartona_id": key, "taxes_id": [(5,)], "list_price": 10, **storable}
        return self.server.rpc("product.product", "create", values)

    # -- what people do ------------------------------------------------------------------------------

    def price(self, key, price):
        """Change a price.

        :return: when it began, as the marketplace's clock tells time
        """
        begun = time.time()
        self.server.rpc("product.product", "write", [self.products[key]], {"list_price": price})
        return begun

    def count(self, key, quantity):
        """Take inventory.

        :return: when it began to be applied
        """
        values = {
            "product_id": self.products[key],
            "location_id": self.location,
            "inventory_quantity": quantity,
        }
        quant = self.server.rpc("stock.quant", "create", values, context={"inventory_mode": True})
        begun = time.time()
        self.server.rpc("stock.quant", "action_apply_inventory", [quant])
        return begun

    # -- both sides ------------------------------------------------------------------------------------

    def wanted(self):
        """Give {key: (price, free)} as Odoo's own tables have it."""
        rows = self.server.sql(
            """
            SELECT product.cartona_id, template.list_price::float,
                   coalesce(sum(quant.quantity - quant.reserved_quantity), 0)::float
              FROM product_product product
              JOIN product_template template ON template.id = product.product_tmpl_id
         LEFT JOIN stock_quant quant ON quant.product_id = product.id AND quant.location_id = %s
             WHERE product.cartona_id = ANY(%s)
          GROUP BY 1, 2
            """,
            [self.location, self.keys],
        )
        return {key: (price, free) for key, price, free in rows}

    def shown(self, shop):
        """Give {key: (price, stock)} of a shop's listings."""
        names = {
            "cartona": ("internal_product_id", "selling_price", "available_stock_quantity"),
            "rest": ("sku", "price", "stock"),
        }[shop.dialect]
        rows = shop.simulator.control("GET", f"accounts/{shop.code}/listings")
        found = [[row.get(name) for name in names] for row in rows]
        return {key: (float(price or 0), float(stock or 0)) for key, price, stock in found}

    def differing(self, shop):
        wanted, shown = self.wanted(), self.shown(shop)
        return {key for key in self.keys if wanted.get(key) != shown[key]}

    def agrees(self):
        return not any(self.differing(shop) for shop in self.shops)

    def links(self, shop, where):
        """Give the keys of a shop's links with a condition."""
        query = f"SELECT key FROM marketplace_product_link WHERE account_id = %s AND {where}"
        return {key for [key] in self.server.sql(query, [shop.account])}

    def rests(self):
        """Tell whether no mark waits and nothing is in doubt."""
        accounts = [shop.account for shop in self.shops]
        marks = self.server.sql("SELECT 1 FROM marketplace_mark WHERE account_id = ANY(%s)", [accounts])
        return not marks and not any(self.links(shop, "in_doubt") for shop in self.shops)

    def arrivals(self, shop):
        """Give {(key, figure, value): when it first arrived} of everything a shop was sent."""
        names = {
            "cartona": ("supplier_product_id", "selling_price", "available_stock_quantity"),
            "rest": ("id", "price", "stock"),
        }[shop.dialect]
        keys = {self._listing(shop, key)[names[0]]: key for key in self.keys}
        found = {}
        for call in shop.simulator.control("GET", "calls", account=shop.code, operation="update_products"):
            at = moment(call["at"])
            for row in call["body"]["items"] if shop.dialect == "rest" else call["body"]:
                for figure, name in zip(("price", "stock"), names[1:], strict=True):
                    if row.get(name) is not None:
                        found.setdefault((keys[row[names[0]]], figure, float(row[name])), at)
        return found


class Trouble(threading.Thread):
    """Lets calls of some shops go wrong, in another way each time."""

    KINDS = (
        ("partial", {"refuse": 0.3, "reorder": True}),
        ("429", {"retry_after": 1}),
        ("partial", {"skip": 0.3, "extra": ["stranger"]}),
        ("not_json", {}),
        ("partial", {"omit": 0.3}),
        ("500", {}),
        ("timeout_after", {"seconds": 3}),
    )

    def __init__(self, shelf, seconds):
        super().__init__(daemon=True)
        self.shelf, self.pause, self.random = shelf, seconds / len(self.KINDS), random.Random(SEED)

    def run(self):
        for kind, params in self.KINDS:
            for shop in self.shelf.shops:
                fault = {"kind": kind, "account": shop.code, "operation": "update_products"}
                chosen = {name: self._some(shop, value) for name, value in params.items()}
                shop.simulator.control("POST", "faults", {**fault, "params": chosen})
            time.sleep(self.pause)

    def _some(self, shop, value):
        """Choose a share of a shop's listings; other values stay."""
        if not isinstance(value, float):
            return value
        keys = [key for key in self.shelf.keys if self.random.random() < value]
        name = "supplier_product_id" if shop.dialect == "cartona" else "id"
        return [self.shelf._listing(shop, key)[name] for key in keys]


class Clerk(threading.Thread):
    """Changes prices and counts goods until told to stop."""

    def __init__(self, shelf, keys, seed, ended):
        super().__init__(daemon=True)
        self.shelf, self.keys, self.random, self.ended = shelf, keys, random.Random(seed), ended
        self.changes, self.failures = 0, []

    def run(self):
        while not self.ended.wait(self.random.uniform(0.05, 0.3)):
            try:
                # A price is anybody's; two people who count the same shelf at once get a question from Odoo.
                self.shelf.price(self.random.choice(self.shelf.keys), self.random.randint(1, 999))
                self.shelf.count(self.random.choice(self.keys), self.random.randint(0, 99))
                self.changes += 2
            except Exception as error:  # a killed worker's connection; told at the end
                self.failures.append(error)


@pytest.mark.parametrize("seconds", [12])
def test_whatever_goes_wrong_both_sides_agree_at_rest(open_shop, server, show, seconds):
    shops = open_shop("cartona", timeout=2), open_shop("rest", timeout=2)
    shelf = Shelf(server, 12, *shops)
    ended = threading.Event()
    clerks = [Clerk(shelf, shelf.keys[part::3], SEED + part, ended) for part in range(3)]
    trouble = Trouble(shelf, seconds)
    for thread in (*clerks, trouble):
        thread.start()
    time.sleep(seconds / 2)
    server.kill_workers()
    trouble.join()
    ended.set()
    for clerk in clerks:
        clerk.join()
    shops[0].simulator.control("DELETE", "faults")
    wait_for(lambda: settled(shelf), RECOVERY, "nothing waits and nothing is in doubt")
    refused = {shop.code: shelf.links(shop, "reason IS NOT NULL") for shop in shops}
    for shop in shops:
        assert shelf.differing(shop) <= refused[shop.code], "what differs says why"
    server.rpc("marketplace.config", "action_sync_products", [shop.account for shop in shops])
    wait_for(shelf.agrees, 30, "both marketplaces show what Odoo says")
    wait_for(
        lambda: not any(shelf.links(shop, "reason IS NOT NULL") for shop in shops), 60, "no reason is left"
    )
    calls = sum(
        len(shop.simulator.control("GET", "calls", account=shop.code, operation="update_products"))
        for shop in shops
    )
    show(
        f"{sum(clerk.changes for clerk in clerks)} changes by {len(clerks)} people in {seconds} s: "
        f"{calls} calls, {sum(len(codes) for codes in refused.values())} listings refused at rest, "
        f"{sum(len(clerk.failures) for clerk in clerks)} requests lost with the killed worker"
    )


@pytest.mark.parametrize("dialect", ["cartona", "rest"])
def test_a_call_that_is_carried_out_behind_a_newer_one_is_made_good(open_shop, server, dialect):
    shop = open_shop(dialect, timeout=2)
    shelf = Shelf(server, 1, shop)
    [key] = shelf.keys
    fault = {"kind": "late", "account": shop.code, "operation": "update_products"}
    shop.simulator.control("POST", "faults", {**fault, "params": {"seconds": 3, "after": 600}})
    shelf.price(key, 77)
    wait_for(lambda: shelf.links(shop, "in_doubt AND sent_price = 77"), 20, "a price was sent")
    shelf.price(key, 88)
    wait_for(lambda: settled(shelf) and shelf.agrees(), 60, "the newer price was taken")
    shop.simulator.control("DELETE", "faults")
    wait_for(lambda: shelf.shown(shop)[key][0] == 77, 10, "the older one is carried out")
    let_late_calls_be_over(server)
    wait_for(lambda: settled(shelf) and shelf.agrees(), 60, "the newer one is sent once more")


def let_late_calls_be_over(server):
    """Let the minutes pass in which a call without an answer may still be carried out."""
    server.sql("UPDATE marketplace_product_link SET unanswered_at = unanswered_at - interval '2 minutes'")


def settled(shelf):
    """Let a minute be over for what is in doubt, have the sweep look, and see whether all rests."""
    shelf.server.sql(
        "UPDATE marketplace_product_link SET sent_at = sent_at - interval '2 minutes'"
        " WHERE in_doubt AND sent_at > now() AT TIME ZONE 'UTC' - interval '2 minutes'"
    )
    [[cron]] = shelf.server.sql(
        "SELECT res_id FROM ir_model_data WHERE module = 'cartona_integration' AND name = 'cron_sweep'"
    )
    shelf.server.rpc("ir.cron", "method_direct_trigger", [cron])
    time.sleep(1)
    return shelf.rests()
