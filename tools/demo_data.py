"""Fill the demo: a shop in Odoo, its accounts and listings at the simulated marketplaces, and orders.

Everything is looked for before it is made: a second run adds nothing. By hand, for servers that run already:
``demo_data.py ODOO DATABASE SERIES SIMULATOR TOKENS PUBLIC``, the addresses as seen from each other, the file
that keeps the tokens, and Odoo's address as people's browsers see it.
"""

import json
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path

from server import wait_for

# (key, name, price, on hand); the last has no key in Odoo: its orders wait until somebody fills it in.
PRODUCTS = (
    ("TEA-25", "شاي أسود ٢٥ فتلة", 250.0, 140),
    ("SUGAR-1", "سكر أبيض ١ كجم", 33.5, 600),
    ("RICE-5", "أرز مصري ٥ كجم", 165.0, 220),
    ("OIL-1", "زيت عباد الشمس ١ لتر", 78.0, 300),
    ("PASTA-400", "مكرونة ٤٠٠ جم", 14.5, 900),
    ("SALT-500", "ملح طعام ٥٠٠ جم", 6.0, 400),
    ("COLA-330", "كولا ٣٣٠ مل", 12.0, 720),
    ("WATER-600", "مياه معدنية ٦٠٠ مل", 5.5, 1200),
    ("TUNA-170", "تونة قطع ١٧٠ جم", 62.0, 180),
    ("BEANS-400", "فول مدمس ٤٠٠ جم", 18.0, 360),
    ("SOAP-4", "صابون ٤ قطع", 41.0, 150),
    ("DATES-1", "تمر سيوي ١ كجم", 95.0, 80),
)
WITHOUT_KEY = "DATES-1"
ACCOUNTS = {
    "cartona": {"name": "كارتونة القاهرة", "path": "cartona/api/v1", "orders": 8, "seed": 17},
    "rest": {"name": "متجر الجملة (REST)", "path": "rest", "orders": 4, "seed": 19},
}
PLATFORM_IDS = 90_001
# What becomes of the first orders after they came in: (account, number of the order, change, made by).
CHANGES = (
    ("cartona", 1, {"status": "cancelled_by_retailer"}, "retailer"),
    ("rest", 0, {"status": "cancelled"}, "retailer"),
)


class Failed(Exception):
    """The other side refused; its words are the message."""


def post(url, body, method="POST"):
    """Send JSON and give the JSON that comes back.

    :raise Failed: it answers with a refusal
    """
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        raise Failed(f"{url}: {error.code} {error.read()[:500].decode(errors='replace')}") from error


class Odoo:
    """A user's calls to a running Odoo."""

    def __init__(self, url, database, login="admin", password="admin"):
        self.url, self.database, self.password = url, database, password
        self.uid = self._call("common", "login", database, login, password)
        if not self.uid:
            raise Failed(f"{login} cannot log in: the password was changed")

    def __call__(self, model, method, *args, **kwargs):
        return self._call(
            "object", "execute_kw", self.database, self.uid, self.password, model, method, args, kwargs
        )

    def _call(self, service, method, *args):
        params = {"service": service, "method": method, "args": args}
        answer = post(f"{self.url}/jsonrpc", {"jsonrpc": "2.0", "method": "call", "params": params})
        if "error" in answer:
            raise Failed(answer["error"]["data"]["message"])
        return answer.get("result")

    def find(self, model, *domain):
        """Give the id of one record, archived or not, or None."""
        found = self(model, "search", list(domain), limit=1, context={"active_test": False})
        return found[0] if found else None


def prepare_company(odoo):
    """Let a new shop be an Egyptian one. Later its owner may have made it anything."""
    if odoo.find("product.product", ("default_code", "=", PRODUCTS[0][0])):
        return
    pound = odoo.find("res.currency", ("name", "=", "EGP"))
    egypt = odoo.find("res.country", ("code", "=", "EG"))
    company = odoo.find("res.company")
    odoo("res.currency", "write", [pound], {"active": True})
    values = {"name": "شركة النيل للتوزيع", "country_id": egypt, "currency_id": pound}
    # Odoo would ask at the first delivery whether to send text messages; nobody pays for any here.
    values |= dict.fromkeys(odoo("res.company", "fields_get", ["stock_move_sms_validation"]), False)
    odoo("res.company", "write", [company], values)


def prepare_address(odoo, public):
    """Let links and webhook addresses name the place where people find Odoo today."""
    if odoo("ir.config_parameter", "get_param", "web.base.url") != public:
        odoo("ir.config_parameter", "set_param", "web.base.url", public)


def prepare_products(odoo, series):
    """Have the products, with stock. All in one go: each change has every worker read its caches anew."""
    known = odoo("product.product", "search_read", [("default_code", "!=", False)], ["default_code"])
    missing = [row for row in PRODUCTS if row[0] not in {product["default_code"] for product in known}]
    if not missing:
        return
    storable = {"detailed_type": "product"} if series < "18" else {"type": "consu", "is_storable": True}
    products = odoo("product.product", "create", [product_values(*row) | storable for row in missing])
    [warehouse] = odoo("stock.warehouse", "search_read", [], ["lot_stock_id"], limit=1)
    place = warehouse["lot_stock_id"][0]
    counts = [
        {"product_id": product, "location_id": place, "inventory_quantity": row[3]}
        for product, row in zip(products, missing, strict=True)
    ]
    quants = odoo("stock.quant", "create", counts, context={"inventory_mode": True})
    odoo("stock.quant", "action_apply_inventory", quants)


def product_values(key, name, price, _stock):
    values = {"name": name, "default_code": key, "list_price": price, "taxes_id": [(5,)]}
    return values if key == WITHOUT_KEY else values | {"cartona_id": key}


def prepare_account(odoo, code, simulator, tokens):
    """Have an account in Odoo, bound to the simulator's address of today.

    :return: its id
    """
    plan = ACCOUNTS[code]
    address = f"{simulator}/{plan['path']}"
    account = odoo.find("marketplace.config", ("code", "=", code))
    if not account:
        values = {
            "name": plan["name"],
            "code": code,
            "dialect": code,
            "api_base_url": address,
            "auth_token": tokens["api"],
            "webhook_token": tokens["webhook"],
        }
        account = odoo("marketplace.config", "create", values)
    [known] = odoo("marketplace.config", "read", [account], ["api_base_url"])
    if known["api_base_url"] != address:
        odoo("marketplace.config", "write", [account], {"api_base_url": address})
    return account


def prepare_marketplace(odoo, account, code, simulator, tokens):
    """Have the account and its listings at the simulated marketplace."""
    [known] = odoo("marketplace.config", "read", [account], ["webhook_key"])
    webhook = {"base_url": odoo.url, "key": known["webhook_key"], "token": tokens["webhook"]}
    control = f"{simulator}/_control/accounts"
    body = {"code": code, "dialect": code, "token": tokens["api"], "webhook": webhook}
    post(control, body)
    if not post(f"{control}/{code}/listings", None, "GET"):
        make = {"cartona": cartona_listing, "rest": rest_listing}[code]
        post(f"{control}/{code}/listings", [make(number, *row) for number, row in enumerate(PRODUCTS)])


def cartona_listing(number, key, name, price, stock):
    return {
        "supplier_product_id": str(PLATFORM_IDS + number),
        "internal_product_id": key,
        "base_product_id": str(650 + number),
        "base_product_name": name,
        "supplier_product_name": name,
        "unit": "piece",
        "unit_count": 1,
        "selling_price": price,
        "available_stock_quantity": stock,
        "in_stock": True,
        "is_published": True,
    }


def rest_listing(number, key, name, price, stock):
    return {
        "id": f"P-{number + 1}",
        "sku": key,
        "name": name,
        "price": f"{price:.2f}",
        "currency": "EGP",
        "stock": str(stock),
        "stock_managed": True,
        "active": True,
    }


def place_orders(simulator, code):
    """Let the marketplace's customers order, the last of them something Odoo does not know.

    :return: the orders' ids
    """
    orders = f"{simulator}/_control/accounts/{code}"
    sold = [product(number, row) for number, row in enumerate(PRODUCTS)]
    known = {"count": ACCOUNTS[code]["orders"], "products": sold[:-1], "seed": ACCOUNTS[code]["seed"]}
    placed = post(f"{orders}/order_factory?push=1", known)
    if code == "cartona":
        placed += post(f"{orders}/order_factory?push=1", {"products": sold[-1:]})
    return [order.get("hashed_id") or order["id"] for order in placed]


def product(number, row):
    key, name, price, _stock = row
    return {"key": key, "name": name, "price": price, "id": str(PLATFORM_IDS + number)}


def change_orders(simulator, placed):
    """Let some customers change their minds after their orders came in."""
    for code, number, change, by in CHANGES:
        if code in placed:
            order = placed[code][number]
            post(f"{simulator}/_control/accounts/{code}/orders/{order}?by={by}&push=1", change)


def count(odoo, state):
    """Count the messages in a state."""
    return odoo("marketplace.event", "search_count", [("state", "=", state)])


def make_tokens():
    """Make the secrets of this installation: per account one of the API and one of the webhook."""
    return {code: {kind: secrets.token_urlsafe(24) for kind in ("api", "webhook")} for code in ACCOUNTS}


def fill(url, database, series, simulator, tokens, public=None):
    """Make what is missing.

    :param dict tokens: as made by ``make_tokens``
    :param public: Odoo's address for people, where it is not the same
    :raise Failed: Odoo or the simulator refuses
    """
    odoo = Odoo(url, database)
    prepare_address(odoo, public or url)
    prepare_company(odoo)
    prepare_products(odoo, series)
    accounts = {code: prepare_account(odoo, code, simulator, tokens[code]) for code in ACCOUNTS}
    for code, account in accounts.items():
        prepare_marketplace(odoo, account, code, simulator, tokens[code])
    fresh = [
        code for code in ACCOUNTS if not post(f"{simulator}/_control/accounts/{code}/orders", None, "GET")
    ]
    # Only now: an active account calls its marketplace at once, and is stopped where that does not know it.
    odoo("marketplace.config", "action_activate", [accounts[code] for code in fresh])
    placed = {code: place_orders(simulator, code) for code in fresh}
    if not placed:
        return
    wanted = sum(map(len, placed.values()))
    wait_for(lambda: odoo("marketplace.event", "search_count", []) >= wanted, 60, "the orders arrive")
    wait_for(lambda: not count(odoo, "new"), 120, "the orders are imported")
    change_orders(simulator, placed)


def main(url, database, series, simulator, file, public):
    path = Path(file)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(json.dumps(make_tokens()))
    fill(url, database, series, simulator, json.loads(path.read_text()), public)


if __name__ == "__main__":
    if len(sys.argv) != 7:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
