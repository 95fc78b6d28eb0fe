from datetime import datetime

from odoo import _, fields, models

from ..dialects.words import GONE, ORDERS, STATUS, STATUSES
from ..exceptions import Unwanted
from .marketplace_config import SKEW
from .marketplace_event_store import READINGS
from .marketplace_work_mixin import OPEN

# Before any time of a message.
NEVER = datetime.min


class MarketplaceEvent(models.Model):
    """Which of an order's messages counts: one may be late, or say what is known already."""

    _inherit = "marketplace.event"

    def _is_news(self, value):
        """Compare an Order or StatusChange with what we know of its order."""
        order = self.env["sale.order"]._find_marketplace_order(self.account_id, value.id)
        known = order.marketplace_status, order.marketplace_modified_at
        waiting = self._newest_open()
        held_at = waiting._told_at()
        if not order or (waiting.status in STATUSES and held_at and (not known[1] or held_at > known[1])):
            known = waiting.status, held_at
        if known[0] not in STATUSES:
            return True
        at = value.modified_at and value.modified_at.replace(tzinfo=None)
        dialect = self.account_id._dialect()
        if not at and dialect.is_reversible(known[0], value.status) and self._is_told_later():
            self.account_id._ask_feed()
            return False
        return dialect.is_newer(*known, value.status, at) or (
            not at and self._shows_reopened(order, value.status)
        )

    def _shows_reopened(self, order, status):
        """Tell whether a reading shows under way what we had cancelled: no order list is late."""
        processor = self.env["marketplace.order.processor"]
        is_over = order.marketplace_reported_status in GONE
        return self.origin in READINGS and not is_over and processor._is_reopened(order, status)

    def _newest_open(self):
        """Give what waits and tells the latest of what is known: a newer one may have come in before."""
        waiting = self._older_open()
        return max(waiting, key=lambda event: (event._told_at() or NEVER, event.id), default=waiting)

    def _told_at(self):
        """Give when the marketplace last changed the order; nothing where that is still to come."""
        at = self.modified_at
        return at if at and at <= fields.Datetime.now() + SKEW else None

    def _is_told_later(self):
        """Tell whether the order list has the last word on this message, and is read now.

        A webhook without a time may be a late one. What a reading has shown is not undone by it: a true
        change is in the list, which tells of it in a moment; an old one is not.
        """
        last = self.search(
            [
                ("account_id", "=", self.account_id.id),
                ("external_order_id", "=", self.external_order_id),
                ("topic", "=", ORDERS),
                ("state", "!=", "ignored"),
                ("id", "<", self.id),
            ],
            limit=1,
        )
        return self.origin == "webhook" and bool(last.origin in READINGS or last.acknowledged_at)

    def _check_not_ignored(self):
        """Refuse the status of an order that is not wanted here: it would wait for it for ever.

        :raise Unwanted: the newest message of the order was ignored, and no order came of an older one
        """
        order = self.search(
            [
                ("account_id", "=", self.account_id.id),
                ("external_order_id", "=", self.external_order_id),
                ("topic", "=", ORDERS),
            ],
            limit=1,
        )
        known = self.env["sale.order"]._find_marketplace_order(self.account_id, self.external_order_id)
        if order.state == "ignored" and not known:
            raise Unwanted(_("The order is ignored: %s", order.reason))

    def _older_open(self, topics=(ORDERS,)):
        """Give earlier messages of the same order that are not settled, newest first; whole ones."""
        if not self.external_order_id:
            return self.browse()
        return self.search(
            [
                ("account_id", "=", self.account_id.id),
                ("external_order_id", "=", self.external_order_id),
                ("topic", "in", topics),
                ("state", "in", OPEN),
                ("id", "<", self.id),
            ]
        )

    def _replace_older(self):
        """Close earlier messages of the order: this one tells the whole order anew.

        One that came in before and is newer all the same stays, such as one nobody could read; so does a
        bare status without a time.
        """
        at = self._told_at()
        for event in self._older_open((ORDERS, STATUS)) if self.topic == ORDERS else ():
            other_at = event._told_at()
            is_timed = at and other_at
            if other_at <= at if is_timed else event.topic == ORDERS:
                event._close("ignored", _("A newer message of the order came in."))
