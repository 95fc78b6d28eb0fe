"""What a server goes through, and no order is lost: no database, no room, no job runner, an upgrade."""

import random
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import databases
import pytest
import requests
from environment import ADDON

from ..kills.test_kills import RECOVERY, Sender, make_orders
from ..system.harness import TESTS, wait_for
from ..system.test_prices_and_stock import Shelf

DOWN = 60  # seconds
SEED = 20261127
#: what may be answered while the database is away: "come again", or nothing
COME_AGAIN = {200, 503, "no answer"}
MEGABYTE = 1024  # kB


@contextmanager
def sending(shop, orders):
    """Have orders sent while something happens; give the count of the answers."""
    ledger = Counter()
    senders = [Sender(shop, orders[part::2], ledger, random.Random(f"{SEED}{part}")) for part in range(2)]
    for sender in senders:
        sender.start()
    yield ledger
    for sender in senders:
        sender.join(RECOVERY)
        assert not sender.is_alive(), f"all orders are taken in the end: {dict(ledger)}"


def check_once(shop, orders):
    """Wait until each order is here, and make sure that it is once."""
    wanted = sorted(order["hashed_id"] for order in orders)
    wait_for(lambda: len(shop.orders()) >= len(wanted), RECOVERY, f"{len(wanted)} orders are here")
    assert sorted(order_id for [order_id] in shop.orders()) == wanted
    assert len(shop.events()) == len(wanted)


def end_sessions(server):
    """End all sessions of the server with its database, as a failover does."""
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )


@pytest.fixture
def shop(open_shop, products):
    return open_shop("cartona", auto_pull_orders=False, order_policy="draft")


def test_a_database_that_is_away_for_a_minute_costs_no_order_and_no_restart(shop, server, show):
    orders, process = make_orders(60), server.process
    with sending(shop, orders) as ledger:
        wait_for(lambda: ledger[200] > 5, 30, "orders come in")
        TESTS.stop()
        time.sleep(DOWN)
        TESTS.start()
        server.forget_session()
    check_once(shop, orders)
    show(f"PostgreSQL away for {DOWN} s: answers {dict(ledger)}")
    assert set(ledger) <= COME_AGAIN
    assert server.process is process and process.poll() is None


def test_sessions_that_end_in_the_middle_of_jobs_cost_no_order(shop, server, show):
    orders = make_orders(80)
    with sending(shop, orders) as ledger:
        for number in range(1, 6):
            wait_for(lambda number=number: ledger[200] > 12 * number, 60, "orders come in")
            end_sessions(server)
    check_once(shop, orders)
    show(f"5 times all sessions ended: answers {dict(ledger)}")
    assert set(ledger) <= COME_AGAIN


def test_a_database_that_takes_no_rows_is_no_reason_to_lose_an_order(shop, server):
    [order] = make_orders(1)
    headers = {"Authorization": f"Bearer {shop.hook}"}

    def answer():
        try:
            answer = requests.post(shop.address, json=order, headers=headers, timeout=20)
            return answer.status_code, answer.headers.get("Retry-After")
        except requests.RequestException:
            return None

    database = TESTS.client("psql", "-d", server.db, "-Atc", "SELECT quote_ident(current_database())").strip()
    server.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        end_sessions(server)
        assert wait_for(answer, 30, "the door answers") == (503, "30")
        assert not shop.events()
    finally:
        server.sql("SET default_transaction_read_only = off")
        server.sql(f"ALTER DATABASE {database} RESET default_transaction_read_only")
        end_sessions(server)
    wait_for(lambda: answer() == (200, None), 30, "it is taken")
    check_once(shop, [order])


def test_without_a_job_runner_the_sweep_brings_orders_in(shop, server):
    orders = make_orders(3)
    server.stop()
    server.options = {"jobs": 0}
    try:
        server.start()
        for order in orders:
            Sender(shop, [order], Counter(), random.Random(SEED)).run()
        assert not shop.orders()
        # As if it had waited for long; the sweep's own time comes within a minute.
        server.sql("UPDATE queue_job SET date_created = date_created - interval '1 hour', eta = NULL")
        server.sql("UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' WHERE cron_name ILIKE '%crash%'")
        check_once(shop, orders)
        asked = "SELECT count(*) FROM mail_activity WHERE res_model = 'marketplace.config' AND note ILIKE %s"
        wait_for(lambda: server.sql(asked, ["%nobody runs them%"])[0][0], 90, "a person is asked")
    finally:
        server.stop()
        server.options = {}
        server.start()


def test_an_upgrade_while_orders_come_in_costs_none(shop, server, show):
    orders = make_orders(150)
    with sending(shop, orders) as ledger:
        wait_for(lambda: ledger[200] > 5, 30, "orders come in")
        conf = databases.config(
            server.odoo, folder=server.odoo.build / "upgrade", data_dir=server.odoo.build / "data"
        )
        before = Counter(ledger)
        databases.run_odoo(server.odoo, conf, server.db, "-u", ADDON)
        during = Counter(ledger) - before
    check_once(shop, orders)
    show(f"upgraded meanwhile: answers {dict(during)}, in all {dict(ledger)}")
    assert set(ledger) <= COME_AGAIN
    assert during[200] and during != ledger - before, "some came in meanwhile, some after"


def test_a_server_of_two_databases_takes_nothing_for_either_without_a_name(shop, server):
    other = f"{server.db}_other"
    server.stop()
    databases.copy(server.odoo, databases.make_addon_template(server.odoo), other)
    server.options = {"db_name": f"{server.db},{other}"}
    try:
        server.service.start(server.port, data_dir=server.odoo.build / "data", **server.options)
        server.process = server.service.process
        wait_for(lambda: can_connect(server.port), 60, "the server answers")
        answers = [
            requests.request(
                method, url, json={}, headers={"Authorization": f"Bearer {shop.hook}"}, timeout=20
            )
            for method, url in (("POST", shop.address), ("GET", shop.address.replace("orders", "test")))
        ]
        assert {(answer.status_code, answer.text) for answer in answers} == {
            (503, '{"error": "unavailable"}')
        }
    finally:
        server.stop()
        server.options = {}
        server.start()
        databases.drop(server.odoo, other)


def test_one_order_that_cannot_be_stored_holds_up_no_other(shop, server, show):
    orders = make_orders(500)
    poison = orders[250]["hashed_id"]
    server.sql(
        "CREATE FUNCTION poison() RETURNS trigger AS $$ BEGIN"
        f" IF NEW.cartona_id = '{poison}' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$"
        " LANGUAGE plpgsql;"
        "CREATE TRIGGER poison BEFORE INSERT ON sale_order FOR EACH ROW EXECUTE FUNCTION poison()"
    )
    begun = time.monotonic()
    try:
        for start in range(0, len(orders), 100):
            take(shop, orders[start : start + 100])
        wait_for(lambda: len(shop.orders()) == 499, 120, "all others are here")
        found = shop.events("state, external_order_id")
        assert [row for row in found if row[0] != "done"] == [("failed", poison)]
        show(f"499 orders beside one that fails: {time.monotonic() - begun:.0f} s")
    finally:
        server.sql("DROP TRIGGER poison ON sale_order; DROP FUNCTION poison()")
    # It tries again by itself; here a person is quicker.
    process_again(shop, orders[250])
    check_once(shop, orders)


def test_a_message_that_kills_its_workers_is_stopped_and_told_once(shop, server, show):
    attempts = 3
    server.rpc("marketplace.config", "write", [shop.account], {"retry_attempts": attempts})
    poison, *others = make_orders(1 + attempts)
    server.sql(
        "CREATE FUNCTION poison() RETURNS trigger AS $$ BEGIN"
        f" IF NEW.cartona_id = '{poison['hashed_id']}' THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$"
        " LANGUAGE plpgsql;"
        "CREATE TRIGGER poison BEFORE INSERT ON sale_order FOR EACH ROW EXECUTE FUNCTION poison()"
    )
    at_it = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    begun = time.monotonic()
    try:
        take(shop, [poison])
        for number, order in enumerate(others, start=1):
            [[session]] = wait_for(lambda: server.sql(at_it), 120, f"try {number} is under way")
            server.kill_workers()
            server.sql("SELECT pg_terminate_backend(%s)", [session])
            wait_for(server.answers, 60, "the server answers again")
            take(shop, [order])
        wait_for(lambda: len(shop.orders()) == len(others), RECOVERY, "all others are here")
        found = shop.events("state, tries, external_order_id")
        assert [row for row in found if row[0] != "done"] == [("failed", attempts + 1, poison["hashed_id"])]
        show(
            f"{attempts} workers killed by one message: it is stopped after {time.monotonic() - begun:.0f} s"
        )
    finally:
        server.sql("DROP TRIGGER poison ON sale_order; DROP FUNCTION poison()")
    asked = "SELECT count(*) FROM mail_activity WHERE res_model = 'marketplace.config' AND res_id = %s"
    assert server.sql(asked, [shop.account]) == [(1,)]
    process_again(shop, poison)
    check_once(shop, [poison, *others])


def test_twenty_orders_at_once_for_the_last_unit_are_all_here_and_it_is_offered_no_more(
    open_shop, products, server
):
    shop = open_shop("rest", auto_pull_orders=False)
    shelf = Shelf(server, 1, shop)
    [key] = shelf.keys
    shelf.count(key, 1)
    wait_for(lambda: shelf.shown(shop)[key][1] == 1, 30, "one is offered")
    [[currency]] = server.sql(
        "SELECT name FROM res_currency WHERE id = (SELECT currency_id FROM res_company LIMIT 1)"
    )
    line = {"id": "1", "sku": key, "quantity": 1, "unit_price": 10}
    orders = [
        {
            "id": f"last-{number}", "status": "pending", "modified_at": "2026-11-12T10:00:00Z",
            "currency": currency, "total": 10,
            "customer": {"id": f"C{number}", "name": "Shop"}, "lines": [line],
        }
        for number in range(20)
    ]  # fmt: skip
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda order: take(shop, [order]), orders))
    wait_for(lambda: all(state != "new" for [state] in shop.events()), 60, "all are settled")
    assert Counter(shop.events("state, reason")) == {("done", None): 20}
    found = shop.orders("cartona_id, state")
    assert sorted(found) == sorted((order["id"], "sale") for order in orders)
    wait_for(lambda: shelf.shown(shop)[key][1] == 0, 30, "none is offered")


def test_bodies_that_are_too_much_take_no_memory(shop, server, show):
    place = urlsplit(shop.address)
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {shop.hook}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
    )
    chunk = b"100000\r\n" + b" " * MEGABYTE * 1024 + b"\r\n"
    hostile = {
        "a length of 500 MB": (b"Content-Length: 500000000\r\n\r\n", b" " * MEGABYTE * 1024, 413),
        "chunks": (b"Transfer-Encoding: chunked\r\n\r\n", chunk * 8, 411),
        "no length": (b"\r\n", b" " * MEGABYTE * 1024, 411),
        "length and chunks": (b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n", chunk * 8, 411),
        "compressed": (b"Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000, 415),
        "nested": (b"Content-Length: 1000000\r\n\r\n", b"[" * 1_000_000, 400),
    }
    for _warm in range(40):
        take(shop, [])
    before, told = {pid: peak(pid) for pid in server.children()}, {}
    for name, (rest, body, status) in hostile.items():
        answers = {raw_answer(place, head.encode() + rest, body) for _time in range(10)}
        assert answers <= {status, None}, name
        told[name] = status in answers
    grown = max(peak(pid) - peak_before for pid, peak_before in before.items())
    show(
        f"{10 * len(hostile)} bodies that are too much: the workers' peaks grew by {grown / MEGABYTE:.1f} MB"
    )
    assert set(before) <= set(server.children()), "nobody died of it"
    assert grown < 20 * MEGABYTE
    assert all(told.values()), told
    assert not shop.events()


def take(shop, orders):
    """Post orders that have to be taken at once."""
    headers = {"Authorization": f"Bearer {shop.hook}"}
    answer = requests.post(shop.address, json=orders, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def process_again(shop, order):
    [event] = [number for number, name in shop.events("id, external_order_id") if name == order["hashed_id"]]
    shop.server.rpc("marketplace.event", "action_process_again", [event])


def peak(pid):
    """Give the most memory a process ever had, in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def raw_answer(place, head, body):
    """Send bytes as they are.

    :return: the status; None where the connection was ended before it could be read
    """
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        try:
            connection.sendall(head)
            connection.sendall(body)
        except OSError:
            pass  # refused in the middle of it
        try:
            said = connection.recv(4096)
        except ConnectionError:
            return None
    return int(said.split()[1]) if said else None
