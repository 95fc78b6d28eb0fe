"""What an order costs on its way in, beside what it would cost without us."""

import copy
import http.client
import json
import threading
import time
from collections import defaultdict
from statistics import median
from urllib.parse import urlsplit

import pytest

from ..system.conftest import sample
from .meter import cpu_seconds

# Short turns and many: whatever else the machine does meets all that is compared.
TURNS, REQUESTS = 15, 80
SENDERS = 8
ORDERS = 50
LINES = 5
QUIET = {"tracking_disable": True, "mail_create_nosubscribe": True, "mail_create_nolog": True}


def make_orders(prefix, count=ORDERS, keys=None):
    """Make Cartona orders of five lines of ten retailers; the n-th line is of product ``<keys>n``."""
    base = sample("cartona/order_pending")[0]
    orders = []
    for number in range(count):
        order = copy.deepcopy(base)
        line = order["order_details"][0]
        order["order_details"] = [
            {
                **line,
                "id": number * LINES + index,
                "supplier_product_id": None,
                "internal_product_id": f"{keys}{(number + index) % 20}",
                "amount": 2,
                "selling_price": 10,
            }
            for index in range(LINES)
        ]
        order["hashed_id"], order["total_price"] = f"{prefix}-{number}", 20 * LINES
        order["retailer"]["retailer_code"] = f"B{prefix}{number % 10}"
        orders.append(order)
    return orders


# -- the webhook -----------------------------------------------------------------------------------


class Load:
    """Posts to one address from several threads."""

    def __init__(self, address, bodies, token=""):
        self.place, self.bodies = urlsplit(address), iter(bodies)
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self.lock, self.sql, self.statuses = threading.Lock(), [], set()

    def run(self):
        """Give requests per second."""
        threads = [threading.Thread(target=self._post_all) for _sender in range(SENDERS)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.statuses == {200}, self.statuses
        return len(self.sql) / (time.monotonic() - begun)

    def _next(self):
        with self.lock:
            return next(self.bodies, None)

    def _post_all(self):
        connection = http.client.HTTPConnection(self.place.hostname, self.place.port, timeout=60)
        while body := self._next():
            connection.request("POST", self.place.path, body, self.headers)
            answer = connection.getresponse()
            answer.read()
            self.statuses.add(answer.status)
            self.sql.append(int(answer.headers.get("X-Sql", 0)))


def test_the_webhook_beside_one_insert_and_beside_a_job_per_message(open_shop, server, middle, figure):
    shop = open_shop("cartona", auto_pull_orders=False)
    server.sql("CREATE TABLE bench_message (id bigserial PRIMARY KEY, key text UNIQUE, body text)")
    time.sleep(3)  # what activating asked for
    server.rpc("marketplace.config", "action_pause", [shop.account])  # only the door works
    time.sleep(3)  # what the pause asked for
    # A job that waits, and that nobody runs, nor takes for a dead one: the wake-up finds it.
    identity = f"marketplace.import.{shop.account}"
    server.sql(
        "UPDATE queue_job SET state = 'enqueued', date_enqueued = now() + INTERVAL '1 day'"
        " WHERE id = (SELECT max(id) FROM queue_job WHERE identity_key = %s)",
        [identity],
    )
    jobs = "SELECT id FROM queue_job WHERE identity_key = %s AND state = 'enqueued'", [identity]
    waiting = server.sql(*jobs)
    assert len(waiting) == 1
    base = sample("cartona/order_pending")[0]
    rounds = iter(range(1000))
    sql, cpu = {}, defaultdict(list)

    def post(name, address):
        number = next(rounds)
        bodies = [json.dumps(base | {"hashed_id": f"b{number}-{row}"}).encode() for row in range(REQUESTS)]
        load, begun = Load(address, bodies, shop.hook), cpu_seconds(server)
        rate = load.run()
        cpu[name].append(1000 * (cpu_seconds(server) - begun) / REQUESTS)
        sql[name] = max(load.sql)
        return rate

    addresses = {
        "ours": shop.address,
        "insert": f"{server.url}/bench/insert",
        "orm": f"{server.url}/bench/orm/{shop.account}",
    }
    rates = middle({name: lambda name=name: post(name, addresses[name]) for name in addresses}, TURNS)
    assert server.sql(*jobs) == waiting
    each = {name: f"{median(cpu[name]):.1f} ms CPU of server and database" for name in addresses}
    made_of = (
        f"{rates['ours']:.0f} messages/s, {SENDERS} senders, {TURNS} × {REQUESTS} in turns, client included, "
        f"fsync {server.sql('SHOW fsync')[0][0]}, {each['ours']}"
    )
    figure(
        "SQL statements of the acknowledgement's transaction",
        sql["ours"],
        5,
        f"control {sql['insert']} (savepoint, insert), ORM and job {sql['orm']}",
    )
    figure(
        "webhook beside savepoint and one INSERT",
        rates["ours"] / rates["insert"],
        0.80,
        f"{made_of}; control {rates['insert']:.0f}/s, {each['insert']}",
        at_least=True,
    )
    figure(
        "webhook beside ORM create and a job per message",
        rates["ours"] / rates["orm"],
        1.7,
        f"{made_of}; ORM and job {rates['orm']:.0f}/s, {each['orm']}",
        at_least=True,
    )


def test_the_wake_up(inside, figure):
    account_id = inside.make_account("rest")
    inside.forget_work()  # a new account has waiting jobs
    with inside.transaction() as env:  # what it emptied is read again once
        env["marketplace.config"].browse(account_id)._wake_now("import")
    inside.forget_work()
    for name, goal in (("adds a job", 10), ("finds one waiting", 3)):
        with inside.transaction() as env:
            account = env["marketplace.config"].browse(account_id)
            with inside.meter() as cost:
                account._wake_now("import")
        figure(f"SQL statements of a wake-up that {name}", cost.sql, goal, "its whole transaction")


# -- the import ------------------------------------------------------------------------------------


class Import:
    """Imports orders and makes the same ones without us."""

    def __init__(self, inside, policy):
        self.inside, self.policy, self.number = inside, policy, 0
        self.prefix = f"{policy}-product-"
        self.products = inside.make_products(20, self.prefix)
        self.account = inside.make_account("cartona", order_policy=policy)
        # No prices and stock: they are another bench's business.
        with inside.transaction() as env:
            env["marketplace.config"].browse(self.account).write({"auto_sync_stock": False})
        self.sql = {}

    def ours(self, bad=None, name="ours"):
        """Give the CPU seconds of importing ORDERS messages.

        :param int bad: spoil this one: its product is unknown
        """
        self.number += 1
        orders = make_orders(f"o{self.policy}{self.number}", keys=self.prefix)
        if bad is not None:
            orders[bad]["order_details"][0]["internal_product_id"] = "nobody knows it"
        with self.inside.transaction() as env:
            account = env["marketplace.config"].browse(self.account)
            messages = account._dialect().split("orders", orders)
            env["marketplace.event"]._store(account, messages, "webhook")
        self.inside.forget_work()
        with self.inside.transaction() as env:
            account = env["marketplace.config"].browse(self.account)
            actor = account.with_user(account.user_id).with_company(account.company_id)
            with self.inside.meter() as cost:
                actor._job_import()
        self.sql[name] = cost.sql / ORDERS
        self.check(orders, bad)
        return cost.cpu

    def check(self, orders, bad):
        wanted = "sale" if self.policy == "confirm" else "draft"
        with self.inside.transaction() as env:
            ids = [order["hashed_id"] for order in orders]
            found = env["sale.order"].search([("cartona_id", "in", ids), ("state", "=", wanted)])
            assert len(found) == ORDERS - (bad is not None)

    def bare(self):
        """Give the CPU seconds of one create with all the orders, and their customers."""
        self.number += 1
        with self.inside.transaction() as env:
            account = env["marketplace.config"].browse(self.account)
            with self.inside.meter() as cost:
                actor = env(user=account.user_id.id, context=QUIET)
                partners = actor["res.partner"].create([{"name": f"Bare {number}"} for number in range(10)])
                sales = actor["sale.order"].create(
                    [
                        {
                            "partner_id": partners[number % 10].id,
                            "company_id": account.company_id.id,
                            "warehouse_id": account.warehouse_id.id,
                            "pricelist_id": account.pricelist_id.id,
                            "client_order_ref": f"bare{self.number}-{number}",
                            "order_line": [
                                (
                                    0,
                                    0,
                                    {
                                        "product_id": self.products[(number + index) % 20],
                                        "product_uom_qty": 2,
                                        "price_unit": 10,
                                    },
                                )
                                for index in range(LINES)
                            ],
                        }
                        for number in range(ORDERS)
                    ]
                )
                if self.policy == "confirm":
                    sales.action_confirm()
                env.cr.commit()
        self.sql["bare"] = cost.sql / ORDERS
        return cost.cpu


@pytest.mark.parametrize(
    ("policy", "share", "statements"),
    [("draft", 0.75, 16), ("confirm", 0.85, 84)],
    ids=["draft", "confirmed"],
)
def test_the_import_beside_a_bare_create(inside, middle, figure, policy, share, statements):
    bench = Import(inside, policy)
    bench.ours()  # customers, caches
    bench.bare()
    cpu = middle(
        {
            "ours": bench.ours,
            "bare": bench.bare,
            "one bad": lambda: bench.ours(bad=ORDERS // 2, name="one bad"),
        }
    )
    each = {name: 1000 * seconds / ORDERS for name, seconds in cpu.items()}
    name = "draft" if policy == "draft" else "confirmed"
    figure(
        f"import of {ORDERS} {name} orders beside a bare create",
        cpu["bare"] / cpu["ours"],
        share,
        f"{each['bare']:.1f} ms bare, {each['ours']:.1f} ms ours, CPU per order",
        at_least=True,
    )
    figure(
        f"SQL statements per {name} order of {LINES} lines",
        bench.sql["ours"],
        statements,
        f"bare {bench.sql['bare']:.1f}; the whole job, wake-ups included",
    )
    figure(
        f"one bad among {ORDERS} {name} orders beside none",
        cpu["one bad"] / cpu["ours"],
        2.5,
        f"{each['one bad']:.1f} ms beside {each['ours']:.1f} ms per order",
    )
