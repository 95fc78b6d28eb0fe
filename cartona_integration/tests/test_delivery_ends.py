from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import Form, new_test_user

from ..compat import SOL_TAXES, TAX_EXCLUDED
from .common import ok
from .test_delivery import DeliveryCase


class TestReturns(DeliveryCase):
    """What the marketplace calls returned after it left follows the account's policy; nothing is posted."""

    def returned(self, policy, invoiced=False):
        self.rest.return_policy = policy
        self.rest.delivery_policy = "shipped"
        order = self.confirmed()
        self.ship(order)
        self.send()
        if invoiced:
            self.product.invoice_policy = self.sugar.invoice_policy = "order"
            order._create_invoices().action_post()
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(order.marketplace_status, "returned")
        return order

    def backs(self, order):
        moves = order.order_line.move_ids.filtered(lambda move: move.location_id.usage == "customer")
        return moves.picking_id

    def test_ignored_is_shown_only(self):
        order = self.returned("ignore")
        self.assertFalse(self.backs(order))
        self.assertEqual(order.state, "sale")

    def test_noted_is_a_note(self):
        order = self.returned("note")
        self.assertIn("returned", order.message_ids[0].body)
        self.assertFalse(self.backs(order))

    def test_a_return_is_prepared_once_and_not_validated(self):
        order = self.returned("return")
        self.arrive(status="returned", note="again", modified_at="2026-11-12T12:00:00Z")
        [back] = self.backs(order)
        self.assertNotIn(back.state, ("done", "cancel"))
        self.assertEqual(sorted(back.move_ids.mapped("product_uom_qty")), [4, 10])
        for move in back.move_ids:
            move.write({"quantity": move.product_uom_qty, "picked": True})
        back.button_validate()
        self.assertEqual(self.statuses(order), ["shipped"])  # the marketplace knows

    def test_the_first_part_that_comes_back_is_no_news(self):
        order = self.returned("return")
        [back] = self.backs(order)
        for move in back.move_ids:
            move.write({"quantity": 2, "picked": True})
        back.with_context(skip_backorder=True).button_validate()
        self.assertEqual(self.statuses(order), ["shipped"])

    def test_what_came_back_before_the_marketplace_says_so_stays_as_it_is(self):
        order = self.confirmed()
        self.give_back(self.ship(order))
        self.send()
        notes = len(order.message_ids)
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((order.state, order.marketplace_status), ("sale", "returned"))
        self.assertEqual((len(self.backs(order)), len(order.message_ids)), (1, notes))

    def test_a_credit_note_is_prepared_and_not_posted(self):
        order = self.returned("credit", invoiced=True)
        credit = order.invoice_ids.filtered(lambda move: move.move_type == "out_refund")
        self.assertEqual((credit.state, len(self.backs(order))), ("draft", 1))

    def test_what_never_left_is_cancelled(self):
        order = self.confirmed()
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(order.state, "cancel")

    def test_of_an_invoice_for_several_orders_only_the_returned_one_is_credited(self):
        self.rest.return_policy = "credit"
        self.rest.delivery_policy = "shipped"
        self.product.invoice_policy = self.sugar.invoice_policy = "order"
        other, order = self.confirmed(order_id="N2"), self.confirmed()
        self.ship(order)
        self.send()
        invoice = (other | order)._create_invoices()
        self.assertEqual(len(invoice), 1)
        invoice.action_post()
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        credit = order.invoice_ids.filtered(lambda move: move.move_type == "out_refund")
        self.assertEqual((credit.state, credit.amount_total, invoice.amount_total), ("draft", 120, 240))

    def test_nothing_more_is_delivered_of_what_was_returned(self):
        order = self.confirmed()
        done = self.ship(order, tea=6)
        self.send()
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        rest = order.picking_ids - done - self.backs(order)
        self.assertEqual((rest.state, len(self.backs(order))), ("cancel", 1))
        self.assertIn(rest.name, "".join(order.message_ids.mapped("body")))
        self.assertEqual(self.statuses(order), ["partially_shipped"])

    def test_of_a_returned_order_nobody_is_asked_whether_it_is_delivered(self):
        self.rest.delivery_policy = "shipped"
        self.rest.return_policy = "note"
        order = self.confirmed()
        self.ship(order)
        self.send()
        self.assertTrue(order.marketplace_can_deliver)
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        self.assertFalse(order.marketplace_can_deliver)

    def test_cancelling_the_rest_of_a_returned_order_is_no_news(self):
        self.rest.return_policy = "note"
        order = self.confirmed()
        self.ship(order, tea=6)
        self.send()
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        order.picking_ids.filtered(lambda picking: picking.state != "done").action_cancel()
        self.assertEqual(self.statuses(order), ["partially_shipped"])

    def test_what_came_back_before_is_not_prepared_again(self):
        self.rest.delivery_policy = "shipped"
        order = self.confirmed()
        first = self.give_back(self.ship(order), tea=3, sugar=4)
        self.arrive(status="returned", modified_at="2026-11-12T11:00:00Z")
        back = self.backs(order) - first
        quantities = back.move_ids.filtered(lambda move: move.state != "cancel").mapped("product_uom_qty")
        self.assertEqual(quantities, [7])


class TestAllIsBack(DeliveryCase):
    """An order whose goods all came back is one decision, whatever was told of a part before."""

    def test_what_stopped_of_its_lines_holds_up_no_return(self):
        order = self.confirmed()
        picking = self.ship(order)
        self.send()
        self.give_back(picking, tea=4)
        self.send()
        self.assertEqual(self.steps(order)[-1], (False, "failed"))
        self.give_back(picking, tea=6, sugar=4)
        self.send()
        self.assertEqual(self.told()[-1], ("N1", "returned"))
        self.assertEqual(order.marketplace_sync_status, "synced")

    def test_nobody_is_offered_to_deliver_what_came_back(self):
        order = self.confirmed(self.cartona)
        self.give_back(self.ship(order))
        self.send(self.cartona)
        self.assertEqual(self.steps(order)[-1], ("returned", "failed"))
        self.assertFalse(order.marketplace_can_deliver)

    def test_what_is_delivered_again_is_no_return_to_report(self):
        order = self.confirmed(self.cartona)
        back = self.give_back(self.ship(order))
        self.send(self.cartona)
        self.assertEqual(self.steps(order)[-1], ("returned", "failed"))
        again = self.give_back(back)
        self.assertEqual((order._is_all_back(), order.marketplace_sync_status), (False, "synced"))
        self.give_back(again)
        self.assertEqual(self.steps(order)[-1], ("returned", "failed"), "the next one is")
        self.send(self.cartona)
        self.assertEqual([status for _order, status in self.told()], ["assigned_to_salesman", "delivered"])

    def test_nobody_is_offered_to_deliver_what_is_cancelled_here(self):
        order = self.confirmed()
        self.ship(order, tea=6)
        self.send()
        self.cancel(order)
        self.assertEqual(order.marketplace_sync_status, "error")
        self.assertFalse(order.marketplace_can_deliver)


class TestCancellations(DeliveryCase):
    """Either side cancels at any stage; what crosses a delivery ends in one decision for a person."""

    def test_the_reason_comes_from_the_marketplaces_list(self):
        order = self.confirmed(self.cartona)
        action = order.action_marketplace_cancel()
        wizards = self.env["marketplace.order.cancel"].with_context(**action["context"])
        words = {word for word, _label in wizards._reasons()}
        self.assertEqual(words, self.cartona._dialect().cancel_reasons)
        wizards.create({"reason": "expired_products"}).action_confirm()
        self.send(self.cartona)
        self.assertEqual(self.door.asked("status")[0].body["cancellation_reason"], "expired_products")
        with self.assertRaises(UserError):
            wizards.create({"reason": "expired_products"}).action_confirm()

    def test_no_reason_is_asked_once_the_customer_has_the_goods(self):
        order = self.confirmed(self.cartona)
        self.assertTrue(order.marketplace_takes_reason)
        self.ship(order)
        self.assertFalse(order.marketplace_takes_reason)

    def test_a_marketplace_that_takes_any_text_is_offered_no_list(self):
        self.assertFalse(self.confirmed().marketplace_takes_reason)

    def test_without_a_choice_the_accounts_reason_is_told(self):
        self.cartona.cancel_reason = "out_of_stock"
        self.cancel(self.confirmed(self.cartona))
        self.send(self.cartona)
        self.assertEqual(self.door.asked("status")[0].body["cancellation_reason"], "out_of_stock")

    def test_we_cancel_at_each_stage(self):
        for status, outcome in (
            ("pending", "done"), ("confirmed", "done"), ("shipped", "done"), ("delivered", "failed"),
        ):  # fmt: skip
            order = self.arrive(f"C{status}", status)
            self.cancel(order)
            self.send()
            self.assertEqual(self.steps(order), [("cancelled", outcome)], status)

    def test_they_cancel_while_the_picker_works(self):
        order = self.confirmed()
        self.pick(order.picking_ids, tea=10)
        self.arrive(status="cancelled", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((order.state, order.picking_ids.state), ("cancel", "cancel"))
        self.assertFalse(order.marketplace_step_ids)
        self.assertIn(order.picking_ids.name, "".join(order.message_ids.mapped("body")))

    def test_of_what_nobody_picked_nothing_is_to_be_put_back(self):
        order = self.confirmed()
        self.arrive(status="cancelled", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(order.state, "cancel")
        self.assertNotIn(order.picking_ids.name, "".join(order.message_ids.mapped("body")))

    def decision(self):
        kinds = [f"cartona_integration.activity_{cause}" for cause in ("messages", "statuses")]
        return self.rest.activity_search(kinds)

    def test_they_cancel_what_left_before_it_could_be_told(self):
        order = self.confirmed()
        picking = self.ship(order)
        self.door.will("status", ok({"error": {"message": "cancelled cannot become shipped"}}, 409))
        self.send()
        self.assertEqual(self.steps(order), [("shipped", "failed"), ("delivered", "new")])
        self.assertIn((self.rest.id, "pull"), self.wakeups)
        self.arrive(status="cancelled", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(self.steps(order), [("shipped", "ignored"), ("delivered", "ignored")])
        self.assertEqual(len(self.decision()), 1)
        self.assertIn("delivered", order.marketplace_error_message)
        self.give_back(picking)
        self.run_job(self.rest, "import")
        self.assertEqual((order.state, order.marketplace_sync_status), ("cancel", "synced"))
        self.assertEqual(len(order.marketplace_step_ids), 2)

    def test_an_end_told_twice_is_one_decision(self):
        for order_comes_first in (True, False):
            order = self.confirmed(order_id=f"N{order_comes_first}")
            told = {"id": order.cartona_id, "status": "cancelled", "modified_at": "2026-11-12T11:00:00Z"}
            picking = self.ship(order)
            ways = [
                lambda told=told: self.arrive(told["id"], "cancelled", modified_at=told["modified_at"]),
                lambda told=told: self.receive(self.rest, told, "status"),
            ]
            for way in ways if order_comes_first else reversed(ways):
                way()
            asked = order.marketplace_event_ids.filtered(lambda event: event.state == "hold")
            self.assertEqual(asked.mapped("topic"), ["orders"])
            self.give_back(picking)
            self.run_job(self.rest, "import")
            self.assertEqual((order.state, order.marketplace_sync_status), ("cancel", "synced"))

    def test_they_cancel_what_left_and_nothing_more_is_told(self):
        order = self.confirmed()
        self.ship(order, tea=5)
        self.arrive(status="cancelled", modified_at="2026-11-12T11:00:00Z")
        self.ship(order)
        self.send()
        self.assertFalse(self.told())
        self.assertEqual(len(self.decision()), 1)

    def test_they_cancel_what_has_a_draft_invoice(self):
        self.product.invoice_policy = self.sugar.invoice_policy = "order"
        order = self.confirmed()
        invoice = order._create_invoices()
        self.arrive(status="cancelled", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual(self.events()[-1].reason, False)
        self.assertEqual((order.state, invoice.state), ("cancel", "cancel"))

    def test_a_cancellation_needs_nothing_but_its_order(self):
        for account in (self.cartona, self.rest):
            order = self.confirmed(account)
            gone = (
                {"order_details": None, "total_price": None} if account == self.cartona else {"lines": None}
            )
            self.arrive("N1", "cancelled", account, **gone, modified_at="2026-11-12T11:00:00Z")
            self.assertEqual((order.state, order.marketplace_status), ("cancel", "cancelled"))
            self.arrive("N2", "cancelled", account, **gone)
            self.assertIn("expected", self.events(account, "N2").reason)
            self.assertFalse(self.order(account, "N2"))

    def test_they_cancel_what_came_back_without_a_refund(self):
        order = self.confirmed()
        picking = self.ship(order)
        self.arrive(status="cancelled", modified_at="2026-11-12T11:00:00Z")
        back = self.give_back(picking)
        back.move_ids.to_refund = False
        self.assertTrue(order.order_line[0].qty_delivered)
        self.run_job(self.rest, "import")
        self.assertEqual((order.state, order.marketplace_sync_status), ("cancel", "synced"))
        self.assertNotIn(back.name, "".join(order.message_ids.mapped("body")), "they are back already")


class TestAgainstTheContract(DeliveryCase):
    """What contradicts a final status cannot be older: a person sees it, unless its time says otherwise."""

    def delivered(self, account):
        order = self.confirmed(account)
        picking = self.ship(order)
        self.send(account)
        self.assertEqual(order.marketplace_status, "delivered")
        return order, picking

    def asked(self, account):
        return account.activity_search(["cartona_integration.activity_messages"])

    def test_an_order_cancelled_after_its_delivery_is_one_decision(self):
        order, picking = self.delivered(self.cartona)
        self.arrive("N1", "cancelled", self.cartona)
        self.assertEqual(len(self.asked(self.cartona)), 1)
        self.assertIn("already delivered", order.marketplace_error_message)
        self.assertEqual(order.marketplace_sync_status, "error")
        self.env["marketplace.config"]._cron_sweep()
        self.assertTrue(self.asked(self.cartona))
        self.give_back(picking)
        self.run_job(self.cartona, "import")
        self.assertEqual((order.state, order.marketplace_sync_status), ("cancel", "synced"))
        self.env["marketplace.config"]._cron_sweep()
        self.assertFalse(self.asked(self.cartona), "the decision is taken")

    def test_an_older_status_stays_silent(self):
        order, _picking = self.delivered(self.cartona)
        self.arrive("N1", "shipped", self.cartona)
        self.assertEqual(self.events(self.cartona)[-1].state, "ignored")
        self.assertEqual((order.marketplace_sync_status, len(self.asked(self.cartona))), ("synced", 0))

    def test_the_marketplaces_time_tells_that_it_is_older(self):
        order = self.arrive("N1", "delivered", modified_at="2026-11-12T11:00:00Z")
        self.arrive("N1", "cancelled")
        self.assertEqual(self.events()[-1].state, "ignored")
        self.assertEqual(order.marketplace_status, "delivered")

    def test_of_a_webhook_without_time_the_list_has_the_last_word(self):
        delivered = self.message(self.cartona, "N1", "delivered")
        self.door.will("acknowledge", ok())
        self.pull(self.cartona, [delivered])
        order = self.order(self.cartona, "N1")
        self.ship(order)
        self.wakeups.clear()
        self.arrive("N1", "cancelled", self.cartona)
        self.assertEqual(order.marketplace_sync_status, "synced")
        self.assertIn((self.cartona.id, "pull"), self.wakeups)
        self.pull(self.cartona, [self.message(self.cartona, "N1", "cancelled")])
        self.assertIn("already delivered", order.marketplace_error_message)

    def test_an_order_delivered_after_its_cancellation_is_asked_about(self):
        for account in (self.cartona, self.rest):
            for by_us in (True, False):
                order = self.confirmed(account, f"D{by_us}")
                if by_us:
                    self.cancel(order)
                    self.send(account)
                else:
                    self.arrive(order.cartona_id, "cancelled", account, modified_at="2026-11-12T11:00:00Z")
                self.assertEqual((order.state, order.marketplace_status), ("cancel", "cancelled"))
                self.arrive(order.cartona_id, "delivered", account, modified_at="2026-11-12T12:00:00Z")
                self.assertEqual(order.marketplace_sync_status, "error", (account.dialect, by_us))
                self.assertIn("Delivered", order.marketplace_error_message)

    def test_what_was_told_before_it_took_our_cancellation_is_no_news(self):
        order = self.confirmed(self.cartona)
        self.cancel(order)
        self.send(self.cartona)
        self.arrive("N1", "shipped", self.cartona)
        self.assertEqual(order.marketplace_sync_status, "synced")

    def test_a_delivered_order_that_is_returned_follows_the_policy(self):
        order, _picking = self.delivered(self.cartona)
        self.arrive("N1", "returned", self.cartona)
        self.assertEqual(order.marketplace_status, "returned")
        self.assertIn("returned", order.message_ids[0].body)


class TestMoney(DeliveryCase):
    """The three sums with their parts, as the marketplace tells them."""

    def parts(self, order):
        names = ("to_collect", "receivable", "payable", "credit", "installment", "top_up", "discount")
        return [order[f"marketplace_{name}"] for name in names]

    def paid(self, **values):
        message = self.message(self.cartona, "M1", "confirmed", **values)
        message["order_details"][0]["applied_cartona_discount"] = 0.5
        self.receive(self.cartona, message)
        return self.order(self.cartona, "M1")

    def test_all_parts_can_occur_together_and_add_up(self):
        order = self.paid(cartona_credit=20, installment_cost=30, wallet_top_up=7)
        self.assertEqual(self.parts(order), [77, 55, 7, 20, 30, 7, 5])
        self.assertEqual((order.marketplace_money_difference, order.marketplace_needs_code), (0, True))

    def test_a_total_without_tax_is_compared_without(self):
        self.cartona.prices_include_tax = False
        tax = {"name": "VAT", "amount": 14, "amount_type": "percent", "type_tax_use": "sale"}
        self.product.taxes_id = self.env["account.tax"].create({**tax, **TAX_EXCLUDED})
        order = self.paid(cartona_credit=20)
        self.assertTrue(order.amount_tax)
        self.assertEqual(order.marketplace_money_difference, 0)

    def test_what_became_nothing_is_news(self):
        self.paid(wallet_top_up=7)
        order = self.paid(wallet_top_up=0)
        self.assertEqual(self.parts(order)[-2:], [0, 5])
        self.assertFalse(order.marketplace_needs_code)

    def test_a_total_changed_here_shows_what_is_not_accounted_for(self):
        order = self.paid(cartona_credit=20)
        order.order_line[0].product_uom_qty = 8
        self.assertEqual(order.marketplace_money_difference, 20)

    def now(self, order):
        """Give what is to collect, what is not accounted for, and whether there is a word about it."""
        order.invalidate_recordset()
        return (
            order.marketplace_collect_now,
            order.marketplace_money_difference,
            bool(order.marketplace_money_note),
        )

    def sold(self, **values):
        """Give an order of 10 tea for 100 and 4 sugar for 20, confirmed on both sides."""
        return self.confirmed(self.cartona, **values)

    def test_what_is_to_collect_follows_a_change_the_marketplace_took(self):
        order = self.sold(cartona_credit=20)
        order.order_line[0].write({"product_uom_qty": 6, "price_unit": 9})
        self.assertEqual(self.now(order), (100, 46, False))  # not told yet
        self.send(self.cartona)
        self.assertEqual(self.now(order), (54, 0, True))
        self.assertEqual(order.marketplace_to_collect, 100)
        line = {"id": 1, "internal_product_id": "TEA-25", "amount": 6, "selling_price": 9}
        other = {"id": 2, "internal_product_id": "SUGAR-1", "amount": 4, "selling_price": 5}
        news = {"total_price": 74, "order_details": [line, other], "cartona_credit": 10}
        self.arrive(status="confirmed", account=self.cartona, **news)
        self.assertEqual(self.now(order), (64, 0, False))

    def test_a_refused_change_changes_nothing_to_collect(self):
        order = self.sold(cartona_credit=20)
        self.door.will("order_details", ok([{"hashed_id": "N1", "success": False, "error": "no"}]))
        order.order_line[0].product_uom_qty = 6
        self.send(self.cartona)
        self.assertEqual(self.now(order), (100, 40, False))

    def test_what_never_left_is_not_to_be_collected_and_accounted_for(self):
        order = self.sold(cartona_credit=20, wallet_top_up=50)
        order.marketplace_needs_code = False
        self.ship(order, backorder=False, tea=4)
        self.send(self.cartona)
        self.assertEqual((order.amount_total, self.now(order)), (120, (70, 0, True)))

    def test_a_line_taken_away_and_a_new_one_count_too(self):
        order = self.arrive("N1", "pending", self.cartona)
        self.assertEqual(self.now(order), (120, 0, False))
        order.order_line[1].unlink()
        new = {"product_id": self.sugar.id, "product_uom_qty": 2, "price_unit": 3, SOL_TAXES: False}
        order.order_line = [fields.Command.create(new)]
        self.send(self.cartona)
        self.assertEqual(self.now(order), (106, 0, True))
        line = {"id": 1, "internal_product_id": "TEA-25", "amount": 10, "selling_price": 10}
        other = {"id": 3, "internal_product_id": "SUGAR-1", "amount": 2, "selling_price": 3}
        self.arrive(account=self.cartona, total_price=106, order_details=[line, other])
        self.assertEqual(self.now(order), (106, 0, False))

    def test_a_line_that_is_gone_here_counts_as_it_was_taken_until_that_is_taken(self):
        for is_replaced in (False, True):
            order = self.arrive(f"N{is_replaced}", "pending", self.cartona)
            line = order.order_line[1]
            line.product_uom_qty = 2
            self.send(self.cartona)
            self.assertEqual(self.now(order)[0], 110)
            if is_replaced:
                line.product_id = self.make_product("NOWHERE")
            else:
                line.unlink()
            self.assertEqual(self.now(order)[0], 110)
            self.send(self.cartona)
            rows = self.message(self.cartona, order.cartona_id, "pending")["order_details"][:1]
            if is_replaced:
                rows.append({"id": 3, "internal_product_id": "NOWHERE", "amount": 2, "selling_price": 5})
            total = 110 if is_replaced else 100
            self.assertEqual(self.now(order)[0], total)
            self.arrive(order.cartona_id, account=self.cartona, total_price=total, order_details=rows)
            self.assertEqual(self.now(order)[0], total)

    def test_less_than_nothing_is_never_collected(self):
        order = self.sold(cartona_credit=100)
        order.order_line[0].product_uom_qty = 1
        self.send(self.cartona)
        self.assertEqual(self.now(order), (0, 0, True))

    def test_what_only_the_marketplace_can_work_out_is_not_shown(self):
        order = self.confirmed(to_collect="120", prices_include_tax=False)
        order.order_line[0].product_uom_qty = 6
        self.send()
        self.assertEqual(self.now(order), (0, 0, True))

    def test_a_seller_without_marketplace_rights_sees_what_is_to_collect(self):
        seller = new_test_user(self.env, "seller", "sales_team.group_sale_salesman_all_leads")
        order = self.sold(cartona_credit=20)
        order.order_line[0].product_uom_qty = 6
        self.send(self.cartona)
        self.env.invalidate_all()
        with Form(order.with_user(seller)) as form:
            with form.order_line.edit(0) as line:
                line.product_uom_qty = 7
            self.assertEqual((form.marketplace_collect_now, form.marketplace_money_difference), (60, -10))

    def test_of_a_cancelled_order_nothing_is_to_collect(self):
        order = self.sold()
        order._action_cancel()
        self.assertEqual(self.now(order), (0, 0, True))

    def test_the_neutral_format_tells_them_too(self):
        order = self.arrive(to_collect="100", credit="20", receivable="20", url="https://shop.test/o/N1")
        self.assertEqual(self.parts(order)[:4], [100, 20, 0, 20])
        self.assertEqual(order.marketplace_url, "https://shop.test/o/N1")
        other = self.arrive("N2", url="javascript:alert(1)")
        self.assertFalse(other.marketplace_url)

    def test_invoices_carry_the_marketplaces_number(self):
        self.product.invoice_policy = self.sugar.invoice_policy = "order"
        order = self.paid(receipt_id="R-77")
        order.action_confirm()
        self.assertIn("R-77", order._create_invoices().ref)
        bare = self.confirmed(order_id="N9")
        bare.order_line = [fields.Command.update(bare.order_line[0].id, {"product_uom_qty": 9})]
        self.assertIn("N9", bare._create_invoices().ref)
