"""A large catalogue: read, matched, linked, sent for the first time."""

import importlib
import resource
import time
from decimal import Decimal
from unittest.mock import patch

from ..faults.common import size
from ..system.crowd import clone
from .test_growth import statements

SIZE = size("CATALOGUE_LISTINGS", 20_000)
PAGE = 100


def addon(name):
    """Give a module of the addon, which can be imported only once Odoo is there."""
    return importlib.import_module(f"odoo.addons.cartona_integration.{name}")


class Shelf:
    """A marketplace of as many listings, behind the network door.

    Of ten: five have the products' keys, one a barcode, one an internal reference, one a key spelt otherwise,
    one only a name, one is nobody's.
    """

    def __init__(self, size):
        self.size, self.sent, self.calls = size, {}, 0
        self.base, self.words = addon("dialects.base"), addon("dialects.words")

    def listing(self, n):
        kinds = {5: {"barcode": f"62{n:011}"}, 6: {"key": f"R{n}"}, 7: {"key": f"grown {n:07}/x"}}
        known = {"key": f"grown-{n}"} if n % 10 < 5 else kinds.get(n % 10, {"key": f"?{n}"})
        name = f"Gadget no {n} of {n * 7919 % 9973}" if n % 10 == 8 else f"Thing {n}"
        return self.words.Listing(
            product_id=f"L{n}", **known, name=name, price=Decimal(1), quantity=Decimal(1)
        )

    def page(self, request):
        self.calls += 1
        number = int(dict(request.query)["page"])
        first = (number - 1) * PAGE + 1
        rows = tuple(self.listing(n) for n in range(first, min(first + PAGE, self.size + 1)))
        more = first + PAGE <= self.size
        return self.words.Page(rows, self.base.at_page(request, number + 1) if more else None)

    def update(self, updates):
        self.calls += 1
        self.sent.update({update.product_id: update.price for update in updates})
        return [self.words.ItemResult(True) for _update in updates]


def seed(inside):
    """Make as many products; give one account, in shadow."""
    account = inside.make_account("rest", link_by_key=True)
    with inside.transaction() as env:
        product = env["product.product"].create({"name": "Seed", "list_price": 5, "taxes_id": False})
        start = clone(
            statements(env),
            "product_template",
            product.product_tmpl_id.id,
            SIZE,
            ", 'name', jsonb_build_object('en_US', 'Gadget no ' || n || ' of ' || n::bigint * 7919 %% 9973)",
        )
        clone(
            statements(env),
            "product_product",
            product.id,
            SIZE,
            f", 'product_tmpl_id', {start} + n, 'default_code', 'R' || n,"
            " 'barcode', '62' || lpad(n::text, 11, '0'),"
            " 'cartona_id', CASE WHEN n %% 10 < 5 THEN 'grown-' || n"
            " WHEN n %% 10 = 7 THEN 'GROWN' || lpad(n::text, 7, '0') || 'X' END",
        )
        env["marketplace.config"].browse(account).action_shadow()
        env.cr.execute("DELETE FROM marketplace_mark")
    return account


def test_a_large_catalogue_is_linked_and_sent(inside, show):
    account_id, shelf = seed(inside), Shelf(SIZE)

    def job(kind):
        started = time.monotonic()
        while True:
            with inside.transaction() as env:
                account = env["marketplace.config"].browse(account_id)
                state = account._state(kind)
                before = state.last_run
                getattr(account._as_actor(), f"_job_{kind}")()
            with inside.transaction() as env:
                if env["marketplace.config"].browse(account_id)._state(kind).last_run != before:
                    break
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        show(f"{kind} of {SIZE}: {time.monotonic() - started:.1f} s, at most {memory:.0f} MB")

    door = addon("models.marketplace_api").MarketplaceApi
    with (
        patch.object(door, "_read_products_page", lambda _api, _account, request: shelf.page(request)),
        patch.object(door, "_update_products", lambda _api, _account, updates: shelf.update(updates)),
    ):
        job("listings")
        job("match")
        with inside.transaction() as env:
            account = env["marketplace.config"].browse(account_id)
            assert account.coverage == 50
            started = time.monotonic()
            account.action_link_sure()
            show(f"link what is sure: {time.monotonic() - started:.1f} s")
        with inside.transaction() as env:
            account = env["marketplace.config"].browse(account_id)
            show(f"coverage {account.coverage} %, ambiguous {account.ambiguous_count}")
            assert account.coverage == 70
            left = env["marketplace.product.link"]._read_group(
                [("account_id", "=", account_id), ("state", "=", "found")], ["confidence"], ["__count"]
            )
            show(f"left by confidence: {left}")
        job("push")  # shadow computes
        assert not shelf.sent
        with inside.transaction() as env:
            started = time.monotonic()
            account = env["marketplace.config"].browse(account_id)
            wizard = env["marketplace.go.live"].browse(account.action_go_live()["res_id"])
            show(f"preview: {wizard.reprices} prices, {time.monotonic() - started:.1f} s")
            wizard.is_understood = True
            wizard.action_confirm()
        job("push")
    assert len(shelf.sent) == SIZE * 7 // 10
