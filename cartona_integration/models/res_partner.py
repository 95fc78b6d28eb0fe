from odoo import _, api, fields, models
from odoo.exceptions import ValidationError

from .search import search_by


class ResPartner(models.Model):
    _inherit = "res.partner"

    cartona_id = fields.Char(
        string="Marketplace Customer",
        copy=False,
        help="The marketplace's id: retailer_<id>, or retailer_<account>_<id> where ids are per account.",
    )

    marketplace_sync_status = fields.Selection(
        [("synced", "Marketplace customer")],
        string="Marketplace",
        compute="_compute_marketplace_sync_status",
        search="_search_marketplace_sync_status",
    )

    @api.depends("cartona_id")
    def _compute_marketplace_sync_status(self):
        for partner in self:
            partner.marketplace_sync_status = "synced" if partner.cartona_id else False

    def _search_marketplace_sync_status(self, operator, value):
        known = ("cartona_id", "!=", False)
        return search_by({"synced": [known], False: ["!", known]}, operator, value)

    def init(self):
        super().init()
        self.env.cr.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS res_partner_cartona_id_uniq"
            " ON res_partner (cartona_id, coalesce(company_id, 0))"
            " WHERE cartona_id IS NOT NULL AND cartona_id != ''"
        )

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._refuse_double(vals.get("cartona_id"), vals.get("company_id"))
        return super().create(vals_list)

    def write(self, vals):
        if vals.get("cartona_id") or "company_id" in vals:
            for partner in self:
                key = vals.get("cartona_id", partner.cartona_id)
                partner._refuse_double(key, vals.get("company_id", partner.company_id.id))
        return super().write(vals)

    def _refuse_double(self, key, company_id):
        """Say in words, before it happens, what the unique index would refuse.

        Superuser: the other contact may be out of the user's sight.
        """
        domain = [
            ("cartona_id", "=", key),
            ("company_id", "=", company_id),
            ("id", "not in", self.ids),
        ]
        double = key and self.sudo().with_context(active_test=False).search(domain, limit=1)
        if double:
            raise ValidationError(
                _(
                    "%(partner)s already is marketplace customer %(key)s.",
                    partner=double.display_name,
                    key=key,
                )
            )

    @api.model
    def _find_marketplace_customer(self, key, company):
        """Find customers by their marketplace id in a company or shared; archived ones count."""
        return self.with_context(active_test=False).search(
            [("cartona_id", "=", key), ("company_id", "in", (False, company.id))]
        )
