from .common import ListedCase


class TestCurrencies(ListedCase):
    """Prices of a company with another currency than the one its shared products are priced in."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pound = cls.currency("EGP")
        cls.second = cls.env["res.company"].create({"name": "Second", "currency_id": cls.pound.id})
        cls.env.user.company_ids |= cls.second
        if not cls.env["stock.warehouse"].search_count([("company_id", "=", cls.second.id)]):
            cls.env["stock.warehouse"].create({"name": "Second", "code": "SEC", "company_id": cls.second.id})
        cls.shop = cls.make_account("rest", code="second", company_id=cls.second.id)
        cls.listing = cls.make_link(cls.shop, cls.tea, "S1")

    @classmethod
    def currency(cls, code):
        currency = cls.env["res.currency"].with_context(active_test=False).search([("name", "=", code)])
        currency.active = True
        currency.rate_ids.unlink()
        return currency

    def rate(self, currency, rate, company=None):
        company = company or self.second
        self.env["res.currency.rate"].create(
            {"currency_id": currency.id, "rate": rate, "company_id": company.id, "name": "2020-01-01"}
        )

    def price(self):
        """Give what the account's job would send."""
        self.env.flush_all()
        self.env.invalidate_all()
        actor = self.listing.with_user(self.shop.user_id).with_company(self.second).sudo()
        return actor._offers({actor: {"price"}})[actor].price

    def pricelist(self, currency, **rule):
        pricelist = self.env["product.pricelist"].create(
            {"name": currency.name, "currency_id": currency.id, "company_id": False}
        )
        self.env["product.pricelist.item"].create({"pricelist_id": pricelist.id, **rule})
        return pricelist

    def test_a_price_is_explained_as_it_is_sent_whichever_company_looks(self):
        self.rate(self.env.company.currency_id, 0.5)
        self.rate(self.pound, 30, self.env.company)
        self.shop.pricelist_id = self.pricelist(self.pound, compute_price="percentage", percent_price=10)
        self.assertEqual(self.price(), 180)
        self.assertIn("= 180.00 EGP per", self.listing.with_company(self.env.company).explanation)

    def test_a_floor_is_the_same_whichever_company_looks(self):
        self.rate(self.env.company.currency_id, 0.5)
        self.rate(self.pound, 30, self.env.company)
        floor = self.pricelist(self.pound, compute_price="percentage", percent_price=50)
        self.shop.write({"price_floor": "pricelist", "floor_pricelist_id": floor.id})
        found = self.shop.with_company(self.env.company)._floor_prices(self.tea, self.env["uom.uom"])
        self.assertEqual(found[self.tea.id][0], 100)

    def test_a_product_priced_in_a_currency_without_rate_waits(self):
        """Odoo takes 100 dollars for 100 pounds where nobody told the company what a dollar is."""
        self.assertIsNone(self.price())
        self.assertIn(self.env.company.currency_id.name, self.listing.reason)
        self.rate(self.env.company.currency_id, 0.5)
        self.assertEqual(self.price(), 200)

    def test_a_base_pricelist_in_a_currency_without_rate_waits(self):
        krona = self.currency("ISK")
        base = self.pricelist(krona, compute_price="fixed", fixed_price=9000)
        self.shop.pricelist_id = self.pricelist(
            self.pound, compute_price="formula", base="pricelist", base_pricelist_id=base.id
        )
        self.assertIsNone(self.price())
        self.assertIn("ISK", self.listing.reason)
        self.rate(krona, 3)
        self.assertEqual(self.price(), 3000)

    def test_a_pricelist_no_price_is_based_on_needs_no_rate(self):
        """Such as one Odoo made before the company had its currency: each price would be traced."""
        krona = self.currency("ISK")
        old = self.pricelist(krona, compute_price="fixed", fixed_price=9000)
        old.active = False
        middle, self.shop.pricelist_id = (
            self.pricelist(self.pound, compute_price="percentage", percent_price=10) for _number in range(2)
        )
        self.assertNotIn(krona, self.shop._unrated_currencies())
        based = {"compute_price": "formula", "base": "pricelist"}
        self.shop.pricelist_id.item_ids.write({**based, "base_pricelist_id": middle.id})
        self.assertNotIn(krona, self.shop._unrated_currencies())
        middle.item_ids.write({**based, "base_pricelist_id": old.id})
        self.assertIn(krona, self.shop._unrated_currencies())

    def test_what_no_rate_is_needed_for_does_not_wait(self):
        self.tea.with_company(self.second).standard_price = 40
        self.shop.pricelist_id = self.pricelist(
            self.pound, compute_price="formula", base="standard_price", price_discount=-50
        )
        self.assertEqual(self.price(), 60)

    def test_the_way_from_one_currency_to_the_next_is_told(self):
        krona = self.currency("ISK")
        self.rate(krona, 3)
        base = self.pricelist(krona, compute_price="fixed", fixed_price=9000)
        self.shop.pricelist_id = self.pricelist(
            self.pound,
            compute_price="formula",
            base="pricelist",
            base_pricelist_id=base.id,
            price_discount=10,
        )
        self.assertEqual(self.price(), 2700)
        self.assertIn("9,000 ISK = 3,000.00 EGP", self.listing.explanation)
