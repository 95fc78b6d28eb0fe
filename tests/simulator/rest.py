"""The neutral format over REST with a bearer token: amounts are text, times RFC 3339 in UTC."""

from decimal import Decimal
from functools import partial
from operator import itemgetter

from flask import jsonify

from .marketplace import RETAILER, SUPPLIER, Api, Marketplace, decimal, find_order
from .state import Refusal, parse_moment, stamp

PENDING, HELD, CONFIRMED, PARTLY, SHIPPED = "pending", "held", "confirmed", "partially_shipped", "shipped"
DELIVERED, CANCELLED, RETURNED = "delivered", "cancelled", "returned"
STATUSES = (PENDING, HELD, CONFIRMED, PARTLY, SHIPPED, DELIVERED, CANCELLED, RETURNED)

# statuses that name the envelope of an order by themselves
EVENTS = {CANCELLED: "order.cancelled"}


class Rest(Marketplace):
    """Tables of who may do what, and how the neutral format refuses."""

    code = "rest"
    order_id = "id"
    listing_id = "id"
    listing_key = "sku"
    priced_by = ("lines", "charges")
    status_fields = ("modified_at", "cancel_reason")

    options = {
        # a status the order already has
        "repeat_status": ("ok", "refuse"),
        # one bad item of a bulk update fails itself or the whole batch
        "bad_row": ("row", "batch"),
        "negative_stock": ("accept", "refuse"),
    }

    may = {
        SUPPLIER: {
            PENDING: {CONFIRMED, PARTLY, SHIPPED, DELIVERED, CANCELLED},
            CONFIRMED: {PARTLY, SHIPPED, DELIVERED, CANCELLED},
            PARTLY: {SHIPPED, DELIVERED, CANCELLED},
            SHIPPED: {DELIVERED, CANCELLED, RETURNED},
            DELIVERED: {RETURNED},
        },
        RETAILER: {
            PENDING: {HELD, CANCELLED},
            HELD: {PENDING, CANCELLED},
            CONFIRMED: {CANCELLED},
        },
    }
    supplier_edits = (PENDING, CONFIRMED, PARTLY, SHIPPED)
    retailer_edits = (PENDING, HELD)
    retailer_words = {HELD: "Hold", PENDING: "Release", CANCELLED: "Cancel"}
    called_off = (CANCELLED,)

    listing_fields = {
        "key": ("sku",),
        "name": ("name",),
        "price": ("price",),
        "stock": ("stock",),
        "currency": ("currency",),
    }
    order_fields = {
        "number": ("number", "id"),
        "customer": ("customer.name",),
        "phone": ("customer.phone",),
        "total": ("total",),
        "currency": ("currency",),
        "lines": ("lines",),
    }
    line_fields = {"name": ("name", "sku"), "amount": ("quantity",)}

    def token_of(self, call):
        scheme, _space, token = call.headers.get("Authorization", "").partition(" ")
        return token if scheme == "Bearer" else None

    def refused(self, status, code, message):
        answer = jsonify({"error": {"code": code, "message": message}})
        answer.status_code = status
        return answer

    def unauthorized(self):
        return self.refused(401, "unauthorized", "a valid bearer token is needed")

    def total(self, payload):
        total = sum(map(_amount, payload.get("lines") or []), Decimal(0))
        total += sum((decimal(charge.get("amount")) for charge in payload.get("charges") or []), Decimal(0))
        return {"total": format(total, ".2f")}

    def is_unlimited(self, listing):
        return listing.get("stock_managed") is False

    def is_published(self, listing):
        return listing.get("active") is not False

    def stock_values(self, quantity):
        return {"stock": format(quantity, "f")}

    def put_order(self, state, account, payload, **by):
        """Create or replace an order; one that says nothing of its time gets one."""
        return super().put_order(state, account, dict(payload) | self._missing_time(state, payload), **by)

    def _missing_time(self, state, payload):
        return {} if "modified_at" in payload else self.modified(state.now())

    def modified(self, moment):
        return {"modified_at": stamp(moment)}

    def envelope(self, body, topic, number, is_new):
        """Wrap an order or a status into the neutral envelope."""
        kind = "order.created" if is_new else "order.updated"
        return {
            "version": 1,
            "type": EVENTS.get(body.get("status"), kind) if topic == "orders" else "order.status",
            "id": f"evt_{number}",
            "timestamp": body.get("modified_at"),
            "data": {"order": body} if topic == "orders" else body,
        }


REST = Rest()
api = Api(REST, "/rest")


def _amount(line):
    """Give what a line adds to the order's total."""
    price = decimal(line.get("quantity")) * decimal(line.get("unit_price"))
    return price - decimal(line.get("discount") or 0)


# --- orders -------------------------------------------------------------------------------------


@api.route("GET", "/orders", operation="orders")
def list_orders(context):
    """List what changed at or after ``since``, the oldest change first."""
    since = _moment(context.query.get("since"))
    orders = (order for account in context.accounts for order in account.orders.values())
    dated = sorted(((_modified_at(order), order.payload) for order in orders), key=itemgetter(0))
    rows, following = context.page([payload for moment, payload in dated if since is None or moment >= since])
    return {"orders": rows, "next_page": following}


def _modified_at(order):
    """Read an order's own time; an order posted with nonsense in its place still has to be listed."""
    try:
        return parse_moment(str(order.payload["modified_at"]))
    except ValueError:
        return order.changed_at


def _moment(text):
    try:
        return parse_moment(text) if text else None
    except ValueError:
        raise Refusal(422, "invalid_since", "since must be an RFC 3339 time") from None


@api.route("GET", "/orders/<path:order_id>", operation="order")
def read_order(context, order_id):
    """Give one order."""
    return {"order": find_order(context.accounts, order_id).payload}


@api.route("POST", "/orders/<path:order_id>/status", operation="status")
def update_status(context, order_id):
    """Set a status."""
    return _answer_once(context, order_id, _set_status)


@api.route("POST", "/orders/<path:order_id>/lines", operation="lines")
def update_lines(context, order_id):
    """Change, add or take away lines; all of them or none."""
    return _answer_once(context, order_id, _set_lines)


def _answer_once(context, order_id, change):
    """Try a change. The same Idempotency-Key gets the same answer, whatever happened since."""
    key, answers = context.headers.get("Idempotency-Key"), context.accounts[0].answers
    asked = (order_id, context.body)
    if key not in answers:
        answer = _first_answer(context, order_id, change)
        if key:
            answers[key] = (asked, answer)
        return answer
    known, answer = answers[key]
    if known != asked:
        raise Refusal(422, "idempotency_key_reused", "this Idempotency-Key belongs to another call")
    return answer


def _first_answer(context, order_id, change):
    """Try the change; a refusal is an answer too, and is kept as one."""
    try:
        return {"order": change(context, order_id)}, 200
    except Refusal as refusal:
        return {"error": {"code": refusal.code, "message": refusal.message}}, refusal.status


def _set_status(context, order_id):
    order = find_order(context.accounts, order_id)
    body = context.body if isinstance(context.body, dict) else {}
    wanted, status = body.get("status"), order.payload.get("status")
    if wanted not in STATUSES:
        raise Refusal(422, "invalid_status", f"unknown status {wanted}")
    if wanted == status:
        if context.options["repeat_status"] == "refuse":
            raise Refusal(409, "already_in_status", f"the order is {status} already")
        return order.payload
    if wanted not in REST.may[SUPPLIER].get(status, ()):
        raise Refusal(409, "illegal_transition", f"{status} cannot become {wanted}")
    _check_delivery(order, wanted, body)
    details = {"cancel_reason": body["reason"]} if wanted == CANCELLED and body.get("reason") else {}
    REST.supplier_sets(context.state, order, wanted, **details)
    return order.payload


def _check_delivery(order, wanted, body):
    """Let the marketplace deliver its own orders, and ask for the customer's code where it is due."""
    if order.payload.get("delivered_by") == "marketplace" and wanted != CANCELLED:
        raise Refusal(409, "marketplace_delivers", "the marketplace delivers this order")
    if wanted == DELIVERED and order.payload.get("needs_code") and str(body.get("otp")) != order.otp:
        raise Refusal(422, "wrong_code", "the delivery code is missing or wrong")


def _set_lines(context, order_id):
    order = find_order(context.accounts, order_id)
    body = context.body if isinstance(context.body, dict) else {}
    status = order.payload.get("status")
    if status not in REST.supplier_edits:
        raise Refusal(409, "not_editable", f"an order that is {status} cannot be edited")
    if order.payload.get("delivered_by") == "marketplace":
        raise Refusal(409, "marketplace_delivers", "the marketplace delivers this order")
    lines = [dict(line) for line in order.payload["lines"]]
    for change in context.rows(body.get("lines")):
        _change_line(context, lines, change)
    REST.supplier_sets(context.state, order, status, lines=lines)
    return order.payload


def _change_line(context, lines, change):
    """Change or add one line in ``lines``; one that is taken away stays with quantity 0."""
    values = {name: change[name] for name in ("quantity", "unit_price") if change.get(name) is not None}
    if any(not _is_price(value) for value in values.values()):
        raise Refusal(422, "invalid", "quantity and unit_price are amounts, not below zero")
    if change.get("id") is not None:
        line = next((line for line in lines if str(line["id"]) == str(change["id"])), None)
        if line is None:
            raise Refusal(404, "unknown_line", f"unknown line {change['id']}")
        line.update(values)
        return
    product = _find_product(context.accounts[0], {"id": change.get("product_id"), "sku": change.get("sku")})
    named = {"product_id": product["id"], "sku": product.get("sku"), "name": product.get("name")}
    added = {"quantity": "1", "unit_price": product.get("price", "0")} | values
    lines.append({"id": f"L{context.state.number()}"} | named | added)


# --- products -----------------------------------------------------------------------------------


@api.route("GET", "/products", operation="products")
def list_products(context):
    """List the products, or those with one ``sku``."""
    wanted = context.query.get("sku")
    products = [product for account in context.accounts for product in account.listings.values()]
    rows, following = context.page([p for p in products if wanted is None or p.get("sku") == wanted])
    return {"products": rows, "next_page": following}


@api.route("POST", "/products", operation="create_product")
def create_product(context):
    """Create a product; ``sku`` and ``name`` are needed."""
    body = context.body.get("product") if isinstance(context.body, dict) else None
    if not isinstance(body, dict) or not all(_is_name(body.get(name)) for name in ("sku", "name")):
        raise Refusal(422, "invalid", "sku and name are needed")
    account = context.accounts[0]
    if account.listings_by_key(body["sku"]):
        raise Refusal(409, "sku_exists", f"there is a product with the sku {body['sku']}")
    values = {"active": True} | _values(context, body)
    product = REST.put_listing(context.state, account, {"sku": body["sku"]} | values)
    return {"product": product}, 201


@api.route("POST", "/products/bulk", operation="update_products")
def update_products(context):
    """Update products; a bad item fails alone or the whole batch, as the account's options say."""
    items = context.rows(context.body.get("items") if isinstance(context.body, dict) else None)
    whole = context.options["bad_row"] == "batch"
    outcomes = context.each(items, ("id", "sku"), partial(_prepare_update, context), all_or_none=whole)
    return {"results": [_result(outcome) for outcome in outcomes]}


def _prepare_update(context, item):
    """Check one update and give the function that makes it; the id wins over the sku."""
    product = _find_product(context.accounts[0], item)
    return partial(product.update, _values(context, item))


def _find_product(account, item):
    if item.get("id") is not None:
        found = [account.listings.get(str(item["id"]))]
    else:
        found = account.listings_by_key(str(item.get("sku")))
    if not any(found):
        raise Refusal(404, "unknown_product", "No such product")
    return found[0]


def _values(context, item):
    """Read the values an item sets.

    :raise Refusal: one of them cannot be
    """
    values = {name: item[name] for name in CHECKS if item.get(name) is not None}
    for name, value in values.items():
        if not CHECKS[name](value):
            raise Refusal(422, f"invalid_{name}", f"{name} cannot be {value}")
    if context.options["negative_stock"] == "refuse" and decimal(values.get("stock", "0")) < 0:
        raise Refusal(422, "invalid_stock", "stock cannot be below zero")
    return values


def _result(outcome):
    if outcome.refusal:
        return outcome.ids | {"ok": False, "code": outcome.refusal.code, "message": outcome.refusal.message}
    return outcome.ids | {"ok": True}


def _is_number(value):
    """Amounts are text."""
    try:
        return isinstance(value, str) and decimal(value) is not None
    except Refusal:
        return False


def _is_price(value):
    return _is_number(value) and decimal(value) >= 0


def _is_flag(value):
    return isinstance(value, bool)


def _is_text(value):
    return isinstance(value, str)


def _is_name(value):
    return _is_text(value) and bool(value.strip())


CHECKS = {
    "name": _is_text,
    "barcode": _is_text,
    "price": _is_price,
    "currency": _is_text,
    "stock": _is_number,
    "stock_managed": _is_flag,
    "active": _is_flag,
}
