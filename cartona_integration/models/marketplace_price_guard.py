from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError

from .figures import tell, tell_price

NAMED_AT_ONCE = 10


class MarketplaceConfig(models.Model):
    """Which prices an account does not send unasked."""

    _inherit = "marketplace.config"

    price_jump = fields.Float(
        help="A price that changes by more per cent waits for approval. 0: every change is sent.",
    )
    price_floor = fields.Selection(
        [("none", "No floor"), ("cost", "The product's cost"), ("pricelist", "The price in a pricelist")],
        default="none",
        required=True,
        help="A price below the floor waits for approval.",
    )
    floor_pricelist_id = fields.Many2one(
        "product.pricelist",
        check_company=True,
        ondelete="restrict",
        help="Its rules say what a product must cost at least, for example its cost and 10 %. A product none "
        "of its rules is for has no floor.",
    )

    def _floor_prices(self, products, pack):
        """Give {product id: (floor, rule id)} as the floor pricelist has it, where a rule of it applies.

        :param pack: the unit that is priced; empty: each product's own
        """
        if self.price_floor != "pricelist" or not self.floor_pricelist_id:
            return {}
        found = self.floor_pricelist_id.with_company(self.company_id)._compute_price_rule(
            products.with_company(self.company_id),
            1.0,
            uom=pack,
            currency=self.currency_id,
            date=fields.Datetime.now(),
        )
        return {product_id: known for product_id, known in found.items() if known[1]}

    @api.constrains("floor_pricelist_id", "currency_id")
    def _check_floor_pricelist_id(self):
        """Odoo converts no fixed price of a pricelist."""
        for account in self.filtered("floor_pricelist_id"):
            if account.floor_pricelist_id.currency_id != account.currency_id:
                raise ValidationError(
                    _("The floor's pricelist has to be in %s, as the account is.", account.currency_id.name)
                )


class MarketplaceProductLink(models.Model):
    """Prices that a person has to approve before they are sent."""

    _inherit = "marketplace.product.link"

    held_price = fields.Float(
        readonly=True, copy=False, help="A price the account's guard rails hold back until it is approved."
    )
    approved_price = fields.Float(readonly=True, copy=False)

    def action_approve_price(self):
        """Send the prices the guard rails hold back. The approval is for these very prices."""
        held = self.filtered("held_price")
        if not held:
            raise UserError(_("No price of these listings is held back."))
        for link in held:
            # Superuser: marketplace users may approve without write access to listings.
            link.sudo().write({"approved_price": link.held_price, "reason": False})
        self.env["marketplace.mark"].sudo()._insert_both(held, asked=True, cause="approved")
        held._log_approval()
        return True

    def _log_approval(self):
        """Keep who approved which prices. Superuser: marketplace users do not write the log."""
        for account, links in self.grouped("account_id").items():
            prices = [
                f"{link.product_id.display_name} {link._told(link.acknowledged_price or link.observed_price)}"
                f" → {link._told(link.held_price)}"
                for link in links[:NAMED_AT_ONCE]
            ]
            more = ["…"] if len(links) > NAMED_AT_ONCE else []
            message = _(
                "%(user)s approved %(count)s prices: %(prices)s",
                user=self.env.user.name,
                count=len(links),
                prices=", ".join(prices + more),
            )
            self.env["marketplace.sync.log"].sudo()._log(account, "push", message)

    def _told(self, price):
        return tell_price(self.env, float(price), self.account_id.currency_id)

    def _is_price_held(self, price, doubt):
        """Tell whether a price waits for a person, and say why.

        :param Decimal price: what would be sent
        :param doubt: why a person should look at it first, or False
        """
        reason, held = False, 0.0
        if self.approved_price and not self._is_same("approved_price", price):
            self.approved_price = 0  # it was approved once, not for whenever it comes back
        if price <= 0:
            reason = _("The product has no price: enter one, it is then sent by itself.")
        elif doubt and not self._is_same("approved_price", price):
            reason, held = doubt, float(price)
        if reason or self.held_price:
            self.held_price = held
            self.computed_price = float(price)  # what Odoo says, though it is not sent
            self.reason = reason or self.reason
        return bool(reason)

    def _doubt(self, price, net, floor):
        """Say all that makes the account's guard rails hold a price back, or False.

        Whoever approves a jump has to know that it goes below the cost as well.

        :param float net: the price as Odoo has it, in the account's currency and the listed unit
        :param floor: what the account's floor pricelist says, as ``net``, and its rule; None: nothing
        """
        below_floor = self._is_below_pricelist(net, floor) or self._is_below_cost(net)
        doubts = [doubt for doubt in (self._is_a_jump(price), below_floor) if doubt]
        return " ".join([*doubts, _("Approve it to have it sent.")]) if doubts else False

    def _lacks_rate(self, rule_id, unrated):
        """Say that a price would be converted at 1 : 1, as Odoo does where nobody entered a rate.

        :param int rule_id: of the pricelist, False for the sales price
        :param unrated: see :meth:`_unrated_currencies`
        """
        if not unrated:
            return False
        missing = self._converted_currencies(rule_id, self.account_id.currency_id) & unrated
        return bool(missing) and _(
            "There is no exchange rate for %s: enter one, the price is then sent.", missing[0].name
        )

    def _converted_currencies(self, rule_id, target):
        """Give the currencies a price is converted from or to until it is in the target's.

        :param int rule_id: of a pricelist in the target's currency, False for the sales price
        """
        rule = self.env["product.pricelist.item"].browse(rule_id or ())
        passed, source = target.browse(), self.product_id.product_tmpl_id.currency_id
        if rule.compute_price == "fixed":
            return passed
        if rule.base == "standard_price":
            source = self.account_id.company_id.currency_id
        elif rule.base == "pricelist" and rule.base_pricelist_id:
            base, unit = rule.base_pricelist_id, self.pack_uom_id or self.product_id.uom_id
            base_rule = base._get_product_rule(self.product_id, 1.0, uom=unit, date=fields.Datetime.now())
            source = base.currency_id
            passed = self._converted_currencies(base_rule, source)
        return passed if source == target else passed | source | target

    def _is_a_jump(self, price):
        # What was never sent from here is compared with what stands there.
        limit, before = self.account_id.price_jump, self.acknowledged_price or self.observed_price
        if not limit or not before or abs(float(price) - before) <= before * limit / 100:
            return False
        return _(
            "The price would go from %(before)s to %(price)s, more than %(limit)s %%.",
            before=self._told(before),
            price=self._told(price),
            limit=tell(self.env, limit),
        )

    def _is_below_pricelist(self, net, floor):
        if floor is None:
            return False
        account, (least, rule_id) = self.account_id, floor
        if self._rests_on_cost(self.env["product.pricelist.item"].browse(rule_id)):
            net = account._untaxed(self.product_id, net)  # the tax in a price does not pay the cost
        if account.currency_id.compare_amounts(net, least) >= 0:
            return False
        return _(
            "The price is below %(floor)s, the floor of pricelist %(pricelist)s.",
            floor=self._told(least),
            pricelist=account.floor_pricelist_id.name,
        )

    def _rests_on_cost(self, rule):
        return rule.compute_price == "formula" and rule.base == "standard_price"

    def _is_below_cost(self, net):
        account = self.account_id
        if account.price_floor != "cost":
            return False
        product = self.product_id.with_company(account.company_id)
        cost = product.uom_id._compute_price(product.standard_price, self.pack_uom_id or product.uom_id)
        cost = account.company_id.currency_id._convert(
            cost, account.currency_id, account.company_id, fields.Date.today()
        )
        if account.currency_id.compare_amounts(account._untaxed(product, net), cost) >= 0:
            return False
        return _("The price is below the cost of %s.", self._told(cost))
