from odoo import _, api, fields, models
from odoo.exceptions import UserError


class MarketplaceCustomerChooser(models.TransientModel):
    """Asks which of several contacts an order's customer is; the order then goes on."""

    _name = "marketplace.customer.chooser"
    _description = "Choose a Marketplace Customer"

    event_id = fields.Many2one("marketplace.event", required=True, readonly=True)
    candidate_ids = fields.Many2many("res.partner", compute="_compute_candidate_ids")
    partner_id = fields.Many2one("res.partner", string="Customer", required=True)

    @api.depends("event_id")
    def _compute_candidate_ids(self):
        for chooser in self:
            chooser.candidate_ids = chooser.event_id._customer_candidates()

    def action_confirm(self):
        """Take the contact for the customer, from now on wherever the marketplace gives customers an id."""
        self.ensure_one()
        if self.partner_id not in self.candidate_ids:
            raise UserError(_("Choose one of the contacts that may be the customer."))
        self.event_id._choose_customer(self.partner_id)
        return {"type": "ir.actions.act_window_close"}
