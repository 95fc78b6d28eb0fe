from odoo import _, api, fields, models
from odoo.exceptions import ValidationError


class MarketplaceConfig(models.Model):
    """How much of the free stock an account offers, and which prices it does not send unasked."""

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
    price_jump = fields.Float(
        help="A price that changes by more per cent waits for approval. 0: every change is sent.",
    )
    price_floor = fields.Selection(
        [("none", "No floor"), ("cost", "The product's cost")],
        default="none",
        required=True,
        help="A price below the floor waits for approval.",
    )

    @api.constrains("stock_percentage", "stock_maximum", "stock_minimum", "price_jump")
    def _check_allocation(self):
        for account in self:
            if not 0 <= account.stock_percentage <= 100:
                raise ValidationError(_("The share of stock takes 0 to 100 per cent."))
            if min(account.stock_maximum, account.stock_minimum, account.price_jump) < 0:
                raise ValidationError(_("Limits of stock and prices cannot be negative."))

    def _converts_prices(self):
        """Tell whether Odoo can tell prices in the account's currency."""
        company = self.company_id
        if self.currency_id == company.currency_id:
            return True
        # Superuser: the acting user need not be able to read rates.
        rates = self.env["res.currency.rate"].sudo()
        domain = [("currency_id", "=", self.currency_id.id), ("company_id", "in", (False, company.id))]
        return bool(rates.search_count(domain, limit=1))

    def _offered(self, free):
        """Give how much of a free quantity the account offers, in the product's unit."""
        return self._all_offered({None: free})[None]

    def _all_offered(self, free):
        """Give {product id: offered quantity}: safety stock first, then the share, then the limits.

        :param dict free: {product id: free quantity}
        """
        buffer, share, minimum = self.stock_buffer, self.stock_percentage, self.stock_minimum
        maximum = self.stock_maximum or float("inf")
        offered = {
            product_id: min(max(0.0, quantity - buffer) * share / 100, maximum)
            for product_id, quantity in free.items()
        }
        return {
            product_id: 0.0 if quantity < minimum else quantity for product_id, quantity in offered.items()
        }

    def _explain_offered(self, free):
        """Tell the rules that make the offered quantity differ from the free one."""
        lines = []
        if self.stock_buffer:
            lines.append(_("− %g safety stock", self.stock_buffer))
        if self.stock_percentage != 100:
            lines.append(_("× %g %% share", self.stock_percentage))
        if self.stock_maximum:
            lines.append(_("at most %g", self.stock_maximum))
        if self.stock_minimum:
            lines.append(_("sold out below %g", self.stock_minimum))
        return lines
