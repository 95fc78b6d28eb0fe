from odoo import SUPERUSER_ID, _, api, fields, models
from odoo.exceptions import ValidationError

from .. import compat


class MarketplaceConfig(models.Model):
    """Who acts for an account: a user of its own, with the rights its jobs need and no others."""

    _inherit = "marketplace.config"

    user_id = fields.Many2one(
        "res.users",
        string="Acting User",
        copy=False,
        ondelete="restrict",
        help="Imports run with the rights of this user. One is made for the account when left empty.",
    )

    @api.constrains("user_id", "company_id")
    def _check_user_id(self):
        for account in self:
            if account.user_id.id == SUPERUSER_ID:
                raise ValidationError(
                    _("OdooBot cannot act for an account: it sees no access rules. Leave the user empty.")
                )
            if account.user_id and account.company_id not in account.user_id.sudo().company_ids:
                raise ValidationError(_("The acting user has no access to the account's company."))

    def _create_integration_user(self):
        """Make the user the account's jobs act as. Superuser: managers need not be able to create users."""
        groups = (
            "base.group_user",
            "base.group_partner_manager",
            "sales_team.group_sale_salesman_all_leads",
            "stock.group_stock_user",
            "cartona_integration.group_marketplace_integration",
        )
        users = self.env["res.users"].sudo().with_context(active_test=False)
        login = f"marketplace_{self.code}"
        if users.search_count([("login", "=", login)], limit=1):
            # Left by a deleted account: its rights may have been changed since, so it is not used again.
            login = f"{login}_{self.id}"
        return users.with_context(no_reset_password=True, mail_create_nosubscribe=True).create(
            {
                "name": _("Marketplace %s", self.name),
                "login": login,
                # Odoo posts notes in the user's name only if it has an address; like OdooBot's, nobody's.
                "email": f"{login}@example.com",
                "company_id": self.company_id.id,
                "company_ids": [fields.Command.set(self.company_id.ids)],
                "notification_type": "email",
                compat.USER_GROUPS: [fields.Command.set([self.env.ref(group).id for group in groups])],
            }
        )
