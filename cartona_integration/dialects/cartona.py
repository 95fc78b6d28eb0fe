"""Cartona's supplier-integrations API, version 1, as its public integration material tells it.

"(?)" marks what that material leaves open: either answer is survived.
"""

import re
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from functools import partial

from ..exceptions import Refused, _lt
from . import base, reading, words
from .payload import printable, wrong
from .reading import Field

ZERO = Decimal(0)
ZONE = "Africa/Cairo"

STATUS_IN = {
    "pending": words.PENDING,
    "editing": words.HELD,
    "approved": words.CONFIRMED,
    "assigned_to_salesman": words.SHIPPED,
    "delivered": words.DELIVERED,
    "cancelled_by_retailer": words.CANCELLED,
    "cancelled_by_supplier": words.CANCELLED,
    "returned": words.RETURNED,
}

# "returned" is not among the words update-order-status takes
STATUS_OUT = {
    words.PENDING: "pending",
    words.CONFIRMED: "approved",
    words.SHIPPED: "assigned_to_salesman",
    words.DELIVERED: "delivered",
    words.CANCELLED: "cancelled_by_supplier",
}

DELIVERED_BY = {
    "delivered_by_supplier": words.BY_SELLER,
    "delivered_by_cartona": words.BY_MARKETPLACE,
}

CANCEL_REASONS = frozenset({
    "out_of_stock", "cannot_deliver_the_order", "supplier_asked_me_to_cancel", "delayed_order",
    "pending_order_without_action", "removed_items", "supplier_attitude", "missing_items",
    "expired_products", "different_prices", "different_products",
})  # fmt: skip


def _moment(value, path, zone):
    """Read a time: one without offset (?) can only be Cairo's, "UTC" behind it (?) is an offset."""
    if isinstance(value, str):
        value = value.strip().replace(" UTC", "Z")
    return reading.timestamp(value, path, zone=zone)


LINE = {
    "id": Field("id", reading.identifier, required=True),
    "product_id": Field("supplier_product_id", reading.identifier),
    "key": Field("internal_product_id", reading.identifier),
    "name": Field("product_name", reading.text),
    "quantity": Field("amount", reading.quantity, required=True),
    # of one unit, every discount already taken off
    "unit_price": Field("selling_price", reading.quantity, required=True),
    "unit": Field("unit", reading.text),
    "unit_count": Field("unit_count", reading.quantity),
    "note": Field("comment", reading.text),
}

CUSTOMER = {
    "id": Field("retailer_code", reading.identifier),
    "name": Field("retailer_name", reading.text),
    "email": Field("retailer_email", reading.text),
    "phone": Field("retailer_number", reading.text),
    "phone2": Field("retailer_number2", reading.text),
}
CUSTOMER_MAKER = partial(words.Customer, space=words.PLATFORM)

ADDRESS = {
    "name": Field("retailer_name", reading.text),
    "street": Field("retailer_address", reading.text),
    "phone": Field("retailer_number", reading.text),
    "note": Field("address_notes", reading.text),
}

STATUS_CHANGE = {
    "id": Field("hashed_id", reading.identifier, required=True),
    "status": Field("status", reading.one_of(STATUS_IN), required=True),
}

ORDER = STATUS_CHANGE | {
    "total": Field("total_price", reading.quantity, required=True),
    "lines": Field("order_details", reading.rows(LINE, words.OrderLine), required=True),
    "number": Field("receipt_id", reading.identifier),
    "account_code": Field("supplier_code", reading.identifier),
    # How these look is open (?): no order waits because of them.
    "placed_at": Field("created_at", partial(_moment, zone=ZONE), is_informative=True),
    "delivery_date": Field(
        ("delivery_day", "estimated_delivery_day", "retailer_preferred_delivery_date"),
        reading.day,
        is_informative=True,
    ),
    "delivered_by": Field("delivered_by", reading.one_of(DELIVERED_BY), is_informative=True),
    "delivery_otp": Field("pickup_otp", reading.text),
    "cancel_reason": Field(("cancellation_reason", "return_reason"), reading.text),
    "note": Field("note_message", reading.text),
    "customer": Field("retailer", reading.record(CUSTOMER, CUSTOMER_MAKER), default=CUSTOMER_MAKER()),
    "shipping": Field("retailer", reading.record(ADDRESS, words.Address)),
}

# amounts of the whole order in EGP, except the line's, which is per unit
MONEY = {
    "credit": Field("cartona_credit", reading.decimal, default=ZERO),
    "installment": Field("installment_cost", reading.decimal, default=ZERO),
    "top_up": Field("wallet_top_up", reading.decimal, default=ZERO),
}
CARTONA_DISCOUNT = {
    "amount": Field("amount", reading.quantity, required=True),
    "discount": Field("applied_cartona_discount", reading.decimal, default=ZERO),
}

# Listings are spelled in several ways, in one answer too.
LISTING_ID = ("supplier_product_id", "suppler_prodcut_id", "id")
LISTING = {
    "product_id": Field(LISTING_ID, reading.lenient(reading.identifier)),
    "key": Field("internal_product_id", reading.lenient(reading.identifier)),
    "name": Field(
        ("supplier_product_name", "suppler_prodcut_name", "base_product_name"),
        reading.lenient(reading.text),
    ),
    "price": Field("selling_price", reading.lenient(reading.decimal)),
    "quantity": Field("available_stock_quantity", reading.lenient(reading.decimal)),
    "unlimited": Field("is_unlimited_stock", reading.lenient(reading.boolean)),
    "active": Field("is_published", reading.lenient(reading.boolean)),
    "unit": Field("unit", reading.lenient(reading.text)),
    "unit_count": Field("unit_count", reading.lenient(reading.quantity)),
}

# How a row of an answer may say no (?)
REFUSAL_WORDS = frozenset({"error", "failed", "failure", "invalid", "rejected"})
TAKEN_WORDS = frozenset({"", "done", "ok", "success", "true", "updated"})
# Lists an answer may be wrapped into.
FAILED_LISTS = ("failed", "errors")
RESULT_LISTS = ("results", "data")
REFUSAL_TEXTS = ("error", "errors", "error_message")
CREDENTIALS_WORDS = ("invalid credentials", "authorization")


class Cartona(base.Dialect):
    """Cartona: a feed drained by acknowledging, statuses in its own words, amounts in EGP."""

    code = "cartona"
    name = "Cartona"
    default_base_url = "https://supplier-integrations.cartona.com/api/v1/"
    default_currency = "EGP"

    feed_has_cursor = False
    can_acknowledge = True
    token_covers_accounts = True
    # "synced" names an order, not a state of it: an edit between our reading and it leaves the feed unseen.
    # That is seconds, and only orders nobody approved yet can be edited; but nothing else would ever tell of
    # it. Whether "from" makes the feed show acknowledged orders is open (?): where it does, the edit is
    # found; where it is ignored or only narrows the feed, one call is wasted per acknowledging run and no
    # order is missed: this is a reading of its own, not the one that is acknowledged.
    reread_after_acknowledging = timedelta(hours=1)
    cancel_reasons = CANCEL_REASONS
    line_edits = frozenset({words.PENDING, words.CONFIRMED, words.SHIPPED})

    # -- calls -----------------------------------------------------------------------------------

    def auth_headers(self, credentials):
        return (("AuthorizationToken", credentials.token),)

    def test_request(self):
        return words.Request("test", "GET", "supplier-product", query=(("page", "1"), ("per_page", "1")))

    def orders_request(self, since=None):
        moment = since and since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = (("from", moment),) if moment else ()
        return words.Request("orders", "GET", "order/pull-orders", query=self._first_page(*wanted))

    def read_orders(self, request, answer):
        page = self._page(request, answer)
        return replace(page, rows=tuple(self._message(words.ORDERS, row) for row in page.rows))

    def sends(self, status, delivered_by=None):
        """Of an order Cartona delivers only a cancellation is taken; the rest Cartona drives."""
        if delivered_by == words.BY_MARKETPLACE:
            return status == words.CANCELLED
        return status in STATUS_OUT

    def status_request(self, order_id, status, *, reason=None, otp=None, **details):
        if status not in STATUS_OUT:
            raise Refused(f"Cartona takes no status {status}", code="status")
        body = {"hashed_id": order_id, "status": STATUS_OUT[status]}
        if otp:
            body["retailer_otp"] = otp
        if status == words.CANCELLED and reason in CANCEL_REASONS:
            body["cancellation_reason"] = reason
        path = f"order/update-order-status/{base.segment(order_id)}"
        return words.Request("status", "POST", path, body=body)

    def is_repeat(self, refusal, status):
        """How a repeat is answered is open (?): "already (in status) approved" is taken for one."""
        if status not in STATUS_OUT:  # it was never sent
            return False
        word = STATUS_OUT[status].partition("_by_")[0].replace("_", ".")
        known = rf"already\W+(\w+\W+){{0,2}}(this status|same status|{word})"
        return bool(re.search(known, str(refusal).lower()))

    def lines_request(self, order_id, changes, idempotency_key=None):
        body = [{"hashed_id": order_id, "order_details": [_line_row(change) for change in changes]}]
        return words.Request("order_details", "POST", "order/update-order-details", body=body)

    def read_changed_lines(self, order_id, answer):
        """The array call does not fail when its row does; whether it shows the new lines is open (?)."""
        [result] = _results([(order_id,)], answer.data, (("hashed_id",),), silent=words.ItemResult(True))
        if not result.ok:
            raise Refused(result.reason or "the change was refused", code=result.code)
        rows = answer.data if isinstance(answer.data, list) else [answer.data]
        told = next((row["order_details"] for row in rows if _tells_lines(row)), ())
        return reading.lenient(reading.rows(LINE, words.OrderLine))(told) or ()

    def is_line_gone(self, refusal):
        """How a line that is not there is refused is open (?)."""
        return bool(
            re.search(
                r"(unknown|no such|already cancell?ed) line|line .{0,40}not found", str(refusal).lower()
            )
        )

    def acknowledge_request(self, order_ids):
        body = [{"hashed_id": order_id, "status": "synced"} for order_id in order_ids]
        return words.Request("acknowledge", "POST", "order/update-order-status", body=body)

    def read_acknowledged(self, order_ids, answer):
        asked = [(order_id,) for order_id in order_ids]
        return _results(asked, answer.data, (("hashed_id",),), silent=words.ItemResult(True))

    def products_request(self, key=None):
        wanted = (("internal_product_id", key),) if key else ()
        return words.Request("products", "GET", "supplier-product", query=self._first_page(*wanted))

    def read_products(self, request, answer):
        page = self._page(request, answer)
        listings = (reading.read(LISTING, row) for row in page.rows if isinstance(row, dict))
        return replace(page, rows=tuple(words.Listing(**listing) for listing in listings))

    def update_products_request(self, updates):
        body = [_update_row(update) for update in updates]
        return words.Request("update_products", "POST", "supplier-product/bulk-update", body=body)

    def read_product_results(self, updates, answer):
        asked = [(update.product_id, update.key) for update in updates]
        names = (LISTING_ID, ("internal_product_id",))
        return _results(asked, answer.data, names, silent=words.ItemResult(None))

    def _page(self, request, answer):
        """Cut a bare array; no total is told, so a short page is the end."""
        if not isinstance(answer.data, list):
            raise wrong("body", _lt("a list"), answer.data)
        query = dict(request.query)
        if len(answer.data) < int(query["per_page"]):
            return words.Page(tuple(answer.data))
        return words.Page(tuple(answer.data), base.at_page(request, int(query["page"]) + 1))

    # -- answers ---------------------------------------------------------------------------------

    def _refuses_credentials(self, answer):
        """Cartona answers bad credentials, and the wrong header, with 400."""
        if answer.status == 400 and answer.data is not words.UNREADABLE:
            said = str(answer.data).lower()
            return any(phrase in said for phrase in CREDENTIALS_WORDS)
        return super()._refuses_credentials(answer)

    # -- messages --------------------------------------------------------------------------------

    def split(self, topic, data):
        if topic == words.ORDERS and isinstance(data, dict) and "orders" in data:
            data = data["orders"]
        return tuple(self._message(topic, row) for row in base.rows(data))

    def _message(self, topic, row):
        if not isinstance(row, dict):
            return words.Message(topic, row)
        identifier = reading.lenient(reading.identifier)
        return words.Message(
            topic,
            row,
            order_id=identifier(row.get("hashed_id")),
            status=base.word(STATUS_IN, reading.first_text(row, ("status",))),
            number=identifier(row.get("receipt_id")),
            account_code=identifier(row.get("supplier_code")),
        )

    def parse_order(self, payload, zone=None):
        unread = []
        order = reading.read(ORDER | (_placed_in(zone) if zone else {}), payload, unread=unread)
        return words.Order(
            **order,
            **_settlement(order["total"], payload),
            currency=self.default_currency,
            unread=tuple(unread),
        )

    def parse_status(self, payload):
        found = reading.read(STATUS_CHANGE | {"reason": ORDER["cancel_reason"]}, payload)
        return words.StatusChange(**found)


def _placed_in(zone):
    return {"placed_at": replace(ORDER["placed_at"], convert=partial(_moment, zone=zone))}


def _settlement(total, payload):
    """Work out who gets what of an order's total, by the contract's section Money."""
    money = reading.read(MONEY, payload)
    lines = reading.rows(CARTONA_DISCOUNT, dict)(payload["order_details"], "order_details")
    granted = sum((line["amount"] * line["discount"] for line in lines), ZERO)
    credit, installment, top_up = money["credit"], money["installment"], money["top_up"]
    return money | {
        "marketplace_discount": granted,
        "needs_code": installment > 0 or top_up > 0,
        "to_collect": total - credit - installment + top_up,
        "receivable": credit + installment + granted,
        "payable": top_up,
    }


def _tells_lines(row):
    return isinstance(row, dict) and isinstance(row.get("order_details"), list)


def _line_row(change):
    """Write one changed, new or removed line; ``price`` here is ``selling_price`` in an order."""
    if change.id and change.quantity == 0:
        return {"id": _line_id(change.id), "cancelled": True}
    values = {
        "id": change.id and _line_id(change.id),
        "supplier_product_id": None if change.id else change.product_id,
        "internal_product_id": None if change.id or change.product_id else change.key,
        "amount": change.quantity,
        "price": change.unit_price,
    }
    return {name: value for name, value in values.items() if value is not None}


def _line_id(line_id):
    """Ids of lines are whole numbers over there."""
    return int(line_id) if line_id.isascii() and line_id.isdigit() else line_id


def _update_row(update):
    """Write one listing update; the platform's id wins over the seller's key."""
    values = {
        "supplier_product_id": update.product_id,
        "internal_product_id": None if update.product_id else update.key,
        "supplier_code": update.account_code,
        "selling_price": update.price,
        "available_stock_quantity": _stock(update.quantity),
        "is_unlimited_stock": update.unlimited,
        "is_published": update.active,
    }
    return {name: value for name, value in values.items() if value is not None}


def _stock(quantity):
    """Round down to whole listed units; Cartona takes a figure below zero for an error."""
    return None if quantity is None else max(0, int(quantity))


def _results(asked, data, names, silent):
    """Read an answer per item: rows with ids, else a list as long as asked, else one answer for all.

    A list that can be attributed to nobody says nothing of anybody; an empty answer refuses nothing.
    """
    if isinstance(data, dict):
        if failed := next((data[name] for name in FAILED_LISTS if _is_filled_list(data.get(name))), None):
            rows = [row if isinstance(row, dict) else {"error": row} for row in failed]
            rows = [{**row, "success": False} for row in rows]
            if _are_named(rows, names):
                return base.results(rows, asked, names, _result, words.ItemResult(True))
            return (_result(rows[0]),) * len(asked)
        data = next((data[name] for name in RESULT_LISTS if isinstance(data.get(name), list)), data)
    if not isinstance(data, list) or not data:
        return (_result(data),) * len(asked)
    if _are_named(data, names):
        return base.results([row for row in data if isinstance(row, dict)], asked, names, _result, silent)
    if len(data) == len(asked):
        return tuple(_result(row) for row in data)
    return (silent,) * len(asked)


def _is_filled_list(value):
    return isinstance(value, list) and bool(value)


def _are_named(rows, names):
    named = [row for row in rows if isinstance(row, dict)]
    return any(row.get(name) for row in named for kind in names for name in kind)


def _result(row):
    """Read one row; what is not a refusal in one of the known spellings was taken, a word has to be known."""
    if isinstance(row, str):
        word = row.strip().lower()
        taken = False if word in REFUSAL_WORDS else True if word in TAKEN_WORDS else None
        return words.ItemResult(taken, None if taken else printable(row))
    if not isinstance(row, dict):
        return words.ItemResult(row is not False)
    reason = reading.first_text(row, REFUSAL_TEXTS)
    status = (reading.first_text(row, ("status",)) or "").lower()
    refused = reason or row.get("success") is False or status in REFUSAL_WORDS
    if not refused:
        return words.ItemResult(True)
    reason = reason or reading.first_text(row, ("message",))
    return words.ItemResult(False, reason and printable(reason), reading.first_text(row, ("code",)))
