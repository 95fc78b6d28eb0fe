from unittest.mock import patch

from odoo.tests import new_test_user

from ..compat import SERIES, SOL_UOM
from ..models.marketplace_config import MarketplaceConfig
from .common import ListedCase

ORDINARY = "base.group_user,sales_team.group_sale_manager,stock.group_stock_manager"
if SERIES >= 19:  # where sales managers may not make products any more
    ORDINARY += ",product.group_product_manager"


class MarkCase(ListedCase):
    def assertMarked(self, *kinds, link=None):
        wanted = {(link or self.on_rest, kind) for kind in kinds}
        self.assertEqual(self.marks((link or self.on_rest).account_id), wanted)


class TestTriggers(MarkCase):
    """Whatever changes what a listing should show leaves a mark."""

    def test_a_price_marks_the_listings_of_every_account(self):
        self.tea.list_price = 120
        self.assertEqual(self.marks(), {(self.on_rest, "price"), (self.on_cartona, "price")})
        self.assertIn((self.rest.id, "push"), self.wakeups)

    def test_a_variants_price_is_its_templates(self):
        self.tea.product_tmpl_id.list_price = 120
        self.assertMarked("price")

    def test_a_receipt_marks_the_stock(self):
        self.move_in(self.tea, 5)
        self.assertMarked("stock")

    def test_a_reservation_marks_the_stock(self):
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.order_line = [(0, 0, {"product_id": self.tea.id, "product_uom_qty": 3})]
        self.drop_marks()
        order.action_confirm()
        self.assertMarked("stock")

    def test_a_reservation_that_is_corrected_marks_the_stock(self):
        self.move_in(self.tea, 5)
        quant = self.tea.stock_quant_ids.filtered(lambda quant: quant.location_id.usage == "internal")[:1]
        self.drop_marks()
        quant.reserved_quantity += 1
        self.assertMarked("stock")

    def test_unreserved_demand_that_goes_to_another_warehouse_marks_the_stock(self):
        harbour = self.env["stock.warehouse"].create({"name": "Harbour", "code": "HB"})
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.warehouse_id = harbour
        order.order_line = [(0, 0, {"product_id": self.tea.id, "product_uom_qty": 3})]
        order.action_confirm()
        self.env.flush_all()
        self.drop_marks()
        order.picking_ids.location_id = self.stock
        self.assertEqual(order.picking_ids.move_ids.location_id, self.stock)
        self.assertMarked("stock")

    def test_a_place_that_becomes_another_warehouses_or_sells_no_more_marks_what_lies_there(self):
        place = self.env["stock.location"].create({"name": "Shelf", "location_id": self.stock.id})
        board = self.env["stock.location"].create({"name": "Board", "location_id": place.id})
        other = self.env["stock.warehouse"].create({"name": "Other", "code": "OTH"})
        self.move_in(self.tea, 5, board)
        self.settle()
        place.location_id = other.lot_stock_id
        self.push()
        self.assertEqual(self.sent()[-1]["stock"], "10")
        place.location_id = self.stock
        self.push()
        self.assertEqual(self.sent()[-1]["stock"], "15")
        if SERIES < 19:  # where goods lie later ones refuse it
            board.usage = "production"
            self.push()
            self.assertEqual(self.sent()[-1]["stock"], "10")

    def test_a_unit_marks_both(self):
        self.tea.uom_id = self.env.ref("uom.product_uom_dozen")
        self.assertMarked("price", "stock")

    def test_archiving_marks_the_stock(self):
        for records in (self.tea, self.tea.product_tmpl_id):
            records.action_archive()
            self.assertMarked("stock")
            records.action_unarchive()
            self.drop_marks()

    def test_taking_it_off_sale_marks_the_stock(self):
        self.tea.sale_ok = False
        self.assertMarked("stock")

    def test_a_tax_marks_the_price(self):
        self.tea.taxes_id = self.env["account.tax"].search([("type_tax_use", "=", "sale")], limit=1)
        self.assertMarked("price")

    def test_a_deleted_product_or_template_marks_what_was_its_listing(self):
        template = self.make_product("GONE-1")
        link = self.make_link(self.rest, template, "R9")
        self.drop_marks()
        template.unlink()
        self.assertMarked("stock", link=link)
        self.drop_marks()
        template = self.make_product("GONE-2").product_tmpl_id
        link = self.make_link(self.rest, template.product_variant_ids, "R10")
        self.drop_marks()
        template.unlink()
        self.assertMarked("stock", link=link)
        self.assertFalse(link.exists().product_id)

    def test_what_shows_nowhere_leaves_no_mark(self):
        self.tea.write({"name": "Green tea", "standard_price": 3, "description": "x"})
        self.assertFalse(self.marks())

    def test_a_quotation_of_a_marketplace_marks_as_long_as_it_lives(self):
        self.rest.order_policy = "draft"
        self.receive(self.rest, self.neutral())
        self.assertMarked("recount")
        order = self.order(self.rest, "N1")
        for change in (
            lambda: order.order_line.write({"product_uom_qty": 4}),
            lambda: order.order_line.write({SOL_UOM: self.env.ref("uom.product_uom_dozen").id}),
            order.action_cancel,
            lambda: order.with_context(disable_cancel_warning=True).action_draft(),
        ):
            self.drop_marks()
            change()
            self.assertMarked("recount")
        self.rest.state = "shadow"  # a live one's marketplace would have to be told of its end first
        self.drop_marks()
        order.unlink()
        self.assertMarked("recount")

    def test_an_ordinary_quotation_keeps_nothing_back(self):
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.order_line = [(0, 0, {"product_id": self.tea.id, "product_uom_qty": 3})]
        self.assertFalse(self.marks())

    def test_an_order_on_hold_marks_what_it_wants_of_known_products(self):
        order = self.neutral()
        order["lines"].append({"id": "2", "sku": "NOBODY-KNOWS", "quantity": 1, "unit_price": 0})
        self.receive(self.rest, order)
        self.assertEqual(self.events(self.rest).state, "hold")
        self.assertMarked("stock")

    def neutral(self):
        return {
            "id": "N1",
            "status": "pending",
            "modified_at": "2026-11-12T10:00:00Z",
            "currency": self.env.company.currency_id.name,
            "total": 30,
            "customer": {"id": "C1", "name": "Shop"},
            "lines": [{"id": "1", "sku": "TEA-25", "quantity": 3, "unit_price": 10}],
        }


class TestAccounts(MarkCase):
    """Whose listings are marked."""

    def test_a_user_without_marketplace_rights_leaves_marks(self):
        user = new_test_user(self.env, "clerk", groups=ORDINARY)
        self.tea.with_user(user).list_price = 120
        self.assertMarked("price")
        self.drop_marks()
        quant = self.env["stock.quant"].with_user(user).with_context(inventory_mode=True)
        quant.create(
            {"product_id": self.tea.id, "location_id": self.stock.id, "inventory_quantity": 3}
        ).action_apply_inventory()
        self.assertMarked("stock")

    def test_a_user_of_another_company_marks_this_companys_listing_of_a_shared_product(self):
        company = self.env["res.company"].create({"name": "Company B"})
        user = new_test_user(
            self.env, "b", groups=ORDINARY, company_id=company.id, company_ids=[(6, 0, company.ids)]
        )
        self.env.invalidate_all()
        self.tea.with_user(user).with_company(company).list_price = 120
        self.assertMarked("price")

    def test_closed_accounts_get_no_marks_and_all_of_them_when_they_open(self):
        self.rest.action_reset_to_draft()
        self.tea.list_price = 120
        self.assertFalse(self.marks(self.rest))
        self.rest.action_activate()
        self.assertMarked("price", "stock")

    def test_an_archived_account_gets_its_marks_when_it_comes_back(self):
        self.rest.active = False
        self.tea.list_price = 120
        self.assertFalse(self.marks(self.rest))
        self.rest.active = True
        self.assertMarked("price", "stock")

    def test_a_paused_accounts_marks_wait_for_its_activation(self):
        self.rest.action_pause()
        self.wakeups.clear()
        self.tea.list_price = 120
        self.assertMarked("price")
        self.assertNotIn((self.rest.id, "push"), self.wakeups)
        self.push()
        self.assertMarked("price")
        self.rest.action_activate()
        self.assertIn((self.rest.id, "push"), self.wakeups)
        self.push()
        self.assertEqual(self.sent()[0]["price"], "120.00")

    def test_an_account_that_sends_no_prices_by_itself_hears_of_none(self):
        self.rest.auto_sync_prices = False
        self.drop_marks()
        self.tea.list_price = 120
        self.assertMarked()
        self.rest.action_activate()
        self.assertMarked("stock")
        self.drop_marks()
        self.rest.auto_sync_prices = True
        self.assertMarked("price", "stock")

    def test_a_button_sends_whatever_the_switches_say(self):
        self.rest.write({"auto_sync_prices": False, "auto_sync_stock": False})
        for button in (self.rest.action_sync_products, self.on_rest.action_sync):
            self.drop_marks()
            button()
            self.assertMarked("price", "stock")

    def test_listings_that_were_not_seen_yet_get_no_marks(self):
        self.on_rest.state = "proposed"
        self.tea.list_price = 120
        self.assertFalse(self.marks(self.rest))

    def test_what_all_figures_depend_on_marks_all_listings(self):
        for values in ({"stock_buffer": 2}, {"prices_include_tax": False}, {"tax_policy": "none"}):
            self.drop_marks()
            self.rest.write(values)
            self.assertMarked("price", "stock")


class TestTransaction(MarkCase):
    """Marks belong to the transaction that made the change."""

    def test_a_savepoint_that_is_rolled_back_takes_its_marks_along_and_later_ones_stay(self):
        with self.assertRaises(ZeroDivisionError), self.cr.savepoint():
            self.tea.list_price = 120
            self.cr.flush()
            self.assertMarked("price")
            raise ZeroDivisionError
        self.assertFalse(self.marks())
        self.tea.list_price = 130
        self.assertMarked("price")

    def test_a_change_before_between_and_after_savepoints_is_marked(self):
        self.tea.list_price = 110
        with self.cr.savepoint():
            self.move_in(self.tea, 1)
        self.assertMarked("price", "stock")
        self.drop_marks()
        self.tea.list_price = 130
        self.assertMarked("price")

    def test_a_change_that_another_addon_makes_while_marks_are_inserted_is_marked(self):
        self.env["marketplace.mark"]._note("price", self.tea.product_tmpl_id)
        self.env.cr.precommit.add(lambda: self.env["marketplace.mark"]._note("stock", self.tea))
        self.assertMarked("price", "stock")

    def test_a_link_made_in_the_same_transaction_is_marked(self):
        sugar = self.make_product("SUGAR-1")
        link = self.make_link(self.rest, sugar, "R2")
        sugar.list_price = 7
        self.assertIn((link, "price"), self.marks())

    def queries(self, change):
        """Count the statements of a change and of what ends its transaction."""
        self.cr.flush()
        self.env.invalidate_all()
        before = self.cr.sql_log_count
        change()
        self.cr.flush()
        return self.cr.sql_log_count - before

    def costs(self, change):
        """Give the statements of a change with and without active accounts, both warm."""
        change(1)
        active = self.queries(lambda: change(2))
        with patch.object(MarketplaceConfig, "_has_active_account", lambda _accounts: False):
            change(3)
            closed = self.queries(lambda: change(4))
        return active, closed

    def test_any_number_of_prices_costs_two_statements_and_none_without_an_account(self):
        products = self.tea
        for number in range(30):
            product = self.make_product(f"P{number}")
            self.make_link(self.rest, product, f"P{number}")
            products |= product
        for some in (products[:1], products):
            active, closed = self.costs(lambda price, some=some: some.write({"list_price": price}))
            self.assertLessEqual(active - closed, 2)
            self.assertGreater(active, closed)

    def test_any_number_of_quants_costs_two_statements(self):
        quants = self.env["stock.quant"].search([("product_id", "=", self.tea.id)])
        for number in range(20):
            product = self.make_product(f"Q{number}")
            self.make_link(self.rest, product, f"Q{number}")
            self.move_in(product, 5)
        quants |= self.env["stock.quant"].search([("product_id.cartona_id", "=like", "Q%")])
        self.assertGreater(len(quants), 20)
        for some in (quants[:1], quants):
            active, closed = self.costs(lambda count, some=some: some.write({"quantity": count}))
            self.assertLessEqual(active - closed, 2)

    def test_without_an_active_account_a_write_costs_what_it_costs_without_the_addon(self):
        (self.rest | self.cartona).action_reset_to_draft()
        self.drop_marks()
        self.assertFalse(self.env["marketplace.config"]._has_active_account())
        change = lambda price: self.queries(lambda: self.tea.write({"list_price": price}))  # noqa: E731
        change(1)
        ours = change(2)
        with patch.object(type(self.env["marketplace.mark"]), "_note", lambda *args: None):
            change(3)
            self.assertEqual(ours, change(4))
        self.assertFalse(self.marks())


class TestTaking(MarkCase):
    """The pusher's side of the marks."""

    def test_marks_of_one_listing_are_one(self):
        for price in (110, 120, 130):
            self.tea.list_price = price
            self.cr.flush()
        taken = self.env["marketplace.mark"]._take(self.rest, 10)
        self.assertEqual(taken, {self.on_rest.id: {("price", "change")}})
        self.assertFalse(self.marks(self.rest))
        self.assertTrue(self.marks(self.cartona))

    def test_the_oldest_go_first_and_the_rest_waits(self):
        sugar = self.make_product("SUGAR-1")
        link = self.make_link(self.rest, sugar, "R2")
        self.drop_marks()
        sugar.list_price = 3
        self.cr.flush()
        self.tea.list_price = 120
        self.cr.flush()
        self.assertEqual(set(self.env["marketplace.mark"]._take(self.rest, 1)), {link.id})
        self.assertMarked("price")

    def test_many_marks_of_one_listing_make_no_small_batches(self):
        link = self.make_link(self.rest, self.make_product("SUGAR-1"), "R2")
        self.drop_marks()
        marks = self.env["marketplace.mark"]
        for links in [self.on_rest] * 20 + [link]:
            marks._put_back(self.rest, {links.id: {"stock"}})
        self.assertEqual(set(marks._take(self.rest, 2)), {self.on_rest.id, link.id})

    def test_stock_that_moved_does_not_wait_for_a_full_sending(self):
        links = self.rest.link_ids
        for number in range(3):
            links |= self.make_link(self.rest, self.make_product(f"P{number}", list_price=3), f"P{number}")
        self.drop_marks()
        self.env["marketplace.mark"]._insert_both(self.rest)
        links.product_id.list_price = 4
        self.cr.flush()
        self.move_in(links[-1].product_id, 5)
        self.cr.flush()
        self.assertEqual(set(self.env["marketplace.mark"]._take(self.rest, 1)), {links[-1].id})

    def test_what_was_not_delivered_is_put_back(self):
        self.env["marketplace.mark"]._put_back(self.rest, {self.on_rest.id: {"price", "stock"}})
        self.assertMarked("price", "stock")
        self.assertTrue(self.env["marketplace.mark"]._has_waiting(self.rest))
