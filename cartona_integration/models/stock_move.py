from odoo import models

from .marketplace_mark import STOCK


class StockMove(models.Model):
    _inherit = "stock.move"

    def write(self, vals):
        """Note what a confirmed order wants before anything is reserved for it: that moves no quant."""
        res = super().write(vals)
        if {"state", "product_uom_qty"} & set(vals) and self.env["marketplace.config"]._has_active_account():
            # Superuser: whoever moves goods need not see marks.
            self.env["marketplace.mark"].sudo()._note(STOCK, self.product_id)
        return res
