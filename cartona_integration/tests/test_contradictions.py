from datetime import timedelta

from odoo import fields
from odoo.tests import Form

from ..compat import REVERSALS
from .test_processor import OrderCase, line


class TestLateAmongOpen(OrderCase):
    """What came in before and waits may be newer than what comes in now."""

    def test_a_late_message_does_not_undo_a_newer_one_on_hold(self):
        self.send()
        late = self.message(line(quantity="3"))
        self.assertTrue(self.send(line(quantity="4"), line(2, "NOWHERE")))
        held = self.assertHeld("NOWHERE")
        self.receive(self.rest, late)
        self.assertEqual(self.last_event().state, "ignored")
        self.assertEqual((held.state, self.order(self.rest, "R1").order_line.product_uom_qty), ("hold", 2))
        self.make_product("NOWHERE")
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").order_line.mapped("product_uom_qty"), [4, 2])

    def test_a_message_nobody_can_read_buries_no_other(self):
        self.assertFalse(self.send(line(1, "NOWHERE")))
        known = self.assertHeld("NOWHERE")
        self.send(lines=None)
        broken = self.assertHeld("lines")
        self.make_product("NOWHERE")
        self.run_job(self.rest, "import")
        self.assertEqual((known.state, broken.state), ("done", "hold"))
        self.assertTrue(self.order(self.rest, "R1"))

    def test_that_it_is_over_counts_whatever_else_cannot_be_read(self):
        self.rest.order_policy = "confirm"
        self.send(line(1, "NOWHERE"))
        waiting = self.last_event()
        self.send(status="cancelled", lines=None)
        self.assertHeld("lines")
        self.make_product("NOWHERE")
        self.run_job(self.rest, "import")
        self.assertEqual(waiting.state, "ignored")
        self.assertFalse(self.order(self.rest, "R1"))

    def test_what_was_replaced_counts_again_when_the_newer_one_is_ignored(self):
        self.send(line(1, "NOWHERE"))
        self.send(line(1, "ELSEWHERE"))
        first, second = self.events()
        second._ignore("a slip of the pen")
        self.make_product("NOWHERE")
        first.action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(first.state, "done", first.reason)

    def test_an_order_placed_in_the_future_waits_as_long_as_others(self):
        self.rest.import_delay = 5
        self.send(placed_at="2099-01-01T00:00:00Z")
        waiting = self.last_event()
        self.assertEqual(waiting.state, "new")
        self.assertLess(waiting.next_try, fields.Datetime.now() + timedelta(minutes=6))

    def test_a_quantity_finer_than_odoos_is_not_rounded(self):
        event = self.assertHeldWithNothingMade("0.125", line(quantity="0.125", price="80.00"))
        self.assertIn("accuracy", event.remedy)
        # Its name ends otherwise in later series.
        self.env["decimal.precision"].search([("name", "=like", "Product Unit%")]).digits = 3
        event.action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").amount_total, 10)

    def test_a_day_that_stands_for_none_stops_nothing(self):
        self.rest.order_policy = "confirm"
        order = self.send(delivery_date="0001-01-01", placed_at="0001-01-01T00:00:00Z")
        self.assertEqual((order.state, order.commitment_date), ("sale", False))

    def test_a_place_and_a_customer_that_are_told_later_are_taken_and_said(self):
        order = self.send(customer={}, shipping=None)
        self.assertEqual(order.partner_shipping_id, order.partner_id)
        self.send(customer={"id": "C1", "name": "Corner Shop"}, shipping={"street": "1 Nile", "city": "Giza"})
        self.assertEqual(order.partner_shipping_id.street, "1 Nile")
        self.assertIn("Corner Shop", "".join(order.message_ids.mapped("body")))
        notes = len(order.message_ids)
        self.send(customer={"id": "C1", "name": "Corner Shop"}, shipping={"street": "1 Nile", "city": "Giza"})
        self.assertEqual(len(order.message_ids), notes)


class TestCreditedInvoice(OrderCase):
    """An order that is cancelled over there and invoiced here waits for the credit note."""

    def test_a_paid_invoice_that_was_credited_is_out_of_the_way(self):
        self.rest.order_policy = "confirm"
        self.tea.invoice_policy = "order"
        order = self.send()
        invoice = order._create_invoices()
        invoice.action_post()
        payment = self.env["account.payment.register"]
        payment.with_context(active_model="account.move", active_ids=invoice.ids).create(
            {}
        )._create_payments()
        self.send(status="cancelled")
        held = self.assertHeld(invoice.name)
        wizard = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=invoice.ids
        )
        with Form(wizard) as form:
            form.journal_id = invoice.journal_id
        form.record.refund_moves() if hasattr(form.record, "refund_moves") else form.record.reverse_moves()
        credit = invoice[REVERSALS]
        self.assertNotEqual(invoice.payment_state, "reversed")
        held.action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(held.state, "hold", "a draft credits nothing")
        credit.action_post()
        held.action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual((held.state, order.state), ("done", "cancel"), held.reason)


class TestMerge(OrderCase):
    """Odoo's own merging of contacts works with marketplace customers."""

    def test_the_id_goes_with_the_contact(self):
        known = self.env["res.partner"].create({"name": "Corner Shop"})
        order = self.send()
        customer = order.partner_id
        wizard = self.env["base.partner.merge.automatic.wizard"]
        wizard._merge((known | customer).ids, known, extra_checks=False)
        self.assertFalse(customer.exists())
        self.assertEqual((known.cartona_id, order.partner_id), ("retailer_rest_test_C1", known))
        self.assertEqual(self.send(id="R2").partner_id, known)
