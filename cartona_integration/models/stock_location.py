from odoo import models

from .marketplace_mark import STOCK

# Which warehouse a place is in, and whether what lies there is for sale.
PLACE = {"location_id", "usage"}


class StockLocation(models.Model):
    _inherit = "stock.location"

    def write(self, vals):
        """Note what lies there: no quant moves when its place does."""
        res = super().write(vals)
        if PLACE & set(vals) and self.env["marketplace.config"]._has_active_account():
            # Superuser: whoever arranges a warehouse need not see marks.
            quants = self.env["stock.quant"].sudo()
            groups = quants._read_group([("location_id", "child_of", self.ids)], ["product_id"])
            products = self.env["product.product"].browse([product.id for [product] in groups])
            self.env["marketplace.mark"].sudo()._note(STOCK, products)
        return res
