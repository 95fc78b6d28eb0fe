"""The same message many times at the same moment."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests

from ..system.conftest import link_sample, sample
from ..system.harness import wait_for
from .common import SEED, post, size

ROUNDS = size("ROUNDS", 50)
SENDERS = 32
# Every so many rounds the feed brings the order at the same moment.
PULL_EVERY = 5


def make_order(dialect, number):
    """Give a new order of a new customer."""
    if dialect == "cartona":
        order = sample("cartona/order_pending")[0]
        retailer = {**order["retailer"], "retailer_code": f"ONCE{SEED}-{number}"}
        return {**order, "hashed_id": f"once-{number}", "retailer": retailer}
    order = sample("rest/neutral_order_created")["data"]["order"]
    return {
        **order,
        "id": f"once-{number}",
        "customer": {**order["customer"], "id": f"ONCE{SEED}-{number}"},
    }


class Crowd:
    """Senders that wait for each other and then post together."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(SENDERS)
        self.barrier = threading.Barrier(SENDERS)
        self.sessions = [requests.Session() for _number in range(SENDERS)]

    def post(self, shop, order):
        """Give the answers to the same order from all."""

        def send(session):
            self.barrier.wait()
            return post(shop, order, session=session)

        return list(self.pool.map(send, self.sessions))


def test_the_same_order_at_once_is_stored_once_and_everybody_hears_yes(open_shop, products, server, show):
    shops = {dialect: open_shop(dialect, order_policy="draft") for dialect in ("cartona", "rest")}
    link_sample(shops["rest"])
    crowd, answers, accepted = Crowd(), Counter(), Counter()
    for number in range(ROUNDS):
        dialect = ("cartona", "rest")[number % 2]
        shop, order = shops[dialect], make_order(dialect, number)
        if number % PULL_EVERY == 0:
            shop.post("orders", order)
            shop.pull()
        replies = crowd.post(shop, order)
        answers.update(reply.status_code for reply in replies)
        accepted[sum(reply.json().get("accepted", 0) for reply in replies)] += 1
    for shop in shops.values():
        wait_for(lambda shop=shop: all(state == "done" for [state] in shop.events()), 120, "all is imported")
    found = {dialect: sorted(order_id for [order_id] in shop.orders()) for dialect, shop in shops.items()}
    wanted = {
        "cartona": sorted(f"once-{number}" for number in range(0, ROUNDS, 2)),
        "rest": sorted(f"once-{number}" for number in range(1, ROUNDS, 2)),
    }
    customers = server.sql(
        "SELECT cartona_id, count(*) FROM res_partner WHERE cartona_id LIKE %s GROUP BY 1", [f"%ONCE{SEED}-%"]
    )
    show(
        f"{SENDERS} times at once, {ROUNDS} rounds (seed {SEED}): answers {dict(answers)}, accepted "
        f"per round {dict(accepted)}, {sum(map(len, found.values()))} orders, {len(customers)} customers"
    )
    assert set(answers) == {200}
    # 0 where the feed brought it first.
    assert set(accepted) <= {0, 1} and accepted[0] <= (ROUNDS + PULL_EVERY - 1) // PULL_EVERY
    assert found == wanted
    assert len(customers) == ROUNDS and {count for _key, count in customers} == {1}
    assert sum(len(shop.events()) for shop in shops.values()) == ROUNDS
