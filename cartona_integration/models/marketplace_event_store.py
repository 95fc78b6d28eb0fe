from collections import Counter, defaultdict

from odoo import api, models

from ..dialects import payload
from ..dialects.words import ORDERS

MAX_ID_LENGTH = 128
# Origins that tell what the marketplace shows at that moment.
READINGS = ("pull", "manual")
# A webhook that could not be told from an old one says nothing of what a reading shows.
COUNTS = "NOT (state = 'ignored' AND origin = 'webhook' AND modified_at IS NULL)"

INSERT = """
    INSERT INTO marketplace_event (
        account_id, topic, origin, external_order_id, delivery_id, digest, status, dialect, modified_at,
        payload, state, tries, create_date, write_date
    )
    SELECT %(account_id)s, %(topic)s, %(origin)s, %(order_id)s, %(delivery_id)s, %(digest)s, %(status)s,
           %(dialect)s, %(modified_at)s::timestamp, %(payload)s, 'new', 0, now() AT TIME ZONE 'UTC',
           now() AT TIME ZONE 'UTC'
"""
# Nothing of the message's order is stored.
FIRST = """
     WHERE NOT EXISTS (
        SELECT FROM marketplace_event
         WHERE account_id = %(account_id)s AND topic = %(topic)s AND external_order_id = %(order_id)s
     )
"""
ONCE = " ON CONFLICT (account_id, topic, delivery_id) DO NOTHING"


class MarketplaceEvent(models.Model):
    """The door of the inbox: keeps messages, each once, and tells which orders are settled here."""

    _inherit = "marketplace.event"

    @api.model
    def _store(self, account, messages, origin):
        """Keep messages, each once.

        A content that was seen before is a repeat, with one exception: a reading without a modification time
        tells what counts now. It may bring back an older content (the order went A → B → A), or the one of a
        webhook that could not be told from an old one, see :meth:`_is_told_later`.

        :param messages: iterable of :class:`~..dialects.words.Message`
        :param str origin: one of the field's values
        :return: Counter of ``new`` orders, ``changed`` ones, and ``known`` messages
        """
        seen = self._seen_digests(account, messages)
        counts = Counter()
        for message in messages:
            digests, counted = seen[message.topic, message.order_id]
            digest = payload.digest(message.payload)
            known = counted[-1:] if origin in READINGS and not message.modified_at else digests
            if digest not in known and self._insert(account, message, origin, digest, len(digests)):
                counts["changed" if digests else "new"] += 1
                digests.append(digest)
                counted.append(digest)
                continue
            counts["known"] += 1
            if origin == "webhook" and digests and digest != digests[-1]:
                account._ask_feed()
        return counts

    def _seen_digests(self, account, messages):
        """Give {(topic, order id): (digests, oldest first; the same without webhooks that did not count)}."""
        seen = defaultdict(lambda: ([], []))
        self.env.cr.execute(
            f"SELECT topic, external_order_id, digest, {COUNTS} FROM marketplace_event"
            " WHERE account_id = %s AND external_order_id = ANY(%s) ORDER BY id",
            [account.id, [message.order_id for message in messages if message.order_id]],
        )
        for topic, order_id, digest, counts in self.env.cr.fetchall():
            digests, counted = seen[topic, order_id]
            digests.append(digest)
            if counts:
                counted.append(digest)
        return seen

    def _store_first(self, account, message):
        """Keep what a webhook brought if nothing of its order is stored: most calls bring just that.

        The same as :meth:`_store` does with any number of messages, but in one statement instead of two.

        :return: False when it takes a closer look
        """
        digest = payload.digest(message.payload)
        return self._insert(account, message, "webhook", digest, 0, INSERT + FIRST + ONCE)

    def _insert(self, account, message, origin, digest, number, query=INSERT + ONCE):
        """Insert one row. It names no user: calls at once would queue for the check of that foreign key.

        :param int number: how many states of the order are stored
        :return: False when the very same message is stored already
        :raise SerializationFailure: another transaction has stored it since this one began
        """
        attributed = message.order_id and len(message.order_id) <= MAX_ID_LENGTH
        order_id = message.order_id if attributed else None
        values = {
            "account_id": account.id,
            "topic": message.topic,
            "origin": origin,
            "order_id": order_id,
            "delivery_id": message.delivery_id or self._delivery_id(order_id, number, digest),
            "digest": digest,
            "status": message.status,
            "dialect": message.dialect,
            "modified_at": message.modified_at and message.modified_at.replace(tzinfo=None),
            "payload": payload.dumps(message.payload),
        }
        # A search is never a guard: the unique index is. A copy that another transaction is just storing
        # is waited for, and is then a conflict, or known where this statement is a transaction of its own.
        self.env.cr.execute(query, values, log_exceptions=False)
        return bool(self.env.cr.rowcount)

    def _delivery_id(self, order_id, number, digest):
        """Name a state of an order; what cannot be attributed to one has no states to count."""
        return f"{order_id}:{number}:{digest[:16]}" if order_id else f"?:{digest}"

    @api.model
    def _settled(self, account, messages):
        """Tell which orders are here in the very state the messages show, with nothing left to do.

        :return: {order id: event id}
        """
        self.env.cr.execute(
            "SELECT DISTINCT ON (external_order_id) external_order_id, id, state, digest"
            " FROM marketplace_event WHERE account_id = %s AND topic = %s AND external_order_id = ANY(%s)"
            f" AND {COUNTS} ORDER BY external_order_id, id DESC",
            [account.id, ORDERS, [message.order_id for message in messages if message.order_id]],
        )
        settled = ("done", "ignored", "hold") if account.acknowledge_holds else ("done", "ignored")
        shown = {(message.order_id, payload.digest(message.payload)) for message in messages}
        return {
            order_id: event_id
            for order_id, event_id, state, digest in self.env.cr.fetchall()
            if state in settled and (order_id, digest) in shown
        }
