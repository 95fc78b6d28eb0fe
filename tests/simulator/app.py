"""The marketplace as a Flask application, and the API that controls it. Its pages are in ``shop.py``.

Everything below ``/_control`` speaks JSON; nothing guards it, so it belongs on a loopback address.

========================================  ====================================================================
``POST reset``                            forget everything
``GET, POST accounts``                    {code, dialect, token, supplier_code?, options?, webhook?}
``GET, POST accounts/<code>/listings``    listings in the dialect's shape
``GET, POST accounts/<code>/orders``      orders in the dialect's shape, ``?push=1`` also by webhook
``POST accounts/<code>/orders/<id>``      change one, ``?push=1``; ``?by=marketplace`` may do anything
``POST accounts/<code>/order_factory``    {count, products: [{key, price}], retailers, offers, seed, values}
``POST accounts/<code>/push``             {orders, topic, envelope, duplicates, reorder, seed, concurrency,
                                          rate, wait, deadline …}: see ``webhooks.py``
``GET webhooks``                          the ledger, ``?account=&since_id=``
``GET, POST, DELETE faults``              {kind, account?, operation?, times?, params?}: see ``faults.py``
``GET calls``                             the journal, ``?account=&operation=&since_id=``
========================================  ====================================================================

An order may carry ``retailer_otp``: it is kept and never shown to the supplier.
"""

import logging

from flask import Blueprint, Flask, jsonify, request
from werkzeug.exceptions import HTTPException

from . import cartona, rest
from .factory import Factory
from .faults import Faults
from .marketplace import MARKETPLACE, RETAILER
from .parts import DIALECTS, account_of, dialect_of, part, push_orders
from .shop import shop
from .state import Account, Refusal, State
from .webhooks import RETRY, Webhooks

_logger = logging.getLogger(__name__)

MAX_WAIT = 600  # seconds a push may be waited for

control = Blueprint("control", __name__, url_prefix="/_control")


def create_app():
    """Make a marketplace without accounts."""
    app = Flask("simulator")
    app.json.ensure_ascii = False
    app.json.sort_keys = False
    # A fault closes connections by raising: that is for the server to see, not for Flask to log.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.extensions |= {"state": State(), "faults": Faults(), "webhooks": Webhooks()}
    for blueprint in (cartona.api.blueprint, rest.api.blueprint, control, shop):
        app.register_blueprint(blueprint)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _http_error)
    return app


def _refused(refusal):
    return jsonify(error=refusal.message, code=refusal.code), refusal.status


def _http_error(error):
    return jsonify(error=error.description), error.code


def _body(kind=dict):
    """Give the posted JSON.

    :raise Refusal: it is not of this kind
    """
    body = request.get_json(silent=True)
    if not isinstance(body, kind):
        raise Refusal(400, "malformed", "other JSON expected")
    return body


def _rows():
    """Give the posted objects, one alone or a list of them."""
    body = _body((dict, list))
    rows = body if isinstance(body, list) else [body]
    if not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, "malformed", "objects expected")
    return rows


def _only(body, known):
    unknown = set(body) - set(known)
    if unknown:
        raise Refusal(400, "unknown_field", f"unknown: {', '.join(sorted(unknown))}")
    return body


def _is_set(name):
    return request.args.get(name, "") not in ("", "0", "false")


# --- accounts -----------------------------------------------------------------------------------


@control.get("/accounts")
def list_accounts():
    """List the accounts without their secrets."""
    with part("state").lock:
        return jsonify([account.describe() for account in part("state").accounts.values()])


@control.post("/accounts")
def put_account():
    """Create an account or replace its settings; its listings and orders stay."""
    body = _only(_body(), ("code", "dialect", "token", "supplier_code", "options", "webhook"))
    if not body.get("code") or not body.get("token") or body.get("dialect") not in DIALECTS:
        raise Refusal(400, "invalid", f"code, token and dialect ({', '.join(DIALECTS)}) are needed")
    options = _options(DIALECTS[body["dialect"]], body.get("options") or {})
    webhook = _webhook(body.get("webhook"))
    state = part("state")
    with state.lock:
        others = state.accounts_with(body["dialect"], body["token"])
        if body["dialect"] == "rest" and any(other.code != body["code"] for other in others):
            raise Refusal(409, "token", "another account has this token")
        account = Account(**body | {"options": options, "webhook": webhook})
        known = state.accounts.get(account.code)
        if known and known.dialect == account.dialect:
            account.take_over(known)
        state.accounts[account.code] = account
        return jsonify(account.describe())


def _options(dialect, given):
    """Complete options with their defaults.

    :raise Refusal: an option, or a value of one, that does not exist
    """
    for name, value in given.items():
        if value not in dialect.options.get(name, ()):
            known = dialect.options.get(name, tuple(dialect.options))
            raise Refusal(400, "option", f"{name} {value}: one of {', '.join(map(str, known))}")
    return {name: values[0] for name, values in dialect.options.items()} | given


def _webhook(given):
    if given is None:
        return None
    if not isinstance(given, dict) or not all(given.get(name) for name in ("base_url", "key", "token")):
        raise Refusal(400, "webhook", "a webhook needs base_url, key and token")
    return _only(given, ("base_url", "key", "token", "envelope", *RETRY))


@control.post("/reset")
def reset():
    """Forget everything: accounts, calls, faults, pushes."""
    for name in ("faults", "webhooks", "state"):
        forgetful = part(name)
        (forgetful.clear if name == "faults" else forgetful.reset)()
    return jsonify({})


# --- listings -----------------------------------------------------------------------------------


@control.get("/accounts/<code>/listings")
def list_listings(code):
    """List an account's listings as they are kept."""
    with part("state").lock:
        return jsonify(list(account_of(code).listings.values()))


@control.post("/accounts/<code>/listings")
def put_listings(code):
    """Create or replace listings."""
    state = part("state")
    with state.lock:
        account = account_of(code)
        dialect = dialect_of(account)
        return jsonify([dialect.put_listing(state, account, dict(row)) for row in _rows()])


# --- orders -------------------------------------------------------------------------------------


@control.get("/accounts/<code>/orders")
def list_orders(code):
    """List an account's orders with their history."""
    with part("state").lock:
        return jsonify([order.describe() for order in account_of(code).orders.values()])


@control.post("/accounts/<code>/orders")
def put_orders(code):
    """Create or replace orders; they enter the feed."""
    return _put_orders(code, lambda account: _rows())


@control.post("/accounts/<code>/order_factory")
def make_orders(code):
    """Make plausible orders and put them into the feed."""
    known = ("count", "products", "retailers", "offers", "seed", "values")
    wanted = dict(_only(_body(), known))
    count, values = wanted.pop("count", 1), wanted.pop("values", {})
    products = wanted.get("products")
    if not products or any("key" not in product or "price" not in product for product in products):
        raise Refusal(400, "products", "products are needed: [{key, price}]")

    def payloads(account):
        factory = Factory(part("state"), account, **wanted)
        return [factory.make() | values for _ in range(count)]

    return _put_orders(code, payloads)


def _put_orders(code, payloads):
    state = part("state")
    with state.lock:
        account = account_of(code)
        dialect = dialect_of(account)
        orders = [dialect.put_order(state, account, payload) for payload in payloads(account)]
        return _answer_orders(account, orders)


def _answer_orders(account, orders):
    rows = [order.payload for order in orders]
    if _is_set("push"):
        push_orders(account, [str(row[dialect_of(account).order_id]) for row in rows])
    return jsonify(rows)


@control.post("/accounts/<code>/orders/<path:order_id>")
def change_order(code, order_id):
    """Change an order as the retailer, or with ``?by=marketplace`` as the marketplace itself."""
    by = request.args.get("by", RETAILER)
    if by not in (RETAILER, MARKETPLACE):
        raise Refusal(400, "by", f"by: {RETAILER} or {MARKETPLACE}")
    state = part("state")
    with state.lock:
        account = account_of(code)
        order = dialect_of(account).change_order(state, account, order_id, _body(), by)
        if _is_set("push"):
            push_orders(account, [order_id])
        return jsonify(order.describe())


# --- webhook ------------------------------------------------------------------------------------


@control.post("/accounts/<code>/push")
def push(code):
    """Push orders or statuses; ``wait`` seconds for the last to be taken or given up."""
    known = ("concurrency", "rate", "duplicates", "reorder", "seed", *RETRY)
    body = _only(_body(), ("orders", "topic", "envelope", "wait", *known))
    how = {name: body[name] for name in known if name in body}
    with part("state").lock:
        account = account_of(code)
        wanted = body.get("orders", list(account.orders))
        started = push_orders(account, wanted, body.get("topic", "orders"), body.get("envelope"), **how)
    finished = started.done.wait(min(float(body.get("wait", 0)), MAX_WAIT))
    return jsonify(push=started.id, deliveries=started.deliveries, finished=finished)


@control.get("/webhooks")
def list_webhooks():
    """Show the ledger: attempts, acknowledged, given_up, and how many wait."""
    since = request.args.get("since_id", 0, type=int)
    return jsonify(part("webhooks").ledger(request.args.get("account"), since))


# --- faults and calls ---------------------------------------------------------------------------


@control.get("/faults")
def list_faults():
    """List the faults that still wait to strike."""
    return jsonify(part("faults").waiting())


@control.post("/faults")
def add_fault():
    """Let the next matching calls go wrong."""
    body = dict(_only(_body(), ("account", "operation", "kind", "times", "params")))
    kind = str(body.pop("kind", ""))
    try:
        return jsonify(part("faults").add(kind, **body).describe())
    except ValueError as error:
        raise Refusal(400, "kind", str(error)) from error


@control.delete("/faults")
def remove_faults():
    """Remove all faults; calls that hang go on."""
    part("faults").clear()
    return jsonify({})


@control.get("/calls")
def list_calls():
    """List the calls that were made, oldest first."""
    wanted = {name: request.args[name] for name in ("account", "operation") if name in request.args}
    since = request.args.get("since_id", 0, type=int)
    return jsonify(part("state").find_calls(**wanted, since_id=since))
