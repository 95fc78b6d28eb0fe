"""What a dialect must answer, and the tools dialects share."""

from dataclasses import replace
from urllib.parse import quote

from ..exceptions import CredentialsRefused, Refused, TooManyCalls, Unavailable, _lt
from . import reading
from .payload import printable, wrong
from .words import (
    BY_MARKETPLACE,
    CANCELLED,
    CONFIRMED,
    FORWARD,
    GONE,
    HELD,
    IMPOSSIBLE,
    OVER,
    REACHED,
    SEND,
    STATUSES,
    UNREADABLE,
    WAIT,
)

TOO_MANY_CALLS = 429


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
    unavailable_statuses = frozenset({408, 425, TOO_MANY_CALLS})

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
        :raise PayloadError: the answer has not the promised shape
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

        What it delivers itself it knows best.

        :param str delivered_by: BY_SELLER, BY_MARKETPLACE or None for unknown
        """
        return delivered_by != BY_MARKETPLACE or status == CANCELLED

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

    def in_smaller_pages(self, request):
        """Give the request for the first part of a list's page; what follows comes in such parts, too.

        :return: Request; None where a page cannot be made smaller
        """
        query = dict(request.query)
        size, number = int(query.get("per_page", 1)), int(query.get("page", 1))
        # Parts of equal size: the pages before this one fill whole ones of theirs.
        parts = next((parts for parts in range(2, size + 1) if size % parts == 0), None)
        if parts is None:
            return None
        query["per_page"] = str(size // parts)
        return at_page(replace(request, query=tuple(query.items())), (number - 1) * parts + 1)

    def behind(self, request):
        """Give the request for the page behind one that cannot be read nor made smaller."""
        return at_page(request, int(dict(request.query).get("page", 1)) + 1)

    # -- answers ------------------------------------------------------------------------------

    def judge(self, answer):
        """Return quietly when the answer can be read, else raise what it means.

        :raise CredentialsRefused: our credentials are not accepted
        :raise Refused: the call will not succeed by repeating it
        :raise Unavailable: it may succeed later; TooManyCalls: no call of the account will before
        """
        if self._refuses_credentials(answer):
            raise CredentialsRefused(self._reason(answer), code=str(answer.status))
        if 300 <= answer.status < 400:
            raise Unavailable(f"HTTP {answer.status}: a redirect, not followed")
        if answer.status >= 500 or answer.status in self.unavailable_statuses:
            pause = reading.retry_after(answer.header("Retry-After"))
            problem = TooManyCalls if answer.status == TOO_MANY_CALLS else Unavailable
            raise problem(f"HTTP {answer.status}", retry_after=pause)
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
        return printable(f"{status}: {found}" if found else status)

    def _error_code(self, answer):
        code = reading.first_text(answer.data, ("error.code", "code"))
        return printable(code or answer.status, 64)

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
        What contradicts it cannot be older: to drop it would hide that the two sides do not agree.

        :param datetime known_at: modification time of what we know, or None
        :param datetime at: the message's modification time, or None
        """
        if known_at and at and known_at != at:
            return at > known_at
        is_ahead = status == known_status or status in self.transitions.get(known_status, STATUSES)
        return is_ahead or self.contradicts(known_status, status)

    def is_reversible(self, known_status, status):
        """Tell whether a status says nothing of which came first: the same one, or one to go back from."""
        is_behind = status == known_status or known_status in self.transitions.get(status, STATUSES)
        return is_behind or self.contradicts(known_status, status)

    def contradicts(self, known_status, status):
        """Tell whether no way leads from either status to the other, as from delivered and cancelled."""
        is_apart = status not in self.transitions.get(known_status, STATUSES)
        is_apart = is_apart and known_status not in self.transitions.get(status, STATUSES)
        return is_apart and known_status != status and not {known_status, status} <= set(GONE)


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
        raise wrong("body", _lt("an object or a list"), data)
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
    return status and (words.get(status) or printable(status, 64))


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
        known = _named(row, names, sought)
        # Of two rows about one listing a refusal counts: taken for good, it would never be sent again.
        if known and (known not in said or said[known].ok is not False):
            said[known] = judge(row)
    return tuple(next((said[known] for known in enumerate(ids) if known in said), silent) for ids in asked)


def _named(row, names, sought):
    """Tell which (kind, id) a row speaks of: its surest only, as several listings may have one key.

    The fields of a kind are spellings of one id: where one is filled, a later one is something else's.
    """
    for kind, fields in enumerate(names):
        ids = (reading.lenient(reading.identifier)(row.get(name)) for name in fields)
        known = next(filter(None, ids), None)
        if known and (kind, known) in sought:
            return kind, known
    return None
