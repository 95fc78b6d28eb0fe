"""What the marketplace knows: accounts with their listings and orders, and every call made to it.

Everything is in memory; ``keeping.py`` can keep it in a file. Whoever reads or changes it holds
``State.lock``.
"""

import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone

MAX_CALLS = 100_000  # kept in the journal; the oldest go first
DEFAULT_OTP = "123456"
ACCOUNT_SETTINGS = ("code", "dialect", "token", "supplier_code", "options", "webhook")
SECRET_HEADERS = frozenset({"authorization", "authorizationtoken", "cookie", "proxy-authorization"})


class Refusal(Exception):
    """A call, or one row of it, that the marketplace does not take."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status  # HTTP
        self.code = code
        self.message = message


@dataclass
class Order:
    """One order: what is sent of it, and what only the marketplace knows."""

    payload: dict
    changed_at: datetime  # aware UTC
    otp: str = DEFAULT_OTP  # the retailer's; he tells it to the driver
    acknowledged: bool = False
    version: int = 0  # counts every change, also of a status
    history: list = field(default_factory=list)  # of {at, status, by}
    taken: dict = field(default_factory=dict)  # listing's id -> what the shop took off its stock for it

    def describe(self):
        return {
            "order": self.payload,
            "version": self.version,
            "acknowledged": self.acknowledged,
            "changed_at": stamp(self.changed_at),
            "retailer_otp": self.otp,
            "history": self.history,
            "taken": self.taken,
        }

    @classmethod
    def restore(cls, kept):
        """Make the order that was described."""
        return cls(
            kept["order"],
            parse_moment(kept["changed_at"]),
            kept["retailer_otp"],
            **{name: kept[name] for name in ("acknowledged", "version", "history", "taken")},
        )


@dataclass
class Account:
    """One seller on one of the marketplaces. ``webhook`` says where its pushes go, None: nowhere."""

    code: str
    dialect: str
    token: str
    supplier_code: str | None = None
    options: dict = field(default_factory=dict)
    webhook: dict | None = None
    listings: dict = field(default_factory=dict)  # id -> listing
    keys: dict = field(default_factory=dict)  # listing's id -> the seller's key
    ids_by_key: dict = field(default_factory=dict)  # and back, to sets
    orders: dict = field(default_factory=dict)  # id -> Order
    answers: dict = field(default_factory=dict)  # Idempotency-Key -> (what was asked, data, status)

    def keep_listing(self, listing_id, key, listing):
        """Keep a listing; the seller's key finds it without a search, as it does for 10,000 of them."""
        self.ids_by_key.get(self.keys.get(listing_id), set()).discard(listing_id)
        self.ids_by_key.setdefault(key, set()).add(listing_id)
        self.keys[listing_id], self.listings[listing_id] = key, listing

    def listings_by_key(self, key):
        return [self.listings[listing_id] for listing_id in sorted(self.ids_by_key.get(key, ()))]

    def take_over(self, account):
        """Take over what belongs to the seller and not to his settings."""
        self.listings, self.keys, self.ids_by_key = account.listings, account.keys, account.ids_by_key
        self.orders, self.answers = account.orders, account.answers

    def describe(self):
        """Describe the account without its secrets."""
        return {
            "code": self.code,
            "dialect": self.dialect,
            "supplier_code": self.supplier_code,
            "options": self.options,
            "webhook": self.webhook and self.webhook | {"token": "***"},
            "listings": len(self.listings),
            "orders": len(self.orders),
        }

    def dump(self):
        """Give everything as JSON can hold it, secrets too."""
        return {name: getattr(self, name) for name in ACCOUNT_SETTINGS} | {
            "listings": [[known, self.keys[known], listing] for known, listing in self.listings.items()],
            "orders": [[known, order.describe()] for known, order in self.orders.items()],
            "answers": self.answers,
        }

    @classmethod
    def restore(cls, kept):
        """Make the account that was dumped."""
        account = cls(**{name: kept[name] for name in ACCOUNT_SETTINGS})
        for listing in kept["listings"]:
            account.keep_listing(*listing)
        account.orders = {known: Order.restore(order) for known, order in kept["orders"]}
        account.answers = {
            key: (tuple(asked), tuple(answer)) for key, (asked, answer) in kept["answers"].items()
        }
        return account


@dataclass
class Call:
    """One call in the journal. ``answered`` is None while it runs and when nothing was answered."""

    id: int
    at: str
    accounts: list  # codes; more than one where a token covers several, none for a stranger
    operation: str
    method: str
    path: str
    query: dict
    headers: dict
    body: object
    answered: int | None = None
    fault: str | None = None

    def describe(self):
        return {"account": next(iter(self.accounts), None)} | asdict(self)


class State:
    """All accounts and the journal."""

    def __init__(self):
        self.lock = threading.RLock()
        self._last_number = 0
        self._last_moment = datetime.now(timezone.utc)
        self.reset()

    def reset(self):
        """Forget everything, except that numbers and times go on growing."""
        with self.lock:
            self.accounts = {}
            self.calls = deque(maxlen=MAX_CALLS)

    def number(self):
        """Give the next number; none comes twice in the life of the process."""
        with self.lock:
            self._last_number += 1
            return self._last_number

    def dump(self):
        """Give all but the journal as JSON can hold it, secrets too."""
        with self.lock:
            accounts = [account.dump() for account in self.accounts.values()]
            return {"number": self._last_number, "now": stamp(self._last_moment), "accounts": accounts}

    def restore(self, kept):
        """Become what was dumped; numbers and times go on growing from there."""
        with self.lock:
            self.accounts = {account["code"]: Account.restore(account) for account in kept["accounts"]}
            self._last_number = max(self._last_number, kept["number"])
            self._last_moment = max(self._last_moment, parse_moment(kept["now"]))

    def now(self):
        """Give the time, aware UTC; strictly growing, so that two changes never look simultaneous."""
        with self.lock:
            moment = max(datetime.now(timezone.utc), self._last_moment + timedelta(microseconds=1))
            self._last_moment = moment
            return moment

    def accounts_with(self, dialect, token):
        """Find the accounts a token covers."""
        with self.lock:
            return [
                account
                for account in self.accounts.values()
                if token and account.dialect == dialect and account.token == token
            ]

    def write_call(self, accounts, operation, request, body):
        """Enter a call into the journal."""
        call = Call(
            id=self.number(),
            at=stamp(datetime.now(timezone.utc)),
            accounts=[account.code for account in accounts],
            operation=operation,
            method=request.method,
            path=request.path,
            query=request.args.to_dict(),
            headers={name: mask(name, value) for name, value in request.headers.items()},
            body=body,
        )
        with self.lock:
            self.calls.append(call)
        return call

    def find_calls(self, account=None, operation=None, since_id=0):
        """Describe the calls after ``since_id``, oldest first."""
        with self.lock:
            return [
                call.describe()
                for call in self.calls
                if call.id > since_id
                and (account is None or account in call.accounts)
                and (operation is None or operation == call.operation)
            ]


def mask(name, value):
    """Hide a header's secret but leave its scheme ("Bearer ***")."""
    if name.lower() not in SECRET_HEADERS:
        return value
    scheme, space, _secret = value.partition(" ")
    return f"{scheme} ***" if space else "***"


def stamp(moment):
    """Write an aware time as RFC 3339 in UTC, to the microsecond."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"


def parse_moment(text):
    """Read an RFC 3339 time; one without offset is taken for UTC.

    :raise ValueError: it is none
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
