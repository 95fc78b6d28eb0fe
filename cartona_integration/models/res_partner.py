from collections import defaultdict

import phonenumbers

from odoo import _, api, fields, models
from odoo.exceptions import ValidationError

from ..compat import PHONES
from .indexes import ensure_indexes
from .search import search_by


def international(number, country):
    """Give a phone number in E.164, such as +201001234567, or None for what is none.

    :param str number: as somebody wrote it
    :param str country: code of the country it is from, where the number itself does not say so
    """
    try:
        found = phonenumbers.parse(number or "", country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(found):
        return None
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


class ResPartner(models.Model):
    _inherit = "res.partner"

    cartona_id = fields.Char(
        string="Marketplace Customer",
        copy=False,
        help="The marketplace's id: retailer_<id>, or retailer_<account>_<id> where ids are per account.",
    )

    marketplace_phone = fields.Char(
        string="Phone to Compare",
        compute="_compute_marketplace_phone",
        store=True,
        help="The phone number in international form: accounts that find customers by phone compare it.",
    )
    marketplace_phone2 = fields.Char(
        string="Second Phone to Compare",
        compute="_compute_marketplace_phone",
        store=True,
        help="As above, of a contact with two numbers.",
    )
    marketplace_sync_status = fields.Selection(
        [("synced", "Marketplace customer")],
        string="Marketplace",
        compute="_compute_marketplace_sync_status",
        search="_search_marketplace_sync_status",
    )

    @api.depends(*PHONES, "country_id", "company_id")
    def _compute_marketplace_phone(self):
        """Leave out what is none: many contacts have nothing but a mobile phone."""
        for partner in self:
            country = partner.country_id or partner.company_id.country_id or self.env.company.country_id
            numbers = {international(partner[name], country.code): name for name in PHONES if partner[name]}
            numbers.pop(None, None)
            partner.marketplace_phone, partner.marketplace_phone2 = (*numbers, False, False)[:2]

    @api.depends("cartona_id")
    def _compute_marketplace_sync_status(self):
        for partner in self:
            partner.marketplace_sync_status = "synced" if partner.cartona_id else False

    def _search_marketplace_sync_status(self, operator, value):
        known = ("cartona_id", "!=", False)
        return search_by({"synced": [known], False: ["!", known]}, operator, value)

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX res_partner_cartona_id_uniq"
            " ON res_partner (cartona_id, coalesce(company_id, 0))"
            " WHERE cartona_id IS NOT NULL AND cartona_id != ''",
            "CREATE INDEX res_partner_marketplace_phone"
            " ON res_partner (marketplace_phone) WHERE marketplace_phone IS NOT NULL",
            "CREATE INDEX res_partner_marketplace_phone2"
            " ON res_partner (marketplace_phone2) WHERE marketplace_phone2 IS NOT NULL",
            # Odoo stores it without an index; accounts may find customers by it.
            "CREATE INDEX res_partner_marketplace_email"
            " ON res_partner (email_normalized) WHERE email_normalized IS NOT NULL",
        )

    @api.model_create_multi
    def create(self, vals_list):
        keys = {vals["cartona_id"] for vals in vals_list if vals.get("cartona_id")}
        if keys:
            self._refuse_doubles(vals_list, keys)
        partners = super().create(vals_list)
        self.env["marketplace.event.hold"]._wake_waiting("customer", keys)
        return partners

    def write(self, vals):
        if vals.get("cartona_id") or "company_id" in vals:
            for partner in self:
                key = vals.get("cartona_id", partner.cartona_id)
                partner._refuse_double(key, vals.get("company_id", partner.company_id.id))
        result = super().write(vals)
        if vals.get("cartona_id"):
            self.env["marketplace.event.hold"]._wake_waiting("customer", {vals["cartona_id"]})
        return result

    def _refuse_doubles(self, vals_list, keys):
        """Refuse ids of new contacts that others have, with one search. Superuser, see below."""
        everybody = self.sudo().with_context(active_test=False)
        taken = everybody.search([("cartona_id", "in", list(keys))]).mapped("cartona_id")
        for vals in vals_list:
            if vals.get("cartona_id") in taken:
                self._refuse_double(vals["cartona_id"], vals.get("company_id"))

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
    def _find_marketplace_customers(self, keys, company):
        """Give {marketplace id: customers in a company or shared that have it}; archived ones count."""
        wanted = [key for key in keys if key]
        domain = [("cartona_id", "in", wanted), ("company_id", "in", (False, company.id))]
        found = self.browse(self.with_context(active_test=False).search(domain).ids if wanted else ())
        return defaultdict(self.browse, found.grouped("cartona_id"))
