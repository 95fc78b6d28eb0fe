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

    def test_each_window_shows_the_view_made_for_it(self):
        """Odoo drops an action's view in silence where its mode is another word for the view's type."""
        known = self.env["ir.model.data"].search(
            [("module", "=", "cartona_integration"), ("model", "=", "ir.actions.act_window")]
        )
        for action in self.env["ir.actions.act_window"].browse(known.mapped("res_id")):
            if action.view_id:
                self.assertIn(action.view_id.id, [view_id for view_id, _mode in action.views], action.name)

    def test_an_account_somebody_just_made_stays_on_the_screen(self):
        self.door.will("test", ok({"products": [], "next_page": None}))
        self.start_tour("/web", "marketplace_first_account", login="admin", timeout=60)
        account = self.env["marketplace.config"].search([("code", "=", "made-by-hand")])
        self.assertEqual(account.connection_status, "ok")

    def test_the_progress_goes_on_while_somebody_edits(self):
        self.make_link(self.rest, self.make_product("SALT-1"), "R1")
        self.env["marketplace.mark"]._insert_both(self.rest)
        self.start_tour("/web", "marketplace_progress", login="admin", timeout=60)
        self.assertTrue(self.rest.is_sending_paused, "the tour ended what was under way")

    def test_every_view_opens(self):
        self.start_tour("/web", "marketplace_screens", login="admin", timeout=180)
