"""Cartona's supplier API.

What its public material leaves open is a switch on the account, see ``Cartona.options``; the first
value of each is the default.
"""

from datetime import timedelta, timezone
from decimal import Decimal
from functools import partial

from flask import jsonify

from .marketplace import RETAILER, SUPPLIER, Api, Marketplace, decimal, find_order
from .state import Refusal, parse_moment

PENDING, EDITING, APPROVED = "pending", "editing", "approved"
SHIPPED, DELIVERED, RETURNED = "assigned_to_salesman", "delivered", "returned"
BY_RETAILER, BY_SUPPLIER = "cancelled_by_retailer", "cancelled_by_supplier"
SYNCED = "synced"  # not a status: it acknowledges

ACCEPTED_STATUSES = frozenset({SYNCED, PENDING, APPROVED, SHIPPED, DELIVERED, BY_SUPPLIER})
CANCEL_REASONS = frozenset({
    "out_of_stock", "cannot_deliver_the_order", "supplier_asked_me_to_cancel", "delayed_order",
    "pending_order_without_action", "removed_items", "supplier_attitude", "missing_items",
    "expired_products", "different_prices", "different_products",
})  # fmt: skip
STATUS_DETAILS = ("cancellation_reason", "estimated_delivery_day", "delivery_day")

LISTING_IDS = ("supplier_product_id", "suppler_prodcut_id", "id")
UNIT = ("base_product_id", "unit", "unit_count")
CAIRO_WINTER = timezone(timedelta(hours=2))


class Cartona(Marketplace):
    """Tables of who may do what, and how Cartona refuses."""

    code = "cartona"
    order_id = "hashed_id"
    listing_id = "supplier_product_id"
    listing_key = "internal_product_id"
    priced_by = ("order_details",)
    status_fields = ("cancellation_reason", "return_reason")

    options = {
        # how a bulk call answers: rows with ids, rows by position, one message, nothing (204)
        "answers": ("ids", "positions", "message", "empty"),
        # one bad row of a listing update fails itself or the whole batch
        "bad_row": ("row", "batch"),
        # a status the order already has
        "repeat_status": ("ok", "refuse"),
        # pull-orders' from and to: no effect, cut the feed, or list acknowledged orders again too
        "window": ("ignored", "filter", "all"),
        # whether the supplier's own changes bring an order back into the feed
        "own_changes": ("silent", "listed"),
        # created_at of made orders: with offset, Cairo's time without one, none
        "created_at": ("utc", "local", "absent"),
        "text_price": ("accept", "refuse"),
        # whether the answer to changed lines shows the order's lines
        "details_answer": ("short", "lines"),
        "listing_id": LISTING_IDS,
        "listing_id_type": ("text", "integer"),
        # HTTP status of a refused call
        "refusal_status": (422, 400, 404),
    }

    may = {
        SUPPLIER: {
            PENDING: {APPROVED, BY_SUPPLIER},
            APPROVED: {SHIPPED, BY_SUPPLIER},
            SHIPPED: {DELIVERED, BY_SUPPLIER, RETURNED},
        },
        RETAILER: {
            PENDING: {EDITING, BY_RETAILER},
            EDITING: {PENDING, BY_RETAILER},
            APPROVED: {BY_RETAILER},
        },
    }
    supplier_edits = (PENDING, APPROVED, SHIPPED)
    retailer_edits = (PENDING, EDITING)
    retailer_words = {EDITING: "Edit", PENDING: "Finish editing", BY_RETAILER: "Cancel"}
    called_off = (BY_RETAILER,)

    listing_fields = {
        "key": ("internal_product_id",),
        "name": ("supplier_product_name", "suppler_prodcut_name", "base_product_name"),
        "price": ("selling_price",),
        "stock": ("available_stock_quantity",),
        "base_product_id": ("base_product_id",),
        "unit": ("unit",),
        "unit_count": ("unit_count",),
    }
    order_fields = {
        "number": ("receipt_id", "hashed_id"),
        "customer": ("retailer.retailer_name",),
        "phone": ("retailer.retailer_number",),
        "total": ("total_price",),
        "lines": ("order_details",),
    }
    line_fields = {"name": ("product_name", "internal_product_id"), "amount": ("amount",)}

    def token_of(self, call):
        """A plain Authorization header is refused even beside the right one."""
        return None if "Authorization" in call.headers else call.headers.get("AuthorizationToken")

    def refused(self, status, code, message):
        answer = jsonify({"error": message})
        answer.status_code = status
        return answer

    def unauthorized(self):
        return self.refused(400, "credentials", "invalid credentials: send a valid AuthorizationToken")

    def total(self, payload):
        lines = payload.get("order_details") or []
        prices = (decimal(line.get("selling_price")) * decimal(line.get("amount")) for line in lines)
        total = sum(prices, Decimal(0))
        return {"total_price": float(total)}

    def normal_listing(self, listing):
        found = next((listing[name] for name in LISTING_IDS if listing.get(name) is not None), None)
        normal = {name: value for name, value in listing.items() if name not in LISTING_IDS}
        return ({} if found is None else {self.listing_id: str(found)}) | normal

    def is_unlimited(self, listing):
        return listing.get("is_unlimited_stock") is True

    def is_published(self, listing):
        return listing.get("is_published") is not False

    def is_marked_out(self, listing):
        return listing.get("in_stock") is False

    def stock_values(self, quantity):
        return {"available_stock_quantity": int(quantity), "in_stock": quantity > 0}

    def shown_listing(self, listing, options):
        """Spell a listing the way the account's options want it."""
        known = listing[self.listing_id]
        shown = int(known) if options["listing_id_type"] == "integer" and known.isdecimal() else known
        rest = {name: value for name, value in listing.items() if name != self.listing_id}
        return {options["listing_id"]: shown} | rest


CARTONA = Cartona()
api = Api(CARTONA, "/cartona/api/v1")


# --- orders -------------------------------------------------------------------------------------


@api.route("GET", "/order/pull-orders", operation="orders")
def pull_orders(context):
    """List what is new or changed and not yet acknowledged, of all accounts of the token."""
    rules = {"ignored": _is_new, "filter": _is_new_within, "all": _is_within}
    listed = rules[context.options["window"]]
    start, end = (_moment(context.query.get(name)) for name in ("from", "to"))
    orders = [order for account in context.accounts for order in account.orders.values()]
    rows, _next = context.page([order.payload for order in orders if listed(order, start, end)])
    return rows


def _is_new(order, _start, _end):
    return not order.acknowledged


def _is_new_within(order, start, end):
    return _is_new(order, start, end) and _is_inside(order, start, end)


def _is_within(order, start, end):
    """Take what lies in the window, acknowledged or not; without one only what is new."""
    return _is_inside(order, start, end) if start or end else _is_new(order, start, end)


def _is_inside(order, start, end):
    return (start is None or order.changed_at >= start) and (end is None or order.changed_at <= end)


def _moment(text):
    try:
        return parse_moment(text) if text else None
    except ValueError:
        raise Refusal(422, "invalid", "from and to must be times") from None


def _status_operation(body):
    """Name the array call in the journal: an acknowledgement, unless it sets a status."""
    rows = body if isinstance(body, list) else [body]
    sent = [row.get("status") for row in rows if isinstance(row, dict)]
    return "acknowledge" if sent and set(sent) == {SYNCED} else "status"


@api.route("POST", "/order/update-order-status", operation=_status_operation)
def update_statuses(context):
    """Set statuses; a bad row fails alone, the call never does."""
    outcomes = context.each(context.rows(context.body), ("hashed_id",), partial(_prepare_status, context))
    return _bulk_answer(context, outcomes)


@api.route("POST", "/order/update-order-status/<path:hashed_id>", operation=_status_operation)
def update_status(context, hashed_id):
    """Set one status, or fail."""
    if not isinstance(context.body, dict):
        raise Refusal(400, "malformed", "an object expected")
    try:
        _prepare_status(context, context.body | {"hashed_id": hashed_id})()
    except Refusal as refusal:
        status = context.options["refusal_status"]
        raise Refusal(status, refusal.code, refusal.message) from None
    return {"hashed_id": hashed_id, "status": find_order(context.accounts, hashed_id).payload.get("status")}


def _prepare_status(context, row):
    """Check one status change and give the function that makes it."""
    order = find_order(context.accounts, str(row.get("hashed_id")))
    wanted = row.get("status")
    if wanted not in ACCEPTED_STATUSES:
        raise Refusal(422, "invalid", f"invalid status {wanted}")
    if wanted == SYNCED:
        return partial(setattr, order, "acknowledged", True)
    status = order.payload.get("status")
    if wanted == status:
        return _repeat(context, status)
    _check_status(order, status, wanted, row)
    details = {name: row[name] for name in STATUS_DETAILS if row.get(name)}

    def apply():
        CARTONA.supplier_sets(context.state, order, wanted, **details)
        _list_again(context, order)

    return apply


def _repeat(context, status):
    if context.options["repeat_status"] == "refuse":
        raise Refusal(422, "repeated", f"order is already in status {status}")
    return lambda: None


def _check_status(order, status, wanted, row):
    payload = order.payload
    if wanted not in CARTONA.may[SUPPLIER].get(status, ()):
        raise Refusal(422, "illegal", f"cannot change status from {status} to {wanted}")
    if payload.get("delivered_by") == "delivered_by_cartona" and wanted != BY_SUPPLIER:
        raise Refusal(422, "illegal", "Cartona delivers this order")
    if row.get("cancellation_reason") and row["cancellation_reason"] not in CANCEL_REASONS:
        raise Refusal(422, "invalid", "invalid cancellation_reason")
    has_otp = any(decimal(payload.get(name) or 0) > 0 for name in ("installment_cost", "wallet_top_up"))
    if wanted == DELIVERED and has_otp and str(row.get("retailer_otp")) != order.otp:
        raise Refusal(422, "otp", "retailer_otp is missing or wrong")


def _list_again(context, order):
    if context.options["own_changes"] == "listed":
        order.acknowledged = False


@api.route("POST", "/order/update-order-details", operation="order_details")
def update_details(context):
    """Change, add or cancel lines of orders; a bad order fails alone."""
    outcomes = context.each(context.rows(context.body), ("hashed_id",), partial(_prepare_details, context))
    answer = _bulk_answer(context, outcomes)
    if context.options["details_answer"] == "lines" and isinstance(answer, list):
        return [_with_lines(context, *pair) for pair in zip(answer, outcomes, strict=True)]
    return answer


def _with_lines(context, row, outcome):
    if outcome.refusal:
        return row
    order = find_order(context.accounts, outcome.ids["hashed_id"])
    return row | {"order_details": order.payload.get("order_details")}


def _prepare_details(context, row):
    order = find_order(context.accounts, str(row.get("hashed_id")))
    payload = order.payload
    if payload.get("status") not in CARTONA.supplier_edits:
        raise Refusal(422, "illegal", f"an order that is {payload.get('status')} cannot be edited")
    if payload.get("delivered_by") == "delivered_by_cartona":
        raise Refusal(422, "illegal", "Cartona delivers this order")
    lines = {str(line["id"]): dict(line) for line in payload.get("order_details") or []}
    for change in context.rows(row.get("order_details")):
        _change_line(context, lines, change)

    def apply():
        CARTONA.supplier_sets(context.state, order, payload["status"], order_details=list(lines.values()))
        _list_again(context, order)

    return apply


def _change_line(context, lines, change):
    """Change, cancel or add one line in ``lines`` (id -> line)."""
    known = None if change.get("id") is None else str(change["id"])
    if known is not None and known not in lines:
        raise Refusal(422, "unknown_line", f"unknown line {known}")
    if change.get("cancelled"):
        if known is None:
            raise Refusal(422, "unknown_line", "a line without id cannot be cancelled")
        del lines[known]
        return
    values = _line_values(change)
    if known is None:
        listing = find_listing(context.accounts, change)
        named = {name: listing.get(name) for name in (*UNIT, "supplier_product_id", "internal_product_id")}
        number = 30_000_000 + context.state.number()
        known = str(number)
        lines[known] = {"id": number, **named, "product_name": listing.get("supplier_product_name")}
        values = {"amount": 1, "selling_price": listing.get("selling_price", 0)} | values
    lines[known] |= values


def _line_values(change):
    """Read a line's new values; ``price`` here is ``selling_price`` in an order."""
    names = {"amount": "amount", "price": "selling_price", "comment": "comment"}
    values = {kept: change[name] for name, kept in names.items() if change.get(name) is not None}
    for name, least in (("amount", "above zero"), ("selling_price", "not below zero")):
        if name in values and not _is_good(values[name], above_zero=name == "amount"):
            raise Refusal(422, "invalid", f"{name} must be a number {least}")
    return values


def _is_good(value, above_zero):
    try:
        number = decimal(value)
    except Refusal:
        return False
    return number > 0 if above_zero else number >= 0


def _bulk_answer(context, outcomes):
    """Answer a bulk call in the way the account's options want it."""
    style = context.options["answers"]
    if style == "empty":
        return None, 204
    if style == "message":
        return {"message": f"{len(outcomes)} rows received"}
    return [_row(outcome, named=style == "ids") for outcome in outcomes]


def _row(outcome, named):
    said = {"success": outcome.refusal is None}
    if outcome.refusal:
        said["error"] = outcome.refusal.message
    return (outcome.ids if named else {}) | said


# --- listings -----------------------------------------------------------------------------------


@api.route("GET", "/supplier-product", operation="products")
def list_products(context):
    """List the listings, filtered by ids; a bare array, no total."""
    names = ("supplier_product_id", "internal_product_id")
    wanted = {name: context.query[name] for name in names if context.query.get(name)}
    found = [
        CARTONA.shown_listing(listing, account.options)
        for account in context.accounts
        for listing in account.listings.values()
        if all(str(listing.get(name)) == value for name, value in wanted.items())
    ]
    rows, _next = context.page(found)
    return rows


def find_listing(accounts, row):
    """Find the one listing a row addresses.

    :raise Refusal: none, or several
    """
    found = [listing for account in _selected(accounts, row) for listing in _addressed(account, row)]
    if len(found) != 1:
        problem = "unknown product" if not found else "several products match"
        raise Refusal(422, "unknown_product", problem)
    return found[0]


def _selected(accounts, row):
    """Give the accounts a row is for: those its ``supplier_code`` names, without one all of the token."""
    code = row.get("supplier_code")
    return [account for account in accounts if code is None or str(code) == account.supplier_code]


def _addressed(account, row):
    """Find by the first address the row has: the listing's id wins, then the seller's key, then the unit."""
    row = CARTONA.normal_listing(row)
    if row.get("supplier_product_id") is not None:
        listing = account.listings.get(row["supplier_product_id"])
        return [listing] if listing else []
    if row.get("internal_product_id") is not None:
        return account.listings_by_key(str(row["internal_product_id"]))
    if any(row.get(name) is None for name in UNIT):
        return []
    wanted = [str(row[name]) for name in UNIT]
    return [
        listing
        for listing in account.listings.values()
        if [str(listing.get(name)) for name in UNIT] == wanted
    ]


@api.route("POST", "/supplier-product/bulk-update", operation="update_products")
@api.route(
    "POST", "/supplier-product/base-product/bulk-update", "/base-product/bulk-update",
    operation="update_base_products",
)  # fmt: skip
def update_products(context):
    """Update listings."""
    return _update_rows(context, _prepare_update)


def _update_rows(context, prepare):
    names = (*LISTING_IDS, "internal_product_id", "base_product_id")
    whole = context.options["bad_row"] == "batch"
    outcomes = context.each(context.rows(context.body), names, partial(prepare, context), all_or_none=whole)
    return _bulk_answer(context, outcomes)


def _prepare_update(context, row):
    """Check one listing update and give the function that makes it."""
    listing = find_listing(context.accounts, row)
    for name, is_good in CHECKS.items():
        if row.get(name) is not None and not is_good(row[name]):
            raise Refusal(422, "invalid", f"invalid {name}")
    if isinstance(row.get("selling_price"), str) and context.options["text_price"] == "refuse":
        raise Refusal(422, "invalid", "selling_price must be a number")
    values = {name: row[name] for name in CHECKS if row.get(name) is not None}
    if "available_stock_quantity" in values:
        values = {"in_stock": values["available_stock_quantity"] > 0} | values
    return partial(listing.update, values)


def _is_price(value):
    return _is_good(value, above_zero=False)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_flag(value):
    return isinstance(value, bool)


def _is_text(value):
    return isinstance(value, str)


CHECKS = {
    "selling_price": _is_price,
    "available_stock_quantity": _is_count,
    "is_unlimited_stock": _is_flag,
    "in_stock": _is_flag,
    "is_published": _is_flag,
    "min_order": _is_count,
    "max_order": _is_count,
    "remind_me_at_stock": _is_count,
    "notes": _is_text,
}


# --- base products ------------------------------------------------------------------------------


@api.route(
    "GET", "/supplier-product/base-products", "/supplier-product/base-product",
    operation="base_products",
)  # fmt: skip
def list_base_products(context):
    """List the base products behind the token's listings."""
    found = {}
    for account in context.accounts:
        for listing in account.listings.values():
            if listing.get("base_product_id") is not None:
                _add_unit(found, listing)
    word, known = context.query.get("search_token", ""), context.query.get("base_product_id")
    rows, _next = context.page(
        [
            product
            for product in found.values()
            if word in (product["base_product_name"] or "") and known in (None, product["base_product_id"])
        ]
    )
    return rows


def _add_unit(found, listing):
    known = str(listing["base_product_id"])
    product = found.setdefault(
        known,
        {"base_product_id": known, "base_product_name": listing.get("base_product_name"), "units": []},
    )
    product["units"].append({name: listing.get(name) for name in UNIT[1:]})


@api.route(
    "POST", "/supplier-product/base-product/bulk-update-stock", "/base-product/bulk-update-stock",
    operation="update_base_stock",
)  # fmt: skip
def update_base_stock(context):
    """Take one figure per base product in its smallest unit; every listing gets its share."""
    return _update_rows(context, _prepare_base_stock)


def _prepare_base_stock(context, row):
    known, quantity = str(row.get("base_product_id")), row.get("available_stock_quantity")
    listings = [
        listing
        for account in _selected(context.accounts, row)
        for listing in account.listings.values()
        if str(listing.get("base_product_id")) == known
    ]
    if not listings:
        raise Refusal(422, "unknown_product", "unknown base product")
    if not _is_count(quantity):
        raise Refusal(422, "invalid", "invalid available_stock_quantity")

    def apply():
        for listing in listings:
            share = quantity // int(listing.get("unit_count") or 1)
            listing.update(available_stock_quantity=share, in_stock=share > 0)

    return apply
