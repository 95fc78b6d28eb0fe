from collections import defaultdict

from odoo import _, api, fields, models
from odoo.exceptions import ValidationError


class ProductProduct(models.Model):
    _inherit = "product.product"

    cartona_id = fields.Char(
        string="Marketplace Key",
        copy=False,
        index="btree_not_null",
        help="What the product is called on the marketplaces: Cartona's internal product id, or the SKU.",
    )

    @api.constrains("cartona_id", "product_tmpl_id")
    def _check_cartona_id(self):
        """Refuse a key twice in one company. Superuser: the other product may be out of the user's sight."""
        named = self.filtered("cartona_id")
        found = self.sudo()._search_marketplace_key(named.mapped("cartona_id"))
        for product in named:
            rivals = found.filtered(
                lambda other, product=product: (
                    other.cartona_id == product.cartona_id
                    and other.id != product.id
                    and (
                        other.company_id == product.company_id
                        or not other.company_id
                        or not product.company_id
                    )
                )
            )
            if rivals:
                raise ValidationError(
                    _(
                        "The marketplace key %(key)s already belongs to %(product)s.",
                        key=product.cartona_id,
                        product=rivals[0].display_name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        products = super().create(vals_list)
        products._note_marketplace_keys(vals_list)
        return products

    def write(self, vals):
        res = super().write(vals)
        self._note_marketplace_keys([vals])
        return res

    def _note_marketplace_keys(self, vals_list):
        """Wake the imports that may be waiting for a key that was filled in."""
        if any(vals.get("cartona_id") or vals.get("active") for vals in vals_list):
            self.env["marketplace.config"]._wake_held_imports()

    @api.model
    def _search_marketplace_key(self, keys):
        if not keys:
            return self.browse()
        return self.with_context(active_test=False).search([("cartona_id", "in", list(keys))])

    @api.model
    def _find_by_marketplace_key(self, account, keys):
        """Give {key: active products of the account's company or of none}; two products are a person's case.

        Later also looks at the account's links first; the callers need not change.
        """
        found = defaultdict(self.browse)
        domain = [
            ("cartona_id", "in", list(keys)),
            ("company_id", "in", (False, account.company_id.id)),
        ]
        for product in self.search(domain):
            found[product.cartona_id] |= product
        return found
