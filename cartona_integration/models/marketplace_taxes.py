from odoo import _, api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import float_compare

from ..compat import TAX_EXCLUDED, TAX_INCLUDED
from ..exceptions import Hold

# Decimals of a rate worth telling apart.
RATE_DIGITS = 4


class MarketplaceTaxRate(models.Model):
    """Which of the company's taxes a rate in an account's messages means."""

    _name = "marketplace.tax.rate"
    _description = "Tax of a Marketplace Rate"
    _order = "account_id, rate"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade", index=True)
    company_id = fields.Many2one(related="account_id.company_id")
    rate = fields.Float(string="Rate %", required=True, digits=(16, RATE_DIGITS))
    account_tax_id = fields.Many2one(
        "account.tax",
        required=True,
        domain="[('type_tax_use', '=', 'sale'), ('company_id', 'parent_of', company_id)]",
        help="With the price or on top of it: the order decides, a tax of the other kind is found or made.",
    )

    @api.depends("rate", "account_tax_id")
    def _compute_display_name(self):
        for mapping in self:
            mapping.display_name = f"{mapping.rate:g} % → {mapping.account_tax_id.name}"

    @api.constrains("account_id", "rate")
    def _check_rate(self):
        for mapping in self:
            others = mapping.account_id.tax_rate_ids - mapping
            if any(not float_compare(mapping.rate, other.rate, RATE_DIGITS) for other in others):
                raise ValidationError(_("The rate %g %% stands in the table twice.", mapping.rate))

    @api.model_create_multi
    def create(self, vals_list):
        mappings = super().create(vals_list)
        mappings.account_id._wake("import")
        return mappings

    def write(self, vals):
        res = super().write(vals)
        self.account_id._wake("import")
        return res


class MarketplaceOrderProcessor(models.AbstractModel):
    """Finds the taxes of order lines by the account's rule."""

    _inherit = "marketplace.order.processor"

    def _taxes(self, account, order, position, line, product, memo):
        """Give a line's taxes, mapped for the customer, in the marketplace's convention.

        :param dict memo: remembers what was found in this run
        """
        if account.tax_policy == "none":
            return self.env["account.tax"]
        if account.tax_policy == "rate" and line.tax_rate is not None:
            taxes = self._taxes_of_rate(account, line.tax_rate)
        elif product in memo:
            taxes = memo[product]
        else:
            taxes = memo[product] = self._taxes_of_product(account, product)
        return self._mapped_taxes(account, order, position, taxes, memo)

    def _charge_taxes(self, account, order, position, charge, usual, memo):
        """Give a charge's taxes: those its product has, else of those it can be the ones that fit best.

        No message tells a charge's rate, only what tax lies in (or on top of) it.

        :param usual: the taxes of each of the order's lines
        """
        if account.tax_policy == "none" or not (charge.tax or self._is_included(account, order)):
            return self.env["account.tax"]
        if own := self._taxes_of_product(account, self._charge_product()):
            return self._mapped_taxes(account, order, position, own, memo)
        found = list(usual) if charge.tax else []
        if charge.tax and account.tax_policy == "rate":
            table = account.tax_rate_ids.account_tax_id
            found += [self._mapped_taxes(account, order, position, tax, memo) for tax in table]
        return min(
            found,
            key=lambda taxes: abs(self._tax_amount(taxes, charge.amount) - float(charge.tax)),
            default=self.env["account.tax"],
        )

    def _note_taxes(self, account, plans, sales):
        """Say on new orders that another tax is counted than over there; their total is right all the same.

        That the marketplace tells no tax may mean that it counts none, or that it does not tell.
        """
        for plan, sale in zip(plans, sales, strict=True):
            order = plan.order
            taxed = [it for it in (*order.lines, *order.charges) if it.tax]
            told = float(sum(it.tax for it in taxed))
            cents = sale.currency_id.rounding * (len(taxed) + 0.5)  # each is rounded over there
            if taxed and account.tax_policy != "none" and abs(told - sale.amount_tax) > cents:
                sale._message_log(
                    body=_(
                        "The marketplace counts %(theirs)s of tax, here it is %(ours)s. Check the account's "
                        "tax rule and the products' taxes.",
                        theirs=sale.currency_id.format(told),
                        ours=sale.currency_id.format(sale.amount_tax),
                    )
                )

    def _tax_amount(self, taxes, amount):
        return sum(tax["amount"] for tax in taxes.compute_all(float(amount))["taxes"])

    def _taxes_of_product(self, account, product):
        """Give a product's taxes of the account's company; a branch without own ones has its parent's."""
        return product.taxes_id._filter_taxes_by_company(account.company_id)

    def _is_included(self, account, order):
        """Tell whether the order's amounts contain the tax."""
        return account.prices_include_tax if order.prices_include_tax is None else order.prices_include_tax

    def _mapped_taxes(self, account, order, position, taxes, memo):
        """Give taxes as the customer and the marketplace's convention want them."""
        included = self._is_included(account, order)
        key = ("taxes", taxes, position, included)
        if key not in memo:
            taxes = position.map_tax(taxes)
            single = taxes.filtered(lambda tax: not tax.children_tax_ids) | taxes.children_tax_ids
            memo[key] = self.env["account.tax"].union(
                *(self._convention(account, tax, included) for tax in single)
            )
        return memo[key]

    def _taxes_of_rate(self, account, rate):
        """Give the account's tax of a rate; a rate of 0 needs none."""
        return account.tax_rate_ids.filtered(
            lambda mapping: not float_compare(mapping.rate, float(rate), RATE_DIGITS)
        ).account_tax_id

    def _check_taxes(self, account, lines):
        """Have a tax for every rate the message tells, where the account goes by these.

        :raise Hold: the account's table lacks some
        """
        if account.tax_policy != "rate":
            return
        rates = {line.tax_rate for line in lines if line.tax_rate}
        missing = [self._rate_key(rate) for rate in rates if not self._taxes_of_rate(account, rate)]
        if missing:
            raise Hold(
                _("The account has no tax for a rate of %s %%.", ", ".join(sorted(missing))),
                _("Add the rate to the account's tax table; the order is then imported by itself."),
                [("tax", key) for key in missing],
            )

    @api.model
    def _rate_key(self, rate):
        """Write a rate the same way whatever its spelling: 14, 14.0 and 14.00 are one."""
        return f"{float(rate):.{RATE_DIGITS}f}".rstrip("0").rstrip(".")

    def _convention(self, account, tax, included):
        """Give the tax of the same rate that is (not) included in the price, made when there is none."""
        if tax.price_include == included or not tax.amount:
            return tax
        twins = self.env["account.tax"].search(
            [
                ("company_id", "=", tax.company_id.id),
                ("type_tax_use", "=", "sale"),
                ("amount_type", "=", tax.amount_type),
                ("amount", "=", tax.amount),
            ]
        )
        twins = twins.filtered(
            lambda other: other.price_include == included and self._books(other) == self._books(tax)
        )
        return twins[:1] or self._create_twin(account, tax, included)

    @staticmethod
    def _books(tax):
        """Give where and when a tax is booked: another one of the same rate may be reported elsewhere.

        Superuser: the acting user has no accounting rights.
        """
        tax = tax.sudo()
        lines = tax.invoice_repartition_line_ids | tax.refund_repartition_line_ids
        return (
            tax.tax_group_id,
            tax.tax_exigibility,
            tax.cash_basis_transition_account_id,
            [
                (
                    line.document_type,
                    line.repartition_type,
                    line.factor_percent,
                    line.account_id,
                    line.tag_ids,
                )
                for line in lines
            ],
        )

    def _create_twin(self, account, tax, included):
        """Copy a tax, with its accounts and tags, for prices of the other convention.

        Superuser: the acting user has no accounting rights.
        """
        name = self._twin_name(tax, _("included") if included else _("on top"))
        twin = tax.sudo().copy({"name": name, **(TAX_INCLUDED if included else TAX_EXCLUDED)})
        account.sudo()._message_log(
            body=_(
                "Tax %(tax)s was made for the marketplace's prices, after %(model)s.",
                tax=name,
                model=tax.name,
            )
        )
        return twin.with_env(self.env)

    @staticmethod
    def _twin_name(tax, kind):
        """Give a name no tax has yet: there may be a twin that somebody books otherwise by now."""
        base = f"{tax.name} ({kind})"
        domain = [("company_id", "=", tax.company_id.id), ("name", "=like", f"{base}%")]
        taken = set(tax.sudo().with_context(active_test=False).search(domain).mapped("name"))
        names = (base, *(f"{base} {number}" for number in range(2, len(taken) + 2)))
        return next(name for name in names if name not in taken)
