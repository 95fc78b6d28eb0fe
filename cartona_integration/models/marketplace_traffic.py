import logging
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial

from markupsafe import escape
from psycopg2 import IntegrityError, InterfaceError, OperationalError
from psycopg2.extensions import STATUS_READY

from odoo import SUPERUSER_ID, api, fields, models
from odoo.service.model import PG_CONCURRENCY_ERRORS_TO_RETRY

from odoo.addons.queue_job.exception import RetryableJobError

from ..dialects import payload
from ..exceptions import CredentialsRefused, PayloadError, Refused, TooManyCalls, Unavailable
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
    "check": 1_731_007,
    "match": 1_731_008,
}
# Kinds of work whose rows tell that something waits: the sweep looks after them.
WAITING = {
    "import": "marketplace.event",
    "steps": "marketplace.order.step",
    "push": "marketplace.mark",
    "link": "marketplace.product.link",
}
# Causes for which a person is asked that end with what waits here: the sweep takes the activities back.
HELPED = {"statuses": "marketplace.order.step", "messages": "marketplace.event"}
# Seconds the other calls rest where a marketplace that limits us does not say how long.
REST = 20
# Kinds of work that call the marketplace for what waits, or for little.
CALLING = {"pull", "steps", "push", "link"}
CONFLICT_TRIES = 6
# A job hands over to a fresh one well before any sensible limit_time_real.
JOB_SECONDS = 40
# Stops a list that never ends.
MAX_PAGES = 20_000
# A list that was left for longer is read from its beginning: its pages have shifted.
STALE_AFTER = timedelta(hours=6)
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


@contextmanager
def without_transaction(cr):
    """Have each statement cost one round trip to the server instead of three; it is committed by itself.

    Where a transaction has begun, as in a test it always has, the statements belong to that.
    """
    connection = cr.connection
    if connection.status != STATUS_READY:
        yield
        return
    level, readonly = connection.isolation_level, connection.readonly
    # In this order nothing of it is told to the server: defaults need no word.
    connection.isolation_level = connection.readonly = None
    connection.autocommit = True
    try:
        yield
    finally:
        if not connection.closed:
            connection.autocommit = False
            connection.isolation_level, connection.readonly = level, readonly


class MarketplaceConfig(models.Model):
    """How an account's messages travel: wake-ups, locks, jobs, crons."""

    _inherit = "marketplace.config"

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
                postcommit.add(partial(account._wake_now, kind))

    def _wake_all(self):
        for kind in LOCKS:
            self._wake(kind)

    @api.model
    def _wake_held_imports(self):
        """Have messages on hold looked at again. Superuser: whoever edits a product sees no accounts."""
        self.sudo().search([("state", "in", self.WORKING_STATES)])._wake("import")

    def _wake_now(self, kind):
        """Add a job after a commit, unless one is waiting that will see what was committed.

        An error is only logged: the change itself is committed and the sweep finds it. Looking there on the
        cursor that has just committed spares a connection on the webhook's hot path: what it reads now is
        younger than the change.
        """
        try:
            with without_transaction(self.env.cr):
                is_cared_for = self._is_cared_for(kind)
            if not is_cared_for:
                with self.env.registry.cursor() as own:
                    self.with_env(api.Environment(own, SUPERUSER_ID, {}))._add_job(kind)
        except (OperationalError, InterfaceError):
            _logger.warning("Marketplace account %s: wake-up of %s left to the sweep", self.id, kind)

    def _enqueue(self, kind, delay=None):
        """Add a job for this kind of work, unless one is due already.

        :param float delay: seconds from now; such a job resumes after a pause and never hides a wake-up
        """
        self.ensure_one()
        if delay or not self._is_cared_for(kind):
            self._add_job(kind, delay)

    def _add_job(self, kind, delay=None):
        actor = self._speaking()._as_actor()
        job = actor.with_delay(
            max_retries=0,
            eta=delay and timedelta(seconds=delay),
            identity_key=None if delay else self._job_identity(kind),
            description=f"{self.name}: {kind}",
        )
        getattr(job, f"_job_{kind}")()

    def _job_identity(self, kind):
        return f"marketplace.{kind}.{self.id}"

    def _is_cared_for(self, kind):
        """Tell whether a job waits that will see all there is, or the work pauses and is resumed later."""
        # One after the other: nearly always a job waits, and a statement is planned anew each time.
        self.env.cr.execute(
            "SELECT 1 FROM queue_job WHERE identity_key = %s AND state IN ('pending', 'enqueued') LIMIT 1",
            [self._job_identity(kind)],
        )
        if self.env.cr.rowcount:
            return True
        self.env.cr.execute(
            "SELECT 1 FROM marketplace_sync_state"
            " WHERE account_id = %s AND kind = %s AND pause_reason IS NOT NULL"
            " AND (paused_until IS NULL OR paused_until > now() AT TIME ZONE 'UTC')",
            [self.id, kind],
        )
        return bool(self.env.cr.rowcount)

    def _has_stuck_jobs(self):
        """Tell whether jobs are due for so long that no job runner can be working."""
        self.env.cr.execute(
            "SELECT 1 FROM queue_job WHERE identity_key = ANY(%s) AND state = 'pending'"
            " AND greatest(date_created, eta) < %s LIMIT 1",
            [
                [self._job_identity(kind) for kind in LOCKS],
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

    def _rehearse(self, method, *args):
        """Run one of the account's methods as its jobs would, in a transaction that is taken back.

        :return: what the method returns: plain values, as its records end with the transaction
        """
        with self.env.registry.cursor() as cr:
            account = self.with_env(self.env(cr=cr))._as_actor()
            try:
                return getattr(account, method)(*args)
            finally:
                # What it collected for the commit, wake-ups and mails, goes too.
                cr.rollback()

    def _as_actor(self):
        """Give the account as its jobs see it."""
        return self.with_user(self.user_id).with_company(self.company_id)

    def _until_done(self, kind, work):
        """Call ``work`` until it returns a false value, or hand over to a fresh job when time is up."""
        deadline = time.monotonic() + JOB_SECONDS
        while work():
            if time.monotonic() > deadline:
                self._committed("_enqueue", kind)
                return

    def _may_work(self, kind):
        return self.active and self.state in self.WORKING_STATES and not self._state(kind)._is_paused()

    # -- jobs ---------------------------------------------------------------------------------

    def _job_import(self):
        """Turn stored messages into orders, oldest first, until none waits."""
        with self._locked("import"):
            self._committed("_resume_holds")
            self._until_done("import", self._import_batch)
            if not self._may_work("import"):
                self._keep_back_waiting()

    def _keep_back_waiting(self):
        """Take what orders want that wait for a pause's end off what the other accounts offer."""
        ids = self._committed("_waiting_orders")
        for start in range(0, len(ids), IMPORT_BATCH):
            self._committed("_keep_back_orders", ids[start : start + IMPORT_BATCH])

    def _waiting_orders(self):
        return self.env["marketplace.event"]._waiting_orders(self).ids

    def _keep_back_orders(self, ids):
        for event in self.env["marketplace.event"].browse(ids).exists():
            if event.state == "new":  # nobody has ignored it since: that would keep its goods for ever
                event._keep_wanted()

    def _resume_holds(self):
        self._hand_over_holds()
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

    def _job_steps(self):
        """Tell the marketplace the orders' statuses, each order's in their order, until none waits."""
        with self._locked("steps"):
            self._until_done("steps", self._send_next_step)

    def _send_next_step(self, order_id=None):
        """Send the next step, of all or of one order.

        :return: false when none waits
        """
        call = self._committed("_claim_step", order_id)
        if call:
            outcome, error = self.env["marketplace.order.step"]._try(self, call)
            self._committed("_conclude_step", call.step_id, outcome, error)
        return call

    def _claim_step(self, order_id=None):
        return self._may_work("steps") and self.env["marketplace.order.step"]._next_call(self, order_id)

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
            pause = self._state(kind)._back_off(str(error), error.retry_after)
            self._enqueue(kind, delay=pause)
            if isinstance(error, TooManyCalls):
                self._rest_from_calling(kind, str(error), error.retry_after or REST)
        elif isinstance(error, Refused | PayloadError):
            # Repeating it unchanged would be refused again: the next regular run tries once more.
            self._state(kind)._back_off(str(error), self.pull_interval * 60)

    def _rest_from_calling(self, limited, reason, seconds):
        """Have the account's other calls wait, too: the marketplace counts all of them.

        Only as long as it says: where it limits one kind of calls, and never says so, the others go on.

        All listings are read once a day and take many calls: only a reading under way has to be resumed.
        """
        until = fields.Datetime.now() + timedelta(seconds=seconds)
        for state in self.sync_state_ids - self._state(limited):
            calls = state.kind in CALLING or (state.kind == "listings" and state.cursor)
            if calls and (not state.pause_reason or (state.paused_until and state.paused_until < until)):
                state._pause(reason, seconds)
                self._enqueue(state.kind, delay=seconds)

    def _stop_for_credentials(self, error):
        """Stop every call of the account until its credentials change, and ask for a person once."""
        self.sync_state_ids.filtered(lambda state: state.kind != "import")._pause(str(error))
        # Superuser: the acting user may not change accounts.
        self.sudo().write({"connection_status": "refused", "connection_message": str(error)})
        self._ask_for_help("credentials", str(error))

    def _resume_after_refusal(self):
        """Go on after a refusal: the credentials or the address changed, or a test went well."""
        if not self:
            return
        # Superuser: managers have no write access to the state rows.
        self.sudo().sync_state_ids._resume()
        self.connection_status = "unknown"
        self.activity_unlink(["cartona_integration.activity_credentials"])
        self._wake_all()

    def _speaking(self):
        """Give the account in the language of the person who reads about it: jobs, calls, crons have none."""
        return self.with_context(lang=(self.responsible_id or self.user_id).lang)

    def _ask_for_help(self, cause, note):
        """Leave one activity per cause with the account's responsible person.

        Superuser: the acting user may not write on accounts, and an activity needs that.

        :param str cause: ``clock``, ``credentials``, ``messages``, ``runner`` or ``statuses``
        :param str note: what happened, possibly in a marketplace's words
        """
        person = self.responsible_id or self.user_id
        # A job has no language of its own: the title would be English.
        account, kind = self.sudo().with_context(lang=person.lang), f"cartona_integration.activity_{cause}"
        note = escape(payload.printable(note))
        # Who is asked already reads of the newest trouble.
        if asked := account.activity_search([kind]):
            asked.note = note
        else:
            account.activity_schedule(kind, note=note, user_id=person.id)

    def _forget_help(self, cause):
        """Take an activity back when nothing is left that asked for it. Superuser: as above.

        :param str cause: one of ``HELPED``
        """
        account, kind = self.sudo(), [f"cartona_integration.activity_{cause}"]
        if account.activity_search(kind) and not self.env[HELPED[cause]]._needs_help(self):
            account.activity_unlink(kind)

    def _forget_settled(self):
        """Look for activities to take back here, and not where work is settled: that is most of the work."""
        for cause in HELPED:
            self._forget_help(cause)

    # -- crons --------------------------------------------------------------------------------

    @api.model
    def _cron_sweep(self):
        """Find work whose wake-up was lost to a crash; without a job runner, do it here.

        Each account has its turn: an error at one of them is raised when the others are done.
        """
        with ExitStack() as turns:
            for account in self.search([("state", "in", self.WORKING_STATES)], order="id desc"):
                turns.callback(account._sweep)

    def _sweep(self):
        """Find the account's work.

        Nothing of it in the cron's own transaction: its locks on the resumed rows would last, and the work
        done here, in transactions of its own, would wait for them for ever. Wake-ups would end with an error.
        """
        self._committed("_resume_holds")
        self._committed("_remark_doubtful")
        self._committed("_forget_settled")
        stuck = self._has_stuck_jobs()
        self._speaking()._committed("_mind_job_runner", stuck)
        for kind in WAITING:
            if self._committed("_has_waiting", kind):
                self._work_here(kind) if stuck else self._committed("_wake", kind)
        if stuck and self._committed("_is_list_due"):
            self._work_here("pull")
        if stuck:
            self._work_off_jobs()

    def _has_waiting(self, kind):
        return self._may_work(kind) and self.env[WAITING[kind]]._has_waiting(self)

    def _work_here(self, kind):
        """Do a job's work in the cron, because nobody runs jobs."""
        actor = self._speaking()._as_actor()
        try:
            getattr(actor, f"_job_{kind}")()
        except RetryableJobError:
            _logger.info("Marketplace %s: %s is being worked on elsewhere", self.code, kind)
