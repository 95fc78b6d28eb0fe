from odoo import _, api, fields, models
from odoo.tools import float_is_zero

from .figures import SAME, tell, tell_price

# What Odoo's own rules of pricelists begin with.
BASES = ("list_price", "standard_price", "pricelist", False)


class MarketplaceProductLink(models.Model):
    """How a listing's figures come about, as of now: sums as people would write them.

    They tell the steps of Odoo's pricelists and of what is sent, and each ends with the very figure the
    listing should show.
    """

    _inherit = "marketplace.product.link"

    explanation = fields.Text(
        compute="_compute_explanation", help="How the price and the quantity come about, as of now."
    )

    def action_explain(self):
        """Open what the listing shows, and why, beside the page it was asked for on."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.display_name,
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
            "target": "new",
        }

    def _compute_explanation(self):
        for link in self:
            lines = []
            if link._without_unit():
                lines = [self._why_without_unit()]
            elif link._goods():
                lines = [*link._explain_price(), "", *link._explain_stock()]
            elif link.state == "linked":
                lines = [_("There is no product the account could sell: 0 offered")]
            if lines and (silence := link._explain_silence()):
                lines += ["", *silence]
            link.explanation = "\n".join(lines)

    def _explain_silence(self):
        """Tell what keeps these figures from being sent."""
        account, lines = self.account_id, []
        if account.state != "live":
            lines.append(_("Nothing of this is sent: the account is not live."))
        if self.is_paused:
            lines.append(_("Nothing of this is sent: the listing is paused."))
        if not account.auto_sync_prices:
            lines.append(_("The account sends changed prices only when somebody asks for it."))
        if not account.auto_sync_stock:
            lines.append(_("The account sends changed stock only when somebody asks for it."))
        return lines

    # -- the price --------------------------------------------------------------------------------

    def _explain_price(self):
        """Tell the price: what it is based on, the rules, the tax, the rounding."""
        account, product, pack = self.account_id, self.product_id, self.pack_uom_id
        [(net, _rule_id)] = product._marketplace_prices(account, pack).values()
        pricelist, currency = account.pricelist_id.with_company(account.company_id), account.currency_id
        lines = self._explain_pricelist(pricelist, currency, fields.Datetime.now())
        lines += account._explain_taxes(product, net)
        price = float(account._listed_price(product, net))
        told = tell_price(self.env, price, currency)
        lines.append(_("= %(price)s per %(unit)s", price=told, unit=(pack or product.uom_id).name))
        if self.held_price:
            lines.append(_("held back until somebody approves it"))
        return lines

    def _explain_pricelist(self, pricelist, currency, when):
        """Tell a price of a pricelist: what it is based on, and each rule on the way.

        :param pricelist: empty: the sales price
        :param currency: of the price that is told
        """
        product = self.product_id.with_company(self.account_id.company_id)
        unit = self.pack_uom_id or product.uom_id
        found = pricelist._compute_price_rule(product, 1.0, uom=unit, currency=currency, date=when)
        price, rule_id = found[product.id]
        rule = self.env["product.pricelist.item"].browse(rule_id or ())
        if rule.compute_price == "fixed" or not self._is_told(rule):
            lines = []
        elif rule.base == "pricelist" and rule.base_pricelist_id:
            base = rule.base_pricelist_id
            lines = self._explain_pricelist(base, base.currency_id, when)
            if base.currency_id != currency:
                based = base._get_product_price(product, 1.0, uom=unit, date=when)
                lines[-1] += self._explain_conversion(based, base.currency_id, currency, when)
        else:
            lines = [self._explain_base(product, rule.base or "list_price", currency, when)]
        if rule:
            told = {"pricelist": pricelist.name, "rule": self._explain_rule(rule)}
            lines.append(
                _(
                    "pricelist %(pricelist)s, %(rule)s: %(price)s",
                    price=tell_price(self.env, price, currency),
                    **told,
                )
            )
        return lines

    def _explain_base(self, product, base, currency, when):
        """Tell the price all rules begin with, in the unit and currency it is needed in."""
        name, price, own = _("sales price"), product.lst_price, product.currency_id
        if base == "standard_price":
            name, price, own = _("cost"), product.standard_price, product.cost_currency_id
        told = tell_price(self.env, price, own)
        if base != "standard_price" and (extra := price - product.list_price):
            told = _(
                "%(price)s + %(extra)s for the variant = %(total)s",
                price=tell(self.env, product.list_price, own.decimal_places),
                extra=tell(self.env, extra, own.decimal_places),
                total=told,
            )
        if self.pack_uom_id:
            price = product.uom_id._compute_price(price, self.pack_uom_id)
            told = f"{told}{self._times_pack()} = {tell_price(self.env, price, own)}"
        if own != currency:
            told += self._explain_conversion(price, own, currency, when)
        return f"{name}: {told}"

    def _explain_conversion(self, price, source, target, when):
        converted = source._convert(price, target, self.account_id.company_id, when, round=False)
        return f" = {tell_price(self.env, converted, target)}"

    def _explain_rule(self, rule):
        """Tell what a pricelist's rule does."""
        if not self._is_told(rule):
            return _("a rule of another kind")
        return {
            "fixed": self._explain_fixed,
            "percentage": self._explain_percentage,
            "formula": self._explain_formula,
        }[rule.compute_price](rule)

    @api.model
    def _is_told(self, rule):
        """Tell whether a rule is of Odoo's own kinds: what others compute, and from what, only they know."""
        own = rule.compute_price in ("percentage", "formula") and rule.base in BASES
        return not rule or rule.compute_price == "fixed" or own

    def _explain_fixed(self, rule):
        return _("fixed price %s", self._in_pack(rule, rule.fixed_price))

    def _explain_percentage(self, rule):
        return self._explain_discount(rule.percent_price)

    def _explain_formula(self, rule):
        parts = [self._explain_discount(rule.price_discount)] if rule.price_discount else []
        if rule.price_round:
            parts.append(_("rounded to %s", tell(self.env, rule.price_round)))
        if rule.price_surcharge:
            sign = "−" if rule.price_surcharge < 0 else "+"
            parts.append(f"{sign} {self._in_pack(rule, abs(rule.price_surcharge))}")
        if rule.price_min_margin:
            parts.append(_("at least %s more than before", self._in_pack(rule, rule.price_min_margin)))
        if rule.price_max_margin:
            parts.append(_("at most %s more than before", self._in_pack(rule, rule.price_max_margin)))
        return ", ".join(parts) or _("the same")

    @api.model
    def _explain_discount(self, percentage):
        sign = "+" if percentage < 0 else "−"
        return f"{sign} {tell(self.env, abs(percentage))} %"

    def _in_pack(self, rule, amount):
        """Write an amount that a rule has for each of the product's own units."""
        return tell_price(self.env, amount, rule.currency_id) + self._times_pack()

    def _times_pack(self):
        if not self.pack_uom_id:
            return ""
        return f" × {tell(self.env, self._pack_count())}"

    def _pack_count(self):
        return self.pack_uom_id._compute_quantity(1.0, self.product_id.uom_id, round=False)

    # -- the quantity -----------------------------------------------------------------------------

    def _explain_stock(self):
        """Tell the quantity: what is there, what of it is wanted already, and the account's rules."""
        account, product, pack = self.account_id, self.product_id, self.pack_uom_id
        if not account.stock_warehouse_ids:
            return [self._why_without_warehouse()]
        if unsold := self._unsold(product):
            return [_("%s is archived or not for sale: 0 offered", unsold.display_name)]
        free = product._marketplace_free(account).get(product.id)
        if free is None:
            return [_("Not counted in stock: it never sells out.")]
        contents = product._kit_contents(account.company_id).get(product)
        lines = self._explain_kit(contents) if contents else self._explain_parts(product)
        lines.append(_("= %s free", tell(self.env, free)))
        lines += account._explain_offered(product, free)
        if pack:
            lines.append(
                _(
                    "÷ %(count)s in each %(pack)s, rounded down",
                    count=tell(self.env, self._pack_count()),
                    pack=pack.name,
                )
            )
        offered = account._all_offered({product.id: free})
        offered = self._stock(product, offered, unsold, pack)["quantity"]
        unit = (pack or product.uom_id).name
        return [
            *lines,
            _("= %(quantity)s %(unit)s offered", quantity=tell(self.env, int(offered)), unit=unit),
        ]

    def _explain_parts(self, product):
        """Tell what a product's free quantity is made of: each warehouse, then what is wanted already."""
        _on_hand, *wanted = product._marketplace_parts(self.account_id)
        figures = [(name, parts.get(product.id, 0.0)) for name, _sign, parts in wanted]
        return self._explain_on_hand(product) + [
            f"− {tell(self.env, quantity)} {name}" for name, quantity in figures if quantity
        ]

    def _explain_on_hand(self, product):
        """Tell what is in each of the account's warehouses. Superuser: clerks need not see stock."""
        warehouses = self.account_id.sudo().stock_warehouse_ids
        quants = self.env["stock.quant"].sudo()
        domain = [("product_id", "=", product.id), ("location_id.usage", "=", "internal")]
        return [
            self._explain_warehouse(
                warehouse,
                quants.search([*domain, ("location_id", "child_of", warehouse.view_location_id.ids)]),
            )
            for warehouse in warehouses
        ]

    def _explain_warehouse(self, warehouse, quants):
        told = {
            "warehouse": warehouse.name,
            "quantity": tell(self.env, sum(quants.mapped("quantity"))),
        }
        if reserved := sum(quants.mapped("reserved_quantity")):
            told["reserved"] = tell(self.env, reserved)
            return _("%(warehouse)s: %(quantity)s on hand − %(reserved)s reserved", **told)
        return _("%(warehouse)s: %(quantity)s on hand", **told)

    def _explain_kit(self, contents):
        """Tell what there is of a kit's components, and how many of them are in one kit."""
        components = self.env["product.product"].union(*contents)
        free = components._marketplace_free(self.account_id)
        return [
            _(
                "%(quantity)s of %(component)s in each: %(free)s free",
                quantity=tell(self.env, quantity),
                component=component.display_name,
                free=tell(self.env, free[component.id]),
            )
            for component, quantity in contents.items()
        ]


class MarketplaceConfig(models.Model):
    """What an account's own rules make of a figure."""

    _inherit = "marketplace.config"

    def _explain_taxes(self, product, net):
        """Tell what the account's tax convention and its rounding make of a price."""
        lines = []
        taxes = product.product_tmpl_id.taxes_id._filter_taxes_by_company(self.company_id)
        exact = self._listed_prices([(product, net)], is_rounded=False)[product]
        if taxes and self.tax_policy != "none":
            told = {
                "taxes": ", ".join(taxes.mapped("name")),
                "price": tell_price(self.env, exact, self.currency_id),
            }
            lines.append(
                _("with tax (%(taxes)s): %(price)s", **told)
                if self.prices_include_tax
                else _("without tax (%(taxes)s): %(price)s", **told)
            )
        rounded = self._listed_price(product, net)
        if self.price_rounding and not float_is_zero(exact - float(rounded), precision_digits=SAME):
            lines.append(_("rounded to %s", tell(self.env, self.price_rounding)))
        return lines

    def _explain_offered(self, product, free):
        """Tell the rules that make the offered quantity differ from the free one, and what each leaves."""
        rule, lines = self._rule_of(product), []
        buffer, percentage, least, most = self._limits(rule)
        left = self._left_for({product.id: free})[product.id]
        if left != free:
            lines.append(_("the last units are another account's"))
        if rule != self:
            lines.append(_("by the rule for %s", (rule.product_tmpl_id or rule.categ_id).display_name))
        left = max(0.0, left - buffer)
        if buffer:
            lines.append(self._explain_step(_("− %s safety stock", tell(self.env, buffer)), left))
        if percentage != 100:
            left *= percentage / 100
            lines.append(self._explain_step(_("× %s %% share", tell(self.env, percentage)), left))
        if most and left > most:
            left = most
            lines.append(_("at most %s", tell(self.env, most)))
        if left < least:
            lines.append(_("sold out below %s", tell(self.env, least)))
        return lines

    @api.model
    def _explain_step(self, step, left):
        return f"{step} = {tell(self.env, left)}"
