from odoo.exceptions import ValidationError
from odoo.tests import Form

from .common import ListedCase


class AllocationCase(ListedCase):
    def setUp(self):
        super().setUp()
        self.food = self.env["product.category"].create({"name": "Food"})
        self.drinks = self.env["product.category"].create({"name": "Drinks", "parent_id": self.food.id})

    def rule(self, **values):
        return self.env["marketplace.allocation"].create({"account_id": self.rest.id, **values})

    def offered(self, link=None):
        link = link or self.on_rest
        self.env.flush_all()
        self.mark_all(link.account_id)
        self.push(account=link.account_id)
        return link.computed_quantity


class TestRules(AllocationCase):
    """The nearest rule counts: the product's, its category's, the account's."""

    def test_without_rules_the_accounts_limits_count(self):
        self.rest.stock_buffer = 3
        self.assertEqual(self.offered(), 7)

    def test_a_products_rule_takes_the_place_of_the_accounts(self):
        self.rest.stock_buffer = 3
        self.rule(product_tmpl_id=self.tea.product_tmpl_id.id, stock_percentage=50)
        self.assertEqual(self.offered(), 5)
        self.assertEqual(self.offered(self.on_cartona), 10)

    def test_the_nearest_categorys_rule_counts(self):
        self.tea.categ_id = self.drinks
        self.rule(categ_id=self.food.id, stock_maximum=4)
        self.assertEqual(self.offered(), 4)
        self.rule(categ_id=self.drinks.id, stock_maximum=2)
        self.assertEqual(self.offered(), 2)
        self.rule(product_tmpl_id=self.tea.product_tmpl_id.id, stock_maximum=1)
        self.assertEqual(self.offered(), 1)

    def test_a_change_of_a_rule_goes_out(self):
        self.settle()
        rule = self.rule(product_tmpl_id=self.tea.product_tmpl_id.id, stock_maximum=1)
        for change, quantity in ((None, "1"), ({"stock_maximum": 2}, "2")):
            if change:
                rule.write(change)
            self.push()
            self.assertEqual(self.sent()[-1]["stock"], quantity)
        rule.unlink()
        self.push()
        self.assertEqual(self.sent()[-1]["stock"], "10")

    def test_a_product_that_changes_its_category_follows(self):
        self.rule(categ_id=self.food.id, stock_maximum=4)
        self.settle()
        self.tea.categ_id = self.drinks
        self.push()
        self.assertEqual(self.sent()[-1]["stock"], "4")

    def test_the_explanation_names_the_rule(self):
        self.rule(product_tmpl_id=self.tea.product_tmpl_id.id, stock_maximum=1)
        self.assertIn("by the rule for", self.on_rest.explanation)
        self.assertIn("at most 1", self.on_rest.explanation)

    def test_a_rule_has_one_target_and_sensible_numbers(self):
        target = {"product_tmpl_id": self.tea.product_tmpl_id.id}
        for values in ({}, target | {"categ_id": self.food.id}, target | {"stock_percentage": 101},
                       target | {"stock_buffer": -1}):  # fmt: skip
            with self.assertRaises(ValidationError):
                self.rule(**values)

    def test_a_target_has_one_rule(self):
        target = {"product_tmpl_id": self.tea.product_tmpl_id.id}
        self.rule(**target)
        with self.assertRaisesRegex(ValidationError, "already"):
            self.rule(**target)


class TestLastUnits(AllocationCase):
    """When few are left of a stock sold in several places, one account keeps them."""

    def setUp(self):
        super().setUp()
        self.cartona.last_units = 3

    def test_while_there_are_enough_all_offer_them(self):
        self.assertEqual((self.offered(), self.offered(self.on_cartona)), (10, 10))

    def test_the_last_ones_are_offered_there_only(self):
        self.move_in(self.tea, -7)
        self.assertEqual((self.offered(), self.offered(self.on_cartona)), (0, 3))
        self.assertIn("another account's", self.on_rest.explanation)

    def test_one_that_does_not_sell_the_product_keeps_nothing(self):
        self.move_in(self.tea, -7)
        self.settle()
        self.drop_marks()
        self.on_cartona.is_paused = True
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["3"])

    def test_one_that_is_not_live_keeps_nothing_and_the_others_hear_of_it(self):
        self.move_in(self.tea, -7)
        self.settle()
        self.cartona.action_pause()
        self.push()
        self.assertEqual(self.sent()[-1]["stock"], "3")

    def test_accounts_that_share_to_the_last_unit_cost_each_other_nothing(self):
        self.cartona.last_units = 0
        self.settle()
        self.drop_marks()
        self.cartona.action_pause()
        self.assertFalse(self.marks(self.rest))

    def test_one_that_sells_from_another_warehouse_keeps_nothing(self):
        other = self.env["stock.warehouse"].create({"name": "Other", "code": "OTH"})
        self.cartona.stock_warehouse_ids = other
        self.move_in(self.tea, -7)
        self.assertEqual(self.offered(), 3)

    def test_who_leaves_its_last_units_has_the_others_told(self):
        """It sells from elsewhere now, has another product there, or no listing: nothing is kept back."""
        other = self.env["stock.warehouse"].create({"name": "Other", "code": "OTH"})
        sugar = self.make_product("SUGAR-1")
        ways = (
            lambda: self.cartona.write({"stock_warehouse_ids": [(6, 0, other.ids)]}),
            lambda: self.on_cartona.write({"product_id": sugar.id}),
            lambda: self.on_cartona.write({"key": "ANOTHER", "external_id": "502"}),
            self.on_cartona.unlink,
        )
        for number, leave in enumerate(ways):
            self.cartona.stock_warehouse_ids = self.rest.stock_warehouse_ids
            self.on_cartona.write({"product_id": self.tea.id, "state": "linked"})
            self.cr.flush()
            self.drop_marks()
            leave()
            with self.subTest(number):
                self.assertIn((self.on_rest, "stock"), self.marks(self.rest))

    def test_of_two_the_one_that_wants_more_has_them(self):
        self.rest.last_units = 5
        self.move_in(self.tea, -7)
        self.assertEqual((self.offered(), self.offered(self.on_cartona)), (3, 0))
        self.rest.last_units = 3
        first = min(self.on_rest, self.on_cartona, key=lambda link: link.account_id.id)
        quantities = {link: self.offered(link) for link in self.on_rest | self.on_cartona}
        self.assertEqual(quantities[first], 3)
        self.assertEqual(sum(quantities.values()), 3)


class TestPreview(AllocationCase):
    """Rules are tried on real products before they count."""

    def wizard(self, **values):
        form = Form(self.env["marketplace.allocation.preview"].with_context(default_account_id=self.rest.id))
        for name, value in values.items():
            setattr(form, name, value)
        return form

    def test_it_starts_with_what_counts_now(self):
        self.rest.stock_buffer = 3
        self.assertEqual(self.wizard().stock_buffer, 3)

    def test_it_shows_what_would_be_offered_and_changes_nothing(self):
        form = self.wizard(stock_percentage=50)
        self.assertIn("1 of 1 products that were tried would show another quantity", form.preview)
        form.save()
        self.assertEqual(self.rest.stock_percentage, 100)
        self.assertEqual(self.offered(), 10)

    def test_what_would_go_to_zero_is_counted(self):
        [row] = self.wizard(stock_minimum=11).save()._rows()
        self.assertEqual((row["now"], row["then"]), (10, 0))

    def test_what_would_sell_out_is_shown_first(self):
        few = self.make_product("SUGAR-1")
        self.move_in(few, 4)
        self.make_link(self.rest, few, "R2")
        rows = self.wizard(stock_buffer=5).save()._rows()
        self.assertEqual([(row["now"], row["then"]) for row in rows], [(4, 0), (10, 5)])

    def test_a_narrower_rule_goes_on_counting(self):
        self.rule(product_tmpl_id=self.tea.product_tmpl_id.id, stock_maximum=1)
        [row] = self.wizard(stock_percentage=50).save()._rows()
        self.assertEqual((row["now"], row["then"]), (1, 1))

    def test_last_units_show_what_other_accounts_would_lose_and_get_back(self):
        self.move_in(self.tea, -7)
        form = self.wizard(last_units=3)
        self.assertIn("Other accounts would show another quantity of 1 of them", form.preview)
        [row] = form.save()._rows()
        self.assertEqual((row["now"], row["then"]), (3, 3))
        self.assertEqual(row["elsewhere"], [f"{self.cartona.name}: 3 → 0"])
        form.save().action_apply()
        self.assertEqual((self.offered(), self.offered(self.on_cartona)), (3, 0))
        [row] = self.wizard(last_units=2).save()._rows()
        self.assertEqual(row["elsewhere"], [f"{self.cartona.name}: 0 → 3"])

    def test_last_units_that_another_account_wants_more_are_shown_too(self):
        self.move_in(self.tea, -7)
        self.rest.last_units, self.cartona.last_units = 5, 4
        [row] = self.wizard(last_units=4.0 - 1).save()._rows()
        self.assertEqual((row["now"], row["then"]), (3, 0))
        self.assertEqual(row["elsewhere"], [f"{self.cartona.name}: 0 → 3"])

    def test_of_another_companys_account_only_that_it_is_there_is_told(self):
        other = self.env["res.company"].create({"name": "Other"})
        self.env.user.company_ids += other
        wizard = self.wizard().save().with_context(allowed_company_ids=other.ids)
        self.assertEqual(wizard._tell_other(self.cartona, 3, 0), "another company's account")

    def test_a_rule_of_a_category_or_product_changes_nobodys_last_units(self):
        self.move_in(self.tea, -7)
        wizard = self.wizard(target="product", product_tmpl_id=self.tea.product_tmpl_id).save()
        [row] = wizard._rows()
        self.assertEqual(row["elsewhere"], [])
        self.rest.last_units = 2
        wizard.action_apply()
        self.assertEqual(self.rest.last_units, 2)

    def test_applied_it_counts(self):
        self.wizard(stock_percentage=50).save().action_apply()
        self.assertEqual(self.offered(), 5)
        self.tea.categ_id = self.drinks
        self.wizard(target="category", categ_id=self.food, stock_maximum=2).save().action_apply()
        self.assertEqual(self.offered(), 2)
        self.wizard(target="category", categ_id=self.food, stock_maximum=1).save().action_apply()
        self.assertEqual(self.offered(), 1)
