from odoo.http import root
from odoo.tests import HttpCase

from .common import MarketplaceCase, ok, sample


class TestScreens(MarketplaceCase, HttpCase):
    """Every view of the addon, and every view it changes, opens in a browser without an error."""

    registry_test_mode = False  # MarketplaceCase has entered it already
    browser_size = "1366,768"

    def setUp(self):
        super().setUp()
        # The first request parses all manifests. Two at once made CPython 3.11 fail now and then
        # (SystemError: AST constructor recursion depth mismatch): here it is one.
        root.get_static_file("/web/static/none")
        for key in ("TEA-25", "SUGAR-1", "904#2", "1679#2"):
            self.make_product(key, list_price=5)
        listings = [
            {"supplier_product_id": 7, "internal_product_id": "TEA-25"},
            {"supplier_product_id": 8, "internal_product_id": "NOBODYS"},
        ]
        self.door.will("products", ok(listings))
        self.run_job(self.cartona, "listings")
        self.receive(self.cartona, sample("cartona/order_pending"))
        self.receive(self.cartona, sample("cartona/order_unknown_product"))
        # The last order: the customer's code is asked for when it is delivered.
        self.cartona.order_policy = "confirm"
        self.receive(self.cartona, sample("cartona/order_installment_credit_topup"))
        [picking] = self.env["sale.order"].search([], order="id desc", limit=1).picking_ids
        for move in picking.move_ids:
            move.write({"quantity": move.product_uom_qty, "picked": True})
        self.env["marketplace.sync.log"]._log_hourly(self.cartona, "pull", "trouble")

    def test_every_view_opens(self):
        self.start_tour("/web", "marketplace_screens", login="admin", timeout=180)
