from odoo import api, fields, models

# What the marketplace says of an order's money, by our field; 0 is news, too.
AMOUNTS = {
    "marketplace_to_collect": "to_collect",
    "marketplace_receivable": "receivable",
    "marketplace_payable": "payable",
    "marketplace_credit": "credit",
    "marketplace_installment": "installment",
    "marketplace_top_up": "top_up",
    "marketplace_discount": "marketplace_discount",
}


class SaleOrder(models.Model):
    """What an order's three sums are made of, and whether they fit its total."""

    _inherit = "sale.order"

    marketplace_credit = fields.Monetary(
        string="Paid by Credit",
        readonly=True,
        copy=False,
        help="The marketplace pays it to us for the customer.",
    )
    marketplace_installment = fields.Monetary(
        string="Paid by Instalments",
        readonly=True,
        copy=False,
        help="The customer pays it to the marketplace later, the marketplace to us.",
    )
    marketplace_top_up = fields.Monetary(
        string="Wallet Top-up",
        readonly=True,
        copy=False,
        help="The customer pays it to us at the door for his wallet, we to the marketplace.",
    )
    marketplace_discount = fields.Monetary(
        string="Marketplace's Discount",
        readonly=True,
        copy=False,
        help="The part of the discounts that the marketplace pays to us.",
    )
    marketplace_money_difference = fields.Monetary(
        string="Not Accounted For",
        compute="_compute_marketplace_money_difference",
        help="Collected + due from the marketplace - due to it - its discount, less the order's total: not 0 "
        "where the total changed here and the marketplace has not said so yet.",
    )
    marketplace_needs_code = fields.Boolean(
        readonly=True,
        copy=False,
        help="The marketplace takes the delivery only with the code the customer has.",
    )
    marketplace_url = fields.Char(string="At the Marketplace", readonly=True, copy=False)

    @api.depends("amount_total", *AMOUNTS)
    def _compute_marketplace_money_difference(self):
        for order in self:
            difference = 0.0
            if order.marketplace_config_id and any(order[name] for name in AMOUNTS):
                told = order.marketplace_to_collect + order.marketplace_receivable
                told -= order.marketplace_payable + order.marketplace_discount
                difference = told - (order.amount_untaxed if order._is_total_net() else order.amount_total)
            order.marketplace_money_difference = order.currency_id.round(difference) if difference else 0.0

    def _is_total_net(self):
        """Tell whether the marketplace's total is without tax: it says nothing of tax, the account says so.

        Superuser: sellers see no accounts.
        """
        told = (self.marketplace_told or {}).get("prices_include_tax")
        return told is None and not self.sudo().marketplace_config_id.prices_include_tax

    def _prepare_invoice(self):
        """Have the invoice name the marketplace's order, whatever became of the customer's reference."""
        values = super()._prepare_invoice()
        number = self.marketplace_order_number or self.cartona_id
        if self.marketplace_config_id and number and number not in (values.get("ref") or ""):
            values["ref"] = f"{values['ref']} ({number})" if values.get("ref") else number
        return values


class MarketplaceOrderProcessor(models.AbstractModel):
    _inherit = "marketplace.order.processor"

    def _prepare_header(self, account, order):
        return {**super()._prepare_header(account, order), **self._prepare_money(order)}

    def _prepare_header_news(self, sale, order):
        """Take what became 0 or no, too; what a message does not tell stays."""
        told = {name: value for name, value in self._prepare_money(order).items() if value is not None}
        return {**super()._prepare_header_news(sale, order), **told}

    def _prepare_money(self, order):
        values = {name: getattr(order, told) for name, told in AMOUNTS.items()}
        return values | {"marketplace_needs_code": order.needs_code, "marketplace_url": order.url}
