from odoo import _, models

from .. import compat

SAME = 1e-6


class ProductProduct(models.Model):
    """Packs: what a listing of several pieces is sold in, as a unit of measure."""

    _inherit = "product.product"

    def _marketplace_pack(self, count, unit=None):
        """Give the unit that holds so many of the product's own; it is made when there is none.

        Superuser: whoever links listings need not be able to make units.

        :param float count: of the product's unit
        :param str unit: what the marketplace calls it
        """
        own = self.uom_id.sudo()
        ratio, name = (
            compat.pack_ratio(own, count),
            _("%(unit)s of %(count)g", unit=unit or _("Pack"), count=count),
        )
        alike = own.search(compat.pack_domain(own, ratio * (1 - SAME), ratio * (1 + SAME)), order="id")
        links = self.env["marketplace.product.link"]
        known = alike.filtered(lambda other: links._is_convertible(own, other))[:1]
        return (known or own.create({"name": name, **compat.pack_values(own, count)})).sudo(False)
