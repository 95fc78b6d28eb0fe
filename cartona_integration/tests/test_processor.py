from datetime import datetime, timedelta
from decimal import Decimal
from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import UserError
from odoo.tools import mute_logger

from odoo.addons.cartona_integration.dialects.words import PENDING, Order, OrderLine
from odoo.addons.cartona_integration.exceptions import Hold

from ..compat import SERIES, SOL_TAXES, TAX_EXCLUDED, TAX_INCLUDED
from .common import MarketplaceCase


def line(number=1, key="TEA", quantity="2", price="10.00", **values):
    """Give one line of a neutral order."""
    return {"id": str(number), "sku": key, "quantity": quantity, "unit_price": price, **values}


class OrderCase(MarketplaceCase):
    """Sends neutral orders to the rest account; each message is a minute younger than the one before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.rest.company_id
        cls.tea = cls.make_product("TEA", list_price=999.0)
        cls.salt = cls.make_product("SALT", list_price=999.0)

    def setUp(self):
        super().setUp()
        self.processor = self.env["marketplace.order.processor"]
        self.minute = 0

    def message(self, *lines, **values):
        """Give a neutral order whose total is that of its lines, unless told otherwise."""
        self.minute += 1
        lines = lines or (line(),)
        total = sum(
            Decimal(row["quantity"]) * Decimal(row["unit_price"]) - Decimal(row.get("discount", 0))
            for row in lines
        )
        at = datetime(2026, 11, 12, 10) + timedelta(minutes=self.minute)
        return {
            "id": "R1",
            "status": "pending",
            "modified_at": f"{at.isoformat()}Z",
            "currency": self.company.currency_id.name,
            "total": str(total),
            "customer": {"id": "C1", "name": "Corner Shop"},
            "lines": list(lines),
            **values,
        }

    def send(self, *lines, account=None, **values):
        """Let an order arrive and be processed; give the sale order it became."""
        account = account or self.rest
        message = self.message(*lines, **values)
        self.receive(account, message)
        return self.order(account, message["id"])

    def send_status(self, status, order_id="R1"):
        """Let a status arrive alone."""
        self.minute += 1
        at = datetime(2026, 11, 12, 10) + timedelta(minutes=self.minute)
        row = {"id": order_id, "status": status, "modified_at": f"{at.isoformat()}Z"}
        self.receive(self.rest, row, topic="status")

    def last_event(self):
        """Give the message that arrived last."""
        return self.events()[-1:]

    def assertHeld(self, words):
        """Expect the last message to be on hold for a reason with these words, and to say what to do."""
        event = self.last_event()
        self.assertEqual(event.state, "hold", event.reason)
        self.assertIn(words, event.reason)
        self.assertTrue(event.remedy)
        return event

    def assertHeldWithNothingMade(self, words, *lines, **values):
        """Expect an order to be held, and no partner, order, line, product or pricelist to be left of it."""
        models = ("res.partner", "sale.order", "sale.order.line", "product.product", "product.pricelist")
        before = [self.env[model].with_context(active_test=False).search_count([]) for model in models]
        self.assertFalse(self.send(*lines, **values))
        event = self.assertHeld(words)
        after = [self.env[model].with_context(active_test=False).search_count([]) for model in models]
        self.assertEqual(after, before)
        return event

    def deliver(self, order, quantity):
        """Ship part of an order's only picking."""
        move = order.picking_ids.move_ids
        self.env["stock.quant"]._update_available_quantity(move.product_id, move.location_id, quantity)
        move.write({"quantity": quantity, "picked": True})
        move.picking_id._action_done()


class TestOrderTotals(OrderCase):
    """The imported order's total is the marketplace's, to the cent, or a person decides."""

    def test_a_total_two_cents_off_holds_and_makes_nothing(self):
        event = self.assertHeldWithNothingMade("20.02", line(), total="20.02")
        self.assertEqual(event.hold_ids.mapped("kind"), ["total"])

    def test_figures_that_contradict_each_other_are_no_matter_of_taxes(self):
        event = self.assertHeldWithNothingMade("20", line(), total="30")
        self.assertNotIn("tax", event.remedy)
        self.assertIn("tolerate", event.remedy)
        self.rest.total_tolerance = 10
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").amount_total, 30)

    def test_a_total_two_cents_off_in_an_update_changes_nothing(self):
        order = self.send()
        self.send(line(quantity="3"), total="30.02")
        self.assertHeld("30.02")
        self.assertEqual((order.amount_total, order.order_line.product_uom_qty), (20.0, 2))

    def test_a_corrected_message_replaces_the_one_on_hold(self):
        self.send(total="20.02")
        self.assertEqual(self.send().amount_total, 20.0)
        self.assertEqual(self.events(self.rest, "R1").mapped("state"), ["ignored", "done"])

    def test_a_negative_price_in_a_message_holds(self):
        self.assertHeldWithNothingMade("lines[0].unit_price", line(price="-1.00"), total="0")

    def test_a_negative_price_is_refused_whatever_the_dialect_let_through(self):
        order = Order(
            id="R1",
            status=PENDING,
            total=Decimal(-10),
            lines=(OrderLine(id="1", quantity=Decimal(1), unit_price=Decimal(-10), key="TEA"),),
        )
        with self.assertRaises(Hold):
            self.processor._import(self.rest, order)

    def test_two_lines_with_one_id_hold(self):
        self.assertHeldWithNothingMade("same id", line(1), line(1, "SALT"))

    def test_a_total_without_lines_holds(self):
        self.assertHeldWithNothingMade("20.00", total="20.00", lines=[])

    def test_lines_of_quantity_zero_are_not_made(self):
        order = self.send(line(1), line(2, "SALT", quantity="0"))
        self.assertEqual(order.order_line.product_id, self.tea)

    def test_a_price_finer_than_odoos_accuracy_is_made_up_for_by_a_rounding_line(self):
        order = self.send(line(quantity="12", price="20.625"))
        rounding = order.order_line.filtered(lambda row: row.marketplace_line_id == "rounding")
        self.assertEqual(order.amount_total, 247.5)
        # Later series store the price as it comes.
        self.assertAlmostEqual(rounding.price_subtotal, -0.06 if SERIES < 19 else 0)

    def test_a_rounding_line_disappears_from_the_total_when_prices_become_whole(self):
        order = self.send(line(quantity="12", price="20.625"))
        self.send(line(quantity="12", price="20.00"))
        self.assertEqual(order.amount_total, 240.0)

    def test_the_price_is_the_marketplaces_not_the_pricelists(self):
        order = self.send()
        self.send(line(quantity="5"))
        self.assertEqual((order.order_line.price_unit, order.order_line.discount), (10.0, 0.0))

    def test_a_line_discount_is_a_line_of_its_own_and_exact(self):
        order = self.send(line(quantity="3", price="10.00", discount="0.01"))
        self.assertEqual(order.order_line.mapped("price_subtotal"), [30.0, -0.01])

    def test_charges_are_lines_without_taxes(self):
        charges = [{"kind": "shipping", "amount": "7.50"}, {"kind": "discount", "amount": "-2.50"}]
        order = self.send(total="25.00", charges=charges)
        self.assertEqual(order.amount_total, 25.0)
        self.assertFalse(order.order_line[1:][SOL_TAXES])


class TaxCase(OrderCase):
    """Tea is sold with a tax of 14 % on top."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.country_id = cls.company.account_fiscal_country_id = cls.env.ref("base.eg")
        cls.company.tax_calculation_rounding_method = "round_per_line"
        cls.tax_group = cls.env["account.tax.group"].create({"name": "VAT"})
        cls.on_top = cls.make_tax("VAT 14%", 14, TAX_EXCLUDED)
        cls.tea.taxes_id = cls.on_top

    @classmethod
    def make_tax(cls, name, amount, convention, **values):
        return cls.env["account.tax"].create(
            {
                "name": name,
                "amount": amount,
                "type_tax_use": "sale",
                "tax_group_id": cls.tax_group.id,
                "country_id": cls.company.account_fiscal_country_id.id,
                "company_id": cls.company.id,
                **convention,
                **values,
            }
        )


class TestOrderTaxes(TaxCase):
    """Prices with or without tax, whatever the convention of the product's own tax."""

    def taxes(self):
        return self.env["account.tax"].search_count([("company_id", "=", self.company.id)])

    def test_prices_with_tax_keep_their_total_though_the_products_tax_is_on_top(self):
        order = self.send(line(quantity="1", price="114.00"))
        self.assertEqual((order.amount_total, order.amount_untaxed), (114.0, 100.0))
        self.assertEqual(order.order_line.price_unit, 114.0)

    def test_the_missing_tax_is_made_once(self):
        before = self.taxes()
        first = self.send(line(quantity="1", price="114.00"))
        second = self.send(line(quantity="1", price="228.00"), id="R2")
        self.assertEqual(self.taxes(), before + 1)
        self.assertEqual(first.order_line[SOL_TAXES], second.order_line[SOL_TAXES])
        self.assertTrue(first.order_line[SOL_TAXES].price_include)
        self.assertEqual(first.order_line[SOL_TAXES].tax_group_id, self.tax_group)

    def test_making_a_tax_is_told_on_the_account(self):
        self.send(line(quantity="1", price="114.00"))
        self.assertIn("VAT 14%", self.rest.message_ids[0].body)

    def test_a_tax_of_the_other_convention_that_is_there_is_used(self):
        included = self.make_tax("VAT 14% in price", 14, TAX_INCLUDED)
        before = self.taxes()
        order = self.send(line(quantity="1", price="114.00"))
        self.assertEqual((order.order_line[SOL_TAXES], self.taxes()), (included, before))

    def test_a_twin_that_is_booked_otherwise_since_gets_another_beside_it(self):
        first = self.send(line(quantity="1", price="114.00")).order_line[SOL_TAXES]
        first.tax_group_id = self.env["account.tax.group"].create({"name": "Import VAT"})
        second = self.send(line(quantity="1", price="114.00"), id="R2").order_line[SOL_TAXES]
        third = self.send(line(quantity="1", price="114.00"), id="R3").order_line[SOL_TAXES]
        self.assertEqual((second.tax_group_id, third), (self.tax_group, second))
        self.assertNotEqual(second.name, first.name)

    def test_a_tax_of_the_same_rate_that_is_booked_elsewhere_is_not_used(self):
        other = self.make_tax("VAT 14% of another kind", 14, TAX_INCLUDED)
        other.tax_group_id = self.env["account.tax.group"].create({"name": "Import VAT"})
        order = self.send(line(quantity="1", price="114.00"), prices_include_tax=True)
        self.assertNotEqual(order.order_line[SOL_TAXES], other)
        self.assertEqual(order.order_line[SOL_TAXES].tax_group_id, self.tax_group)

    def test_prices_without_tax_get_the_products_tax_on_top(self):
        row = line(quantity="1", price="100.00", taxes=[{"amount": "14.00"}])
        order = self.send(row, prices_include_tax=False, total="114.00")
        self.assertEqual((order.amount_total, order.amount_tax), (114.0, 14.0))
        self.assertEqual(order.order_line[SOL_TAXES], self.on_top)

    def test_prices_without_tax_of_a_product_whose_tax_is_in_the_price(self):
        self.tea.taxes_id = self.make_tax("VAT 10% in price", 10, TAX_INCLUDED)
        row = line(quantity="1", price="100.00", taxes=[{"amount": "10.00"}])
        order = self.send(row, prices_include_tax=False, total="110.00")
        self.assertEqual((order.amount_total, order.amount_untaxed), (110.0, 100.0))

    def test_another_tax_than_odoos_holds_and_makes_nothing(self):
        row = line(quantity="1", price="100.00", taxes=[{"amount": "5.00"}])
        self.assertHeldWithNothingMade("105.00", row, prices_include_tax=False, total="105.00")

    def test_the_accounts_convention_counts_where_the_message_is_silent(self):
        self.rest.prices_include_tax = True
        order = self.send(line(quantity="1", price="114.00"))
        self.assertEqual(order.amount_untaxed, 100.0)

    def test_the_messages_convention_counts_before_the_accounts(self):
        self.rest.prices_include_tax = False
        order = self.send(line(quantity="1", price="114.00"), prices_include_tax=True)
        self.assertEqual((order.amount_total, order.amount_untaxed), (114.0, 100.0))

    def test_another_tax_in_the_price_is_told_on_the_order(self):
        def notes(order):
            return "".join(order.message_ids.mapped("body"))

        row = line(quantity="1", price="114.00", taxes=[{"amount": "14.00"}])
        self.assertNotIn("of tax", notes(self.send(row, prices_include_tax=True)))
        row = line(quantity="1", price="114.00", taxes=[{"amount": "5.43"}])
        order = self.send(row, id="R2", prices_include_tax=True)
        self.assertEqual(order.amount_total, 114.0)
        self.assertIn("5.43", notes(order))
        self.rest.tax_policy = "none"
        self.assertNotIn("of tax", notes(self.send(row, id="R3", prices_include_tax=True)))

    def test_an_account_without_taxes_has_none_on_its_lines(self):
        self.rest.tax_policy = "none"
        order = self.send(line(quantity="1", price="114.00"))
        self.assertEqual((order.amount_total, order.amount_tax), (114.0, 0.0))
        self.assertFalse(order.order_line[SOL_TAXES])

    def shipping(self, amount, tax):
        return [{"kind": "shipping", "name": "Delivery", "amount": amount, "tax_amount": tax}]

    def taxes_of_charge(self, order):
        charge = order.order_line.filtered(lambda row: row.marketplace_line_id == "shipping:0")
        return charge[SOL_TAXES]

    def test_the_tax_on_top_of_a_charge_is_that_of_the_lines(self):
        row = line(quantity="1", price="100.00", taxes=[{"amount": "14.00"}])
        order = self.send(
            row, prices_include_tax=False, charges=self.shipping("30.00", "4.20"), total="148.20"
        )
        self.assertEqual((order.amount_total, order.amount_tax), (148.2, 18.2))
        self.assertEqual(self.taxes_of_charge(order), self.on_top)

    def test_the_tax_that_lies_in_a_charge_is_not_lost(self):
        row = line(quantity="1", price="114.00")
        order = self.send(row, prices_include_tax=True, charges=self.shipping("30.00", "3.68"), total="144")
        self.assertEqual((order.amount_total, order.amount_tax), (144.0, 17.68))

    def test_of_several_taxes_a_charge_has_the_one_that_fits(self):
        self.salt.taxes_id = self.make_tax("VAT 5%", 5, TAX_EXCLUDED)
        rows = [
            line(1, quantity="1", price="100.00", taxes=[{"amount": "14.00"}]),
            line(2, "SALT", quantity="1", price="100.00", taxes=[{"amount": "5.00"}]),
        ]
        charges = self.shipping("30.00", "1.50")
        order = self.send(*rows, prices_include_tax=False, charges=charges, total="250.50")
        self.assertEqual((order.amount_total, self.taxes_of_charge(order)), (250.5, self.salt.taxes_id))

    def test_a_charge_without_tax_has_none(self):
        row = line(quantity="1", price="100.00", taxes=[{"amount": "14.00"}])
        order = self.send(row, prices_include_tax=False, charges=self.shipping("30.00", "0"), total="144")
        self.assertEqual((order.amount_total, order.amount_tax), (144.0, 14.0))

    def test_the_taxes_of_the_charge_product_come_first(self):
        self.processor._charge_product().taxes_id = five = self.make_tax("VAT 5%", 5, TAX_EXCLUDED)
        row = line(quantity="1", price="100.00", taxes=[{"amount": "14.00"}])
        charges = self.shipping("30.00", "1.50")
        order = self.send(row, prices_include_tax=False, charges=charges, total="145.50")
        self.assertEqual((order.amount_total, self.taxes_of_charge(order)), (145.5, five))

    def test_a_tax_on_a_charge_that_no_tax_explains_holds(self):
        row = line(quantity="1", price="100.00", taxes=[{"amount": "14.00"}])
        charges = self.shipping("30.00", "9.00")
        self.assertHeldWithNothingMade(
            "153.00", row, prices_include_tax=False, charges=charges, total="153.00"
        )

    def test_a_charge_that_is_added_is_taxed_like_the_lines_that_are_there(self):
        row = line(quantity="1", price="100.00", taxes=[{"amount": "14.00"}])
        self.send(row, prices_include_tax=False, total="114.00")
        order = self.send(
            row, prices_include_tax=False, charges=self.shipping("30.00", "4.20"), total="148.20"
        )
        self.assertEqual((order.amount_total, self.taxes_of_charge(order)), (148.2, self.on_top))

    def test_a_branch_has_the_taxes_of_its_parent(self):
        branch = self.env["res.company"].create({"name": "Branch", "parent_id": self.company.id})
        self.env.user.company_ids += branch
        account = self.make_account("rest", code="branch", company_id=branch.id)
        order = self.send(line(quantity="1", price="114.00"), account=account)
        self.assertEqual((order.company_id, order.amount_untaxed), (branch, 100.0))
        self.assertEqual(order.order_line[SOL_TAXES].company_id, self.company)

    def test_an_added_line_is_taxed_like_a_first_one(self):
        order = self.send(line(1, quantity="1", price="114.00"))
        self.send(line(1, quantity="1", price="114.00"), line(2, quantity="1", price="57.00"))
        self.assertEqual((order.amount_total, order.amount_untaxed), (171.0, 150.0))

    def abroad(self):
        """Make sales to France free of tax."""
        free = self.make_tax("Export", 0, TAX_INCLUDED)
        values = {"name": "Abroad", "auto_apply": True, "country_id": self.env.ref("base.fr").id}
        position = self.env["account.fiscal.position"].create(values)
        if "tax_ids" in position._fields and "tax_src_id" in position.tax_ids._fields:
            position.tax_ids = [Command.create({"tax_src_id": self.on_top.id, "tax_dest_id": free.id})]
        else:
            free.write({"fiscal_position_ids": position.ids, "original_tax_ids": self.on_top.ids})
        return position, free

    def test_the_fiscal_position_of_the_customer_is_applied(self):
        position, free = self.abroad()
        order = self.send(shipping={"street": "1 rue", "country": "FR"})
        self.assertEqual((order.fiscal_position_id, order.order_line[SOL_TAXES]), (position, free))
        self.assertEqual((order.amount_total, order.amount_tax), (20.0, 0.0))

    def test_the_fiscal_position_is_that_of_the_place_of_delivery(self):
        position, free = self.abroad()
        self.send(shipping={"street": "1 Nile", "country": "EG"})
        order = self.send(id="R2", shipping={"street": "1 rue", "country": "FR"})
        self.assertEqual((order.fiscal_position_id, order.order_line[SOL_TAXES]), (position, free))


class TestOrderCurrency(OrderCase):
    """The order is in the message's currency, never silently in the company's."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.franc = cls.env.ref("base.CHF")
        cls.franc.active = True

    def test_the_order_is_in_the_currency_of_the_message(self):
        order = self.send(currency="CHF")
        self.assertEqual((order.currency_id, order.pricelist_id.currency_id), (self.franc, self.franc))
        self.assertEqual(order.amount_total, 20.0)

    def test_one_pricelist_serves_all_orders_of_a_currency(self):
        first = self.send(currency="CHF")
        second = self.send(currency="CHF", id="R2")
        self.assertEqual(first.pricelist_id, second.pricelist_id)

    def test_an_inactive_currency_holds_and_makes_nothing(self):
        self.franc.active = False
        event = self.assertHeldWithNothingMade("CHF", currency="CHF")
        self.assertEqual(event.hold_ids.mapped(lambda hold: (hold.kind, hold.key)), [("currency", "CHF")])

    def test_activating_the_currency_lets_the_order_in(self):
        self.franc.active = False
        self.send(currency="CHF")
        self.franc.active = True
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").currency_id, self.franc)

    def test_a_currency_nobody_knows_holds(self):
        self.assertHeldWithNothingMade("QQQ", currency="QQQ")

    def test_a_message_without_currency_is_in_the_accounts(self):
        self.rest.write({"pricelist_id": self.rest._pricelist_in(self.franc).id})
        lines = (OrderLine(id="1", quantity=Decimal(2), unit_price=Decimal(10), key="TEA"),)
        order = Order(id="R1", status=PENDING, total=Decimal(20), lines=lines)
        sale = self.processor._import(self.rest, order)
        self.assertEqual(sale.currency_id, self.franc)


class TestOrderStages(OrderCase):
    """Confirmation and cancellation by Odoo's own actions."""

    def test_confirming_keeps_the_date_of_the_order(self):
        order = self.send(placed_at="2026-01-02T03:04:05Z")
        self.assertEqual((order.state, str(order.date_order)), ("sale", "2026-01-02 03:04:05"))

    def test_the_customer_neither_follows_nor_gets_mail(self):
        mails, sent = self.env["mail.mail"], [("message_type", "in", ("email", "email_outgoing"))]
        before = mails.search_count([]), self.env["mail.message"].search_count(sent)
        order = self.send(customer={"id": "C9", "name": "Shop", "email": "shop@example.com"})
        self.send(line(quantity="5"))
        self.send(status="cancelled")
        self.assertEqual((mails.search_count([]), self.env["mail.message"].search_count(sent)), before)
        self.assertNotIn(order.partner_id, order.message_partner_ids)
        self.assertFalse(order.message_ids.notified_partner_ids)

    def test_an_order_that_is_first_seen_cancelled_is_known_whatever_its_total(self):
        for status in ("cancelled", "returned"):
            order = self.send(id=status, status=status, total="0")
            self.assertEqual(order.state, "cancel")

    def test_a_later_status_confirms_a_quotation(self):
        self.rest.order_policy = "draft"
        order = self.send()
        self.assertEqual(order.state, "draft")
        self.send_status("confirmed")
        self.assertEqual((order.state, order.marketplace_status), ("sale", "confirmed"))

    def test_a_pending_message_does_not_confirm_a_quotation(self):
        self.rest.order_policy = "draft"
        order = self.send()
        self.send(line(quantity="3"))
        self.assertEqual((order.state, order.amount_total), ("draft", 30.0))

    def test_a_cancellation_cancels_a_quotation(self):
        self.rest.order_policy = "draft"
        order = self.send()
        self.send_status("cancelled")
        self.assertEqual(order.state, "cancel")

    def test_a_cancellation_cancels_a_confirmed_order_and_frees_its_stock(self):
        order = self.send()
        self.send_status("cancelled")
        self.assertEqual((order.state, set(order.picking_ids.mapped("state"))), ("cancel", {"cancel"}))

    def test_a_cancellation_of_delivered_goods_waits_for_a_person(self):
        order = self.send()
        self.deliver(order, 1)
        self.send_status("cancelled")
        self.assertHeld("delivered")
        self.assertEqual((order.state, order.marketplace_status), ("sale", "pending"))

    def test_a_cancelled_order_stays_cancelled_whatever_comes(self):
        order = self.send(status="cancelled")
        self.send(status="shipped")
        self.assertEqual(order.state, "cancel")

    def test_an_order_opened_again_over_there_waits_for_a_person(self):
        order = self.send(status="cancelled")
        self.send(line(quantity="3"), status="confirmed")
        self.assertHeld("the marketplace goes on with it")
        self.assertEqual((order.state, order.marketplace_status), ("cancel", "cancelled"))
        order.action_draft()
        self.last_event().action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual((order.state, order.amount_total), ("sale", 30.0))

    def test_a_status_opens_no_cancelled_order_quietly(self):
        order = self.send(status="cancelled")
        self.send_status("confirmed")
        self.assertHeld("the marketplace goes on with it")
        self.assertEqual(order.marketplace_status, "cancelled")

    def test_what_is_cancelled_here_may_go_on_over_there(self):
        order = self.send(status="confirmed")
        order.with_context(disable_cancel_warning=True).action_cancel()
        self.send_status("shipped")
        self.assertEqual((self.last_event().state, order.state), ("done", "cancel"))

    def test_a_status_without_a_time_lets_no_older_order_in(self):
        order = self.send(line(quantity="3"), status="confirmed", modified_at="2026-11-13T10:00:00Z")
        self.receive(self.rest, {"id": "R1", "status": "confirmed"}, topic="status")
        self.send(line(quantity="2"), status="confirmed", modified_at="2026-11-13T09:00:00Z")
        self.assertEqual((self.last_event().state, order.amount_total), ("ignored", 30.0))

    def test_of_two_messages_of_one_time_the_later_stage_counts(self):
        at = "2026-11-13T10:00:00Z"
        order = self.send(status="cancelled", modified_at=at)
        self.send(status="confirmed", modified_at=at)
        self.assertEqual((self.last_event().state, order.marketplace_status), ("ignored", "cancelled"))

    def test_a_quotation_stays_one_while_the_marketplace_repeats_itself(self):
        self.rest.order_policy = "draft"
        order = self.send(status="confirmed")
        self.send(line(quantity="3"), status="confirmed")
        self.assertEqual((order.state, order.amount_total), ("draft", 30.0))

    def test_a_line_people_took_out_of_a_quotation_does_not_come_back(self):
        self.rest.order_policy = "draft"
        order = self.send(line(1), line(2, "SALT"))
        order.order_line[1].unlink()
        self.send(line(1, quantity="3"), line(2, "SALT"))
        self.assertEqual(order.order_line.mapped("product_uom_qty"), [3.0])

    def test_a_line_the_marketplace_brings_back_comes_back(self):
        self.rest.order_policy = "draft"
        order = self.send(line(1), line(2, "SALT"))
        self.send(line(1))
        self.send(line(1), line(2, "SALT"))
        self.assertEqual(order.amount_total, 40.0)

    def test_a_discount_people_gave_stays(self):
        self.rest.order_policy = "draft"
        order = self.send(line(1), line(2, "SALT"))
        order.order_line[0].discount = 50
        self.send(line(1, quantity="4"), line(2, "SALT"), line(3, "SALT"))
        self.assertEqual(self.last_event().state, "done")
        self.assertEqual(order.order_line[0].discount, 50)
        self.assertEqual(order.amount_total, 20 + 20 + 20)

    def test_a_changed_delivery_address_changes_the_order_and_no_contact(self):
        order = self.send(shipping={"street": "1 Nile St", "city": "Cairo"})
        before = order.partner_shipping_id
        self.send(shipping={"street": "2 Tahrir Sq", "city": "Cairo"})
        self.assertEqual((order.partner_shipping_id.street, before.street), ("2 Tahrir Sq", "1 Nile St"))
        self.assertEqual(order.partner_shipping_id.parent_id, order.partner_id)
        self.assertIn("2 Tahrir Sq", order.message_ids[0].body)

    def test_a_delivery_address_people_chose_stays(self):
        order = self.send(shipping={"street": "1 Nile St", "city": "Cairo"})
        other = self.env["res.partner"].create({"name": "Back door", "parent_id": order.partner_id.id})
        order.partner_shipping_id = other
        self.send(line(quantity="3"), shipping={"street": "1 Nile St", "city": "Cairo"})
        self.assertEqual((order.partner_shipping_id, order.amount_total), (other, 30.0))

    def test_the_status_of_an_ignored_order_is_ignored_too(self):
        self.send(line(key="NOBODY-KNOWS"))
        held = self.last_event()
        self.send_status("confirmed")
        status = self.last_event()
        self.assertEqual((held.state, status.state), ("hold", "hold"))
        held.action_ignore()
        self.run_job(self.rest, "import")
        self.assertEqual(status.state, "ignored")
        self.send_status("shipped")
        self.assertEqual(self.last_event().state, "ignored")

    def test_a_status_without_its_order_has_the_list_read(self):
        self.send_status("confirmed", order_id="R9")
        self.assertIn((self.rest.id, "pull"), self.wakeups)

    def test_a_return_before_delivery_cancels(self):
        order = self.send(status="shipped")
        self.send_status("returned")
        self.assertEqual((order.state, order.marketplace_status), ("cancel", "returned"))

    def lock_confirmed_orders(self):
        setting = self.env.ref("sale.group_auto_done_setting")
        self.env.ref("base.group_user").write({"implied_ids": [Command.link(setting.id)]})

    def test_a_locked_order_is_changed_and_locked_again(self):
        self.lock_confirmed_orders()
        order = self.send()
        self.assertTrue(order.locked)
        self.send(line(quantity="3"))
        self.assertEqual((order.amount_total, order.locked), (30.0, True))

    def test_a_locked_order_is_cancelled(self):
        self.lock_confirmed_orders()
        order = self.send()
        self.send_status("cancelled")
        self.assertEqual(order.state, "cancel")

    def test_a_refused_change_leaves_a_locked_order_locked(self):
        self.lock_confirmed_orders()
        order = self.send()
        self.send(line(quantity="3"), total="30.02")
        self.assertTrue(order.locked)


class TestOrderChanges(OrderCase):
    """Lines changed at the marketplace after the import."""

    def test_a_quantity_below_what_is_delivered_waits_for_a_person(self):
        order = self.send()
        self.deliver(order, 2)
        self.send(line(quantity="1"))
        self.assertHeld("more is delivered")
        self.assertEqual(order.order_line.product_uom_qty, 2)

    def test_a_removed_line_that_is_delivered_waits_for_a_person(self):
        order = self.send()
        self.deliver(order, 2)
        self.send(line(2, "SALT"))
        self.assertHeld("more is delivered")
        self.assertEqual(order.order_line.product_id, self.tea)

    def test_a_quantity_down_to_what_is_delivered_is_taken(self):
        order = self.send(line(quantity="5"))
        self.deliver(order, 2)
        self.send(line(quantity="2"))
        self.assertEqual(order.order_line.product_uom_qty, 2)

    def test_what_leaves_of_an_order_placed_earlier_follows_its_lines(self):
        placed = {"placed_at": "2026-01-02T03:04:05Z"}
        order = self.send(line(1, quantity="5"), line(2, "SALT"), **placed)
        for quantity in (7, 2):
            self.send(line(1, quantity=str(quantity)), line(2, "SALT"), **placed)
            moves = order.picking_ids.move_ids.filtered(lambda move: move.product_id == self.tea)
            self.assertEqual(moves.mapped("product_uom_qty"), [quantity])
        self.assertEqual(len(order.picking_ids), 1)

    def test_other_prices_alone_look_for_no_goods_to_move(self):
        order = self.send(line(1), line(2, "SALT"))
        self.assertEqual(order.state, "sale")
        with patch.object(self.env.registry["sale.order.line"], "_action_launch_stock_rule") as launch:
            self.send(line(1, price="12.00"), line(2, "SALT", price="13.00"))
        launch.assert_not_called()
        self.assertEqual(order.order_line.mapped("price_unit"), [12.0, 13.0])

    def test_what_the_customer_wrote_on_a_line_is_not_lost(self):
        order = self.send(line(1, note="Green ones"), note="Ring twice")
        self.assertEqual(order.marketplace_note.splitlines(), ["Ring twice", "TEA: Green ones"])

    def test_a_line_that_is_about_something_else_now_waits_for_a_person(self):
        order = self.send(line(1, "TEA", product_id="E1", unit="box"))
        for other in (
            line(1, "SALT", product_id="E2", unit="box"),
            line(1, "TEA", product_id="E1", unit="carton"),
        ):
            self.send(other)
            self.assertHeld("is about")
            self.assertEqual(order.order_line.product_id, self.tea)
        self.send(line(1, "TEA", quantity="3"))
        self.assertEqual(order.order_line.product_uom_qty, 3, "a message that says less")
        self.send(line(1, "TEA", product_id="E9", unit="box", quantity="4"))
        self.assertEqual(order.order_line.product_uom_qty, 4, "listed anew")

    def test_another_currency_waits_for_a_person(self):
        order = self.send()
        other = self.env["res.currency"].search([("id", "!=", order.currency_id.id)], limit=1)
        self.send(line(quantity="5"), currency=other.name)
        self.assertHeld(other.name)
        self.assertEqual(order.order_line.product_uom_qty, 2)

    def test_a_removed_line_comes_back(self):
        order = self.send(line(1), line(2, "SALT"))
        self.send(line(1))
        self.send(line(1), line(2, "SALT", quantity="7"))
        self.assertEqual(order.order_line.mapped("product_uom_qty"), [2, 7])
        self.assertEqual(order.amount_total, 90.0)

    def test_what_people_added_stays_and_does_not_count_against_the_total(self):
        order = self.send()
        gift = {"product_id": self.salt.id, "product_uom_qty": 1, "price_unit": 5.0}
        order.write({"order_line": [Command.create({**gift, SOL_TAXES: [Command.clear()]})]})
        self.send(line(quantity="3"))
        self.assertEqual(self.last_event().state, "done", self.last_event().reason)
        self.assertEqual([row.product_uom_qty for row in order.order_line], [3, 1])
        self.assertEqual(order.amount_total, 35.0)

    def test_an_unknown_product_in_a_change_holds_and_changes_nothing(self):
        order = self.send()
        self.send(line(1, quantity="9"), line(2, "NOWHERE"))
        self.assertHeld("NOWHERE")
        self.assertEqual(order.order_line.product_uom_qty, 2)

    def test_the_header_follows_the_marketplace(self):
        order = self.send(number="11", note="Call first")
        self.send(number="12", note="Ring twice", delivery_date="2026-12-24")
        self.assertEqual((order.marketplace_order_number, order.marketplace_note), ("12", "Ring twice"))
        self.assertEqual(str(order.commitment_date.date()), "2026-12-24")

    def test_what_a_later_message_leaves_out_is_kept(self):
        order = self.send(number="11")
        self.send(line(quantity="3"))
        self.assertEqual(order.marketplace_order_number, "11")

    def test_a_message_that_says_the_same_writes_nothing(self):
        message = self.message(number="11", note="Call", delivery_date="2026-12-24", delivered_by="seller")
        self.receive(self.rest, message)
        order = self.order(self.rest, "R1")
        messages = order.message_ids
        parsed = self.rest._dialect().parse_order(message)
        self.env.flush_all()
        written = []
        for model in ("sale.order", "sale.order.line", "res.partner", "stock.move"):
            patcher = patch.object(
                self.env.registry[model], "write", lambda records, vals: written.append((records, vals))
            )
            self.startPatcher(patcher)
        self.processor._import(self.rest, parsed)
        self.assertEqual(written, [])
        self.assertEqual(order.message_ids, messages)


class TestOrderIdentity(OrderCase):
    """Whose order it is, and that there is only one."""

    def test_company_warehouse_and_creator_are_the_accounts(self):
        warehouse = self.env["stock.warehouse"].create(
            {"name": "Second", "code": "W2", "company_id": self.company.id}
        )
        self.rest.warehouse_id = warehouse
        order = self.send()
        self.assertEqual((order.company_id, order.warehouse_id), (self.company, warehouse))
        made = order | order.order_line.order_id
        self.assertEqual(made.create_uid | order.partner_id.create_uid, self.rest.user_id)
        self.assertEqual(order.picking_ids.picking_type_id.warehouse_id, warehouse)
        self.assertFalse(order.user_id)

    def test_an_account_of_another_company_makes_orders_there(self):
        company = self.env["res.company"].create({"name": "Other company"})
        self.env.user.company_ids += company
        account = self.make_account("rest", code="other", company_id=company.id)
        order = self.send(account=account)
        self.assertEqual((order.company_id, order.partner_id.company_id), (company, company))
        self.assertEqual(order.warehouse_id.company_id, company)
        self.assertEqual(order.create_uid.company_id, company)

    def test_an_order_does_not_leave_its_accounts_company(self):
        other = self.env["res.company"].create({"name": "Other"})
        warehouse = self.env["stock.warehouse"].search([("company_id", "=", other.id)], limit=1)
        self.env["res.partner"].create({"name": "Shared", "cartona_id": "retailer_rest_test_C1"})
        self.rest.order_policy = "draft"
        order = self.send()
        with self.assertRaises(UserError):
            order.write({"company_id": other.id, "warehouse_id": warehouse.id, "pricelist_id": False})

    def test_two_accounts_may_have_orders_of_one_id(self):
        second = self.make_account("rest", code="second")
        first_order, second_order = self.send(), self.send(account=second)
        self.assertEqual(first_order.cartona_id, second_order.cartona_id)
        self.assertNotEqual(first_order, second_order)

    @mute_logger("odoo.sql_db")
    def test_the_database_refuses_a_second_order_of_one_identity(self):
        order = self.send()
        other = self.env["sale.order"].create({"partner_id": order.partner_id.id})
        self.env.flush_all()
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.env.cr.execute(
                "UPDATE sale_order SET marketplace_config_id = %s, cartona_id = %s WHERE id = %s",
                [self.rest.id, "R1", other.id],
            )

    def test_a_copied_order_is_not_the_marketplaces(self):
        order = self.send(
            number="11",
            note="Call",
            delivered_by="seller",
            payment_method="cash",
            cancel_reason="late",
        )
        order.marketplace_delivery_otp = "1234"
        copy = order.copy()
        ours = [
            name
            for name in order._fields
            if name.startswith("marketplace_") or name in ("cartona_id", "delivered_by")
        ]
        self.assertGreater(len(ours), 12)
        self.assertEqual([name for name in ours if copy[name]], [])
        marked = [name for name in order.order_line._fields if name.startswith("marketplace_")]
        self.assertEqual([name for name in marked if any(copy.order_line.mapped(name))], [])

    def test_an_account_with_orders_cannot_be_deleted(self):
        self.send()
        with self.assertRaises(UserError):
            self.rest.unlink()

    def test_an_account_without_orders_can(self):
        account = self.make_account("rest", code="short_lived")
        account.unlink()
        self.assertFalse(account.exists())

    def test_an_order_for_another_supplier_code_is_held_and_not_acknowledged(self):
        self.cartona.supplier_code = "2"
        row = {
            "hashed_id": "X1",
            "supplier_code": "1",
            "status": "pending",
            "total_price": 20,
            "order_details": [{"id": 1, "internal_product_id": "TEA", "amount": 2, "selling_price": 10}],
        }
        self.pull(self.cartona, [row])
        event = self.assertHeld("supplier code 1")
        self.assertEqual((event.hold_ids.kind, event.acknowledged_at), ("account", False))
        self.assertFalse(self.order(self.cartona, "X1"))

    def test_an_order_for_this_supplier_code_comes_in(self):
        self.cartona.supplier_code = "1"
        row = {
            "hashed_id": "X1",
            "supplier_code": "1",
            "status": "pending",
            "total_price": 20,
            "order_details": [{"id": 1, "internal_product_id": "TEA", "amount": 2, "selling_price": 10}],
        }
        self.pull(self.cartona, [row])
        self.assertEqual(self.order(self.cartona, "X1").amount_total, 20.0)
