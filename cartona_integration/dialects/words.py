"""The words all dialects share: order statuses, and frozen values for what goes in and out.

Money and quantities are :class:`~decimal.Decimal`, times are aware UTC
:class:`~datetime.datetime`, ids are text even when a marketplace sends numbers. Missing is
``None``, never a guess.
"""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal

from ..exceptions import PayloadError

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
OTHER = "other"  # about no order

# --- the data of an answer that is no JSON ---------------------------------------------------

UNREADABLE = object()


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
    payment_state: str | None = None  # in the marketplace's own word
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
    unlimited: bool | None = None
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

    def as_json(self):
        """Write it down as JSON keeps it, for a job that goes on with a list."""
        return asdict(self)

    @classmethod
    def from_json(cls, values):
        """Read it back: JSON knows no tuples."""
        pairs = {name: tuple(map(tuple, values[name])) for name in ("query", "headers")}
        return cls(**{**values, **pairs})


@dataclass(frozen=True)
class Answer:
    """What came back: ``data`` is parsed JSON, None for an empty body, UNREADABLE for the rest."""

    status: int
    data: object = None
    headers: dict[str, str] = field(default_factory=dict)

    def header(self, name):
        """Give a header whatever its case, or None."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())


@dataclass(frozen=True)
class Page:
    """One page of a list: its rows and the request for the next page, None at the proven end."""

    rows: tuple
    next: Request | None = None
    left_out: int = 0  # rows before these that could not be read


@dataclass(frozen=True)
class Credentials:
    """What a dialect may use to sign a request. Never printed."""

    token: str = field(repr=False)
    supplier_code: str | None = None


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
