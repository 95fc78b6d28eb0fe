import logging
from dataclasses import replace
from decimal import Decimal

from psycopg2 import OperationalError

from odoo import _, fields, models
from odoo.tools import float_compare, float_round

from .. import compat
from ..dialects.base import ProductUpdate
from .marketplace_mark import PRICE, RECOUNT, STOCK, SWITCHES, kinds_of

_logger = logging.getLogger(__name__)

# Odoo stores figures as binary fractions: what differs by less is the same figure.
SAME = 6  # decimals


class MarketplaceProductLink(models.Model):
    """What a listing should show, why, and what a person has to approve first."""

    _inherit = "marketplace.product.link"

    is_paused = fields.Boolean(
        string="Paused", copy=False, help="Nothing is sent for this listing; it keeps showing what it shows."
    )
    held_price = fields.Float(
        readonly=True, copy=False, help="A price the account's guard rails hold back until it is approved."
    )
    approved_price = fields.Float(readonly=True, copy=False)
    explanation = fields.Text(
        compute="_compute_explanation", help="How the price and the quantity come about, as of now."
    )

    # -- buttons ------------------------------------------------------------------------------

    def action_approve_price(self):
        """Send the price the guard rails hold back. The approval is for this very price."""
        for link in self.filtered("held_price"):
            # Superuser: marketplace users may approve without write access to listings.
            link.sudo().write({"approved_price": link.held_price, "reason": False})
        self.env["marketplace.mark"].sudo()._insert_both(self, asked=True)
        return True

    # -- explained ------------------------------------------------------------------------------

    def _compute_explanation(self):
        for link in self:
            lines = []
            if link._is_ours():
                lines = [*link._explain_price(), "", *link._explain_stock()]
            link.explanation = "\n".join(lines)

    def _explain_price(self):
        """Tell the price as people would write it."""
        account = self.account_id
        product = self.product_id.with_company(account.company_id)
        [(price, rule_id)] = account.pricelist_id._compute_price_rule(
            product, 1.0, uom=self.pack_uom_id, currency=account.currency_id
        ).values()
        rule = self.env["product.pricelist.item"].browse(rule_id or ())
        source = _("pricelist %s", account.pricelist_id.name) if rule else _("sales price")
        sent = account._listed_price(self.product_id, price)
        kind = _("taxes included") if account.prices_include_tax else _("without taxes")
        currency = account.currency_id.name
        return [f"{source}: {price:g} {currency}", f"{kind}: {sent} {currency}"]

    def _explain_stock(self):
        """Tell the quantity as people would write it."""
        account, product = self.account_id, self.product_id
        if not compat.is_storable(product):
            return [_("Not counted in stock: it never sells out.")]
        parts = product._marketplace_parts(account.stock_warehouse_ids)
        lines = [
            f"{'−' if sign < 0 else '+'} {figures.get(product.id, 0.0):g} {name}"
            for name, sign, figures in parts
        ]
        free = product._marketplace_free(account)[product.id]
        lines.append(_("= %g free", free))
        rules = account._explain_offered(product, free)
        offered = self._stock(account, account._left_for({product.id: free}))["quantity"]
        unit = (self.pack_uom_id or product.uom_id).name
        return [*lines, *rules, _("= %(quantity)s %(unit)s offered", quantity=offered, unit=unit)]

    # -- figures --------------------------------------------------------------------------------

    def _claim(self, kinds):
        """Compute what listings of one account should show, and note what is about to be sent.

        :param dict kinds: {link id: kinds that were marked}
        :return: {link id: ProductUpdate} of the figures the marketplace has not acknowledged
        """
        self.filtered(lambda link: RECOUNT in kinds[link.id]).quantity_acknowledged = False
        looked_at = {link: link._wanted_kinds(kinds[link.id]) for link in self}
        offers = self._offers_apart(looked_at)
        due = {}
        if self.account_id.state == "live":  # shadow: computed and shown, never sent
            due = {link: link._unknown_of(offer) for link, offer in offers.items()}
        self._note_claim(offers, due)
        return {link.id: offer for link, offer in due.items() if offer}

    def _outdated(self):
        """Give {link id: kinds} of the figures that are not what the marketplace acknowledged."""
        kinds = {kind for kind in (PRICE, STOCK) if self.account_id[SWITCHES[kind]]}
        offers = self._offers_apart(dict.fromkeys(self, kinds))
        unknown = {link.id: link._unknown_of(offer) for link, offer in offers.items()}
        return {link_id: kinds_of(offer) for link_id, offer in unknown.items() if offer}

    def _wanted_kinds(self, marked):
        """Give the kinds to look at: after trouble all of them, as one may have been lost or refused."""
        wanted = {STOCK if kind == RECOUNT else kind for kind in marked}
        if not (self.in_doubt or self.reason):
            return wanted
        return wanted | {kind for kind in (PRICE, STOCK) if self.account_id[SWITCHES[kind]]}

    def _offers_apart(self, kinds):
        """Compute figures; a listing whose figures cannot be told does not stop the others.

        The one broad ``except`` of prices and stock; statuses, which go out one by one, have theirs.
        """
        try:
            with self.env.cr.savepoint():
                return self._offers(kinds)
        except OperationalError:
            raise
        except Exception as error:
            if len(self) < 2:
                _logger.exception("Figures of marketplace listing %s", self.id)
                self.reason = _("Price and stock cannot be computed (%s).", type(error).__name__)
                return {}
        half = len(self) // 2
        return self[:half]._offers_apart(kinds) | self[half:]._offers_apart(kinds)

    def _offers(self, kinds):
        """Compute the figures of listings of one account.

        :param dict kinds: {link: set of PRICE and STOCK}
        :return: {link: ProductUpdate}; a figure that cannot be told is None, and ``reason`` says why
        """
        account = self.account_id
        self.filtered("reason").reason = False
        told = self._with_a_unit()
        prices = told.filtered(lambda link: PRICE in kinds[link])._prices(account)
        stocks = told.filtered(lambda link: STOCK in kinds[link])._stocks(account)
        return {
            link: ProductUpdate(
                key=link.key or None,
                product_id=link.external_id or None,
                price=prices.get(link),
                currency=account.currency_id.name if link in prices else None,
                **stocks.get(link, {}),
                account_code=account.supplier_code or None,
            )
            for link in self
        }

    def _with_a_unit(self):
        """Leave out listings in a pack that the product, whose unit was changed since, is not sold in."""
        lost = self.filtered(
            lambda link: (
                link.product_id
                and link.pack_uom_id
                and not self._is_convertible(link.product_id.uom_id, link.pack_uom_id)
            )
        )
        lost.reason = _(
            "The product is kept in another kind of unit now: choose what the listing is sold in."
        )
        return self - lost

    def _is_ours(self):
        """Tell whether there is a product, and of the account's company or of none."""
        return self.product_id and self.product_id.company_id in (
            self.env["res.company"],
            self.account_id.company_id,
        )

    def _prices(self, account):
        """Give {link: price} per listed unit, in the account's currency and tax convention.

        A product that costs nothing is not offered for nothing: that is a price nobody entered.
        """
        prices, converts = {}, account._converts_prices()
        for pack, links in self.filtered(lambda link: link._is_ours()).grouped("pack_uom_id").items():
            products = links.product_id.with_company(account.company_id)
            found = account.pricelist_id._compute_price_rule(
                products, 1.0, uom=pack, currency=account.currency_id
            )
            for link in links:
                price, rule_id = found[link.product_id.id]
                prices[link] = account._listed_price(link.product_id, price)
                lacks_rate = not converts and link._lacks_rate(rule_id)
                link.reason = link._why_not(prices[link], price, lacks_rate) or link.reason
        return {link: price for link, price in prices.items() if not link._is_price_held(price)}

    def _is_price_held(self, price):
        return bool(self.reason) and (price <= 0 or self._is_same("held_price", price))

    def _why_not(self, price, net, lacks_rate):
        """Say why a price is not sent before a person has looked at it; False when nothing is wrong.

        :param Decimal price: what would be sent
        :param float net: the same before taxes, in the account's currency and the listed unit
        :param lacks_rate: what :meth:`_lacks_rate` says, or False
        """
        self.held_price = 0.0
        if price <= 0:
            return _("The product has no price: enter one, it is then sent by itself.")
        reason = lacks_rate or self._is_a_jump(price) or self._is_below_floor(net)
        if reason and not self._is_same("approved_price", price):
            self.held_price = float(price)
            return reason
        return False

    def _lacks_rate(self, rule_id):
        """Say that a price would be converted at 1 : 1, as Odoo does where nobody entered a rate.

        :param int rule_id: of the pricelist, False for the sales price
        """
        rule = self.env["product.pricelist.item"].browse(rule_id or ())
        if rule.compute_price == "fixed":
            return False
        currency = self.account_id.currency_id.name
        return _("There is no exchange rate for %s: enter one, the price is then sent.", currency)

    def _is_a_jump(self, price):
        limit, before = self.account_id.price_jump, self.acknowledged_price
        if not limit or not before or abs(float(price) - before) <= before * limit / 100:
            return False
        return _(
            "The price would go from %(before)g to %(price)s, more than %(limit)g %%: approve it.",
            before=before,
            price=price,
            limit=limit,
        )

    def _is_below_floor(self, net):
        account = self.account_id
        if account.price_floor != "cost":
            return False
        product = self.product_id.with_company(account.company_id)
        cost = product.uom_id._compute_price(product.standard_price, self.pack_uom_id or product.uom_id)
        cost = account.company_id.currency_id._convert(
            cost, account.currency_id, account.company_id, fields.Date.today()
        )
        if account.currency_id.compare_amounts(net, cost) >= 0:
            return False
        return _("The price is below the cost of %g: approve it.", cost)

    def _stocks(self, account):
        """Give {link: {quantity, unlimited}} in whole listed units.

        What is not sold any more shows 0. Without a warehouse nothing is told: never 0 by mistake.
        """
        if not account.stock_warehouse_ids:
            self.reason = _("The account has no warehouse to sell from: choose one, stock is then sent.")
            return {}
        self.filtered(lambda link: not link.product_id).reason = _(
            "The product was deleted; the listing shows a stock of 0. Choose another product."
        )
        # Of a product whose other variants are sold on: its attributes were changed.
        self.filtered(lambda link: not link.product_id.active and link.product_tmpl_id.active).reason = _(
            "The variant was archived; the listing shows a stock of 0. Choose another product."
        )
        free = account._left_for(self.product_id._marketplace_free(account))
        return {link: link._stock(account, free) for link in self}

    def _stock(self, account, free):
        product = self.product_id
        if not (self._is_ours() and product.active and product.sale_ok):
            return {"quantity": Decimal(0), "unlimited": False}
        if not compat.is_storable(product):
            return {"unlimited": True}
        quantity = account._offered(free[product.id], account._rule_of(product))
        if self.pack_uom_id:
            quantity = product.uom_id._compute_quantity(quantity, self.pack_uom_id, round=False)
        whole = float_round(max(0.0, quantity), precision_digits=0, rounding_method="DOWN")
        return {"quantity": Decimal(int(whole)), "unlimited": False}

    def _unknown_of(self, offer):
        """Leave out of an offer what the marketplace has acknowledged; None when nothing is left."""
        if self.price_acknowledged and self._is_same("acknowledged_price", offer.price):
            offer = replace(offer, price=None, currency=None)
        if self._shows_stock(offer):
            offer = replace(offer, quantity=None, unlimited=None)
        return None if offer.price is offer.unlimited is None else offer

    def _shows_stock(self, offer):
        return (
            self.quantity_acknowledged
            and self.acknowledged_unlimited == offer.unlimited
            and (offer.unlimited or self._is_same("acknowledged_quantity", offer.quantity))
        )

    def _is_same(self, name, figure):
        """Compare at more decimals than any price has: Odoo stores binary fractions."""
        return figure is not None and not float_compare(self[name], float(figure), precision_digits=SAME)

    def _prepare_listing(self):
        """Give what a new listing shall show; None when that cannot be told, and ``reason`` says why."""
        product = self.product_id
        offer = self._offers_apart({self: {PRICE, STOCK}}).get(self)
        if self.reason:
            return None
        return replace(offer, name=product.display_name, barcode=product.barcode or None, active=True)
