from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import new_test_user

from ..compat import SERIES, TAX_INCLUDED
from ..models import marketplace_push, marketplace_traffic
from .common import ListedCase, rows_of, taken

PRICING = "sales_team.group_sale_manager" + (",product.group_product_manager" if SERIES >= 19 else "")


class OfferCase(ListedCase):
    def setUp(self):
        super().setUp()
        self.door.will("update_products", taken)

    def offer(self):
        self.env.flush_all()
        link = self.on_rest.sudo()
        return link._offers({link: {"price", "stock"}})[link]

    def push(self, account=None):
        """Send what is marked; give the sent rows."""
        self.door.requests.clear()
        self.cr.flush()
        self.run_job(account or self.rest, "push")
        return [row for request in self.door.asked("update_products") for row in rows_of(request)]

    def send_all(self):
        self.env["marketplace.mark"]._insert_both(self.on_rest)
        return self.push()


class TestPricelists(OfferCase):
    """Price rules mark what they price."""

    def setUp(self):
        super().setUp()
        self.base = self.env["product.pricelist"].create({"name": "Base"})
        self.pricelist = self.env["product.pricelist"].create({"name": "Shop"})
        self.rest.pricelist_id = self.pricelist
        self.other = self.make_product("OTHER", list_price=7)
        self.on_other = self.make_link(self.rest, self.other, "R2")
        self.cr.flush()
        self.drop_marks()

    def rule(self, pricelist=None, **values):
        pricelist = pricelist or self.pricelist
        self.drop_marks()
        rule = self.env["product.pricelist.item"].create({"pricelist_id": pricelist.id, **values})
        self.cr.flush()
        return rule

    def marked(self):
        return {link for link, kind in self.marks() if kind == "price"}

    def test_a_rule_for_a_product_marks_that_product(self):
        template = self.tea.product_tmpl_id
        self.rule(applied_on="1_product", product_tmpl_id=template.id, compute_price="fixed", fixed_price=80)
        self.assertEqual(self.marked() & set(self.rest.link_ids), {self.on_rest})
        self.assertEqual(self.push()[0]["price"], "80.00")

    def test_a_rule_for_everything_marks_the_accounts_listings(self):
        self.rule(compute_price="percentage", percent_price=10)
        self.assertEqual(self.marked(), {self.on_rest, self.on_other})
        self.assertEqual(sorted(row["price"] for row in self.push()), ["6.30", "90.00"])

    def test_a_rule_for_a_category_marks_what_is_below_it(self):
        parent = self.env["product.category"].create({"name": "Drinks"})
        child = self.env["product.category"].create({"name": "Hot drinks", "parent_id": parent.id})
        self.tea.categ_id = child
        self.cr.flush()
        self.rule(
            applied_on="2_product_category", categ_id=parent.id, compute_price="percentage", percent_price=5
        )
        self.assertEqual(self.marked() & set(self.rest.link_ids), {self.on_rest})

    def test_a_rule_of_a_base_pricelist_reaches_the_account(self):
        self.rule(compute_price="formula", base="pricelist", base_pricelist_id=self.base.id)
        self.rule(self.base, compute_price="percentage", percent_price=50)
        self.assertEqual(self.marked(), {self.on_rest, self.on_other})
        self.assertEqual(self.offer().price, Decimal("50.00"))

    def test_a_pricelist_in_another_currency_changes_the_accounts(self):
        self.rule(fixed_price=80)
        franc = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "CHF")])
        franc.active = True
        self.env["res.currency.rate"].create(
            {"currency_id": franc.id, "rate": 2, "company_id": self.env.company.id, "name": "2020-01-01"}
        )
        self.push()
        self.pricelist.currency_id = franc
        rows = {row["id"]: row for row in self.push()}
        self.assertEqual((rows["R1"]["price"], rows["R1"]["currency"]), ("80.00", "CHF"))
        other = self.env["product.pricelist"].create({"name": "Other", "currency_id": franc.id})
        other.currency_id = self.env.company.currency_id
        other.item_ids = [(0, 0, {"compute_price": "fixed", "fixed_price": 80})]
        self.rest.pricelist_id = other
        rows = {row["id"]: row for row in self.push()}
        self.assertEqual((rows["R1"]["price"], rows["R1"]["currency"]), ("80.00", other.currency_id.name))

    def test_a_rule_of_a_pricelist_no_account_uses_marks_nothing(self):
        self.rule(self.base, compute_price="percentage", percent_price=50)
        self.assertFalse(self.marked())

    def test_changing_and_deleting_a_rule_marks_what_it_priced(self):
        rule = self.rule(
            applied_on="0_product_variant", product_id=self.tea.id, compute_price="fixed", fixed_price=80
        )
        self.drop_marks()
        rule.product_id = self.other
        self.cr.flush()
        self.assertEqual(self.marked() & set(self.rest.link_ids), {self.on_rest, self.on_other})
        self.drop_marks()
        rule.unlink()
        self.cr.flush()
        self.assertIn(self.on_other, self.marked())

    def test_a_rule_is_looked_at_when_it_begins_and_after_it_ended(self):
        cron = self.env.ref("cartona_integration.cron_dated_prices")
        now = fields.Datetime.now()
        start, end = now + timedelta(days=1), now + timedelta(days=2)
        self.rule(compute_price="percentage", percent_price=10, date_start=start, date_end=end)
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        self.assertEqual(
            set(triggers.mapped("call_at")) & {start, end + timedelta(seconds=1)},
            {start.replace(microsecond=0), end.replace(microsecond=0) + timedelta(seconds=1)},
        )

    def test_a_rule_older_than_its_account_is_looked_at_when_it_begins(self):
        start = fields.Datetime.now() + timedelta(hours=1)
        self.rule(self.base, compute_price="percentage", percent_price=10, date_start=start)
        cron = self.env.ref("cartona_integration.cron_dated_prices")
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        self.assertNotIn(start, triggers.mapped("call_at"))
        triggers.unlink()
        self.rest.pricelist_id = self.base
        triggers = triggers.search([("cron_id", "=", cron.id)])
        self.assertLessEqual(min(triggers.mapped("call_at")), fields.Datetime.now())
        self.env["product.pricelist.item"]._cron_marketplace_dated_prices()
        self.assertIn(start, triggers.search([("cron_id", "=", cron.id)]).mapped("call_at"))

    def test_what_began_a_moment_ago_is_marked(self):
        now = fields.Datetime.now()
        self.rule(compute_price="percentage", percent_price=10, date_start=now - timedelta(minutes=1))
        self.drop_marks()
        self.env["product.pricelist.item"]._cron_marketplace_dated_prices()
        self.cr.flush()
        self.assertEqual(self.marked(), {self.on_rest, self.on_other})

    def test_a_cost_marks_prices_where_a_rule_follows_from_it(self):
        self.tea.standard_price = 30
        self.cr.flush()
        self.assertFalse(self.marked())
        self.rule(compute_price="formula", base="standard_price", price_surcharge=40)
        self.drop_marks()
        self.tea.standard_price = 40
        self.cr.flush()
        self.assertIn(self.on_rest, self.marked())
        self.assertEqual(self.offer().price, Decimal("80.00"))

    def test_a_variants_extra_price_marks_it(self):
        attribute = self.env["product.attribute"].create(
            {"name": "Size", "value_ids": [(0, 0, {"name": "S"}), (0, 0, {"name": "L"})]}
        )
        template = self.env["product.template"].create(
            {
                "name": "Shirt",
                "list_price": 10,
                "taxes_id": False,
                "attribute_line_ids": [
                    (0, 0, {"attribute_id": attribute.id, "value_ids": [(6, 0, attribute.value_ids.ids)]})
                ],
            }
        )
        link = self.make_link(self.rest, template.product_variant_ids[0], "R3")
        self.cr.flush()
        self.drop_marks()
        template.attribute_line_ids.product_template_value_ids[0].price_extra = 3
        self.cr.flush()
        self.assertIn(link, self.marked())

    def test_an_attribute_with_one_value_and_an_extra_price_marks_the_variant_there_is(self):
        attribute = self.env["product.attribute"].create(
            {"name": "Size", "value_ids": [(0, 0, {"name": "L", "default_extra_price": 4})]}
        )
        values = {"attribute_id": attribute.id, "value_ids": [(6, 0, attribute.value_ids.ids)]}
        template = self.env["product.template"].browse(self.tea.product_tmpl_id.id)
        template.attribute_line_ids = [(0, 0, values)]
        self.assertIn(self.on_rest, self.marked())
        self.assertEqual(self.offer().price, 104)
        self.drop_marks()
        template.attribute_line_ids.unlink()
        self.assertIn(self.on_rest, self.marked())
        self.assertEqual(self.offer().price, 100)

    def test_a_user_without_marketplace_rights_edits_rules_undisturbed(self):
        user = new_test_user(self.env, "pricer", groups=PRICING)
        items = self.env["product.pricelist.item"].with_user(user)
        items.create({"pricelist_id": self.pricelist.id, "compute_price": "percentage", "percent_price": 5})
        self.cr.flush()
        self.assertEqual(self.marked(), {self.on_rest, self.on_other})


class TestAllocation(OfferCase):
    """How much of the free stock an account offers."""

    def assertOffers(self, quantity, **rules):
        self.rest.write(rules)
        self.assertEqual(self.offer().quantity, quantity)

    def test_a_share_of_what_is_left_after_the_safety_stock(self):
        self.assertOffers(4, stock_buffer=2, stock_percentage=50)

    def test_never_more_than_the_maximum(self):
        self.assertOffers(3, stock_maximum=3)

    def test_sold_out_below_the_minimum(self):
        self.assertOffers(10, stock_minimum=10)
        self.assertOffers(0, stock_minimum=11)

    def test_rules_that_make_no_sense_are_refused(self):
        for rules in ({"stock_percentage": 101}, {"stock_maximum": -1}, {"price_jump": -1}):
            with self.assertRaises(ValidationError):
                self.rest.write(rules)

    def test_a_changed_rule_is_sent(self):
        self.send_all()
        self.rest.stock_maximum = 4
        self.assertEqual([row["stock"] for row in self.push()], ["4"])

    def test_prices_are_rounded_as_the_account_says(self):
        self.tea.list_price = 9.63
        for rounding, price in ((0, "9.63"), (0.05, "9.65"), (0.25, "9.75"), (5, "10.00")):
            self.rest.price_rounding = rounding
            self.assertEqual(str(self.offer().price), price)
        self.tea.taxes_id = self.env["account.tax"].create(
            {"name": "VAT", "amount": 10, "type_tax_use": "sale"}
        )
        self.rest.price_rounding = 0.25
        self.assertEqual(str(self.offer().price), "10.50", "the price with its tax is rounded, once")

    def test_a_rounding_below_zero_is_refused(self):
        with self.assertRaises(ValidationError):
            self.rest.price_rounding = -1

    def test_a_rounding_the_currency_has_no_coins_for_is_refused(self):
        for rounding in (0.001, 0.025, 12.345):
            with self.assertRaisesRegex(ValidationError, f"multiples of 0.01.*{rounding}"):
                self.rest.price_rounding = rounding
        self.rest.price_rounding = 0.25
        whole = self.env["res.currency"].create({"name": "WHO", "symbol": "w", "rounding": 1})
        pricelist = self.env["product.pricelist"].create({"name": "Whole", "currency_id": whole.id})
        with self.assertRaisesRegex(ValidationError, "multiples of 1.*0.25"):
            self.rest.write({"pricelist_id": pricelist.id, "currency_id": whole.id})

    def test_another_rounding_is_sent(self):
        self.tea.list_price = 9.63
        self.send_all()
        self.rest.price_rounding = 0.25
        self.assertEqual([row["price"] for row in self.push()], ["9.75"])

    def test_what_is_not_for_sale_any_more_explains_its_0(self):
        self.tea.active = False
        self.assertIn("archived or not for sale: 0 offered", self.on_rest.explanation)


class TestExplanation(OfferCase):
    """The sums on a listing's page, whose last lines are the very figures the marketplace gets."""

    def explained(self):
        """Give the lines of the price and those of the stock; check that they end with what is sent."""
        self.env.flush_all()
        self.env.invalidate_all()
        price, stock = (part.splitlines() for part in self.on_rest.explanation.split("\n\n")[:2])
        offer = self.offer()
        self.assertIn(f"= {offer.price:,} ", price[-1])
        self.assertIn(f"= {offer.quantity:,} ", stock[-1])
        return [line.replace(f" {self.rest.currency_id.name}", "") for line in price], stock

    def rule(self, pricelist=None, **values):
        """Price everything by a rule of the account's pricelist, or another."""
        if not self.rest.pricelist_id:
            self.rest.pricelist_id = self.env["product.pricelist"].create({"name": "Shop"})
        pricelist = pricelist or self.rest.pricelist_id
        return self.env["product.pricelist.item"].create({"pricelist_id": pricelist.id, **values})

    def pack(self):
        unit = self.tea.uom_id
        pack = self.env["product.product"].browse(self.tea.id)._marketplace_pack(6)
        self.on_rest.pack_uom_id = pack
        self.assertNotEqual(pack, unit)
        return pack

    def test_the_sum_is_explained_as_people_would_write_it(self):
        self.rest.write({"stock_buffer": 2, "stock_percentage": 50})
        warehouse = self.rest.stock_warehouse_ids.name
        price, stock = self.explained()
        self.assertEqual(price, ["sales price: 100.00", "= 100.00 per Units"])
        self.assertEqual(
            stock,
            [
                f"{warehouse}: 10 on hand",
                "= 10 free",
                "− 2 safety stock = 8",
                "× 50 % share = 4",
                "= 4 Units offered",
            ],
        )

    def test_each_warehouse_and_what_is_reserved_there_are_told(self):
        other = self.env["stock.warehouse"].create({"name": "Harbour", "code": "HB"})
        self.rest.stock_warehouse_ids |= other
        self.move_in(self.tea, 5, other.lot_stock_id)
        self.env["stock.quant"]._update_reserved_quantity(self.tea, other.lot_stock_id, 2)
        _price, stock = self.explained()
        self.assertIn("Harbour: 5 on hand − 2 reserved", stock)
        self.assertIn("= 13 free", stock)

    def test_limits_are_told_where_they_count(self):
        self.rest.write({"stock_maximum": 20, "stock_minimum": 3})
        self.assertEqual(self.explained()[1][1:], ["= 10 free", "= 10 Units offered"])
        self.rest.stock_maximum = 4
        self.assertIn("at most 4", self.explained()[1])
        self.rest.stock_minimum = 5
        self.assertIn("sold out below 5", self.explained()[1])

    def test_rules_of_pricelists_are_told_from_the_base_on(self):
        base = self.env["product.pricelist"].create({"name": "Base"})
        self.tea.standard_price = 50
        self.rule(base, compute_price="formula", base="standard_price", price_discount=-25)
        self.rule(
            compute_price="formula", base="pricelist", base_pricelist_id=base.id, price_discount=5,
            price_surcharge=2, price_round=0.5,
        )  # fmt: skip
        self.assertEqual(
            self.explained()[0],
            [
                "cost: 50.00",
                "pricelist Base, + 25 %: 62.50",
                "pricelist Shop, − 5 %, rounded to 0.5, + 2.00: 61.50",
                "= 61.50 per Units",
            ],
        )

    def test_a_fixed_price_and_a_discount_are_told(self):
        rule = self.rule(compute_price="fixed", fixed_price=80)
        self.assertEqual(
            self.explained()[0], ["pricelist Shop, fixed price 80.00: 80.00", "= 80.00 per Units"]
        )
        rule.write({"compute_price": "percentage", "percent_price": 10})
        self.assertEqual(self.explained()[0][:2], ["sales price: 100.00", "pricelist Shop, − 10 %: 90.00"])

    def test_tax_and_rounding_are_told(self):
        self.tea.taxes_id = self.env["account.tax"].create(
            {"name": "VAT", "amount": 10, "type_tax_use": "sale"}
        )
        self.tea.list_price = 9.63
        self.rest.price_rounding = 0.25
        self.assertEqual(
            self.explained()[0],
            ["sales price: 9.63", "with tax (VAT): 10.59", "rounded to 0.25", "= 10.50 per Units"],
        )
        self.rest.write({"prices_include_tax": False, "price_rounding": 0})
        self.assertIn("without tax (VAT): 9.63", self.explained()[0])

    def test_a_pack_is_told_from_the_single_piece_on(self):
        pack = self.pack()
        price, stock = self.explained()
        self.assertEqual(price, ["sales price: 100.00 × 6 = 600.00", f"= 600.00 per {pack.name}"])
        self.assertEqual(stock[-2:], [f"÷ 6 in each {pack.name}, rounded down", f"= 1 {pack.name} offered"])

    def test_what_a_variant_costs_more_is_told(self):
        size = self.env["product.attribute"].create(
            {"name": "Size", "value_ids": [(0, 0, {"name": "L", "default_extra_price": 15})]}
        )
        values = {"attribute_id": size.id, "value_ids": [(6, 0, size.value_ids.ids)]}
        template = self.env["product.template"].create(
            {
                "name": "Coat",
                "list_price": 100,
                "taxes_id": [(5,)],
                "attribute_line_ids": [(0, 0, values)],
            }
        )
        self.on_rest.product_id = template.product_variant_id
        said = self.on_rest.explanation
        self.assertIn("100.00 + 15.00 for the variant = 115.00", said)

    def test_large_figures_are_written_out(self):
        self.tea.list_price = 1234567.89
        self.move_in(self.tea, 2345668)
        price, stock = self.explained()
        self.assertEqual(price[0], "sales price: 1,234,567.89")
        self.assertIn("2,345,678 on hand", stock[0])

    def test_what_keeps_it_from_being_sent_is_told(self):
        self.assertNotIn("Nothing of this is sent", self.on_rest.explanation)
        self.on_rest.is_paused = True
        self.rest.auto_sync_prices = False
        self.env.invalidate_all()
        said = self.on_rest.explanation
        self.assertIn("the listing is paused", said)
        self.assertIn("changed prices only when somebody asks", said)

    def test_a_rule_of_a_kind_another_addon_brings_is_told_plainly(self):
        rule = self.rule(compute_price="percentage", percent_price=10)
        self.env.flush_all()
        told = ["pricelist Shop, a rule of another kind: 70.00", "= 70.00 per Units"]
        with patch.object(type(rule), "_compute_price", return_value=70):
            for field in ("base", "compute_price"):
                self.cr.execute(
                    f"UPDATE product_pricelist_item SET {field} = 'moon' WHERE id = %s", [rule.id]
                )
                self.assertEqual(self.explained()[0], told)

    def test_a_product_kept_in_another_kind_of_unit_explains_nothing_and_opens(self):
        self.pack()
        self.env.flush_all()
        self.cr.execute(
            "UPDATE product_template SET uom_id = %s WHERE id = %s",
            [self.env.ref("uom.product_uom_kgm").id, self.tea.product_tmpl_id.id],
        )
        self.env.invalidate_all()
        self.assertIn("another kind of unit", self.on_rest.explanation)

    def test_without_a_warehouse_no_0_is_told(self):
        self.env["stock.warehouse"].flush_model()
        self.cr.execute(
            "UPDATE stock_warehouse SET active = false WHERE id = ANY(%s)",
            [self.rest.stock_warehouse_ids.ids],
        )
        self.env.invalidate_all()
        said = self.on_rest.explanation
        self.assertIn("= 100.00", said)
        self.assertIn("has no warehouse", said)
        self.assertNotIn("offered", said)

    def test_a_listing_whose_product_is_gone_explains_its_0(self):
        other = self.make_product("GONE")
        link = self.make_link(self.rest, other, "R9")
        other.unlink()
        self.assertIn("0 offered", link.explanation)

    def test_it_opens_from_the_products_page(self):
        action = self.on_rest.action_explain()
        self.assertEqual((action["res_id"], action["target"]), (self.on_rest.id, "new"))


class TestGuardRails(OfferCase):
    """Prices that look wrong wait for a person, the rest goes on."""

    def test_a_jump_waits_for_approval_and_stock_goes_on(self):
        self.send_all()
        self.rest.price_jump = 30
        self.tea.list_price = 10
        self.move_in(self.tea, 5)
        [row] = self.push()
        self.assertEqual((row.get("price"), row["stock"]), (None, "15"))
        self.assertIn("100", self.on_rest.reason)
        self.on_rest.action_approve_price()
        self.assertEqual([row["price"] for row in self.push()], ["10.00"])
        self.assertFalse(self.on_rest.reason)

    def test_the_first_price_is_compared_with_what_stands_there(self):
        self.rest.price_jump = 30
        self.on_rest.observed_price = 250
        [row] = self.push()
        self.assertIsNone(row.get("price"))
        self.assertIn("250", self.on_rest.reason)

    def test_all_that_is_wrong_with_a_price_is_said_at_once(self):
        self.send_all()
        self.rest.write({"price_jump": 30, "price_floor": "cost"})
        self.tea.standard_price = 90
        self.tea.list_price = 50
        self.push()
        self.assertIn("more than 30 %", self.on_rest.reason)
        self.assertIn("below the cost of 90.00", self.on_rest.reason)
        self.assertEqual(self.on_rest.reason.lower().count("approve"), 1)

    def test_a_held_price_is_what_odoo_says_on_the_page(self):
        self.send_all()
        self.rest.price_jump = 30
        self.tea.list_price = 10
        self.push()
        self.assertEqual((self.on_rest.computed_price, self.on_rest.acknowledged_price), (10, 100))
        self.assertIn("held back until somebody approves it", self.on_rest.explanation)

    def test_who_approved_which_price_is_kept(self):
        self.send_all()
        self.rest.price_jump = 30
        self.tea.list_price = 10
        self.push()
        clerk = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        self.on_rest.with_user(clerk).action_approve_price()
        self.push()
        said = self.env["marketplace.sync.log"].search([("account_id", "=", self.rest.id)], limit=1).message
        self.assertIn(clerk.name, said)
        self.assertRegex(said, "100.00 .* → 10.00")
        last = self.env["marketplace.product.history"].search([("link_id", "=", self.on_rest.id)], limit=1)
        self.assertEqual((last.cause, last.price), ("approved", 10))

    def test_many_are_approved_at_once_and_those_without_are_left_alone(self):
        self.send_all()
        self.rest.price_jump = 30
        self.tea.list_price = 10
        self.push()
        other = self.make_link(self.rest, self.make_product("SALT"), "R7")
        self.drop_marks()
        (self.on_rest | other).action_approve_price()
        self.assertNotIn(other, {link for link, _kind in self.marks()})
        self.assertEqual((self.on_rest.approved_price, other.approved_price), (10, 0))
        with self.assertRaisesRegex(UserError, "held back"):
            other.action_approve_price()

    def test_an_approval_is_for_that_price_only(self):
        self.send_all()
        self.rest.price_jump = 30
        self.tea.list_price = 10
        self.push()
        self.on_rest.action_approve_price()
        self.tea.list_price = 5
        self.push()
        self.assertIn("5.00", self.on_rest.reason)

    def test_an_approval_ends_with_the_price_it_was_for(self):
        self.rest.price_floor = "cost"
        self.tea.standard_price = 120
        self.assertIsNone(self.offer().price)
        self.on_rest.action_approve_price()
        self.assertEqual(self.offer().price, 100)
        self.tea.list_price = 130
        self.assertEqual(self.offer().price, 130)
        self.tea.list_price = 100
        self.assertIsNone(self.offer().price)

    def test_a_price_below_cost_waits(self):
        self.rest.price_floor = "cost"
        self.tea.standard_price = 120
        self.assertIsNone(self.offer().price)
        self.assertIn("120", self.on_rest.reason)
        self.tea.standard_price = 90
        self.assertEqual(self.offer().price, 100)

    def assert_tax_does_not_pay(self):
        """Check that of 100 with a tax in it 90 may be the cost, and 95 may not."""
        self.tea.standard_price = 95
        self.tea.taxes_id = self.env["account.tax"].create(
            {"name": "VAT in", "amount": 10, "type_tax_use": "sale", **TAX_INCLUDED}
        )
        self.assertIsNone(self.offer().price)
        self.tea.standard_price = 90
        self.assertEqual(self.offer().price, 100)

    def floor_pricelist(self, **rule):
        values = {"applied_on": "1_product", "product_tmpl_id": self.tea.product_tmpl_id.id, **rule}
        floor = self.env["product.pricelist"].create({"name": "Floor", "item_ids": [(0, 0, values)]})
        self.rest.write({"price_floor": "pricelist", "floor_pricelist_id": floor.id})
        return floor

    def test_a_price_below_that_of_the_floor_pricelist_waits(self):
        floor = self.floor_pricelist(compute_price="fixed", fixed_price=110)
        self.assertIsNone(self.offer().price)
        self.assertIn("110", self.on_rest.reason)
        self.assertIn("Floor", self.on_rest.reason)
        self.cr.flush()
        self.drop_marks()
        floor.item_ids.fixed_price = 100
        self.cr.flush()
        self.assertIn((self.on_rest, "price"), self.marks())
        self.assertEqual(self.offer().price, 100)

    def test_a_floor_follows_the_cost_by_its_own_rule(self):
        self.floor_pricelist(compute_price="formula", base="standard_price", price_discount=-10)
        self.tea.standard_price = 95
        self.assertIsNone(self.offer().price)
        self.tea.standard_price = 90
        self.assertEqual(self.offer().price, 100)

    def test_the_floor_of_a_pack_is_that_of_its_units(self):
        self.floor_pricelist(compute_price="fixed", fixed_price=110)
        self.on_rest.pack_uom_id = self.env.ref("uom.product_uom_dozen")
        self.assertIsNone(self.offer().price)
        self.assertIn("1,320.00", self.on_rest.reason)

    def test_the_tax_in_a_price_does_not_pay_a_floor_made_of_the_cost(self):
        self.floor_pricelist(compute_price="formula", base="standard_price", price_discount=0)
        self.assert_tax_does_not_pay()

    def test_what_is_compared_with_the_floor_is_the_rounded_price(self):
        self.floor_pricelist(compute_price="fixed", fixed_price=102)
        self.tea.list_price = 102.4
        self.assertEqual(self.offer().price, Decimal("102.40"))
        self.rest.price_rounding = 5
        self.assertIsNone(self.offer().price)
        self.assertEqual(self.on_rest.held_price, 100)

    def test_a_floor_in_another_currency_is_refused(self):
        currency = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "ISK")])
        floor = self.env["product.pricelist"].create({"name": "Krona", "currency_id": currency.id})
        with self.assertRaisesRegex(ValidationError, "floor's pricelist"):
            self.rest.floor_pricelist_id = floor

    def test_what_no_rule_of_the_floor_pricelist_is_for_has_no_floor(self):
        floor = self.floor_pricelist(compute_price="fixed", fixed_price=110)
        floor.item_ids.product_tmpl_id = self.make_product("SUGAR-9").product_tmpl_id
        cheaper = {"compute_price": "percentage", "percent_price": 10}
        self.rest.pricelist_id = self.env["product.pricelist"].create(
            {"name": "Shop", "item_ids": [(0, 0, cheaper)]}
        )
        self.assertEqual(self.offer().price, 90)

    def test_the_tax_in_a_price_does_not_pay_the_cost(self):
        self.rest.price_floor = "cost"
        self.assert_tax_does_not_pay()

    def test_without_an_exchange_rate_nothing_is_converted_one_to_one(self):
        currency = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "ISK")])
        currency.active = True
        currency.rate_ids.unlink()
        pricelist = self.env["product.pricelist"].create({"name": "Krona", "currency_id": currency.id})
        self.rest.write({"pricelist_id": pricelist.id, "currency_id": currency.id})
        self.assertIsNone(self.offer().price)
        self.assertIn("ISK", self.on_rest.reason)
        self.env["product.pricelist.item"].create(
            {"pricelist_id": pricelist.id, "compute_price": "fixed", "fixed_price": 9000}
        )
        self.assertEqual(self.offer().price, 9000)

    def test_a_paused_listing_is_sent_nothing_until_it_goes_on(self):
        self.send_all()
        self.on_rest.is_paused = True
        self.tea.list_price = 70
        self.assertFalse(self.push())
        self.on_rest.is_paused = False
        self.assertEqual([row["price"] for row in self.push()], ["70.00"])


class TestCheck(OfferCase):
    """What no hook sees is found within the hour, without a call."""

    def check(self):
        self.door.requests.clear()
        self.drop_marks()
        self.run_job(self.rest, "check")
        self.assertFalse(self.door.requests)
        return self.marks(self.rest)

    def change_unseen(self):
        """Make two products' prices differ from what was sent, and nobody told of it."""
        self.make_link(self.rest, self.make_product("OTHER", list_price=7), "R2")
        self.rest.link_ids.write({"price_acknowledged": False})

    def test_a_comparison_that_takes_longer_than_a_job_may_goes_on_in_another(self):
        self.change_unseen()
        with (
            patch.object(marketplace_traffic, "JOB_SECONDS", -1),
            patch.object(marketplace_push, "CHECKED_AT_ONCE", 1),
        ):
            first, second = ({link for link, _kind in self.check()} for _job in range(2))
            self.assertEqual((len(first), len(second), first & second), (1, 1, set()))
            self.assertFalse(self.check())
            self.assertFalse(self.rest._state("check").cursor)
            self.assertEqual({link for link, _kind in self.check()}, first, "and from its beginning")

    def test_a_comparison_that_a_pause_interrupts_begins_anew(self):
        self.change_unseen()
        self.rest._state("check").cursor = str(max(self.rest.link_ids.ids))
        self.rest._state("push")._pause("down", 60)
        self.assertFalse(self.check())
        self.rest._state("push")._resume()
        self.assertEqual({link for link, _kind in self.check()}, set(self.rest.link_ids))

    def test_what_the_marketplace_has_is_left_alone(self):
        self.send_all()
        self.assertFalse(self.check())

    def test_a_tax_rate_that_changed_is_found(self):
        tax = self.env["account.tax"].create({"name": "VAT", "amount": 10, "type_tax_use": "sale"})
        self.tea.taxes_id = tax
        self.send_all()
        tax.amount = 20
        self.assertEqual(self.check(), {(self.on_rest, "price")})
        self.assertEqual([row["price"] for row in self.push()], ["120.00"])

    def test_all_listings_are_looked_at_in_batches(self):
        other = self.make_product("OTHER", list_price=7)
        link = self.make_link(self.rest, other, "R2")
        with patch.object(marketplace_push, "CHECKED_AT_ONCE", 1):
            self.assertEqual({marked for marked, _kind in self.check()}, {self.on_rest, link})

    def test_prices_that_are_not_sent_by_themselves_are_not_marked(self):
        self.rest.auto_sync_prices = False
        self.assertEqual(self.check(), {(self.on_rest, "stock")})
