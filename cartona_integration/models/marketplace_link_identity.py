from odoo import _, api, models
from odoo.exceptions import ValidationError

from .marketplace_product_link import IDENTIFIES


class MarketplaceProductLink(models.Model):
    """Says in words, before it happens, what the unique indexes would refuse."""

    _inherit = "marketplace.product.link"

    def _identity_with(self, vals):
        """Give what identifies the listing once these values are written."""
        record = {name: self._fields[name].convert_to_write(self[name], self) for name in IDENTIFIES}
        return {**record, **{name: vals[name] for name in IDENTIFIES & set(vals)}}

    def _is_renamed(self, vals):
        """Tell whether values change what identifies the listing."""
        return any(
            self._fields[name].convert_to_write(self[name], self) != (vals[name] or False)
            for name in IDENTIFIES & set(vals)
        )

    @api.model
    def _identities(self, row):
        """Give the three things of which an account has one each, those there are.

        :param dict row: values of a listing's fields
        """
        account, pack = row.get("account_id"), row.get("pack_uom_id") or False
        if row.get("external_id"):
            yield "external_id", account, row["external_id"]
        if row.get("product_id"):
            yield "product_id", account, (row["product_id"], pack)
        if row.get("key") and not row.get("external_id"):
            yield "key", account, row["key"]

    def _refuse_doubles(self, rows):
        """Refuse listings that are there, or that come twice.

        :param rows: list of values of listings that are about to be; those of ``self`` change to them
        :raise ValidationError: with words a person understands
        """
        known = {
            identity: other
            for other in self._rivals(rows) - self
            for identity in self._identities(other._identity_with({}))
        }
        for row in rows:
            for identity in self._identities(row):
                if identity in known:
                    raise ValidationError(self._why_double(identity, known[identity]))
                known[identity] = self.browse()

    def _rivals(self, rows):
        """Give the listings that share something with the rows. Superuser: a product may be out of sight."""
        wanted = {
            name: [row[name] for row in rows if row.get(name)]
            for name in ("external_id", "product_id", "key")
        }
        if not any(wanted.values()):
            return self.browse()
        accounts = [row.get("account_id") for row in rows]
        shared = [(name, "in", values) for name, values in wanted.items()]
        return self.sudo().search([("account_id", "in", accounts), "|", "|", *shared])

    def _why_double(self, identity, other):
        """Say which listing or product is linked already, and where.

        :param other: the link that has it; empty: another row of the same import
        """
        name, account_id, value = identity
        account = self.env["marketplace.config"].sudo().browse(account_id).name
        if not other:
            shown = (
                self.env["product.product"].browse(value[0]).display_name if name == "product_id" else value
            )
            return _("%(value)s comes twice for %(account)s.", value=shown, account=account)
        product = other.product_id.display_name or _("no product")
        listing = other.external_id or other.key
        if name == "product_id":
            return _(
                "%(product)s is already linked on %(account)s, with listing %(listing)s. Another listing of "
                "it has to be sold in another unit.",
                product=product,
                account=account,
                listing=listing,
            )
        return _(
            "Listing %(listing)s of %(account)s is already linked, with %(product)s.",
            listing=value,
            account=account,
            product=product,
        )
