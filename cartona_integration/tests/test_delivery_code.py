from contextlib import contextmanager
from unittest.mock import patch

from odoo import Command
from odoo.exceptions import UserError
from odoo.tests import new_test_user

from ..exceptions import Unavailable
from ..models.stock_picking import StockPicking
from .common import ok
from .test_delivery import DeliveryCase

WRONG = ok({"error": "retailer_otp is missing or wrong"}, 422)


class CodeCase(DeliveryCase):
    """Orders whose delivery needs the customer's code."""

    def setUp(self):
        super().setUp()
        self.attend(True)

    def attend(self, is_attended):
        self.startPatcher(patch.object(StockPicking, "_is_attended", lambda _picking: is_attended))

    def due(self, account=None, order_id="N1"):
        account = account or self.cartona
        money = {"wallet_top_up": 5} if account == self.cartona else {"needs_code": True}
        return self.confirmed(account, order_id, **money)

    def wizard(self, action):
        self.assertEqual(action["res_model"], "marketplace.delivery.code")
        return self.env["marketplace.delivery.code"].browse(action["res_id"])

    def start(self, order, backorder=True, **quantities):
        """Pick and press the button, and give the wizard that asks for the code."""
        picking = order.picking_ids.filtered(lambda picking: picking.state not in ("done", "cancel"))
        self.pick(picking, **(quantities or {"tea": 10, "sugar": 4}))
        return self.wizard(self.validate(picking, backorder))

    def enter(self, wizard, code="4711"):
        wizard.line_ids.code = code
        self.env.flush_all()
        result = wizard.action_confirm()
        self.env.invalidate_all()
        return result

    def bodies(self):
        return [call.body for call in self.door.asked("status")]


class TestCodes(CodeCase):
    """The code goes first; the delivery is completed when it is accepted, and only then."""

    def test_validating_asks_and_sends_nothing_yet(self):
        order = self.due()
        self.assertTrue(order.picking_ids.marketplace_code_due)
        wizard = self.start(order)
        self.assertIn("N1", wizard.line_ids.name)
        self.assertEqual((self.door.requests, order.picking_ids.state), ([], "assigned"))

    def test_an_accepted_code_completes_the_delivery_with_one_call(self):
        for account in (self.cartona, self.rest):
            self.door.requests.clear()
            order = self.due(account)
            self.assertIs(self.enter(self.start(order)), True)
            self.assertEqual(order.picking_ids.state, "done")
            self.send(account)
            self.assertEqual(self.steps(order), [("shipped", "done"), ("delivered", "done")])
            shipped, delivered = self.bodies()
            code = "retailer_otp" if account == self.cartona else "otp"
            self.assertEqual(delivered[code], "4711")
            self.assertNotIn(code, shipped)
            self.assertEqual(
                (order.marketplace_status, order.marketplace_sync_status), ("delivered", "synced")
            )
            self.assertFalse(order.picking_ids.marketplace_code_due)

    def test_wrong_twice_then_right(self):
        order = self.due()
        wizard = self.start(order)
        self.door.will("status", ok(), WRONG, WRONG, ok())
        for _time in range(2):
            self.assertEqual(self.enter(wizard, "0000")["res_id"], wizard.id)
            self.assertIn("wrong", wizard.line_ids.message)
            self.assertEqual((order.picking_ids.state, wizard.line_ids.code), ("assigned", False))
        self.assertIs(self.enter(wizard), True)
        self.assertEqual(order.picking_ids.state, "done")
        steps = [(step.status, step.state) for step in order.marketplace_step_ids]
        wrong, right = ("delivered", "ignored"), ("delivered", "done")
        self.assertEqual(steps, [("shipped", "done"), wrong, wrong, right])

    def test_no_code_no_call(self):
        order = self.due()
        wizard = self.start(order)
        self.enter(wizard, "  ")
        self.assertEqual((self.door.requests, order.picking_ids.state), ([], "assigned"))

    def test_of_an_order_that_is_over_by_now_no_code_is_sent(self):
        order = self.due(self.rest)
        wizard = self.start(order)
        self.arrive("N1", "cancelled", self.rest, modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(self.enter(wizard)["res_id"], wizard.id)
        self.assertIn("Cancelled", wizard.line_ids.message)
        self.assertEqual((self.door.requests, order.picking_ids.state), ([], "cancel"))
        self.assertFalse(order.marketplace_step_ids)

    def test_a_part_with_a_backorder_needs_no_code_and_the_rest_does(self):
        order = self.due()
        self.ship(order, tea=6, sugar=4)
        self.assertEqual(self.statuses(order), ["shipped"])
        self.enter(self.start(order, tea=4))
        self.assertEqual(set(order.picking_ids.mapped("state")), {"done"})
        self.assertEqual(order.marketplace_status, "delivered")

    def test_who_asks_for_the_code_at_the_door_sees_what_to_collect_for_the_part(self):
        order = self.due()
        wizard = self.start(order, backorder=False, tea=6, sugar=4)
        self.door.will("status", ok(), WRONG, ok())
        for state in ("assigned", "done"):
            self.enter(wizard)
            self.assertEqual(order.picking_ids.state, state)
            self.assertEqual((order.marketplace_collect_now, order.marketplace_money_difference), (85, 0))

    def test_an_echo_of_a_part_whose_code_is_missing_is_no_change_of_the_customers(self):
        order = self.due(self.rest)
        wizard = self.start(order, backorder=False, tea=6, sugar=4)
        self.door.will("status", ok(), WRONG, ok())
        self.enter(wizard)
        lines = self.message(self.rest, "N1", "shipped")["lines"]
        lines[0]["quantity"] = 6
        echo = {"lines": lines, "total": 80, "needs_code": True, "modified_at": "2026-11-12T11:00:00Z"}
        notes = len(order.message_ids)
        self.arrive(status="shipped", **echo)
        self.assertEqual(self.events()[-1].state, "done")
        self.assertEqual((order.order_line[0].product_uom_qty, len(order.message_ids)), (10, notes))
        self.assertEqual((order.marketplace_collect_now, order.marketplace_money_difference), (0, 0))
        self.enter(wizard)
        self.send()
        self.assertEqual((order.picking_ids.state, len(self.asked_lines())), ("done", 1))
        self.assertEqual((order.order_line[0].product_uom_qty, order.marketplace_sync_status), (10, "synced"))

    def test_without_a_backorder_the_lines_go_before_the_code(self):
        order = self.due()
        wizard = self.start(order, backorder=False, tea=6, sugar=4)
        self.enter(wizard)
        self.assertEqual(self.asked_lines(), [[{"id": 1, "amount": 6}]])
        operations = [call.operation for call in self.door.requests]
        self.assertEqual(operations, ["status", "order_details", "status"])
        self.send(self.cartona)
        self.assertEqual(len(self.door.requests), 3)

    def test_what_the_picker_adds_is_shown_though_the_code_is_taken(self):
        order = self.due(self.rest)
        picking, extra = order.picking_ids, self.make_product("EXTRA-1")
        self.env["stock.quant"]._update_available_quantity(extra, self.stock, 10)
        picking.move_ids[0].copy(
            {"product_id": extra.id, "product_uom_qty": 2, "sale_line_id": False, "picking_id": picking.id}
        )
        self.enter(self.start(order, tea=10, sugar=4, extra=2))
        self.send(self.rest)
        self.assertEqual((picking.state, self.asked_lines()), ("done", []))
        self.assertEqual(order.marketplace_sync_status, "error")
        self.assertIn("EXTRA-1", order.marketplace_error_message)

    def test_several_deliveries_are_asked_for_together(self):
        orders = self.due() | self.due(order_id="N2")
        free = self.confirmed(self.cartona, "N3")
        pickings = (orders | free).picking_ids
        for picking in pickings:
            self.pick(picking, tea=10, sugar=4)
        wizard = self.wizard(self.validate(pickings))
        self.assertEqual(len(wizard.line_ids), 2)
        self.door.will("status", ok(), ok(), ok(), WRONG, ok())
        self.enter(wizard)
        self.assertEqual(wizard.line_ids.mapped("is_accepted"), [True, False])
        self.assertEqual(set(pickings.mapped("state")), {"assigned"})
        self.enter(wizard)
        self.assertEqual(set(pickings.mapped("state")), {"done"})

    def test_the_code_is_kept_nowhere(self):
        order = self.due()
        wizard = self.start(order)
        self.door.will("status", ok(), ok({"error": "4711x is wrong"}, 422), ok())
        with self.assertLogs("odoo", "DEBUG") as logs:
            self.enter(wizard, "4711x")
            self.enter(wizard, "4711x")
            self.env.flush_all()
        ours = [line for line in logs.output if "odoo.sql_db" not in line]
        self.assertFalse([line for line in ours if "4711x" in line])
        for table in ("marketplace_order_step", "marketplace_delivery_code_line", "sale_order", "queue_job"):
            self.cr.execute(f"SELECT count(*) FROM {table} WHERE {table}::text LIKE '%4711x%'")
            self.assertEqual(self.cr.fetchone(), (0,), table)

    def test_a_code_entered_on_the_order_is_offered_and_then_forgotten(self):
        order = self.due()
        order.marketplace_delivery_otp = "4711"
        wizard = self.start(order)
        self.assertEqual(wizard.line_ids.code, "4711")
        self.enter(wizard)
        self.assertFalse(order.marketplace_delivery_otp)

    def test_a_carrier_without_other_rights_delivers(self):
        carrier = new_test_user(self.env, "carrier", "base.group_user,stock.group_stock_user")
        order = self.due()
        picking = order.picking_ids
        self.pick(picking, tea=10, sugar=4)
        action = picking.with_user(carrier).with_context(skip_backorder=True).button_validate()
        wizard = self.wizard(action).with_user(carrier)
        wizard.line_ids.write({"code": "4711"})
        self.enter(wizard)
        self.assertEqual(picking.state, "done")

    def test_where_validating_means_shipped_the_button_asks(self):
        self.cartona.delivery_policy = "shipped"
        order = self.due()
        self.ship(order)
        self.send(self.cartona)
        self.enter(self.wizard(order.action_marketplace_delivered()))
        self.assertEqual(order.marketplace_status, "delivered")

    def test_while_a_vendor_is_to_send_the_rest_nothing_is_asked(self):
        order = self.due()
        sugar = order.order_line[1].move_ids
        sugar._action_cancel()
        sugar.unlink()
        self.pick(order.picking_ids, tea=10)
        self.assertIs(self.validate(order.picking_ids), True)
        self.assertNotIn("delivered", order.marketplace_step_ids.mapped("status"))

    def test_orders_without_it_ask_nothing(self):
        self.ship(self.confirmed(self.cartona))
        order = self.confirmed(self.cartona, "K2", installment_cost=3, delivered_by="delivered_by_cartona")
        self.ship(order)
        self.assertEqual(order.picking_ids.state, "done")

    def test_a_kit_that_goes_whole_is_no_line_less(self):
        order = self.due()
        line = order.order_line[1]
        self.make_kit(line).product_uom_qty = 8
        wizard = self.start(order, tea=10, part=8)
        self.assertEqual(wizard.picking_ids._planned_quantities(order)[str(line.id)], 4)
        self.enter(wizard)
        self.assertFalse(self.asked_lines())

    def test_no_code_step_is_sent_without_its_code_after_an_edit(self):
        order = self.arrive("N1", "pending", self.cartona, wallet_top_up=5)
        order.action_confirm()
        self.pick(order.picking_ids, tea=10, sugar=4)
        order.picking_ids._action_done()
        self.arrive("N1", "held", self.cartona, wallet_top_up=5)
        self.arrive("N1", "pending", self.cartona, wallet_top_up=5, note_message="done")
        self.send(self.cartona)
        self.assertEqual([status for _order, status in self.told()], ["approved", "assigned_to_salesman"])
        self.assertEqual(self.steps(order)[-1], ("delivered", "failed"))


class TestCodesInTrouble(CodeCase):
    """Whatever goes wrong, no code is sent twice by itself, and a person knows where the two sides differ."""

    def test_a_repeated_request_finds_the_answer_and_does_not_call_again(self):
        order = self.due()
        wizard = self.start(order)
        wizard.line_ids.code = "4711"
        self.env.flush_all()
        with self.repeated(order):
            order.sudo()._send_code("4711")
        self.enter(wizard)
        self.assertEqual(order.picking_ids.state, "done")
        self.assertEqual(len(self.bodies()), 2)

    @contextmanager
    def repeated(self, order):
        """Forget what a transaction knew of itself, as a conflict makes it."""
        yield
        order._accepted_now().clear()
        self.env.invalidate_all()

    def test_a_code_taken_without_a_delivery_here_is_shown(self):
        order = self.due()
        order.sudo()._send_code("4711")
        order._accepted_now().clear()
        self.env.invalidate_all()
        self.assertEqual(order.marketplace_sync_status, "error")
        self.assertIn("not validated", order.marketplace_error_message)
        step = order.marketplace_step_ids[-1]
        step.done_at = "2020-01-01 00:00:00"
        self.cartona._find_forgotten_deliveries()
        asked = ["cartona_integration.activity_statuses"]
        self.env["marketplace.config"]._cron_sweep()
        self.assertTrue(self.cartona.activity_search(asked), "it is asked about without any failed status")
        self.ship(order)
        self.env["marketplace.config"]._cron_sweep()
        self.assertFalse(self.cartona.activity_search(asked))
        self.send(self.cartona)
        self.assertEqual((order.marketplace_sync_status, len(self.bodies())), ("synced", 2))

    def test_without_an_answer_the_person_looks_before_it_is_sent_again(self):
        order = self.due()
        wizard = self.start(order)
        self.door.will("status", ok(), Unavailable("cut"), ok())
        self.enter(wizard)
        self.assertTrue(wizard.is_in_doubt)
        self.enter(wizard)
        self.assertEqual((len(self.bodies()), order.picking_ids.state), (2, "assigned"))
        self.assertEqual(order.marketplace_sync_status, "error")
        again = self.start(order)
        self.assertTrue(again.is_in_doubt, "who comes back later is told before anything is sent")
        self.assertIn("no answer came", again.line_ids.message)
        self.assertIn("Validate the delivery", order.marketplace_remedy)
        wizard.line_ids.code = "4711"
        self.assertIs(wizard.action_send_again(), True)
        self.assertEqual((len(self.bodies()), order.picking_ids.state), (3, "done"))

    def test_without_an_answer_the_person_may_have_seen_that_it_was_taken(self):
        order = self.due()
        wizard = self.start(order)
        self.door.will("status", ok(), Unavailable("cut"))
        self.enter(wizard)
        self.assertIs(wizard.action_taken(), True)
        self.env.invalidate_all()
        self.assertEqual((len(self.bodies()), order.picking_ids.state), (2, "done"))
        self.assertEqual(order.marketplace_status, "delivered")

    def test_where_it_can_be_read_back_it_is(self):
        order = self.due(self.rest)
        wizard = self.start(order)
        self.door.will("status", ok(), Unavailable("cut"))
        self.enter(wizard)
        self.door.will("order", ok({"order": self.message(self.rest, "N1", "delivered")}))
        self.assertIs(self.enter(wizard), True)
        self.assertEqual((len(self.bodies()), order.picking_ids.state), (2, "done"))

    def test_what_comes_before_has_to_arrive_first(self):
        order = self.due()
        wizard = self.start(order)
        self.door.will("status", ok({"error": "not today"}, 422))
        self.enter(wizard)
        self.assertIn("not today", wizard.line_ids.message)
        self.assertEqual([body["status"] for body in self.bodies()], ["assigned_to_salesman"])
        self.assertEqual(order.picking_ids.state, "assigned")

    def test_where_nobody_can_enter_it_the_others_go_and_a_person_is_asked(self):
        self.attend(False)
        order, free = self.due(), self.confirmed(self.cartona, "N2")
        pickings = (order | free).picking_ids
        for picking in pickings:
            self.pick(picking, tea=10, sugar=4)
        self.assertIs(self.validate(pickings), True)
        self.assertEqual((order.picking_ids.state, free.picking_ids.state), ("assigned", "done"))
        kind = ["cartona_integration.activity_delivery_code"]
        self.assertEqual(len(order.picking_ids.activity_search(kind)), 1)
        self.attend(True)
        self.enter(self.start(order))
        self.assertFalse(order.picking_ids.activity_search(kind))

    def test_transfers_of_other_orders_are_cancelled_without_a_look_for_codes(self):
        customer, product = self.env["res.partner"].create({"name": "Ours"}), self.make_product("OWN")
        order = self.env["sale.order"].create(
            {"partner_id": customer.id, "order_line": [Command.create({"product_id": product.id})]}
        )
        order.action_confirm()
        pickings = self.env.registry["stock.picking"]
        with patch.object(pickings, "activity_unlink", autospec=True) as looked:
            order.picking_ids.move_ids._action_cancel()
        self.assertEqual(order.picking_ids.state, "cancel")
        self.assertFalse([call for call in looked.call_args_list if call.args[0]])

    def test_of_a_delivery_that_is_cancelled_nobody_is_asked_for_the_code(self):
        order = self.due()
        picking = order.picking_ids
        self.attend(False)
        picking._ask_for_code_later()
        self.arrive("N1", "cancelled", self.cartona)
        self.assertEqual(picking.state, "cancel")
        self.assertFalse(picking.activity_search(["cartona_integration.activity_delivery_code"]))

    def test_a_code_nobody_knows_the_fate_of_is_asked_about(self):
        order = self.due()
        wizard = self.start(order)
        self.door.will("status", ok(), Unavailable("cut"))
        self.enter(wizard)
        step = order.marketplace_step_ids.filtered("needs_code")
        self.assertTrue(step.in_doubt)
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE marketplace_order_step SET code_sent_at = code_sent_at - INTERVAL '6 minutes'"
            " WHERE id = %s",
            [step.id],
        )
        self.env.invalidate_all()
        self.cartona._find_forgotten_deliveries()
        self.assertIn("N1", self.cartona.activity_ids.note)
        self.assertTrue(step.is_followed)
        step._arrive()
        self.assertFalse(step.is_followed, "that its delivery is validated is another question")

    def test_a_delivery_past_the_button_waits_for_the_code(self):
        order = self.due()
        self.pick(order.picking_ids, tea=10, sugar=4)
        order.picking_ids._action_done()
        self.assertTrue(order.marketplace_can_deliver)
        self.assertEqual(self.steps(order), [("shipped", "new"), ("delivered", "failed")])
        with self.assertRaises(UserError):
            order.marketplace_step_ids[-1].action_process_again()
        self.send(self.cartona)
        self.assertEqual(len(self.bodies()), 1)
        self.enter(self.wizard(order.action_marketplace_delivered()))
        self.assertEqual(self.steps(order), [("shipped", "done"), ("delivered", "done")])
