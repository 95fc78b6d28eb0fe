from odoo import api, fields, models

from .marketplace_listed_mixin import STATUSES
from .marketplace_mark import STOCK

# What is free changes by reservations too.
FIGURES = {"quantity", "reserved_quantity", "location_id", "product_id"}


class StockQuant(models.Model):
    _inherit = "stock.quant"

    # Not a related field: such a one is computed as superuser, and the product's depends on who looks.
    marketplace_sync_status = fields.Selection(
        STATUSES, string="Marketplace Sync", compute="_compute_marketplace_sync_status"
    )

    @api.depends("product_id.marketplace_sync_status")
    @api.depends_context("allowed_company_ids", "uid")
    def _compute_marketplace_sync_status(self):
        for quant in self:
            quant.marketplace_sync_status = quant.product_id.marketplace_sync_status

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
