from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal

from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import float_compare, float_round

from .. import compat
from ..dialects.base import ProductUpdate
from .marketplace_mark import PRICE, STOCK, SWITCHES

# Odoo stores figures as binary fractions: what differs by less is the same figure.
SAME = 6  # decimals


class MarketplaceProductLink(models.Model):
    """One listing of an account and the product it sells: what it should show, and what it shows.

    The marketplace's own id decides; the seller's key finds it the first time. Nothing is sent before the
    listing was seen there.
    """

    _name = "marketplace.product.link"
    _description = "Marketplace Listing"
    _check_company_auto = True
    _order = "account_id, product_id, id"

    account_id = fields.Many2one(
        "marketplace.config", required=True, ondelete="cascade", index=True, check_company=True
    )
    company_id = fields.Many2one(related="account_id.company_id")
    dialect = fields.Selection(related="account_id.dialect")
    product_id = fields.Many2one("product.product", ondelete="set null", index=True, check_company=True)
    product_tmpl_id = fields.Many2one(related="product_id.product_tmpl_id", string="Product Template")
    pack_uom_id = fields.Many2one(
        "uom.uom",
        string="Sold In",
        ondelete="restrict",
        help="The unit one listed piece is; empty: the product's own. Price and stock are sent in it.",
    )
    key = fields.Char(help="What we call the product over there: Cartona's internal product id, or the SKU.")
    external_id = fields.Char(
        string="Listing Id", help="The marketplace's own id; learned when it is first seen."
    )
    listing_name = fields.Char(readonly=True, help="The product's name over there.")
    state = fields.Selection(
        [("proposed", "Looked for"), ("wanted", "To be created"), ("linked", "Linked")],
        default="proposed",
        required=True,
        readonly=True,
        copy=False,
        help="Looked for: nothing is sent until a listing with this key is seen on the marketplace.",
    )
    looked_up_at = fields.Datetime(readonly=True, copy=False, help="When the marketplace was last asked.")

    computed_price = fields.Float(readonly=True, copy=False, help="In the account's currency.")
    computed_quantity = fields.Float(readonly=True, copy=False, help="In the listing's unit.")
    computed_unlimited = fields.Boolean(
        readonly=True, copy=False, help="The product is not counted in stock: it never sells out."
    )
    computed_at = fields.Datetime(readonly=True, copy=False)
    sent_price = fields.Float(readonly=True, copy=False)
    sent_quantity = fields.Float(readonly=True, copy=False)
    sent_at = fields.Datetime(readonly=True, copy=False)
    acknowledged_price = fields.Float(readonly=True, copy=False)
    acknowledged_quantity = fields.Float(readonly=True, copy=False)
    acknowledged_unlimited = fields.Boolean(readonly=True, copy=False)
    acknowledged_at = fields.Datetime(
        readonly=True, copy=False, help="When the marketplace last took a price or a quantity."
    )
    price_acknowledged = fields.Boolean(readonly=True, copy=False)
    quantity_acknowledged = fields.Boolean(readonly=True, copy=False)
    observed_price = fields.Float(readonly=True, copy=False)
    observed_quantity = fields.Float(readonly=True, copy=False)
    observed_at = fields.Datetime(readonly=True, copy=False, help="When the listing was last read.")
    in_doubt = fields.Boolean(
        readonly=True, copy=False, help="Something was sent and no answer is known: it is sent again."
    )
    tries = fields.Integer(readonly=True, copy=False, help="Sent in a row without a word about this listing.")
    reason = fields.Char(readonly=True, copy=False, help="Why the marketplace does not show what it should.")
    sync_status = fields.Selection(
        [("pending", "Waiting"), ("synced", "In step"), ("error", "Needs attention")],
        compute="_compute_sync_status",
        search="_search_sync_status",
    )

    def init(self):
        super().init()
        for statement in (
            "CREATE UNIQUE INDEX IF NOT EXISTS marketplace_product_link_external_uniq"
            " ON marketplace_product_link (account_id, external_id) WHERE external_id IS NOT NULL",
            "CREATE UNIQUE INDEX IF NOT EXISTS marketplace_product_link_product_uniq"
            " ON marketplace_product_link (account_id, product_id, coalesce(pack_uom_id, 0))"
            " WHERE product_id IS NOT NULL",
            "CREATE UNIQUE INDEX IF NOT EXISTS marketplace_product_link_key_uniq"
            " ON marketplace_product_link (account_id, key) WHERE external_id IS NULL",
            "CREATE INDEX IF NOT EXISTS marketplace_product_link_key"
            " ON marketplace_product_link (key, account_id)",
            "CREATE INDEX IF NOT EXISTS marketplace_product_link_doubt"
            " ON marketplace_product_link (account_id) WHERE in_doubt",
        ):
            self.env.cr.execute(statement)

    @api.depends("state", "reason", "in_doubt", "acknowledged_at")
    def _compute_sync_status(self):
        for link in self:
            if link.reason:
                link.sync_status = "error"
            elif link.state == "linked" and link.acknowledged_at and not link.in_doubt:
                link.sync_status = "synced"
            else:
                link.sync_status = "pending"

    def _search_sync_status(self, operator, value):
        """Find links by status; both series' forms of a search arrive here (``=``, ``in`` …)."""
        synced = [
            ("reason", "=", False),
            ("state", "=", "linked"),
            ("in_doubt", "=", False),
            ("acknowledged_at", "!=", False),
        ]
        ids = {
            "error": self._search([("reason", "!=", False)]),
            "synced": self._search(synced),
        }
        ids["pending"] = self._search(
            [("id", "not in", ids["error"]), ("id", "not in", self._search(synced))]
        )
        wanted = [value] if isinstance(value, str) else list(value or ())
        domain = [("id", "in", ids[status]) for status in wanted if status in ids]
        domain = ["|"] * (len(domain) - 1) + domain or [("id", "=", False)]
        return domain if operator in ("=", "in") else ["!", *domain]

    @api.depends("account_id", "key", "external_id", "product_id")
    def _compute_display_name(self):
        for link in self:
            name = link.product_id.display_name or link.listing_name or link.key or link.external_id
            link.display_name = f"{link.account_id.name}: {name}"

    @api.constrains("product_id", "pack_uom_id")
    def _check_pack_uom_id(self):
        for link in self.filtered(lambda link: link.product_id and link.pack_uom_id):
            if not self._is_convertible(link.product_id.uom_id, link.pack_uom_id):
                raise ValidationError(
                    _(
                        "%(product)s is kept in %(unit)s and cannot be sold in %(pack)s.",
                        product=link.product_id.display_name,
                        unit=link.product_id.uom_id.name,
                        pack=link.pack_uom_id.name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        links = super().create(vals_list)
        links._look_for()
        return links

    def write(self, vals):
        res = super().write(vals)
        if vals.get("key"):
            self.filtered(lambda link: link.state == "proposed")._look_for()
        if {"product_id", "pack_uom_id"} & set(vals):
            self._show_anew()
        return res

    def _is_convertible(self, unit, other):
        """Tell whether Odoo can convert between two units; 19 knows no categories any more."""
        if "category_id" in unit._fields:
            return unit.category_id == other.category_id
        return unit._has_common_reference(other)

    # -- buttons ------------------------------------------------------------------------------

    def action_sync(self):
        """Send what the listings should show, also where it seems to be there already."""
        linked = self.filtered(lambda link: link.state == "linked").sudo()
        linked.write({"reason": False, "tries": 0, "in_doubt": True})
        self.env["marketplace.mark"].sudo()._insert_both(linked)
        (self.sudo() - linked)._look_for()
        return self.account_id._notify(
            _("On its way"), _("Prices and stock are sent within seconds."), "info"
        )

    def action_create_listing(self):
        """Have listings created that the marketplace does not have yet."""
        missing = self.filtered(lambda link: link.state != "linked")
        for account in missing.account_id:
            if not account._dialect().can_create_products:
                raise UserError(
                    _(
                        "%s lets no listings be created from outside. Create it there with this key; "
                        "it is then found by itself.",
                        account.name,
                    )
                )
        missing.sudo().write({"state": "wanted", "looked_up_at": False, "reason": False, "tries": 0})
        missing.account_id._wake("link")
        return True

    # -- proposing ----------------------------------------------------------------------------

    @api.model
    def _propose(self, products):
        """Let the accounts that link by themselves look for listings with the products' keys.

        Superuser: whoever edits a product need not know of marketplaces.
        """
        if not self.env["marketplace.config"]._has_active_account():
            return
        products = products.sudo()
        accounts = products.env["marketplace.config"].search([("state", "!=", "draft")])
        for account in accounts.filtered("link_by_key"):
            self.sudo()._propose_on(account, products)

    def _propose_on(self, account, products):
        mine = products.filtered(lambda product: product.company_id.id in (False, account.company_id.id))
        known = self.search([("account_id", "=", account.id), ("product_id", "in", mine.ids)])
        new = (mine - known.product_id).filtered("cartona_id")
        for link in known.filtered(lambda link: link.state == "proposed" and not link.pack_uom_id):
            if link.key != link.product_id.cartona_id:
                link._take_key()
        taken = self._keys_taken(account, new.mapped("cartona_id"))
        self.create(
            [
                {"account_id": account.id, "product_id": product.id, "key": product.cartona_id}
                for product in new
                if product.cartona_id not in taken
            ]
        )

    def _take_key(self):
        """Look for the product's new key; without one there is nothing to look for."""
        if self.product_id.cartona_id:
            self.key = self.product_id.cartona_id
        else:
            self.unlink()

    def _keys_taken(self, account, keys):
        """Give the keys another product's proposal of the account has already."""
        domain = [
            ("account_id", "=", account.id),
            ("key", "in", keys),
            ("external_id", "=", False),
        ]
        return set(self.search(domain).mapped("key"))

    def _look_for(self):
        """Have the marketplace asked for listings with the links' keys."""
        waiting = self.filtered(lambda link: link.state != "linked" and link.key)
        waiting.filtered("looked_up_at").looked_up_at = False
        waiting.account_id._wake("link")

    def _show_anew(self):
        """A listing got another product or unit: what it shows is the old one's."""
        linked = self.filtered(lambda link: link.state == "linked").sudo()
        if linked:
            self.env["marketplace.mark"].sudo()._insert_both(linked)
        self.env["marketplace.config"]._wake_held_imports()

    # -- resolving order lines ------------------------------------------------------------------

    @api.model
    def _find_linked(self, account, field, values):
        """Give {value: links} of the account that were seen over there and name an active product.

        :param str field: ``external_id`` or ``key``
        """
        found = defaultdict(self.browse)
        wanted = {value for value in values if value}
        if wanted:
            domain = [
                ("account_id", "=", account.id),
                (field, "in", list(wanted)),
                ("state", "=", "linked"),
                ("product_id.active", "=", True),
            ]
            for link in self.search(domain):
                found[link[field]] |= link
        return found

    # -- what a listing should show ---------------------------------------------------------------

    def _claim(self, kinds):
        """Compute what listings of one account should show, and note what is about to be sent.

        :param dict kinds: {link id: kinds that were marked}
        :return: {link: ProductUpdate} of the figures the marketplace has not acknowledged
        """
        due = {}
        for link, offer in self._offers({link: link._wanted_kinds(kinds[link.id]) for link in self}).items():
            link._note_computed(offer)
            unknown = link._unknown_of(offer)
            if unknown:
                due[link] = unknown
        return due

    def _wanted_kinds(self, marked):
        """Give the kinds to look at: after trouble all of them, as one may have been lost or refused."""
        if not (self.in_doubt or self.reason):
            return marked
        return marked | {kind for kind, switch in SWITCHES.items() if self.account_id[switch]}

    def _offers(self, kinds):
        """Compute the figures of listings of one account.

        :param dict kinds: {link: set of PRICE and STOCK}
        :return: {link: ProductUpdate}; a figure that cannot be told is None, and ``reason`` says why
        """
        account = self.account_id
        self.filtered("reason").reason = False
        prices = self.filtered(lambda link: PRICE in kinds[link])._prices(account)
        stocks = self.filtered(lambda link: STOCK in kinds[link])._stocks(account)
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

    def _prices(self, account):
        """Give {link: price} per listed unit, in the account's currency and tax convention.

        A product that costs nothing is not offered for nothing: that is a price nobody entered.
        """
        prices = {}
        sold = self.filtered("product_id")
        for pack, links in sold.grouped("pack_uom_id").items():
            products = links.product_id.with_company(account.company_id)
            found = account.pricelist_id._get_products_price(
                products, 1.0, uom=pack, currency=account.currency_id
            )
            for link in links:
                prices[link] = account._listed_price(link.product_id, found[link.product_id.id])
        for link in [link for link, price in prices.items() if price <= 0]:
            link.reason = _("The product has no price: enter one, it is then sent by itself.")
            del prices[link]
        return prices

    def _stocks(self, account):
        """Give {link: {quantity, unlimited}} in whole listed units.

        What is not sold any more shows 0. Without a warehouse nothing is told: never 0 by mistake.
        """
        if not account.stock_warehouse_ids:
            self.reason = _("The account has no warehouse to sell from: choose one, stock is then sent.")
            return {}
        free = self.product_id._marketplace_free(account)
        return {link: link._stock(account, free) for link in self}

    def _stock(self, account, free):
        product = self.product_id
        if not (product.active and product.sale_ok):
            return {"quantity": Decimal(0), "unlimited": False}
        if not compat.is_storable(product):
            return {"unlimited": True}
        quantity = free[product.id] - account.stock_buffer
        if self.pack_uom_id:
            quantity = product.uom_id._compute_quantity(quantity, self.pack_uom_id, round=False)
        whole = float_round(max(0.0, quantity), precision_digits=0, rounding_method="DOWN")
        return {"quantity": Decimal(int(whole)), "unlimited": False}

    def _note_computed(self, offer):
        values = {}
        if offer.price is not None:
            values["computed_price"] = float(offer.price)
        if offer.unlimited is not None:
            values |= {"computed_quantity": float(offer.quantity or 0), "computed_unlimited": offer.unlimited}
        if values:
            self.write({"computed_at": fields.Datetime.now(), **values})

    def _unknown_of(self, offer):
        """Leave out of an offer what the marketplace has acknowledged; None when nothing is left."""
        if not self.in_doubt:
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
        """Give what a new listing shall show."""
        everything = {self: {PRICE, STOCK}}
        offer = self._offers(everything)[self]
        product = self.product_id
        return replace(offer, name=product.display_name, barcode=product.barcode or None, active=True)

    # -- what became of it ------------------------------------------------------------------------

    def _note_sent(self, offer):
        values = {"in_doubt": True, "tries": self.tries + 1, "sent_at": fields.Datetime.now()}
        if offer.price is not None:
            values["sent_price"] = float(offer.price)
        if offer.unlimited is not None:
            values["sent_quantity"] = float(offer.quantity or 0)
        self.write(values)

    def _note_result(self, offer, result):
        """Keep the marketplace's answer for one listing.

        :param ItemResult result: taken, refused, or not a word: that stays in doubt and the sweep sends it
            again, until a person is needed
        """
        if result.ok:
            self._note_acknowledged(offer)
        elif result.ok is False:
            reason = result.reason or _("The marketplace refused it without a reason.")
            self.write({"in_doubt": False, "tries": 0, "reason": reason})
        elif self.tries >= self.account_id.retry_attempts:
            self.reason = _("The marketplace's answers do not mention this listing (%s times).", self.tries)

    def _note_acknowledged(self, offer):
        values = {"in_doubt": False, "tries": 0, "acknowledged_at": fields.Datetime.now()}
        if offer.price is not None:
            values |= {"price_acknowledged": True, "acknowledged_price": float(offer.price)}
        if offer.unlimited is not None:
            values |= {
                "quantity_acknowledged": True,
                "acknowledged_quantity": float(offer.quantity or 0),
                "acknowledged_unlimited": offer.unlimited,
            }
        self.write(values)

    # -- what is listed ---------------------------------------------------------------------------

    @api.model
    def _match(self, account, listings):
        """Bring the account's links to what the marketplace lists: its id decides, then the seller's key.

        A key that several listings have is nobody's: a person links them.

        :param listings: iterable of :class:`~..dialects.base.Listing`
        :return: how many were linked now
        """
        listings = [listing for listing in listings if listing.product_id or listing.key]
        by_id = self._find_all(account, "external_id", {listing.product_id for listing in listings})
        new = []
        for listing in listings:
            link = by_id.get(listing.product_id)
            link._note_seen(listing) if link else new.append(listing)
        counts = Counter(listing.key for listing in listings if listing.key)
        unique = [listing for listing in new if counts[listing.key] == 1]
        linked = self._link_by_key(account, unique)
        self.env.flush_all()
        for kind in SWITCHES:
            self.env["marketplace.mark"]._insert(kind, self._name, linked.ids)
        return len(linked)

    def _find_all(self, account, field, values):
        """Give {value: link} of the account; of a key only links without an id, which have it once."""
        domain = [("account_id", "=", account.id), (field, "in", [value for value in values if value])]
        if field == "key":
            domain.append(("external_id", "=", False))
        return {link[field]: link for link in self.search(domain)}

    def _link_by_key(self, account, listings):
        """Link listings that are seen for the first time.

        :return: the links
        """
        by_key = self._find_all(account, "key", {listing.key for listing in listings})
        linked = self.browse()
        unknown = []
        for listing in listings:
            link = by_key.get(listing.key)
            if not link:
                unknown.append(listing)
                continue
            if link.state != "linked":
                link.write({"state": "linked", "external_id": listing.product_id, "reason": False})
                linked |= link
            link._note_seen(listing)
        return linked | (self._create_by_key(account, unknown) if account.link_by_key else self.browse())

    def _create_by_key(self, account, listings):
        """Link listings to the one product that has their key and is not linked on this account yet."""
        by_key = {listing.key: listing for listing in listings if listing.key}
        found = self.env["product.product"]._find_by_marketplace_key(account, set(by_key))
        products = self.env["product.product"].union(*found.values())
        plain = [("product_id", "in", products.ids), ("pack_uom_id", "=", False)]
        known = self.search([("account_id", "=", account.id), *plain]).product_id
        links = self.create(
            [
                {
                    "account_id": account.id,
                    "product_id": product.id,
                    "key": key,
                    "external_id": by_key[key].product_id,
                    "state": "linked",
                }
                for key, product in found.items()
                if len(product) == 1 and product not in known
            ]
        )
        for link in links:
            link._note_seen(by_key[link.key])
        return links

    def _note_lookup(self, listings):
        """Say how looking for a key ended where it did not end with a link."""
        if self.state != "linked":
            if len(listings) > 1:
                reason = _("Several listings have this key: enter the listing id of the right one.")
            elif listings:
                reason = _("The listing with this key belongs to another product.")
            else:
                reason = False  # not there yet: the daily reading looks again
            self.write({"state": "proposed", "reason": reason})

    def _note_seen(self, listing):
        """Keep what the marketplace shows; what it says wrongly, or not at all, is 0."""
        self.write(
            {
                "key": listing.key or self.key,
                "listing_name": listing.name or self.listing_name,
                "observed_price": float(listing.price or 0),
                "observed_quantity": float(listing.quantity or 0),
                "observed_at": fields.Datetime.now(),
                "looked_up_at": fields.Datetime.now(),
            }
        )
