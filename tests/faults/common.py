"""Sizes of the fault tests, and what makes things go wrong.

Each size is an environment variable: ``make faults`` takes the usual ones, ``make soak`` larger ones.
"""

import os
import random
import re
import threading
import time

import requests

SEED = int(os.environ.get("SEED") or 20261126)
#: what was chosen for this run, for the message that says how to repeat it
sizes = {}


def size(name, usual):
    """Give how many of something a test takes: ``FAULTS_<name>``, or the usual number."""
    sizes[f"FAULTS_{name}"] = number = int(os.environ.get(f"FAULTS_{name}") or usual)
    return number


def post(shop, message, topic="orders", session=requests):
    """Post a message as the marketplace would.

    :return: the answer
    """
    address = shop.address.replace("/webhook/orders/", f"/webhook/{topic}/")
    headers = {"Authorization": f"Bearer {shop.hook}"}
    return session.post(address, json=message, headers=headers, timeout=60)


def chances(rng, faults):
    """Give a fault by its weight.

    :param faults: list of (weight, kind, params)
    """
    [(_weight, kind, params)] = rng.choices(faults, [weight for weight, _kind, _params in faults])
    return kind, params


class Trouble(threading.Thread):
    """Lets a share of the calls of one operation go wrong, each in another way, until it is told to end.

    Time passes faster for pauses: nobody learns anything from waiting.
    """

    def __init__(self, shops, operation, faults, share=0.2):
        super().__init__(daemon=True)
        self.shops, self.operation, self.faults, self.share = shops, operation, faults, share
        self.random, self.ended = random.Random(SEED), threading.Event()

    def run(self):
        seen = dict.fromkeys((shop.code for shop in self.shops), 0)
        while not self.ended.wait(0.2):
            for shop in self.shops:
                calls = self.calls(shop, seen[shop.code])
                seen[shop.code] = max([seen[shop.code], *(call["id"] for call in calls)])
                for _call in calls:
                    if self.random.random() < self.share / (1 - self.share):
                        self.strike(shop)
            shorten_pauses(self.shops)

    def calls(self, shop, since=0):
        return shop.simulator.control(
            "GET", "calls", account=shop.code, operation=self.operation, since_id=since
        )

    def strike(self, shop):
        """Let the next call go wrong."""
        kind, params = chances(self.random, self.faults)
        chosen = {
            name: value(shop, self.random) if callable(value) else value for name, value in params.items()
        }
        fault = {"kind": kind, "account": shop.code, "operation": self.operation, "params": chosen}
        shop.simulator.control("POST", "faults", fault)

    def end(self):
        """Let everything go right from now on."""
        self.ended.set()
        self.join()
        self.shops[0].simulator.control("DELETE", "faults")

    def struck(self):
        """Count (calls, calls that went wrong)."""
        calls = [call for shop in self.shops for call in self.calls(shop)]
        return len(calls), sum(1 for call in calls if call["fault"])


def shorten_pauses(shops):
    """Let no account wait longer than two seconds."""
    accounts = [shop.account for shop in shops]
    soon = "now() AT TIME ZONE 'UTC' + interval '2 seconds'"
    try:
        shops[0].server.sql(
            f"UPDATE marketplace_sync_state SET paused_until = {soon}"
            f" WHERE account_id = ANY(%s) AND paused_until > {soon}",
            [accounts],
        )
        shops[0].server.sql(
            f"UPDATE marketplace_order_step SET next_try = {soon}"
            f" WHERE account_id = ANY(%s) AND next_try > {soon}",
            [accounts],
        )
        # As in life, the job that resumes comes after the pause.
        later = f"{soon} + interval '2 seconds'"
        shops[0].server.sql(f"UPDATE queue_job SET eta = {later} WHERE state = 'pending' AND eta > {later}")
    except shops[0].server.DATABASE_ERRORS:
        time.sleep(0.2)  # somebody else wrote the row meanwhile, or the database is away


def conflicts(text):
    """Give the statements about our tables that PostgreSQL's log says could not be serialized."""
    failed = re.findall(r"ERROR:  could not serialize access.*?STATEMENT:\s+(.*?)(?=\n\d{4}-|\Z)", text, re.S)
    return [" ".join(statement.split())[:160] for statement in failed if "marketplace_" in statement]
