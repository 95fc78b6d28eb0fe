from collections import defaultdict

from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError

from .indexes import ensure_indexes
from .marketplace_mark import PRICE, STOCK
from .search import search_by

IDENTITY = {"key", "external_id"}
# What must not stand twice on an account, see the unique indexes.
IDENTIFIES = {"account_id", "product_id", "pack_uom_id", "key", "external_id"}
# Kind of figure -> whether the marketplace took the last one.
ACKNOWLEDGED = {PRICE: "price_acknowledged", STOCK: "quantity_acknowledged"}
NOTHING_ACKNOWLEDGED = dict.fromkeys(ACKNOWLEDGED.values(), False)


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
        [
            ("proposed", "Looked for"),
            ("wanted", "To be created"),
            ("found", "Without product"),
            ("linked", "Linked"),
        ],
        default="proposed",
        required=True,
        readonly=True,
        copy=False,
        help="Looked for: nothing is sent until a listing with this key is seen on the marketplace. "
        "Without product: it is there, and nobody has said yet what it sells.",
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
    unanswered_at = fields.Datetime(
        readonly=True, copy=False, help="When a call had no answer that may yet be carried out."
    )
    tries = fields.Integer(
        default=0, readonly=True, copy=False, help="Sent in a row without a word about this listing."
    )
    reason = fields.Char(readonly=True, copy=False, help="Why the marketplace does not show what it should.")
    sync_status = fields.Selection(
        [("pending", "Waiting"), ("synced", "In step"), ("error", "Needs attention")],
        compute="_compute_sync_status",
        search="_search_sync_status",
    )

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_product_link_external_uniq"
            " ON marketplace_product_link (account_id, external_id) WHERE external_id IS NOT NULL",
            "CREATE UNIQUE INDEX marketplace_product_link_product_uniq"
            " ON marketplace_product_link (account_id, product_id, coalesce(pack_uom_id, 0))"
            " WHERE product_id IS NOT NULL",
            "CREATE UNIQUE INDEX marketplace_product_link_key_uniq"
            " ON marketplace_product_link (account_id, key) WHERE external_id IS NULL",
            "CREATE INDEX marketplace_product_link_key ON marketplace_product_link (key, account_id)",
        )
        # Every push writes figures, twice: where no index has them and a page has room, that costs a fifth.
        # An index of what is in doubt would be one; the sweep looks for it once a minute.
        self.env.cr.execute("ALTER TABLE marketplace_product_link SET (fillfactor = 70)")

    @api.depends("state", "reason", "in_doubt", "acknowledged_at", "looked_up_at", "is_paused")
    def _compute_sync_status(self):
        """Tell where each stands; nothing waits for what is stopped, has no product or is nowhere."""
        marked = self.env["marketplace.mark"]._marked(self)
        for link in self:
            is_settled = link.state == "linked" and link.acknowledged_at and not link.in_doubt
            if link.reason:
                link.sync_status = "error"
            elif is_settled and not link.is_paused and link.id not in marked:
                link.sync_status = "synced"
            else:
                is_absent = link.state == "proposed" and link.looked_up_at
                is_idle = link.is_paused or link.state == "found" or is_absent
                link.sync_status = not is_idle and "pending"

    def _search_sync_status(self, operator, value):
        error = ("reason", "!=", False)
        settled = [
            "&",
            ("state", "=", "linked"),
            "&",
            ("in_doubt", "=", False),
            "&",
            ("acknowledged_at", "!=", False),
            "&",
            ("is_paused", "=", False),
            ("id", "not in", list(self.env["marketplace.mark"]._marked())),
        ]
        absent = ["&", ("state", "=", "proposed"), ("looked_up_at", "!=", False)]
        idle = ["|", "|", ("is_paused", "=", True), ("state", "=", "found"), *absent]
        domains = {
            "error": [error],
            "synced": ["&", "!", error, *settled],
            "pending": ["&", "!", *idle, "&", "!", error, "!", *settled],
            False: ["&", "!", error, *idle],
        }
        return search_by(domains, operator, value)

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
        for vals in vals_list:
            if vals.get("external_id") and vals.get("product_id"):
                self._make_room([vals["account_id"]], [vals["product_id"]], vals.get("pack_uom_id"))
                self._take_over(vals)
        self._refuse_doubles(vals_list)
        links = super().create(vals_list)
        links.filtered(lambda link: link.state == "linked")._sell_in_packs()
        links._look_for()
        return links

    def write(self, vals):
        if vals.get("product_id"):
            self._make_room(self.account_id.ids, [vals["product_id"]], vals.get("pack_uom_id"))
        elif vals.get("pack_uom_id"):
            self._make_room(self.account_id.ids, self.product_id.ids, vals["pack_uom_id"])
        if vals.get("external_id"):
            self._drop_found(vals["external_id"])
        if IDENTIFIES & set(vals):
            self._refuse_doubles([link._identity_with(vals) for link in self if link._is_renamed(vals)])
        # A file that is imported again names what is there already.
        identity = {name: vals[name] for name in IDENTITY & set(vals)}
        other = self.filtered(lambda link: link._is_renamed(identity))
        if {"product_id", "state"} & set(vals):
            self._note_last_units()
        res = super().write(vals)
        if vals.get("product_id"):
            self._settle_found()
        # What comes from the marketplace says when it was asked.
        if other and "looked_up_at" not in vals:
            other._seek_anew()
        if {"product_id", "pack_uom_id", "is_paused"} & set(vals):
            self._show_anew()
        return res

    def unlink(self):
        self._note_last_units()
        return super().unlink()

    def _is_convertible(self, unit, other):
        """Tell whether Odoo can convert between two units; 19 knows no categories any more."""
        if "category_id" in unit._fields:
            return unit.category_id == other.category_id
        return unit._has_common_reference(other)

    # -- buttons ------------------------------------------------------------------------------

    def action_sync(self):
        """Send what the listings should show, also where it seems to be there already."""
        working = self.account_id._at_work()
        links = self.filtered(lambda link: link.account_id in working and not link.is_paused)
        if not links:
            raise UserError(_("These listings are paused: press Start Sending first."))
        if all(link.state == "found" for link in links):
            raise UserError(_("These listings have no product yet: choose it first."))
        linked = links.filtered(lambda link: link.state == "linked").sudo()
        linked.write({"reason": False, "tries": 0, "in_doubt": True, **NOTHING_ACKNOWLEDGED})
        self.env["marketplace.mark"].sudo()._insert_both(linked, asked=True)
        (links.sudo() - linked)._look_for()
        if not linked:
            message = _(
                "They are looked for at the marketplace; prices and stock are sent once they are found."
            )
        elif any(account.state == "live" for account in linked.account_id):
            message = _("Prices and stock are sent within seconds.")
        else:
            message = _("In shadow, prices and stock are computed and not sent.")
        return working._notify(_("On its way"), message, "info")

    def action_view_history(self):
        """Open what the listings were sent."""
        name = "cartona_integration.action_marketplace_product_history"
        action = self.env["ir.actions.act_window"]._for_xml_id(name)
        return {**action, "domain": [("link_id", "in", self.ids)], "context": {}}

    def action_create_listing(self):
        """Have listings created that the marketplace does not have yet."""
        missing = self.filtered(lambda link: link.state in ("proposed", "wanted"))
        if not missing:
            raise UserError(_("These listings are on the marketplace already."))
        for account in missing.account_id:
            if not account._dialect().can_create_products:
                raise UserError(
                    _(
                        "%s lets no listings be created from outside. Create it there with this key; "
                        "it is then found by itself.",
                        account.name,
                    )
                )
        known = missing.filtered("external_id")
        known.sudo()._look_for()
        if any(not (link.product_id and link.key) for link in missing - known):
            raise UserError(_("A new listing needs a product and a key: enter them first."))
        wanted = {"state": "wanted", "looked_up_at": False, "reason": False, "tries": 0}
        (missing - known).sudo().write(wanted)
        missing.account_id._wake("link")
        return True

    @api.model
    def _has_waiting(self, account):
        return bool(account._lookups(1))

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
        """Have the marketplace asked: for listings with a key, or, where an id is known, for all."""
        waiting = self.filtered(lambda link: link.state in ("proposed", "wanted"))
        waiting.filtered("looked_up_at").looked_up_at = False
        waiting.filtered("external_id").account_id._wake("listings")
        waiting.filtered(lambda link: link.key and not link.external_id).account_id._wake("link")

    def _seek_anew(self):
        """Somebody names another listing: nothing is known of it before it was seen."""
        known = self.filtered(lambda link: link.state == "linked")
        known.sudo().write({"state": "proposed", "in_doubt": False, "sent_at": False, **NOTHING_ACKNOWLEDGED})
        self.filtered("reason").reason = False
        self._look_for()

    def _show_anew(self):
        """A listing got another product or unit: what it shows is the old one's."""
        # Superuser: managers need not be able to write marks.
        self.env["marketplace.mark"].sudo()._insert_both(self)
        self._note_last_units()
        self.env["marketplace.config"]._wake_held_imports()

    def _note_last_units(self):
        """Note for others what they are left the last units of, or not any more. Superuser: as above."""
        keeping = self.sudo().filtered("account_id.last_units")
        keeping.env["marketplace.mark"]._note(STOCK, keeping.product_id)

    # -- resolving order lines ------------------------------------------------------------------

    @api.model
    def _find_linked(self, account, field, values):
        """Give {value: links} of the account that were seen over there and name an active product.

        :param str field: ``external_id`` or ``key``
        """
        links, wanted = self.browse(), [value for value in values if value]
        if wanted:
            domain = [
                ("account_id", "=", account.id),
                (field, "in", wanted),
                ("state", "=", "linked"),
                ("product_id.active", "=", True),
            ]
            links = self.search(domain)
        return defaultdict(self.browse, links.grouped(field))

    # -- what became of it ------------------------------------------------------------------------

    def _note_claim(self, offers, due):
        """Keep what was computed and what is sent now: one statement for all listings.

        What is sent counts as not acknowledged until its answer is here.

        :param offers: {link: ProductUpdate}
        :param due: {link: ProductUpdate or None}
        """
        if not offers:
            return
        rows = [
            (link.id, *self._figures(offer), *self._parts(due.get(link))) for link, offer in offers.items()
        ]
        self.env.flush_all()
        self.env.cr.execute(
            """
            UPDATE marketplace_product_link link
               SET computed_at = now() AT TIME ZONE 'UTC',
                   computed_price = coalesce(new.price, computed_price),
                   computed_quantity = coalesce(new.quantity, computed_quantity),
                   computed_unlimited = coalesce(new.unlimited, computed_unlimited),
                   sent_price = CASE WHEN has_price THEN new.price ELSE sent_price END,
                   sent_quantity = CASE WHEN has_stock THEN new.quantity ELSE sent_quantity END,
                   sent_at = CASE WHEN has_price OR has_stock THEN now() AT TIME ZONE 'UTC' ELSE sent_at END,
                   in_doubt = coalesce(in_doubt, false) OR has_price OR has_stock,
                   tries = coalesce(tries, 0) + (has_price OR has_stock)::int,
                   price_acknowledged = coalesce(price_acknowledged, false) AND NOT has_price,
                   quantity_acknowledged = coalesce(quantity_acknowledged, false) AND NOT has_stock
              FROM unnest(%s, %s::float[], %s::float[], %s::bool[], %s, %s)
                   AS new (id, price, quantity, unlimited, has_price, has_stock)
             WHERE link.id = new.id
            """,
            [list(column) for column in zip(*rows, strict=True)],
        )
        self.invalidate_recordset()

    def _figures(self, offer):
        """Give an offer's price, quantity and unlimited as they are stored, None for what it has not."""
        price = offer.price and float(offer.price)
        return price, (None if offer.unlimited is None else float(offer.quantity or 0)), offer.unlimited

    def _parts(self, offer):
        """Tell whether an offer has a price, and whether it has stock."""
        return bool(offer and offer.price is not None), bool(offer and offer.unlimited is not None)

    @api.model
    def _note_answers(self, offers, results):
        """Keep what the marketplace said, listing by listing.

        A listing that somebody gave another identity meanwhile is not meant any more.

        :param offers: {link id: ProductUpdate} as sent
        :param results: {link id: ItemResult}
        """
        links = self.browse(results).exists().filtered("in_doubt")
        taken = links.filtered(lambda link: results[link.id].ok)
        taken._note_taken(offers)
        for link in links - taken:
            link._note_trouble(results[link.id])

    def _note_taken(self, offers):
        """Note that the marketplace has what was sent last: one statement for all listings."""
        if not self:
            return
        self.env.flush_all()
        parts = {link_id: self._parts(offers[link_id]) for link_id in self.ids}
        self.env.cr.execute(
            """
            UPDATE marketplace_product_link
               SET in_doubt = false, tries = 0, acknowledged_at = now() AT TIME ZONE 'UTC',
                   price_acknowledged = coalesce(price_acknowledged, false) OR id = ANY(%(priced)s),
                   acknowledged_price =
                       CASE WHEN id = ANY(%(priced)s) THEN sent_price ELSE acknowledged_price END,
                   quantity_acknowledged = coalesce(quantity_acknowledged, false) OR id = ANY(%(counted)s),
                   acknowledged_quantity =
                       CASE WHEN id = ANY(%(counted)s) THEN sent_quantity ELSE acknowledged_quantity END,
                   acknowledged_unlimited =
                       CASE WHEN id = ANY(%(counted)s) THEN computed_unlimited ELSE acknowledged_unlimited END
             WHERE id = ANY(%(ids)s)
            """,
            {
                "ids": self.ids,
                "priced": [link_id for link_id, [has_price, _stock] in parts.items() if has_price],
                "counted": [link_id for link_id, [_price, has_stock] in parts.items() if has_stock],
            },
        )
        self.invalidate_recordset()

    def _note_trouble(self, result):
        """Note a refusal, or that not a word was said: that stays in doubt and is sent again by the sweep,
        until a person is needed.
        """
        if result.ok is False:
            reason = result.reason or _("The marketplace refused it without a reason.")
            self.write({"in_doubt": False, "tries": 0, "reason": reason})
        elif self.tries >= self.account_id.retry_attempts:
            self.reason = _("The marketplace's answers do not mention this listing (%s times).", self.tries)
