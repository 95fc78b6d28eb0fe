from pathlib import Path

from ..hooks import uninstall_hook
from ..models.marketplace_traffic import IDENTITY_INDEXES, MarketplaceConfig
from .common import MarketplaceCase

ADDON = "odoo.addons.cartona_integration."
NEUTRALIZE = Path(__file__).parent.parent / "data" / "neutralize.sql"


class TestHooks(MarketplaceCase):
    """What the addon leaves in the database, and what it takes away."""

    def neutralize(self):
        self.env.flush_all()
        self.cr.execute(NEUTRALIZE.read_text())
        self.env.invalidate_all()

    def job(self, state):
        self.rest._enqueue("pull", delay=60)
        job = self.env["queue.job"].search(
            [("model_name", "=", "marketplace.config")], order="id desc", limit=1
        )
        job.state = state
        return job

    def test_a_neutralized_copy_has_no_secrets(self):
        for _number in range(2):
            self.rest.action_rotate_webhook_secret()
        self.neutralize()
        for account in (self.cartona, self.rest):
            self.assertFalse(account.sudo().auth_secret or account.sudo().webhook_token_digest)
            self.assertFalse(account.auth_token or account.webhook_token or account.webhook_secret)
            self.assertFalse(account.sudo().webhook_secret_current or account.sudo().webhook_secret_previous)

    def test_a_neutralized_copy_lets_nobody_in(self):
        self.neutralize()
        accounts = self.env["marketplace.config"]
        for key in (None, self.rest.webhook_key):
            self.assertFalse(
                accounts._authenticate_webhook(key, {"Authorization": "Bearer hook-of-rest_test"})
            )

    def test_a_neutralized_copy_calls_nobody(self):
        self.neutralize()
        self.assertEqual((self.cartona | self.rest).mapped("state"), ["draft", "draft"])
        for account in (self.cartona, self.rest):
            for kind in account.sync_state_ids.mapped("kind"):
                self.run_job(account, kind)
        self.env["marketplace.config"]._cron_pull()
        self.env["marketplace.config"]._cron_sweep()
        self.assertFalse(self.door.requests)

    def test_a_neutralized_copy_has_no_waiting_jobs(self):
        jobs = self.job("pending") | self.job("enqueued") | self.job("done")
        self.neutralize()
        self.assertEqual(sorted(jobs.mapped("state")), ["cancelled", "cancelled", "done"])

    def test_uninstalling_cancels_what_has_not_run_and_leaves_the_rest(self):
        done, started = self.job("done"), self.job("started")
        waiting = self.job("pending")
        uninstall_hook(self.env)
        self.assertEqual((waiting.state, started.state, done.state), ("cancelled", "started", "done"))

    def test_uninstalling_without_jobs_is_no_error(self):
        uninstall_hook(self.env)

    def test_every_job_is_declared_with_its_channel(self):
        jobs = {f"_job_{kind}" for kind in self.env["marketplace.sync.state"].KINDS}
        declared = self.env["queue.job.function"].search(
            [("model_id.model", "=", MarketplaceConfig._inherit)]
        )
        self.assertEqual(set(declared.mapped("method")), jobs)
        self.assertEqual(declared.channel_id, self.env.ref("cartona_integration.channel_marketplace"))

    def test_every_kind_of_work_has_its_job_and_each_account_its_row(self):
        model = self.env["marketplace.config"]
        for kind in self.env["marketplace.sync.state"].KINDS:
            self.assertTrue(callable(getattr(model, f"_job_{kind}")))
            self.assertEqual(len(self.rest._state(kind)), 1)

    def test_an_account_older_than_a_kind_of_work_gets_its_row_by_the_upgrade(self):
        self.rest._state("steps").unlink()
        self.env.flush_all()
        for _time in range(2):
            self.env["marketplace.sync.state"].init()
            self.env.invalidate_all()
            self.assertEqual(len(self.rest._state("steps")), 1)
            self.assertEqual(len(self.rest.sync_state_ids), len(self.env["marketplace.sync.state"].KINDS))

    def test_the_crons_run_for_ever_and_do_what_they_say(self):
        self.wakeups.clear()
        for name in ("cron_pull", "cron_sweep"):
            cron = self.env.ref(f"cartona_integration.{name}")
            self.assertTrue(cron.active)
            # Later series know no other crons.
            if "numbercall" in cron._fields:  # port: same
                self.assertEqual(cron.numbercall, -1)  # port: same
            cron.method_direct_trigger()
        self.assertIn((self.rest.id, "pull"), self.wakeups)

    def test_the_unique_indexes_the_races_are_decided_by_exist(self):
        self.cr.execute(
            "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid"
            " WHERE indisunique AND indisvalid AND relname = ANY(%s)",
            [list(IDENTITY_INDEXES)],
        )
        self.assertEqual({name for [name] in self.cr.fetchall()}, IDENTITY_INDEXES)

    def test_an_upgrade_locks_no_table_against_those_who_write(self):
        """Orders come in meanwhile: who waits for the upgrade while it waits for him is a deadlock."""
        begun = self.barring_locks()
        for name, model in self.env.registry.items():
            if any("init" in vars(part) and ADDON in part.__module__ for part in model.mro()):
                self.env[name].init()
        self.assertEqual(self.barring_locks(), begun)

    def barring_locks(self):
        self.cr.execute(
            "SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND mode IN"
            " ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
            " AND locktype = 'relation'"
        )
        return self.cr.fetchall()
