import logging
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from psycopg2 import OperationalError

from odoo import _, api, fields, models
from odoo.tools import float_compare, float_round

from ..dialects.words import ProductUpdate
from .figures import SAME
from .marketplace_mark import PRICE, RECOUNT, STOCK, SWITCHES, kinds_of

_logger = logging.getLogger(__name__)

# What of a listing decides what is sent for it; it has as many other fields.
DECIDES = [
    "account_id", "state", "is_paused", "in_doubt", "reason", "product_id", "pack_uom_id", "key",
    "external_id", "held_price", "approved_price", "acknowledged_price", "acknowledged_quantity",
    "acknowledged_unlimited", "price_acknowledged", "quantity_acknowledged", "observed_price",
]  # fmt: skip


class MarketplaceProductLink(models.Model):
    """What a listing should show."""

    _inherit = "marketplace.product.link"

    is_paused = fields.Boolean(
        string="Paused", copy=False, help="Nothing is sent for this listing; it keeps showing what it shows."
    )

    # -- figures --------------------------------------------------------------------------------

    def _claim(self, kinds):
        """Compute what listings of one account should show, and note what is about to be sent.

        :param dict kinds: {link id: kinds that were marked}
        :return: {link id: ProductUpdate} of the figures the marketplace has not acknowledged
        """
        self.filtered(lambda link: RECOUNT in kinds[link.id]).quantity_acknowledged = False
        switched = self._switched_kinds()
        looked_at = {link: link._wanted_kinds(kinds[link.id], switched) for link in self}
        offers = self._offers_apart(looked_at)
        due = {}
        if self.account_id.state == "live":  # shadow: computed and shown, never sent
            due = {link: link._unknown_of(offer) for link, offer in offers.items()}
        self._note_claim(offers, due)
        return {link.id: offer for link, offer in due.items() if offer}

    def _outdated(self):
        """Give {link id: kinds} of the figures that are not what the marketplace acknowledged.

        What it refused is not offered again before it changes, somebody asks, or its listings are read.
        """
        refusals = {link: link.reason for link in self if link.reason and not link.in_doubt}
        offers = self._offers_apart(dict.fromkeys(self, self._switched_kinds()))
        unknown = {link: link._unknown_of(offer) for link, offer in offers.items()}
        for link, reason in refusals.items():
            if not link.reason and link._was_sent(offers.get(link)):
                link.reason = reason
                del unknown[link]
        return {link.id: kinds_of(offer) for link, offer in unknown.items() if offer}

    def _was_sent(self, offer):
        """Tell whether an offer has no other figures than what was sent last."""
        return (
            offer is not None
            and (offer.price is None or self._is_same("sent_price", offer.price))
            and (offer.quantity is None or self._is_same("sent_quantity", offer.quantity))
        )

    def _switched_kinds(self):
        """Give the kinds whose changes the account sends by itself."""
        return {kind for kind in (PRICE, STOCK) if self.account_id[SWITCHES[kind]]}

    def _wanted_kinds(self, marked, switched):
        """Give the kinds to look at: after trouble all of them, as one may have been lost or refused."""
        wanted = {STOCK if kind == RECOUNT else kind for kind in marked}
        return wanted | switched | self._unanswered_kinds() if self.in_doubt or self.reason else wanted

    def _unanswered_kinds(self):
        """Give the kinds that were sent and not acknowledged, also those sent only because somebody asked."""
        sent = {PRICE: self.sent_price, STOCK: self.sent_quantity}
        known = {PRICE: self.price_acknowledged, STOCK: self.quantity_acknowledged}
        return {kind for kind in sent if sent[kind] and not known[kind]}

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
        self.fetch(DECIDES)
        account = self.account_id
        if any(self.mapped("reason")):
            self.filtered("reason").reason = False
        told = self._with_a_unit()
        told.product_id._fetch_goods()
        goods = told._goods()
        prices = self._prices(account, {link: goods[link] for link in goods if PRICE in kinds[link]})
        stocks = told.filtered(lambda link: STOCK in kinds[link])._stocks(account, goods)
        currency, code = account.currency_id.name, account.supplier_code or None
        return {
            link: ProductUpdate(
                key=link.key or None,
                product_id=link.external_id or None,
                price=prices.get(link),
                currency=currency if link in prices else None,
                **stocks.get(link, {}),
                account_code=code,
            )
            for link in self
        }

    def _with_a_unit(self):
        """Leave out listings in a pack that the product, whose unit was changed since, is not sold in."""
        if not self.pack_uom_id:
            return self
        lost = self._without_unit()
        if lost:
            lost.reason = self._why_without_unit()
        return self - lost

    def _without_unit(self):
        """Give the listings in a pack that their product cannot be counted in."""
        return self.filtered(
            lambda link: (
                link.pack_uom_id
                and link.product_id
                and not self._is_convertible(link.product_id.uom_id, link.pack_uom_id)
            )
        )

    @api.model
    def _why_without_unit(self):
        return _("The product is kept in another kind of unit now: choose what the listing is sold in.")

    @api.model
    def _why_without_warehouse(self):
        return _("The account has no warehouse to sell from: choose one, stock is then sent.")

    def _goods(self):
        """Give {link: product} where there is one, and of the account's company or of none.

        Here and below a field is asked of all records at once where most have the same: that takes a tenth of
        asking each. And of the template: a field of the product that only repeats the template's takes as
        long as all the rest of a listing's figures.
        """
        company, products = self.account_id.company_id, self.product_id
        foreign = products.browse()
        if not products.product_tmpl_id.company_id <= company:
            foreign = products.filtered(lambda product: not product.product_tmpl_id.company_id <= company)
        return {link: product for link in self if (product := link.product_id) and product not in foreign}

    def _prices(self, account, goods):
        """Give {link: price} per listed unit, in the account's currency and tax convention.

        A product that costs nothing is not offered for nothing: that is a price nobody entered.

        :param dict goods: {link: product}
        """
        packs, prices, unrated = defaultdict(dict), {}, account._unrated_currencies()
        guarded = unrated or account.price_jump or account.price_floor != "none"
        unpacked = self.env["uom.uom"]
        are_packs = bool(self.pack_uom_id)
        for link, product in goods.items():
            packs[link.pack_uom_id if are_packs else unpacked][link] = product
        for pack, packed in packs.items():
            products = self.env["product.product"].union(*packed.values())
            found = products._marketplace_prices(account, pack)
            listed = account._listed_prices([(product, found[product.id][0]) for product in products])
            floors = account._floor_prices(products, pack)
            for link, product in packed.items():
                net, rule_id = found[product.id]
                if guarded and account.price_rounding:
                    net = account._net_of_listed(product, net, listed[product])
                doubt = guarded and (
                    link._lacks_rate(rule_id, unrated)
                    or link._doubt(listed[product], net, floors.get(product.id))
                )
                if not link._is_price_held(listed[product], doubt):
                    prices[link] = listed[product]
        return prices

    def _stocks(self, account, goods):
        """Give {link: {quantity, unlimited}} in whole listed units.

        What is not sold any more shows 0. Without a warehouse nothing is told: never 0 by mistake.

        :param dict goods: {link: product} of those that are the account's to sell
        """
        if not account.stock_warehouse_ids:
            self.reason = self._why_without_warehouse()
            return {}
        sold = {link: goods[link] for link in self if link in goods}
        deleted = self.filtered(lambda link: link not in sold and not link.product_id)
        if deleted:
            deleted.reason = _(
                "The product was deleted; the listing shows a stock of 0. Choose another product."
            )
        products = self.env["product.product"].union(*sold.values())
        unsold = self._unsold(products | self.product_id)
        # Of a product whose other variants are sold on: its attributes were changed.
        archived = self.filtered(
            lambda link: (
                unsold
                and (product := link.product_id) in unsold
                and not product.active
                and product.product_tmpl_id.active
            )
        )
        if archived:
            archived.reason = _(
                "The variant was archived; the listing shows a stock of 0. Choose another product."
            )
        offered = account._all_offered(products._marketplace_free(account))
        packs, are_packs = self.env["uom.uom"], bool(self.pack_uom_id)
        return {
            link: self._stock(sold.get(link), offered, unsold, link.pack_uom_id if are_packs else packs)
            for link in self
        }

    def _unsold(self, products):
        """Give the products that are not for sale any more."""
        if all(products.mapped("active")) and all(products.product_tmpl_id.mapped("sale_ok")):
            return products.browse()
        return products.filtered(lambda product: not (product.active and product.product_tmpl_id.sale_ok))

    @api.model
    def _stock(self, product, offered, unsold, pack):
        """Give one listing's quantity and whether it never sells out.

        :param product: empty or None: there is nothing to sell any more
        :param dict offered: {product id: quantity in its unit} of what is counted in stock
        :param unsold: products that are not for sale any more
        :param pack: the unit it sells in; empty: the product's own
        """
        if not product or product in unsold:
            return {"quantity": Decimal(0), "unlimited": False}
        if product.id not in offered:
            return {"unlimited": True}
        quantity = offered[product.id]
        if pack:
            quantity = product.uom_id._compute_quantity(quantity, pack, round=False)
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
