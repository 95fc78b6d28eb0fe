from datetime import timedelta

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, new_test_user

from ..compat import PHONES, SOL_TAXES, TAX_EXCLUDED
from . import test_processor
from .test_processor import OrderCase, line


def moment(**ago):
    return (fields.Datetime.now() - timedelta(**ago)).isoformat() + "Z"


class TestWanted(OrderCase):
    """Which orders are wanted, and when; what is too early waits and needs nobody."""

    def assertWaits(self, words):
        event = self.last_event()
        self.assertEqual(event.state, "new", event.reason)
        self.assertIn(words, event.reason)
        self.assertTrue(event.next_try)
        self.assertEqual(event.tries, 0)
        return event

    def test_an_unpaid_order_waits_and_comes_in_when_it_is_paid(self):
        self.rest.paid_only = True
        self.assertFalse(self.send(payment_state="unpaid"))
        waiting = self.assertWaits("payment")
        self.assertTrue(self.send(payment_state="paid"))
        self.assertEqual(waiting.state, "ignored")

    def test_a_word_nobody_knows_is_no_proof_of_a_payment(self):
        self.rest.paid_only = True
        self.assertFalse(self.send(payment_state="voided"))
        self.assertWaits("voided")
        self.assertTrue(self.send(payment_state="PAID"))

    def test_an_order_without_word_of_payment_counts_as_paid(self):
        self.rest.paid_only = True
        self.assertTrue(self.send())

    def test_an_order_that_waits_keeps_its_goods_back(self):
        self.rest.paid_only = True
        self.send(payment_state="unpaid")
        self.assertEqual(self.last_event().held_quantities, {str(self.tea.id): 2.0})
        self.send(payment_state="paid")
        self.assertFalse(any(event.held_quantities for event in self.events()))

    def test_orders_that_wait_for_a_pause_to_end_keep_their_goods_back_from_the_other_accounts(self):
        free = self.tea._marketplace_free(self.cartona)[self.tea.id]
        self.receive(self.rest, self.message(id="early"), run=False)
        self.rest.action_pause()
        self.run_job(self.rest, "import")
        self.send(id="late")
        self.send(id="gone")
        self.send(id="gone", status="cancelled")
        self.assertFalse(self.order(self.rest, "early"))
        self.assertEqual(self.tea._marketplace_free(self.cartona)[self.tea.id], free - 4)
        self.rest.action_activate()
        self.run_job(self.rest, "import")
        self.assertTrue(self.order(self.rest, "early"))
        self.assertFalse(any(event.held_quantities for event in self.events()))
        self.assertEqual(
            self.tea._marketplace_free(self.cartona)[self.tea.id], free - 4, "reserved or quoted"
        )

    def test_an_order_that_is_ignored_meanwhile_keeps_nothing_back(self):
        self.rest.action_pause()
        self.receive(self.rest, self.message(id="R1"), run=False)
        event = self.last_event()
        event._ignore()
        self.rest._keep_back_orders(event.ids)
        self.assertFalse(event.held_quantities)

    def test_a_pause_begins_with_what_waits(self):
        self.wakeups.clear()
        self.rest.action_pause()
        self.assertIn((self.rest.id, "import"), self.wakeups)

    def test_a_changed_policy_lets_what_waits_in(self):
        self.rest.paid_only = True
        self.send(payment_state="unpaid")
        self.rest.paid_only = False
        self.run_job(self.rest, "import")
        self.assertTrue(self.order(self.rest, "R1"))

    def test_a_pending_order_waits_for_its_approval(self):
        self.rest.accept_from = "confirmed"
        self.send()
        self.assertWaits("approval")
        self.assertTrue(self.send(status="confirmed"))

    def test_a_cancelled_order_is_known_whatever_is_accepted(self):
        self.rest.accept_from = "shipped"
        self.assertEqual(self.send(status="cancelled").state, "cancel")

    def test_an_order_without_a_time_of_placing_waits_from_its_arrival_on(self):
        self.rest.import_delay = 30
        self.assertFalse(self.send())
        self.assertWaits("correct")
        self.env.flush_all()
        self.cr.execute("UPDATE marketplace_event SET create_date = create_date - interval '31 minutes'")
        self.env.invalidate_all()
        self.last_event().action_process_again()
        self.run_job(self.rest, "import")
        self.assertTrue(self.order(self.rest, "R1"))

    def test_a_fresh_order_waits_for_its_time(self):
        self.rest.import_delay = 30
        self.assertFalse(self.send(placed_at=moment(minutes=10)))
        event = self.assertWaits("correct")
        self.assertFalse(self.env["marketplace.event"]._has_waiting(self.rest))
        event.next_try = fields.Datetime.now() - timedelta(seconds=1)
        self.rest.import_delay = 5
        self.run_job(self.rest, "import")
        self.assertTrue(self.order(self.rest, "R1"))

    def test_orders_from_before_the_account_are_ignored_with_the_reason(self):
        self.rest.import_from = "2026-01-01"
        self.assertFalse(self.send(placed_at="2025-12-31T10:00:00Z"))
        self.assertEqual(self.last_event().state, "ignored")
        self.assertIn("before", self.last_event().reason)

    def test_policies_do_not_touch_an_order_that_is_here(self):
        order = self.send()
        self.rest.write({"paid_only": True, "accept_from": "shipped"})
        self.send(line(quantity="3"), payment_state="unpaid")
        self.assertEqual(order.amount_total, 30.0)

    def test_a_negative_waiting_time_is_refused(self):
        with self.assertRaises(ValidationError):
            self.rest.import_delay = -1


class TestFirstSeen(OrderCase):
    """Orders that have left already when they are first seen."""

    def test_they_are_confirmed_and_not_delivered(self):
        order = self.send(status="shipped")
        self.assertEqual((order.state, order.order_line.qty_delivered), ("sale", 0))

    def test_they_are_delivered_where_the_account_says_so(self):
        self.rest.shipped_policy = "deliver"
        order = self.send(line(1), line(2, "SALT"), status="delivered")
        self.assertEqual(set(order.picking_ids.mapped("state")), {"done"})
        self.assertEqual(order.order_line.mapped("qty_delivered"), [2, 2])
        self.assertFalse(order.marketplace_step_ids)

    def test_every_step_of_the_route_is_done(self):
        self.rest.shipped_policy = "deliver"
        self.rest.warehouse_id.delivery_steps = "pick_ship"
        order = self.send(status="shipped")
        self.assertEqual(set(order.picking_ids.mapped("state")), {"done"})
        self.assertEqual(order.order_line.qty_delivered, 2)

    def test_they_are_held_where_lots_are_missing_and_come_in_confirmed(self):
        self.rest.shipped_policy = "deliver"
        self.tea.tracking = "lot"
        event = self.assertHeldWithNothingMade("could not be validated", status="shipped")
        self.assertIn("Lot", event.reason)
        self.rest.shipped_policy = "confirm"
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").state, "sale")

    def test_they_are_held_where_the_account_says_so(self):
        self.rest.shipped_policy = "hold"
        self.assertHeldWithNothingMade("shipped already", status="shipped")
        self.rest.shipped_policy = "confirm"
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").state, "sale")


class TestPlaceholder(OrderCase):
    """An unknown product's line, where the account wants the order all the same."""

    def test_the_order_comes_in_whole_with_a_named_line(self):
        self.rest.unknown_product_policy = "placeholder"
        order = self.send(line(1), line(2, "NOWHERE", name="Rose water"))
        self.assertEqual(order.amount_total, 40.0)
        self.assertEqual(order.order_line[1].product_id, self.rest._placeholder())
        self.assertEqual(order.order_line[1].name, "[NOWHERE] Rose water")

    def test_an_order_that_is_over_needs_no_known_product(self):
        for order_id, status in (("R1", "cancelled"), ("R2", "returned")):
            order = self.send(line(1), line(2, "NOWHERE", name="Rose water"), id=order_id, status=status)
            self.assertEqual((order.state, order.amount_total), ("cancel", 40.0))
            self.assertEqual(order.order_line[1].product_id, self.rest._placeholder())

    def test_a_held_order_that_is_cancelled_needs_no_product_any_more(self):
        self.send(line(1, "NOWHERE"))
        self.assertEqual(self.send(line(1, "NOWHERE"), status="cancelled").state, "cancel")
        self.assertEqual(self.events(self.rest, "R1").mapped("state"), ["ignored", "done"])

    def test_an_order_that_is_over_needs_no_clear_product(self):
        self.make_link(self.rest, self.tea, "1", key="TWICE")
        self.make_link(self.rest, self.salt, "2", key="TWICE")
        order = self.send(line(1, "TWICE"), status="cancelled")
        self.assertEqual(order.order_line.product_id, self.rest._placeholder())

    def test_an_ambiguous_key_still_holds(self):
        self.rest.unknown_product_policy = "placeholder"
        self.make_product("TWICE", company_id=self.company.id)
        other = self.make_product("OTHER", company_id=False)
        self.env.cr.execute("UPDATE product_product SET cartona_id = 'TWICE' WHERE id = %s", [other.id])
        self.env.invalidate_all()
        self.assertHeldWithNothingMade("Several", line(1, "TWICE"))


class TestCustomerKey(OrderCase):
    """Customers found the first time by one exact key."""

    PHONE = {"id": "C1", "name": "Shop", "phone": "010 0123 4567"}

    def setUp(self):
        super().setUp()
        self.rest.write({"customer_key": "phone", "country_id": self.env.ref("base.eg").id})

    def partner(self, **values):
        return self.env["res.partner"].create({"name": "Known", "phone": "+20 100 123 4567", **values})

    def test_a_phone_number_matches_however_it_is_written(self):
        known = self.partner()
        self.assertEqual(self.send(customer=self.PHONE).partner_id, known)
        self.assertEqual((known.cartona_id, known.name), ("retailer_rest_test_C1", "Known"))

    def test_the_marketplaces_id_comes_first(self):
        self.partner()
        mine = self.partner(phone=False, cartona_id="retailer_rest_test_C1")
        self.assertEqual(self.send(customer=self.PHONE).partner_id, mine)

    def test_a_contact_with_another_id_of_the_same_marketplace_is_somebody_else(self):
        known = self.partner(cartona_id="retailer_rest_test_C9")
        self.assertNotEqual(self.send(customer=self.PHONE).partner_id, known)

    def test_a_contact_with_only_a_mobile_phone_is_found_by_it(self):
        known = self.partner(**{PHONES[0]: "12", PHONES[-1]: "0100 123 4567"})
        known.country_id = self.env.ref("base.eg")
        self.assertEqual(self.send(customer=self.PHONE).partner_id, known)

    def test_a_contact_is_found_by_its_second_number_too(self):
        numbers = ("+20 100 123 4567", "+20 2 2461 0000")
        known = self.partner(**dict(zip(reversed(PHONES), numbers, strict=False)))
        self.assertEqual(self.send(customer=self.PHONE).partner_id, known)

    def test_a_message_with_nothing_but_a_second_number_matches_by_it(self):
        known = self.partner()
        customer = {"id": "C1", "name": "Shop", "phone": "-", "phone2": "010 0123 4567"}
        self.assertEqual(self.send(customer=customer).partner_id, known)

    def test_what_is_no_phone_number_matches_nobody(self):
        known = self.partner(phone="12")
        self.assertFalse(known.marketplace_phone)
        self.assertNotEqual(self.send(customer={**self.PHONE, "phone": "12"}).partner_id, known)

    def test_an_e_mail_address_matches(self):
        self.rest.customer_key = "email"
        known = self.partner(email="Shop <shop@example.com>")
        customer = {"id": "C1", "name": "S", "email": "SHOP@example.com"}
        self.assertEqual(self.send(customer=customer).partner_id, known)

    def test_a_tax_number_matches(self):
        self.rest.customer_key = "vat"
        known = self.partner(vat="12345678")
        self.assertEqual(self.send(customer={"id": "C1", "vat": "1234 5678"}).partner_id, known)
        new = self.send(id="R2", customer={"name": "New", "vat": "8765 4321"}).partner_id
        self.assertEqual(self.send(id="R3", customer={"name": "New", "vat": "8765 4321"}).partner_id, new)

    def test_one_customer_with_and_without_its_id_in_one_batch_is_one_contact(self):
        customers = {"R1": {"name": "Shop", "phone": "0100 123 4567"}, "R2": self.PHONE}
        for order_id, customer in customers.items():
            self.receive(self.rest, self.message(id=order_id, customer=customer), run=False)
        self.run_job(self.rest, "import")
        first, second = (self.order(self.rest, order_id).partner_id for order_id in customers)
        self.assertEqual((first, first.cartona_id), (second, "retailer_rest_test_C1"))

    def test_two_candidates_hold_and_the_chosen_one_gets_the_order_and_the_id(self):
        first, second = self.partner(), self.partner()
        self.assertHeldWithNothingMade("Several contacts", customer=self.PHONE)
        event = self.last_event()
        self.assertTrue(event.is_customer_unclear)
        clerk = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        chooser = self.env["marketplace.customer.chooser"].with_user(clerk).create({
            "event_id": event.id, "partner_id": second.id,
        })  # fmt: skip
        self.assertEqual(chooser.candidate_ids, first | second)
        chooser.action_confirm()
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").partner_id, second)
        self.assertEqual(second.cartona_id, "retailer_rest_test_C1")

    def test_somebody_who_is_no_candidate_cannot_be_chosen(self):
        self.partner(), self.partner()
        self.send(customer=self.PHONE)
        stranger = self.env["res.partner"].create({"name": "Stranger"})
        chooser = self.env["marketplace.customer.chooser"].create(
            {"event_id": self.last_event().id, "partner_id": stranger.id}
        )
        with self.assertRaises(UserError):
            chooser.action_confirm()

    def test_a_customer_without_id_is_chosen_for_its_order(self):
        first, _second = self.partner(), self.partner()
        self.send(customer={"phone": "+201001234567"})
        self.last_event()._choose_customer(first)
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").partner_id, first)

    def test_giving_one_contact_the_id_by_hand_lets_the_order_in(self):
        first, _second = self.partner(), self.partner()
        self.send(customer=self.PHONE)
        self.wakeups.clear()
        first.cartona_id = "retailer_rest_test_C1"
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").partner_id, first)

    def sweep(self):
        self.env.flush_all()
        self.wakeups.clear()
        self.env["marketplace.config"]._cron_sweep()
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.run_job(self.rest, "import")

    def test_merging_the_candidates_lets_the_order_in(self):
        first, second = self.partner(), self.partner()
        self.send(customer=self.PHONE)
        self.run_job(self.rest, "import")
        self.assertEqual(self.last_event().state, "hold")
        self.env["base.partner.merge.automatic.wizard"]._merge((first | second).ids, first)
        self.sweep()
        self.assertEqual(self.order(self.rest, "R1").partner_id, first)

    def test_a_candidate_that_is_put_away_or_corrected_lets_the_order_in(self):
        for number, vals in enumerate(({"active": False}, {"phone": "+201001234599"})):
            with self.subTest(vals=vals):
                phone = f"+20100123450{number}"
                first, second = self.partner(phone=phone), self.partner(phone=phone)
                self.send(id=f"A{number}", customer={"phone": phone})
                second.write(vals)
                self.sweep()
                self.assertEqual(self.order(self.rest, f"A{number}").partner_id, first)

    def test_two_orders_of_one_new_phone_number_in_a_batch_are_one_customers(self):
        customer = {"phone": "+201001234567"}
        messages = [self.message(id="A", customer=customer), self.message(id="B", customer=customer)]
        self.receive(self.rest, messages)
        self.assertEqual(self.order(self.rest, "A").partner_id, self.order(self.rest, "B").partner_id)

    def test_who_has_no_id_opens_no_contact_to_several_who_have_one(self):
        contact = self.env["res.partner"].create({"name": "Shop", "email": "shop@x.test"})
        self.rest.customer_key = "email"
        customer = {"name": "Shop", "email": "shop@x.test"}
        ids = {"a": {}, "b": {"id": "K1"}, "c": {"id": "K2"}}
        self.receive(self.rest, [self.message(id=name, customer=customer | own) for name, own in ids.items()])
        partners = [self.order(self.rest, name).partner_id for name in ids]
        self.assertEqual(partners[:2], [contact, contact])
        self.assertEqual(partners[2].cartona_id, "retailer_rest_test_K2")

    def test_the_sign_for_no_tax_number_matches_nobody(self):
        self.env["res.partner"].create({"name": "Untaxed", "vat": "/"})
        self.rest.customer_key = "vat"
        order = self.send(customer={"id": "K1", "name": "Somebody", "vat": "/"})
        self.assertEqual(order.partner_id.name, "Somebody")

    def test_in_a_batch_too_a_contact_is_one_customer_of_a_numbering(self):
        known = self.partner()
        customers = [{"id": number, "phone": "+201001234567"} for number in ("K1", "K2", "K1")]
        self.receive(
            self.rest,
            [self.message(id=name, customer=who) for name, who in zip("ABC", customers, strict=True)],
        )
        first, second, third = (self.order(self.rest, name).partner_id for name in "ABC")
        self.assertEqual((first, third, first.cartona_id), (known, known, "retailer_rest_test_K1"))
        self.assertEqual(second.cartona_id, "retailer_rest_test_K2")

    def test_the_accounts_defaults_fill_what_the_message_leaves_out(self):
        team = self.env["crm.team"].create({"name": "Marketplaces", "company_id": False})
        self.env["res.lang"]._activate_lang("ar_001")
        cairo = self.env.ref("base.state_eg_c")
        self.rest.write({
            "team_id": team.id, "salesperson_id": self.env.user.id, "customer_lang": "ar_001",
            "country_id": cairo.country_id.id, "state_id": cairo.id,
        })  # fmt: skip
        order = self.send(shipping={"street": "1 Nile", "city": "Cairo"})
        self.assertEqual((order.partner_id.state_id, order.partner_id.lang), (cairo, "ar_001"))
        self.assertEqual(order.partner_id.country_id.code, "EG")
        self.assertEqual((order.team_id, order.user_id), (team, self.env.user))


class TestTaxRates(test_processor.TaxCase):
    """Taxes by the rate the message tells."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rest.tax_policy = "rate"
        cls.rest.tax_rate_ids = [(0, 0, {"rate": 14, "account_tax_id": cls.on_top.id})]
        cls.five = cls.make_tax("VAT 5%", 5, TAX_EXCLUDED)

    def taxed(self, rate, amount):
        return line(quantity="1", price="100.00", taxes=[{"rate": rate, "amount": amount}])

    def test_a_rate_means_the_accounts_tax_whatever_the_products(self):
        self.tea.taxes_id = self.five
        order = self.send(self.taxed("0.14", "14.00"), prices_include_tax=False, total="114.00")
        self.assertEqual(order.order_line[SOL_TAXES], self.on_top)

    def test_a_rate_without_tax_holds_and_resumes_when_the_table_has_it(self):
        self.send(self.taxed("0.050", "5.00"), prices_include_tax=False, total="105.00")
        event = self.assertHeld("5")
        self.assertEqual(event.hold_ids.mapped(lambda hold: (hold.kind, hold.key)), [("tax", "5")])
        self.wakeups.clear()
        self.rest.tax_rate_ids = [(0, 0, {"rate": 5, "account_tax_id": self.five.id})]
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").amount_total, 105.0)

    def test_an_order_that_is_over_needs_no_tax(self):
        row = self.taxed("0.05", "5.00")
        order = self.send(row, prices_include_tax=False, total="105.00", status="cancelled")
        self.assertEqual((order.state, order.amount_total), ("cancel", 105.0))

    def test_a_charge_has_the_tax_of_the_table_that_fits(self):
        row = line(quantity="1", price="100.00", taxes=[{"rate": "0", "amount": "0"}])
        charges = [{"kind": "shipping", "amount": "30.00", "tax_amount": "4.20"}]
        order = self.send(row, prices_include_tax=False, charges=charges, total="134.20")
        self.assertEqual(order.order_line.mapped(lambda row: row[SOL_TAXES].ids), [[], self.on_top.ids])

    def test_a_rate_stands_in_the_table_once(self):
        with self.assertRaises(ValidationError):
            self.rest.tax_rate_ids = [(0, 0, {"rate": 14.0, "account_tax_id": self.five.id})]


class TestBothSides(OrderCase):
    """What people changed here, when the marketplace goes on talking."""

    def test_a_message_about_something_else_keeps_what_people_changed(self):
        order = self.send(line(1), line(2, "SALT"))
        order.order_line[0].product_uom_qty = 1
        self.send(line(1), line(2, "SALT", quantity="5"))
        self.assertEqual(self.last_event().state, "done", self.last_event().reason)
        self.assertEqual(order.order_line.mapped("product_uom_qty"), [1, 5])

    def test_in_a_quotation_the_marketplaces_change_wins_and_is_noted(self):
        self.rest.order_policy = "draft"
        order = self.send()
        order.order_line.product_uom_qty = 1
        self.send(line(quantity="5"))
        self.assertEqual(order.order_line.product_uom_qty, 5)
        self.assertTrue(any("1 → 5" in message.body for message in order.message_ids))

    def test_figures_are_told_to_the_cent(self):
        self.rest.order_policy = "confirm"
        order = self.send(line(price="12345.67"))
        self.send(line(price="12345.78"))
        self.assertIn("12345.67 → 12345.78", "".join(order.message_ids.mapped("body")))
        order.order_line.price_unit = 12345.99
        self.send(line(price="12346.11"))
        reason = self.last_event().reason
        self.assertIn("12346.11", reason)
        self.assertIn("12345.99", reason)

    def test_both_changing_a_confirmed_order_asks_a_person(self):
        order = self.send()
        order.order_line.product_uom_qty = 1
        self.send(line(quantity="5"))
        self.assertHeld("somebody here")
        self.assertEqual(order.order_line.product_uom_qty, 1)
        order.order_line.product_uom_qty = 5
        self.last_event().action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(self.last_event().state, "done", self.last_event().reason)

    def test_a_day_is_that_day_in_the_accounts_zone(self):
        for zone, moment in (("America/Los_Angeles", "20:00:00"), (False, "12:00:00")):
            self.rest.time_zone = zone
            order = self.send(id=f"R{moment}", delivery_date="2026-12-24")
            self.assertEqual(str(order.commitment_date), f"2026-12-24 {moment}")

    def test_a_delivery_date_people_changed_is_not_taken_back(self):
        order = self.send(delivery_date="2026-12-24")
        order.commitment_date = "2026-12-30"
        self.send(line(quantity="3"), delivery_date="2026-12-24")
        self.assertEqual(str(order.commitment_date.date()), "2026-12-30")
        self.send(line(quantity="3"), delivery_date="2026-12-25")
        self.assertEqual(str(order.commitment_date.date()), "2026-12-25")

    def test_a_partial_delivery_proposes_a_return_and_then_cancels_by_itself(self):
        order = self.send(line(quantity="5"))
        self.deliver(order, 2)
        self.send_status("cancelled")
        event = self.assertHeld("a part of it")
        self.assertIn("return", event.remedy)
        done = order.picking_ids.filtered(lambda picking: picking.state == "done")
        wizard = Form(self.env["stock.return.picking"].with_context(
            active_id=done.id, active_ids=done.ids, active_model="stock.picking"
        )).save()  # fmt: skip
        wizard.product_return_moves.quantity = 2
        result = (
            wizard.create_returns() if hasattr(wizard, "create_returns") else wizard.action_create_returns()
        )
        back = self.env["stock.picking"].browse(result["res_id"])
        back.move_ids.write({"quantity": 2, "picked": True})
        back._action_done()
        self.run_job(self.rest, "import")
        self.assertEqual(event.state, "done", event.reason)
        self.assertEqual(order.state, "cancel")


class TestInboxScreens(OrderCase):
    """What is missing, and how people deal with it."""

    def test_what_is_missing_counts_orders_and_their_worth(self):
        self.send(line(1, "NOWHERE"))
        self.send(line(1, "NOWHERE", quantity="3"), id="R2")
        self.send(line(1, "ELSEWHERE"), id="R3")
        found = self.env["marketplace.blockage"].search([("account_id", "=", self.rest.id)])
        self.assertEqual(
            found.mapped(lambda row: (row.kind, row.key, row.order_count, row.amount)),
            [("product", "NOWHERE", 2, 50.0), ("product", "ELSEWHERE", 1, 20.0)],
        )
        self.assertEqual(found[0].action_mend()["context"], {"default_cartona_id": "NOWHERE"})
        action = found[0].action_view_messages()
        self.assertEqual(len(self.env["marketplace.event"].search(action["domain"])), 2)

    def test_another_companys_blockages_are_not_seen(self):
        self.send(line(1, "NOWHERE"))
        company = self.env["res.company"].create({"name": "Other"})
        user = new_test_user(
            self.env, "b", groups="cartona_integration.group_marketplace_user",
            company_id=company.id, company_ids=[(6, 0, company.ids)],
        )  # fmt: skip
        self.assertFalse(self.env["marketplace.blockage"].with_user(user).search([]))

    def test_ignoring_keeps_who_and_why(self):
        self.send(line(1, "NOWHERE"))
        clerk = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        action = self.last_event().with_user(clerk).action_ask_reason()
        wizard = self.env[action["res_model"]].with_user(clerk).with_context(**action["context"])
        wizard.create({"reason": "Entered by hand"}).action_confirm()
        event = self.last_event()
        self.assertEqual(event.state, "ignored")
        self.assertIn(clerk.name, event.reason)
        self.assertIn("Entered by hand", event.reason)

    def test_old_content_of_settled_messages_is_deleted(self):
        self.send()
        self.send(line(1, "NOWHERE"), id="R2")
        self.env.flush_all()
        self.env.cr.execute("UPDATE marketplace_event SET write_date = write_date - interval '181 days'")
        self.env["marketplace.event"]._gc_payloads()
        self.assertEqual([event.payload == "{}" for event in self.events()], [True, False])

    def test_a_held_order_is_acknowledged_only_where_the_account_says_so(self):
        message = self.message(line(1, "NOWHERE"))
        self.receive(self.rest, message)
        messages = self.rest._dialect().split("orders", message)
        events = self.env["marketplace.event"]
        self.assertFalse(events._settled(self.rest, messages))
        self.rest.acknowledge_holds = True
        self.assertEqual(set(events._settled(self.rest, messages)), {"R1"})

    def test_the_accounts_time_zone_counts_where_the_message_names_none(self):
        self.rest.time_zone = "Africa/Cairo"
        order = self.send(placed_at="2026-01-02T03:04:05")
        self.assertEqual(str(order.date_order), "2026-01-02 01:04:05")
