from odoo import api, models

from ..dialects.words import GONE
from .marketplace_mark import STOCK
from .marketplace_order_delivery import CALLED_OFF

# What an order wants, and of which warehouse.
DEMAND = {"state", "product_uom_qty", "location_id"}


class StockMove(models.Model):
    _inherit = "stock.move"

    def write(self, vals):
        """Note what a confirmed order wants before anything is reserved for it: that moves no quant."""
        res = super().write(vals)
        if DEMAND & set(vals) and self.env["marketplace.config"]._has_active_account():
            # Superuser: whoever moves goods need not see marks.
            self.env["marketplace.mark"].sudo()._note(STOCK, self.product_id)
        return res

    def _action_cancel(self):
        """Have the marketplaces told where this was all that was still to come, whoever wants no more."""
        res = super()._action_cancel()
        called_off = self.env.context.get(CALLED_OFF, ())
        all_orders = self._marketplace_orders()
        orders = all_orders.filtered(lambda order: order.id not in called_off)
        orders.filtered(lambda order: order.marketplace_status not in GONE)._tell_delivery()
        if all_orders:
            # Superuser: whoever cancels an order need not see its deliveries.
            cancelled = self.sudo().picking_id.filtered(lambda picking: picking.state == "cancel")
            cancelled.activity_unlink(["cartona_integration.activity_delivery_code"])
        return res

    def _marketplace_orders(self):
        """Give the marketplaces' orders among those that are delivered. Superuser: carriers see no sales."""
        return self.sudo().sale_line_id.order_id.filtered("marketplace_config_id")


class StockMoveLine(models.Model):
    _inherit = "stock.move.line"

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._tell_corrections()
        return lines

    def write(self, vals):
        res = super().write(vals)
        if "quantity" in vals:
            self._tell_corrections()
        return res

    def _tell_corrections(self):
        """Have the marketplaces told of what people correct about transfers that are done already."""
        if self.env["marketplace.config"]._has_active_account():
            moves = self.filtered(lambda line: line.state == "done").move_id
            orders = moves._marketplace_orders()
            orders.filtered(lambda order: order.marketplace_status not in GONE)._tell_delivery()
