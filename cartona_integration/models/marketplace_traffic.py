import hmac
import logging
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from markupsafe import escape
from psycopg2 import IntegrityError, OperationalError

from odoo import SUPERUSER_ID, _, api, fields, models
from odoo.service.model import PG_CONCURRENCY_ERRORS_TO_RETRY

from odoo.addons.queue_job.exception import RetryableJobError

from ..dialects import payload
from ..exceptions import CredentialsRefused, MarketplaceError, PayloadError, Refused, Unavailable
from .marketplace_work_mixin import OPEN

_logger = logging.getLogger(__name__)

# Advisory locks: (our number, account id).
LOCKS = {
    "import": 1_731_001,
    "pull": 1_731_002,
    "push": 1_731_003,
    "link": 1_731_004,
    "listings": 1_731_005,
    "steps": 1_731_006,
}
# Kinds of work whose rows tell that something waits: the sweep looks after them.
WAITING = {
    "import": "marketplace.event",
    "steps": "marketplace.order.step",
    "push": "marketplace.mark",
    "link": "marketplace.product.link",
}
CONFLICT_TRIES = 6
# A job hands over to a fresh one well before any sensible limit_time_real.
JOB_SECONDS = 40
# A job of ours that is due for so long has no job runner.
STUCK_AFTER = timedelta(minutes=2)
IMPORT_BATCH = 50
# Unique indexes that decide races: who violates one lost, and sees the winner in a new transaction.
IDENTITY_INDEXES = {
    "sale_order_marketplace_identity_uniq",
    "res_partner_cartona_id_uniq",
    "marketplace_event_identity_uniq",
    "marketplace_product_link_external_uniq",
    "marketplace_product_link_product_uniq",
    "marketplace_product_link_key_uniq",
}


def is_conflict(error):
    """Tell whether a database error means "repeat in a new transaction" rather than "this row is bad"."""
    if isinstance(error, IntegrityError):
        return error.diag.constraint_name in IDENTITY_INDEXES
    return isinstance(error, OperationalError) and error.pgcode in PG_CONCURRENCY_ERRORS_TO_RETRY


class MarketplaceConfig(models.Model):
    """How an account's messages travel: the webhook's entrance, wake-ups, locks, jobs, crons."""

    _inherit = "marketplace.config"

    # -- webhook ------------------------------------------------------------------------------

    @api.model
    def _authenticate_webhook(self, key, authorization):
        """Find the account a webhook call proves to come from. Fails closed.

        :param str key: the key in the path, None on the bare address
        :param str authorization: the Authorization header
        :return: one account, or none
        """
        scheme, _space, token = (authorization or "").partition(" ")
        digest = self._digest(token.strip()) if scheme.lower() == "bearer" else ""
        named = [("webhook_key", "=", key)] if key else []
        accounts = self.search([*named, ("webhook_token_digest", "!=", False), ("state", "!=", "draft")])
        for account in accounts:
            if hmac.compare_digest(account.webhook_token_digest.encode(), digest.encode()):
                return account
        return self.browse()

    def _receive(self, topic, raw):
        """Keep what a marketplace posted; everything else happens in a job.

        :param str topic: ``orders`` or ``status``
        :param bytes raw: the body as it came
        :return: (accepted, duplicate) counts
        :raise PayloadError: nothing in it can be attributed to an order
        """
        messages = self._dialect().split(topic, payload.loads(raw))
        if messages and not any(message.order_id for message in messages):
            raise PayloadError("/", _("an order id"), _("none"))
        accepted, duplicate = self.env["marketplace.event"]._store(self, messages, "webhook")
        _logger.info(
            "Marketplace %s: webhook %s, %d bytes, %d accepted, %d duplicate",
            self.code,
            topic,
            len(raw),
            accepted,
            duplicate,
        )
        if accepted:
            self._wake("import")
        return accepted, duplicate

    def _log_unreadable(self, error):
        """Leave a trace of an authenticated but unreadable call."""
        self.env["marketplace.sync.log"]._log_hourly(
            self, "webhook", _("A call could not be read: %s", payload.printable(str(error)))
        )

    # -- wake-up ------------------------------------------------------------------------------

    def _wake(self, kind):
        """Have the accounts' work of this kind start after the commit of this transaction.

        :param str kind: one of the kinds of ``marketplace.sync.state``
        """
        postcommit = self.env.cr.postcommit
        wanted = postcommit.data.setdefault("marketplace.wake", set())
        for account in self:
            if (account.id, kind) not in wanted:
                wanted.add((account.id, kind))
                postcommit.add(partial(self._wake_now, self.env.registry, account.id, kind))

    def _wake_all(self):
        for kind in LOCKS:
            self._wake(kind)

    @api.model
    def _wake_held_imports(self):
        """Have messages on hold looked at again. Superuser: whoever edits a product sees no accounts."""
        self.sudo().search([("state", "in", self.WORKING_STATES)])._wake("import")

    @staticmethod
    def _wake_now(registry, account_id, kind):
        """Add a job in a transaction younger than the change it is about, unless one is waiting already.

        An error is only logged: the change itself is committed and the sweep finds it.
        """
        try:
            with registry.cursor() as cr:
                account = api.Environment(cr, SUPERUSER_ID, {})["marketplace.config"].browse(account_id)
                account._enqueue(kind)
        except OperationalError:
            _logger.warning("Marketplace account %s: wake-up of %s left to the sweep", account_id, kind)

    def _enqueue(self, kind, delay=None):
        """Add a job for this kind of work, unless one is due already.

        :param float delay: seconds from now; such a job resumes after a pause and never hides a wake-up
        """
        self.ensure_one()
        identity = None if delay else f"marketplace.{kind}.{self.id}"
        eta = delay and timedelta(seconds=delay)
        if identity and self._is_cared_for(kind, identity):
            return
        actor = self.with_user(self.user_id).with_company(self.company_id)
        job = actor.with_delay(
            max_retries=0, eta=eta, identity_key=identity, description=f"{self.name}: {kind}"
        )
        getattr(job, f"_job_{kind}")()

    def _is_cared_for(self, kind, identity):
        """Tell whether a job waits that will see all there is, or the work pauses and is resumed later."""
        self.env.cr.execute(
            """
            SELECT 1 FROM queue_job WHERE identity_key = %s AND state IN ('pending', 'enqueued')
             UNION ALL
            SELECT 1 FROM marketplace_sync_state
             WHERE account_id = %s AND kind = %s AND pause_reason IS NOT NULL
               AND (paused_until IS NULL OR paused_until > now() AT TIME ZONE 'UTC')
             LIMIT 1
            """,
            [identity, self.id, kind],
        )
        return bool(self.env.cr.rowcount)

    def _has_stuck_jobs(self):
        """Tell whether jobs are due for so long that no job runner can be working."""
        self.env.cr.execute(
            "SELECT 1 FROM queue_job WHERE identity_key = ANY(%s) AND state = 'pending'"
            " AND greatest(date_created, eta) < %s LIMIT 1",
            [
                [f"marketplace.{kind}.{self.id}" for kind in LOCKS],
                fields.Datetime.now() - STUCK_AFTER,
            ],
        )
        return bool(self.env.cr.rowcount)

    # -- locks and transactions ---------------------------------------------------------------

    @contextmanager
    def _locked(self, kind):
        """Hold the account's lock of this kind until the end of the *current* transaction.

        The lock's own transaction is older than the lock and sees old data: work happens in
        :meth:`_committed`, whose transactions begin after the lock was taken.

        :raise RetryableJobError: another job holds it
        """
        if not self._try_lock(kind):
            raise RetryableJobError("Another job is at it", seconds=1, ignore_retry=True)
        yield

    def _try_lock(self, kind):
        """Take the account's lock of this kind for the current transaction, unless another one has it."""
        self.ensure_one()
        self.env.cr.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS[kind], self.id])
        return self.env.cr.fetchone()[0]

    def _committed(self, method, *args):
        """Run one of the account's methods in a short transaction of its own and commit it.

        A conflict with another transaction repeats it at once, in a new transaction.

        :return: what the method returns: plain values, as its records end with the transaction
        """
        for attempt in range(1, CONFLICT_TRIES + 1):
            try:
                return self._commit_once(method, *args)
            except (OperationalError, IntegrityError) as error:
                if attempt == CONFLICT_TRIES or not is_conflict(error):
                    raise
                _logger.info("Marketplace %s: %s repeated after a conflict", self.id, method)

    def _commit_once(self, method, *args):
        """Run one of the account's methods in a short transaction of its own and commit it."""
        with self.env.registry.cursor() as cr:
            # Named, so that it lives until the commit: Odoo writes what is pending through a
            # transaction's environments and holds them weakly; without one it is lost in silence.
            account = self.with_env(self.env(cr=cr))
            return getattr(account, method)(*args)

    def _until_done(self, kind, work):
        """Call ``work`` until it returns a false value, or hand over to a fresh job when time is up."""
        deadline = time.monotonic() + JOB_SECONDS
        while work():
            if time.monotonic() > deadline:
                self._committed("_enqueue", kind)
                return

    def _may_work(self, kind):
        return self.state in self.WORKING_STATES and not self._state(kind)._is_paused()

    # -- jobs ---------------------------------------------------------------------------------

    def _job_import(self):
        """Turn stored messages into orders, oldest first, until none waits."""
        with self._locked("import"):
            self._committed("_resume_holds")
            self._until_done("import", self._import_batch)

    def _resume_holds(self):
        self.env["marketplace.event"]._resume_holds(self)

    def _import_batch(self):
        ids = self._committed("_claim_events")
        if ids:
            self._process_portion(ids)
        return ids

    def _process_portion(self, ids):
        """Process messages in one transaction; after a conflict with another one in two of half the size."""
        if len(ids) == 1:
            self._committed("_process_events", ids)
            return
        try:
            self._commit_once("_process_events", ids)
        except (OperationalError, IntegrityError) as error:
            if not is_conflict(error):
                raise
            _logger.info("Marketplace %s: %d messages are split after a conflict", self.id, len(ids))
            middle = len(ids) // 2
            self._process_portion(ids[:middle])
            self._process_portion(ids[middle:])

    def _claim_events(self):
        """Count a try on the next messages, so that one that kills its worker is stopped one day."""
        if not self._may_work("import"):
            return []
        return self.env["marketplace.event"]._claim(self, IMPORT_BATCH)

    def _process_events(self, ids):
        self.env["marketplace.event"].browse(ids)._process_all()
        self._state("import")._succeed()

    def _job_pull(self):
        """Read the marketplace's order list, keep what is new, acknowledge what is safely here."""
        with self._locked("pull"):
            if not self._committed("_may_work", "pull"):
                return
            try:
                settled = self._read_feed()
                # Not before the reading ends: pages shift when an order leaves the feed.
                self._acknowledge(settled)
            except MarketplaceError as error:
                self._committed("_stop", "pull", error)

    def _read_feed(self):
        """Store all pages of the feed.

        :return: {order id: event id} of the orders whose state in the feed is settled here
        """
        received = new = 0
        settled = {}
        for page in self.env["marketplace.api"]._read_orders(self, self._committed("_pull_since")):
            stored, settled_here = self._committed("_store_page", page.rows)
            received, new, settled = received + len(page.rows), new + stored, settled | settled_here
        self._committed("_finish_pull", received, new)
        return settled

    def _pull_since(self):
        """Give the time to read from: that of the newest stored order with an overlap, never our clock."""
        cursor = self._state("pull").cursor
        overlap = timedelta(minutes=5)
        return payload.timestamp(cursor) - overlap if cursor else None

    def _ask_feed(self):
        """Have the feed tell which state of an order is the true one, and acknowledge it."""
        self._wake("pull")

    def _store_page(self, messages):
        events = self.env["marketplace.event"]
        new, _known = events._store(self, messages, "pull")
        newest = max((message.modified_at for message in messages if message.modified_at), default=None)
        state = self._state("pull")
        if newest and (not state.cursor or newest > payload.timestamp(state.cursor)):
            state.cursor = newest.isoformat()
        if new:
            self._wake("import")
        return new, events._settled(self, messages)

    def _finish_pull(self, received, new):
        self._state("pull")._succeed()
        if new:
            self.env["marketplace.sync.log"].create(
                {
                    "account_id": self.id,
                    "kind": "pull",
                    "received": received,
                    "new": new,
                    "known": received - new,
                    "message": _("%(new)d new of %(received)d received", new=new, received=received),
                }
            )

    def _acknowledge(self, settled):
        """Tell the marketplace which orders are safely here, as soon as the feed has shown them.

        An acknowledgement names an order, not a state of it: whatever changes between the reading and the
        call would be acknowledged unseen. Nothing is kept: what was not taken is in the next pull again.

        :param settled: {order id: event id}
        """
        dialect = self._dialect()
        if not dialect.can_acknowledge or self.state != "live":
            return
        order_ids = list(settled)
        for start in range(0, len(order_ids), dialect.batch_size):
            batch = order_ids[start : start + dialect.batch_size]
            results = self.env["marketplace.api"]._acknowledge_orders(self, batch)
            taken = [
                settled[key] for key, result in zip(batch, results, strict=True) if result.ok is not False
            ]
            refused = [result.reason for result in results if result.ok is False]
            self._committed("_note_acknowledged", taken, refused[:1])

    def _note_acknowledged(self, taken, refused):
        self.env["marketplace.event"].browse(taken).write({"acknowledged_at": fields.Datetime.now()})
        for reason in refused:
            message = _("An acknowledgement was refused: %s", payload.printable(reason or ""))
            self.env["marketplace.sync.log"]._log_hourly(self, "pull", message)

    def _job_steps(self):
        """Tell the marketplace the orders' statuses, each order's in their order, until none waits."""
        with self._locked("steps"):
            self._until_done("steps", self._send_next_step)

    def _send_next_step(self):
        call = self._committed("_claim_step")
        if call:
            outcome, error = self.env["marketplace.order.step"]._try(self, call)
            self._committed("_conclude_step", call.step_id, outcome, error)
        return call

    def _claim_step(self):
        return self._may_work("steps") and self.env["marketplace.order.step"]._next_call(self)

    def _conclude_step(self, step_id, outcome, error):
        """Keep what became of a call, unless the marketplace's own message has settled the step meanwhile."""
        if outcome == "_postpone":
            self._stop("steps", error)
        elif outcome != "_fail":
            self._state("steps")._succeed()
        step = self.env["marketplace.order.step"].browse(step_id).exists()
        if step.state in OPEN:
            getattr(step, outcome)(error)

    # -- trouble ------------------------------------------------------------------------------

    def _stop(self, kind, error):
        """Decide what a failed run means: wait and go on by itself, or wait for a person.

        :param MarketplaceError error: what the marketplace said
        """
        self.env["marketplace.sync.log"]._log_hourly(self, kind, str(error))
        if isinstance(error, CredentialsRefused):
            self._stop_for_credentials(error)
        elif isinstance(error, Unavailable):
            self._enqueue(kind, delay=self._state(kind)._back_off(str(error), error.retry_after))
        elif isinstance(error, Refused | PayloadError):
            # Repeating it unchanged would be refused again: the next regular run tries once more.
            self._state(kind)._back_off(str(error), self.pull_interval * 60)

    def _stop_for_credentials(self, error):
        """Stop every call of the account until its credentials change, and ask for a person once."""
        self.sync_state_ids.filtered(lambda state: state.kind != "import")._pause(str(error))
        # Superuser: the acting user may not change accounts.
        self.sudo().write({"connection_status": "refused", "connection_message": str(error)})
        self._ask_for_help("credentials", str(error))

    def _resume_after_new_credentials(self):
        # Superuser: managers have no write access to the state rows.
        self.sudo().sync_state_ids._resume()
        self.connection_status = "unknown"
        self.activity_unlink(["cartona_integration.activity_credentials"])
        self._wake_all()

    def _ask_for_help(self, cause, note):
        """Leave one activity per cause with the account's responsible person.

        Superuser: the acting user may not write on accounts, and an activity needs that.

        :param str cause: ``credentials``, ``messages`` or ``statuses``
        :param str note: what happened, possibly in a marketplace's words
        """
        account, kind = self.sudo(), f"cartona_integration.activity_{cause}"
        if not account.activity_search([kind]):
            account.activity_schedule(
                kind,
                note=escape(payload.printable(note)),
                user_id=(self.responsible_id or self.user_id).id,
            )

    # -- crons --------------------------------------------------------------------------------

    @api.model
    def _cron_pull(self):
        """Start the regular reading of the order lists that are due."""
        for account in self.search([("state", "in", self.WORKING_STATES), ("auto_pull_orders", "=", True)]):
            due = (account.last_order_pull or fields.Datetime.from_string("1970-01-01 00:00:00")) + timedelta(
                minutes=account.pull_interval
            )
            if due <= fields.Datetime.now():
                account._wake("pull")

    @api.model
    def _cron_sweep(self):
        """Find work whose wake-up was lost to a crash; without a job runner, do it here."""
        for account in self.search([("state", "in", self.WORKING_STATES)]):
            # Not in the cron's own transaction: its locks on the resumed rows would last, and the work
            # done here, in transactions of its own, would wait for them for ever.
            account._committed("_resume_holds")
            account._committed("_remark_doubtful")
            stuck = account._has_stuck_jobs()
            for kind in WAITING:
                if account._committed("_has_waiting", kind):
                    account._work_here(kind) if stuck else account._wake(kind)

    def _has_waiting(self, kind):
        return self._may_work(kind) and self.env[WAITING[kind]]._has_waiting(self)

    def _work_here(self, kind):
        """Do a job's work in the cron, because nobody runs jobs."""
        actor = self.with_user(self.user_id).with_company(self.company_id)
        try:
            getattr(actor, f"_job_{kind}")()
        except RetryableJobError:
            _logger.info("Marketplace %s: %s is being worked on elsewhere", self.code, kind)
