"""What prices and stock cost: whoever changes them, and the pusher."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

PRODUCTS = 10_000
WAREHOUSES = 5
CALLS = 100


class Catalogue:
    """Products listed on one account, made once for all benches; a few of them are listed at first."""

    def __init__(self, inside):
        self.inside = inside
        self.account = inside.make_account("rest")
        self.products = inside.make_products(PRODUCTS, "figure-")
        with inside.transaction() as env:
            self.templates = env["product.product"].browse(self.products).product_tmpl_id.ids
        inside.link(self.account, self.products)

    def change(self, count):
        """Give the Cost of a write on so many products, of the transaction and of what follows it."""
        price = time.time() % 1000
        with self.inside.meter() as cost, self.inside.transaction() as env:
            env["product.template"].browse(self.templates[:count]).write({"list_price": price})
            cost.cr = env.cr
        return cost


def test_the_price_of_a_price(inside, middle, figure):
    catalogue = catalogue_of(inside)
    for count in (1, 1_000, PRODUCTS):
        costs = {}

        def change(state, count=count, costs=costs):
            inside.set_state(state)
            catalogue.change(1)
            inside.forget_work()
            catalogue.change(1)  # a job waits now
            costs[state] = catalogue.change(count)
            return costs[state].cpu

        cpu = middle(
            {"draft": lambda change=change: change("draft"), "live": lambda change=change: change("live")},
            runs=5,
        )
        extra = costs["live"].of(costs["live"].cr) - costs["draft"].of(costs["draft"].cr)
        wake = costs["live"].sql - costs["live"].of(costs["live"].cr)
        figure(
            f"extra SQL statements of {count} changed prices",
            extra,
            2,
            f"{costs['draft'].of(costs['draft'].cr)} without an account; and {wake} of the wake-up",
        )
        if count > 1:
            figure(
                f"CPU of {count} changed prices beside none listed",
                cpu["live"] / cpu["draft"],
                1.25,
                f"{1000 * cpu['live']:.0f} ms beside {1000 * cpu['draft']:.0f} ms",
            )


def test_jobs_of_many_changes(inside, figure):
    catalogue = catalogue_of(inside)
    inside.set_state("live")
    for number in range(1, 11):
        catalogue.change(number * 100)
    with inside.transaction() as env:
        env.cr.execute("SELECT count(*) FROM queue_job")
        [jobs] = env.cr.fetchone()
    figure("jobs of 5,500 changes in 10 transactions", jobs, 5_500 // 500 + 1, "nobody runs them meanwhile")


def make_picking(inside, products):
    """Give the id of a reserved delivery of one of each product."""
    with inside.transaction() as env:
        partner = env["res.partner"].create({"name": "Customer"})
        lines = [(0, 0, {"product_id": product, "product_uom_qty": 1}) for product in products]
        sale = env["sale.order"].create({"partner_id": partner.id, "order_line": lines})
        sale.action_confirm()
        return sale.picking_ids.id


def validate(inside, picking_id):
    """Give the Cost of validating a delivery."""
    with inside.meter() as cost, inside.transaction() as env:
        begun, picking = inside.counts[id(env.cr)], env["stock.picking"].browse(picking_id)
        for move in picking.move_ids:
            move.write({"quantity": move.product_uom_qty, "picked": True})
        picking.with_context(skip_sms=True).button_validate()
        assert picking.state == "done"
        env.cr.flush()  # what comes after is the wake-up's, be it on this cursor
        cost.own = inside.counts[id(env.cr)] - begun
    return cost


def test_a_delivery_of_five_lines(inside, figure):
    catalogue = catalogue_of(inside)
    found = {}
    for state in ("draft", "live"):
        pickings = [make_picking(inside, catalogue.products[:5]) for _number in range(2)]
        inside.set_state(state)
        validate(inside, pickings[0])  # caches
        inside.forget_work()
        cost = validate(inside, pickings[1])
        with inside.transaction() as env:
            env.cr.execute(
                "SELECT count(DISTINCT link_id), count(*) FROM marketplace_mark WHERE kind = 'stock'"
            )
            cost.links, cost.marks = env.cr.fetchone()
            env.cr.execute("SELECT count(*) FROM queue_job")
            [cost.jobs] = env.cr.fetchone()
        found[state] = cost
    live, draft = found["live"], found["draft"]
    figure("jobs of a validated delivery of 5 lines", live.jobs, 1, "all listed")
    flushes = max(1, live.marks // 5)
    figure(
        "extra SQL statements of it per flush",
        (live.own - draft.own) / flushes,
        2,
        f"{live.own} beside {draft.own}, {live.marks} marks of {live.links} listings in {flushes} flushes; "
        f"and {live.sql - live.own} of the wake-up",
    )
    figure("its listings that were marked", live.links, 5, "of 5", at_least=True)


def mislead(inside):
    """Let PostgreSQL know the marks as another account had them: it may look at them at any moment."""
    with inside.transaction() as env:
        env.cr.execute(
            "INSERT INTO marketplace_mark (account_id, link_id, kind) SELECT 0, 0, 'price'"
            " FROM generate_series(1, 5000)"
        )
        env.cr.execute("ANALYZE marketplace_mark")
    inside.forget_work()


def claim(inside, account_id, links):
    """Give the CPU seconds of building what so many listings have to show."""
    with inside.transaction() as env:
        env["marketplace.product.link"].browse(links).write({"price_acknowledged": False})
        env["marketplace.mark"]._insert_both(env["marketplace.product.link"].browse(links))
    with inside.transaction() as env:
        account = env["marketplace.config"].browse(account_id)
        actor = account.with_user(account.user_id).with_company(account.company_id)
        built = 0
        with inside.meter() as cost:
            while offers := actor._committed("_claim_offers"):
                built += len(offers)
    assert built == len(links), built
    inside.forget_work()
    return cost.cpu


def test_building_a_push(inside, middle, figure):
    catalogue = catalogue_of(inside)
    inside.set_state("live")
    links = links_of(inside, catalogue.account)

    def by_field():
        with inside.transaction() as env, inside.meter() as cost:
            products = env["product.product"].browse(catalogue.products[:1000])
            [(product.lst_price, product.free_qty) for product in products]
        return cost.cpu

    def build():
        with inside.transaction() as env, inside.meter() as cost:
            found = env["marketplace.product.link"].browse(links[:1000])
            assert len(found._offers(dict.fromkeys(found, {"price", "stock"}))) == 1000
        return cost.cpu

    functions = {
        "build": build,
        "claim": lambda: claim(inside, catalogue.account, links[:1000]),
        "fields": by_field,
    }
    cpu = middle(functions)
    figure(
        "building a push of 1,000 beside reading lst_price and free_qty",
        cpu["build"] / cpu["fields"],
        0.65,
        f"{1000 * cpu['build']:.0f} ms beside {1000 * cpu['fields']:.0f} ms; {1000 * cpu['claim']:.0f} ms "
        "with taking the marks, noting on the links what is sent, and commits",
    )

    mislead(inside)
    whole = claim(inside, catalogue.account, links)
    mislead(inside)
    thousand = claim(inside, catalogue.account, links[:1000])
    figure(
        "full push: cost per item of 10,000 beside 1,000",
        whole / thousand / 10,
        1.1,
        f"{1000 * whole:.0f} ms beside {1000 * thousand:.0f} ms",
    )


def test_a_delta_push(inside, middle, figure):
    catalogue = catalogue_of(inside)
    inside.set_state("live")
    small = inside.make_account("rest")
    inside.link(small, catalogue.products[:1000])
    accounts = {"of 10,000": catalogue.account, "of 1,000": small}

    def delta(account):
        links = links_of(inside, account)
        return sum(claim(inside, account, links[start : start + 100]) for start in range(0, 1000, 100))

    cpu = middle({name: lambda account=account: delta(account) for name, account in accounts.items()}, 5)
    figure(
        "delta push of 100 of 10,000 listings beside 100 of 1,000",
        cpu["of 10,000"] / cpu["of 1,000"],
        10**0.1,  # an exponent of 0.1 over ten times the listings
        f"{100 * cpu['of 10,000']:.1f} ms beside {100 * cpu['of 1,000']:.1f} ms",
    )


def test_five_warehouses_beside_one(inside, middle, figure):
    catalogue = catalogue_of(inside)
    with inside.transaction() as env:
        known = env["stock.warehouse"].search([], order="id")
        more = [{"name": f"W{number}", "code": f"W{number}"} for number in range(len(known), WAREHOUSES)]
        warehouses = known | env["stock.warehouse"].create(more)
        for warehouse in warehouses[1:]:
            env["stock.quant"].create(
                [
                    {"product_id": product, "location_id": warehouse.lot_stock_id.id, "quantity": 10}
                    for product in catalogue.products[:1000]
                ]
            )
        ids = warehouses.ids[:WAREHOUSES]
    inside.forget_work()

    def free(count):
        with inside.transaction(rollback=True) as env:
            account = env["marketplace.config"].browse(catalogue.account)
            account.stock_warehouse_ids = ids[:count]
            env.flush_all()
            with inside.meter() as cost:
                for _time in range(20):
                    env["product.product"].browse(catalogue.products[:1000])._marketplace_free(account)
        return cost.cpu

    cpu = middle({count: lambda count=count: free(count) for count in (1, WAREHOUSES)})
    figure(
        "free stock of 1,000 products in 5 warehouses beside 1",
        cpu[WAREHOUSES] / cpu[1],
        2,
        f"{50 * cpu[WAREHOUSES]:.1f} ms beside {50 * cpu[1]:.1f} ms",
    )


@pytest.fixture
def keepalive():
    """Give the address of a server that keeps connections open."""
    script = Path(__file__).with_name("keepalive.py")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


def test_the_client_beside_a_bare_session(inside, keepalive, middle, figure):
    account_id = inside.make_account("rest", api_base_url=keepalive)
    with inside.transaction() as env:
        token = env["marketplace.config"].browse(account_id)._credentials().token
    bare = requests.Session()
    bare.trust_env = False
    address, headers = f"{keepalive}/products", {"Authorization": f"Bearer {token}"}

    def ours():
        with inside.transaction() as env:
            account = env["marketplace.config"].browse(account_id)
            begun = time.monotonic()
            for _call in range(CALLS):
                env["marketplace.api"]._test(account)
            return CALLS / (time.monotonic() - begun)

    def kept():
        begun = time.monotonic()
        for _call in range(CALLS):
            bare.get(address, params={"page": 1, "per_page": 1}, headers=headers, timeout=15).json()
        return CALLS / (time.monotonic() - begun)

    def new():
        begun = time.monotonic()
        for _call in range(CALLS):
            requests.get(address, params={"page": 1, "per_page": 1}, headers=headers, timeout=15).json()
        return CALLS / (time.monotonic() - begun)

    rates = middle({"ours": ours, "kept": kept, "new": new}, runs=15)
    figure(
        "our client beside a bare keep-alive session",
        rates["ours"] / rates["kept"],
        0.9,
        f"{rates['ours']:.0f} beside {rates['kept']:.0f} calls/s, {rates['new']:.0f} with a new connection "
        "for each",
        at_least=True,
    )


_catalogues = {}


def catalogue_of(inside):
    """Give the one catalogue of this run: it takes a minute to make."""
    if inside.db not in _catalogues:
        _catalogues[inside.db] = Catalogue(inside)
    return _catalogues[inside.db]


def links_of(inside, account_id):
    with inside.transaction() as env:
        return env["marketplace.product.link"].search([("account_id", "=", account_id)], order="id").ids
