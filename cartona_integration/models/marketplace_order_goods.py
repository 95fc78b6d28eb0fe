from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from odoo import _, api, models

from ..dialects import words
from ..exceptions import Hold

# How a line without the seller's key is called: by the listing's id, by its barcode, by nothing at all.
BY_ID, BY_BARCODE, NAMELESS = "id:", "barcode:", "?"


class Goods(NamedTuple):
    """What a line is about: the products its ``key`` names, by listings or by themselves.

    ``key``: see :meth:`MarketplaceOrderProcessor._goods_key`
    """

    key: str
    products: models.Model
    links: models.Model
    name: str | None = None  # of what stands in for an unknown product

    @property
    def pack(self):
        """The unit the listings sell in; none: the product's own."""
        return self.links.pack_uom_id

    @property
    def is_clear(self):
        """One product in one unit, and nothing says otherwise; else a person decides."""
        packs = {link.pack_uom_id for link in self.links}
        return len(self.products) == 1 and len(packs) <= 1 and not self.is_disputed

    @property
    def is_disputed(self):
        """Whether the marketplace says now that a listing is something else."""
        return any(self.links.mapped("is_disputed"))


class MarketplaceOrderProcessor(models.AbstractModel):
    """Finds the products that order lines are about."""

    _inherit = "marketplace.order.processor"

    @api.model
    def _find_goods(self, account, lines):
        """Find what lines are about: by the listing's id, then its key, then the product's. Never by name.

        A line without id and key is looked up by the product's barcode. What the platform calls a listing
        is never taken for the seller's key: both may well be numbers.

        :return: {line: :class:`Goods`}
        """
        links, products = self.env["marketplace.product.link"], self.env["product.product"]
        keys = {line.key for line in lines if line.key}
        barcodes = {line.barcode for line in lines if not (line.key or line.product_id)}
        by_id = links._find_linked(account, "external_id", {line.product_id for line in lines})
        by_key = links._find_linked(account, "key", keys)
        found = products._find_of_account(account, "cartona_id", keys)
        by_barcode = products._find_of_account(account, "barcode", barcodes - {None})
        goods = {}
        for line in lines:
            link = by_id[line.product_id] or by_key[line.key]
            named = found[line.key] if line.key or line.product_id else by_barcode[line.barcode]
            goods[line] = Goods(self._goods_key(line), link.product_id or named, link)
        return goods

    @api.model
    def _goods_key(self, line):
        """Write what a line names its goods by: the seller's key, ``id:<listing>`` or ``barcode:<code>``."""
        if line.key or line.product_id:
            return line.key or f"{BY_ID}{line.product_id}"
        return f"{BY_BARCODE}{line.barcode}" if line.barcode else NAMELESS

    @api.model
    def _line_of(self, key, external_id):
        """Give a line that names its goods as a held one did.

        :param str key: as :meth:`_goods_key` wrote it
        :param external_id: the listing's id the line told beside it, or a false value
        """
        nothing = {"id": key, "quantity": Decimal(0), "unit_price": Decimal(0)}
        if key == f"{BY_ID}{external_id}":
            return words.OrderLine(**nothing, product_id=external_id)
        if key.startswith(BY_BARCODE):
            return words.OrderLine(**nothing, barcode=key.removeprefix(BY_BARCODE))
        named = {} if key == NAMELESS else {"key": key}
        return words.OrderLine(**nothing, **named, product_id=external_id or None)

    def _choose_goods(self, account, order, rows, goods):
        """Pick the rows' products out of what was found.

        Nobody has to know the products of an order that is over: it is made only to be known itself.

        :param dict goods: what :meth:`_find_goods` gave
        :return: {line: :class:`Goods`}
        :raise Hold: one is unknown or ambiguous; the order is imported whole or not at all
        """
        chosen = {row.line: goods[row.line] for row in rows if row.line}
        is_gone = order.status in words.GONE
        if is_gone or account.unknown_product_policy == "placeholder":
            stand_in = account._placeholder()
            for line, found in chosen.items():
                if not found.products or (is_gone and not found.is_clear):
                    name = line.name or _("Unknown product")
                    name = f"[{found.key}] {name}"
                    chosen[line] = Goods(found.key, stand_in, found.links.browse(), name)
        bad = {line: found for line, found in chosen.items() if not found.is_clear}
        if bad:
            self._hold_for_products(bad)
        return chosen

    def _hold_for_products(self, bad):
        """Hold until all lines name one product in one unit.

        :param dict bad: {line: :class:`Goods`}
        """
        nameless = [line.name or line.id for line, found in bad.items() if found.key == NAMELESS]
        if nameless:
            raise Hold(
                _("Lines name no product, by id or key: %s", ", ".join(nameless)),
                _(
                    "Ask the marketplace to correct the order, or let the account import unknown products "
                    "with a placeholder; the order is then imported by itself."
                ),
                self._missing_products(bad),
            )
        names = list(dict.fromkeys(found.key for found in bad.values()))
        ambiguous = list(dict.fromkeys(found.key for found in bad.values() if found.products))
        if ambiguous:
            reason = _("Several products or packs have the key: %s", ", ".join(ambiguous))
        else:
            reason = _("Unknown product: %s", ", ".join(names))
        remedy = _("Give exactly one product this marketplace key; the order is then imported by itself.")
        if all(name.startswith(BY_ID) for name in names):
            remedy = _("Link the listing to a product; the order is then imported by itself.")
        elif all(name.startswith(BY_BARCODE) for name in names):
            remedy = _("Give exactly one product this barcode; the order is then imported by itself.")
        if any(found.is_disputed for found in bad.values()):
            reason = _("The listing became something else at the marketplace: %s", ", ".join(names))
            remedy = _(
                "Say on the listing what it is and press Start Sending; the order is then imported by itself."
            )
        raise Hold(reason, remedy, self._missing_products(bad))

    def _missing_products(self, bad):
        """Give what a hold for products waits for."""
        told = dict.fromkeys((found.key, line.product_id) for line, found in bad.items())
        return [("product", *pair) for pair in told]

    @api.model
    def _wanted_quantities(self, account, order):
        """Give {product id as text: quantity in its unit} of an order that is not here, for what is known.

        An order that is here keeps its goods back itself; one that is over wants nothing.
        """
        over = (*words.GONE, words.SHIPPED, words.DELIVERED)
        if order.status in over or self.env["sale.order"]._find_marketplace_order(account, order.id):
            return {}
        wanted = defaultdict(float)
        goods = self._find_goods(account, order.lines)
        for line in order.lines:
            found = goods[line]
            if found.is_clear:
                unit = found.pack or found.products.uom_id
                quantity = unit._compute_quantity(float(line.quantity), found.products.uom_id, round=False)
                wanted[str(found.products.id)] += quantity
        return dict(wanted)
