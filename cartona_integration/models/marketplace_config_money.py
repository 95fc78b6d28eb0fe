from decimal import Decimal

from odoo import _, api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import float_compare, float_round


class MarketplaceConfig(models.Model):
    """What an account's figures of money mean: in which currency, with or without tax."""

    _inherit = "marketplace.config"

    pricelist_id = fields.Many2one(
        "product.pricelist",
        check_company=True,
        ondelete="restrict",
        help="The account's orders are in its currency; the prices themselves come from the marketplace.",
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
        help="Currency of orders whose message names none.",
    )
    prices_include_tax = fields.Boolean(
        default=True,
        help="Whether the marketplace's prices contain the sales tax, when the message is silent.",
    )
    price_rounding = fields.Float(
        string="Round Prices To",
        help="What is sent is a multiple of this, such as 0.25 or 5. 0: as the currency has it.",
    )
    tax_policy = fields.Selection(
        [
            ("product", "Taxes of the product"),
            ("rate", "By the rate in the message"),
            ("none", "No taxes on the lines"),
        ],
        default="product",
        required=True,
        help="By the rate: each percentage the marketplace sends means one of your taxes, see the table; "
        "where it sends none, the product's taxes count.",
    )

    @api.depends("company_id", "pricelist_id.currency_id", "dialect")
    def _compute_currency_id(self):
        for account in self:
            account.currency_id = (
                account.pricelist_id.currency_id or account.currency_id or account.company_id.currency_id
            )

    @api.constrains("price_rounding", "currency_id", "pricelist_id")
    def _check_price_rounding(self):
        if any(account.price_rounding < 0 for account in self):
            raise ValidationError(_("Limits of stock and prices cannot be negative."))
        for account in self:
            rounding, currency = account.price_rounding, account.currency_id
            if float_compare(currency.round(rounding), rounding, precision_digits=6):
                raise ValidationError(
                    _(
                        "Prices in %(currency)s are multiples of %(step)g: they cannot be rounded to "
                        "%(rounding)g.",
                        currency=currency.name,
                        step=currency.rounding,
                        rounding=rounding,
                    )
                )

    @api.constrains("currency_id", "pricelist_id", "company_id")
    def _check_currency_id(self):
        for account in self:
            ordered = account.pricelist_id.currency_id or account.company_id.currency_id
            if account.currency_id != ordered:
                raise ValidationError(
                    _(
                        "Orders in %(currency)s need a pricelist in %(currency)s: choose one on the account.",
                        currency=account.currency_id.name,
                    )
                )

    def write(self, vals):
        """The same figure is another price in another currency: the marketplace has not taken that one."""
        before = {account: account.currency_id for account in self}
        res = super().write(vals)
        self.filtered(lambda account: account.currency_id != before[account])._forget_acknowledged()
        return res

    def _choose_pricelist(self):
        """Let a platform with a currency of its own have its orders in it, also in a company with another.

        Superuser: managers need not be able to activate currencies.
        """
        code = self._dialect().default_currency
        if self.pricelist_id or code in (None, self.company_id.currency_id.name):
            return
        currency = (
            self.env["res.currency"].sudo().with_context(active_test=False).search([("name", "=", code)])
        )
        currency.active = True
        self.pricelist_id = self._pricelist_in(currency)

    def _pricelist_in(self, currency):
        """Give a pricelist that makes orders be in a currency; prices always come from the marketplace.

        Superuser: neither managers nor the acting user need be able to make pricelists.

        :return: none where the company's own currency needs none
        """
        if self.pricelist_id.currency_id == currency or currency == self.company_id.currency_id:
            return self.pricelist_id.filtered(lambda pricelist: pricelist.currency_id == currency)
        pricelists = self.env["product.pricelist"].sudo()
        domain = [
            ("currency_id", "=", currency.id),
            ("company_id", "in", (False, self.company_id.id)),
        ]
        return pricelists.search(domain, limit=1) or pricelists.create(
            {
                "name": _("Marketplaces (%s)", currency.name),
                "currency_id": currency.id,
                "company_id": self.company_id.id,
            }
        )

    def _unrated_currencies(self):
        """Give the currencies prices may be in of which the account's company has no rate.

        Odoo converts these at 1 : 1. A shared product's price is in another company's currency, a base
        pricelist's in its own. Superuser: the acting user need not be able to read rates.
        """
        everything, company = self.sudo().with_context(active_test=False).env, self.company_id
        used = self.currency_id | self._base_pricelists().currency_id
        for [currency] in everything["res.company"]._read_group([], ["currency_id"]):
            used |= used.browse(currency.id)
        foreign = used - company.currency_id
        domain = [("currency_id", "in", foreign.ids), ("company_id", "in", (False, company.root_id.id))]
        rates = everything["res.currency.rate"]._read_group(domain, ["currency_id"]) if foreign else []
        return foreign - used.browse([currency.id for [currency] in rates])

    def _base_pricelists(self):
        """Give the pricelists the account's prices may be based on, through others or not.

        For another one's currency no price has to be traced. Superuser: as above.
        """
        items = self.env["product.pricelist.item"].sudo().with_context(active_test=False)
        found = further = self.pricelist_id.sudo()
        while further:
            domain = [("pricelist_id", "in", further.ids), ("base", "=", "pricelist")]
            groups = items._read_group(domain, ["base_pricelist_id"])
            further = found.browse().union(*[pricelist for [pricelist] in groups]) - found
            found |= further
        return found

    def _listed_price(self, product, price):
        """Give a sales price in the account's tax convention, rounded as the account says.

        :return: Decimal
        """
        return self._listed_prices([(product, price)])[product]

    def _untaxed(self, product, price):
        """Give what is left of a sales price when the tax in it is paid."""
        if self.tax_policy == "none":
            return price
        taxes = product.product_tmpl_id.taxes_id._filter_taxes_by_company(self.company_id)
        return taxes.compute_all(price, currency=self.currency_id, product=product)["total_excluded"]

    def _net_of_listed(self, product, net, listed):
        """Give what a price comes to before taxes that was rounded for the marketplace.

        :param float net: the price before taxes that it was made of
        :param Decimal listed: what is sent
        """
        exact = self._listed_prices([(product, net)], is_rounded=False)[product]
        return net * float(listed) / exact if exact else net

    def _listed_prices(self, prices, is_rounded=True):
        """Give {product: price}, see :meth:`_listed_price`.

        :param prices: list of (product, price before taxes)
        """
        company, currency, taxed = self.company_id, self.currency_id, self.tax_policy != "none"
        total = "total_included" if self.prices_include_tax else "total_excluded"
        rounding, places, listed = max(self.price_rounding, currency.rounding), currency.decimal_places, {}
        for product, net in prices:
            price = net
            taxes = product.product_tmpl_id.taxes_id if taxed else None
            if taxes and (ours := taxes._filter_taxes_by_company(company)):
                price = ours.compute_all(net, currency=currency, product=product)[total]
            if not is_rounded:
                listed[product] = price
                continue
            rounded = float_round(price, precision_rounding=rounding)
            listed[product] = Decimal(f"{rounded:.{places}f}")
        return listed
