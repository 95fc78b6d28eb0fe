from odoo import api, fields, models

from .marketplace_mark import STOCK

# What is free changes by reservations too.
FIGURES = {"quantity", "reserved_quantity", "location_id", "product_id"}


class StockQuant(models.Model):
    _inherit = "stock.quant"

    marketplace_sync_status = fields.Selection(
        related="product_id.marketplace_sync_status", string="Marketplace Sync"
    )

    @api.model_create_multi
    def create(self, vals_list):
        quants = super().create(vals_list)
        quants._note_marketplace_stock()
        return quants

    def write(self, vals):
        if "product_id" in vals:
            self._note_marketplace_stock()
        res = super().write(vals)
        if FIGURES & set(vals):
            self._note_marketplace_stock()
        return res

    def unlink(self):
        self._note_marketplace_stock()
        return super().unlink()

    def _note_marketplace_stock(self):
        """Note that the products' free stock changed. Superuser: whoever moves goods need not see marks."""
        if self.env["marketplace.config"]._has_active_account():
            self.env["marketplace.mark"].sudo()._note(STOCK, self.product_id)
