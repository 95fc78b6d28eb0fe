from odoo import _, api, fields, models
from odoo.exceptions import UserError


class MarketplaceOrderCancel(models.TransientModel):
    """Cancels an order with a reason its marketplace understands."""

    _name = "marketplace.order.cancel"
    _description = "Cancel a Marketplace Order"

    sale_order_id = fields.Many2one("sale.order", required=True, readonly=True, ondelete="cascade")
    reason = fields.Selection(selection="_reasons", required=True)

    @api.model
    def _reasons(self):
        """Offer the reasons of the order's marketplace; without an order those of all."""
        reasons = self.env["marketplace.config"]._cancel_reasons()
        order = self.env["sale.order"].browse(self.env.context.get("default_sale_order_id")).exists()
        # Superuser: sellers see no accounts.
        account = order.sudo().marketplace_config_id
        return [pair for pair in reasons if not account or pair[0] in account._dialect().cancel_reasons]

    def action_confirm(self):
        """Cancel here; the marketplace is told with the reason."""
        order = self.sale_order_id
        if order.state == "cancel":
            raise UserError(_("The order is cancelled already."))
        order.marketplace_cancel_reason = self.reason
        order.with_context(disable_cancel_warning=True).action_cancel()
        return {"type": "ir.actions.act_window_close"}
