"""What both marketplaces have in common: orders and listings of an account, and how a call is served."""

from collections import namedtuple
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from flask import Blueprint, current_app, jsonify, request

from . import faults
from .factory import Factory, retailer
from .offers import CURRENCY, Offer, look
from .state import DEFAULT_OTP, Order, Refusal, stamp

RETAILER, SUPPLIER, MARKETPLACE = "retailer", "supplier", "marketplace"

MAX_PER_PAGE = 1000

#: one row of a bulk call after it was tried: its ids as asked, and why it was refused or None
Outcome = namedtuple("Outcome", "ids refusal")


@dataclass
class Context:
    """What a view works with."""

    state: object
    accounts: list  # that the token covers; at least one
    query: dict
    headers: dict
    body: object
    partial: faults.Partial

    @property
    def options(self):
        """Give the first account's options: they rule answers that belong to no single account."""
        return self.accounts[0].options

    def number(self, name, default, most=None):
        """Read a positive whole number of the query."""
        text = self.query.get(name, str(default))
        if not (text.isdecimal() and int(text) > 0):
            raise Refusal(422, "invalid", f"{name} must be a positive whole number")
        return min(int(text), most) if most else int(text)

    def page(self, rows):
        """Cut the page that is asked for.

        :return: tuple of its rows and the next page's number or None
        """
        number = self.number("page", 1)
        size = self.number("per_page", 100, most=MAX_PER_PAGE)
        end = number * size
        return rows[end - size : end], (number + 1 if end < len(rows) else None)

    def rows(self, data):
        """Take a list of objects.

        :raise Refusal: it is something else
        """
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            raise Refusal(400, "malformed", "an array of objects expected")
        return data

    def each(self, rows, names, prepare, all_or_none=False):
        """Try the rows of a bulk call.

        :param names: fields of a row that may hold its ids
        :param prepare: row -> function that applies it; raises Refusal
        :param all_or_none: one bad row raises its Refusal and nothing is applied
        :return: list of :class:`Outcome`, what a partial fault leaves of it
        """
        named = [(row, {name: str(row[name]) for name in names if row.get(name) is not None}) for row in rows]
        if all_or_none:
            self._check_all(named, prepare)
        outcomes = []
        for row, ids in named:
            outcome = self._try(row, ids, prepare)
            if not self.partial.omitted.intersection(ids.values()) and outcome:
                outcomes.append(outcome)
        extra = [Outcome({names[0]: name}, None) for name in self.partial.extra]
        return self.partial.order(outcomes) + extra

    def _check_all(self, named, prepare):
        """Refuse the whole call for its first bad row; the refusal does not say which that is."""
        try:
            for row, ids in named:
                self._prepare(row, ids, prepare)
        except Refusal as refusal:
            raise Refusal(422, refusal.code, refusal.message) from None

    def _prepare(self, row, ids, prepare):
        if self.partial.refused.intersection(ids.values()):
            raise Refusal(422, "simulated", "Refused by the simulator")
        return prepare(row)

    def _try(self, row, ids, prepare):
        if self.partial.skipped.intersection(ids.values()):
            return None
        try:
            self._prepare(row, ids, prepare)()
        except Refusal as refusal:
            return Outcome(ids, refusal)
        return Outcome(ids, None)


class Marketplace:
    """One dialect's marketplace: tables first, then what differs. Callers hold the state's lock."""

    code = None
    #: field of an order, of a listing, that is its identity
    order_id = listing_id = None
    #: field of a listing that holds the seller's own key
    listing_key = None
    #: fields of an order its total follows from
    priced_by = ()
    status_fields = ()
    #: option -> the values it may have, the default first
    options = {}
    #: who -> status -> the statuses he may set; the marketplace itself may do anything
    may = {}
    #: statuses in which the retailer may change the content
    retailer_edits = ()
    #: status -> what the button says by which the retailer sets it
    retailer_words = {}
    #: statuses by which a retailer calls his order off
    called_off = ()
    #: where people find what they look for, see :func:`offers.look`; a listing's are also what the
    #: factory makes lines of
    listing_fields = {}
    order_fields = {}
    line_fields = {}

    def token_of(self, call):
        """Give the token a request carries, None for a request that carries it the wrong way."""
        raise NotImplementedError

    def refused(self, status, code, message):
        """Answer a refusal in the dialect's shape."""
        raise NotImplementedError

    def unauthorized(self):
        """Answer a stranger."""
        raise NotImplementedError

    def total(self, payload):
        """Give the field that follows from an order's lines."""
        raise NotImplementedError

    def modified(self, moment):
        """Give the fields that tell when an order changed."""
        return {}

    def normal_listing(self, listing):
        """Give a posted listing in the one spelling it is kept in; without an id where it has none."""
        return listing

    def is_unlimited(self, listing):
        """Tell whether any amount of a listing can be had."""
        raise NotImplementedError

    def is_published(self, listing):
        """Tell whether retailers see a listing."""
        raise NotImplementedError

    def is_marked_out(self, listing):
        """Tell whether a listing counts as sold out whatever its figure says."""
        return False

    def stock_values(self, quantity):
        """Give the values of a listing that say this much is left.

        :param Decimal quantity: not below zero
        """
        raise NotImplementedError

    # -- content ---------------------------------------------------------------------------------

    def put_listing(self, state, account, listing):
        """Create or replace a listing."""
        listing = self.normal_listing(listing)
        listing.setdefault(self.listing_id, str(90_000 + state.number()))
        listing[self.listing_id] = str(listing[self.listing_id])
        key = listing.get(self.listing_key)
        account.keep_listing(listing[self.listing_id], None if key is None else str(key), listing)
        return listing

    def put_order(self, state, account, payload, by=RETAILER):
        """Create an order, or replace what is known of it, exactly as it was given."""
        payload = dict(payload)
        otp = payload.pop("retailer_otp", None)
        payload.setdefault(self.order_id, f"SIM{state.number()}")
        moment = state.now()
        order_id = str(payload[self.order_id])
        order = account.orders.get(order_id) or Order({}, moment)
        order.otp = otp or order.otp or DEFAULT_OTP
        account.orders[order_id] = order
        self._write(order, payload, moment, by)
        order.acknowledged = False
        return order

    def change_order(self, state, account, order_id, changes, by=RETAILER):
        """Change an order as the retailer or as the marketplace itself; it returns to the feed.

        :raise Refusal: there is none, or he may not
        """
        order = find_order([account], order_id)
        changes = dict(changes)
        otp = changes.pop("retailer_otp", None)
        if by != MARKETPLACE:
            self._check_change(order, changes, by)
        order.otp = otp or order.otp
        moment = state.now()
        self._write(order, self._merged(order.payload, changes, moment), moment, by)
        order.acknowledged = False
        if order.payload.get("status") in self.called_off:
            self._give_back(account, order)
        return order

    def _check_change(self, order, changes, by):
        status = order.payload.get("status")
        wanted = changes.get("status", status)
        if wanted != status and wanted not in self.may[by].get(status, ()):
            raise Refusal(409, "illegal_transition", f"the {by} may not make {status} {wanted}")
        if set(changes) - {"status", *self.status_fields} and status not in self.retailer_edits:
            raise Refusal(409, "not_editable", f"the {by} may not edit an order that is {status}")

    def supplier_sets(self, state, order, status, **details):
        """Let the supplier set a status that was found legal."""
        moment, changes = state.now(), {"status": status} | details
        self._write(order, self._merged(order.payload, changes, moment), moment, SUPPLIER)

    def _merged(self, payload, changes, moment):
        """Change an order; what is given wins over what follows from it."""
        total = self.total(payload | changes) if set(self.priced_by) & set(changes) else {}
        return payload | total | self.modified(moment) | changes

    def _write(self, order, payload, moment, by):
        if payload.get("status") != order.payload.get("status"):
            entry = {"at": stamp(moment), "status": payload.get("status"), "by": by}
            order.history.append(entry)
        order.payload, order.changed_at, order.version = payload, moment, order.version + 1

    # -- shop ------------------------------------------------------------------------------------

    def offer(self, listing):
        """Show a listing to people."""
        seen = look(listing, self.listing_fields)
        product = {name: value for name, value in seen.items() if value is not None}
        return Offer(
            listing[self.listing_id],
            product | {"id": listing[self.listing_id], "key": seen["key"]},
            name=str(seen["name"] or seen["key"] or listing[self.listing_id]),
            price=amount_or_none(seen["price"]),
            stock=amount_or_none(seen["stock"]),
            unlimited=self.is_unlimited(listing),
            published=self.is_published(listing),
            marked_out=self.is_marked_out(listing),
        )

    def show_order(self, order):
        """Show an order to people.

        :return: dict of id, number, customer, phone, total, currency, status, lines, history, actions
        """
        seen = look(order.payload, self.order_fields)
        lines = seen["lines"] if isinstance(seen["lines"], list) else []
        status = order.payload.get("status")
        return seen | {
            "id": str(order.payload[self.order_id]),
            "status": status,
            "total": amount_or_none(seen["total"]),
            "currency": seen.get("currency") or CURRENCY,
            "lines": [look(line, self.line_fields) for line in lines],
            "history": list(order.history),
            "actions": self.retailer_actions(status),
        }

    def retailer_actions(self, status):
        """Give (status, what the button says) of what the retailer may do with an order."""
        allowed = self.may[RETAILER].get(str(status), ())
        return [(wanted, word) for wanted, word in self.retailer_words.items() if wanted in allowed]

    def place_order(self, state, account, buyer, amounts):
        """Order as a person does in the shop: it takes from the stock at once, all of it or nothing.

        :param int buyer: number of the made-up retailer
        :param amounts: listing's id -> whole number
        :raise Refusal: something of it cannot be had
        """
        if not amounts:
            raise Refusal(422, "empty", "Nothing is ordered: enter a quantity")
        offers = {known: self.offer(find_listing(account, known)) for known in amounts}
        for known, offer in offers.items():
            offer.check(amounts[known])
        if len({offer.currency for offer in offers.values()}) > 1:
            raise Refusal(409, "currency", "One order cannot have several currencies")
        basket = [(offer.product, amounts[known], offer.price) for known, offer in offers.items()]
        payload = Factory(state, account).make(basket, retailer(buyer))
        order = self.put_order(state, account, payload)
        for known, amount in amounts.items():
            self._take(account, order, known, amount)
        return order

    def _take(self, account, order, listing_id, amount):
        """Take what is ordered off the stock, as real marketplaces do before the seller says anything."""
        listing = account.listings[listing_id]
        offer = self.offer(listing)
        if offer.stock is None or offer.unlimited:
            return
        taken = min(Decimal(amount), offer.stock)
        order.taken[listing_id] = int(taken)
        listing.update(self.stock_values(offer.stock - taken))

    def _give_back(self, account, order):
        """Give back what a called off order took; an order the shop did not place took nothing.

        Only the retailer's word does this: where the seller cancels, his own figure says what is left.
        """
        for listing_id, amount in order.taken.items():
            listing = account.listings[listing_id]
            stock = self.offer(listing).stock
            if stock is not None:
                listing.update(self.stock_values(max(stock + amount, Decimal(0))))
        order.taken = {}

    # -- webhook ---------------------------------------------------------------------------------

    def status_message(self, payload):
        """Give what a status push says of an order."""
        names = (self.order_id, "status", *self.status_fields)
        return {name: payload[name] for name in names if name in payload}


class Api:
    """The addresses of one marketplace. Every call is written down and may meet a fault."""

    def __init__(self, marketplace, prefix):
        self.marketplace = marketplace
        self.blueprint = Blueprint(marketplace.code, __name__, url_prefix=prefix)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            self.route(method, "/<path:_address>", operation="unknown")(_unknown)

    def route(self, method, *rules, operation):
        """Register a view ``(context, **path) -> data or (data, status)``.

        :param operation: its name in the journal, or a function of the body that gives it
        """

        def register(view):
            def run(**path):
                return self._serve(view, operation, path)

            for rule in rules:
                self.blueprint.add_url_rule(rule, f"{method} {rule}", run, methods=[method])
            return view

        return register

    def _serve(self, view, operation, path):
        state = current_app.extensions["state"]
        body = request.get_json(silent=True)
        accounts = state.accounts_with(self.marketplace.code, self.marketplace.token_of(request))
        name = operation(body) if callable(operation) else operation
        call = state.write_call(accounts, name, request, body)

        def run(partial=None):
            context = Context(
                state, accounts, request.args, request.headers, body, partial or faults.Partial()
            )
            with state.lock:
                return self._answer(view, context, path)

        fault = current_app.extensions["faults"].take(call)
        if fault:
            call.fault = fault.kind
            answer = faults.play(fault, call, self.marketplace, run)
        else:
            answer = run()
        call.answered = answer.status_code
        return answer

    def _answer(self, view, context, path):
        """Give the view's answer as a response, made under the lock because data may be shared."""
        if not context.accounts:
            return self.marketplace.unauthorized()
        try:
            answer = view(context, **path)
        except Refusal as refusal:
            return self.marketplace.refused(refusal.status, refusal.code, refusal.message)
        data, status = answer if isinstance(answer, tuple) else (answer, 200)
        if data is None:
            return current_app.response_class(status=status)
        response = jsonify(data)
        response.status_code = status
        return response


def _unknown(_context, _address):
    """Refuse an unknown address, but in the journal: so a client that asks wrongly is found."""
    raise Refusal(404, "unknown_address", "no such address")


def find_order(accounts, order_id):
    """Find an order among accounts.

    :raise Refusal: there is none
    """
    found = (account.orders[order_id] for account in accounts if order_id in account.orders)
    order = next(found, None)
    if order is None:
        raise Refusal(404, "unknown_order", f"unknown order {order_id}")
    return order


def find_listing(account, listing_id):
    """Find a listing by its id.

    :raise Refusal: there is none
    """
    if listing_id not in account.listings:
        raise Refusal(404, "unknown_listing", f"unknown listing {listing_id}")
    return account.listings[listing_id]


def amount_or_none(value):
    """Read an amount that people are shown; what is none was posted by a test and is shown as missing."""
    try:
        return None if value is None else decimal(value)
    except Refusal:
        return None


def decimal(value):
    """Read a finite amount out of a number or a text.

    :raise Refusal: it is none
    """
    try:
        number = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise Refusal(422, "invalid", f"{value} is no number")
    return number
