from odoo import _, api, fields, models
from odoo.exceptions import ValidationError


class MarketplaceConfig(models.Model):
    """How much of the free stock an account offers."""

    _inherit = "marketplace.config"

    stock_percentage = fields.Float(
        string="Share of Stock", default=100, help="Per cent of what is free, the rest is for others."
    )
    stock_maximum = fields.Float(
        string="At Most", help="Never offer more of a product, in its unit. 0: no limit."
    )
    stock_minimum = fields.Float(
        string="Sold Out Below", help="Offer 0 when less than this is left to offer, in the product's unit."
    )

    @api.constrains("stock_percentage", "stock_maximum", "stock_minimum", "price_jump")
    def _check_allocation(self):
        for account in self:
            if not 0 <= account.stock_percentage <= 100:
                raise ValidationError(_("The share of stock takes 0 to 100 per cent."))
            if min(account.stock_maximum, account.stock_minimum, account.price_jump) < 0:
                raise ValidationError(_("Limits of stock and prices cannot be negative."))

    def _all_offered(self, free):
        """Give {product id: offered quantity}, each by the rule that counts for the product.

        :param dict free: {product id: free quantity}
        """
        left = self._left_for(free)
        products = self.env["product.product"].browse(left if self.allocation_ids else ())
        rules, usual = {product.id: self._rule_of(product) for product in products}, self._limits(self)
        limits = {product_id: self._limits(rule) for product_id, rule in rules.items()}
        return {
            product_id: self._offered(quantity, *limits.get(product_id, usual))
            for product_id, quantity in left.items()
        }

    @api.model
    def _limits(self, rule):
        """Give the limits of a record of rules, see :meth:`_rule_of`."""
        return rule.stock_buffer, rule.stock_percentage, rule.stock_minimum, rule.stock_maximum

    @api.model
    def _offered(self, free, buffer, percentage, minimum, maximum):
        """Give how much of a free quantity is offered, in the product's unit.

        Safety stock first, then the share, then the limits.
        """
        offered = max(0.0, free - buffer) * percentage / 100
        if maximum:
            offered = min(offered, maximum)
        return 0.0 if offered < minimum else offered
