from odoo import fields, models


class StockPicking(models.Model):
    _inherit = "stock.picking"

    marketplace_config_id = fields.Many2one(
        related="sale_id.marketplace_config_id", string="Marketplace Account"
    )
    marketplace_order_number = fields.Char(
        related="sale_id.marketplace_order_number", string="Marketplace Order"
    )
    marketplace_sync_status = fields.Selection(
        related="sale_id.marketplace_sync_status", string="Marketplace Sync"
    )

    def _action_done(self):
        """Have the marketplaces told what left, and what came back."""
        res = super()._action_done()
        self._marketplace_orders()._tell_delivery()
        return res

    def action_cancel(self):
        """Have the marketplaces told where this was all that was still to come."""
        res = super().action_cancel()
        self._marketplace_orders()._tell_delivery()
        return res

    def _marketplace_orders(self):
        """Give the marketplaces' orders among those that are delivered. Superuser: carriers see no sales."""
        return self.sudo().move_ids.sale_line_id.order_id.filtered("marketplace_config_id")
