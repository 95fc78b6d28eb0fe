"""The pages for people: what a seller's customers see, and where they order and call off.

==============================  ==============================================================================
``GET /``                       the accounts, or straight to the shop of the only one
``GET /shop/<code>``            listings with live price and stock, orders with their status;
                                ``?search=`` narrows the listings by name or key
``POST /shop/<code>``           ``customer``, ``quantity:<listing's id>`` …: one order of all with a quantity;
                                ``only=<listing's id>``: of it, 1 where nothing is entered
``POST /shop/<code>/change``    ``order``, ``status``: what the retailer may do with his order
``GET /shop/<code>/data``       the page's two changing parts as HTML; the page asks for it every second and
                                takes over what differs, so that what is typed stays
==============================  ==============================================================================

A post is answered by a redirect to the page (``?placed=`` or ``?changed=`` name the order), or, when it is
refused, by the page itself with the reason and what was typed. An order takes from the stock, called off by
the retailer it gives back; it is pushed where the account has a webhook, and waits in the feed in any case.

For tests, each element's attributes carry the figures as plain text:

- ``[data-listing="<id>"]`` with ``data-listing-key``, ``data-price``, ``data-stock``, ``data-unlimited``,
  ``data-state`` (available, sold out, unpublished, unpriced); inside: ``input[name="quantity:<id>"]``,
  ``button[name="only"]``
- ``#customer``, ``#place-order``
- ``[data-order="<id>"]`` with ``data-number``, ``data-status``, ``data-total``; inside: buttons
  ``[data-action="<status>"]``, of its history ``[data-step="<status>"]`` with ``data-by``
- ``[data-field].changed`` for three seconds: a figure that just changed
- ``#message`` with ``data-kind`` (done, refused); ``#live`` with ``data-live`` (on, lost)
"""

from flask import Blueprint, make_response, redirect, render_template, request, url_for

from .factory import CAIRO, retailer
from .marketplace import find_order
from .offers import money, plain
from .parts import account_of, dialect_of, part, push_orders
from .state import Refusal, parse_moment

CUSTOMERS = 8
MAX_LISTINGS, MAX_ORDERS = 200, 50  # shown
QUANTITY = "quantity:"
DONE = {"placed": "Order {number} was placed.", "changed": "Order {number} is now {status}."}
MAX_DIGITS = 6
HEADERS = {
    "Cache-Control": "no-store",
    # the names shown come from anywhere: nothing but our own two files may act
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}

shop = Blueprint(
    "shop", __name__, template_folder="templates", static_folder="static", static_url_path="/shop-static"
)


@shop.app_template_filter()
def clock(text):
    """Write one of our times as a clock in Cairo shows it."""
    return f"{parse_moment(text).astimezone(CAIRO):%d.%m. %H:%M:%S}"


shop.app_template_filter("money")(money)
shop.app_template_filter("plain")(plain)


@shop.errorhandler(Refusal)
def _refused(refusal):
    return _page("refused.html", refusal.status, message=refusal.message)


def _page(template, status=200, **values):
    return make_response(render_template(template, **values), status, HEADERS)


@shop.get("/")
def list_shops():
    """Choose a shop; where there is one only, go there."""
    state = part("state")
    with state.lock:
        accounts = [account.describe() for account in state.accounts.values()]
    if len(accounts) == 1:
        return redirect(url_for("shop.show", code=accounts[0]["code"]))
    return _page("accounts.html", accounts=accounts)


@shop.get("/shop/<code>")
def show(code):
    """Show the shop."""
    return _shop(code, done=_what_was_done(code))


@shop.get("/shop/<code>/data")
def data(code):
    """Give what changes by itself."""
    return _page("data.html", **_content(code))


@shop.post("/shop/<code>")
def place(code):
    """Place an order."""
    state = part("state")
    try:
        with state.lock:
            account = account_of(code)
            amounts, buyer = _amounts(request.form), _buyer(request.form)
            order = dialect_of(account).place_order(state, account, buyer, amounts)
            placed = _push(account, order)
    except Refusal as refusal:
        return _shop(code, refusal)
    return _done(code, placed=placed, customer=buyer)


@shop.post("/shop/<code>/change")
def change(code):
    """Let the retailer change an order's status."""
    state = part("state")
    try:
        with state.lock:
            account = account_of(code)
            known, wanted = request.form.get("order", ""), request.form.get("status")
            order = dialect_of(account).change_order(state, account, known, {"status": wanted})
            changed = _push(account, order)
    except Refusal as refusal:
        return _shop(code, refusal)
    return _done(code, changed=changed)


def _done(code, **what):
    """Lead back to the page, with the same search."""
    return redirect(url_for("shop.show", code=code, search=request.args.get("search"), **what), 303)


def _push(account, order):
    """Push an order where the account has a webhook; it waits in the feed in any case.

    :return: the order's id
    """
    order_id = str(order.payload[dialect_of(account).order_id])
    if account.webhook:
        push_orders(account, [order_id])
    return order_id


def _amounts(form):
    """Read what is ordered.

    :return: dict of listing's id -> whole number
    :raise Refusal: a quantity is none
    """
    only = form.get("only")
    if only is not None:
        return {only: _quantity(form.get(QUANTITY + only, "")) or 1}
    typed = {name.removeprefix(QUANTITY): text for name, text in form.items() if name.startswith(QUANTITY)}
    amounts = {known: _quantity(text) for known, text in typed.items()}
    return {known: amount for known, amount in amounts.items() if amount}


def _quantity(text):
    text = text.strip()
    if text and not (text.isdecimal() and len(text) <= MAX_DIGITS):
        raise Refusal(422, "quantity", f"{text[:20]} is no quantity: whole numbers only")
    return int(text or 0)


def _buyer(form):
    number = form.get("customer", "1")
    if number not in map(str, range(1, CUSTOMERS + 1)):
        raise Refusal(422, "customer", "There is no such customer")
    return int(number)


def _shop(code, refusal=None, done=None):
    """Show the shop, after a refusal with its reason and what was typed."""
    return _page(
        "shop.html",
        status=refusal.status if refusal else 200,
        **_content(code),
        customers=[retailer(number) for number in range(1, CUSTOMERS + 1)],
        customer=request.values.get("customer", "1"),
        typed=request.form,
        refused=refusal and refusal.message,
        done=done,
    )


def _content(code):
    """Collect what the page shows of an account."""
    word = request.args.get("search", "").strip()
    with part("state").lock:
        account = account_of(code)
        dialect = dialect_of(account)
        offers = [dialect.offer(listing) for listing in account.listings.values()]
        found = [offer for offer in offers if word.casefold() in f"{offer.name} {offer.key}".casefold()]
        orders = list(account.orders.values())[: -MAX_ORDERS - 1 : -1]
        return {
            "account": account.describe(),
            "search": word,
            "offers": found[:MAX_LISTINGS],
            "offers_more": len(found) - MAX_LISTINGS,
            "orders": [dialect.show_order(order) for order in orders],
            "orders_more": len(account.orders) - MAX_ORDERS,
        }


def _what_was_done(code):
    """Tell what the post did that led here, None: nothing."""
    done = next((name for name in DONE if name in request.args), None)
    if done is None:
        return None
    with part("state").lock:
        account = account_of(code)
        order = dialect_of(account).show_order(find_order([account], request.args[done]))
    way = "It is pushed to the seller" if account.webhook else "It waits for the seller to fetch it"
    status = str(order["status"]).replace("_", " ")
    return f"{DONE[done].format(number=order['number'], status=status)} {way}."
