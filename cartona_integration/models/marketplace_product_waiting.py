from odoo import _, api, models
from odoo.exceptions import UserError


class MarketplaceProductLink(models.Model):
    """Listings that wait for a person before anything is sent for them."""

    _inherit = "marketplace.product.link"

    @api.model_create_multi
    def create(self, vals_list):
        links = super().create(vals_list)
        links.filtered(lambda link: link.state == "linked")._let_wait()
        return links

    def write(self, vals):
        if vals.get("state") == "linked":
            self.filtered(lambda link: link.state != "linked")._let_wait()
        return super().write(vals)

    def _let_wait(self):
        """Pause what is new; a listing that was gone and is seen again goes on where it was."""
        new = self.filtered(lambda link: link.account_id.new_links_wait and not link.sent_at)
        new.write({"is_paused": True})

    def action_go_live(self):
        """Show what would change for these listings only, and ask."""
        linked = self.filtered(lambda link: link.state == "linked")
        if len(linked.account_id) != 1:
            raise UserError(_("Choose linked listings of one account."))
        linked.account_id._check_reachable()
        return self.env["marketplace.go.live"]._open(linked.account_id, linked)

    def action_start_sending(self):
        """Send for listings that were paused."""
        paused = self.filtered("is_paused")
        if not paused:
            raise UserError(_("None of these listings is paused."))
        return paused.write({"is_paused": False})

    def action_stop_sending(self):
        """Send nothing for these listings: they keep showing what they show."""
        sending = self.filtered(lambda link: not link.is_paused)
        if not sending:
            raise UserError(_("All of these listings are paused already."))
        return sending.write({"is_paused": True})
