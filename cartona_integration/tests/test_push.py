from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import ValidationError
from odoo.tools import mute_logger

from ..compat import SERVICE, TAX_EXCLUDED, TAX_INCLUDED
from ..dialects.words import UNREADABLE, Answer, ItemResult, ProductUpdate
from ..exceptions import Unavailable
from ..models.marketplace_product_offer import MarketplaceProductLink
from ..models.marketplace_push import DOUBT_AFTER, LATE_FOR
from .common import ListedCase, ok, rows_of, taken

LOG = "odoo.addons.cartona_integration.models.marketplace_product_offer"


class PushCase(ListedCase):
    def figures(self, *products, account=None):
        """Give the offers of one account's listings as the pusher computes them."""
        self.env.flush_all()
        links = (account or self.rest).link_ids.sudo()
        return links._offers({link: {"price", "stock"} for link in links})

    def offer(self, link=None):
        link = link or self.on_rest
        return self.figures(account=link.account_id)[link]

    def quantity(self, link=None):
        return self.offer(link).quantity

    def price(self, link=None):
        return self.offer(link).price

    def many(self, count):
        """List so many more products on rest, for 10 each and none in stock."""
        products = self.env["product.product"]
        for number in range(count):
            product = self.make_product(f"P{number}", list_price=10)
            self.make_link(self.rest, product, f"P{number}")
            products |= product
        return products

    def neutral(self, *lines, order_id="N1"):
        rows = [
            {"id": str(number), "sku": key, "quantity": quantity, "unit_price": 1}
            for number, (key, quantity) in enumerate(lines)
        ]
        return {
            "id": order_id,
            "status": "pending",
            "modified_at": "2026-11-12T10:00:00Z",
            "currency": self.env.company.currency_id.name,
            "total": sum(quantity for _key, quantity in lines),
            "customer": {"id": "C1", "name": "Shop"},
            "lines": rows,
        }


class TestStock(PushCase):
    """What a listing's stock is."""

    def test_it_is_what_is_on_hand(self):
        self.assertEqual(self.quantity(), 10)

    def test_a_count_that_is_not_applied_yet_is_none(self):
        self.env.flush_all()
        self.env.cr.execute("UPDATE stock_quant SET quantity = NULL WHERE product_id = %s", [self.tea.id])
        self.assertEqual(self.quantity(), 0)

    def test_safety_stock_is_kept_back_and_never_makes_it_negative(self):
        self.rest.stock_buffer = 3
        self.assertEqual(self.quantity(), 7)
        self.rest.stock_buffer = 30
        self.assertEqual(self.quantity(), 0)
        self.assertEqual(self.quantity(self.on_cartona), 10)

    def test_what_is_reserved_is_not_free(self):
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.order_line = [(0, 0, {"product_id": self.tea.id, "product_uom_qty": 4})]
        order.action_confirm()
        self.assertEqual(self.quantity(), 6)

    def test_what_is_confirmed_and_not_reserved_yet_is_not_free_either(self):
        self.rest.warehouse_id.out_type_id.reservation_method = "manual"
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.order_line = [(0, 0, {"product_id": self.tea.id, "product_uom_qty": 4})]
        self.drop_marks()
        order.action_confirm()
        self.assertIn((self.on_rest, "stock"), self.marks())
        self.assertEqual(self.quantity(), 6)
        order.picking_ids.action_assign()
        self.assertEqual(self.quantity(), 6)
        self.drop_marks()
        order.order_line.product_uom_qty = 6
        self.assertIn((self.on_rest, "stock"), self.marks())
        self.assertEqual(self.quantity(), 4)
        order.with_context(disable_cancel_warning=True).action_cancel()
        self.assertEqual(self.quantity(), 10)

    def test_a_delivery_in_two_steps_takes_its_goods_off_once(self):
        warehouse = self.rest.warehouse_id
        warehouse.delivery_steps = "pick_ship"
        for kind in (warehouse.pick_type_id, warehouse.out_type_id):
            kind.reservation_method = "manual"
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.order_line = [(0, 0, {"product_id": self.tea.id, "product_uom_qty": 4})]
        order.action_confirm()
        self.assertEqual(self.quantity(), 6)

    def test_only_the_accounts_warehouses_count(self):
        other = self.env["stock.warehouse"].create({"name": "Second", "code": "SEC"})
        self.move_in(self.tea, 5, other.lot_stock_id)
        self.assertEqual(self.quantity(), 10)
        self.rest.stock_warehouse_ids |= other
        self.assertEqual(self.quantity(), 15)
        self.rest.stock_warehouse_ids = other
        self.assertEqual(self.quantity(), 5)

    def test_goods_at_suppliers_customers_and_in_transit_do_not_count(self):
        for usage in ("customer", "transit", "inventory"):
            location = self.env["stock.location"].create({"name": usage, "usage": usage})
            location.location_id = self.rest.warehouse_id.view_location_id
            self.move_in(self.tea, 100, location)
        self.assertEqual(self.quantity(), 10)

    def test_quotations_of_any_marketplace_keep_their_goods_back(self):
        self.rest.order_policy = "draft"
        self.receive(self.rest, self.neutral(("TEA-25", 3)))
        self.assertEqual((self.quantity(), self.quantity(self.on_cartona)), (7, 7))
        order = self.order(self.rest, "N1")
        order.action_confirm()
        self.assertEqual(self.quantity(), 7)

    def test_an_order_on_hold_keeps_back_what_is_known_of_it(self):
        self.receive(self.rest, self.neutral(("TEA-25", 3), ("NOBODY-KNOWS", 1)))
        self.assertEqual(self.events(self.rest).state, "hold")
        self.assertEqual((self.quantity(), self.quantity(self.on_cartona)), (7, 7))
        self.events(self.rest).action_ignore()
        self.assertEqual(self.quantity(), 10)

    def test_an_order_whose_import_fails_keeps_its_goods_back_until_it_is_here(self):
        error = ValidationError("No salesman")
        refuse = patch.object(type(self.env["sale.order"]), "create", side_effect=error)
        with refuse, mute_logger("odoo.addons.cartona_integration.models.marketplace_work_mixin"):
            self.receive(self.rest, self.neutral(("TEA-25", 3)))
        self.assertEqual(self.events(self.rest).state, "failed")
        self.assertEqual((self.quantity(), self.quantity(self.on_cartona)), (7, 7))
        self.assertIn((self.on_cartona, "stock"), self.marks())
        self.events(self.rest).action_process_again()
        self.run_job(self.rest, "import")
        self.assertEqual(self.events(self.rest).state, "done")
        self.assertEqual(self.quantity(), 7)

    def test_packs_are_counted_down_to_whole_ones(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        link = self.make_link(self.rest, self.tea, "R12", pack_uom_id=dozen.id)
        self.assertEqual(self.quantity(link), 0)
        self.move_in(self.tea, 15)
        self.assertEqual((self.quantity(link), self.quantity()), (2, 25))
        self.move_in(self.tea, -1)
        self.assertEqual(self.quantity(link), 2)

    def test_parts_of_a_unit_are_rounded_down(self):
        kilo = self.env.ref("uom.product_uom_kgm").id
        units = ("uom_id", "uom_po_id")  # later series know no unit of purchases
        loose = self.make_product("LOOSE", **{name: kilo for name in units if name in self.tea._fields})
        link = self.make_link(self.rest, loose, "R3")
        self.move_in(loose, 2.9)
        self.assertEqual(self.quantity(link), 2)

    def test_what_is_not_stored_never_sells_out(self):
        service = self.make_product("HOUR", **SERVICE)
        offer = self.offer(self.make_link(self.rest, service, "R4"))
        self.assertEqual((offer.quantity, offer.unlimited), (None, True))

    def test_what_is_not_sold_shows_nothing(self):
        for values in ({"active": False}, {"sale_ok": False}):
            self.tea.write(values)
            self.assertEqual((self.quantity(), self.offer().unlimited), (0, False))
            self.tea.write({"active": True, "sale_ok": True})
        self.assertEqual(self.quantity(), 10)

    def test_a_product_that_went_to_another_company_shows_nothing(self):
        company = self.env["res.company"].create({"name": "Company B"})
        self.settle()
        quants = self.env["stock.quant"].search([("product_id", "=", self.tea.id)])
        with patch.object(type(self.tea.product_tmpl_id), "_check_company", lambda *args, **kwargs: None):
            quants.unlink()
            self.cr.execute(
                "UPDATE product_template SET company_id = %s WHERE id = %s",
                [company.id, self.tea.product_tmpl_id.id],
            )
        self.env.invalidate_all()
        self.mark_all()
        self.push()
        self.assertEqual(self.sent(), [self.row(stock="0", stock_managed=True)])

    def row(self, **values):
        return {"id": "R1", "sku": "TEA-25", **values}

    def test_a_deleted_product_shows_nothing_and_asks_for_another(self):
        gone = self.make_product("GONE")
        link = self.make_link(self.rest, gone, "R9")
        self.drop_marks()
        gone.unlink()
        self.push()
        [row] = self.sent()
        self.assertEqual((row["id"], row["stock"]), ("R9", "0"))
        self.assertIn("deleted", link.reason)
        self.assertEqual(link.sync_status, "error")

    def test_without_a_warehouse_nothing_is_said_of_stock(self):
        self.env.flush_all()
        self.cr.execute("DELETE FROM marketplace_config_stock_warehouse_rel")
        self.env.invalidate_all()
        self.assertIsNone(self.offer().unlimited)
        self.assertIn("warehouse", self.on_rest.reason)
        self.assertEqual(self.price(), 100)

    def test_a_unit_of_another_kind_is_an_error_and_stops_nobody(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        loose = self.make_product("LOOSE", list_price=5)
        link = self.make_link(self.rest, loose, "R3", pack_uom_id=dozen.id)
        self.env.flush_all()
        kilo = self.env.ref("uom.product_uom_kgm")
        self.cr.execute(
            "UPDATE product_template SET uom_id = %s WHERE id = %s", [kilo.id, loose.product_tmpl_id.id]
        )
        self.env.invalidate_all()
        self.mark_all()
        self.push()
        self.assertEqual([row["id"] for row in self.sent()], ["R1"])
        self.assertIn("another kind of unit", link.reason)

    def test_figures_of_a_hundred_listings_take_as_many_queries_as_those_of_ten(self):
        counts = []
        for number in (10, 90):
            self.env["marketplace.product.link"].search([("external_id", "=like", "P%")]).unlink()
            self.env["product.product"].search([("cartona_id", "=like", "P%")]).unlink()
            self.many(number)
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.cr.sql_log_count
            self.figures()
            counts.append(self.cr.sql_log_count - before)
        self.assertEqual(counts[0], counts[1])


class TestPrice(PushCase):
    """What a listing's price is."""

    def tax(self, **values):
        return self.env["account.tax"].create(
            {
                "name": "Ten",
                "amount": 10,
                "type_tax_use": "sale",
                "company_id": self.env.company.id,
                **values,
            }
        )

    def test_it_is_the_sales_price(self):
        offer = self.offer()
        self.assertEqual((offer.price, offer.currency), (Decimal("100.00"), self.rest.currency_id.name))

    def test_tax_is_added_or_taken_out_as_the_marketplace_wants_it(self):
        for convention, with_tax, without in ((TAX_EXCLUDED, 110, 100), (TAX_INCLUDED, 100, "90.91")):
            self.tea.taxes_id = self.tax(**convention, name=str(convention))
            self.rest.prices_include_tax = True
            self.assertEqual(self.price(), with_tax)
            self.rest.prices_include_tax = False
            self.assertEqual(self.price(), Decimal(without))
            self.rest.tax_policy = "rate"  # of orders; no message tells the rate of a price we send
            self.assertEqual(self.price(), Decimal(without))
            self.rest.tax_policy = "none"
            self.assertEqual(self.price(), 100)
            self.rest.tax_policy = "product"

    def test_another_companys_tax_does_not_count(self):
        company = self.env["res.company"].create({"name": "Company B"})
        country = self.env.company.country_id or self.env.ref("base.us")
        company.country_id = country
        tax = (
            self.env["account.tax"]
            .with_company(company)
            .create(
                {
                    "name": "B",
                    "amount": 50,
                    "type_tax_use": "sale",
                    "company_id": company.id,
                    "country_id": country.id,
                    "tax_group_id": self.env["account.tax.group"]
                    .create({"name": "B", "company_id": company.id, "country_id": country.id})
                    .id,
                    **TAX_EXCLUDED,
                }
            )
        )
        self.tea.taxes_id = tax
        self.assertEqual(self.price(), 100)

    def test_a_branch_without_taxes_of_its_own_has_its_parents(self):
        self.tea.taxes_id = self.tax(**TAX_EXCLUDED)
        branch = self.env["res.company"].create({"name": "Branch", "parent_id": self.env.company.id})
        account = self.make_account("rest", code="branch", company_id=branch.id)
        self.assertEqual(account._listed_price(self.tea, 100), 110)

    def test_a_branch_has_its_parents_exchange_rates(self):
        pound = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "EGP")])
        pound.active = True
        pound.rate_ids.unlink()
        self.env["res.currency.rate"].create(
            {"currency_id": pound.id, "rate": 50, "company_id": self.env.company.id, "name": "2020-01-01"}
        )
        branch = self.env["res.company"].create({"name": "Branch", "parent_id": self.env.company.id})
        account = self.make_account("cartona", code="branch", company_id=branch.id)
        self.assertEqual(account.currency_id, pound)
        self.assertNotIn(pound, account._unrated_currencies())

    def test_a_pack_costs_what_its_pieces_cost(self):
        link = self.make_link(
            self.rest, self.tea, "R12", pack_uom_id=self.env.ref("uom.product_uom_dozen").id
        )
        self.assertEqual((self.price(link), self.price()), (1200, 100))

    def test_the_accounts_pricelist_and_currency_decide(self):
        pound = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "EGP")])
        pound.active = True
        pound.rate_ids.unlink()
        self.env["res.currency.rate"].create(
            {"currency_id": pound.id, "rate": 50, "company_id": self.env.company.id, "name": "2020-01-01"}
        )
        pricelist = self.env["product.pricelist"].create({"name": "EGP", "currency_id": pound.id})
        self.rest.write({"pricelist_id": pricelist.id, "currency_id": pound.id})
        self.assertEqual((self.price(), self.offer().currency), (5000, "EGP"))
        pricelist.item_ids = [
            (0, 0, {"applied_on": "3_global", "compute_price": "percentage", "percent_price": 10})
        ]
        self.assertEqual(self.price(), 4500)

    def test_it_is_rounded_as_the_currency_is(self):
        self.env["decimal.precision"].search([("name", "=", "Product Price")]).digits = 4
        for price, shown in ((1.005, "1.01"), (2.675, "2.68"), (0.1 + 0.2, "0.30")):
            self.assertEqual(self.rest._listed_price(self.tea, price), Decimal(shown))

    def test_no_price_is_not_sent_and_said(self):
        for price in (0, -1):
            self.tea.list_price = price
            self.assertIsNone(self.price())
            self.assertIn("no price", self.on_rest.reason)
        self.mark_all()
        self.push()
        [row] = self.sent()
        self.assertEqual((row.get("price"), row["stock"]), (None, "10"))
        self.assertEqual(self.on_rest.sync_status, "error")
        self.tea.list_price = 7
        self.push()
        self.assertEqual(self.sent()[1]["price"], "7.00")
        self.assertEqual(self.on_rest.sync_status, "synced")


class TestPushing(PushCase):
    """Claim, call, answer."""

    def test_two_accounts_of_two_dialects_each_with_its_own_id(self):
        self.tea.list_price = 120
        self.move_in(self.tea, 5)
        for account in (self.rest, self.cartona):
            self.push(account=account)
        on_rest, on_cartona = self.sent()
        self.assertEqual((on_rest["id"], on_rest["price"], on_rest["stock"]), ("R1", "120.00", "15"))
        self.assertEqual(on_cartona["supplier_product_id"], "501")
        self.assertEqual((on_cartona["selling_price"], on_cartona["available_stock_quantity"]), (120, 15))
        self.assertFalse(self.marks())

    def test_what_was_taken_is_acknowledged_and_not_sent_again(self):
        self.settle()
        link = self.on_rest
        self.assertEqual((link.acknowledged_price, link.acknowledged_quantity), (100, 10))
        self.assertEqual((link.in_doubt, link.tries, link.sync_status), (False, 0, "synced"))
        self.assertTrue(link.acknowledged_at and link.price_acknowledged and link.quantity_acknowledged)
        self.mark_all()
        self.push()
        self.assertFalse(self.sent())

    def test_only_what_changed_is_sent(self):
        self.settle()
        self.tea.list_price = 120
        self.push()
        [row] = self.sent()
        self.assertEqual((row["price"], row.get("stock")), ("120.00", None))

    def test_a_value_that_came_back_meanwhile_is_not_sent(self):
        self.settle()
        self.tea.list_price = 120
        self.cr.flush()
        self.tea.list_price = 100
        self.push()
        self.assertFalse(self.sent())

    def test_a_service_that_is_stored_from_now_on_shows_its_count(self):
        service = self.make_product("HOUR", list_price=5, **SERVICE)
        link = self.make_link(self.rest, service, "R4")
        self.settle()
        self.assertTrue(link.acknowledged_unlimited)
        service.sale_ok = False
        self.push()
        [row] = self.sent()
        self.assertEqual((row["stock"], row["stock_managed"]), ("0", True))

    def test_what_is_sold_out_goes_first(self):
        self.many(2)
        self.mark_all()
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["0", "0", "10"])

    def test_batches_follow_until_no_mark_waits_even_after_one_without_news(self):
        self.many(5)
        self.settle()
        self.mark_all()
        self.cr.flush()
        self.env["product.product"].search([("cartona_id", "=", "P4")]).list_price = 33
        with patch.object(type(self.rest._dialect()), "batch_size", 2):
            self.push()
        [row] = self.sent()
        self.assertEqual(row["price"], "33.00")
        self.assertFalse(self.marks(self.rest))

    def test_a_claim_is_in_doubt_until_it_is_answered(self):
        def look(request):
            self.env.invalidate_all()
            self.assertTrue(self.on_rest.in_doubt)
            self.assertFalse(self.on_rest.price_acknowledged or self.on_rest.quantity_acknowledged)
            self.assertEqual((self.on_rest.sent_price, self.on_rest.sent_quantity), (100, 10))
            return taken(request)

        self.mark_all()
        self.push(look)
        self.assertFalse(self.on_rest.in_doubt)

    def test_a_change_during_the_call_is_sent_afterwards(self):
        def change(request):
            if len(self.sent()) == 1:
                self.tea.list_price = 130
                self.cr.flush()
            return taken(request)

        self.mark_all()
        self.push(change)
        self.assertEqual([row["price"] for row in self.sent()], ["100.00", "130.00"])
        self.assertEqual(self.on_rest.acknowledged_price, 130)

    def test_shadow_computes_and_never_calls(self):
        self.rest.state = "shadow"
        self.tea.list_price = 120
        self.push()
        self.assertFalse(self.door.requests)
        self.assertEqual((self.on_rest.computed_price, self.on_rest.computed_quantity), (120, 10))
        self.assertFalse(self.on_rest.in_doubt or self.on_rest.sent_at or self.on_rest.price_acknowledged)
        self.rest.action_activate()
        self.push()
        self.assertEqual(self.sent()[0]["price"], "120.00")

    def test_a_batch_takes_a_handful_of_statements_whatever_its_size(self):
        counts = []
        for number in (10, 80):
            self.env["marketplace.product.link"].search([("external_id", "=like", "P%")]).unlink()
            self.env["product.product"].search([("cartona_id", "=like", "P%")]).unlink()
            self.many(number)
            self.mark_all()
            self.env.flush_all()
            before = self.cr.sql_log_count
            self.push()
            counts.append(self.cr.sql_log_count - before)
        self.assertLessEqual(counts[1] - counts[0], 2)

    def test_another_shop_over_there_has_taken_nothing_yet(self):
        self.settle()
        self.rest.write({"api_base_url": self.rest.api_base_url, "name": "Renamed"})
        self.push()
        self.assertFalse(self.sent())
        self.rest.api_base_url = "https://live.marketplace.test/api"
        self.push()
        self.assertEqual([(row["price"], row["stock"]) for row in self.sent()], [("100.00", "10")])

    def test_an_offer_to_a_link_that_is_gone_is_dropped(self):
        self.mark_all()
        self.on_rest.unlink()
        self.push()
        self.assertFalse(self.sent())
        self.assertFalse(self.marks(self.rest))

    def test_a_listing_that_cannot_be_computed_stops_nobody(self):
        self.many(3)
        broken = self.rest.link_ids.filtered(lambda link: link.external_id == "P1")
        stock = MarketplaceProductLink._stock

        def _stock(links, product, *args):
            return 1 / 0 if product == broken.product_id else stock(links, product, *args)

        self.mark_all()
        with patch.object(MarketplaceProductLink, "_stock", _stock), mute_logger(LOG):
            self.push()
        self.assertEqual({row["id"] for row in self.sent()}, {"R1", "P0", "P2"})
        self.assertIn("ZeroDivisionError", broken.reason)


class TestAnswers(PushCase):
    """Every listing gets its own answer."""

    def links(self, *ids):
        found = self.rest.link_ids.filtered(lambda link: link.external_id in ids)
        return found.sorted(lambda link: ids.index(link.external_id))

    def test_a_refused_row_says_why_and_the_rest_is_taken(self):
        self.many(2)
        self.mark_all()
        self.push(lambda request: taken(request, refuse={"P0"}))
        bad, good = self.links("P0", "P1")
        self.assertEqual((bad.reason, bad.in_doubt, bad.sync_status), ("Not this one", False, "error"))
        self.assertEqual((good.reason, good.sync_status), (False, "synced"))
        self.assertFalse(self.marks(self.rest))

    def test_what_was_refused_goes_out_again_with_the_next_change_of_anything(self):
        self.settle()
        self.tea.list_price = 120
        self.push(lambda request: taken(request, refuse={"R1"}))
        self.assertEqual(self.on_rest.reason, "Not this one")
        self.move_in(self.tea, 1)
        self.push()
        row = self.sent()[-1]
        self.assertEqual((row["price"], row["stock"]), ("120.00", "11"))
        self.assertFalse(self.on_rest.reason)

    def test_a_refusal_that_was_half_applied_is_made_good_when_the_old_value_is_back(self):
        self.settle()
        self.tea.list_price = 120
        self.push(lambda request: taken(request, refuse={"R1"}))
        self.tea.list_price = 100
        self.push()
        self.assertEqual(self.sent()[-1]["price"], "100.00")

    def test_a_row_without_a_word_stays_in_doubt_and_the_sweep_sends_it_again(self):
        self.many(1)
        self.mark_all()
        self.push(lambda request: taken(request, silent={"R1"}))
        self.assertEqual((self.on_rest.in_doubt, self.on_rest.tries), (True, 1))
        self.assertFalse(self.links("P0").in_doubt)
        self.sweep()
        self.push()
        self.assertEqual([row["id"] for row in self.sent()[-1:]], ["R1"])
        self.assertFalse(self.on_rest.in_doubt)

    def test_silence_that_stays_ends_with_a_person(self):
        self.rest.retry_attempts = 2
        self.mark_all()
        for _time in range(3):
            self.push(lambda request: taken(request, silent={"R1"}))
            self.sweep()
        self.assertEqual(len(self.sent()), 2)
        self.assertIn("do not mention", self.on_rest.reason)
        self.assertFalse(self.marks(self.rest))

    def test_silence_about_a_price_is_not_forgotten_when_the_stock_is_taken(self):
        self.settle()
        self.tea.list_price = 120
        self.push(lambda request: taken(request, silent={"R1"}))
        self.move_in(self.tea, 1)
        self.push()
        row = self.sent()[-1]
        self.assertEqual((row["price"], row["stock"]), ("120.00", "11"))

    def test_silence_about_what_is_sent_only_when_asked_is_not_forgotten(self):
        self.settle()
        self.rest.auto_sync_prices = False
        self.tea.list_price = 120
        self.on_rest.action_sync()
        self.push(lambda request: taken(request, silent={"R1"}))
        self.move_in(self.tea, 1)
        self.push()
        row = self.sent()[-1]
        self.assertEqual((row["price"], row["stock"]), ("120.00", "11"))

    def test_the_sweep_asks_again_also_for_what_is_sent_only_when_asked(self):
        self.settle()
        self.rest.write({"auto_sync_prices": False, "auto_sync_stock": False})
        self.tea.list_price = 120
        self.on_rest.action_sync()
        self.push(lambda request: taken(request, silent={"R1"}))
        self.sweep()
        self.push()
        self.assertEqual(self.sent()[-1]["price"], "120.00")
        self.assertFalse(self.on_rest.in_doubt)

    def test_what_was_refused_is_not_offered_again_every_hour(self):
        self.settle()
        self.tea.list_price = 120
        self.push(lambda request: taken(request, refuse={"R1"}))
        calls = len(self.sent())
        self.run_job(self.rest, "check")
        self.push()
        self.assertEqual((len(self.sent()), self.on_rest.reason), (calls, "Not this one"))
        self.tea.list_price = 130
        self.push()
        self.assertEqual((self.sent()[-1]["price"], self.on_rest.reason), ("130.00", False))

    def test_what_was_refused_is_offered_again_when_nobody_told_that_it_is_sold_out(self):
        self.settle()
        self.move_in(self.tea, 5)
        self.push(lambda request: taken(request, refuse={"R1"}))
        self.env.flush_all()
        self.cr.execute("UPDATE stock_quant SET quantity = 0 WHERE product_id = %s", [self.tea.id])
        self.drop_marks()
        self.run_job(self.rest, "check")
        self.assertEqual(self.marks(self.rest), {(self.on_rest, "stock")})

    def test_answers_in_another_order_and_for_strangers_find_their_listings(self):
        self.many(3)

        def shuffled(request):
            rows = taken(request, refuse={"P1"}).data["results"]
            return ok({"results": [{"id": "stranger", "ok": True}, *reversed(rows)]})

        self.mark_all()
        self.push(shuffled)
        self.assertEqual(self.links("P1").reason, "Not this one")
        self.assertFalse(any(self.links("P0", "P2", "R1").mapped("reason")))
        self.assertFalse(any(self.rest.link_ids.mapped("in_doubt")))

    def test_a_key_that_two_listings_share_gives_neither_the_others_answer(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        carton = self.make_link(self.rest, self.tea, "R12", pack_uom_id=dozen.id)

        def answer(request):
            return ok({"results": [{"id": "R12", "sku": "TEA-25", "ok": True}]})

        self.mark_all()
        self.push(answer)
        self.assertEqual((carton.in_doubt, self.on_rest.in_doubt), (False, True))

    def test_cartona_answers_by_position_with_one_word_or_with_nothing(self):
        sugar = self.make_product("SUGAR-1", list_price=5)
        link = self.make_link(self.cartona, sugar, "502")
        for answer, reasons in (
            (ok([{"success": True}, {"success": False, "error": "Too cheap"}]), [False, "Too cheap"]),
            (ok({"message": "2 rows received"}), [False, False]),
            (ok(None, status=204), [False, False]),
        ):
            self.mark_all(self.cartona)
            self.cr.flush()
            (link | self.on_cartona).write({"price_acknowledged": False, "reason": False})
            self.push(answer, account=self.cartona)
            first, second = (
                row["supplier_product_id"] for row in rows_of(self.door.asked("update_products")[-1])
            )
            links = {"502": link, "501": self.on_cartona}
            self.assertEqual([links[first].reason, links[second].reason], reasons)
            self.assertFalse(link.in_doubt or self.on_cartona.in_doubt)

    def test_a_listing_without_an_id_is_addressed_by_its_key(self):
        sugar = self.make_product("SUGAR-1", list_price=5)
        link = self.make_link(self.cartona, sugar, False)
        self.drop_marks()
        sugar.list_price = 6
        self.push(account=self.cartona)
        [row] = self.sent()
        self.assertEqual((row["internal_product_id"], row["selling_price"]), ("SUGAR-1", 6))
        self.assertEqual((link.acknowledged_price, link.in_doubt), (6, False))

    def test_a_batch_refused_as_a_whole_is_halved_until_the_bad_one_is_alone(self):
        self.many(7)

        def strict(request):
            if any(row["id"] == "P3" for row in rows_of(request)):
                return Answer(422, {"error": {"code": "bad", "message": "Price too low"}})
            return taken(request)

        self.mark_all()
        self.push(strict)
        self.assertIn("Price too low", self.links("P3").reason)
        self.assertEqual(set(self.rest.link_ids.filtered("reason").mapped("external_id")), {"P3"})
        self.assertFalse(any(self.rest.link_ids.mapped("in_doubt")))
        self.assertLessEqual(len(self.door.asked("update_products")), 7)

    def test_an_answer_for_a_listing_that_got_another_id_meanwhile_is_not_its_own(self):
        def rename(request):
            self.on_rest.external_id = "R7"
            self.env.flush_all()
            return taken(request)

        self.mark_all()
        self.push(rename)
        self.assertEqual((self.on_rest.state, self.on_rest.price_acknowledged), ("proposed", False))

    def sweep(self):
        """Let a minute pass and the sweep look."""
        self.rest.link_ids.sent_at = fields.Datetime.now() - 2 * DOUBT_AFTER
        self.env.flush_all()
        self.rest._committed("_remark_doubtful")
        self.env.invalidate_all()


class TestTrouble(PushCase):
    """A marketplace that does not answer, or not well."""

    def pass_time(self):
        self.rest._state("push").paused_until = fields.Datetime.now() - timedelta(seconds=1)

    def assertPutBack(self):
        self.assertEqual(self.marks(self.rest), {(self.on_rest, "price"), (self.on_rest, "stock")})
        self.assertTrue(self.on_rest.in_doubt)
        self.assertFalse(self.on_rest.reason)

    def test_trouble_puts_everything_back_and_goes_on_by_itself(self):
        for trouble in (
            Answer(500, None),
            Answer(503, UNREADABLE),
            Answer(302, None),
            Answer(200, UNREADABLE),
            Answer(200, None),
            Answer(200, {"results": "none"}),
            Unavailable("No answer"),
            ConnectionError("no"),
        ):
            self.mark_all()
            self.on_rest.write({"price_acknowledged": False, "quantity_acknowledged": False})
            self.push(trouble)
            self.assertPutBack()
            state = self.rest._state("push")
            self.assertTrue(state._is_paused() and state.paused_until, trouble)
            asked = len(self.door.requests)
            self.push()
            self.assertEqual(len(self.door.requests), asked, "a pause is a pause")
            self.pass_time()
            self.push()
            self.assertFalse(self.marks(self.rest))
            self.assertEqual((self.on_rest.in_doubt, self.on_rest.tries), (False, 0))
            self.assertFalse(state.pause_reason)

    def test_a_limit_is_kept_for_as_long_as_the_marketplace_says(self):
        self.mark_all()
        self.push(ok(None, 429, **{"Retry-After": "40"}))
        self.assertPutBack()
        pause = (self.rest._state("push").paused_until - fields.Datetime.now()).total_seconds()
        self.assertAlmostEqual(pause, 40, delta=3)
        job = self.env["queue.job"].search([("method_name", "=", "_job_push")], order="id desc", limit=1)
        self.assertAlmostEqual((job.eta - fields.Datetime.now()).total_seconds(), 40, delta=3)
        self.assertFalse(job.identity_key)

    def test_what_was_sent_before_an_answer_got_lost_is_sent_again(self):
        self.settle()
        self.tea.list_price = 120
        self.push(TimeoutError())
        self.tea.list_price = 100  # what was acknowledged before; the marketplace may show 120
        self.pass_time()
        self.push()
        self.assertEqual(self.sent()[-1]["price"], "100.00")

    def test_refused_credentials_stop_the_account_with_one_activity_until_there_are_new_ones(self):
        self.many(250)
        self.mark_all()
        self.push(Answer(401, None))
        self.push(Answer(401, None))
        self.assertEqual(len(self.door.requests), 1)
        self.assertEqual(len(self.rest.activity_ids), 1)
        self.assertEqual(self.rest.connection_status, "refused")
        self.rest.auth_token = "a-new-token"
        self.assertIn((self.rest.id, "push"), self.wakeups)
        self.push()
        self.assertFalse(self.marks(self.rest))
        self.assertFalse(self.rest.activity_ids)

    def test_what_was_answered_before_the_trouble_counts(self):
        self.many(3)

        def strict(request):
            rows = rows_of(request)
            if len(rows) > 1:
                return Answer(422, None)
            if rows[0]["id"] == "P2":
                return Answer(503, None)
            return taken(request)

        self.mark_all()
        self.push(strict)
        waiting = {link.external_id for link, _kind in self.marks(self.rest)}
        self.assertIn("P2", waiting)
        self.assertNotIn("P0", waiting)
        self.assertFalse(self.rest.link_ids.filtered(lambda link: link.external_id == "P0").in_doubt)

    def test_an_outage_does_not_use_up_tries(self):
        for _time in range(self.rest.retry_attempts + 1):
            self.mark_all()
            self.pass_time()
            self.push(Unavailable("No answer"))
        self.assertEqual((self.on_rest.tries, self.on_rest.reason), (0, False))

    def test_a_job_that_dies_after_sending_is_made_up_for(self):
        self.settle()
        self.tea.list_price = 120
        self.cr.flush()
        self.rest.with_user(self.rest.user_id)._committed("_claim_offers")  # and dies
        self.assertFalse(self.marks(self.rest))
        self.tea.list_price = 100
        self.drop_marks()
        self.env["marketplace.config"]._cron_sweep()
        self.assertFalse(self.marks(self.rest), "it may still be at it")
        self.on_rest.sent_at = fields.Datetime.now() - 2 * DOUBT_AFTER
        self.env.flush_all()
        self.env["marketplace.config"]._cron_sweep()
        self.assertIn((self.rest.id, "push"), self.wakeups)
        self.push()
        self.assertEqual(self.sent()[-1]["price"], "100.00")

    def test_stock_sent_beside_a_held_price_is_made_up_for_too(self):
        self.settle()
        self.rest.price_jump = 10
        self.tea.list_price = 200
        self.move_in(self.tea, -10)
        self.cr.flush()
        self.rest.with_user(self.rest.user_id)._committed("_claim_offers")  # and dies
        self.env.invalidate_all()
        self.assertTrue(self.on_rest.in_doubt and self.on_rest.reason)
        self.on_rest.sent_at = fields.Datetime.now() - 2 * DOUBT_AFTER
        self.env.flush_all()
        self.env["marketplace.config"]._cron_sweep()
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["0"])

    def test_a_listing_whose_sending_always_kills_the_job_ends_with_a_person(self):
        self.rest.retry_attempts = 2
        for _time in range(3):
            self.on_rest.sent_at = fields.Datetime.now() - 2 * DOUBT_AFTER
            self.env.flush_all()
            self.rest._committed("_remark_doubtful")
            if not _time:
                self.mark_all()
            self.rest.with_user(self.rest.user_id)._committed("_claim_offers")
            self.env.invalidate_all()
        self.assertIn("never answered", self.on_rest.reason)


class TestLate(PushCase):
    """A call that had no answer may be carried out after one that was sent, and taken, since."""

    def setUp(self):
        super().setUp()
        self.settle()

    def meet(self, trouble):
        """Let a new price meet trouble that is over at once."""
        self.tea.list_price = 120
        self.push(trouble)
        self.rest._state("push").paused_until = fields.Datetime.now() - timedelta(seconds=1)

    def come_later(self):
        """Let the sweep come when a call without an answer can hardly be carried out any more."""
        self.env.invalidate_all()
        for link in self.on_rest.filtered("unanswered_at"):
            link.unanswered_at -= 2 * LATE_FOR
        self.env.flush_all()
        self.rest._committed("_remark_doubtful")
        self.env.invalidate_all()

    def test_what_had_no_answer_is_sent_once_more_when_it_cannot_come_late_any_more(self):
        self.meet(TimeoutError())
        self.push()
        self.rest._committed("_remark_doubtful")
        self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["120.00"] * 2)
        for _time in range(2):
            self.come_later()
            self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["120.00"] * 3)
        self.assertEqual((self.on_rest.in_doubt, self.on_rest.price_acknowledged), (False, True))
        history = self.env["marketplace.product.history"].search([("link_id", "=", self.on_rest.id)], limit=1)
        self.assertEqual(history.cause, "late")

    def test_a_newer_figure_is_the_one_that_is_sent_once_more(self):
        self.meet(Answer(504, None))
        self.tea.list_price = 130
        self.push()
        self.come_later()
        self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["120.00"] + ["130.00"] * 2)

    def test_what_is_not_sent_by_itself_is_not_sent_once_more(self):
        self.meet(TimeoutError())
        self.push()
        self.rest.auto_sync_prices = self.rest.auto_sync_stock = False
        self.drop_marks()
        self.come_later()
        self.assertFalse(self.marks(self.rest))

    def test_what_was_limited_was_not_carried_out(self):
        self.meet(ok(None, 429))
        self.push()
        self.come_later()
        self.assertFalse(self.marks(self.rest))

    def test_while_the_trouble_lasts_it_waits_like_all_else(self):
        self.meet(TimeoutError())
        self.push()
        self.rest._state("push")._pause("No answer", 3600)
        self.come_later()
        self.assertFalse(self.marks(self.rest))

    def test_what_a_job_sent_that_died_is_sent_once_more_as_well(self):
        self.tea.list_price = 120
        self.on_rest.write({"in_doubt": True, "sent_at": fields.Datetime.now() - 2 * DOUBT_AFTER})
        self.env.flush_all()
        self.rest._committed("_remark_doubtful")
        self.push()
        self.come_later()
        self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["120.00"] * 2)


class TestSingleOperations(PushCase):
    """The network door's operations on one listing and on several."""

    def test_one_product_or_many_one_stock_or_many(self):
        api = self.env["marketplace.api"]
        self.door.will("update_products", taken)
        updates = [
            ProductUpdate(product_id=name, price=Decimal(5), quantity=Decimal(3), unlimited=False)
            for name in ("A", "B")
        ]
        self.assertEqual(api._update_product(self.rest, updates[0]), ItemResult(True))
        self.assertEqual(api._update_stock(self.rest, updates[0]), ItemResult(True))
        self.assertEqual(list(api._update_stocks(self.rest, updates)), [ItemResult(True)] * 2)
        both, one, *two = self.sent()
        self.assertEqual((both["price"], both["stock"]), ("5", "3"))
        for row in (one, *two):
            self.assertEqual((row.get("price"), row["stock"]), (None, "3"))
        self.assertEqual(len(self.door.requests), 3)

    def test_a_refused_one_says_why(self):
        self.door.will("update_products", lambda request: taken(request, refuse={"A"}))
        result = self.env["marketplace.api"]._update_product(self.rest, ProductUpdate(product_id="A"))
        self.assertEqual((result.ok, result.reason), (False, "Not this one"))


class TestRecount(PushCase):
    """A marketplace takes the goods of its own orders off its stock."""

    def test_an_order_sends_the_stock_once_more_though_the_figure_is_the_acknowledged_one(self):
        self.door.will("update_products", taken)
        self.door.will("status", ok({}))
        self.env["marketplace.mark"]._insert_both(self.on_rest)
        self.run_job(self.rest, "push")
        acknowledged = self.on_rest.acknowledged_quantity
        self.door.requests.clear()
        key = self.on_rest.product_id.cartona_id
        self.receive(self.rest, self.neutral((key, 2)))
        self.order(self.rest, "N1").with_context(disable_cancel_warning=True).action_cancel()
        self.cr.flush()
        self.run_job(self.rest, "push")
        sent = [row["stock"] for request in self.door.asked("update_products") for row in rows_of(request)]
        self.assertEqual([float(stock) for stock in sent], [acknowledged])
