import json
from dataclasses import dataclass
from itertools import count

import pytest

from .harness import ROOT, OdooServer, Simulator

SAMPLES = ROOT / "cartona_integration" / "tests" / "samples"
numbers = count(1)


@pytest.fixture(scope="session")
def server():
    """A running server; started once, as its start takes seconds."""
    server = OdooServer()
    server.create()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.drop()


@pytest.fixture(scope="session")
def simulator():
    simulator = Simulator()
    try:
        yield simulator
    finally:
        simulator.stop()


@dataclass
class Shop:
    """One account, on both sides: in Odoo and at the simulated marketplace."""

    server: OdooServer
    simulator: Simulator
    code: str
    dialect: str
    account: int
    key: str
    token: str
    hook: str

    def post(self, path, *args, **kwargs):
        """Command the simulator about this account."""
        return self.simulator.control("POST", f"accounts/{self.code}/{path}", *args, **kwargs)

    @property
    def address(self):
        return f"{self.server.url}/marketplace_integration/webhook/orders/{self.key}"

    def pull(self):
        self.server.rpc("marketplace.config", "action_pull_orders", [self.account])

    def orders(self, columns="cartona_id", where="true"):
        """Give columns of the account's sale orders."""
        return self.server.sql(
            f"SELECT {columns} FROM sale_order WHERE marketplace_config_id = %s AND {where}", [self.account]
        )

    def events(self, columns="state"):
        return self.server.sql(
            f"SELECT {columns} FROM marketplace_event WHERE account_id = %s ORDER BY id", [self.account]
        )


@pytest.fixture
def open_shop(server, simulator):
    """Give a function that opens a new account of a dialect on both sides, live and ready to be pushed to.

    They close with the test: a product sold by all accounts there ever were would be told to all of them.
    """
    opened = []

    def open_one(dialect, **values):
        code = f"{dialect}{next(numbers)}"
        token, hook = values.pop("token", f"token-{code}-0123456789"), f"hook-{code}-0123456789"
        path = {"cartona": "cartona/api/v1", "rest": "rest"}[dialect]
        account = server.rpc(
            "marketplace.config",
            "create",
            {
                "name": code,
                "code": code,
                "dialect": dialect,
                "api_base_url": f"{simulator.url}/{path}",
                "auth_token": token,
                "webhook_token": hook,
                "calls_per_second": 0,
                **values,
            },
        )
        # A price in another currency than the company's needs a rate.
        server.sql(
            "INSERT INTO res_currency_rate (currency_id, company_id, name, rate)"
            " SELECT currency_id, company_id, '2020-01-01', 1 FROM marketplace_config WHERE id = %s"
            " ON CONFLICT DO NOTHING",
            [account],
        )
        [[key]] = server.sql("SELECT webhook_key FROM marketplace_config WHERE id = %s", [account])
        webhook = {"base_url": server.url, "key": key, "token": hook}
        there = {"code": code, "dialect": dialect, "token": token, "webhook": webhook}
        simulator.control("POST", "accounts", there | {"supplier_code": values.get("supplier_code")})
        # Last: an active account calls at once, and one the marketplace does not know yet is refused.
        server.rpc("marketplace.config", "action_activate", [account])
        opened.append(account)
        return Shop(server, simulator, code, dialect, account, key, token, hook)

    yield open_one
    if opened:
        server.rpc("marketplace.config", "action_pause", opened)


@pytest.fixture
def show(capsys):
    """Give a function that prints a figure where people see it, whatever pytest captures."""

    def say(text):
        with capsys.disabled():
            print(f"\n  {text}")

    return say


@pytest.fixture(scope="session")
def products(server):
    """Products with the keys the samples use."""
    keys = ("TEA-25", "SUGAR-1", "SALT-500", "COLA-330", "479", "904#2", "1679#2", "MANGO-1")
    kind = (
        {"detailed_type": "product"} if server.odoo.series < "18" else {"type": "consu", "is_storable": True}
    )
    for key in keys:
        server.rpc("product.product", "create", {"name": key, "cartona_id": key, "taxes_id": [(5,)], **kind})
    return keys


def link_sample(shop):
    """Link the listing that the neutral samples name by the platform's id alone."""
    [product] = shop.server.rpc("product.product", "search", [("cartona_id", "=", "MANGO-1")])
    values = {"account_id": shop.account, "product_id": product, "external_id": "P-512", "state": "linked"}
    shop.server.rpc("marketplace.product.link", "create", values)


def sample(name):
    """Read one of the addon's sample messages."""
    return json.loads((SAMPLES / f"{name}.json").read_text())
