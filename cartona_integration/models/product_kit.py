from collections import defaultdict

from odoo import api, models
from odoo.tools import float_round

from ..compat import is_storable

# What of products' stock depends on each other: what is in them, where they are kits, and all kits, and kits
# of kits, that any of this is in. The application that makes kits may not be there.
WITH_KITS = """
    WITH RECURSIVE inside (id) AS (
        SELECT unnest(%(ids)s)
         UNION
        SELECT line.product_id
          FROM inside
          JOIN product_product product ON product.id = inside.id
          JOIN mrp_bom bom ON bom.product_tmpl_id = product.product_tmpl_id AND bom.type = 'phantom'
               AND bom.active AND coalesce(bom.product_id, product.id) = product.id
          JOIN mrp_bom_line line ON line.bom_id = bom.id
    ), reached (id) AS (
        SELECT id FROM inside
         UNION
        SELECT product.id
          FROM reached
          JOIN mrp_bom_line line ON line.product_id = reached.id
          JOIN mrp_bom bom ON bom.id = line.bom_id AND bom.type = 'phantom' AND bom.active
          JOIN product_product product ON product.product_tmpl_id = bom.product_tmpl_id
               AND coalesce(bom.product_id, product.id) = product.id
    )
    SELECT id FROM reached
"""


class ProductProduct(models.Model):
    """Kits: what is sold under one name and taken from stock in parts. Known when ``mrp`` is installed."""

    _inherit = "product.product"

    @api.model
    def _knows_kits(self):
        return "mrp.bom" in self.env

    def _with_kits(self):
        """Give the products, what is in them and the kits all these are in."""
        if not (self and self._knows_kits()):
            return self
        self.env.flush_all()
        self.env.cr.execute(WITH_KITS, {"ids": self.ids})
        return self.browse([product_id for [product_id] in self.env.cr.fetchall()])

    def _kit_contents(self, company):
        """Give {kit: {component: how many of it make one kit}} of the kits among the products.

        Only what is counted in stock limits a kit; each in its own unit. Superuser: the acting user sees no
        bills of materials.
        """
        if not (self and self._knows_kits()):
            return {}
        boms = self.env["mrp.bom"].sudo()
        found = boms._bom_find(self, company_id=company.id, bom_type="phantom")
        return {kit: kit._contents_of(bom) for kit, bom in found.items() if bom}

    def _contents_of(self, bom):
        """Give {component: how many of it make one piece of this kit}."""
        made = bom.product_uom_id._compute_quantity(bom.product_qty, self.uom_id, round=False)
        contents = defaultdict(float)
        for line, data in bom.explode(self, 1)[1]:
            component = line.product_id
            quantity = line.product_uom_id._compute_quantity(data["qty"], component.uom_id, round=False)
            if quantity and is_storable(component):
                contents[component] += quantity / made
        return dict(contents)

    @api.model
    def _unpacked(self, figures, contents):
        """Turn quantities of kits into quantities of what is in them.

        :param dict figures: {product id: quantity}
        :param dict contents: as :meth:`_kit_contents` gives it
        """
        unpacked = defaultdict(float, figures)
        for kit, components in contents.items():
            kits = unpacked.pop(kit.id, 0.0)
            for component, quantity in components.items():
                unpacked[component.id] += kits * quantity
        return unpacked

    @api.model
    def _kits_of(self, free, components):
        """Give how many whole kits can be made of free components."""
        kits = min(free[component.id] / quantity for component, quantity in components.items())
        return float_round(kits, precision_digits=0, rounding_method="DOWN")
