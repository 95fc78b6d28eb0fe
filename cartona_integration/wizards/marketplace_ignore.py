from odoo import fields, models


class MarketplaceIgnore(models.TransientModel):
    """Asks why messages are ignored: the next person wants to know."""

    _name = "marketplace.ignore"
    _description = "Ignore Marketplace Messages"

    event_ids = fields.Many2many("marketplace.event", required=True, readonly=True)
    reason = fields.Char(required=True)

    def action_confirm(self):
        """Close the messages with the reason."""
        self.event_ids._ignore(self.reason)
        return {"type": "ir.actions.act_window_close"}
