from odoo import _, api, fields, models
from odoo.exceptions import ValidationError


class ResPartner(models.Model):
    _inherit = "res.partner"

    cartona_id = fields.Char(
        string="Marketplace Customer",
        copy=False,
        help="The marketplace's id: retailer_<id>, or retailer_<account>_<id> where ids are per account.",
    )

    def init(self):
        super().init()
        self.env.cr.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS res_partner_cartona_id_uniq"
            " ON res_partner (cartona_id, coalesce(company_id, 0))"
            " WHERE cartona_id IS NOT NULL AND cartona_id != ''"
        )

    @api.constrains("cartona_id", "company_id")
    def _check_cartona_id(self):
        """Say in words what the unique index would refuse. Superuser: the other may be out of sight."""
        for partner in self.filtered("cartona_id"):
            twin = (
                self.sudo()
                .with_context(active_test=False)
                .search(
                    [
                        ("cartona_id", "=", partner.cartona_id),
                        ("company_id", "=", partner.company_id.id),
                        ("id", "!=", partner.id),
                    ],
                    limit=1,
                )
            )
            if twin:
                raise ValidationError(
                    _(
                        "%(partner)s already is marketplace customer %(key)s.",
                        partner=twin.display_name,
                        key=partner.cartona_id,
                    )
                )

    @api.model
    def _find_marketplace_customer(self, key, company):
        """Find customers by their marketplace id in a company or shared; archived ones count."""
        return self.with_context(active_test=False).search(
            [("cartona_id", "=", key), ("company_id", "in", (False, company.id))]
        )
