from datetime import timedelta
from unittest.mock import patch

from lxml import etree

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user
from odoo.tools import mute_logger

from ..dialects.words import UNREADABLE
from ..exceptions import Unavailable
from ..models.marketplace_api import MarketplaceApi
from .common import MarketplaceCase, ok

SALES = "base.group_user,sales_team.group_sale_salesman_all_leads"
LOGGER = "odoo.addons.cartona_integration.models.marketplace_work_mixin"


class StepsCase(MarketplaceCase):
    """Orders that arrive as quotations, so that a test says what happens to them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.product = cls.make_product("TEA-25")
        (cls.cartona | cls.rest).order_policy = "draft"

    def setUp(self):
        super().setUp()
        self.door.will("status", ok())

    def message(self, account, order_id, status, **values):
        """Write an order as the account's marketplace does."""
        if account == self.cartona:
            words = {"confirmed": "approved", "cancelled": "cancelled_by_retailer"}
            line = {"id": 1, "internal_product_id": "TEA-25", "amount": 1, "selling_price": 10}
            return {
                "hashed_id": order_id,
                "status": words.get(status, status),
                "total_price": 10,
                "order_details": [line],
                **values,
            }
        return {
            "id": order_id,
            "status": status,
            "modified_at": "2026-11-12T10:00:00Z",
            "currency": self.env.company.currency_id.name,
            "total": 10,
            "customer": {"id": "C1", "name": "Shop"},
            "lines": [{"id": "1", "sku": "TEA-25", "quantity": 1, "unit_price": 10}],
            **values,
        }

    def arrive(self, order_id="N1", status="pending", account=None, **values):
        """Have an order, or a later state of it, come in.

        :return: the sale order
        """
        account = account or self.rest
        self.receive(account, self.message(account, order_id, status, **values))
        return self.order(account, order_id)

    def cancel(self, order):
        order.with_context(disable_cancel_warning=True).action_cancel()

    def send(self, account=None):
        self.run_job(account or self.rest, "steps")

    def steps(self, order=None):
        """Give the steps as (status, state), oldest first."""
        domain = [("sale_order_id", "=", order.id)] if order else []
        steps = self.env["marketplace.order.step"].search(domain)
        return [(step.status, step.state) for step in steps]

    def step(self, order):
        return order.marketplace_step_ids[-1]

    def told(self):
        """Give (order, status) of each status call that was made."""
        calls = self.door.asked("status")
        return [
            (call.path.split("/")[-2 if "orders/" in call.path else -1], call.body["status"])
            for call in calls
        ]

    def pass_time(self):
        """Let every pause be over."""
        past = fields.Datetime.now() - timedelta(seconds=1)
        self.env["marketplace.sync.state"].search([("paused_until", "!=", False)]).paused_until = past
        self.env["marketplace.order.step"].search([("next_try", "!=", False)]).next_try = past


class TestStepsAreMade(StepsCase):
    """A step for each status the marketplace does not show yet, and for no other."""

    def test_a_confirmation_is_told(self):
        order = self.arrive()
        order.action_confirm()
        self.assertEqual(self.steps(), [("confirmed", "new")])
        self.assertIn((self.rest.id, "steps"), self.wakeups)
        self.assertFalse(self.door.requests)  # nothing is sent while the user saves
        self.send()
        self.assertEqual(self.told(), [("N1", "confirmed")])
        self.assertEqual(self.steps(), [("confirmed", "done")])
        self.assertTrue(self.step(order).done_at)

    def test_confirming_at_once_tells_a_pending_order_and_no_approved_one(self):
        (self.cartona | self.rest).order_policy = "confirm"
        for account in (self.cartona, self.rest):
            for number, status in enumerate(("pending", "confirmed", "shipped", "delivered")):
                wanted = {"shipped": "assigned_to_salesman"}.get(status, status)
                wanted = wanted if account == self.cartona else status
                order = self.arrive(f"X{number}", wanted, account)
                self.assertEqual(order.state, "sale")
                self.assertEqual(
                    len(order.marketplace_step_ids), int(status == "pending"), (account.code, status)
                )

    def test_what_the_marketplace_changes_is_not_told_back(self):
        order = self.arrive()
        self.arrive(status="confirmed")
        self.assertEqual(order.state, "sale")
        self.arrive(status="cancelled")
        self.assertEqual(order.state, "cancel")
        self.assertFalse(self.steps())
        returned = self.arrive("N2", "returned")
        self.assertEqual((returned.state, self.steps(returned)), ("cancel", []))

    def test_of_an_order_the_marketplace_delivers_only_the_cancellation_is_told(self):
        order = self.arrive("K1", account=self.cartona, delivered_by="delivered_by_cartona")
        order.action_confirm()
        self.assertFalse(self.steps())
        self.cancel(order)
        self.assertEqual(self.steps(), [("cancelled", "new")])

    def test_an_order_shown_as_shipped_needs_no_approval(self):
        order = self.arrive()
        order.marketplace_reported_status = "shipped"
        order.action_confirm()
        self.assertFalse(self.steps())

    def test_orders_of_nobody_and_other_changes_make_no_step(self):
        order = self.arrive()
        order.note = "call first"
        order.write({"state": "sent"})
        order.copy().action_confirm()
        self.assertFalse(self.steps())

    def test_writing_the_same_stage_again_makes_no_step(self):
        order = self.arrive()
        order.action_confirm()
        order.write({"state": "sale"})
        self.assertEqual(len(self.steps()), 1)

    def test_two_changes_are_two_steps_sent_in_order(self):
        order = self.arrive()
        order.action_confirm()
        self.cancel(order)
        self.assertEqual(self.steps(), [("confirmed", "new"), ("cancelled", "new")])
        self.send()
        self.assertEqual(self.told(), [("N1", "confirmed"), ("N1", "cancelled")])

    def test_the_reason_goes_with_the_cancellation_only(self):
        order = self.arrive("K1", account=self.cartona)
        order.marketplace_cancel_reason = "out_of_stock"
        order.action_confirm()
        self.cancel(order)
        self.send(self.cartona)
        approval, cancellation = (call.body for call in self.door.asked("status"))
        self.assertNotIn("cancellation_reason", approval)
        self.assertEqual(cancellation["cancellation_reason"], "out_of_stock")

    def test_several_orders_at_once_make_a_step_each(self):
        orders = self.arrive("N1") | self.arrive("N2") | self.arrive("K1", account=self.cartona)
        orders.action_confirm()
        self.assertEqual(self.steps(), [("confirmed", "new")] * 3)
        self.assertEqual(orders.marketplace_step_ids.mapped("external_order_id"), ["N1", "N2", "K1"])

    def test_a_defaults_in_the_callers_context_do_not_reach_the_step(self):
        order = self.arrive()
        order.with_context(default_state="done", default_status="returned").action_confirm()
        self.assertEqual(self.steps(), [("confirmed", "new")])

    def test_a_shadow_account_keeps_what_it_would_have_sent(self):
        order = self.arrive()
        self.rest.state = "shadow"
        order.action_confirm()
        self.send()
        self.assertEqual(self.steps(), [("confirmed", "ignored")])
        self.assertIn("Shadow", self.step(order).reason)
        self.assertFalse(self.door.requests)

    def test_a_closed_or_archived_account_has_no_steps(self):
        order, other = self.arrive(), self.arrive("N2")
        self.rest.action_reset_to_draft()
        order.action_confirm()
        self.rest.write({"state": "live", "active": False})
        other.action_confirm()
        self.assertFalse(self.steps())

    def test_a_paused_account_sends_when_it_is_activated(self):
        order = self.arrive()
        self.rest.action_pause()
        order.action_confirm()
        self.send()
        self.assertEqual(self.steps(), [("confirmed", "new")])
        self.wakeups.clear()
        self.rest.action_activate()
        self.assertIn((self.rest.id, "steps"), self.wakeups)
        self.send()
        self.assertEqual(self.steps(), [("confirmed", "done")])

    def test_what_waited_is_not_sent_by_an_account_that_became_a_shadow(self):
        order = self.arrive()
        self.rest.action_pause()
        order.action_confirm()
        self.rest.state = "shadow"
        self.send()
        self.assertEqual((self.steps(), self.door.requests), ([("confirmed", "new")], []))

    def test_an_order_that_is_gone_before_its_step_was_sent_is_told_all_the_same(self):
        order = self.arrive()
        self.cancel(order)
        self.env.flush_all()
        self.cr.execute("DELETE FROM sale_order WHERE id = %s", order.ids)
        self.send()
        self.assertEqual(self.told(), [("N1", "cancelled")])


class TestWhatTheOrderShows(StepsCase):
    """The status is what the marketplace told, or took from us since."""

    def found(self, operator, value):
        orders = self.env["sale.order"]
        domain = [("marketplace_status", operator, value), ("marketplace_config_id", "!=", False)]
        return orders.search(domain).mapped("cartona_id")

    def test_what_it_took_is_looked_up_once_for_all_ways_to_show_a_status(self):
        self.env["sale.order"]._search_marketplace_status("=", "delivered")
        self.cr.execute("EXPLAIN " + self.cr._obj.query.decode())
        plan = "".join(line for [line] in self.cr.fetchall())
        self.assertEqual(plan.count("marketplace_order_step step"), 1, plan)

    def test_a_sent_status_is_shown_and_what_was_told_stays(self):
        order = self.arrive()
        order.action_confirm()
        self.assertEqual((order.marketplace_status, order.marketplace_sync_status), ("pending", "pending"))
        self.send()
        self.assertEqual((order.marketplace_status, order.marketplace_sync_status), ("confirmed", "synced"))
        self.assertEqual(order.marketplace_reported_status, "pending")

    def test_a_later_report_wins_over_what_was_sent(self):
        order = self.arrive()
        order.action_confirm()
        self.send()
        self.arrive(status="shipped")
        self.assertEqual(order.marketplace_status, "shipped")

    def test_a_user_saving_the_order_does_not_make_a_sent_status_forgotten(self):
        order = self.arrive()
        order.action_confirm()
        stale = {"note": "call first", "client_order_ref": order.client_order_ref}
        self.send()
        order.write(stale)
        self.assertEqual(order.marketplace_status, "confirmed")

    def test_an_old_message_does_not_undo_a_sent_status(self):
        order = self.arrive("K1", account=self.cartona)
        order.action_confirm()
        self.send(self.cartona)
        self.arrive("K1", account=self.cartona, note_message="older")
        self.assertEqual((self.events(self.cartona)[-1].state, order.marketplace_note), ("ignored", False))

    def test_orders_are_found_by_the_status_they_show(self):
        sent, told, other = self.arrive("N1"), self.arrive("N2", "confirmed"), self.arrive("N3")
        sent.action_confirm()
        self.send()
        self.assertEqual(sorted(self.found("=", "confirmed")), ["N1", "N2"])
        self.assertEqual(self.found("=", "pending"), ["N3"])
        self.assertEqual(sorted(self.found("!=", "pending")), ["N1", "N2"])
        self.assertEqual(sorted(self.found("in", ["pending", "confirmed"])), ["N1", "N2", "N3"])
        self.assertEqual(self.found("not in", ["confirmed"]), ["N3"])
        self.assertEqual(self.found("=", False), [])
        self.assertTrue(told and other)

    def test_trouble_shows_on_the_order(self):
        order = self.arrive()
        order.action_confirm()
        self.door.will("status", ok({"error": {"message": "no such order"}}, 404))
        self.send()
        self.assertEqual(order.marketplace_sync_status, "error")
        self.assertIn("no such order", order.marketplace_error_message)


class TestEchoes(StepsCase):
    """One call per change, whatever the marketplace makes of it."""

    def test_an_echo_makes_no_call(self):
        for account in (self.rest, self.cartona):
            order = self.arrive("E1", account=account)
            order.action_confirm()
            self.send(account)
            self.arrive("E1", "confirmed", account, modified_at="2026-11-12T11:00:00Z")
            self.send(account)
            self.cancel(order)
            self.send(account)
            self.arrive("E1", "cancelled", account, modified_at="2026-11-12T12:00:00Z")
            self.send(account)
            self.assertEqual(self.steps(order), [("confirmed", "done"), ("cancelled", "done")])
            self.assertEqual(order.state, "cancel")
        self.assertEqual(len(self.told()), 4)

    def test_an_echo_that_comes_before_the_answer_settles_the_step(self):
        order = self.arrive()
        order.action_confirm()

        def send(account, request):
            self.door.send(account, request)
            with self.env.cr.savepoint():
                self.receive(self.rest, self.message(self.rest, "N1", "confirmed"))
            return ok()

        with patch.object(MarketplaceApi, "_send", lambda _api, account, request: send(account, request)):
            self.send()
        self.assertEqual((self.steps(), len(self.told())), ([("confirmed", "done")], 1))

    def test_what_the_marketplace_shows_already_is_not_sent(self):
        order = self.arrive()
        order.action_confirm()
        order.marketplace_reported_status = "shipped"
        self.send()
        self.assertEqual((self.steps(), self.told()), ([("confirmed", "done")], []))

    def test_an_approval_by_hand_over_there_closes_the_step(self):
        order = self.arrive()
        order.action_confirm()
        self.arrive(status="confirmed")
        self.assertEqual(self.steps(), [("confirmed", "done")])

    def test_a_cancellation_over_there_closes_what_was_to_be_sent(self):
        order = self.arrive()
        order.action_confirm()
        self.arrive(status="cancelled")
        self.assertEqual((order.state, self.steps()), ("cancel", [("confirmed", "ignored")]))
        self.send()
        self.assertFalse(self.told())

    def test_confirming_what_is_cancelled_over_there_is_left_to_a_person(self):
        order = self.arrive(status="cancelled")
        order.action_draft()
        order.action_confirm()
        self.send()
        self.assertEqual((self.steps(), self.told()), ([("confirmed", "failed")], []))
        self.assertIn("Cancelled", self.step(order).reason)
        self.assertTrue(self.step(order).remedy)

    def test_reviving_an_order_whose_cancellation_is_on_its_way_is_left_to_a_person(self):
        order = self.arrive(status="confirmed")
        self.cancel(order)
        order.action_draft()
        order.action_confirm()
        self.send()
        self.assertEqual(self.steps(), [("cancelled", "done"), ("confirmed", "failed")])
        self.assertEqual((self.told(), order.marketplace_sync_status), ([("N1", "cancelled")], "error"))

    def test_confirming_again_what_was_refused_makes_no_second_step(self):
        order = self.arrive()
        order.action_confirm()
        self.door.will("status", ok({"error": "no"}, 422))
        self.send()
        order.write({"state": "draft"})
        order.action_confirm()
        self.assertEqual(self.steps(), [("confirmed", "failed")])

    def test_cancelling_what_is_delivered_over_there_is_left_to_a_person(self):
        order = self.arrive(status="delivered")
        self.cancel(order)
        self.send()
        self.assertEqual((self.steps(), self.told()), ([("cancelled", "failed")], []))

    def row_version(self, order):
        self.env.flush_all()
        self.env.cr.execute("SELECT ctid FROM sale_order WHERE id = %s", [order.id])
        return self.env.cr.fetchone()

    def test_a_status_waits_while_the_customer_edits(self):
        order = self.arrive()
        self.arrive(status="held")
        order.action_confirm()
        before = self.row_version(order)
        self.send()
        self.assertEqual((self.steps(), self.told()), ([("confirmed", "hold")], []))
        # A message that ends the waiting, read at the same moment, has to begin again: it did not see it.
        self.assertNotEqual(self.row_version(order), before)
        self.wakeups.clear()
        self.arrive(status="pending", note="done")
        self.assertIn((self.rest.id, "steps"), self.wakeups)
        self.send()
        self.assertEqual((self.steps(), len(self.told())), ([("confirmed", "done")], 1))


class TestTrouble(StepsCase):
    """What a call can end in, and that it ends there for its own order only."""

    def confirmed(self, *order_ids, account=None):
        for order_id in order_ids:
            self.arrive(order_id, account=account).action_confirm()

    def states(self):
        steps = self.env["marketplace.order.step"].search([])
        return [(step.external_order_id, step.state) for step in steps]

    def statuses_activity(self):
        return self.rest.activity_search(["cartona_integration.activity_statuses"])

    def test_a_refusal_is_shown_not_repeated_and_stops_only_its_order(self):
        self.confirmed("N1", "N2")
        self.cancel(self.order(self.rest, "N1"))
        self.door.will("status", ok({"error": {"message": "too\nlate"}}, 409), ok())
        self.send()
        self.pass_time()
        self.send()
        self.assertEqual(self.states(), [("N1", "failed"), ("N2", "done"), ("N1", "new")])
        self.assertEqual([told for told, _status in self.told()], ["N1", "N2"])
        step = self.env["marketplace.order.step"].search([], limit=1)
        self.assertEqual((step.reason, step.next_try, step.in_doubt), ("HTTP 409: too\\nlate", False, False))
        self.assertTrue(step.remedy)
        self.assertFalse(self.env["marketplace.order.step"]._has_waiting(self.rest))

    def test_many_refusals_make_one_activity(self):
        self.confirmed("N1", "N2")
        self.door.will("status", ok({"error": "no"}, 422))
        self.send()
        self.assertEqual(len(self.statuses_activity()), 1)
        self.assertIn("N2", self.statuses_activity().note, "of the newest trouble")
        self.assertIn(self.order(self.rest, "N2").name, self.statuses_activity().note)

    def test_what_was_not_sent_counts_among_the_accounts_problems_which_lead_to_it(self):
        self.confirmed("N1")
        self.door.will("status", ok({"error": "no"}, 422))
        self.send()
        step = self.env["marketplace.order.step"].search([])
        form = etree.fromstring(self.rest.get_view(view_type="form")["arch"])
        [problems] = form.xpath("//button[field[@string='Problems']]")
        self.assertEqual(self.rest[problems.find("field").get("name")], 1)
        for button in (problems.get("name"), "action_view_problem_steps"):
            action = getattr(self.rest, button)()
            self.assertEqual(action["res_model"], "marketplace.order.step")
            self.assertEqual(self.env[action["res_model"]].search(action["domain"]), step)

    def test_who_was_asked_is_not_any_more_once_the_last_one_is_settled(self):
        self.confirmed("N1", "N2")
        self.door.will("status", ok({"error": "no"}, 422))
        self.send()
        first, second = self.env["marketplace.order.step"].search([])
        for step, is_asked in ((first, True), (second, False)):
            step.action_ignore()
            self.env["marketplace.config"]._cron_sweep()
            self.assertEqual(bool(self.statuses_activity()), is_asked)

    def test_a_person_tries_again_with_a_key_of_its_own_and_the_rest_follows(self):
        self.confirmed("N1")
        order = self.order(self.rest, "N1")
        self.cancel(order)
        self.door.will("status", ok({"error": "no"}, 422), ok())
        self.send()
        self.wakeups.clear()
        order.action_marketplace_sync()
        self.assertFalse(order.marketplace_step_ids.filtered("reason"), "it is tried again: nothing is wrong")
        self.assertEqual(self.wakeups, [(self.rest.id, "steps"), (self.rest.id, "pull")])
        self.send()
        self.assertEqual(self.steps(), [("confirmed", "done"), ("cancelled", "done")])
        keys = [dict(call.headers)["Idempotency-Key"] for call in self.door.asked("status")]
        self.assertEqual(len(set(keys)), 3)

    def test_ignoring_a_step_lets_the_next_one_go(self):
        self.confirmed("N1")
        order = self.order(self.rest, "N1")
        self.cancel(order)
        self.door.will("status", ok({"error": "no"}, 422), ok())
        self.send()
        self.wakeups.clear()
        order.marketplace_step_ids[0].action_ignore()
        self.assertEqual(self.wakeups, [(self.rest.id, "steps")])
        self.send()
        self.assertEqual(self.steps(), [("confirmed", "ignored"), ("cancelled", "done")])
        with self.assertRaises(UserError):
            order.marketplace_step_ids.action_ignore()

    def test_a_refusal_that_says_it_is_so_already_counts_as_arrived(self):
        self.confirmed("K1", account=self.cartona)
        self.confirmed("N1")
        self.door.will(
            "status",
            ok({"error": "order is already in status approved"}, 422),
            ok({"error": {"code": "already_in_status", "message": "x"}}, 409),
        )
        self.send(self.cartona)
        self.send()
        self.assertEqual(self.states(), [("K1", "done"), ("N1", "done")])

    def test_no_answer_pauses_the_kind_and_costs_no_try(self):
        self.confirmed("N1", "N2")
        for answer in (Unavailable("down"), ok(status=500), ok(UNREADABLE), ok(status=302), ok(status=429)):
            self.door.will("status", answer)
            self.send()
            self.send()  # nothing is called before the pause is over
            self.env.flush_all()
            self.env.invalidate_all()
            self.assertEqual(self.states(), [("N1", "new"), ("N2", "new")])
            steps = self.env["marketplace.order.step"].search([("in_doubt", "=", True)])
            self.assertEqual(set(steps.mapped("tries")), {0})
            self.assertIn(self.rest._state("steps").paused_until, steps.mapped("next_try"))
            self.pass_time()
            self.door.will("order", ok({"order": self.message(self.rest, "N1", "pending")}))
        self.assertEqual(len(self.told()), 5)

    def test_retry_after_is_obeyed_and_one_job_resumes(self):
        self.confirmed("N1")
        self.door.will("status", ok({}, 429, **{"Retry-After": "77"}))
        self.send()
        state = self.rest._state("steps")
        self.assertAlmostEqual((state.paused_until - fields.Datetime.now()).total_seconds(), 77, delta=3)
        jobs = self.env["queue.job"].search([("method_name", "=", "_job_steps")])
        self.assertEqual(len(jobs.filtered("eta")), 1)

    def test_an_order_the_marketplace_chokes_on_does_not_hold_up_the_others(self):
        self.confirmed("N1", "N2")
        self.door.will("status", ok(status=500), ok())
        self.send()
        self.pass_time()
        self.door.will("order", ok(status=500))
        self.send()
        self.assertEqual(self.states(), [("N1", "new"), ("N2", "done")])

    def test_credentials_refused_stop_everything_until_they_change(self):
        self.confirmed("N1", "N2")
        self.door.will("status", ok({"error": "no"}, 401))
        self.send()
        self.send()
        self.assertEqual(len(self.told()), 1)
        self.assertEqual(self.states(), [("N1", "new"), ("N2", "new")])
        self.assertFalse(self.statuses_activity())
        self.door.will("status", ok())
        self.door.will("order", ok({"order": self.message(self.rest, "N1", "pending")}))
        self.rest.auth_token = "another-token"
        self.assertIn((self.rest.id, "steps"), self.wakeups)
        self.send()
        self.assertEqual(self.states(), [("N1", "done"), ("N2", "done")])

    def test_a_bug_on_one_step_does_not_stop_the_others(self):
        self.confirmed("N1", "N2")
        self.door.will("status", ZeroDivisionError("secret"), ok())
        with self.assertLogs(LOGGER, "ERROR") as caught:
            self.send()
        self.assertEqual(self.states(), [("N1", "failed"), ("N2", "done")])
        step = self.env["marketplace.order.step"].search([], limit=1)
        self.assertEqual(step.reason, "ZeroDivisionError")
        self.assertGreater(step.next_try, fields.Datetime.now())
        self.assertIn("Traceback", caught.output[0])

    def test_a_bug_that_stays_is_left_to_a_person(self):
        self.confirmed("N1")
        self.rest.retry_attempts = 2
        self.door.will("status", ZeroDivisionError())
        self.door.will("order", ok({"order": self.message(self.rest, "N1", "pending")}))
        for _time in range(4):
            with mute_logger(LOGGER):
                self.send()
            self.pass_time()
        step = self.env["marketplace.order.step"].search([])
        self.assertEqual((step.state, step.tries, step.next_try), ("failed", 2, False))
        self.assertTrue(self.statuses_activity())

    def claim(self, times=1):
        """Claim a step and die before anything is known of it."""
        for _time in range(times):
            self.env.flush_all()
            self.rest.with_user(self.rest.user_id)._committed("_claim_step")
        self.env.invalidate_all()

    def test_a_step_that_kills_its_worker_is_given_up_one_day(self):
        self.confirmed("N1", "N2")
        self.claim(self.rest.retry_attempts)
        self.send()
        self.assertEqual(self.states(), [("N1", "failed"), ("N2", "done")])
        self.assertEqual([told for told, _status in self.told()], ["N2"])

    def test_a_step_in_doubt_is_read_back_and_not_sent_twice(self):
        self.confirmed("N1")
        self.claim()
        self.door.will("order", ok({"order": self.message(self.rest, "N1", "confirmed")}))
        self.send()
        self.assertEqual((self.states(), self.told()), ([("N1", "done")], []))

    def test_a_step_in_doubt_that_did_not_arrive_is_sent_with_the_same_key(self):
        self.confirmed("N1")
        key = self.env["marketplace.order.step"].search([]).idempotency_key
        self.claim()
        self.door.will("order", ok({"order": self.message(self.rest, "N1", "pending")}))
        self.send()
        [call] = self.door.asked("status")
        self.assertEqual(dict(call.headers)["Idempotency-Key"], key)
        self.assertEqual(self.states(), [("N1", "done")])

    def test_what_cannot_be_read_back_is_sent_again(self):
        self.confirmed("K1", account=self.cartona)
        self.door.will("status", Unavailable("down"), ok())
        self.send(self.cartona)
        self.pass_time()
        self.send(self.cartona)
        self.assertEqual(self.told(), [("K1", "approved")] * 2)
        self.assertEqual(self.states(), [("K1", "done")])

    def test_a_step_that_was_sent_for_the_first_time_is_not_read_back(self):
        self.confirmed("N1")
        self.send()
        self.assertFalse(self.door.asked("order"))

    def test_an_id_that_cannot_stand_in_an_address_is_a_refusal(self):
        self.confirmed("..")
        self.send()
        self.assertEqual(self.states(), [("..", "failed")])


class TestWhoConfirms(StepsCase):
    """People confirm and cancel without knowing of marketplaces."""

    def test_a_seller_without_marketplace_rights_confirms_and_cancels(self):
        seller = new_test_user(self.env, "seller", groups=SALES)
        order = self.arrive().with_user(seller)
        order.action_confirm()
        self.cancel(order)
        self.assertEqual(self.steps(), [("confirmed", "new"), ("cancelled", "new")])
        self.assertEqual(order.marketplace_status, "pending")
        with self.assertRaises(AccessError):
            order.action_marketplace_sync()

    def test_company_b_confirms_its_own_orders_and_makes_no_step(self):
        company = self.env["res.company"].create({"name": "Company B"})
        seller = new_test_user(
            self.env, "seller_b", groups=SALES, company_id=company.id, company_ids=[(6, 0, company.ids)]
        )
        partner = self.env["res.partner"].create({"name": "buyer"})
        order = self.env["sale.order"].with_user(seller).create({"partner_id": partner.id})
        order.action_confirm()
        self.assertEqual((order.state, self.steps()), ("sale", []))

    def test_a_user_of_company_b_neither_sees_nor_settles_a_step(self):
        company = self.env["res.company"].create({"name": "Company B"})
        user = new_test_user(
            self.env,
            "neighbour",
            groups="cartona_integration.group_marketplace_manager",
            company_id=company.id,
            company_ids=[(6, 0, company.ids)],
        )
        self.arrive().action_confirm()
        step = self.env["marketplace.order.step"].search([])
        self.assertFalse(step.with_user(user).search([]))
        for action in ("action_process_again", "action_ignore"):
            self.env.invalidate_all()
            with self.assertRaises(AccessError):
                getattr(step.with_user(user), action)()

    def test_a_marketplace_user_of_the_company_may(self):
        clerk = new_test_user(self.env, "clerk", groups=f"{SALES},cartona_integration.group_marketplace_user")
        order = self.arrive()
        order.action_confirm()
        step = self.step(order)
        step.with_user(clerk).action_ignore()
        self.assertEqual((step.state, step.reason), ("ignored", f"Ignored by {clerk.name}"))
        with self.assertRaises(AccessError):
            step.with_user(clerk).write({"state": "new"})
        action = order.with_user(clerk).action_view_marketplace_steps()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), step)
        action = self.rest.with_user(clerk).action_view_steps()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), step)

    def test_a_message_on_hold_shows_on_its_order_and_is_retried_from_there(self):
        order = self.arrive()
        self.assertEqual(order.marketplace_sync_status, "synced")
        self.arrive(total=11, note="wrong total")
        self.assertEqual((order.state, order.marketplace_sync_status), ("draft", "error"))
        self.wakeups.clear()
        order.action_marketplace_sync()
        self.assertEqual(self.wakeups, [(self.rest.id, "import"), (self.rest.id, "pull")])
        self.assertEqual(order.marketplace_sync_status, "pending")
