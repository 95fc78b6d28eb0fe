import logging
import time
from dataclasses import replace
from functools import partial

from odoo import _, api, fields, models

from ..connections import TROUBLE, transport_of
from ..dialects import payload
from ..dialects.words import ORDERS, UNREADABLE, Answer, Message
from ..exceptions import AnswerTooLarge, ForbiddenTarget, PayloadError, Unavailable

_logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 3.05  # seconds; a little over a TCP retransmission
# Bytes. A hundred orders of some hundred lines each are one page.
MAX_ANSWER = 20 * 1024 * 1024
# More rows one after the other that are larger, or nested deeper, are the marketplace's trouble, not a row's.
LEFT_OUT_AT_ONCE = 3
CHUNK = 64 * 1024
MAX_PAGES = 1000
MIN_TOKEN_TO_REDACT = 8  # characters; a shorter one would cut ordinary words
USER_AGENT = "cartona_integration (Odoo)"  # what a marketplace's support finds our calls by
WORTH_KEEPING = ("Retry-After", "X-Request-Id")
# What is left out of a product update that is about stock.
ONLY_STOCK = dict.fromkeys(("name", "barcode", "price", "currency", "active"))


class MarketplaceApi(models.AbstractModel):
    """The only door to the network: what can be asked of a marketplace, whatever its dialect."""

    _name = "marketplace.api"
    _description = "Marketplace API"

    @api.model
    def _test(self, account):
        """Make a harmless call.

        :raise MarketplaceError: it did not work
        """
        self._call(account, account._dialect().test_request())

    @api.model
    def _read_orders(self, account, since=None):
        """Yield the pages of new or changed orders.

        :param datetime since: aware UTC; a feed drained by acknowledging ignores it
        :return: iterator of Page of :class:`~..dialects.words.Message`
        :raise MarketplaceError: a page could not be read; the pages before it are good
        """
        request = account._dialect().orders_request(since)
        return self._pages(request, partial(self._read_orders_page, account))

    @api.model
    def _read_orders_page(self, account, request):
        """Read one page of the list of orders.

        :param Request request: of the first page, or what the page before it named
        :return: Page of :class:`~..dialects.words.Message`
        """
        page = self._read_page(account, request, account._dialect().read_orders)
        rows = tuple(map(_storable, page.rows))
        if page.left_out:
            # Kept in its place, once a day: the inbox tells a person.
            rows = (Message(ORDERS, f"order too large, left out {fields.Date.today()}"), *rows)
        return replace(page, rows=rows)

    @api.model
    def _read_order(self, account, order_id):
        """Read one order (dialects with ``can_read_order``).

        :return: :class:`~..dialects.words.Message`
        """
        dialect = account._dialect()
        answer = self._call(account, dialect.order_request(order_id))
        return _storable(self._interpret(account, dialect.read_order, answer))

    @api.model
    def _update_order_status(self, account, order_id, status, **details):
        """Tell an order's new status.

        :param str status: one of :data:`~..dialects.words.STATUSES`
        """
        self._call(account, account._dialect().status_request(order_id, status, **details))

    @api.model
    def _update_order_lines(self, account, order_id, changes, idempotency_key=None):
        """Change lines of an order (dialects with ``line_edits``).

        :param changes: tuple of :class:`~..dialects.words.LineChange`
        :return: tuple of :class:`~..dialects.words.OrderLine`, all the order's lines; empty: not told
        """
        dialect = account._dialect()
        answer = self._call(account, dialect.lines_request(order_id, changes, idempotency_key))
        return self._interpret(account, dialect.read_changed_lines, order_id, answer)

    @api.model
    def _acknowledge_orders(self, account, order_ids):
        """Tell that orders are safely here.

        :return: tuple of :class:`~..dialects.words.ItemResult`, one per id
        """
        dialect = account._dialect()
        answer = self._call(account, dialect.acknowledge_request(order_ids))
        return self._interpret(account, dialect.read_acknowledged, order_ids, answer)

    @api.model
    def _read_products(self, account, key=None):
        """Yield the pages of the account's listings, or of those with the seller's ``key``.

        :return: iterator of Page of :class:`~..dialects.words.Listing`
        """
        request = account._dialect().products_request(key)
        return self._pages(request, partial(self._read_products_page, account))

    @api.model
    def _read_products_page(self, account, request):
        """Read one page of the account's listings.

        :param Request request: the dialect's for the first page, or ``next`` of the page before
        :return: Page of :class:`~..dialects.words.Listing`
        """
        return self._read_page(account, request, account._dialect().read_products)

    @api.model
    def _update_products(self, account, updates):
        """Send prices and stock in bulk calls of the dialect's size.

        :param updates: list of :class:`~..dialects.words.ProductUpdate`
        :return: list of :class:`~..dialects.words.ItemResult`, one per update
        """
        dialect = account._dialect()
        results = []
        for start in range(0, len(updates), dialect.batch_size):
            batch = updates[start : start + dialect.batch_size]
            answer = self._call(account, dialect.update_products_request(batch))
            results += self._interpret(account, dialect.read_product_results, batch, answer)
        return results

    @api.model
    def _update_product(self, account, update):
        """Send one listing's price and stock.

        :return: :class:`~..dialects.words.ItemResult`
        """
        [result] = self._update_products(account, [update])
        return result

    @api.model
    def _update_stocks(self, account, updates):
        """Send quantities in bulk and leave everything else of the listings alone.

        :param updates: list of :class:`~..dialects.words.ProductUpdate`; other figures in them are not sent
        :return: list of :class:`~..dialects.words.ItemResult`, one per update
        """
        return self._update_products(account, [replace(update, **ONLY_STOCK) for update in updates])

    @api.model
    def _update_stock(self, account, update):
        """Send one listing's quantity and leave everything else of it alone.

        :return: :class:`~..dialects.words.ItemResult`
        """
        [result] = self._update_stocks(account, [update])
        return result

    @api.model
    def _create_product(self, account, update):
        """Create a listing (dialects with ``can_create_products``).

        :param ProductUpdate update: what it shows
        :return: :class:`~..dialects.words.Listing`
        """
        dialect = account._dialect()
        answer = self._call(account, dialect.create_product_request(update))
        return self._interpret(account, dialect.read_created_product, answer)

    def _pages(self, request, read):
        """Follow a list to its proven end."""
        for _number in range(MAX_PAGES):
            page = read(request)
            yield page
            request = page.next
            if request is None:
                return
        raise Unavailable(_("The list has more than %s pages", MAX_PAGES))

    def _read_page(self, account, request, read, left_out=0):
        """Read one page of a list, or the first part of one that is too large.

        A row that is too large alone is left out: the others are worth more.

        :param int left_out: rows right before this page that were
        """
        dialect = account._dialect()
        try:
            answer = self._call(account, request)
        except AnswerTooLarge:
            if smaller := dialect.in_smaller_pages(request):
                return self._read_page(account, smaller, read, left_out)
            if left_out == LEFT_OUT_AT_ONCE:
                raise
            return self._read_page(account, dialect.behind(request), read, left_out + 1)
        return replace(self._interpret(account, read, request, answer), left_out=left_out)

    def _interpret(self, account, read, *args):
        """Read an answer; one of another shape than promised is no answer."""
        try:
            return read(*args)
        except PayloadError as error:
            raise Unavailable(_("The answer cannot be read: %s", account._describe(error))) from error

    def _call(self, account, request):
        """Make one HTTP call and judge its answer.

        :param Request request: what the dialect wants
        :return: :class:`~..dialects.words.Answer`
        :raise CredentialsRefused, Refused, Unavailable: as the dialect's ``judge`` says
        """
        account._check_home()
        account._await_turn()
        started = time.monotonic()
        try:
            answer = self._send(account, request)
        except ForbiddenTarget as error:
            # Not which one: that would tell what there is in our network.
            raise Unavailable(_("The API address does not lead to a public server.")) from error
        except TROUBLE as error:
            _logger.info("Marketplace %s: %s: %s", account.code, request.operation, type(error).__name__)
            # The class only: the text of such errors holds addresses and can hold secrets.
            raise Unavailable(_("No answer (%s)", type(error).__name__)) from error
        _logger.info(
            "Marketplace %s: %s answered %d after %d ms",
            account.code,
            request.operation,
            answer.status,
            (time.monotonic() - started) * 1000,
        )
        account._dialect().judge(answer)
        return answer

    def _send(self, account, request):
        credentials = account._credentials()
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            "User-Agent": USER_AGENT,
            **dict(request.headers),
            **dict(account._dialect().auth_headers(credentials)),
        }
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = payload.dumps(request.body).encode()
        with transport_of(account).call(
            request.method,
            f"{(account.api_base_url or '').strip().rstrip('/')}/{request.path}",
            timeout=(CONNECT_TIMEOUT, account.timeout),
            query=request.query,
            headers=headers,
            body=body,
        ) as response:
            raw = self._read_body(response)
        kept = {name: response.headers[name] for name in WORTH_KEEPING if name in response.headers}
        return Answer(response.status_code, self._parse(self._redacted(credentials, raw)), kept)

    def _read_body(self, response):
        """Read at most MAX_ANSWER bytes; the connection itself ends what takes too long.

        :raise AnswerTooLarge: too much
        :raise Unavailable: it was cut
        """
        raw = bytearray()
        # Never unpacked: no compression was asked for, and it would multiply what we are made to hold.
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            raw += chunk
            if len(raw) > MAX_ANSWER:
                raise AnswerTooLarge(_("The answer is too large"))
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) != len(raw):
            raise Unavailable(_("The answer was cut"))
        return bytes(raw)

    def _redacted(self, credentials, raw):
        """Take our token out of an answer: what a marketplace repeats must not reach a log or a screen."""
        token = credentials.token.encode()
        return raw.replace(token, b"***") if len(token) >= MIN_TOKEN_TO_REDACT else raw

    def _parse(self, raw):
        """Give the JSON of an answer; foreign servers are read more leniently than foreign senders."""
        if not raw.strip():
            return None
        try:
            return payload.loads_answer(raw)
        except PayloadError:
            raise AnswerTooLarge(_("The answer is nested too deep")) from None
        except ValueError:
            return UNREADABLE


def _storable(message):
    return replace(message, payload=payload.storable(message.payload))
