"""Our neutral format: what any middleware can speak, with ``Order``'s own field names.

Messages are described by ``static/schema/neutral_order.schema.json``. Sent amounts are text with a
dot, times RFC 3339 in UTC. A list is ``{"<name>": [...], "next_page": <number> | null}``.
"""

from dataclasses import replace
from datetime import timezone
from decimal import Decimal
from functools import partial

from ..exceptions import PayloadError, _lt
from . import base, reading, words
from .payload import printable, wrong
from .reading import Field

ZERO = Decimal(0)

STATUSES = {status: status for status in words.STATUSES}
DELIVERED_BY = {place: place for place in (words.BY_SELLER, words.BY_MARKETPLACE)}
CHARGES = {kind: kind for kind in ("shipping", "fee", "tip", "discount", "duty")}

ENVELOPE_ORDERS = frozenset({"order.created", "order.updated", "order.cancelled"})
ALREADY = "already_in_status"  # error code: the order has the status that was sent
LINE_GONE = "unknown_line"  # error code: the order has no line of this id


def _texts(*names):
    return {name: Field(name, reading.text) for name in names}


TAX = {
    "amount": Field("amount", reading.decimal, required=True),
    "rate": Field("rate", reading.decimal),
}
# An authorized payment can still fail.
PAID = {
    "paid": True,
    "partially_refunded": True,
    "refunded": True,
    "unpaid": False,
    "authorized": False,
    "partially_paid": False,
    "void": False,
}


def _paid(value, path):
    """Read whether it is paid; a word nobody knows is no proof of a payment."""
    word = reading.text(value, path)
    return word and PAID.get(word.lower(), False)


def _line(taxes=(), **values):
    rate = taxes[0].get("rate") if len(taxes) == 1 else None
    return words.OrderLine(
        tax=sum((tax["amount"] for tax in taxes), ZERO),
        # The format's rates are fractions (0.14), ours percent.
        tax_rate=None if rate is None else rate * 100,
        **values,
    )


LINE = _texts("name", "unit", "note") | {
    "id": Field("id", reading.identifier, required=True),
    "product_id": Field("product_id", reading.identifier),
    "key": Field("sku", reading.identifier),
    "barcode": Field("barcode", reading.identifier),
    "quantity": Field("quantity", reading.quantity, required=True),
    "unit_count": Field("unit_count", reading.quantity),
    "unit_price": Field("unit_price", reading.quantity, required=True),
    "discount": Field("discount", reading.decimal, default=ZERO),
    "taxes": Field("taxes", reading.rows(TAX, dict), default=()),
}

CHARGE = {
    "kind": Field("kind", reading.one_of(CHARGES), required=True),
    "name": Field("name", reading.text),
    "amount": Field("amount", reading.decimal, required=True),
    "tax": Field("tax_amount", reading.decimal, default=ZERO),
}

CUSTOMER = _texts("name", "company", "email", "phone", "phone2", "vat", "language") | {
    "id": Field("id", reading.identifier),
}
ADDRESS = _texts("name", "company", "street", "street2", "city", "zip", "state", "phone", "note") | {
    "country": Field("country", reading.country)
}

STATUS_CHANGE = {
    "id": Field("id", reading.identifier, required=True),
    "status": Field("status", reading.one_of(STATUSES), required=True),
    "modified_at": Field("modified_at", reading.timestamp),
    "reason": Field("reason", reading.text),
}

SETTLEMENT = (
    "to_collect",
    "receivable",
    "payable",
    "credit",
    "installment",
    "top_up",
    "marketplace_discount",
)

ORDER = (
    {
        "id": STATUS_CHANGE["id"],
        "status": STATUS_CHANGE["status"],
        "modified_at": Field("modified_at", reading.timestamp, required=True),
        "currency": Field("currency", reading.currency, required=True),
        "total": Field("total", reading.quantity, required=True),
        "lines": Field("lines", reading.rows(LINE, _line), required=True),
        "charges": Field("charges", reading.rows(CHARGE, words.Charge), default=()),
        "number": Field("number", reading.identifier),
        "placed_at": Field("placed_at", reading.timestamp),
        "prices_include_tax": Field("prices_include_tax", reading.boolean),
        "paid": Field("payment_state", reading.lenient(_paid)),
        "payment_state": Field("payment_state", reading.lenient(reading.text)),
        "delivered_by": Field("delivered_by", reading.one_of(DELIVERED_BY)),
        "delivery_date": Field("delivery_date", reading.day),
        "customer": Field("customer", reading.record(CUSTOMER, words.Customer), default=words.Customer()),
        "shipping": Field("shipping", reading.record(ADDRESS, words.Address)),
        "needs_code": Field("needs_code", reading.boolean),
        "url": Field("url", reading.lenient(reading.web_address)),
    }
    | _texts("payment_method", "cancel_reason", "note")
    | {name: Field(name, reading.decimal) for name in SETTLEMENT}
)


def _unlimited(value, path):
    """Read whether a listing never sells out: its stock is not managed."""
    managed = reading.boolean(value, path)
    return None if managed is None else not managed


LISTING = {
    "product_id": Field("id", reading.lenient(reading.identifier)),
    "key": Field("sku", reading.lenient(reading.identifier)),
    "name": Field("name", reading.lenient(reading.text)),
    "barcode": Field("barcode", reading.lenient(reading.identifier)),
    "price": Field("price", reading.lenient(reading.decimal)),
    "quantity": Field("stock", reading.lenient(reading.decimal)),
    "unlimited": Field("stock_managed", reading.lenient(_unlimited)),
    "active": Field("active", reading.lenient(reading.boolean)),
    "unit": Field("unit", reading.lenient(reading.text)),
    "unit_count": Field("unit_count", reading.lenient(reading.quantity)),
}


class Rest(base.Dialect):
    """The neutral format over REST with a bearer token."""

    code = "rest"
    name = "REST (neutral format)"

    batch_size = 500

    can_read_order = True
    can_create_products = True
    signed_id_is_unique = True
    line_edits = frozenset({words.PENDING, words.CONFIRMED, words.PARTIALLY_SHIPPED, words.SHIPPED})

    # -- calls -----------------------------------------------------------------------------------

    def auth_headers(self, credentials):
        return (("Authorization", f"Bearer {credentials.token}"),)

    def test_request(self):
        return words.Request("test", "GET", "products", query=(("page", "1"), ("per_page", "1")))

    def orders_request(self, since=None):
        moment = since and since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = (("since", moment),) if moment else ()
        return words.Request("orders", "GET", "orders", query=self._first_page(*wanted))

    def read_orders(self, request, answer):
        page = _page(request, answer, "orders")
        return replace(page, rows=tuple(_message(words.ORDERS, row) for row in page.rows))

    def order_request(self, order_id):
        return words.Request("order", "GET", f"orders/{base.segment(order_id)}")

    def read_order(self, answer):
        return _message(words.ORDERS, _member(answer, "order", dict))

    def status_request(self, order_id, status, *, idempotency_key=None, **details):
        body = {name: details[name] for name in ("reason", "otp") if details.get(name)}
        headers = (("Idempotency-Key", idempotency_key),) if idempotency_key else ()
        path = f"orders/{base.segment(order_id)}/status"
        return words.Request("status", "POST", path, body={"status": status} | body, headers=headers)

    def is_repeat(self, refusal, status):
        return refusal.code == ALREADY

    def lines_request(self, order_id, changes, idempotency_key=None):
        headers = (("Idempotency-Key", idempotency_key),) if idempotency_key else ()
        body = {"lines": [_line_row(change) for change in changes]}
        path = f"orders/{base.segment(order_id)}/lines"
        return words.Request("lines", "POST", path, body=body, headers=headers)

    def read_changed_lines(self, order_id, answer):
        rows = _member(answer, "order", dict).get("lines")
        return reading.lenient(reading.rows(LINE, _line))(rows) or ()

    def is_line_gone(self, refusal):
        return refusal.code == LINE_GONE

    def products_request(self, key=None):
        wanted = (("sku", key),) if key else ()
        return words.Request("products", "GET", "products", query=self._first_page(*wanted))

    def read_products(self, request, answer):
        page = _page(request, answer, "products")
        rows = (_listing(row) for row in page.rows if isinstance(row, dict))
        return replace(page, rows=tuple(rows))

    def update_products_request(self, updates):
        body = {"items": [_item(update) for update in updates]}
        return words.Request("update_products", "POST", "products/bulk", body=body)

    def read_product_results(self, updates, answer):
        rows = [row for row in _member(answer, "results", list) if isinstance(row, dict)]
        asked = [(update.product_id, update.key) for update in updates]
        return base.results(rows, asked, (("id",), ("sku",)), _result, words.ItemResult(None))

    def create_product_request(self, update):
        body = {"product": _item(update) | ({"barcode": update.barcode} if update.barcode else {})}
        return words.Request("create_product", "POST", "products", body=body)

    def read_created_product(self, answer):
        return _listing(_member(answer, "product", dict))

    # -- messages --------------------------------------------------------------------------------

    def split(self, topic, data):
        """Cut an envelope, one object, a list, or ``{"orders": [...]}``.

        An envelope's type wins over ``topic``. A deleted order becomes a cancellation: to the
        seller they are the same. An envelope of a type we do not know is kept, and no more.
        """
        if not isinstance(data, dict):
            return _messages(topic, data)
        if "type" in data and "data" in data:
            return _opened(topic, data)
        return _messages(topic, _inner(data) if topic == words.ORDERS else data)

    def parse_order(self, payload, zone=None):
        order = words.Order(**reading.read(ORDER | (_placed_in(zone) if zone else {}), payload))
        for index, line in enumerate(order.lines):
            if not (line.product_id or line.key or line.barcode):
                raise PayloadError(
                    f"lines[{index}]", _lt("one of %s"), _lt("none"), "product_id, sku, barcode"
                )
        return order

    def parse_status(self, payload):
        return words.StatusChange(**reading.read(STATUS_CHANGE, payload))


def _placed_in(zone):
    return {"placed_at": Field("placed_at", partial(reading.timestamp, zone=zone))}


def _inner(data):
    """Give what holds the order or orders: their member, else the object itself."""
    if not isinstance(data, dict):
        raise wrong("data", _lt("an object"), data)
    return next((data[name] for name in ("orders", "order") if name in data), data)


def _opened(topic, envelope):
    """Cut an envelope; its id makes the delivery ids, the n-th message of one order gets ``:n``."""
    kind, data = reading.text(envelope["type"], "type"), envelope["data"]
    if kind == "ping":
        return ()
    if kind in ENVELOPE_ORDERS:
        found = _messages(words.ORDERS, _inner(data))
    elif kind == "order.status":
        found = _messages(words.STATUS, data)
    elif kind == "order.deleted":
        known = {"modified_at": envelope.get("timestamp"), "reason": "deleted"}
        gone = {"status": words.CANCELLED}
        rows = (row for row in base.rows(data) if isinstance(row, dict))
        found = _messages(words.STATUS, [known | row | gone for row in rows])
    else:
        found = (words.Message(words.OTHER, envelope),)
    return base.delivered(reading.lenient(reading.identifier)(envelope.get("id")), found)


def _messages(topic, data):
    return tuple(_message(topic, row) for row in base.rows(data))


def _message(topic, row):
    """Read what storing needs; anything wrong with it waits for the import to say so."""
    if not isinstance(row, dict):
        return words.Message(topic, row)
    return words.Message(
        topic,
        row,
        order_id=reading.lenient(reading.identifier)(row.get("id")),
        status=base.word(STATUSES, reading.first_text(row, ("status",))),
        modified_at=reading.lenient(reading.timestamp)(row.get("modified_at")),
        number=reading.lenient(reading.identifier)(row.get("number")),
    )


def _member(answer, name, kind):
    found = answer.data.get(name) if isinstance(answer.data, dict) else None
    if not isinstance(found, kind):
        raise wrong(name, _lt("a list") if kind is list else _lt("an object"), found)
    return found


def _page(request, answer, name):
    """Read one page; only a next_page of null proves the end, and it must advance."""
    found = _member(answer, name, list)
    number = answer.data.get("next_page", "")
    if number is None:
        return words.Page(tuple(found))
    current = int(dict(request.query)["page"])
    if not isinstance(number, int) or number <= current:
        raise wrong("next_page", _lt("a number above %s"), number, current)
    return words.Page(tuple(found), base.at_page(request, number))


def _listing(row):
    return words.Listing(**reading.read(LISTING, row))


def _item(update):
    """Write what a listing should show; the platform's id wins over the seller's key."""
    values = {
        "id": update.product_id,
        "sku": update.key,
        "name": update.name,
        "price": _sent(update.price),
        "currency": update.currency,
        "stock": _sent(update.quantity),
        "stock_managed": None if update.unlimited is None else not update.unlimited,
        "active": update.active,
    }
    return {name: value for name, value in values.items() if value is not None}


def _line_row(change):
    """Write one changed or new line; quantity 0 takes it away."""
    values = {
        "id": change.id,
        "product_id": None if change.id else change.product_id,
        "sku": None if change.id else change.key,
        "quantity": _sent(change.quantity),
        "unit_price": _sent(change.unit_price),
    }
    return {name: value for name, value in values.items() if value is not None}


def _sent(number):
    return None if number is None else format(number, "f")


def _result(row):
    """Read one row: anything but exactly true is a refusal."""
    if row.get("ok") is True:
        return words.ItemResult(True)
    reason, code = (reading.first_text(row, (name,)) for name in ("message", "code"))
    return words.ItemResult(False, reason and printable(reason), code)
