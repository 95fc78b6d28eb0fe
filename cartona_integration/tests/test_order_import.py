from .common import MarketplaceCase, ok, sample


class TestOrderImport(MarketplaceCase):
    """The life of an order, from the message to the sale order, on the marketplace's own samples."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for key in ("TEA-25", "SUGAR-1", "SALT-500", "COLA-330", "479", "904#2", "1679#2"):
            cls.make_product(key)

    def test_pending_order_becomes_a_confirmed_sale_order(self):
        self.receive(self.cartona, sample("cartona/order_pending"))
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual((order.state, order.amount_total), ("sale", 860.0))
        self.assertEqual(order.currency_id.name, "EGP")
        self.assertEqual(order.partner_id.cartona_id, "retailer_A01027")
        self.assertEqual(order.order_line.mapped("price_unit"), [250.0, 90.0])

    def test_same_order_by_webhook_and_pull_is_one_order(self):
        self.receive(self.cartona, sample("cartona/order_pending"))
        self.door.will("acknowledge", ok([]))
        self.pull(self.cartona, [], ok([]))
        self.assertEqual(len(self.order(self.cartona, "kT3vQx9a")), 1)

    def test_a_silent_marketplace_without_tax_in_its_prices_gives_a_total_without_tax(self):
        tax = self.env["account.tax"].create({"name": "14 on top", "amount": 14})
        product = self.env["product.product"].search([("cartona_id", "in", ("TEA-25", "SUGAR-1"))])
        product.taxes_id = tax
        self.cartona.prices_include_tax = False
        self.receive(self.cartona, sample("cartona/order_pending"))
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual((order.amount_untaxed, order.amount_tax), (860.0, 120.4))
