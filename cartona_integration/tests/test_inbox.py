from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from ..compat import STORABLE
from ..dialects import payload
from ..models.marketplace_event_store import MarketplaceEvent
from ..models.marketplace_order_processor import MarketplaceOrderProcessor
from ..models.marketplace_traffic import CONFLICT_TRIES, IMPORT_BATCH
from ..models.marketplace_work_mixin import MAX_RETRY_PAUSE
from .common import MarketplaceCase, ok, sample

LOGGER = "odoo.addons.cartona_integration.models.marketplace_work_mixin"


class InboxCase(MarketplaceCase):
    """Short messages: orders of one piece in the neutral format, and Cartona's sample."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for key in ("TEA-25", "SUGAR-1"):
            cls.make_product(key)

    def neutral(self, order_id="N1", at="10:00", status="pending", key="TEA-25", quantity=1):
        """Give an order of the neutral format, changed at this time of the day."""
        return {
            "id": order_id,
            "status": status,
            "modified_at": at and f"2026-11-12T{at}:00Z",
            "currency": self.env.company.currency_id.name,
            "total": quantity * 10,
            "customer": {"id": "C1", "name": "Shop"},
            "lines": [{"id": "1", "sku": key, "quantity": quantity, "unit_price": 10}],
        }

    def cartona_order(self, order_id="K1", **changes):
        """Give Cartona's sample order under another id; its messages carry no modification time."""
        [row] = payload.loads(sample("cartona/order_pending"))
        return {**row, "hashed_id": order_id, **changes}

    def receive_cartona(self, run=True, **changes):
        raw = payload.dumps(self.cartona_order(**changes)).encode()
        return self.receive(self.cartona, raw, run=run)

    def pull_cartona(self, **changes):
        self.pull(self.cartona, [self.cartona_order(**changes)])

    def states(self, order_id=None):
        return self.events(order_id=order_id).mapped("state")

    def assert_quantity(self, order_id, quantity):
        order = self.order(self.rest, order_id)
        self.assertEqual(order.order_line.filtered("product_id.cartona_id").product_uom_qty, quantity)

    def broken(self, error=None, order_id="BAD"):
        """Give a patch: the processor has a bug on one order."""
        original = MarketplaceOrderProcessor._create_all

        def _create_all(processor, account, orders, chosen=None):
            if any(order.id == order_id for order in orders):
                raise error or KeyError("CANARY of the customer")
            return original(processor, account, orders, chosen)

        return patch.object(MarketplaceOrderProcessor, "_create_all", _create_all)

    def raising(self, code, constraint=""):
        """Give a patch that has PostgreSQL itself raise an error on one order, the given times."""
        original = MarketplaceOrderProcessor._create_all
        self.raised = 0

        def _create_all(processor, account, orders, chosen=None):
            if any(order.id == "BAD" for order in orders) and self.raised < self.raise_times:
                self.raised += 1
                processor.env.cr.execute(
                    f"DO $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '{code}',"
                    f" CONSTRAINT = '{constraint}'; END $$",
                    log_exceptions=False,
                )
            return original(processor, account, orders, chosen)

        return patch.object(MarketplaceOrderProcessor, "_create_all", _create_all)


class TestStoring(InboxCase):
    """Each message is kept once."""

    def test_a_delivery_id_is_made_of_order_number_and_content(self):
        self.receive_cartona()
        self.receive_cartona(status="approved")
        first, second = self.events(self.cartona)
        self.assertEqual(first.delivery_id, f"K1:0:{first.digest[:16]}")
        self.assertEqual(second.delivery_id, f"K1:1:{second.digest[:16]}")

    def test_the_senders_own_delivery_id_is_kept(self):
        envelope = {"id": "E1", "type": "order.updated", "data": {"order": self.neutral()}}
        self.receive(self.rest, envelope)
        self.assertEqual(self.events(self.rest).delivery_id, "E1:N1")

    def test_the_senders_delivery_id_twice_is_a_duplicate_whatever_is_in_it(self):
        envelope = {"id": "E1", "type": "order.updated", "data": {"order": self.neutral()}}
        self.receive(self.rest, envelope)
        envelope["data"]["order"] = self.neutral(at="11:00")
        self.assertEqual(self.receive(self.rest, envelope), (0, 1))

    def test_the_same_content_twice_is_a_duplicate_whatever_its_spelling(self):
        message = self.neutral()
        self.receive(self.rest, message)
        respelled = {**dict(reversed(message.items())), "total": 10.0}
        self.assertEqual(self.receive(self.rest, respelled), (0, 1))

    def test_the_same_order_id_at_two_accounts_is_two_orders(self):
        other = self.make_account("rest", code="rest_two")
        for account in (self.rest, other):
            self.assertEqual(self.receive(account, self.neutral()), (1, 0))
        self.assertTrue(self.order(self.rest, "N1"))
        self.assertTrue(self.order(other, "N1"))
        self.assertNotEqual(self.order(self.rest, "N1"), self.order(other, "N1"))

    def test_a_content_that_comes_back_by_pull_is_a_new_state(self):
        for status in ("pending", "editing", "pending"):
            self.pull_cartona(status=status)
        self.assertEqual(self.events(self.cartona).mapped("status"), ["pending", "held", "pending"])
        self.assertEqual(self.order(self.cartona, "K1").marketplace_status, "pending")

    def test_a_content_that_comes_back_by_webhook_only_has_the_feed_asked(self):
        for status in ("pending", "editing"):
            self.receive_cartona(status=status)
        self.wakeups.clear()
        self.assertEqual(self.receive_cartona(status="pending", run=False), (0, 1))
        self.assertEqual(self.wakeups, [(self.cartona.id, "pull")])

    def test_a_repeat_of_the_newest_content_by_webhook_asks_nobody(self):
        self.receive_cartona()
        self.wakeups.clear()
        self.receive_cartona(run=False)
        self.assertFalse(self.wakeups)

    def test_an_older_content_with_a_modification_time_is_a_repeat_by_pull_too(self):
        for at in ("10:00", "11:00", "10:00"):
            self.pull(self.rest, {"orders": [self.neutral(at=at)], "next_page": None})
        self.assertEqual(len(self.events(self.rest)), 2)

    def test_two_that_store_the_same_at_once_are_one_row(self):
        # Both looked before either stored: what the search says is the same for both.
        blind = patch.object(MarketplaceEvent, "_seen_digests", lambda *args: _NothingSeen())
        with blind:
            self.assertEqual(self.receive(self.rest, self.neutral(), run=False), (1, 0))
            self.assertEqual(self.receive(self.rest, self.neutral(), run=False), (0, 1))
        self.assertEqual(len(self.events(self.rest)), 1)

    def test_two_that_store_different_states_at_once_are_two_rows(self):
        blind = patch.object(MarketplaceEvent, "_seen_digests", lambda *args: _NothingSeen())
        with blind:
            self.receive(self.rest, self.neutral(), run=False)
            self.assertEqual(self.receive(self.rest, self.neutral(at="11:00"), run=False), (1, 0))

    def test_elements_without_an_id_are_each_kept_once_whatever_comes_along(self):
        one, two = {"total": 1}, {"total": 2}
        for message in ([self.neutral(), one, two], [self.neutral("N2"), two], [self.neutral("N3"), one]):
            self.receive(self.rest, message)
        self.assertEqual(len(self.events(self.rest).filtered(lambda event: not event.external_order_id)), 2)


class _NothingSeen(dict):
    def __missing__(self, key):
        self[key] = ([], [])
        return self[key]


class TestNewer(InboxCase):
    """Which of two messages of an order is the true one."""

    def test_the_modification_time_decides(self):
        self.receive(self.rest, self.neutral(at="11:00", quantity=5))
        self.receive(self.rest, self.neutral(at="10:00", quantity=2))
        self.assertEqual(self.states(), ["done", "ignored"])
        self.assert_quantity("N1", 5)

    def test_messages_waiting_together_in_the_wrong_order_end_in_the_newest(self):
        self.receive(self.rest, self.neutral(at="11:00", quantity=5), run=False)
        self.receive(self.rest, self.neutral(at="10:00", quantity=2), run=False)
        self.receive(self.rest, self.neutral(at="12:00", quantity=7), run=False)
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done", "ignored", "done"])
        self.assert_quantity("N1", 7)

    def test_a_time_that_has_not_come_yet_makes_no_later_message_an_old_one(self):
        self.receive(self.rest, {**self.neutral(quantity=5), "modified_at": "2099-01-01T00:00:00Z"})
        self.receive(self.rest, self.neutral(at="11:00", quantity=6))
        self.assertEqual(self.states(), ["done", "done"])
        self.assert_quantity("N1", 6)
        late = self.neutral("N2", quantity=5, key="UNKNOWN") | {"modified_at": "2099-01-01T00:00:00Z"}
        self.receive(self.rest, late)
        self.receive(self.rest, self.neutral("N2", at="11:00", quantity=6))
        self.assertEqual(self.states("N2"), ["ignored", "done"])

    def test_without_a_time_a_legal_step_is_taken(self):
        self.receive_cartona()
        self.receive_cartona(status="approved")
        self.assertEqual(self.states(), ["done", "done"])
        self.assertEqual(self.order(self.cartona, "K1").marketplace_status, "confirmed")

    def test_without_a_time_a_step_back_is_recorded_and_not_applied(self):
        self.receive_cartona(status="assigned_to_salesman")
        self.receive_cartona(status="approved")
        self.assertEqual(self.states(), ["done", "ignored"])
        self.assertEqual(self.order(self.cartona, "K1").marketplace_status, "shipped")
        self.assertTrue(self.events()[-1].reason)

    def test_a_newer_message_replaces_an_older_one_on_hold(self):
        self.receive(self.rest, self.neutral(key="UNKNOWN"))
        self.receive(self.rest, self.neutral(at="11:00"))
        self.assertEqual(self.states(), ["ignored", "done"])
        self.assertFalse(self.events()[0].hold_ids)

    def test_a_newer_message_on_hold_replaces_an_older_one_on_hold(self):
        self.receive(self.rest, self.neutral(key="UNKNOWN"))
        self.receive(self.rest, self.neutral(at="11:00", key="UNKNOWN-2"))
        self.assertEqual(self.states(), ["ignored", "hold"])
        self.make_product("UNKNOWN")
        self.run_job(self.rest, "import")
        self.assertFalse(self.order(self.rest, "N1"))
        self.make_product("UNKNOWN-2")
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["ignored", "done"])

    def test_an_older_message_does_not_overtake_a_newer_one_on_hold(self):
        self.receive(self.rest, self.neutral(at="11:00", key="UNKNOWN"))
        self.receive(self.rest, self.neutral(at="10:00"))
        self.assertEqual(self.states(), ["hold", "ignored"])
        self.assertFalse(self.order(self.rest, "N1"))

    def test_a_held_older_message_of_another_account_is_left_alone(self):
        other = self.make_account("rest", code="rest_two")
        self.receive(other, self.neutral(key="UNKNOWN"))
        self.receive(self.rest, self.neutral(at="11:00"))
        self.assertEqual(self.events(other).state, "hold")


class TestLateWebhooks(InboxCase):
    """A webhook without a time may be late: what the order list has shown is not undone by it."""

    def setUp(self):
        super().setUp()
        self.cartona.order_policy = "draft"
        self.pull_cartona(note="first")
        self.pull_cartona(note="second")

    def test_the_list_has_the_last_word(self):
        self.receive_cartona(note="late")
        self.assertEqual(self.states(), ["done", "done", "ignored"])
        self.assertIn((self.cartona.id, "pull"), self.wakeups)

    def test_what_the_list_then_shows_is_taken(self):
        self.receive_cartona(note="true")
        self.pull_cartona(note="true")
        self.assertEqual(self.states(), ["done", "done", "ignored", "done"])
        self.door.will("acknowledge", ok({}))
        self.pull_cartona(note="true")
        self.assertEqual(len(self.events()), 4)
        self.assertTrue(self.events()[-1].acknowledged_at)

    def test_what_the_list_still_shows_is_acknowledged(self):
        self.receive_cartona(note="late")
        self.door.will("acknowledge", ok({}))
        self.pull_cartona(note="second")
        self.assertEqual(self.states(), ["done", "done", "ignored"])
        self.assertTrue(self.events()[1].acknowledged_at)

    def test_settled_is_an_order_in_the_very_state_that_is_shown(self):
        self.receive_cartona(order_id="K9")
        settled_event = self.events(order_id="K9")
        for changes, settled in (({}, {"K9": settled_event.id}), ({"note_message": "another"}, {})):
            shown = self.cartona._dialect().split("orders", [self.cartona_order("K9", **changes)])
            self.assertEqual(self.env["marketplace.event"]._settled(self.cartona, shown), settled)

    def test_a_later_stage_is_believed_at_once(self):
        self.receive_cartona(status="cancelled_by_retailer")
        self.assertEqual(self.events()[-1].state, "done")
        self.assertEqual(self.order(self.cartona, "K1").state, "cancel")


class TestStatusFirst(InboxCase):
    """A status that overtakes its order."""

    def status(self, status="delivered", at="11:00"):
        return {"id": "N1", "status": status, "modified_at": f"2026-11-12T{at}:00Z"}

    def test_it_waits_and_is_applied_when_the_order_arrives(self):
        self.receive(self.rest, self.status(), topic="status")
        self.assertEqual(self.states(), ["hold"])
        self.assertEqual(self.events().hold_ids.mapped(lambda hold: (hold.kind, hold.key)), [("order", "N1")])
        self.receive(self.rest, self.neutral())
        self.assertEqual(self.states(), ["done", "done"])
        self.assertEqual(self.order(self.rest, "N1").marketplace_status, "delivered")

    def test_it_needs_a_person_after_a_day_only(self):
        self.receive(self.rest, self.status(), topic="status")
        self.assertEqual(self.rest.problem_event_count, 0)
        holds = self.events().hold_ids
        kept = holds.copy_data()
        holds.unlink()
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.problem_event_count, 1, "nothing is known to settle it")
        holds.create(kept)
        self.env.flush_all()
        self.cr.execute("UPDATE marketplace_event SET create_date = create_date - interval '25 hours'")
        self.env.invalidate_all()
        self.assertEqual(self.rest.problem_event_count, 1)
        self.receive(self.rest, self.neutral("N2", key="UNKNOWN"))
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.problem_event_count, 2)

    def test_several_are_applied_oldest_first(self):
        self.receive(self.rest, self.status("confirmed", "10:30"), topic="status")
        self.receive(self.rest, self.status("cancelled", "11:00"), topic="status")
        self.receive(self.rest, self.neutral())
        self.assertEqual(self.states(), ["done"] * 3)
        self.assertEqual(self.order(self.rest, "N1").state, "cancel")

    def test_one_older_than_the_order_is_ignored_when_it_arrives(self):
        self.receive(self.rest, self.status(at="09:00"), topic="status")
        self.receive(self.rest, self.neutral())
        self.assertEqual(self.states(), ["ignored", "done"])
        self.assertEqual(self.order(self.rest, "N1").marketplace_status, "pending")

    def test_an_order_on_hold_keeps_its_status_waiting(self):
        self.receive(self.rest, self.status(), topic="status")
        self.receive(self.rest, self.neutral(key="UNKNOWN"))
        self.assertEqual(self.states(), ["hold", "hold"])
        self.make_product("UNKNOWN")
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done", "done"])
        self.assertEqual(self.order(self.rest, "N1").marketplace_status, "delivered")

    def test_another_orders_arrival_wakes_nothing(self):
        self.receive(self.rest, self.status(), topic="status")
        self.receive(self.rest, self.neutral("N2"))
        self.assertEqual(self.states("N1"), ["hold"])

    def test_another_accounts_order_of_the_same_id_wakes_nothing(self):
        other = self.make_account("rest", code="rest_two")
        self.receive(self.rest, self.status(), topic="status")
        self.receive(other, self.neutral())
        self.assertEqual(self.events(self.rest).state, "hold")


class TestResuming(InboxCase):
    """A message on hold goes on by itself when what it misses appears."""

    def setUp(self):
        super().setUp()
        self.receive(self.rest, self.neutral(key="NEW-KEY"))
        self.assertEqual(self.states(), ["hold"])
        self.wakeups.clear()

    def assert_resumed(self):
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done"])
        self.assert_quantity("N1", 1)

    def make_plain(self, **values):
        return self.env["product.product"].create({"name": "plain", "taxes_id": False, **STORABLE, **values})

    def test_when_a_variant_gets_the_key(self):
        self.make_plain().cartona_id = "NEW-KEY"
        self.assert_resumed()

    def test_when_a_template_gets_the_key(self):
        self.make_plain().product_tmpl_id.cartona_id = "NEW-KEY"
        self.assert_resumed()

    def test_when_a_product_is_made_with_the_key(self):
        self.make_product("NEW-KEY")
        self.assert_resumed()

    def test_when_a_template_is_made_with_the_key(self):
        self.env["product.template"].create(
            {"name": "made", "cartona_id": "NEW-KEY", "taxes_id": False, **STORABLE}
        )
        self.assert_resumed()

    def test_when_a_product_with_the_key_is_taken_from_the_archive(self):
        product = self.make_plain(cartona_id="NEW-KEY", active=False)
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["hold"])
        self.wakeups.clear()
        product.active = True
        self.assert_resumed()

    def test_when_a_template_with_the_key_is_taken_from_the_archive(self):
        template = self.make_plain(cartona_id="NEW-KEY").product_tmpl_id
        template.active = False
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["hold"])
        self.wakeups.clear()
        template.active = True
        self.assert_resumed()

    def test_not_when_another_key_is_given(self):
        self.make_product("OTHER-KEY")
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["hold"])
        self.assertEqual(self.events().tries, 0)

    def test_not_by_a_product_of_another_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        self.make_plain(cartona_id="NEW-KEY", company_id=company.id)
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["hold"])

    def test_a_message_that_misses_two_products_waits_for_both(self):
        message = self.neutral("N2", key="ONE")
        message["lines"].append({"id": "2", "sku": "TWO", "quantity": 1, "unit_price": 0})
        self.receive(self.rest, message)
        self.make_product("ONE")
        self.run_job(self.rest, "import")
        self.assertEqual(self.states("N2"), ["hold"])
        self.assertEqual(self.events(order_id="N2").hold_ids.mapped("key"), ["TWO"])
        self.make_product("TWO")
        self.run_job(self.rest, "import")
        self.assertEqual(self.states("N2"), ["done"])

    def test_a_paused_account_resumes_when_it_works_again(self):
        self.rest.action_pause()
        self.make_product("NEW-KEY")
        self.run_job(self.rest, "import")
        self.assertFalse(self.order(self.rest, "N1"))
        self.rest.action_activate()
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done"])

    def test_when_its_currency_is_activated(self):
        currency = (
            self.env["res.currency"].with_context(active_test=False).search([("active", "=", False)], limit=1)
        )
        self.receive(self.rest, {**self.neutral("N2"), "currency": currency.name})
        self.assertEqual(self.events(order_id="N2").hold_ids.kind, "currency")
        currency.active = True
        self.run_job(self.rest, "import")
        self.assertEqual(self.states("N2"), ["done"])
        self.assertEqual(self.order(self.rest, "N2").currency_id, currency)


class TestButtons(InboxCase):
    """What people may do with a message."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        group = "cartona_integration.group_marketplace_user"
        cls.clerk = new_test_user(cls.env, "clerk", groups=group)
        cls.stranger = new_test_user(
            cls.env, "stranger", groups="base.group_user,sales_team.group_sale_manager"
        )

    def setUp(self):
        super().setUp()
        self.receive(self.rest, self.neutral(key="UNKNOWN"))
        self.event = self.events()
        self.wakeups.clear()
        self.env.flush_all()
        self.env.invalidate_all()

    def test_what_was_ignored_by_mistake_is_processed_again(self):
        self.event.with_user(self.clerk)._ignore("by mistake")
        self.assertTrue(self.event.is_given_up)
        self.make_product("UNKNOWN")
        self.event.with_user(self.clerk).action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(self.event.state, "done")
        order = self.order(self.rest, "N1")
        self.assertTrue(order)
        with self.assertRaises(UserError):
            self.event.action_process_again()
        self.door.will("status", ok())
        order._action_cancel()
        self.run_job(self.rest, "steps")
        order.unlink()
        self.assertTrue(self.event.is_given_up)
        self.event.action_process_again()
        self.run_job(self.rest, "import")
        self.assertTrue(self.order(self.rest, "N1"))

    def test_a_late_message_of_an_order_that_is_here_is_not_given_up(self):
        self.receive(self.rest, self.neutral("N2", at="11:00"))
        self.receive(self.rest, self.neutral("N2", at="10:00", quantity=2))
        late = self.events(order_id="N2")[-1]
        self.assertEqual(late.state, "ignored")
        self.assertFalse(late.is_given_up)
        with self.assertRaises(UserError):
            late.action_process_again()

    def test_of_an_order_s_messages_only_the_newest_is_processed_again(self):
        self.event._ignore()
        self.receive(self.rest, self.neutral(at="11:00", key="UNKNOWN"))
        with self.assertRaises(UserError):
            self.event.action_process_again()

    def test_a_user_processes_a_message_again(self):
        self.event.with_user(self.clerk).action_process_again()
        self.assertEqual((self.event.state, self.event.tries), ("new", 0))
        self.assertFalse(self.event.hold_ids)
        self.assertEqual(self.wakeups, [(self.rest.id, "import")])

    def test_a_user_ignores_a_message_by_name(self):
        self.event.with_user(self.clerk).action_ignore()
        self.assertEqual(self.event.state, "ignored")
        self.assertIn(self.clerk.name, self.event.reason)
        self.make_product("UNKNOWN")
        self.run_job(self.rest, "import")
        self.assertEqual(self.event.state, "ignored")

    def test_who_has_nothing_to_do_with_marketplaces_may_neither(self):
        for action in ("action_process_again", "action_ignore"):
            with self.assertRaises(AccessError):
                getattr(self.event.with_user(self.stranger), action)()
        self.assertEqual(self.event.state, "hold")

    def test_what_is_settled_is_not_touched_again(self):
        self.make_product("UNKNOWN")
        self.run_job(self.rest, "import")
        for action in ("action_process_again", "action_ignore"):
            with self.assertRaises(UserError):
                getattr(self.event.with_user(self.clerk), action)()
        self.assertEqual(self.event.state, "done")

    def test_one_settled_message_in_a_selection_stops_the_button_for_all(self):
        self.receive(self.rest, self.neutral("N2"))
        with self.assertRaises(UserError):
            self.events().with_user(self.clerk).action_ignore()
        self.assertEqual(self.states(), ["hold", "done"])

    def test_an_ignored_order_is_told_anew_by_a_newer_message(self):
        self.event.with_user(self.clerk).action_ignore()
        self.receive(self.rest, self.neutral(at="11:00"))
        self.assertEqual(self.states(), ["ignored", "done"])


class TestFailures(InboxCase):
    """A bug of ours on one message stops nothing else."""

    def try_bad(self, account=None):
        """Try the failed message once more, as if its time had come."""
        self.events(order_id="BAD").filtered("next_try").next_try = fields.Datetime.now() - timedelta(
            seconds=1
        )
        with self.broken(), self.assertLogs(LOGGER, "ERROR") as caught:
            self.run_job(account or self.rest, "import")
        return caught

    def receive_bad_among_good(self):
        self.receive(self.rest, [self.neutral("A"), self.neutral("BAD"), self.neutral("B")], run=False)
        return self.try_bad()

    def test_one_message_fails_and_the_others_are_imported(self):
        self.receive_bad_among_good()
        self.assertEqual(self.states(), ["done", "failed", "done"])

    def test_goods_that_cannot_be_counted_stop_no_other_message(self):
        bug = patch.object(type(self.env["marketplace.event"]), "_wanted_quantities", side_effect=TypeError)
        logger = "odoo.addons.cartona_integration.models.marketplace_event_kept"
        with bug, self.assertLogs(logger, "ERROR"):
            self.receive_bad_among_good()
        self.assertEqual(self.states(), ["done", "failed", "done"])

    def test_the_reason_names_the_class_and_nothing_of_the_message(self):
        self.receive_bad_among_good()
        bad = self.events(order_id="BAD")
        self.assertEqual((bad.reason, bad.tries), ("KeyError", 1))

    def test_a_text_made_for_people_is_kept_in_one_line(self):
        self.receive(self.rest, self.neutral("BAD"), run=False)
        with self.broken(UserError("The period\nis closed")), self.assertLogs(LOGGER, "ERROR"):
            self.run_job(self.rest, "import")
        self.assertEqual(self.events().reason, "The period\\nis closed")

    def test_the_log_has_the_traceback_and_not_the_payload(self):
        caught = self.receive_bad_among_good()
        self.assertEqual(len(caught.output), 1)
        self.assertIn("Traceback", caught.output[0])
        self.assertNotIn("unit_price", caught.output[0])

    def test_nothing_of_the_failed_message_stays(self):
        original = MarketplaceOrderProcessor._import

        def _import(processor, account, order):
            original(processor, account, order)
            raise KeyError("after the work")

        self.receive(self.rest, self.neutral("BAD"), run=False)
        with (
            patch.object(MarketplaceOrderProcessor, "_import", _import),
            self.assertLogs(LOGGER, "ERROR"),
        ):
            self.run_job(self.rest, "import")
        self.assertFalse(self.order(self.rest, "BAD"))
        self.assertFalse(self.env["res.partner"].search([("cartona_id", "=", "retailer_rest_test_C1")]))

    def test_it_is_not_tried_again_before_its_time(self):
        self.receive_bad_among_good()
        self.run_job(self.rest, "import")
        self.assertEqual(self.events(order_id="BAD").tries, 1)

    def test_the_pauses_grow_and_end_with_one_activity(self):
        self.receive(self.rest, self.neutral("BAD"), run=False)
        bad, pauses = self.events(), []
        for tries in range(1, self.rest.retry_attempts):
            self.try_bad()
            self.assertEqual((bad.state, bad.tries), ("failed", tries))
            pauses.append((bad.next_try - fields.Datetime.now()).total_seconds())
        self.assertEqual(pauses, sorted(pauses))
        self.assertGreater(pauses[-1], pauses[0])
        self.assertLessEqual(pauses[-1], MAX_RETRY_PAUSE)
        self.assertFalse(self.rest.activity_ids)
        self.try_bad()
        self.assertEqual((bad.state, bad.tries, bad.next_try), ("failed", self.rest.retry_attempts, False))
        self.assertEqual(len(self.rest.activity_ids), 1)
        self.assertEqual(self.rest.activity_ids.user_id, self.rest.responsible_id)

    def test_what_a_person_has_to_look_at_is_left_alone(self):
        self.rest.retry_attempts = 1
        self.receive_bad_among_good()
        self.run_job(self.rest, "import")
        self.assertEqual(self.events(order_id="BAD").tries, 1)
        self.assertFalse(self.env["marketplace.event"]._has_waiting(self.rest))

    def test_a_second_lost_message_adds_no_second_activity(self):
        self.rest.retry_attempts = 1
        for at in ("10:00", "11:00"):
            self.receive(self.rest, self.neutral("BAD", at=at), run=False)
            self.try_bad()
        self.assertEqual(len(self.rest.activity_ids), 1)

    def test_a_failed_message_is_imported_once_the_bug_is_gone(self):
        self.receive_bad_among_good()
        self.events(order_id="BAD").action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done"] * 3)

    def test_a_conflict_with_another_transaction_is_repeated_and_never_a_failure(self):
        self.receive(self.rest, [self.neutral("A"), self.neutral("BAD")], run=False)
        self.raise_times = 2
        with self.raising("40001"):
            self.run_job(self.rest, "import")
        self.assertEqual(self.raised, 2)
        self.assertEqual(self.states(), ["done", "done"])
        self.assertEqual(self.events(order_id="BAD").tries, 1)

    def test_a_lost_race_for_an_identity_is_repeated(self):
        for index in ("sale_order_marketplace_identity_uniq", "res_partner_cartona_id_uniq"):
            with self.subTest(index):
                self.receive(self.rest, self.neutral("BAD", at=f"1{len(self.events())}:00"), run=False)
                self.raise_times = 1
                with self.raising("23505", index):
                    self.run_job(self.rest, "import")
                self.assertEqual(set(self.states()), {"done"})

    def test_another_unique_index_means_a_bad_message(self):
        self.receive(self.rest, [self.neutral("A"), self.neutral("BAD"), self.neutral("B")], run=False)
        self.raise_times = 100
        with self.raising("23505", "product_product_barcode_uniq"), self.assertLogs(LOGGER, "ERROR"):
            self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done", "failed", "done"])
        self.assertEqual(self.events(order_id="BAD").reason, "UniqueViolation")

    def test_a_conflict_that_never_ends_reaches_the_job(self):
        self.receive(self.rest, self.neutral("BAD"), run=False)
        self.raise_times = 100
        with self.raising("40001"), self.assertRaises(Exception) as caught:
            self.run_job(self.rest, "import")
        self.assertEqual(caught.exception.pgcode, "40001")
        self.assertEqual(self.raised, CONFLICT_TRIES)
        self.assertEqual(self.states(), ["new"])


class TestPoison(InboxCase):
    """A message that kills its worker leaves nothing but the count of its claims."""

    def claim(self):
        """Do what a worker does before it is killed."""
        actor = self.rest.with_user(self.rest.user_id)
        ids = actor._committed("_claim_events")
        self.env.invalidate_all()
        return self.env["marketplace.event"].browse(ids).mapped("external_order_id")

    def test_it_goes_alone_after_the_first_kill(self):
        self.receive(self.rest, [self.neutral("A"), self.neutral("B"), self.neutral("C")], run=False)
        self.assertEqual(self.claim(), ["A", "B", "C"])
        self.assertEqual(self.claim(), ["A"])
        self.assertEqual(self.claim(), ["A"])
        self.assertEqual(self.events().mapped("tries"), [3, 1, 1])

    def test_new_messages_do_not_go_with_one_that_was_tried(self):
        self.receive(self.rest, self.neutral("A"), run=False)
        self.claim()
        self.receive(self.rest, self.neutral("B"), run=False)
        self.assertEqual(self.claim(), ["A"])

    def test_it_is_stopped_after_the_accounts_attempts_and_the_others_go_on(self):
        self.receive(self.rest, [self.neutral("BAD"), self.neutral("B")], run=False)
        for _attempt in range(self.rest.retry_attempts):
            self.claim()
        with self.broken(AssertionError("it must not be processed")):
            self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["failed", "done"])
        bad = self.events(order_id="BAD")
        self.assertFalse(bad.next_try)
        self.assertIn(str(self.rest.retry_attempts), bad.reason)
        self.assertEqual(len(self.rest.activity_ids), 1)

    def test_a_person_may_give_it_another_chance(self):
        self.receive(self.rest, self.neutral("BAD"), run=False)
        for _attempt in range(self.rest.retry_attempts):
            self.claim()
        self.run_job(self.rest, "import")
        self.env["marketplace.config"]._cron_sweep()
        self.assertEqual(len(self.rest.activity_ids), 1)
        self.events().action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(self.states(), ["done"])
        self.env["marketplace.config"]._cron_sweep()
        self.assertFalse(self.rest.activity_ids, "nothing is left to do")

    def test_a_batch_has_a_limit_and_the_job_goes_on_to_the_end(self):
        self.receive(self.rest, [self.neutral(f"N{number}") for number in range(IMPORT_BATCH + 5)], run=False)
        self.assertEqual(len(self.claim()), IMPORT_BATCH)
        self.run_job(self.rest, "import")
        self.assertEqual(set(self.states()), {"done"})
