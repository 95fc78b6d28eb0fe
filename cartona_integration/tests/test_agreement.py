from datetime import timedelta
from decimal import Decimal

from odoo import fields

from ..compat import STORABLE, TAX_EXCLUDED
from .common import ListedCase


class TestAgreement(ListedCase):
    """What is offered is what Odoo's own fields and pricelists say, on a shelf of everything there is."""

    def setUp(self):
        super().setUp()
        self.rest.stock_warehouse_ids |= self.env["stock.warehouse"].create({"name": "Second", "code": "SEC"})
        self.links = self.env["marketplace.product.link"].browse()
        self.category = self.env["product.category"].create({"name": "Drinks"})
        for number in range(12):
            values = {"categ_id": self.category.id} if number % 3 else {}
            self.shelve(self.make_product(f"P{number}", list_price=10 + number * 1.37, **values), number)
        for number, variant in enumerate(self.variants()):
            self.shelve(variant, number)
        self.sell(self.links[:6].product_id)

    def shelve(self, product, number):
        """Put a product into both warehouses and list it."""
        for times, warehouse in enumerate(self.rest.stock_warehouse_ids, 1):
            self.move_in(product, times * number + 1, warehouse.lot_stock_id)
        self.links |= self.make_link(self.rest, product, f"E{product.id}")

    def variants(self):
        attribute = self.env["product.attribute"].create(
            {"name": "Size", "value_ids": [(0, 0, {"name": name}) for name in ("S", "M", "L")]}
        )
        line = {"attribute_id": attribute.id, "value_ids": [(6, 0, attribute.value_ids.ids)]}
        template = self.env["product.template"].create(
            {
                "name": "Shirt",
                "list_price": 20,
                "taxes_id": False,
                "attribute_line_ids": [(0, 0, line)],
                **STORABLE,
            }
        )
        values = template.attribute_line_ids.product_template_value_ids
        for number, value in enumerate(values):
            value.price_extra = 1.5 * number
        return template.product_variant_ids

    def sell(self, products):
        """Reserve one of each."""
        order = self.env["sale.order"].create({"partner_id": self.env.user.partner_id.id})
        order.order_line = [(0, 0, {"product_id": product.id, "product_uom_qty": 1}) for product in products]
        order.action_confirm()

    def assertAgrees(self):
        self.env.flush_all()
        self.env.invalidate_all()
        warehouses = self.rest.stock_warehouse_ids.ids
        offers = self.links.sudo()._offers(dict.fromkeys(self.links.sudo(), {"price", "stock"}))
        for link, offer in offers.items():
            # The key was renamed after Odoo 17.
            product = link.product_id.with_context(warehouse=warehouses, warehouse_id=warehouses)
            price = self.rest.pricelist_id._get_product_price(
                product, 1.0, currency=self.rest.currency_id, uom=link.pack_uom_id
            )
            taxed = product.taxes_id.compute_all(price, currency=self.rest.currency_id)["total_included"]
            self.assertEqual(offer.quantity, max(0, int(product.free_qty)), product.display_name)
            self.assertEqual(offer.price, Decimal(f"{taxed:.2f}"), product.display_name)

    def test_without_a_pricelist(self):
        self.assertAgrees()
        self.assertEqual(len({link.product_id.lst_price for link in self.links}), len(self.links))

    def test_with_taxes(self):
        tax = self.env["account.tax"].create(
            {"name": "Ten", "amount": 10, "type_tax_use": "sale", **TAX_EXCLUDED}
        )
        self.links[::2].product_id.product_tmpl_id.taxes_id = tax
        self.assertAgrees()

    def test_with_rules_of_every_kind(self):
        base, pricelist = self.env["product.pricelist"].create([{"name": "Base"}, {"name": "Shop"}])
        self.rest.pricelist_id = pricelist
        first, second, third = self.links[:3].product_id
        third.standard_price = 4
        now = fields.Datetime.now()
        rules = (
            {"applied_on": "0_product_variant", "product_id": first.id, "fixed_price": 80},
            {
                "applied_on": "1_product",
                "product_tmpl_id": second.product_tmpl_id.id,
                "compute_price": "percentage",
                "percent_price": 25,
                "date_start": now - timedelta(days=1),
                "date_end": now + timedelta(days=1),
            },
            {
                "applied_on": "0_product_variant",
                "product_id": third.id,
                "compute_price": "formula",
                "base": "standard_price",
                "price_surcharge": 3,
            },
            {
                "applied_on": "2_product_category",
                "categ_id": self.category.id,
                "compute_price": "formula",
                "base": "pricelist",
                "base_pricelist_id": base.id,
                "price_discount": 10,
            },
        )
        self.env["product.pricelist.item"].create([{"pricelist_id": pricelist.id, **rule} for rule in rules])
        self.env["product.pricelist.item"].create(
            {"pricelist_id": base.id, "compute_price": "percentage", "percent_price": 50}
        )
        self.assertAgrees()

    def test_in_another_currency(self):
        pound = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "EGP")])
        pound.active = True
        pound.rate_ids.unlink()
        self.env["res.currency.rate"].create(
            {"currency_id": pound.id, "rate": 48.7, "company_id": self.env.company.id, "name": "2020-01-01"}
        )
        pricelist = self.env["product.pricelist"].create({"name": "EGP", "currency_id": pound.id})
        self.rest.write({"pricelist_id": pricelist.id, "currency_id": pound.id})
        self.assertAgrees()

    def test_a_shared_products_price_of_a_company_with_another_currency(self):
        franc = self.env["res.currency"].with_context(active_test=False).search([("name", "=", "CHF")])
        franc.active = True
        company = self.env["res.company"].create({"name": "Company B", "currency_id": franc.id})
        main = self.env.ref("base.main_company").currency_id
        main.rate_ids.filtered(lambda rate: rate.company_id == company).unlink()
        self.env["res.currency.rate"].create(
            {"currency_id": main.id, "rate": 4, "company_id": company.id, "name": "2020-01-01"}
        )
        account = self.make_account("rest", code="abroad", company_id=company.id)
        link = self.make_link(account, self.tea, "B1").sudo()
        shown = (
            self.env["product.pricelist"]
            .with_company(company)
            ._get_product_price(self.tea.with_company(company), 1.0, currency=franc)
        )
        self.env.flush_all()
        link = link.with_company(company)
        self.assertEqual(link._offers({link: {"price"}})[link].price, Decimal(f"{shown:.2f}"))

    def test_what_another_addon_makes_of_prices_is_sent(self):
        model = type(self.env["product.product"])

        def _price_compute(products, *args, **kwargs):
            return dict.fromkeys(products.ids, 77.0)

        self.patch(model, "_price_compute", _price_compute)
        offers = self.links.sudo()._offers(dict.fromkeys(self.links.sudo(), {"price"}))
        self.assertEqual({offer.price for offer in offers.values()}, {77})
