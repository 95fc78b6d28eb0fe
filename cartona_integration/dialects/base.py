"""The words all dialects share: value classes, order statuses, and what a dialect must answer.

Money and quantities are :class:`~decimal.Decimal`, times are aware UTC
:class:`~datetime.datetime`, ids are text even when a marketplace sends numbers. Missing is
``None``, never a guess.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import quote

from ..exceptions import CredentialsRefused, PayloadError, Refused, Unavailable
from . import payload as reading

# --- order statuses, the same for every marketplace ------------------------------------------

PENDING = "pending"
HELD = "held"  # somebody is still working on it over there: wait
CONFIRMED = "confirmed"
PARTIALLY_SHIPPED = "partially_shipped"
SHIPPED = "shipped"
DELIVERED = "delivered"
CANCELLED = "cancelled"
RETURNED = "returned"

STATUSES = (PENDING, HELD, CONFIRMED, PARTIALLY_SHIPPED, SHIPPED, DELIVERED, CANCELLED, RETURNED)

# A message can be missed, so a status may be skipped; a step back must be listed by the dialect.
FORWARD = {
    PENDING: {HELD, CONFIRMED, PARTIALLY_SHIPPED, SHIPPED, DELIVERED, CANCELLED, RETURNED},
    HELD: {PENDING, CONFIRMED, PARTIALLY_SHIPPED, SHIPPED, DELIVERED, CANCELLED, RETURNED},
    CONFIRMED: {PARTIALLY_SHIPPED, SHIPPED, DELIVERED, CANCELLED, RETURNED},
    PARTIALLY_SHIPPED: {SHIPPED, DELIVERED, CANCELLED, RETURNED},
    SHIPPED: {DELIVERED, CANCELLED, RETURNED},
    DELIVERED: {RETURNED},
    CANCELLED: set(),
    RETURNED: set(),
}

GONE = (CANCELLED, RETURNED)

# --- what telling the marketplace a status would come to, see Dialect.outlook -----------------

SEND = "send"
WAIT = "wait"  # somebody is working on the order over there
REACHED = "reached"  # it shows the status already, or a later one
OVER = "over"  # the order is cancelled or returned over there
IMPOSSIBLE = "impossible"  # no way leads from what it shows to the status

# --- who delivers, and whose numbering a customer id belongs to ------------------------------

BY_SELLER = "seller"
BY_MARKETPLACE = "marketplace"

PLATFORM = "platform"
ACCOUNT = "account"

# --- what messages are about -----------------------------------------------------------------

ORDERS = "orders"
STATUS = "status"


@dataclass(frozen=True)
class Customer:
    """Who ordered. ``space``: is ``id`` unique on the whole PLATFORM or per ACCOUNT only."""

    id: str | None = None
    space: str = ACCOUNT
    name: str | None = None
    company: str | None = None
    email: str | None = None
    phone: str | None = None
    phone2: str | None = None
    vat: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Address:
    """A place. ``country`` is an ISO 3166-1 alpha-2 code, ``state`` a name as it was written."""

    name: str | None = None
    company: str | None = None
    street: str | None = None
    street2: str | None = None
    city: str | None = None
    zip: str | None = None
    state: str | None = None
    country: str | None = None
    phone: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class OrderLine:
    """One line. Its identity is ``id``, not its product: an offer gives several lines of one.

    ``key`` is the seller's own key, ``product_id`` the platform's id of the listing. ``unit_price``
    is before ``discount``; ``discount`` is an amount for the whole line; ``tax`` is what the
    marketplace says lies in (or on top of) the line.
    """

    id: str
    quantity: Decimal
    unit_price: Decimal
    key: str | None = None
    product_id: str | None = None
    barcode: str | None = None
    name: str | None = None
    discount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    tax_rate: Decimal | None = None  # percent, where the message tells exactly one
    unit: str | None = None
    unit_count: Decimal | None = None
    note: str | None = None

    @property
    def amount(self):
        """What the line costs, discount taken off, in the order's currency and tax convention."""
        return self.quantity * self.unit_price - self.discount


@dataclass(frozen=True)
class Charge:
    """An amount beside the lines: shipping, fee, tip, duty, or a discount (then negative)."""

    kind: str
    amount: Decimal
    name: str | None = None
    tax: Decimal = Decimal(0)


@dataclass(frozen=True)
class Order:
    """A whole order as one marketplace message tells it, in the words of this file."""

    id: str
    status: str
    total: Decimal
    lines: tuple[OrderLine, ...]
    number: str | None = None
    account_code: str | None = None
    currency: str | None = None
    prices_include_tax: bool | None = None
    placed_at: datetime | None = None
    modified_at: datetime | None = None
    delivery_date: date | None = None
    delivered_by: str | None = None
    payment_method: str | None = None
    paid: bool | None = None
    delivery_otp: str | None = None
    cancel_reason: str | None = None
    note: str | None = None
    customer: Customer = field(default_factory=Customer)
    shipping: Address | None = None
    charges: tuple[Charge, ...] = ()
    to_collect: Decimal | None = None  # from the customer at the door
    receivable: Decimal | None = None  # what the marketplace owes the seller for this order
    payable: Decimal | None = None  # what the seller owes the marketplace for this order
    unread: tuple[PayloadError, ...] = ()  # what is missing above because it could not be read
    # what these three are made of
    credit: Decimal | None = None  # paid by the marketplace for the customer
    installment: Decimal | None = None  # the customer pays it to the marketplace later
    top_up: Decimal | None = None  # the customer's wallet is filled at the door
    marketplace_discount: Decimal | None = None  # discounts the marketplace pays for
    needs_code: bool | None = None  # "delivered" is taken only with the customer's code
    url: str | None = None  # the order's page for people


@dataclass(frozen=True)
class LineChange:
    """What one line of an order should be from now on; ``ref`` is how the caller finds it again.

    With an ``id`` a line the marketplace knows, else a new one of the product ``key`` or ``product_id``
    names. Absolute values, ``None`` leaves a figure alone; ``quantity`` 0 takes the line away.
    """

    ref: int
    id: str | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    key: str | None = None
    product_id: str | None = None

    def is_shown_by(self, line):
        """Tell whether a line of the marketplace has these figures; of a new one also the product."""
        if self.id:
            return self.id == line.id and self._has_figures(line)
        names = {name for name in (self.product_id, self.key) if name}
        return bool(names & {line.product_id, line.key}) and self._has_figures(line)

    def _has_figures(self, line):
        return self.quantity in (None, line.quantity) and self.unit_price in (None, line.unit_price)


@dataclass(frozen=True)
class StatusChange:
    """An order's new status without the order."""

    id: str
    status: str
    modified_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Message:
    """One element of what a marketplace sent, before anything is made of it.

    Only what is needed to store it is read here; everything else waits for the import job.
    ``order_id`` is None for an element nobody can attribute: it is kept for a person.
    """

    topic: str
    payload: object
    order_id: str | None = None
    status: str | None = None
    modified_at: datetime | None = None
    delivery_id: str | None = None
    number: str | None = None  # the one people see
    account_code: str | None = None  # see Order.account_code
    dialect: str | None = None  # code of the one it is in, where that is not the account's


@dataclass(frozen=True)
class ProductUpdate:
    """What a listing should show. Absolute values; ``None`` leaves a figure alone.

    ``price`` is per listed unit in ``currency``, ``quantity`` in listed units.
    """

    key: str | None = None
    product_id: str | None = None
    name: str | None = None
    barcode: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    quantity: Decimal | None = None
    unlimited: bool | None = None
    active: bool | None = None
    account_code: str | None = None  # Order.account_code, where one token covers several accounts


@dataclass(frozen=True)
class Listing:
    """A product as the marketplace shows it now."""

    product_id: str | None
    key: str | None = None
    name: str | None = None
    barcode: str | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    active: bool | None = None
    unit: str | None = None
    unit_count: Decimal | None = None


@dataclass(frozen=True)
class ItemResult:
    """The marketplace's answer for one item of a bulk call; ``ok`` None: it said nothing."""

    ok: bool | None
    reason: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Request:
    """One HTTP call a dialect wants made; the door knows how.

    ``operation`` names the kind of call (for logs, pacing and the simulator), ``path`` is relative
    to the account's base address, ``body`` is sent as JSON unless it is None.
    """

    operation: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came back: ``data`` is parsed JSON, None for an empty body, UNREADABLE for the rest."""

    status: int
    data: object = None
    headers: dict[str, str] = field(default_factory=dict)

    def header(self, name):
        """Give a header whatever its case, or None."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())


UNREADABLE = object()


@dataclass(frozen=True)
class Page:
    """One page of a list: its rows and the request for the next page, None at the proven end."""

    rows: tuple
    next: Request | None = None


@dataclass(frozen=True)
class Credentials:
    """What a dialect may use to sign a request. Never printed."""

    token: str = field(repr=False)
    supplier_code: str | None = None


class Dialect:
    """How one platform spells requests and payloads. Stateless; no network, no database, no Odoo.

    A subclass is tables first, then the few methods that differ. What is not offered stays switched
    off by its capability flag: buttons and crons follow the flags.
    """

    code = None
    name = None
    default_base_url = None
    default_currency = None

    page_size = 100
    batch_size = 100
    #: what an account may do until its people say otherwise; where a marketplace names a limit, below it
    calls_per_second = 10

    #: ISO cursor over the modification time (True), or a feed drained by acknowledging (False)
    feed_has_cursor = True
    can_acknowledge = False
    #: timedelta: after acknowledging, the list from so long ago is read once more; None: there is no need
    reread_after_acknowledging = None
    can_read_order = False
    can_create_products = False
    #: one token may serve several accounts, whose messages and updates then name them by a code
    token_covers_accounts = False
    #: the platform's own signature of its pushes, see ``signature.HmacBody``; None: as the account says
    webhook_signature = None
    #: the signed id of a push names it for ever; False: some senders use it again for something else
    signed_id_is_unique = False
    #: words a cancellation may give as its reason; empty: any text
    cancel_reasons = frozenset()
    #: statuses in which the seller may change an order's lines; empty: never
    line_edits = frozenset()

    #: legal steps between statuses, see FORWARD
    transitions = FORWARD
    #: HTTP statuses of a refusal of our credentials
    credentials_statuses = frozenset({401, 403})
    #: HTTP statuses (beside 3xx and 5xx) after which the same call may be made again
    unavailable_statuses = frozenset({408, 425, 429})

    # -- calls --------------------------------------------------------------------------------

    def auth_headers(self, credentials):
        """Give the headers that prove who we are.

        :param Credentials credentials: the account's secrets
        :return: tuple of (name, value)
        """
        raise NotImplementedError

    def test_request(self):
        """Give a harmless call that succeeds only with working credentials."""
        raise NotImplementedError

    def orders_request(self, since=None):
        """Give the call for the first page of new or changed orders.

        :param datetime since: aware UTC; ignored by a feed without a cursor
        """
        raise NotImplementedError

    def read_orders(self, request, answer):
        """Read one page of the feed.

        :return: Page of :class:`Message`
        :raise Unavailable: the answer has not the promised shape
        """
        raise NotImplementedError

    def order_request(self, order_id):
        """Give the call for one order (``can_read_order``)."""
        raise NotImplementedError

    def read_order(self, answer):
        """Read the answer to :meth:`order_request`.

        :return: Message
        """
        raise NotImplementedError

    def sends(self, status, delivered_by=None):
        """Tell whether the marketplace takes this status from the seller at all.

        :param str delivered_by: BY_SELLER, BY_MARKETPLACE or None for unknown
        """
        return True

    def outlook(self, known, status):
        """Tell what telling a status would come to.

        :param str known: the status the marketplace shows, or None
        :param str status: the one we want it to show
        :return: SEND, WAIT, REACHED, OVER or IMPOSSIBLE
        """
        if known == status or (known in GONE and status == CANCELLED):
            return REACHED
        if known == HELD:
            return WAIT
        if known in GONE:
            return OVER
        if status in self.transitions.get(known, STATUSES):
            return SEND
        return REACHED if known in self.transitions[status] else IMPOSSIBLE

    def shown(self, reported, sent):
        """Give the status the marketplace shows: what it reported, or what it took from us since.

        :param str reported: the last status it told us, or a false value
        :param str sent: the last status it took from us, or a false value
        """
        return sent if sent and self.outlook(reported or None, sent) == SEND else reported

    def status_request(self, order_id, status, **details):
        """Give the call that tells the marketplace an order's new status.

        :param str status: one of STATUSES
        :param details: what the platform wants beside it: ``reason``, ``otp``, ``idempotency_key``
        :raise Refused: the marketplace has no such status or id
        """
        raise NotImplementedError

    def is_repeat(self, refusal, status):
        """Tell whether a refusal only says that the order has this status already.

        :param Refused refusal: what the answer to :meth:`status_request` raised
        :param str status: one of STATUSES, what was sent
        """
        return False

    def takes_lines(self, known, delivered_by=None):
        """Tell whether the seller may change the lines of an order that shows this status."""
        return known in self.line_edits and self.sends(CONFIRMED, delivered_by)

    def lines_request(self, order_id, changes, idempotency_key=None):
        """Give the call that changes lines of an order (``line_edits``).

        :param changes: tuple of :class:`LineChange`
        """
        raise NotImplementedError

    def read_changed_lines(self, order_id, answer):
        """Read the answer to :meth:`lines_request`.

        :return: tuple of OrderLine, the order's lines from now on; empty where the answer does not tell
        :raise Refused: the marketplace took none of the changes
        """
        raise NotImplementedError

    def is_line_gone(self, refusal):
        """Tell whether a refusal only says that a line is not there any more."""
        return False

    def acknowledge_request(self, order_ids):
        """Give the call that tells these orders are safely here (``can_acknowledge``)."""
        raise NotImplementedError

    def read_acknowledged(self, order_ids, answer):
        """Read which acknowledgements were taken.

        :return: tuple of ItemResult, one per id in the order asked
        """
        raise NotImplementedError

    def products_request(self, key=None):
        """Give the call for the first page of listings, or of those with the seller's ``key``."""
        raise NotImplementedError

    def read_products(self, request, answer):
        """Read one page of listings.

        :return: Page of :class:`Listing`
        """
        raise NotImplementedError

    def update_products_request(self, updates):
        """Give the bulk call for at most ``batch_size`` :class:`ProductUpdate`."""
        raise NotImplementedError

    def read_product_results(self, updates, answer):
        """Read the per-item answer of :meth:`update_products_request`.

        :return: tuple of ItemResult, one per update in the order asked
        """
        raise NotImplementedError

    def create_product_request(self, update):
        """Give the call that creates a listing (``can_create_products``)."""
        raise NotImplementedError

    def read_created_product(self, answer):
        """Read the new listing.

        :return: Listing
        """
        raise NotImplementedError

    def _first_page(self, *wanted):
        """Give the query of a list's first page, for platforms that count pages from 1."""
        return (("page", "1"), ("per_page", str(self.page_size)), *wanted)

    # -- answers ------------------------------------------------------------------------------

    def judge(self, answer):
        """Return quietly when the answer can be read, else raise what it means.

        :raise CredentialsRefused: our credentials are not accepted
        :raise Refused: the call will not succeed by repeating it
        :raise Unavailable: it may succeed later
        """
        if self._refuses_credentials(answer):
            raise CredentialsRefused(self._reason(answer), code=str(answer.status))
        if 300 <= answer.status < 400:
            raise Unavailable(f"HTTP {answer.status}: a redirect, not followed")
        if answer.status >= 500 or answer.status in self.unavailable_statuses:
            pause = reading.retry_after(answer.header("Retry-After"))
            raise Unavailable(f"HTTP {answer.status}", retry_after=pause)
        if answer.status >= 400 or self._refuses_inside(answer):
            raise Refused(self._reason(answer), code=self._error_code(answer))
        if answer.data is UNREADABLE:
            raise Unavailable(f"HTTP {answer.status}: the answer is not JSON")

    def _refuses_credentials(self, answer):
        return answer.status in self.credentials_statuses

    def _refuses_inside(self, answer):
        """Tell whether a 2xx carries a refusal: an object with an ``error`` in it."""
        return isinstance(answer.data, dict) and bool(answer.data.get("error"))

    def _reason(self, answer):
        """Give the marketplace's own words for a refusal, cut and printable."""
        found = reading.first_text(answer.data, ("error.message", "error", "message", "errors"))
        status = f"HTTP {answer.status}"
        return reading.printable(f"{status}: {found}" if found else status)

    def _error_code(self, answer):
        code = reading.first_text(answer.data, ("error.code", "code"))
        return reading.printable(code or answer.status, 64)

    # -- messages -----------------------------------------------------------------------------

    def split(self, topic, data):
        """Cut what was posted or read into messages, one per order or status.

        :param str topic: ORDERS or STATUS
        :param data: parsed JSON
        :return: tuple of Message
        :raise PayloadError: not even the outer shape is right
        """
        raise NotImplementedError

    def parse_order(self, payload, zone=None):
        """Make an :class:`Order` of one stored message.

        :param str zone: time zone of a time of placing without offset; None: the platform's own
        :raise PayloadError: a field is missing or of the wrong kind
        """
        raise NotImplementedError

    def parse_status(self, payload):
        """Make a :class:`StatusChange` of one stored message.

        :raise PayloadError: a field is missing or of the wrong kind
        """
        raise NotImplementedError

    def is_newer(self, known_status, known_at, status, at):
        """Tell whether a message supersedes what we know of its order.

        The marketplace's modification time decides where both have one and they differ; else the transition
        table; the same status again is taken as a newer content. After a status we do not know any counts.

        :param datetime known_at: modification time of what we know, or None
        :param datetime at: the message's modification time, or None
        """
        if known_at and at and known_at != at:
            return at > known_at
        return status == known_status or status in self.transitions.get(known_status, STATUSES)

    def is_reversible(self, known_status, status):
        """Tell whether a status says nothing of which came first: the same one, or one to go back from."""
        return status == known_status or known_status in self.transitions.get(status, STATUSES)


# --- what dialects share --------------------------------------------------------------------


def segment(value):
    """Encode an id as one segment of a path, so that it cannot change the address.

    :raise Refused: dot segments vanish on the way, encoded or not
    """
    if value in ("", ".", ".."):
        raise Refused("the id cannot stand in an address", code="id")
    return quote(value, safe="")


def at_page(request, number):
    """Give the same request for page ``number`` of its ``page`` parameter."""
    query = {**dict(request.query), "page": str(number)}
    return replace(request, query=tuple(query.items()))


def rows(data):
    """Give the elements of a posted body: one object alone, or a list.

    A list's element that is no object is a row nobody can attribute; it must not stop the others.

    :raise PayloadError: it is neither
    """
    if not isinstance(data, (dict, list)):
        raise reading.wrong("body", "an object or a list", data)
    return data if isinstance(data, list) else [data]


def delivered(delivery_id, messages):
    """Name the messages of one delivery after it; the n-th message of one order gets ``:n``."""
    if not delivery_id:
        return messages
    named, seen = [], {}
    for message in messages:
        seen[message.order_id] = count = seen.get(message.order_id, 0) + 1
        name = f"{delivery_id}:{message.order_id or ''}" + (f":{count}" if count > 1 else "")
        named.append(replace(message, delivery_id=name))
    return tuple(named)


def word(words, status):
    """Give our word for a marketplace's status; one without stays as it is, cut for storing."""
    return status and (words.get(status) or reading.printable(status, 64))


def still_to_tell(changes, lines):
    """Give the changes that an order's lines do not show yet; a line that is not there is taken away."""
    there = {line.id: line for line in lines}
    gone = {change for change in changes if change.id and change.quantity == 0 and change.id not in there}
    known = {change.id for change in changes if change.id}
    return tuple(
        change
        for change in changes
        if change not in gone
        and not any(change.is_shown_by(line) for line in lines if change.id or line.id not in known)
    )


def new_line_ids(changes, lines, known):
    """Give {ref: line id} of the new lines among an order's lines.

    :param known: ids of lines that were there before
    """
    free = [line for line in lines if line.id not in known]
    found = {}
    for change in changes:
        line = None if change.id else next((line for line in free if change.is_shown_by(line)), None)
        if line:
            free.remove(line)
            found[change.ref] = line.id
    return found


def results(rows, asked, names, judge, silent):
    """Match the rows of a bulk answer to what was asked, by the ids they carry.

    :param asked: per item its ids, the surest first, None for one it has not
    :param names: per kind of id the fields of a row that may carry it
    :param judge: row -> ItemResult
    :param ItemResult silent: for an item no row speaks of
    :return: tuple of ItemResult, one per item
    """
    sought = {known for ids in asked for known in enumerate(ids)}
    said = {}
    for row in rows:
        # By its surest id only: several listings may have one key.
        for kind, fields in enumerate(names):
            ids = (reading.lenient(reading.identifier)(row.get(name)) for name in fields)
            found = {(kind, known) for known in ids if known} & sought
            said.update(dict.fromkeys(found, judge(row)))
            if found:
                break
    return tuple(next((said[known] for known in enumerate(ids) if known in said), silent) for ids in asked)
