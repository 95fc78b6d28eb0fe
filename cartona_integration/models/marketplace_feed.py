from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from odoo import _, api, fields, models

from ..dialects import payload
from ..dialects.words import ORDERS
from ..exceptions import MarketplaceError

# So much earlier than the newest order we have a list is read: clocks and commits differ over there.
OVERLAP = timedelta(minutes=5)
# Beyond both, somebody is asked to look after the webhook: a few are always read before they are pushed.
MISSED_ORDERS = 5
MISSED_SHARE = 0.2


class Reading(NamedTuple):
    """What came of reading the list once: what was stored, what may be acknowledged, the newest change."""

    counts: Counter
    settled: dict
    newest: datetime | None
    pages: int


class MarketplaceConfig(models.Model):
    """The marketplace's own list of orders: read to its end, kept, acknowledged. What no webhook can lose."""

    _inherit = "marketplace.config"

    missed_webhook_count = fields.Integer(
        string="Orders No Webhook Told Of",
        compute="_compute_missed_webhook_count",
        help="During the last day; found by reading the marketplace's list.",
    )

    def _compute_missed_webhook_count(self):
        for account in self:
            account.missed_webhook_count = account._state("pull").missed

    # -- the job ------------------------------------------------------------------------------

    def _job_pull(self):
        """Read the list for all accounts behind the token, keep what is new, acknowledge what is safe."""
        leader = self._feed_leader()
        if leader != self:
            leader._wake("pull")
            return
        # The oldest account's lock, whoever leads: the list is never read twice at a time.
        with self._token_group()[:1]._locked("pull"):
            if not self._committed("_may_work", "pull"):
                return
            try:
                settled = self._read_feed(self._committed("_pull_since"))
                # Not before the reading ends: pages shift when an order leaves the feed.
                if self._acknowledge(settled):
                    self._read_what_acknowledging_hid()
            except MarketplaceError as error:
                self._committed("_stop", "pull", error)

    def _read_feed(self, since):
        """Store all pages of the feed; only what was read to its end moves the place to read from.

        :param datetime since: aware UTC, or None
        :return: {order id: event id} of the orders whose state in the feed is settled here
        """
        counts, settled, newest, pages = self._read_pages(since)
        if newest and pages > 1 and (counts["new"] or counts["changed"]):
            # An order that changes meanwhile leaves its page, and the first one behind the cut slides onto a
            # page that was read before.
            again = self._read_pages(since)
            counts += Counter({name: again.counts[name] for name in ("new", "changed")})
            settled |= again.settled
        self._committed("_finish_pull", since, counts, newest)
        return settled

    def _read_pages(self, since):
        counts, settled, times, pages = Counter(), {}, [], 0
        for page in self.env["marketplace.api"]._read_orders(self, since):
            pages += 1
            new_counts, settled_here = self._committed("_store_page", page.rows)
            counts, settled = counts + new_counts, settled | settled_here
            times += [message.modified_at for message in page.rows if message.modified_at]
        # A time that has not come yet is no place to read from: what comes before it would never be read.
        now = datetime.now(timezone.utc)
        return Reading(counts, settled, max((at for at in times if at <= now), default=None), pages)

    def _read_what_acknowledging_hid(self):
        """Read the last hour once more where an acknowledgement may have hidden a change; see the dialect."""
        overlap = self._dialect().reread_after_acknowledging
        if overlap:
            self._read_feed(datetime.now(timezone.utc) - overlap)

    def _pull_since(self):
        """Give the time to read from: that of the newest stored order with an overlap, never our clock.

        At first it is the account's own beginning: what was changed before it was placed before it, too.
        """
        cursor = self._state("pull").cursor
        if cursor:
            return payload.timestamp(cursor) - OVERLAP
        return self.import_from and self.import_from.replace(tzinfo=timezone.utc)

    def _ask_feed(self):
        """Have the feed tell which state of an order is the true one, and acknowledge it."""
        self._feed_leader()._wake("pull")

    def _store_page(self, messages):
        """Store one page.

        :return: (Counter, {order id: event id} of what may be acknowledged)
        """
        counts, settled = Counter(), {}
        for account, own in self._routed(messages).items():
            kept = account._keep_own(own, "pull")
            account._mind_missed_webhooks(kept["new"])
            counts += kept
            if account.state == "live":
                settled |= account.env["marketplace.event"]._settled(account, own)
        return counts, settled

    def _finish_pull(self, since, counts, newest):
        state = self._state("pull")
        if newest and (not state.cursor or newest > payload.timestamp(state.cursor)):
            state.cursor = newest.isoformat()
        for account in self._working_group():
            account._state("pull")._succeed()
        log, values = self.env["marketplace.sync.log"], self._prepare_pull_log(since, counts)
        if counts["new"] or counts["changed"]:
            log._log(self, "pull", **values)
        else:
            log._log_hourly(self, "pull", **values)

    def _prepare_pull_log(self, since, counts):
        """Tell what a reading asked for and what came of it."""
        message = _(
            "%(received)d received: %(new)d new, %(changed)d changed, %(known)d not stored, as they are here "
            "in the same state",
            received=counts.total(),
            new=counts["new"],
            changed=counts["changed"],
            known=counts["known"],
        )
        return {
            "message": message if counts else _("Nothing waits over there."),
            "level": "info",
            "asked_from": since and since.replace(tzinfo=None),
            "received": counts.total(),
            **{name: counts[name] for name in ("new", "changed", "known")},
        }

    # -- acknowledging ------------------------------------------------------------------------

    def _acknowledge(self, settled):
        """Tell the marketplace which orders are safely here, as soon as the feed has shown them.

        An acknowledgement names an order, not a state of it: whatever changes between the reading and the
        call would be acknowledged unseen. Nothing is kept: what was not taken is in the next pull again.

        :param settled: {order id: event id}
        :return: whether something was told
        """
        dialect = self._dialect()
        if not dialect.can_acknowledge:
            return False
        order_ids = list(settled)
        for start in range(0, len(order_ids), dialect.batch_size):
            batch = order_ids[start : start + dialect.batch_size]
            results = self.env["marketplace.api"]._acknowledge_orders(self, batch)
            taken = [
                settled[key] for key, result in zip(batch, results, strict=True) if result.ok is not False
            ]
            refused = [result.reason for result in results if result.ok is False]
            self._committed("_note_acknowledged", taken, refused[:1])
        return bool(order_ids)

    def _note_acknowledged(self, taken, refused):
        # Superuser: the token may cover accounts of other companies.
        events = self.env["marketplace.event"].sudo().browse(taken)
        events.write({"acknowledged_at": fields.Datetime.now()})
        for reason in refused:
            message = _("An acknowledgement was refused: %s", payload.printable(reason or ""))
            self.env["marketplace.sync.log"]._log_hourly(self, "pull", message)

    # -- webhooks that do not come ------------------------------------------------------------

    def _mind_missed_webhooks(self, count):
        """Notice new orders that only the list told of, though a webhook is set up, and ask for a person.

        The first reading finds what was there before the account was connected: nobody pushes that.
        """
        state = self._state("pull")
        if not state.last_run or not any(account._has_webhook() for account in self._token_group()):
            return
        state._count_missed(count)
        if count and state.missed > MISSED_ORDERS and self._misses_many(state):
            note = _("%s new orders within a day came without a webhook: check its address and token there.")
            self._ask_for_help("webhooks", note % state.missed)

    def _has_webhook(self):
        # Superuser: secrets; only that there is one is told.
        account = self.sudo()
        return bool(account.webhook_token_digest or account.webhook_secret_current)

    def _misses_many(self, state):
        """Compare with what webhooks brought: of many orders, some are always read before they are pushed."""
        brought = self.env["marketplace.event"].search_count(
            [
                ("account_id", "=", self.id),
                ("origin", "=", "webhook"),
                ("topic", "=", ORDERS),
                ("create_date", ">", state.missed_since),
            ]
        )
        return state.missed > MISSED_SHARE * (state.missed + brought)

    # -- cron ---------------------------------------------------------------------------------

    @api.model
    def _cron_pull(self):
        """Start the regular reading of the order lists that are due."""
        for account in self.search([("state", "in", self.WORKING_STATES)]):
            if account._is_list_due():
                account._ask_feed()

    def _is_list_due(self):
        if not self.auto_pull_orders or not self._may_work("pull"):
            return False
        last = self.last_order_pull
        return not last or last + timedelta(minutes=self.pull_interval) <= fields.Datetime.now()
