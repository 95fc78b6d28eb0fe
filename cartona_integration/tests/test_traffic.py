import gc
import json
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from unittest.mock import patch

from psycopg2 import ProgrammingError
from psycopg2.extensions import STATUS_BEGIN, STATUS_READY

from odoo import fields
from odoo.sql_db import db_connect
from odoo.tools import mute_logger

from odoo.addons.queue_job.exception import RetryableJobError
from odoo.addons.queue_job.job import Job

from ..dialects import payload, reading
from ..dialects.cartona import Cartona
from ..dialects.words import Answer
from ..exceptions import TooManyCalls, Unavailable
from ..models import marketplace_feed, marketplace_sync_state
from ..models.marketplace_event_hold import MarketplaceEvent
from ..models.marketplace_traffic import (
    CONFLICT_TRIES,
    LOCKS,
    STUCK_AFTER,
    MarketplaceConfig,
    without_transaction,
)
from .common import MarketplaceCase, ok, sample

# The base case patches it away; here the real one is the subject.
REAL_WAKE = MarketplaceConfig._wake


class TrafficCase(MarketplaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for key in ("TEA-25", "SUGAR-1"):
            cls.make_product(key)

    def neutral(self, order_id="N1", at="2026-11-12T10:00:00Z", key="TEA-25"):
        return {
            "id": order_id,
            "status": "pending",
            "modified_at": at,
            "currency": self.env.company.currency_id.name,
            "total": 10,
            "customer": {"id": "C1", "name": "Shop"},
            "lines": [{"id": "1", "sku": key, "quantity": 1, "unit_price": 10}],
        }

    def cartona_order(self, order_id="K1", **changes):
        [row] = payload.loads(sample("cartona/order_pending"))
        return {**row, "hashed_id": order_id, **changes}

    def jobs(self, account, kind=None):
        domain = [("model_name", "=", "marketplace.config")]
        jobs = self.env["queue.job"].search(domain, order="id")
        return jobs.filtered(
            lambda job: (
                job.records == account and job.method_name in (f"_job_{kind}", kind or job.method_name)
            )
        )

    def pass_time(self, account, kind):
        """Let the pause of a kind of work be over."""
        account._state(kind).paused_until = fields.Datetime.now() - timedelta(seconds=1)

    def assert_seconds(self, moment, seconds):
        """Check that a stored time is so many seconds from now, give or take a quarter."""
        found = (moment - fields.Datetime.now()).total_seconds()
        self.assertAlmostEqual(found, seconds, delta=abs(seconds) * 0.26 + 2)


class TestTransactions(TrafficCase):
    """Locks and short transactions."""

    def test_a_busy_account_postpones_the_job_by_a_second_without_counting_it(self):
        # A second connection: an advisory lock never stops its own.
        with self.registry._db.cursor() as elsewhere:
            elsewhere.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS["import"], self.rest.id])
            with self.assertRaises(RetryableJobError) as caught:
                self.run_job(self.rest, "import")
            self.assertEqual((caught.exception.seconds, caught.exception.ignore_retry), (1, True))
            self.run_job(self.cartona, "import")  # nobody holds this one's lock
        self.run_job(self.rest, "import")

    def commit_raising(self, code, times, constraint=""):
        """Run a method in a short transaction that PostgreSQL refuses the given times; count the attempts."""
        self.attempts = 0

        def _probe(account):
            self.attempts += 1
            if self.attempts <= times:
                account.env.cr.execute(
                    f"DO $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '{code}',"
                    f" CONSTRAINT = '{constraint}'; END $$",
                    log_exceptions=False,
                )
            return "result"

        with patch.object(MarketplaceConfig, "_probe", _probe, create=True):
            return self.rest._committed("_probe")

    def test_a_conflict_repeats_the_transaction(self):
        for code in ("40001", "55P03", "40P01"):
            self.assertEqual(self.commit_raising(code, 2), "result")
            self.assertEqual(self.attempts, 3)

    def test_a_conflict_that_stays_ends_in_the_error(self):
        with self.assertRaises(Exception) as caught:
            self.commit_raising("40001", 100)
        self.assertEqual((caught.exception.pgcode, self.attempts), ("40001", CONFLICT_TRIES))

    def test_a_lost_race_for_an_identity_repeats_the_transaction(self):
        self.assertEqual(self.commit_raising("23505", 1, "marketplace_event_identity_uniq"), "result")

    def test_another_violation_is_an_error_at_once(self):
        for code, constraint in (
            ("23505", "res_users_login_key"),
            ("23502", ""),
            ("23503", "x"),
            ("57014", ""),
        ):
            with self.assertRaises(Exception) as caught:
                self.commit_raising(code, 1, constraint)
            self.assertEqual((caught.exception.pgcode, self.attempts), (code, 1))

    def test_what_was_written_is_stored_even_when_its_environment_is_collected_first(self):
        with self.env.registry.cursor() as cursor:  # a class of the tests, at another place in each series
            cursor_class = type(cursor)
        commit = cursor_class.commit

        def collecting(cursor):
            gc.collect()
            commit(cursor)

        self.receive(self.rest, self.neutral(), run=False)
        with patch.object(cursor_class, "commit", collecting):
            for tries in range(1, 4):
                self.rest.with_user(self.rest.user_id)._committed("_claim_events")
                self.cr.execute("SELECT tries FROM marketplace_event WHERE account_id = %s", [self.rest.id])
                self.assertEqual(self.cr.fetchone(), (tries,))


class TestWakeUp(TrafficCase):
    """Many changes, one job, and never none."""

    def setUp(self):
        super().setUp()
        self.startPatcher(patch.object(MarketplaceConfig, "_wake", REAL_WAKE))
        self.env.cr.postcommit.clear()  # what activating the accounts asked for

    def wake(self, account=None, kind="import"):
        """Wake as a business transaction does, and commit it."""
        (account or self.rest)._wake(kind)
        self.env.flush_all()
        self.env.cr.postcommit.run()
        self.env.invalidate_all()

    def test_many_wake_ups_add_one_job(self):
        for _number in range(3):
            self.rest._wake("import")
            self.wake()
        self.assertEqual(len(self.jobs(self.rest)), 1)

    def test_nothing_is_added_before_the_commit(self):
        self.rest._wake("import")
        self.env.flush_all()
        self.assertFalse(self.jobs(self.rest))

    def statements(self, change):
        """Count the statements of something."""
        self.env.flush_all()
        before = self.cr.sql_log_count
        change()
        self.env.flush_all()
        return self.cr.sql_log_count - before

    def test_a_wake_up_takes_three_statements_where_a_job_waits_and_ten_where_none_does(self):
        self.rest._enqueue("pull")  # warm
        self.assertLessEqual(self.statements(lambda: self.rest._enqueue("import")), 10)
        self.assertLessEqual(self.statements(lambda: self.rest._enqueue("import")), 3)

    def test_the_acknowledgement_takes_one_statement_and_three_where_the_order_is_known(self):
        key, headers = self.cartona.webhook_key, {"Authorization": "Bearer hook-of-cartona_test"}
        order = json.loads(sample("cartona/order_pending"))[0]

        def receive(number, status="pending"):
            raw = json.dumps(order | {"hashed_id": f"K{number}", "status": status}).encode()
            self.env.invalidate_all()  # a request knows nothing of the one before
            door = self.env["marketplace.config"]._authenticate_webhook(key, headers)
            account = self.env["marketplace.config"].browse(door.account_id)
            return account._receive(door.messages("orders", raw, headers))

        for number in range(3):
            receive(number)
        self.assertEqual(self.statements(lambda: self.assertEqual(receive(3), (1, 0))), 1)
        self.assertEqual(self.statements(lambda: self.assertEqual(receive(3), (0, 1))), 2)
        self.assertEqual(self.statements(lambda: self.assertEqual(receive(3, "approved"), (1, 0))), 3)
        self.assertEqual(len(self.events(self.cartona)), 5)

    def test_looking_after_a_commit_leaves_the_connection_as_it_was(self):
        # A connection of its own: those of the tests are all in one transaction.
        with db_connect(self.cr.dbname).cursor() as cr:
            with without_transaction(cr):
                cr.execute("SHOW transaction_isolation")
                self.assertEqual(cr.fetchone(), ("read committed",))
                self.assertEqual(cr.connection.status, STATUS_READY, "nothing waits for an end")
            cr.execute("SHOW transaction_isolation")
            self.assertEqual(cr.fetchone(), ("repeatable read",))
            self.assertEqual(cr.connection.status, STATUS_BEGIN)
            with without_transaction(cr):
                cr.execute("SELECT txid_current()")
                inside = cr.fetchone()
            cr.execute("SELECT txid_current()")
            self.assertEqual(cr.fetchone(), inside, "a transaction that has begun goes on")
            cr.rollback()
            with self.assertRaises(ProgrammingError), mute_logger("odoo.sql_db"), without_transaction(cr):
                cr.execute("SELECT nothing_known")
            cr.execute("SHOW transaction_isolation")
            self.assertEqual(cr.fetchone(), ("repeatable read",), "also after an error")

    def test_a_rolled_back_transaction_wakes_nobody(self):
        self.rest._wake("import")
        self.env.cr.postcommit.clear()  # as a rollback does
        self.env.cr.postcommit.run()
        self.assertFalse(self.jobs(self.rest))

    def test_a_job_that_started_does_not_hide_a_wake_up(self):
        self.wake()
        self.jobs(self.rest).state = "started"
        self.wake()
        self.wake()
        self.assertEqual(self.jobs(self.rest).mapped("state"), ["started", "pending"])

    def test_an_enqueued_job_is_enough(self):
        self.wake()
        self.jobs(self.rest).state = "enqueued"
        self.wake()
        self.assertEqual(len(self.jobs(self.rest)), 1)

    def test_jobs_that_ended_do_not_hide_a_wake_up(self):
        for state in ("done", "failed", "cancelled"):
            self.wake()
            self.jobs(self.rest)[-1].state = state
        self.wake()
        self.assertEqual(len(self.jobs(self.rest)), 4)

    def test_a_job_that_resumes_later_does_not_hide_a_wake_up(self):
        self.rest._enqueue("pull", delay=3600)
        self.wake(kind="pull")
        waiting, now = self.jobs(self.rest)
        self.assertFalse(waiting.identity_key)
        self.assert_seconds(waiting.eta, 3600)
        self.assertFalse(now.eta)

    def test_accounts_and_kinds_have_jobs_of_their_own(self):
        self.wake()
        self.wake(kind="pull")
        self.wake(self.cartona)
        self.assertEqual(
            set((self.jobs(self.rest) | self.jobs(self.cartona)).mapped("identity_key")),
            {
                f"marketplace.import.{self.rest.id}",
                f"marketplace.pull.{self.rest.id}",
                f"marketplace.import.{self.cartona.id}",
            },
        )

    def test_the_job_acts_as_the_accounts_user_in_its_company_with_nothing_in_its_context(self):
        company = self.env["res.company"].create({"name": "Other"})
        other = self.make_account("rest", code="rest_two", company_id=company.id)
        self.env.cr.postcommit.clear()
        self.wake(other.with_context(marketplace_account=self.rest.id, active_test=False))
        job = self.jobs(other)
        self.assertEqual((job.user_id, job.company_id), (other.user_id, company))
        self.assertEqual((job.max_retries, job.args, job.kwargs), (0, [], {}))
        env = Job.load(self.env, job.uuid).recordset.env
        self.assertEqual(env.uid, other.user_id.id)
        self.assertEqual(env.company, company)
        self.assertFalse(env.su)
        self.assertNotIn("marketplace_account", env.context)

    def test_the_job_does_the_work(self):
        with patch.object(MarketplaceConfig, "_wake", lambda *args: None):
            self.receive(self.rest, self.neutral(), run=False)
        self.wake()
        Job.load(self.env, self.jobs(self.rest).uuid).perform()
        self.env.invalidate_all()
        self.assertEqual(self.events().state, "done")
        self.assertEqual(self.order(self.rest, "N1").create_uid, self.rest.user_id)

    def test_a_wake_up_that_cannot_be_stored_does_not_harm_the_change(self):
        def _add_job(account, kind, delay=None):
            account.env.cr.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '57P01'; END $$", log_exceptions=False
            )

        logger = "odoo.addons.cartona_integration.models.marketplace_traffic"
        with patch.object(MarketplaceConfig, "_add_job", _add_job), self.assertLogs(logger, "WARNING"):
            self.wake()


class TestPull(TrafficCase):
    """Reading the order list."""

    def feed(self, *orders, next_page=None):
        return ok({"orders": list(orders), "next_page": next_page})

    def run_pull(self, *answers):
        self.door.will("orders", *answers)
        self.run_job(self.rest, "pull")

    def test_all_pages_are_read(self):
        self.receive(self.rest, self.neutral("A"), run=False)
        self.run_pull(self.feed(self.neutral("A"), next_page=2), self.feed(next_page=3), self.feed())
        self.assertEqual([dict(asked.query)["page"] for asked in self.door.requests], ["1", "2", "3"])

    def test_pages_with_news_are_read_twice_as_an_order_may_have_slid_between_them(self):
        pages = self.feed(self.neutral("A"), next_page=2), self.feed(self.neutral("C"))
        slid = self.feed(self.neutral("B"), next_page=2), self.feed(self.neutral("C"))
        self.run_pull(*pages, *slid)
        self.assertEqual(self.events().mapped("external_order_id"), ["A", "C", "B"])
        self.assertEqual([dict(asked.query)["page"] for asked in self.door.requests], ["1", "2", "1", "2"])
        self.assertIn((self.rest.id, "import"), self.wakeups)

    def pages_asked(self):
        return [dict(asked.query)["page"] for asked in self.door.requests]

    def test_a_list_that_takes_longer_than_a_job_may_is_read_by_several(self):
        pages = [self.feed(self.neutral(name), next_page=number) for name, number in (("A", 2), ("B", 3))]
        self.door.will("orders", *pages, self.feed(self.neutral("C")))
        with patch.object(marketplace_feed, "JOB_SECONDS", -1):
            for number in range(1, 4):
                self.run_job(self.rest, "pull")
                self.assertEqual(len(self.door.requests), number)
                self.assertFalse(self.rest._state("pull").cursor)
                self.assertEqual(len(self.jobs(self.rest)), 1, "a fresh job goes on")
        self.assertEqual(self.events().mapped("external_order_id"), ["A", "B", "C"])
        self.door.will("orders", self.feed(self.neutral("A"), next_page=2), self.feed())
        self.run_job(self.rest, "pull")
        self.assertEqual(self.pages_asked(), ["1", "2", "3", "1", "2"])
        self.assertTrue(self.rest._state("pull").cursor)
        self.assertFalse(self.rest._state("pull").reading)
        log = self.env["marketplace.sync.log"].search(
            [("account_id", "=", self.rest.id), ("kind", "=", "pull")]
        )
        self.assertEqual((log.received, log.new), (3, 3))

    def test_what_was_read_before_an_outage_is_not_read_again(self):
        self.run_pull(self.feed(self.neutral("A"), next_page=2), ok(status=503))
        for _time in range(2):
            self.resume(ok(status=503))
        self.resume(self.feed())
        self.assertEqual(self.pages_asked(), ["1", "2", "2", "2", "2"] + ["1"])

    def resume(self, answer):
        self.rest._state("pull")._resume()
        self.run_pull(answer)

    def test_a_page_that_is_gone_makes_the_reading_begin_anew(self):
        self.rest.import_from = "2026-11-01 08:00:00"
        self.run_pull(self.feed(self.neutral("A"), next_page=2), ok({"error": "no such page"}, status=410))
        self.resume(self.feed())
        self.assertEqual(self.pages_asked(), ["1", "2", "1"])
        self.assertEqual(dict(self.door.requests[-1].query)["since"], "2026-11-01T08:00:00Z")

    def test_a_page_that_fails_again_and_again_makes_the_reading_begin_anew(self):
        self.run_pull(self.feed(self.neutral("A"), next_page=2), ok(status=503))
        for _time in range(marketplace_feed.PAGE_TRIES + 1):
            self.resume(ok(status=503))
        self.assertEqual(self.pages_asked(), ["1", *["2"] * (marketplace_feed.PAGE_TRIES + 1), "1"])

    def test_another_address_has_other_pages(self):
        with patch.object(marketplace_feed, "JOB_SECONDS", -1):
            self.run_pull(self.feed(self.neutral("A"), next_page=2))
        self.rest.api_base_url = "https://other.test/"
        self.run_pull(self.feed())
        self.assertEqual(self.pages_asked(), ["1", "1"])

    def test_a_reading_that_was_left_for_long_begins_anew(self):
        with patch.object(marketplace_feed, "JOB_SECONDS", -1):
            self.run_pull(self.feed(self.neutral("A"), next_page=2))
        state = self.rest._state("pull")
        state.reading = {**state.reading, "left": "2026-11-01T00:00:00+00:00"}
        self.run_pull(self.feed())
        self.assertEqual(self.pages_asked(), ["1", "1"])

    def test_the_first_reading_asks_for_everything(self):
        self.run_pull(self.feed())
        self.assertNotIn("since", dict(self.door.requests[0].query))

    def test_the_first_reading_begins_where_orders_are_wanted(self):
        self.rest.import_from = "2026-11-01 08:00:00"
        self.run_pull(self.feed())
        self.assertEqual(dict(self.door.requests[0].query)["since"], "2026-11-01T08:00:00Z")

    def test_the_next_reading_begins_with_the_newest_stored_order_and_an_overlap(self):
        self.run_pull(
            self.feed(self.neutral("A", "2026-11-12T10:00:00Z"), self.neutral("B", "2026-11-12T09:00:00Z"))
        )
        self.run_pull(self.feed())
        self.assertEqual(dict(self.door.requests[1].query)["since"], "2026-11-12T09:55:00Z")

    def test_the_place_never_moves_back_and_never_follows_our_clock(self):
        self.run_pull(self.feed(self.neutral("A", "2026-11-12T10:00:00Z")))
        self.run_pull(self.feed(self.neutral("B", "2026-11-10T10:00:00Z")))
        self.run_pull(self.feed())
        found = reading.timestamp(self.rest._state("pull").cursor)
        self.assertEqual(found, datetime(2026, 11, 12, 10, tzinfo=timezone.utc))

    def test_only_a_list_that_was_read_to_its_end_moves_the_place(self):
        self.run_pull(self.feed(self.neutral("A", "2026-11-12T10:00:00Z"), next_page=2), ok(status=500))
        self.assertFalse(self.rest._state("pull").cursor)

    def test_a_time_that_has_not_come_yet_is_no_place(self):
        orders = self.neutral("A", "2099-01-01T00:00:00Z"), self.neutral("B", "2026-11-12T10:00:00Z")
        self.run_pull(self.feed(*orders))
        found = reading.timestamp(self.rest._state("pull").cursor)
        self.assertEqual(found, datetime(2026, 11, 12, 10, tzinfo=timezone.utc))

    def test_a_feed_without_modification_times_has_no_place(self):
        self.pull(self.cartona, [self.cartona_order()])
        self.assertFalse(self.cartona._state("pull").cursor)
        self.pull(self.cartona, [])
        self.assertEqual(self.door.asked("orders")[0].query, self.door.asked("orders")[1].query)

    def test_a_broken_second_page_keeps_the_first(self):
        self.run_pull(self.feed(self.neutral("A"), next_page=2), ok(status=500))
        self.assertEqual(self.events().mapped("external_order_id"), ["A"])
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.assertFalse(self.rest.last_order_pull)
        self.assertTrue(self.rest._state("pull")._is_paused())

    def test_a_page_that_is_not_what_was_promised_is_no_answer(self):
        for data in ({"orders": []}, {"next_page": None}, [], None, {"orders": {}, "next_page": None}):
            self.pass_time(self.rest, "pull")
            self.run_pull(ok(data))
            self.assertTrue(self.rest._state("pull")._is_paused(), data)
            self.assertFalse(self.rest.last_order_pull)

    def test_a_good_run_is_noted_and_one_with_news_is_logged(self):
        self.run_pull(self.feed(self.neutral("A"), self.neutral("B")))
        self.run_pull(self.feed(self.neutral("A")))
        self.assertTrue(self.rest.last_order_pull)
        log = self.env["marketplace.sync.log"].search([("account_id", "=", self.rest.id)])
        self.assertEqual((log.kind, log.level, log.received, log.new, log.known), ("pull", "info", 2, 2, 0))

    def test_refused_credentials_pause_once_with_one_activity_over_many_runs(self):
        for _number in range(5):
            self.run_pull(ok(status=401))
            self.env["marketplace.config"]._cron_pull()
        self.assertEqual(len(self.door.requests), 1)
        self.assertEqual(len(self.rest.activity_ids), 1)
        self.assertEqual(self.rest.connection_status, "refused")
        self.assertFalse(self.jobs(self.rest))
        self.assertFalse(self.rest._state("pull").paused_until)

    def test_messages_go_on_being_imported_while_the_credentials_are_refused(self):
        self.run_pull(ok(status=403))
        self.receive(self.rest, self.neutral())
        self.assertEqual(self.events().state, "done")

    def test_a_new_token_resumes_what_the_old_one_stopped(self):
        self.run_pull(ok(status=401))
        self.wakeups.clear()
        self.rest.auth_token = "a-new-token"
        self.assertIn((self.rest.id, "pull"), self.wakeups)
        self.assertFalse(self.rest.activity_ids)
        self.run_pull(self.feed(self.neutral()))
        self.assertEqual(len(self.events()), 1)

    def test_a_new_token_leaves_what_else_needs_a_person(self):
        self.run_pull(ok(status=401))
        self.rest._ask_for_help("messages", "Order N1: KeyError")
        self.rest.auth_token = "a-new-token"
        self.assertEqual(self.rest.activity_ids.mapped("summary"), ["Messages failed"])

    def test_the_marketplaces_own_pause_is_kept(self):
        self.run_pull(Answer(429, None, {"Retry-After": "120"}))
        self.assert_seconds(self.rest._state("pull").paused_until, 120)
        job = self.jobs(self.rest, "pull")
        self.assert_seconds(job.eta, 120)
        self.assertFalse(job.identity_key)
        self.run_pull(self.feed())
        self.assertEqual(len(self.door.requests), 1)
        self.pass_time(self.rest, "pull")
        self.run_job(self.rest, "pull")
        self.assertEqual(len(self.door.requests), 2)
        self.assertFalse(self.rest._state("pull").pause_reason)

    def test_too_many_calls_of_one_kind_are_too_many_of_all(self):
        self.rest._state("listings").cursor = "{}"
        self.rest._state("steps")._pause("down", 600)
        later = self.rest._state("steps").paused_until
        self.rest._state("link")._pause("no such token")
        self.run_pull(Answer(429, None, {"Retry-After": "120"}))
        for kind in ("pull", "push", "listings"):
            self.assert_seconds(self.rest._state(kind).paused_until, 120)
            self.assert_seconds(self.jobs(self.rest, kind).eta, 120)
        self.assertEqual(self.rest._state("push").failures, 0)
        self.assertEqual(self.rest._state("steps").paused_until, later, "a longer pause stays")
        self.assertFalse(self.rest._state("link").paused_until, "one that waits for a person, too")
        for kind in ("import", "check", "match"):
            self.assertFalse(self.rest._state(kind).pause_reason, "it makes no calls")
        self.run_pull(Answer(429, None, {"Retry-After": "120"}))
        self.assertEqual(len(self.door.requests), 1)

    def test_where_no_pause_is_told_the_other_calls_go_on_soon_however_often_it_happens(self):
        self.rest._state("push").failures = 8
        self.rest._stop("push", TooManyCalls("HTTP 429"))
        self.assertGreater(self.rest._state("push").paused_until, self.rest._state("pull").paused_until)
        self.assert_seconds(self.rest._state("pull").paused_until, 20)

    def test_a_call_under_way_that_succeeds_ends_no_pause_of_the_account(self):
        self.rest._stop("push", TooManyCalls("HTTP 429", retry_after=600))
        self.rest._state("steps")._succeed()
        self.assertTrue(self.rest._state("steps")._is_paused())
        self.pass_time(self.rest, "steps")
        self.rest._state("steps")._succeed()
        self.assertFalse(self.rest._state("steps").pause_reason)

    def test_a_reading_of_all_listings_is_not_begun_by_a_pause(self):
        self.run_pull(Answer(429, None, {}))
        self.assertFalse(self.jobs(self.rest, "listings"))

    def test_trouble_of_one_kind_leaves_the_others_at_work(self):
        self.run_pull(Answer(503, None, {"Retry-After": "120"}))
        self.assertFalse(self.rest._state("push").pause_reason)

    def test_the_job_that_resumes_does_not_come_before_the_pause_ends(self):
        state = self.rest._state("pull")
        for share in (0.753, 0.999, 1.0, 1.249):
            state._resume()
            with patch.object(marketplace_sync_state, "uniform", lambda *bounds, share=share: share):
                self.run_pull(ok(status=500))
            self.env.flush_all()
            self.env.invalidate_all()
            resumes = self.jobs(self.rest, "pull")[-1].eta
            self.assertGreaterEqual(resumes, state.paused_until)
            self.assertFalse(state.paused_until.microsecond, "as Odoo's now")
            self.pass_time(self.rest, "pull")

    def test_pauses_grow_with_every_failure_up_to_an_hour_and_start_anew_after_a_success(self):
        state = self.rest._state("pull")
        with patch.object(marketplace_sync_state, "uniform", lambda *bounds: 1):
            for seconds in (10, 20, 40, 80):
                self.run_pull(ok(status=500))
                self.assert_seconds(state.paused_until, seconds)
                self.pass_time(self.rest, "pull")
            state.failures = 50
            self.run_pull(ok(status=503))
            self.assert_seconds(state.paused_until, 3600)
            self.pass_time(self.rest, "pull")
            self.run_pull(self.feed())
            self.run_pull(Unavailable("No answer (Timeout)"))
            self.assert_seconds(state.paused_until, 10)

    def test_an_outage_is_one_log_row_an_hour(self):
        for _number in range(3):
            self.run_pull(ok(status=500))
            self.pass_time(self.rest, "pull")
        log = self.env["marketplace.sync.log"].search([("account_id", "=", self.rest.id)])
        self.assertEqual((log.kind, log.level, log.message), ("pull", "error", "HTTP 500"))

    def test_a_refused_call_is_not_repeated_before_the_next_regular_run(self):
        self.run_pull(ok({"error": "no such list"}, status=404))
        self.assertFalse(self.jobs(self.rest))
        self.assert_seconds(self.rest._state("pull").paused_until, self.rest.pull_interval * 60)
        self.run_job(self.rest, "pull")
        self.assertEqual(len(self.door.requests), 1)

    def test_an_account_that_does_not_work_reads_nothing(self):
        for action in ("action_pause", "action_reset_to_draft"):
            getattr(self.rest, action)()
            self.run_job(self.rest, "pull")
        self.assertFalse(self.door.requests)

    def test_only_lists_that_are_due_are_read(self):
        self.run_pull(self.feed())
        self.wakeups.clear()
        self.env["marketplace.config"]._cron_pull()
        self.assertNotIn((self.rest.id, "pull"), self.wakeups)
        self.assertIn((self.cartona.id, "pull"), self.wakeups)
        self.rest._state("pull").last_run -= timedelta(minutes=self.rest.pull_interval)
        self.env.flush_all()
        self.env.invalidate_all()
        self.env["marketplace.config"]._cron_pull()
        self.assertIn((self.rest.id, "pull"), self.wakeups)

    def test_an_account_that_asked_not_to_be_read_is_not(self):
        (self.rest | self.cartona).auto_pull_orders = False
        self.wakeups.clear()
        self.env["marketplace.config"]._cron_pull()
        self.assertFalse(self.wakeups)


class TestAcknowledge(TrafficCase):
    """The marketplace hears of an order only what is true: that the state it shows is safely here."""

    def setUp(self):
        super().setUp()
        self.door.will("acknowledge", ok([]))

    def asked(self):
        return [[row["hashed_id"] for row in request.body] for request in self.door.asked("acknowledge")]

    def show_feed(self, *orders):
        """Let one pull read these orders, without importing them."""
        self.door.will("orders", ok(list(orders)))
        self.run_job(self.cartona, "pull")

    def test_an_order_is_acknowledged_by_the_first_reading_after_its_import_and_not_before(self):
        self.show_feed(self.cartona_order())
        self.show_feed(self.cartona_order())
        self.assertFalse(self.asked())
        self.wakeups.clear()
        self.run_job(self.cartona, "import")
        self.assertIn((self.cartona.id, "pull"), self.wakeups)
        self.assertFalse(self.events().acknowledged_at)
        self.show_feed(self.cartona_order())
        self.assertEqual(self.asked(), [["K1"]])
        self.assertTrue(self.events().acknowledged_at)

    def test_what_the_feed_does_not_show_is_not_acknowledged(self):
        self.pull(self.cartona, [self.cartona_order()])
        self.show_feed()
        self.assertFalse(self.asked())

    def test_an_order_on_hold_is_not_acknowledged(self):
        orders = payload.loads(sample("cartona/order_unknown_product"))
        self.pull(self.cartona, orders)
        self.show_feed(*orders)
        self.assertEqual((self.events().state, self.asked()), ("hold", []))

    def test_an_order_a_webhook_brought_is_acknowledged_when_the_feed_shows_it(self):
        self.receive(self.cartona, payload.dumps(self.cartona_order()).encode())
        self.assertIn((self.cartona.id, "pull"), self.wakeups)
        self.show_feed(self.cartona_order())
        self.assertEqual(self.asked(), [["K1"]])

    def test_a_state_of_the_order_that_is_not_here_yet_keeps_it_from_being_acknowledged(self):
        self.pull(self.cartona, [self.cartona_order()])
        self.show_feed(self.cartona_order(status="approved"))
        self.show_feed(self.cartona_order(status="approved"))
        self.assertFalse(self.asked())
        self.run_job(self.cartona, "import")
        self.show_feed(self.cartona_order(status="approved"))
        self.assertEqual(self.asked(), [["K1"]])
        self.assertEqual([bool(event.acknowledged_at) for event in self.events()], [False, True])

    def test_a_list_that_several_jobs_read_is_acknowledged_at_its_end(self):
        pages = [self.cartona_order("K1")], [self.cartona_order("K2")], []
        with patch.object(Cartona, "page_size", 1):
            self.pull(self.cartona, *pages)
            self.door.will("orders", *map(ok, pages))
            with patch.object(marketplace_feed, "JOB_SECONDS", -1):
                for _job in range(3):
                    self.assertFalse(self.asked())
                    self.run_job(self.cartona, "pull")
        self.assertEqual(self.asked(), [["K1", "K2"]])

    def test_what_was_seen_before_an_outage_is_not_acknowledged_after_it(self):
        first, second = self.cartona_order("K1"), self.cartona_order("K2")
        with patch.object(Cartona, "page_size", 1):
            self.pull(self.cartona, [first], [second], [])
            self.door.will("orders", ok([first]), ok(status=503))
            self.run_job(self.cartona, "pull")
            self.cartona._state("pull")._resume()
            self.show_feed()
        self.assertFalse(self.asked())

    def test_a_check_after_acknowledging_that_fails_stays_a_check(self):
        self.pull(self.cartona, [self.cartona_order()])
        self.door.will("orders", ok([self.cartona_order()]), ok(status=503))
        self.run_job(self.cartona, "pull")
        self.cartona._state("pull")._resume()
        self.show_feed(self.cartona_order())
        self.assertEqual(self.asked(), [["K1"]])

    def test_what_an_acknowledgement_hid_is_read_though_the_next_one_fails_or_the_worker_dies(self):
        class Killed(BaseException):
            """What ends a worker passes all ``except Exception``."""

        for ending in (ok(status=502), Killed()):
            with self.subTest(ending=ending), patch.object(Cartona, "batch_size", 1):
                orders = [self.cartona_order(f"{type(ending).__name__}{number}") for number in range(2)]
                self.pull(self.cartona, orders)
                self.door.will("acknowledge", ok([]), ending)
                with suppress(Killed):
                    self.show_feed(*orders)
                self.cartona._state("pull")._resume()
                first, second = orders
                self.jobs(self.cartona, "pull").unlink()
                self.assertTrue((self.cartona._state("pull").reading or {}).get("is_check"))
                self.show_feed(first | {"status": "approved"}, second)
                self.assertEqual(self.events(order_id=first["hashed_id"])[-1:].status, "confirmed")
                # What is left is acknowledged soon after.
                self.assertTrue(self.jobs(self.cartona, "pull"))

    def test_reading_once_more_after_acknowledging_is_nothing_to_acknowledge(self):
        rows = [self.cartona_order("K1"), self.cartona_order("K2")]
        with patch.object(Cartona, "page_size", 1):
            self.pull(self.cartona, *([row] for row in rows), [])
            self.door.will("orders", *(ok([row]) for row in rows), ok([]))
            self.run_job(self.cartona, "pull")
            self.assertEqual(self.asked(), [["K1", "K2"]])
            self.door.will("orders", *(ok([row]) for row in rows), ok([]), ok([rows[0]]))
            with patch.object(marketplace_feed, "JOB_SECONDS", -1):
                for _job in range(4):
                    self.run_job(self.cartona, "pull")
                self.assertEqual(len(self.asked()), 2)
                self.assertTrue(self.cartona._state("pull").reading["is_check"])
            self.door.will("orders", ok([rows[1]]), ok([]))
            self.run_job(self.cartona, "pull")
        self.assertEqual(len(self.asked()), 2)
        self.assertFalse(self.cartona._state("pull").reading)

    def test_pages_are_read_to_the_end_before_anything_is_acknowledged(self):
        with patch.object(Cartona, "page_size", 1):
            self.pull(self.cartona, [self.cartona_order("K1")], [self.cartona_order("K2")], [])
            del self.door.requests[:]
            self.pull(self.cartona, [self.cartona_order("K1")], [self.cartona_order("K2")], [])
        operations = [request.operation for request in self.door.requests]
        self.assertEqual(operations[:4], ["orders", "orders", "orders", "acknowledge"])

    def test_a_reading_that_broke_off_acknowledges_nothing(self):
        with patch.object(Cartona, "page_size", 1):
            self.pull(self.cartona, [self.cartona_order()], [])
            self.pull(self.cartona, [self.cartona_order()], ok(status=500))
        self.assertFalse(self.asked())

    def test_a_refused_acknowledgement_is_logged_and_made_again_by_the_next_reading(self):
        orders = [self.cartona_order("K1"), self.cartona_order("K2")]
        self.pull(self.cartona, orders)
        self.door.will("acknowledge", ok([{"hashed_id": "K1", "error": "not now"}, {"hashed_id": "K2"}]))
        self.show_feed(*orders)
        first, second = self.events()
        self.assertFalse(first.acknowledged_at)
        self.assertTrue(second.acknowledged_at)
        log = self.env["marketplace.sync.log"].search([("level", "=", "error")])
        self.assertEqual(len(log), 1)
        self.assertIn("not now", log.message)
        self.door.will("acknowledge", ok([]))
        self.show_feed(orders[0])
        self.assertEqual(self.asked()[1:], [["K1"]])
        self.assertTrue(first.acknowledged_at)

    def test_an_ignored_order_leaves_the_feed_too(self):
        orders = payload.loads(sample("cartona/order_unknown_product"))
        self.pull(self.cartona, orders)
        self.events().action_ignore()
        self.show_feed(*orders)
        self.assertEqual(self.asked(), [["uN0kPr0d"]])

    def test_nothing_is_acknowledged_in_shadow_and_everything_once_it_is_live(self):
        self.cartona.state = "shadow"
        self.pull(self.cartona, [self.cartona_order()])
        self.show_feed(self.cartona_order())
        self.assertEqual((self.events().state, self.asked()), ("done", []))
        self.cartona.action_activate()
        self.assertIn((self.cartona.id, "pull"), self.wakeups)
        self.show_feed(self.cartona_order())
        self.assertEqual(self.asked(), [["K1"]])

    def test_many_are_acknowledged_in_calls_of_the_marketplaces_size(self):
        orders = [self.cartona_order(f"K{number}") for number in range(3)]
        self.pull(self.cartona, orders)
        with patch.object(Cartona, "batch_size", 2):
            self.show_feed(*orders)
        self.assertEqual(self.asked(), [["K0", "K1"], ["K2"]])

    def test_an_outage_keeps_them_for_the_next_reading(self):
        self.pull(self.cartona, [self.cartona_order()])
        self.door.will("acknowledge", ok(status=502))
        self.show_feed(self.cartona_order())
        self.assertFalse(self.events().acknowledged_at)
        self.assertEqual(len(self.jobs(self.cartona, "pull")), 1)
        self.door.will("acknowledge", ok([]))
        self.pass_time(self.cartona, "pull")
        for _reading in ("of what it may have hidden", "of the feed"):
            self.show_feed(self.cartona_order())
        self.assertTrue(self.events().acknowledged_at)

    def test_a_feed_that_is_not_drained_is_never_acknowledged(self):
        for _number in range(2):
            self.pull(self.rest, {"orders": [self.neutral()], "next_page": None})
        self.assertFalse(self.asked())


class TestSweep(TrafficCase):
    """What a crash left behind."""

    def setUp(self):
        super().setUp()
        self.env["marketplace.product.link"].search([]).looked_up_at = fields.Datetime.now()

    def sweep(self):
        self.wakeups.clear()
        self.env.flush_all()
        self.env["marketplace.config"]._cron_sweep()
        self.env.invalidate_all()

    def test_an_account_with_an_error_does_not_keep_the_others_from_their_turn(self):
        for account in (self.cartona, self.rest):
            other = self.rest if account == self.cartona else self.cartona
            seen = []

            def broken(own, account=account, seen=seen):
                seen.append(own)
                if own == account:
                    raise KeyError("a bug")

            with patch.object(type(self.rest), "_resume_holds", broken), self.assertRaises(KeyError):
                self.sweep()
            self.assertIn(other, seen)

    def test_waiting_messages_without_a_job_are_found(self):
        self.receive(self.rest, self.neutral(), run=False)
        self.sweep()
        self.assertEqual(self.wakeups, [(self.rest.id, "import")])

    def test_failed_messages_whose_time_has_come_are_found(self):
        self.receive(self.rest, self.neutral(), run=False)
        self.events().write({"state": "failed", "next_try": fields.Datetime.now() + timedelta(minutes=1)})
        self.sweep()
        self.assertFalse(self.wakeups)
        self.events().next_try = fields.Datetime.now()
        self.sweep()
        self.assertEqual(self.wakeups, [(self.rest.id, "import")])

    def test_messages_on_hold_whose_product_is_there_are_resumed(self):
        self.receive(self.rest, self.neutral(key="NEW"))
        self.make_product("NEW")
        self.sweep()
        self.assertEqual(self.events().state, "new")
        self.assertIn((self.rest.id, "import"), self.wakeups)

    def test_accounts_that_do_not_work_are_left_alone(self):
        self.receive(self.rest, self.neutral(), run=False)
        self.rest.action_pause()
        self.sweep()
        self.assertFalse(self.wakeups)

    def test_steps_without_a_job_are_found(self):
        self.receive(self.rest, self.neutral())
        self.sweep()
        self.assertEqual(self.wakeups, [(self.rest.id, "steps")])

    def test_work_whose_kind_is_paused_is_left_alone(self):
        self.receive(self.rest, self.neutral())
        self.rest._state("steps")._pause("down", 600)
        self.sweep()
        self.assertFalse(self.wakeups)

    def stick(self, account, kind="import", **values):
        """Leave a job nobody has run for minutes."""
        account._enqueue(kind)
        account._state("pull").last_run = fields.Datetime.now()  # the list is not due
        long_ago = fields.Datetime.now() - STUCK_AFTER - timedelta(seconds=5)
        self.env.flush_all()
        self.cr.execute("UPDATE queue_job SET date_created = %s, eta = NULL", [long_ago])
        self.env.invalidate_all()
        self.jobs(account).write(values)

    def test_without_a_job_runner_the_sweep_does_the_work_and_says_so(self):
        self.receive(self.rest, self.neutral(), run=False)
        self.stick(self.rest)
        self.assertTrue(self.rest.job_runner_missing)
        self.door.will("status", ok())
        self.sweep()
        self.assertEqual(len(self.door.asked("status")), 1)
        self.assertEqual(self.events().state, "done")
        self.assertEqual(self.order(self.rest, "N1").create_uid, self.rest.user_id)

    def test_without_a_job_runner_a_person_is_asked_once_and_the_list_is_read_too(self):
        kind = ["cartona_integration.activity_runner"]
        self.stick(self.rest)
        self.rest._state("pull").last_run = False
        self.door.will("orders", ok({"orders": [], "next_page": None}))
        for _number in range(2):
            self.sweep()
        self.assertEqual(len(self.rest.activity_search(kind)), 1)
        self.assertEqual(len(self.door.asked("orders")), 1, "the next time it is due")
        self.jobs(self.rest).state = "done"
        self.sweep()
        self.assertFalse(self.rest.activity_search(kind))

    def test_without_a_job_runner_listings_are_read_and_matched_when_asked_for(self):
        rice = self.make_product(False, default_code="RICE-9")
        rows = [{"id": "9", "sku": "RICE-9", "name": "Rice", "price": "1.00", "stock": "1"}]
        self.door.will("products", ok({"products": rows, "next_page": None}))
        self.stick(self.rest, "listings")
        for _number in range(2):
            self.sweep()
        self.assertEqual(len(self.door.asked("products")), 1, "once for each time it is asked for")
        self.stick(self.rest, "match")
        self.sweep()
        link = self.env["marketplace.product.link"].search([("external_id", "=", "9")])
        self.assertEqual(link.proposed_product_id, rice)

    def rows(self, *rows):
        """Have the marketplace list these."""
        self.door.will("products", ok({"products": list(rows), "next_page": None}))

    def test_without_a_job_runner_a_reading_goes_on_after_a_pause(self):
        self.stick(self.rest, "listings")
        self.stick(self.rest)
        self.door.will("products", Unavailable("down"))
        self.sweep()
        self.assertTrue(self.rest._state("listings")._resumes())
        self.rest._state("listings").paused_until = fields.Datetime.now() - STUCK_AFTER
        self.stick(self.rest)  # so long ago, all of them
        self.rows()
        for _number in range(2):
            self.sweep()
        self.assertEqual(len(self.door.asked("products")), 2, "once more")

    def test_without_a_job_runner_a_killed_reading_goes_on(self):
        self.stick(self.rest)
        course = {**self.rest._course(), "received": 3}
        self.rest._keep_course(course)
        self.rows()
        for _number in range(2):
            self.sweep()
        self.assertEqual(len(self.door.asked("products")), 1)
        self.assertFalse(self.rest._state("listings").cursor)

    def test_a_job_that_is_running_or_young_is_trusted(self):
        self.receive(self.rest, self.neutral(), run=False)
        self.rest._enqueue("import")
        self.assertFalse(self.rest.job_runner_missing)
        self.stick(self.rest, state="started")
        self.sweep()
        self.assertEqual(self.events().state, "new")

    def test_a_job_for_later_is_no_sign_of_a_missing_runner(self):
        self.rest._enqueue("pull", delay=3600)
        self.env.flush_all()
        self.cr.execute("UPDATE queue_job SET date_created = date_created - interval '1 hour'")
        self.assertFalse(self.rest._has_stuck_jobs())

    def test_one_busy_account_does_not_stop_the_sweep_of_the_others(self):
        self.door.will("status", ok())
        for account in (self.rest, self.make_account("rest", code="rest_two")):
            self.receive(account, self.neutral(), run=False)
            self.stick(account)
        with self.registry._db.cursor() as elsewhere:
            elsewhere.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS["import"], self.rest.id])
            self.sweep()
        self.assertEqual(self.events().mapped("state"), ["new", "done"])

    def test_holds_are_resumed_in_a_transaction_of_their_own(self):
        """In the cron's own the rows would stay locked, and the work done here would wait for itself."""
        seen = []
        with patch.object(
            MarketplaceEvent, "_resume_holds", lambda events, account: seen.append(events.env.cr)
        ):
            self.sweep()
        self.assertTrue(seen)
        self.assertNotIn(self.env.cr, seen)


class TestTokenGroup(TrafficCase):
    """One token, several accounts: one list of orders, each order at the account its code names."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cartona.supplier_code = "1"
        cls.second = cls.make_account("cartona", code="second", supplier_code="2", **cls.shared())

    @classmethod
    def shared(cls):
        """Give what makes an account one of the group; an address may be spelled in several ways."""
        return {"auth_token": "token-of-cartona_test", "api_base_url": "https://Marketplace.test/api/"}

    def setUp(self):
        super().setUp()
        self.door.will("acknowledge", ok([]))
        self.wakeups.clear()

    def show_feed(self, *orders, account=None):
        self.door.will("orders", ok(list(orders)))
        self.run_job(account or self.cartona, "pull")

    def to(self, code, order_id=None):
        return self.cartona_order(order_id or f"K{code}", supplier_code=code)

    def import_all(self):
        for account in (self.cartona, self.second):
            self.run_job(account, "import")

    def test_the_list_is_read_once_for_all(self):
        self.show_feed()
        self.assertTrue(self.cartona.last_order_pull and self.second.last_order_pull)
        self.wakeups.clear()
        self.run_job(self.second, "pull")
        self.assertEqual(len(self.door.asked("orders")), 1)
        self.assertEqual(self.wakeups, [(self.cartona.id, "pull")])

    def test_who_asks_for_a_reading_asks_the_oldest(self):
        self.second.action_pull_orders()
        self.assertEqual(self.wakeups, [(self.cartona.id, "pull")])
        self.wakeups.clear()
        self.env["marketplace.config"]._cron_pull()
        self.assertNotIn((self.second.id, "pull"), self.wakeups)

    def test_the_next_one_reads_when_the_oldest_does_not_work(self):
        self.cartona.action_pause()
        self.show_feed(self.to("1"), self.to("2"), account=self.second)
        self.assertEqual(self.events(self.cartona).mapped("external_order_id"), ["K1"])
        self.assertEqual(self.events(self.second).mapped("external_order_id"), ["K2"])

    def test_each_order_comes_to_the_account_its_code_names(self):
        self.show_feed(self.to("1"), self.to("2"))
        self.assertIn((self.second.id, "import"), self.wakeups)
        self.import_all()
        self.assertTrue(self.order(self.cartona, "K1") and self.order(self.second, "K2"))
        self.assertEqual(self.events().mapped("state"), ["done", "done"])
        self.assertEqual(self.order(self.second, "K2").create_uid, self.second.user_id)

    def test_orders_of_all_accounts_are_acknowledged_by_the_one_that_reads(self):
        for _number in range(2):
            self.show_feed(self.to("1"), self.to("2"))
            self.import_all()
        [asked] = self.door.asked("acknowledge")
        self.assertEqual([row["hashed_id"] for row in asked.body], ["K1", "K2"])
        self.assertTrue(all(event.acknowledged_at for event in self.events()))

    def test_only_orders_of_live_accounts_are_acknowledged(self):
        self.cartona.state = "shadow"
        for _number in range(2):
            self.show_feed(self.to("1"), self.to("2"))
            self.import_all()
        [asked] = self.door.asked("acknowledge")
        self.assertEqual([row["hashed_id"] for row in asked.body], ["K2"])

    def test_accounts_of_two_companies_share_a_token(self):
        company = self.env["res.company"].create({"name": "Other"})
        third = self.make_account(
            "cartona", code="third", supplier_code="3", company_id=company.id, **self.shared()
        )
        for _number in range(2):
            self.show_feed(self.to("3"))
            self.run_job(third, "import")
        self.assertEqual(self.order(third, "K3").company_id, company)
        self.assertTrue(self.events(third).acknowledged_at)

    def test_an_unknown_code_is_held_and_not_acknowledged(self):
        for _number in range(2):
            self.show_feed(self.to("9"))
            self.import_all()
        event = self.events()
        self.assertEqual((event.account_id, event.state), (self.cartona, "hold"))
        self.assertIn("9", event.reason)
        self.assertFalse(self.door.asked("acknowledge"))

    def test_it_goes_on_when_the_account_with_the_code_is_made(self):
        self.show_feed(self.to("9"))
        self.import_all()
        self.wakeups.clear()
        ninth = self.make_account("cartona", code="ninth", supplier_code="9", **self.shared())
        self.assertIn((self.cartona.id, "import"), self.wakeups)
        self.run_wakeups_of_imports()
        self.assertTrue(self.order(ninth, "K9"))
        self.assertFalse(self.order(self.cartona, "K9"))
        self.assertEqual(self.events(self.cartona).state, "ignored")
        self.assertIn("ninth", self.events(self.cartona).reason)

    def test_it_goes_on_when_a_code_is_corrected(self):
        self.show_feed(self.to("9"))
        self.import_all()
        self.wakeups.clear()
        self.second.supplier_code = "9"
        self.run_wakeups_of_imports()
        self.assertTrue(self.order(self.second, "K9"))
        self.wakeups.clear()
        self.show_feed(self.to("7"))
        self.import_all()
        self.cartona.supplier_code = "7"
        self.run_wakeups_of_imports()
        self.assertTrue(self.order(self.cartona, "K7"))

    def run_wakeups_of_imports(self):
        while self.wakeups:
            account_id, kind = self.wakeups.pop(0)
            if kind == "import":
                self.run_job(self.env["marketplace.config"].browse(account_id), kind)

    def test_an_order_without_a_code_is_held_unless_one_account_has_none(self):
        self.show_feed(self.to(None, "KX"))
        self.import_all()
        self.assertEqual(self.events().state, "hold")
        self.second.supplier_code = False
        self.run_wakeups_of_imports()
        self.assertTrue(self.order(self.second, "KX"))

    def test_alone_behind_its_token_an_account_needs_no_code(self):
        self.second.action_reset_to_draft()
        self.cartona.supplier_code = False
        self.show_feed(self.to("9"), self.to(None, "KX"))
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events().mapped("state"), ["done", "done"])

    def test_another_token_or_address_is_another_group(self):
        for name, value in (
            ("auth_token", "another-token"),
            ("api_base_url", "https://staging.marketplace.test/api"),
        ):
            before = self.shared()[name]
            self.second[name] = value
            self.assertEqual(self.cartona._token_group(), self.cartona, name)
            self.second[name] = before
            self.assertEqual(self.cartona._token_group(), self.cartona | self.second, name)

    def test_accounts_without_a_token_or_of_a_dialect_without_codes_are_no_group(self):
        other = self.make_account("rest", code="rest_two", auth_token="token-of-rest_test")
        self.assertEqual(other._token_group(), other)
        pausing = self.cartona | self.second
        pausing.state = "paused"
        pausing.auth_token = False
        self.assertEqual(self.cartona._token_group(), self.cartona)

    def test_what_both_read_before_they_were_one_group_does_not_double(self):
        self.second.auth_token = "another-token"  # as if nobody had noticed that it is the same
        for account in (self.cartona, self.second):
            self.show_feed(self.to("1"), self.to("2"), account=account)
        self.import_all()
        self.assertEqual(self.events().mapped("state"), ["done", "hold", "hold", "done"])
        self.second.auth_token = "token-of-cartona_test"
        self.run_wakeups_of_imports()
        self.assertEqual(self.events().mapped("state"), ["done", "ignored", "ignored", "done"])
        orders = self.env["sale.order"].search([("cartona_id", "in", ("K1", "K2"))])
        self.assertEqual(len(orders), 2)

    def test_an_order_stays_with_the_account_that_has_it_whatever_its_code_says_later(self):
        self.second.action_reset_to_draft()
        self.cartona.supplier_code = False
        self.show_feed(self.to("2"))
        self.run_job(self.cartona, "import")
        self.cartona.supplier_code = "1"
        self.second.action_activate()
        self.show_feed(self.cartona_order("K2", supplier_code="2", status="approved"))
        self.import_all()
        self.assertEqual(self.order(self.cartona, "K2").marketplace_status, "confirmed")
        self.assertFalse(self.order(self.second, "K2"))

    def test_one_webhook_address_serves_them_all(self):
        both = payload.dumps([self.to("1"), self.to("2")]).encode()
        self.receive(self.cartona, both)
        self.run_job(self.second, "import")
        self.assertTrue(self.order(self.cartona, "K1") and self.order(self.second, "K2"))
        self.assertEqual(self.receive(self.cartona, both), (0, 2))

    def test_a_status_without_a_code_finds_its_order(self):
        self.receive(self.second, payload.dumps(self.to("2")).encode())
        self.receive(self.cartona, {"hashed_id": "K2", "status": "cancelled_by_retailer"}, topic="status")
        self.run_job(self.second, "import")
        self.assertEqual(self.order(self.second, "K2").state, "cancel")

    def test_a_status_before_its_order_follows_it_to_its_account(self):
        self.receive(self.second, {"hashed_id": "K2", "status": "cancelled_by_retailer"}, topic="status")
        self.import_all()
        self.assertEqual(self.events().state, "hold")
        self.receive(self.second, payload.dumps(self.to("2")).encode())
        self.run_job(self.second, "import")
        self.import_all()
        self.assertEqual(self.order(self.second, "K2").state, "cancel")

    def test_one_credential_at_the_bare_address_is_the_groups(self):
        find = self.env["marketplace.config"]._authenticate_webhook
        self.second.webhook_token = "hook-of-cartona_test"
        self.assertEqual(
            find(None, {"Authorization": "Bearer hook-of-cartona_test"}).account_id, self.cartona.id
        )

    def test_one_credential_of_two_strangers_opens_only_their_own_addresses(self):
        find, headers = (
            self.env["marketplace.config"]._authenticate_webhook,
            {"Authorization": "Bearer hook-of-cartona_test"},
        )
        self.rest.webhook_token = "hook-of-cartona_test"
        self.assertFalse(find(None, headers))
        self.assertEqual(find(self.rest.webhook_key, headers).account_id, self.rest.id)


class TestPullTells(TrafficCase):
    """What a reading asked for and what came of it, for people who ask why nothing came."""

    def feed(self, *orders):
        self.door.will("orders", ok({"orders": list(orders), "next_page": None}))
        self.run_job(self.rest, "pull")

    def logs(self):
        return self.env["marketplace.sync.log"].search([("account_id", "=", self.rest.id)], order="id")

    def test_a_reading_with_news_tells_what_was_new_changed_and_known(self):
        self.feed(self.neutral("A"), self.neutral("B"))
        self.feed(self.neutral("A"), self.neutral("B", at="2026-11-12T11:00:00Z"), self.neutral("C"))
        log = self.logs()[-1]
        self.assertEqual((log.received, log.new, log.changed, log.known), (3, 1, 1, 1))
        self.assertEqual(log.asked_from, datetime(2026, 11, 12, 9, 55))
        self.assertIn("1 new", log.message)

    def test_nothing_new_is_told_once_an_hour(self):
        for _number in range(5):
            self.feed()
        self.assertEqual(len(self.logs()), 1)
        self.assertIn("Nothing", self.logs().message)
        self.cr.execute("UPDATE marketplace_sync_log SET create_date = create_date - interval '61 minutes'")
        self.feed(self.neutral("A"))
        self.feed(self.neutral("A"))
        self.assertEqual(self.logs().mapped("new"), [0, 1])

    def test_a_change_hidden_by_the_acknowledgement_is_found_where_the_feed_shows_it_again(self):
        self.door.will("acknowledge", ok([]))
        self.door.will("orders", ok([self.cartona_order()]))
        self.run_job(self.cartona, "pull")
        self.run_job(self.cartona, "import")
        edited = self.cartona_order(note_message="edited meanwhile")
        self.door.will("orders", ok([self.cartona_order()]), ok([edited]))
        self.run_job(self.cartona, "pull")
        self.assertEqual(len(self.events(self.cartona)), 2)
        asked = [dict(request.query).get("from") for request in self.door.asked("orders")]
        self.assertEqual(asked[:2], [None, None])
        self.assert_seconds(reading.timestamp(asked[2]).replace(tzinfo=None), -3600)

    def test_a_reading_that_acknowledges_nothing_is_not_repeated(self):
        self.pull(self.cartona, [])
        self.assertEqual(len(self.door.asked("orders")), 1)


class TestMissedWebhooks(TrafficCase):
    """Webhooks that get lost are noticed, as the list tells of the orders all the same."""

    def setUp(self):
        super().setUp()
        self.find()

    def find(self, *order_ids):
        self.door.will("orders", ok({"orders": [self.neutral(key) for key in order_ids], "next_page": None}))
        self.run_job(self.rest, "pull")

    def asked_for_help(self):
        return self.rest.activity_ids.mapped("summary")

    def test_orders_only_the_list_told_of_are_counted_and_beyond_a_few_one_activity_is_made(self):
        self.find(*"ABCDE")
        self.assertEqual(self.rest.missed_webhook_count, 5)
        self.assertFalse(self.asked_for_help())
        self.find(*"FGH")
        self.find(*"IJ")
        self.assertEqual(self.rest.missed_webhook_count, 10)
        self.assertEqual(self.asked_for_help(), ["Webhooks do not arrive"])

    def test_what_was_there_before_the_account_was_connected_is_not_counted(self):
        self.rest._state("pull").last_run = False
        self.find(*"ABCDEFGH")
        self.assertFalse(self.rest.missed_webhook_count or self.asked_for_help())

    def test_orders_a_webhook_told_of_before_are_not_counted(self):
        for key in "ABCDEFGH":
            self.receive(self.rest, self.neutral(key), run=False)
        self.find(*"ABCDEFGH")
        self.assertFalse(self.rest.missed_webhook_count)

    def test_a_few_among_many_that_came_are_no_alarm(self):
        self.find()
        self.rest._state("pull").missed_since -= timedelta(hours=1)
        for number in range(40):
            self.receive(self.rest, self.neutral(f"W{number}"), run=False)
        self.find(*"ABCDEFGH")
        self.assertEqual(self.rest.missed_webhook_count, 8)
        self.assertFalse(self.asked_for_help())

    def test_without_a_webhook_nothing_is_missed(self):
        self.rest.webhook_token = False
        self.find(*"ABCDEFGH")
        self.assertFalse(self.rest.missed_webhook_count or self.asked_for_help())

    def test_a_day_later_the_count_begins_anew(self):
        self.find(*"ABC")
        self.rest._state("pull").missed_since -= timedelta(hours=25)
        self.find("D")
        self.assertEqual(self.rest.missed_webhook_count, 1)
