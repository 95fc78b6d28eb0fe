from odoo import fields
from odoo.tests import Form, new_test_user

from ..compat import RETURN_BUTTON, SERIES, SERVICE, SOL_UOM, TAX_EXCLUDED
from ..exceptions import Unavailable
from .common import ok
from .test_steps import StepsCase


class DeliveryCase(StepsCase):
    """Orders of 10 tea and 4 sugar, confirmed on both sides, the goods in stock."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sugar = cls.make_product("SUGAR-1")
        cls.stock = cls.rest.warehouse_id.lot_stock_id
        for product in cls.product | cls.sugar:
            cls.env["stock.quant"]._update_available_quantity(product, cls.stock, 1000)

    def setUp(self):
        super().setUp()
        self.door.will("lines", self.lines_answer)
        self.door.will("order_details", ok([{"hashed_id": "N1", "success": True}]))

    def lines_answer(self, request):
        """Answer as the rest marketplace: every line as told, new ones with an id."""
        rows = request.body["lines"]
        lines = [
            {"sku": "?", **row, "id": row.get("id", f"new{number}")}
            for number, row in enumerate(rows)
            if "unit_price" in row and "quantity" in row
        ]
        return ok({"order": {"lines": lines}})

    def message(self, account, order_id, status, **values):
        words = {"shipped": "assigned_to_salesman", "confirmed": "approved", "held": "editing"}
        words["cancelled"] = "cancelled_by_retailer"
        if account == self.cartona:
            lines = [
                {"id": 1, "internal_product_id": "TEA-25", "amount": 10, "selling_price": 10},
                {"id": 2, "internal_product_id": "SUGAR-1", "amount": 4, "selling_price": 5},
            ]
            found = super().message(account, order_id, words.get(status, status), **values)
            return {**found, "total_price": 120, "order_details": lines, **values}
        lines = [
            {"id": "1", "sku": "TEA-25", "quantity": 10, "unit_price": 10},
            {"id": "2", "sku": "SUGAR-1", "quantity": 4, "unit_price": 5},
        ]
        found = super().message(account, order_id, status, **values)
        return {**found, "total": 120, "lines": lines, **values}

    def confirmed(self, account=None, order_id="N1", **values):
        order = self.arrive(order_id, "confirmed", account, **values)
        order.action_confirm()
        self.assertFalse(order.marketplace_step_ids)
        return order

    def pick(self, picking, **quantities):
        """Enter what is picked, by the products' keys; whatever is not named is left out."""
        for move in picking.move_ids:
            quantity = quantities.get(move.product_id.cartona_id.split("-")[0].lower(), 0)
            move.write({"quantity": quantity, "picked": True})

    def validate(self, picking, backorder=True):
        """Validate as a person who answers the question for a backorder."""
        answers = {"skip_backorder": True}
        if not backorder:
            answers["picking_ids_not_to_backorder"] = picking.ids
        return picking.with_context(**answers).button_validate()

    def ship(self, order, backorder=True, **quantities):
        """Deliver an order's open picking, whole or in part."""
        picking = order.picking_ids.filtered(lambda picking: picking.state not in ("done", "cancel"))
        if quantities:
            self.pick(picking, **quantities)
        else:
            for move in picking.move_ids:
                move.write({"quantity": move.product_uom_qty, "picked": True})
        self.validate(picking, backorder)
        return picking

    def give_back(self, picking, **quantities):
        """Take goods back by Odoo's own wizard, and validate the return."""
        form = Form(
            self.env["stock.return.picking"].with_context(active_id=picking.id, active_model="stock.picking")
        )
        wizard = form.save()
        for line in wizard.product_return_moves:
            name = line.product_id.cartona_id.split("-")[0].lower()
            line.quantity = quantities.get(name, 0) if quantities else line.move_id.quantity
        back = self.env["stock.picking"].browse(getattr(wizard, RETURN_BUTTON)()["res_id"])
        for move in back.move_ids:
            move.write({"quantity": move.product_uom_qty, "picked": True})
        back.button_validate()
        return back

    def make_kit(self, line):
        """Have a line ship something else than its product, as a kit's does.

        :return: the move
        """
        part = self.make_product("PART-1")
        self.env["stock.quant"]._update_available_quantity(part, self.stock, 1000)
        moves = line.move_ids
        moves._do_unreserve()
        moves.product_id = part
        moves.sale_line_id = line  # later series take a move from its line when its product changes
        return moves

    def asked_lines(self):
        """Give the rows of all calls that changed lines, one list per call."""
        rest = [call.body["lines"] for call in self.door.asked("lines")]
        return rest + [call.body[0]["order_details"] for call in self.door.asked("order_details")]

    def statuses(self, order):
        return [step.status or "lines" for step in order.marketplace_step_ids.sorted("id")]


class TestDeliveriesAreTold(DeliveryCase):
    """What leaves the warehouse by the last step of its route is shipped, and delivered once all is out."""

    def test_a_whole_delivery_is_shipped_and_delivered(self):
        for account in (self.rest, self.cartona):
            order = self.confirmed(account)
            self.ship(order)
            self.send(account)
            self.assertEqual(self.steps(order), [("shipped", "done"), ("delivered", "done")])
            self.assertEqual(
                (order.marketplace_status, order.marketplace_sync_status), ("delivered", "synced")
            )
        self.assertFalse(self.asked_lines())

    def test_the_first_step_of_a_route_ships_nothing(self):
        self.rest.warehouse_id.delivery_steps = "pick_ship"
        order = self.confirmed()
        pick = order.picking_ids.filtered(lambda picking: picking.location_dest_id.usage != "customer")
        for move in pick.move_ids:
            move.write({"quantity": move.product_uom_qty, "picked": True})
        self.validate(pick)
        self.assertFalse(order.marketplace_step_ids)
        self.ship(order)
        self.assertEqual(self.statuses(order), ["shipped", "delivered"])

    def test_where_validating_means_shipped_a_button_says_that_it_arrived(self):
        self.rest.delivery_policy = "shipped"
        order = self.confirmed()
        self.ship(order)
        self.assertEqual(self.statuses(order), ["shipped"])
        self.send()
        self.assertTrue(order.marketplace_can_deliver)
        order.action_marketplace_delivered()
        self.assertEqual(self.statuses(order), ["shipped", "delivered"])
        self.assertFalse(order.marketplace_can_deliver)

    def test_of_an_order_the_marketplace_delivers_nothing_is_told_but_its_cancellation(self):
        order = self.confirmed(self.cartona, delivered_by="delivered_by_cartona")
        self.ship(order)
        self.assertFalse(order.marketplace_step_ids)
        self.cancel(order)
        self.assertEqual(self.statuses(order), ["cancelled"])

    def test_what_the_marketplace_shows_already_is_not_told(self):
        order = self.confirmed()
        self.arrive(status="delivered")
        self.ship(order)
        self.assertFalse(order.marketplace_step_ids)

    def test_orders_that_had_left_before_they_were_seen_tell_nothing(self):
        self.rest.shipped_policy = "deliver"
        order = self.arrive(status="shipped")
        self.assertEqual(order.picking_ids.state, "done")
        self.assertFalse(order.marketplace_step_ids)

    def test_what_had_left_before_it_was_seen_is_validated_by_hand_and_told_nothing(self):
        for account in (self.rest, self.cartona):
            order = self.arrive("L1", "shipped", account)
            self.ship(order)
            self.assertFalse(order.marketplace_step_ids)
            self.assertTrue(order.marketplace_can_deliver)  # a person may know that it arrived
            self.arrive("L1", "delivered", account, modified_at="2026-11-12T11:00:00Z")
            self.assertEqual(
                (order.marketplace_status, order.marketplace_sync_status), ("delivered", "synced")
            )
            self.assertFalse(order.marketplace_step_ids or order.marketplace_can_deliver)

    def test_the_button_tells_what_had_left_before_it_was_seen(self):
        order = self.arrive(account=self.cartona, status="shipped")
        self.ship(order, backorder=False, tea=6, sugar=4)
        order.action_marketplace_delivered()
        self.send(self.cartona)
        self.assertEqual(self.steps(order), [(False, "done"), ("delivered", "done")])
        self.assertEqual(self.asked_lines(), [[{"id": 1, "amount": 6}]])

    def test_what_was_delivered_and_held_before_it_was_seen_tells_nothing(self):
        for account, tells in ((self.rest, ["returned"]), (self.cartona, ["returned"])):
            account.shipped_policy = "hold"
            self.receive(account, self.message(account, "L2", "shipped"))
            self.receive(
                account, self.message(account, "L2", "delivered", modified_at="2026-11-12T11:00:00Z")
            )
            self.assertFalse(self.order(account, "L2"))
            account.shipped_policy = "confirm"
            self.run_job(account, "import")
            order = self.order(account, "L2")
            self.assertEqual((order.state, order.marketplace_status), ("sale", "delivered"))
            picking = self.ship(order)
            self.assertFalse(order.marketplace_step_ids or order.marketplace_can_deliver)
            self.give_back(picking)
            self.assertEqual(self.statuses(order), tells)

    def test_less_than_the_marketplace_says_was_delivered_is_shown(self):
        order = self.arrive(status="delivered")
        self.ship(order, backorder=False, tea=6, sugar=4)
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))

    def test_what_had_left_in_part_is_told_when_the_rest_leaves(self):
        order = self.arrive(status="partially_shipped")
        self.ship(order)
        self.assertEqual(self.statuses(order), ["shipped", "delivered"])

    def test_what_is_delivered_there_only_needs_attention(self):
        order, other = self.confirmed(), self.confirmed(order_id="N2")
        self.ship(order, tea=10)
        self.send()
        self.assertEqual(order.marketplace_sync_status, "synced")
        self.arrive(status="delivered", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((order.marketplace_status, order.marketplace_sync_status), ("delivered", "error"))
        self.assertIn("validate", order.marketplace_error_message)
        for status, found in (("error", order), ("synced", other), ("pending", order.browse())):
            domain = [("id", "in", (order | other).ids), ("marketplace_sync_status", "=", status)]
            self.assertEqual(order.search(domain), found)
        self.ship(order)
        self.assertEqual((order.marketplace_sync_status, order.marketplace_error_message), ("synced", False))
        domain = [("id", "=", order.id), ("marketplace_sync_status", "=", "synced")]
        self.assertEqual(order.search(domain), order)

    def test_what_is_delivered_there_and_called_off_here_needs_attention(self):
        order = self.confirmed()
        self.arrive(status="delivered", modified_at="2026-11-12T11:00:00Z")
        order.picking_ids.action_cancel()
        self.assertEqual(order.marketplace_sync_status, "error")

    def test_a_person_without_marketplace_rights_delivers(self):
        carrier = new_test_user(self.env, "carrier", "base.group_user,stock.group_stock_user")
        order = self.confirmed()
        picking = order.picking_ids
        for move in picking.move_ids:
            move.write({"quantity": move.product_uom_qty, "picked": True})
        picking.with_user(carrier).button_validate()
        self.assertEqual(self.statuses(order), ["shipped", "delivered"])

    def test_goods_that_all_come_back_are_told_as_returned(self):
        order = self.confirmed()
        self.give_back(self.ship(order))
        self.assertEqual(self.statuses(order), ["shipped", "delivered", "returned"])
        self.send()
        self.assertEqual(order.marketplace_status, "returned")

    def test_a_marketplace_that_takes_no_return_leaves_it_to_a_person(self):
        order = self.confirmed(self.cartona)
        self.give_back(self.ship(order))
        self.send(self.cartona)
        self.assertEqual(self.steps(order)[-1], ("returned", "failed"))
        self.assertTrue(order.marketplace_step_ids[-1].remedy)
        self.assertEqual(order.marketplace_sync_status, "error")

    def test_what_came_back_before_the_rest_left_is_no_returned_order(self):
        order = self.confirmed()
        self.give_back(self.ship(order, tea=6))
        self.assertEqual(self.statuses(order), ["partially_shipped"])
        self.ship(order)
        self.assertEqual(self.statuses(order), ["partially_shipped", "shipped", "lines", "delivered"])
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "4"}]])
        self.assertEqual(order.marketplace_status, "delivered")

    def test_a_part_of_a_kit_that_left_is_no_returned_order(self):
        order = self.confirmed()
        move = self.make_kit(order.order_line[1])
        self.pick(move.picking_id, part=2)
        self.validate(move.picking_id, backorder=False)
        self.assertEqual(move.state, "done")
        self.assertNotIn("returned", self.statuses(order))

    def test_less_wanted_than_was_to_come_completes_the_order(self):
        order = self.confirmed()
        self.ship(order, tea=6, sugar=4)
        order.order_line[0].product_uom_qty = 6
        self.assertEqual(set(order.picking_ids.mapped("state")), {"done", "cancel"})
        self.assertEqual(self.statuses(order), ["partially_shipped", "shipped", "lines", "delivered"])
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "6"}]])
        self.assertEqual(order.marketplace_status, "delivered")

    def test_what_is_still_to_be_picked_is_still_to_come(self):
        self.rest.warehouse_id.delivery_steps = "pick_ship"
        order = self.confirmed()
        for quantity in (6, 4):
            for usage in ("internal", "customer"):
                picking = order.picking_ids.filtered(
                    lambda picking, usage=usage: (
                        picking.state not in ("done", "cancel") and picking.location_dest_id.usage == usage
                    )
                )
                self.pick(picking, tea=quantity, sugar=4)
                self.validate(picking)
            expected = (
                ["partially_shipped"] if quantity == 6 else ["partially_shipped", "shipped", "delivered"]
            )
            self.assertEqual(self.statuses(order), expected)

    def test_of_an_order_without_goods_a_button_says_that_it_is_done(self):
        self.rest.unknown_product_policy = "placeholder"
        lines = [{"id": "1", "sku": "UNKNOWN", "quantity": 1, "unit_price": 10}]
        order = self.arrive(lines=lines, total=10)
        self.assertFalse(order.marketplace_can_deliver)
        order.action_confirm()
        self.assertTrue(order.marketplace_can_deliver)
        order.action_marketplace_delivered()
        self.assertEqual(self.statuses(order), ["confirmed", "shipped", "delivered"])
        self.assertFalse(order.marketplace_can_deliver)
        self.assertFalse(self.confirmed(order_id="N2").marketplace_can_deliver)


class TestPartialDeliveries(DeliveryCase):
    """The marketplace's lines say what the customer got, before it hears that he got it."""

    def test_a_backorder_ships_a_part_and_the_rest_completes_it(self):
        order = self.confirmed()
        self.ship(order, tea=6, sugar=4)
        self.assertEqual(self.statuses(order), ["partially_shipped"])
        self.ship(order)
        self.assertEqual(self.statuses(order), ["partially_shipped", "shipped", "delivered"])
        self.send()
        self.assertFalse(self.asked_lines())
        self.assertEqual(order.marketplace_status, "delivered")

    def test_without_a_word_for_a_part_it_is_shipped_and_delivered_at_the_end(self):
        order = self.confirmed(self.cartona)
        self.ship(order, tea=6, sugar=4)
        self.ship(order)
        self.assertEqual(self.statuses(order), ["shipped", "delivered"])

    def test_without_a_backorder_the_lines_are_adjusted_before_it_is_delivered(self):
        order = self.confirmed(self.cartona)
        self.ship(order, backorder=False, tea=6)
        self.assertEqual(self.statuses(order), ["shipped", "lines", "delivered"])
        self.send(self.cartona)
        self.assertEqual(self.asked_lines(), [[{"id": 1, "amount": 6}, {"id": 2, "cancelled": True}]])
        operations = [call.operation for call in self.door.requests]
        self.assertEqual(operations, ["status", "order_details", "status"])
        self.assertEqual(order.marketplace_status, "delivered")

    def test_what_was_ordered_stays_when_our_own_adjustment_comes_back(self):
        order = self.confirmed()
        self.ship(order, backorder=False, tea=6)
        self.send()
        notes = order.message_ids
        line = {"id": "1", "sku": "TEA-25", "quantity": 6, "unit_price": 10}
        self.arrive("N1", "delivered", total=60, lines=[line], modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(order.order_line.mapped("product_uom_qty"), [10, 4])
        self.assertEqual(order.order_line.mapped("marketplace_quantity"), [6, 0])
        self.assertFalse((order.message_ids - notes).filtered(lambda note: "changed" in (note.body or "")))
        self.send()
        self.assertEqual(len(self.asked_lines()), 1)

    def test_a_backorder_that_is_cancelled_later_completes_the_order(self):
        order = self.confirmed()
        self.ship(order, tea=10, sugar=1)
        order.picking_ids.filtered(lambda picking: picking.state != "done").action_cancel()
        self.assertEqual(self.statuses(order), ["partially_shipped", "shipped", "lines", "delivered"])
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "2", "quantity": "1"}]])

    def test_returns_are_subtracted_whether_or_not_they_are_refunded(self):
        self.rest.delivery_policy = "shipped"
        order = self.confirmed()
        back = self.give_back(self.ship(order), tea=3)
        back.move_ids.to_refund = False
        self.assertEqual(order.order_line[0]._marketplace_delivered(), 7)
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "7"}]])

    def test_what_is_corrected_on_a_validated_delivery_is_told(self):
        self.rest.delivery_policy = "shipped"
        order = self.confirmed()
        picking = self.ship(order)
        picking.is_locked = False
        picking.move_ids[0].move_line_ids.quantity = 7
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "7"}]])

    def test_what_is_corrected_after_it_was_delivered_over_there_is_shown(self):
        order = self.confirmed(self.cartona)
        picking = self.ship(order)
        self.send(self.cartona)
        picking.is_locked = False
        picking.move_ids[0].quantity = 7
        self.send(self.cartona)
        self.assertFalse(self.asked_lines())
        self.assertEqual(self.statuses(order), ["shipped", "delivered", "lines"])
        self.assertEqual(order.marketplace_sync_status, "error")
        self.assertIn(self.product.display_name, order.marketplace_error_message)

    def test_quantities_are_told_in_the_units_of_the_order(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        self.make_pack(self.rest, dozen)
        order = self.confirmed()
        self.assertEqual(order.order_line[0]._unit(), dozen)
        self.ship(order, backorder=False, tea=36, sugar=4)
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "3"}]])

    def make_pack(self, account, unit):
        self.env["marketplace.product.link"].create(
            {
                "account_id": account.id,
                "product_id": self.product.id,
                "key": "TEA-25",
                "external_id": "900",
                "state": "linked",
                "pack_uom_id": unit.id,
            }
        )

    def test_goods_a_supplier_ships_himself_count(self):
        order = self.confirmed()
        order.picking_ids.action_cancel()
        supplier = self.env.ref("stock.stock_location_suppliers")
        customer = self.env.ref("stock.stock_location_customers")
        for line in order.order_line:
            move = self.env["stock.move"].create(
                {
                    **({"name": "drop"} if SERIES < 19 else {}),
                    "product_id": line.product_id.id,
                    "product_uom_qty": line.product_uom_qty,
                    "location_id": supplier.id,
                    "location_dest_id": customer.id,
                    "sale_line_id": line.id,
                    "picking_type_id": self.rest.warehouse_id.in_type_id.id,
                }
            )
            move._action_confirm()
        picking = order.order_line.move_ids.filtered(lambda move: move.state != "cancel").picking_id
        self.pick(picking, tea=10, sugar=3)
        self.validate(picking, backorder=False)
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "2", "quantity": "3"}]])
        self.assertEqual(order.marketplace_status, "delivered")

    def test_what_a_vendor_is_still_asked_for_is_to_come(self):
        """Its purchase is not confirmed: Odoo has made no move yet."""
        order = self.confirmed()
        sugar = order.order_line[1].move_ids
        sugar._action_cancel()
        sugar.unlink()
        self.ship(order, tea=10)
        self.send()
        self.assertFalse(self.asked_lines())
        self.assertNotIn("delivered", order.marketplace_step_ids.mapped("status"))
        self.assertFalse(order.marketplace_can_deliver)
        order.order_line[1].product_uom_qty = 0  # its purchase was called off
        self.send()
        self.assertEqual(order.marketplace_status, "delivered")

    def test_an_order_cancelled_with_goods_at_the_customer_is_a_decision(self):
        order = self.confirmed()
        self.ship(order, tea=6)
        self.send()
        before = order.marketplace_step_ids
        order.with_context(disable_cancel_warning=True).action_cancel()
        new = order.marketplace_step_ids - before
        self.assertEqual([(step.status, step.state) for step in new], [("cancelled", "failed")])
        self.assertTrue(new.reason and new.remedy)
        self.assertIn("N1", self.rest.activity_ids.note)
        order.action_marketplace_sync()
        self.send()
        self.assertEqual((new.state, self.asked_lines()), ("failed", []))
        new.action_process_again()
        self.send()
        self.assertEqual(new.state, "done")

    def test_of_what_the_marketplace_delivers_only_a_cancellation_is_told(self):
        order = self.arrive("N1", "pending", delivered_by="marketplace")
        order.action_confirm()
        self.assertFalse(order.marketplace_step_ids)
        order.with_context(disable_cancel_warning=True).action_cancel()
        self.assertEqual(order.marketplace_step_ids.mapped("status"), ["cancelled"])


class TestEditsAreTold(DeliveryCase):
    """What people change about lines goes out as a change of exactly these lines."""

    def line(self, order, number=0):
        return order.order_line[number]

    def test_a_changed_quantity_is_told_and_the_price_stays(self):
        order = self.confirmed()
        self.line(order).product_uom_qty = 7
        self.assertEqual(self.line(order).price_unit, 10)
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "7"}]])

    def test_a_changed_price_is_told_with_its_discount(self):
        order = self.confirmed(self.cartona)
        self.line(order).discount = 20
        self.send(self.cartona)
        self.assertEqual(self.asked_lines(), [[{"id": 1, "price": 8}]])

    def test_changes_that_wait_together_make_one_call(self):
        order = self.confirmed()
        self.line(order).product_uom_qty = 7
        self.line(order).product_uom_qty = 8
        self.line(order, 1).price_unit = 6
        self.assertEqual(self.statuses(order), ["lines"])
        self.send()
        rows = [{"id": "1", "quantity": "8"}, {"id": "2", "unit_price": "6"}]
        self.assertEqual(self.asked_lines(), [rows])

    def test_a_change_taken_back_before_it_was_sent_makes_no_call(self):
        order = self.confirmed()
        self.line(order).product_uom_qty = 7
        self.line(order).product_uom_qty = 10
        self.send()
        self.assertEqual((self.asked_lines(), self.steps(order)), ([], [(False, "done")]))

    def test_a_change_taken_back_after_it_was_sent_is_told(self):
        order = self.confirmed()
        self.line(order).product_uom_qty = 7
        self.send()
        self.line(order).product_uom_qty = 10
        self.send()
        self.assertEqual([rows[0]["quantity"] for rows in self.asked_lines()], ["7", "10"])

    def test_a_line_set_to_nothing_is_taken_away(self):
        order = self.confirmed(self.cartona)
        self.line(order, 1).product_uom_qty = 0
        self.send(self.cartona)
        self.assertEqual(self.asked_lines(), [[{"id": 2, "cancelled": True}]])

    def test_a_deleted_line_of_a_quotation_is_taken_away(self):
        order = self.arrive()
        self.line(order, 1).unlink()
        self.send()
        self.assertEqual(self.asked_lines(), [[{"id": "2", "quantity": "0"}]])

    def test_of_an_order_of_which_nothing_is_left_the_cancellation_is_asked_for(self):
        order = self.confirmed(self.cartona)
        self.line(order).product_uom_qty = 0
        self.line(order, 1).product_uom_qty = 0
        self.send(self.cartona)
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))
        self.assertIn("Nothing is left", order.marketplace_error_message)
        self.assertIn("Cancel", self.step(order).remedy)
        self.assertTrue(self.cartona.activity_search(["cartona_integration.activity_statuses"]))
        wizard = self.env["marketplace.order.cancel"].with_context(default_sale_order_id=order.id)
        wizard.create({"reason": "out_of_stock"}).action_confirm()
        self.send(self.cartona)
        self.assertEqual(self.steps(order), [(False, "ignored"), ("cancelled", "done")])
        self.assertEqual(self.door.asked("status")[-1].body["cancellation_reason"], "out_of_stock")
        self.assertEqual(order.marketplace_sync_status, "synced")

    def test_what_is_taken_out_and_put_in_again_ends_by_itself(self):
        order = self.confirmed()
        for line in order.order_line:
            line.product_uom_qty = 0
        self.send()
        self.assertEqual(self.steps(order), [(False, "failed")])
        self.line(order, 1).product_uom_qty = 4
        self.send()
        self.assertEqual(self.steps(order), [(False, "done")])
        self.assertEqual(self.asked_lines(), [[{"id": "1", "quantity": "0"}]])

    def test_a_quotation_without_lines_asks_for_the_cancellation(self):
        order = self.arrive()
        order.order_line.unlink()
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))
        salt = self.make_product("SALT-500", list_price=3)
        order.order_line = [fields.Command.create({"product_id": salt.id, "product_uom_qty": 2})]
        self.send()
        [rows] = self.asked_lines()
        self.assertEqual({row.get("id") or row["sku"] for row in rows}, {"1", "2", "SALT-500"})

    def test_a_fee_does_not_keep_an_order_of_which_no_goods_are_left(self):
        fee = self.env["product.product"].create({"name": "Fee", **SERVICE})
        order = self.confirmed()
        order.order_line = [fields.Command.create({"product_id": fee.id})]
        for line in order.order_line[:2]:
            line.product_uom_qty = 0
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))

    def test_an_emptied_order_that_is_delivered_over_there_is_shown_as_refused(self):
        order = self.confirmed()
        self.arrive(status="delivered", modified_at="2026-11-12T11:00:00Z")
        for line in order.order_line:
            line.product_uom_qty = 0
        self.send()
        self.assertEqual(self.steps(order), [(False, "failed")])
        self.assertIn("Delivered", order.marketplace_error_message)

    def test_lines_the_marketplace_takes_out_ask_for_nothing(self):
        order = self.confirmed()
        self.arrive(status="confirmed", lines=[], total=0, modified_at="2026-11-12T11:00:00Z")
        self.assertFalse(any(order.order_line.mapped("product_uom_qty")) or order.marketplace_step_ids)

    def test_a_refused_change_does_not_hold_up_the_cancellation(self):
        order = self.confirmed()
        self.door.will("lines", ok({"message": "not today"}, 422))
        self.line(order).product_uom_qty = 7
        self.send()
        self.cancel(order)
        self.send()
        self.assertEqual(self.steps(order), [(False, "ignored"), ("cancelled", "done")])

    def test_a_line_the_marketplace_took_away_is_not_told_back(self):
        order = self.arrive()
        lines = self.message(self.rest, "N1", "pending")["lines"][:1]
        self.arrive(lines=lines, total=100, modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((len(order.order_line), self.steps(order)), (1, []))

    def test_a_new_line_is_told_by_its_key_and_learns_its_id(self):
        self.door.will("lines", ok({"order": {"lines": []}}))
        salt = self.make_product("SALT-500", list_price=3)
        order = self.confirmed()
        order.order_line = [fields.Command.create({"product_id": salt.id, "product_uom_qty": 2})]
        self.send()
        [[row]] = self.asked_lines()
        self.assertEqual((row["sku"], row["quantity"]), ("SALT-500", "2"))
        line = order.order_line.filtered(lambda line: line.product_id == salt)
        line.product_uom_qty = 5
        self.send()
        self.assertEqual(self.steps(order), [(False, "done"), (False, "hold")])
        rows = self.message(self.rest, "N1", "confirmed")["lines"]
        added = {"id": "77", "sku": "SALT-500", "quantity": 2, "unit_price": 3}
        self.arrive(status="confirmed", lines=[*rows, added], total=126, modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((line.marketplace_line_id, line.product_uom_qty), ("77", 5))
        self.assertEqual(len(order.order_line), 3)
        self.send()
        self.assertEqual(self.asked_lines()[-1], [{"id": "77", "quantity": "5"}])

    def test_an_id_in_the_answer_is_learned_at_once(self):
        salt = self.make_product("SALT-500", list_price=3)
        order = self.confirmed()
        self.door.will(
            "lines",
            ok({"order": {"lines": [{"id": "78", "sku": "SALT-500", "quantity": "2", "unit_price": "3"}]}}),
        )
        order.order_line = [fields.Command.create({"product_id": salt.id, "product_uom_qty": 2})]
        self.send()
        self.assertEqual(order.order_line[-1].marketplace_line_id, "78")

    def test_a_product_nobody_sells_there_is_left_to_a_person(self):
        order = self.confirmed()
        order.order_line = [fields.Command.create({"product_id": self.make_product(False).id})]
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))
        self.assertIn("Keyless", order.marketplace_error_message)

    def test_who_takes_such_a_product_out_again_has_freed_the_change(self):
        order = self.arrive()
        order.order_line = [fields.Command.create({"product_id": self.make_product(False).id})]
        self.send()
        self.assertEqual(self.steps(order), [(False, "failed")])
        order.order_line[-1].unlink()
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "done")], []))

    def add_salt(self, order):
        """Add two of a product to an order.

        :return: the line
        """
        values = {"product_id": self.make_product("SALT-500", list_price=3).id, "product_uom_qty": 2}
        order.order_line = [fields.Command.create(values)]
        return order.order_line[-1]

    def test_who_takes_a_refused_product_out_again_has_freed_what_waits_behind_it(self):
        order = self.confirmed()
        self.door.will("lines", ok({"message": "No such product"}, 404))
        salt = self.add_salt(order)
        self.send()
        order._enqueue_status("shipped")
        self.send()
        self.assertEqual(self.steps(order), [(False, "failed"), ("shipped", "new")])
        salt.product_uom_qty = 0
        self.send()
        self.assertEqual(self.steps(order), [(False, "done"), ("shipped", "done")])
        self.assertEqual(len(self.asked_lines()), 1)
        # What was refused does not count as told: the marketplace would be asked to take it away.
        self.assertFalse(order._marketplace_changes())

    def test_a_refused_change_that_is_edited_is_told_as_it_is_now(self):
        order = self.confirmed()
        self.door.will("lines", ok({"message": "7 is too few"}, 422), self.lines_answer)
        self.line(order).product_uom_qty = 7
        self.send()
        self.line(order).product_uom_qty = 8
        self.send()
        self.assertEqual(self.steps(order), [(False, "done")])
        told = [row["quantity"] for [row] in self.asked_lines()]
        self.assertEqual(told, ["7", "8"])

    def test_a_fee_people_add_is_ours_alone(self):
        fee = self.env["product.product"].create({"name": "Fee", **SERVICE})
        order = self.confirmed()
        order.order_line = [fields.Command.create({"product_id": fee.id}), fields.Command.create(
            {"display_type": "line_note", "name": "By hand"}
        )]  # fmt: skip
        self.assertFalse(order.marketplace_step_ids)

    def test_edits_wait_while_the_customer_edits(self):
        order = self.arrive()
        self.arrive(status="held", modified_at="2026-11-12T11:00:00Z")
        self.line(order).product_uom_qty = 7
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "hold")], []))
        self.arrive(status="pending", modified_at="2026-11-12T12:00:00Z")
        self.send()
        self.assertEqual(len(self.asked_lines()), 1)

    def edited_by_both(self):
        """Give an order whose customer has finished editing what was changed here, too, and our status."""
        order = self.arrive(account=self.cartona)
        self.arrive("N1", "held", self.cartona)
        order.action_confirm()
        self.line(order).product_uom_qty = 7
        self.send(self.cartona)
        step = order.marketplace_step_ids.sorted("id")[0]
        self.assertIn("still editing", step.reason)
        lines = self.message(self.cartona, "N1", "pending")["order_details"]
        lines[0]["amount"] = 12
        self.arrive("N1", "pending", self.cartona, order_details=lines, total_price=140)
        self.assertEqual(self.events(self.cartona)[-1].state, "hold")
        return order, step

    def test_what_waits_for_a_persons_decision_says_so(self):
        order, step = self.edited_by_both()
        self.assertEqual(step.state, "hold")
        self.assertIn("waits for a person", step.reason)
        self.line(order).product_uom_qty = 12
        self.events(self.cartona)[-1].action_process_again()
        self.run_job(self.cartona, "import")
        self.send(self.cartona)
        self.assertEqual((step.state, order.marketplace_sync_status), ("done", "synced"))

    def test_a_decision_to_ignore_frees_what_waited_for_the_customer(self):
        order, step = self.edited_by_both()
        self.events(self.cartona)[-1]._ignore("agreed by telephone")
        self.send(self.cartona)
        self.assertEqual((step.state, order.marketplace_sync_status), ("done", "synced"))
        self.assertEqual(self.asked_lines(), [[{"id": 1, "amount": 7}]])

    def test_edits_of_what_is_delivered_are_shown_as_refused(self):
        order = self.confirmed()
        self.arrive(status="delivered", modified_at="2026-11-12T11:00:00Z")
        self.line(order).product_uom_qty = 7
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))
        self.assertIn("TEA-25", order.marketplace_error_message)

    def test_edits_of_what_the_marketplace_delivers_are_shown_as_refused(self):
        order = self.confirmed(self.cartona, delivered_by="delivered_by_cartona")
        self.line(order).product_uom_qty = 7
        self.send(self.cartona)
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))

    def test_a_refusal_in_an_answer_that_is_ok_is_one(self):
        order = self.confirmed(self.cartona)
        self.door.will("order_details", ok([{"hashed_id": "N1", "success": False, "error": "not today"}]))
        self.line(order).product_uom_qty = 7
        self.send(self.cartona)
        self.assertEqual(self.steps(order), [(False, "failed")])
        self.assertIn("not today", order.marketplace_error_message)

    def test_an_echo_of_our_change_makes_no_call_and_no_conflict(self):
        order = self.confirmed()
        self.line(order).product_uom_qty = 7
        self.send()
        lines = self.message(self.rest, "N1", "confirmed")["lines"]
        lines[0]["quantity"] = 7
        self.arrive(status="confirmed", lines=lines, total=90, modified_at="2026-11-12T11:00:00Z")
        self.send()
        self.assertEqual((len(self.asked_lines()), self.line(order).product_uom_qty), (1, 7))
        lines[0]["quantity"] = 10
        self.arrive(status="confirmed", lines=lines, total=120, modified_at="2026-11-12T12:00:00Z")
        self.send()
        self.assertEqual((len(self.asked_lines()), self.line(order).product_uom_qty), (1, 10))

    def test_changes_in_doubt_are_read_back_and_not_sent_twice(self):
        salt = self.make_product("SALT-500", list_price=3)
        order = self.confirmed()
        order.order_line = [fields.Command.create({"product_id": salt.id, "product_uom_qty": 2})]
        self.line(order).product_uom_qty = 7
        self.door.will("lines", Unavailable("cut"))
        self.send()
        self.pass_time()
        there = self.message(self.rest, "N1", "confirmed")
        there["lines"].append({"id": "79", "sku": "SALT-500", "quantity": "2", "unit_price": "3"})
        there["lines"][0]["quantity"] = 7
        self.door.will("order", ok({"order": there}))
        self.send()
        self.assertEqual(self.steps(order), [(False, "done")])
        self.assertEqual(len(self.asked_lines()), 1)
        self.assertEqual(order.order_line[-1].marketplace_line_id, "79")

    def in_doubt(self):
        """Give a step of Cartona's whose answer was lost: a changed line, one taken away and a new one."""
        order = self.confirmed(self.cartona)
        self.line(order).product_uom_qty = 7
        self.line(order, 1).product_uom_qty = 0
        values = {"product_id": self.make_product("SALT-500", list_price=3).id, "product_uom_qty": 2}
        order.order_line = [fields.Command.create(values)]
        self.door.will("order_details", Unavailable("cut"))
        self.send(self.cartona)
        self.pass_time()
        self.send(self.cartona)
        self.assertEqual((self.steps(order), len(self.asked_lines())), ([(False, "hold")], 1))
        self.assertIn((self.cartona.id, "pull"), self.wakeups)
        self.door.will("order_details", ok([]))
        return self.step(order)

    def there(self, *lines, status="confirmed"):
        """Have Cartona's list tell the order with these lines: (id, key, amount, price)."""
        names = ("id", "internal_product_id", "amount", "selling_price")
        rows = [dict(zip(names, line, strict=True)) for line in lines]
        total = sum(row["amount"] * row["selling_price"] for row in rows)
        self.arrive("N1", status, self.cartona, order_details=rows, total_price=total)

    def wait(self, step, minutes):
        """Let a step have waited so long, and the sweep come by."""
        self.env.flush_all()
        self.cr.execute(
            "UPDATE marketplace_order_step SET untold_since = untold_since - interval '1 m' * %s"
            " WHERE id = %s",
            [minutes, step.id],
        )
        self.env.invalidate_all()
        self.env["marketplace.config"]._cron_sweep()

    def test_changes_in_doubt_are_settled_by_what_the_list_shows(self):
        step = self.in_doubt()
        self.there((1, "TEA-25", 7, 10), (80, "SALT-500", 2, 3))
        self.assertEqual((step.state, step.in_doubt), ("done", False))
        order = step.sale_order_id
        self.assertEqual(order.order_line[-1].marketplace_line_id, "80")
        self.assertEqual(
            (order.order_line.mapped("product_uom_qty"), len(self.asked_lines())), ([7, 0, 2], 1)
        )
        self.assertEqual(order.marketplace_sync_status, "synced")

    def test_changes_in_doubt_that_the_list_does_not_show_are_asked_about(self):
        step = self.in_doubt()
        self.there((1, "TEA-25", 10, 10), (2, "SUGAR-1", 4, 5))
        self.send(self.cartona)
        self.assertEqual((step.state, len(self.asked_lines())), ("hold", 1))
        self.wait(step, 5)
        self.assertEqual(step.state, "hold")
        step.action_process_again()  # somebody who was not asked yet
        self.send(self.cartona)
        self.assertEqual((step.state, len(self.asked_lines())), ("hold", 1))
        self.wait(step, 11)
        self.assertEqual((step.state, step.sale_order_id.marketplace_sync_status), ("failed", "error"))
        self.assertIn("Look at the order", step.remedy)
        step.action_process_again()
        self.send(self.cartona)
        self.assertEqual((step.state, len(self.asked_lines()), len(self.asked_lines()[-1])), ("done", 2, 3))

    def test_changes_in_doubt_stay_so_when_lines_are_edited(self):
        step = self.in_doubt()
        order = step.sale_order_id
        order.order_line[-1].product_uom_qty = 0
        self.send(self.cartona)
        self.assertEqual(step.state, "hold")
        self.wait(step, 11)
        self.line(order).product_uom_qty = 8
        self.send(self.cartona)
        self.assertEqual((step.state, step.in_doubt, len(self.asked_lines())), ("failed", True, 1))

    def test_new_lines_a_person_has_seen_there_are_not_told_again(self):
        step = self.in_doubt()
        self.wait(step, 11)
        step.action_ignore()
        order = step.sale_order_id
        self.line(order).product_uom_qty = 8
        self.send(self.cartona)
        self.assertEqual(self.asked_lines()[1:], [[{"id": 1, "amount": 8}]])
        self.there((1, "TEA-25", 8, 10), (80, "SALT-500", 2, 3))
        self.assertEqual(order.order_line[-1].marketplace_line_id, "80")
        self.send(self.cartona)
        self.assertEqual((len(self.asked_lines()), len(order.order_line)), (2, 3))

    def test_a_line_in_doubt_is_taken_away_once_more_by_itself(self):
        order = self.confirmed(self.cartona)
        self.line(order).product_uom_qty = 7
        self.line(order, 1).product_uom_qty = 0
        gone = [{"hashed_id": "N1", "success": False, "error": "unknown line 2"}]
        self.door.will("order_details", Unavailable("cut"), ok([]), ok(gone))
        self.send(self.cartona)
        self.pass_time()
        self.send(self.cartona)
        both = [{"id": 1, "amount": 7}, {"id": 2, "cancelled": True}]
        again = {**both[0], "price": 10}
        self.assertEqual(self.asked_lines(), [both, [again], both[1:]])
        self.assertEqual(self.steps(order), [(False, "done")])

    def test_an_echo_of_a_discount_does_not_give_it_twice(self):
        order = self.confirmed()
        self.line(order).discount = 10
        self.send()
        lines = self.message(self.rest, "N1", "confirmed")["lines"]
        lines[0]["unit_price"] = 9
        self.arrive(status="confirmed", lines=lines, total=110, modified_at="2026-11-12T11:00:00Z")
        self.send()
        self.assertEqual((order.amount_total, self.asked_lines()), (110, [[{"id": "1", "unit_price": "9"}]]))
        self.assertEqual((self.line(order).price_unit, self.line(order).discount), (10, 10))

    def test_a_price_of_the_marketplaces_after_a_discount_is_the_price(self):
        order = self.confirmed()
        self.line(order).discount = 10
        self.send()
        lines = self.message(self.rest, "N1", "confirmed")["lines"]
        for price, hour in ((9, 11), (8, 12), (10, 13)):
            lines[0]["unit_price"], total = price, 10 * price + 20
            at = f"2026-11-12T{hour}:00:00Z"
            self.arrive(status="confirmed", lines=lines, total=total, modified_at=at)
            self.send()
            self.assertEqual((order.amount_total, len(self.asked_lines())), (total, 1))

    def test_the_price_of_an_added_line_has_the_tax_the_marketplaces_prices_have(self):
        for is_net, account, price in (
            (False, self.cartona, 114), (True, self.cartona, 100), (False, self.rest, 100),
        ):  # fmt: skip
            account.prices_include_tax = not is_net
            values = {"prices_include_tax": False} if account == self.rest else {}
            order = self.confirmed(account, f"T{account.code}{is_net}", **values)
            tax = self.env["account.tax"].create(
                {"name": f"14 {order.name}", "amount": 14, "company_id": self.env.company.id, **TAX_EXCLUDED}
            )
            salt = self.make_product(f"SALT-{order.name}", taxes_id=[fields.Command.set(tax.ids)])
            values = {"product_id": salt.id, "product_uom_qty": 2, "price_unit": 100}
            order.order_line = [fields.Command.create(values)]
            self.door.requests.clear()
            self.send(account)
            [[row]] = self.asked_lines()
            self.assertEqual(float(row.get("price") or row.get("unit_price")), price)

    def test_an_echo_of_a_line_with_tax_on_top_makes_no_call_and_no_conflict(self):
        tax = self.env["account.tax"].create(
            {"name": "14 on top", "amount": 14, "company_id": self.env.company.id, **TAX_EXCLUDED}
        )
        salt = self.make_product("SALT-500", taxes_id=[fields.Command.set(tax.ids)])
        order = self.confirmed()
        values = {"product_id": salt.id, "product_uom_qty": 2, "price_unit": 100}
        order.order_line = [fields.Command.create(values)]
        self.send()
        rows = self.message(self.rest, "N1", "confirmed")["lines"]
        added = {"id": order.order_line[-1].marketplace_line_id, "sku": "?", "quantity": 2, "unit_price": 114}
        self.arrive(status="confirmed", lines=[*rows, added], total=348, modified_at="2026-11-12T11:00:00Z")
        self.send()
        self.assertEqual(self.events()[-1].state, "done")
        self.assertEqual((order.amount_total, len(self.asked_lines())), (348, 1))

    def test_a_change_in_doubt_that_is_taken_back_is_told(self):
        for account, was_taken in ((self.cartona, True), (self.rest, True), (self.rest, False)):
            order = self.confirmed(account, f"D{account.code}{was_taken}")
            self.line(order).product_uom_qty = 7
            name = "order_details" if account == self.cartona else "lines"
            self.door.will(name, Unavailable("cut"))
            self.send(account)
            self.line(order).product_uom_qty = 10
            self.door.will(name, self.lines_answer if account == self.rest else ok([]))
            there = self.message(self.rest, order.cartona_id, "confirmed")
            there["lines"][0]["quantity"] = 7 if was_taken else 10
            self.door.will("order", ok({"order": there}))
            self.door.requests.clear()
            self.pass_time()
            self.send(account)
            expected = {"id": 1, "amount": 10, "price": 10}
            if account == self.rest:
                expected = {"id": "1", "quantity": "10", "unit_price": "10"}
            self.assertEqual(self.asked_lines(), [[expected]] if was_taken else [])
            self.assertEqual(self.steps(order), [(False, "done")])

    def test_a_change_while_another_is_being_sent_is_told_afterwards(self):
        for quantity in (8, 10):
            order = self.confirmed(order_id=f"W{quantity}")
            self.line(order).product_uom_qty = 7
            step = self.step(order)

            def answer(request, order=order, quantity=quantity, step=step):
                # Somebody whose transaction is older than the claim, and does not see it.
                self.env.cr.execute(
                    "UPDATE marketplace_order_step SET create_date = create_date - interval '1 s', tries = 0"
                    " WHERE id = %s",
                    [step.id],
                )
                self.env.invalidate_all()
                self.line(order).product_uom_qty = quantity
                return self.lines_answer(request)

            self.door.requests.clear()
            self.door.will("lines", answer, self.lines_answer)
            self.send()
            told = [rows[0]["quantity"] for rows in self.asked_lines()]
            self.assertEqual(told, ["7", str(quantity)])

    def test_a_unit_the_marketplace_does_not_sell_in_is_left_to_a_person(self):
        salt = self.make_product("SALT-500", list_price=3)
        dozen = self.env.ref("uom.product_uom_dozen")
        self.make_link(self.rest, salt, "901", pack_uom_id=dozen.id)
        order = self.confirmed()
        order.order_line = [fields.Command.create({"product_id": salt.id, "product_uom_qty": 5})]
        self.send()
        self.assertEqual((self.steps(order), self.asked_lines()), ([(False, "failed")], []))
        order.order_line[-1].write({SOL_UOM: dozen.id, "price_unit": 30})
        order.marketplace_step_ids.action_process_again()
        self.send()
        [[row]] = self.asked_lines()
        self.assertEqual((row["product_id"], row["quantity"], row["unit_price"]), ("901", "5", "30"))

    def test_another_product_on_a_line_is_another_line_over_there(self):
        salt = self.make_product("SALT-500", list_price=3)
        order = self.arrive()
        line = self.line(order)
        line.product_id = salt
        self.send()
        [[gone, new]] = self.asked_lines()
        if "sku" in gone:
            gone, new = new, gone
        self.assertEqual(gone, {"id": "1", "quantity": "0"})
        self.assertEqual((new["sku"], new["quantity"], new["unit_price"]), ("SALT-500", "10", "10"))
        rows = self.message(self.rest, "N1", "pending")["lines"]
        self.arrive(note="an old one", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((line.product_id, len(order.order_line)), (salt, 2))
        rows[0] = {"id": line.marketplace_line_id, "sku": "SALT-500", "quantity": 10, "unit_price": 10}
        self.arrive(lines=rows, modified_at="2026-11-12T12:00:00Z")
        self.send()
        self.assertEqual((len(order.order_line), len(self.asked_lines())), (2, 1))
        self.assertEqual(order.amount_total, 120)

    def test_a_product_that_takes_a_placeholders_place_is_the_same_line(self):
        self.rest.unknown_product_policy = "placeholder"
        lines = self.message(self.rest, "N1", "pending")["lines"]
        lines[0]["sku"] = "UNKNOWN"
        order = self.arrive(lines=lines)
        self.line(order).product_id = self.make_product("SALT-500")
        self.assertEqual((self.line(order).marketplace_line_id, self.steps(order)), ("1", []))

    def nameless(self):
        """Give a step that changes a line whose id Cartona has not told, with a status behind it."""
        order = self.confirmed(self.cartona)
        salt = self.add_salt(order)
        self.send(self.cartona)
        salt.product_uom_qty = 5
        order._enqueue_status("shipped")
        self.send(self.cartona)
        self.assertEqual(self.steps(order), [(False, "done"), (False, "hold"), ("shipped", "new")])
        return order.marketplace_step_ids.sorted("id")[1]

    def test_an_id_nobody_tells_is_asked_of_a_person(self):
        step = self.nameless()
        self.wait(step, 9)
        self.assertEqual(step.state, "hold")
        self.wait(step, 2)
        order = step.sale_order_id
        self.assertEqual((step.state, order.marketplace_sync_status), ("failed", "error"))
        self.assertIn(order.order_line[-1].product_id.display_name, order.marketplace_error_message)
        self.assertIn("ignore this step", step.remedy)
        self.assertTrue(self.cartona.activity_search(["cartona_integration.activity_statuses"]))

    def test_messages_that_do_not_tell_the_id_put_nothing_off(self):
        step = self.nameless()
        for note, minutes, state in (("one", 6, "hold"), ("two", 5, "failed"), ("three", 0, "failed")):
            self.arrive("N1", "confirmed", self.cartona, note_message=note)
            self.wait(step, minutes)
            self.assertEqual(step.state, state, note)
        step.action_process_again()
        self.send(self.cartona)
        self.wait(step, 9)
        self.assertEqual(step.state, "hold", "who tries again waits again")

    def test_what_a_person_changed_at_the_marketplace_is_not_asked_about_again(self):
        step = self.nameless()
        self.wait(step, 11)
        step.action_ignore()
        order = step.sale_order_id
        self.line(order).product_uom_qty = 11
        self.send(self.cartona)
        self.assertEqual(
            self.steps(order), [(False, "done"), (False, "ignored"), ("shipped", "done"), (False, "done")]
        )
        self.assertEqual(self.asked_lines()[1:], [[{"id": 1, "amount": 11}]])
        rows = (1, "TEA-25", 11, 10), (2, "SUGAR-1", 4, 5), (80, "SALT-500", 5, 3)
        self.there(*rows, status="shipped")
        self.send(self.cartona)
        self.assertEqual((order.order_line[-1].marketplace_line_id, len(self.asked_lines())), ("80", 2))

    def test_an_id_that_is_told_late_frees_the_change(self):
        step = self.nameless()
        self.wait(step, 11)
        self.assertEqual(step.state, "failed")
        self.there((1, "TEA-25", 10, 10), (2, "SUGAR-1", 4, 5), (80, "SALT-500", 2, 3))
        self.send(self.cartona)
        self.assertEqual(self.steps(step.sale_order_id)[1:], [(False, "done"), ("shipped", "done")])
        self.assertEqual(self.asked_lines()[-1], [{"id": 80, "amount": 5}])

    def test_who_takes_back_what_waits_for_an_id_has_freed_what_waits_behind_it(self):
        step = self.nameless()
        step.sale_order_id.order_line[-1].product_uom_qty = 2
        self.send(self.cartona)
        self.assertEqual(self.steps(step.sale_order_id)[1:], [(False, "done"), ("shipped", "done")])

    def test_what_waits_for_the_customer_is_asked_of_nobody(self):
        order = self.arrive()
        self.arrive(status="held", modified_at="2026-11-12T11:00:00Z")
        self.line(order).product_uom_qty = 7
        self.send()
        self.wait(self.step(order), 120)
        self.assertEqual(self.steps(order), [(False, "hold")])

    def test_an_echo_of_our_change_makes_up_for_the_cents_again(self):
        lines = self.message(self.rest, "N1", "confirmed")["lines"][:1]
        lines[0].update(quantity=3, unit_price=33.333333)
        order = self.confirmed(lines=lines, total=100)
        self.assertEqual(order.amount_total, 100)
        self.line(order).product_uom_qty = 6
        self.send()
        lines[0]["quantity"] = 6
        self.arrive(status="confirmed", lines=lines, total=200, modified_at="2026-11-12T11:00:00Z")
        self.send()
        self.assertEqual((order.amount_total, len(self.asked_lines())), (200, 1))


class TestAnotherProduct(DeliveryCase):
    """A line that is about another product here becomes another line over there."""

    def test_what_the_marketplace_shows_then_is_no_contradiction(self):
        order = self.arrive("N1", "confirmed")
        self.make_product("COLA-330")
        first = order.order_line[0]
        first.marketplace_unit = "box"
        first.product_id = self.env["product.product"].search([("cartona_id", "=", "COLA-330")])
        self.send()
        lines = [
            {"id": "1", "sku": "TEA-25", "quantity": 0, "unit_price": 10},
            {"id": "2", "sku": "SUGAR-1", "quantity": 4, "unit_price": 5},
            {"id": first.marketplace_line_id or "9", "sku": "COLA-330", "quantity": 10, "unit_price": 10,
             "unit": "can"},
        ]  # fmt: skip
        self.arrive(status="confirmed", lines=lines, modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((order.marketplace_sync_status, order.marketplace_error_message), ("synced", False))
        self.assertEqual(first.marketplace_quantity, 10)
