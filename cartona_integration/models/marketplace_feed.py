import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from odoo import _, api, fields, models

from ..dialects import payload
from ..dialects.words import ORDERS, Request
from ..exceptions import MarketplaceError, Refused, Unavailable
from .marketplace_traffic import JOB_SECONDS, MAX_PAGES, STALE_AFTER

# So much earlier than the newest order we have a list is read: clocks and commits differ over there.
OVERLAP = timedelta(minutes=5)
# Beyond both, somebody is asked to look after the webhook: a few are always read before they are pushed.
MISSED_ORDERS = 5
MISSED_SHARE = 0.2

# A reading that was left for longer begins anew, where its end is an acknowledgement of all it has seen.
DRAINED_STALE_AFTER = timedelta(minutes=5)
PAGE_TRIES = 5
# What tells where a list is: another one has other pages.
PLACE = {"active", "api_base_url", "auth_secret", "dialect", "state", "supplier_code"}

moment = datetime.fromisoformat


@dataclass
class Reading:
    """One reading of the list: how far it came and what came of it, in values that JSON keeps.

    A list that is long is read by several jobs, one after the other: each goes on where this says.
    """

    began: str  # ISO 8601, as all times here
    since: str | None  # the time the list was asked from
    request: dict | None  # for the next page; None: all are read
    left: str | None = None  # when the last job left it
    pages: int = 0
    failures: int = 0  # in a row, of its next page
    is_second: bool = False
    is_check: bool = False  # after acknowledging, for what that may have hidden; it is not acknowledged
    counts: dict = field(default_factory=dict)  # what of it was new, changed, known
    settled: dict = field(default_factory=dict)  # {order id: event id} of what may be acknowledged
    newest: str | None = None  # the newest change it showed

    def note(self, counts, settled, times):
        """Add what came of a page.

        A time that has not come yet is no place to read from: what comes before it would never be read.
        """
        if self.is_second:
            counts = {name: counts[name] for name in ("new", "changed")}
        self.counts = dict(Counter(self.counts) + Counter(counts))
        self.settled |= settled
        now = datetime.now(timezone.utc)
        newest = max((at for at in times if at <= now), default=None)
        if newest and (not self.newest or newest > moment(self.newest)):
            self.newest = newest.isoformat()


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
            reading = self._committed("_reading_due")
            if not reading:
                return
            try:
                if self._read_feed(reading):
                    self._go_on_after(reading)
            except MarketplaceError as error:
                self._committed("_stop", "pull", error)

    def _go_on_after(self, reading):
        """Acknowledge what a reading has shown, and look at what that may have hidden.

        Not before the reading ends: pages shift when an order leaves the feed. That something is to be looked
        at is kept before the first call: neither a refusal nor a killed worker may have it forgotten.
        """
        if reading.is_check:
            # Another job was to read it: the acknowledging before may not have come to its end.
            self._committed("_enqueue", "pull")
            return
        if not reading.settled or not self._dialect().can_acknowledge:
            return
        check = self._check_of(reading)
        if check:
            self._committed("_keep_reading", check)
        self._acknowledge(reading.settled)
        if check:
            self._read_feed(check)

    def _check_of(self, reading):
        """Give a reading of the time of another one, and the hour before, where the dialect says so.

        An acknowledgement may have hidden what changed since its page was read.
        """
        overlap = self._dialect().reread_after_acknowledging
        if not overlap:
            return None
        check = self._new_reading(moment(reading.began) - overlap)
        check.is_check = True
        return check

    def _reading_due(self):
        """Give the reading that another job left to this one, or a new one; None when nothing may be read."""
        if not self._may_work("pull"):
            return None
        left = self._state("pull").reading
        if not left:
            return self._new_reading(self._pull_since())
        reading = Reading(**left)
        is_stale = moment(reading.left) < datetime.now(timezone.utc) - self._stale_after()
        return self._from_its_beginning(reading) if is_stale else reading

    def _stale_after(self):
        """Give how long a reading may rest: what it acknowledges at its end must have been seen lately."""
        return DRAINED_STALE_AFTER if self._dialect().can_acknowledge else STALE_AFTER

    def _new_reading(self, since):
        """Give a reading that begins.

        :param datetime since: aware UTC, or None: of all there is
        """
        now = datetime.now(timezone.utc).isoformat()
        return Reading(now, since and since.isoformat(), self._dialect().orders_request(since).as_json())

    def _from_its_beginning(self, reading):
        again = self._new_reading(reading.since and moment(reading.since))
        again.is_check = reading.is_check
        return again

    def _read_feed(self, reading):
        """Store the pages of the feed; only what was read to its end moves the place to read from.

        :return: False when another job has to go on
        """
        deadline, before = time.monotonic() + JOB_SECONDS, reading.pages
        try:
            while reading.request:
                self._read_orders_page(reading)
                if reading.request and time.monotonic() > deadline:
                    self._committed("_leave_reading", reading)
                    return False
        except MarketplaceError as error:
            reading.failures = 0 if reading.pages > before else reading.failures + 1
            # A page that is refused, or fails again and again, may be gone.
            is_gone = isinstance(error, Refused) or reading.failures >= PAGE_TRIES
            self._committed("_keep_interrupted", reading, is_gone)
            raise
        self._committed("_finish_pull", reading)
        return True

    def _read_orders_page(self, reading):
        """Read the next page and store it."""
        if reading.pages >= MAX_PAGES:
            raise Unavailable(_("The list has more than %s pages", MAX_PAGES))
        page = self.env["marketplace.api"]._read_orders_page(self, Request.from_json(reading.request))
        counts, settled = self._committed("_store_page", page.rows)
        reading.note(counts, settled, [message.modified_at for message in page.rows if message.modified_at])
        reading.pages += 1
        reading.request = page.next and page.next.as_json()
        is_long = reading.pages > 1 and reading.newest and not reading.is_second
        if not reading.request and is_long and {"new", "changed"} & set(reading.counts):
            # An order that changes meanwhile leaves its page, and the first one behind the cut slides onto a
            # page that was read before.
            reading.request, reading.pages = self._from_its_beginning(reading).request, 0
            reading.is_second = True

    def _leave_reading(self, reading):
        """Have a fresh job go on: one that takes long is ended by the server."""
        self._keep_reading(reading)
        self._enqueue("pull")

    def _keep_interrupted(self, reading, is_gone):
        """Have the reading go on when the trouble is over; anew where what it has seen is too old by then."""
        is_over = is_gone or self._dialect().can_acknowledge
        self._keep_reading(self._from_its_beginning(reading) if is_over else reading)

    def _keep_reading(self, reading):
        reading.left = datetime.now(timezone.utc).isoformat()
        self._state("pull").reading = vars(reading)

    def _read_since(self, since):
        """Have the next reading begin at a time, or earlier if it would have.

        :param datetime since: aware UTC
        """
        left = self._state("pull").reading
        if left and left["since"]:
            since = min(since, moment(left["since"]))
        if not self._dialect().can_acknowledge:
            # The place to read from moves on with this reading: what lies before it must not be left out.
            usual = (not left or left["since"]) and self._pull_since()
            since = usual and min(usual, since)
        self._keep_reading(self._new_reading(since or None))

    def write(self, vals):
        res = super().write(vals)
        if PLACE & set(vals):
            # Superuser: where the work stands is nobody's to write.
            for account in self.sudo():
                if left := account._state("pull").reading:
                    account._keep_reading(account._from_its_beginning(Reading(**left)))
        return res

    def _pull_since(self):
        """Give the time to read from: that of the newest stored order with an overlap, never our clock.

        At first it is the account's own beginning: what was changed before it was placed before it, too.
        """
        cursor = self._state("pull").cursor
        if cursor:
            return moment(cursor) - OVERLAP
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

    def _finish_pull(self, reading):
        state, newest, counts = self._state("pull"), reading.newest, Counter(reading.counts)
        values = {"reading": False}
        if newest and (not state.cursor or moment(newest) > moment(state.cursor)):
            values["cursor"] = newest
        state.write(values)
        for account in self._working_group():
            account._state("pull")._succeed()
        log, values = self.env["marketplace.sync.log"], self._prepare_pull_log(reading.since, counts)
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
            "asked_from": since and moment(since).replace(tzinfo=None),
            "received": counts.total(),
            **{name: counts[name] for name in ("new", "changed", "known")},
        }

    # -- acknowledging ------------------------------------------------------------------------

    def _acknowledge(self, settled):
        """Tell the marketplace which orders are safely here, as soon as the feed has shown them.

        An acknowledgement names an order, not a state of it: whatever changes between the reading and the
        call would be acknowledged unseen. Nothing is kept: what was not taken is in the next pull again.

        :param settled: {order id: event id}
        """
        order_ids, size = list(settled), self._dialect().batch_size
        for start in range(0, len(order_ids), size):
            batch = order_ids[start : start + size]
            results = self.env["marketplace.api"]._acknowledge_orders(self, batch)
            taken = [
                settled[key] for key, result in zip(batch, results, strict=True) if result.ok is not False
            ]
            refused = [result.reason for result in results if result.ok is False]
            self._committed("_note_acknowledged", taken, refused[:1])

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
