from odoo import _, api, fields, models
from odoo.exceptions import ValidationError

from .indexes import ensure_indexes
from .marketplace_mark import STOCK

TARGET = ("account_id", "categ_id", "product_tmpl_id")
# The rules of an account, of a category and of a product have the same names.
RULES = ("stock_buffer", "stock_percentage", "stock_maximum", "stock_minimum")


class MarketplaceAllocation(models.Model):
    """How much of a product, or of a category's, an account offers, instead of the account's rules."""

    _name = "marketplace.allocation"
    _description = "Marketplace Stock Rule"
    _check_company_auto = True
    _order = "account_id, product_tmpl_id, categ_id, id"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade", index=True)
    company_id = fields.Many2one(related="account_id.company_id")
    categ_id = fields.Many2one("product.category", string="Category", ondelete="cascade")
    product_tmpl_id = fields.Many2one(
        "product.template", string="Product", ondelete="cascade", check_company=True
    )
    stock_buffer = fields.Float(string="Safety Stock")
    stock_percentage = fields.Float(string="Share of Stock", default=100)
    stock_maximum = fields.Float(string="At Most", help="0: no limit.")
    stock_minimum = fields.Float(string="Sold Out Below")

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_allocation_target_uniq ON marketplace_allocation"
            " (account_id, coalesce(product_tmpl_id, 0), coalesce(categ_id, 0))",
        )

    @api.depends("account_id", "categ_id", "product_tmpl_id")
    def _compute_display_name(self):
        for rule in self:
            target = rule.product_tmpl_id.display_name or rule.categ_id.display_name
            rule.display_name = f"{rule.account_id.name}: {target}"

    @api.constrains("account_id", "categ_id", "product_tmpl_id")
    def _check_target(self):
        for rule in self:
            if bool(rule.categ_id) == bool(rule.product_tmpl_id):
                raise ValidationError(_("A stock rule is for a category or for a product."))

    @api.constrains(*RULES)
    def _check_numbers(self):
        for rule in self:
            if not 0 <= rule.stock_percentage <= 100:
                raise ValidationError(_("The share of stock takes 0 to 100 per cent."))
            if min(rule.stock_buffer, rule.stock_maximum, rule.stock_minimum) < 0:
                raise ValidationError(_("Limits of stock and prices cannot be negative."))

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._refuse_double(vals)
        rules = super().create(vals_list)
        rules._note_change()
        return rules

    def write(self, vals):
        self._note_change()
        res = super().write(vals)
        self._note_change()
        return res

    def unlink(self):
        self._note_change()
        return super().unlink()

    def _refuse_double(self, vals):
        """Say in words, before it happens, what the unique index would refuse."""
        same = [(name, "=", vals.get(name) or False) for name in TARGET]
        if double := self.search(same, limit=1):
            raise ValidationError(_("There is a stock rule for %s already.", double.display_name))

    def _note_change(self):
        """Have the quantities computed anew. Superuser: managers need not see marks."""
        marks = self.env["marketplace.mark"].sudo()
        marks._note(STOCK, self.product_tmpl_id)
        marks._note(STOCK, self.categ_id)
