from odoo import api, fields, models

from ..compat import STORABLE
from .marketplace_mark import PRICE, STOCK

# What a listing's figures follow from, beside stock itself.
FIGURES = {
    PRICE: {"list_price", "taxes_id", "uom_id", "company_id", "categ_id"},
    STOCK: {"active", "sale_ok", "uom_id", "company_id", "categ_id", *STORABLE},
}


class ProductTemplate(models.Model):
    _name = "product.template"
    _inherit = ["product.template", "marketplace.listed.mixin"]
    _marketplace_of_link = "product_id.product_tmpl_id"

    cartona_id = fields.Char(
        string="Marketplace Key",
        compute="_compute_cartona_id",
        inverse="_inverse_cartona_id",
        search="_search_cartona_id",
        help="What the product is called on the marketplaces. With several variants each has its own.",
    )

    marketplace_link_ids = fields.One2many(
        "marketplace.product.link",
        string="Listings",
        compute="_compute_marketplace_link_ids",
        groups="cartona_integration.group_marketplace_user",
    )

    @api.depends("product_variant_ids.marketplace_link_ids")
    @api.depends_context("allowed_company_ids", "uid")
    def _compute_marketplace_link_ids(self):
        found = self._marketplace_links()
        for template in self:
            template.marketplace_link_ids = found[template._origin.id]

    @api.model
    def _marketplace_listed(self, *domain):
        """Count archived variants as well; "active or not" as a condition is no condition to Odoo 19."""
        templates = self.with_context(active_test=False)
        listed = [("product_variant_ids", "any", [super()._marketplace_listed(*domain)])]
        return ("id", "in", templates._search(listed))

    def _marketplace_variants(self):
        return self.product_variant_ids

    @api.depends("product_variant_ids.cartona_id")
    def _compute_cartona_id(self):
        for template in self:
            variants = template.product_variant_ids
            template.cartona_id = variants.cartona_id if len(variants) == 1 else False

    def _inverse_cartona_id(self):
        for template in self:
            if len(template.product_variant_ids) == 1:
                template.product_variant_ids.cartona_id = template.cartona_id

    def _search_cartona_id(self, operator, value):
        return [("product_variant_ids.cartona_id", operator, value)]

    @api.constrains("company_id")
    def _check_cartona_id(self):
        """A key may stand in two companies: it meets its double when a product changes company."""
        self.with_context(active_test=False).product_variant_ids._check_cartona_id()

    def write(self, vals):
        res = super().write(vals)
        # Superuser: whoever edits a product need not see marks.
        marks = self.env["marketplace.mark"].sudo()
        for kind, figures in FIGURES.items():
            if figures & set(vals):
                marks._note(kind, self)
        if STORABLE.keys() & vals.keys():  # of a kit, only what is counted in stock limits how many there are
            marks._note(STOCK, self.with_context(active_test=False).product_variant_ids)
        return res

    def unlink(self):
        """Delete; the database deletes the variants, and nobody else is told of it."""
        self.with_context(active_test=False).product_variant_ids._note_marketplace_withdrawal()
        return super().unlink()

    def _get_related_fields_variant_template(self):
        return [*super()._get_related_fields_variant_template(), "cartona_id"]


class ProductTemplateAttributeValue(models.Model):
    _inherit = "product.template.attribute.value"

    def write(self, vals):
        """A variant's extra price is part of its price. Superuser: whoever edits it need not see marks."""
        res = super().write(vals)
        if "price_extra" in vals:
            self.env["marketplace.mark"].sudo()._note(PRICE, self.product_tmpl_id)
        return res
