from collections import defaultdict

from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..compat import SOL_UOM, STORABLE_FIELDS, is_storable
from .marketplace_mark import PRICE, STOCK


class ProductProduct(models.Model):
    _name = "product.product"
    _inherit = ["product.product", "marketplace.listed.mixin"]

    marketplace_link_ids = fields.One2many(
        "marketplace.product.link",
        "product_id",
        string="Listings",
        groups="cartona_integration.group_marketplace_user",
    )
    cartona_id = fields.Char(
        string="Marketplace Key",
        copy=False,
        index="btree_not_null",
        help="What the product is called on the marketplaces: Cartona's internal product id, or the SKU.",
    )

    @api.constrains("cartona_id", "product_tmpl_id")
    def _check_cartona_id(self):
        """Refuse a key twice in one company. Superuser: the other product may be out of the user's sight."""
        named, everything = self.filtered("cartona_id"), self.sudo()
        found = defaultdict(everything.browse)
        for other in everything._search_marketplace_key(named.mapped("cartona_id")):
            found[other.cartona_id] |= other
        for product in named:
            rivals = found[product.cartona_id].filtered(
                lambda other, product=product: (
                    other.id != product.id
                    and (
                        other.company_id == product.company_id
                        or not other.company_id
                        or not product.company_id
                    )
                )
            )
            if rivals:
                raise ValidationError(product._why_key_taken(rivals[0]))

    def _why_key_taken(self, rival):
        """Say whose the key is; an archived product is not found where people look for it."""
        named = {"key": self.cartona_id, "product": rival.display_name}
        if rival.active:
            return _("The marketplace key %(key)s already belongs to %(product)s.", **named)
        return _(
            "The marketplace key %(key)s already belongs to %(product)s, which is archived: empty it there.",
            **named,
        )

    @api.model_create_multi
    def create(self, vals_list):
        products = super().create(vals_list)
        products._note_marketplace_keys(vals_list)
        return products

    def write(self, vals):
        res = super().write(vals)
        self._note_marketplace_keys([vals])
        if "standard_price" in vals:
            self._note_marketplace_cost()
        # Superuser: whoever edits products need not see marks.
        marks = self.env["marketplace.mark"].sudo()
        if "active" in vals:
            marks._note(STOCK, self)
        if "product_template_attribute_value_ids" in vals:  # each may have an extra price
            marks._note(PRICE, self)
        return res

    def _note_marketplace_cost(self):
        """Note that prices which follow from the cost change. Superuser: whoever edits it sees no marks."""
        if self.env["marketplace.config"]._has_active_account():
            items = self.env["product.pricelist.item"].sudo()
            follows = items.search_count([("base", "=", "standard_price")], limit=1)
            guarded = (
                self.env["marketplace.config"].sudo().search_count([("price_floor", "=", "cost")], limit=1)
            )
            if follows or guarded:
                self.env["marketplace.mark"].sudo()._note(PRICE, self)

    def unlink(self):
        """Delete; their listings stay and are withdrawn."""
        self._note_marketplace_withdrawal()
        return super().unlink()

    def _note_marketplace_withdrawal(self):
        """Note the listings, while they can be found. Superuser: whoever deletes need not see them.

        What only looked for one goes: nobody would see it any more, and no other product could have its key.
        """
        links = self.env["marketplace.product.link"].sudo().search([("product_id", "in", self.ids)])
        seekers = links.filtered(lambda link: link.state != "linked" and not link.external_id)
        seekers.unlink()
        links.env["marketplace.mark"]._note(STOCK, links - seekers)

    def _note_marketplace_keys(self, vals_list):
        """Look for listings with a new key, and wake the imports that may be waiting for it."""
        if any("cartona_id" in vals for vals in vals_list):
            self.env["marketplace.product.link"]._propose(self)
        if any(vals.get(name) for vals in vals_list for name in ("cartona_id", "barcode", "active")):
            self.env["marketplace.config"]._wake_held_imports()

    @api.model
    def _search_marketplace_key(self, keys):
        if not keys:
            return self.browse()
        return self.with_context(active_test=False).search([("cartona_id", "in", list(keys))])

    @api.model
    def _find_of_account(self, account, field, values):
        """Give {value: active products of the account's company or of none}; two are a person's case.

        :param str field: ``cartona_id`` or ``barcode``; the account's links are not looked at
        """
        domain = [(field, "in", list(values)), ("company_id", "in", (False, account.company_id.id))]
        found = self.search(domain) if values else self.browse()
        return defaultdict(self.browse, found.grouped(field))

    def _marketplace_variants(self):
        return self

    def _create_marketplace_listings(self):
        nameless = self.filtered(lambda product: not product.cartona_id)
        if nameless:
            raise UserError(
                _(
                    "Enter a marketplace key first, the listing is called by it: %s",
                    ", ".join(nameless[:5].mapped("display_name")),
                )
            )
        self.env["marketplace.product.link"]._propose(self)
        links = self.marketplace_link_ids.filtered(
            lambda link: link.state != "linked" and link.account_id._dialect().can_create_products
        )
        if not links:
            raise UserError(
                _("No active account creates listings for these products: they are listed, or it cannot.")
            )
        return links.action_create_listing()

    def _fetch_goods(self):
        """Read at once, and nothing else, what all figures follow from: products have a hundred fields."""
        self.fetch(["active", "product_tmpl_id"])
        self.product_tmpl_id.fetch(
            ["company_id", "list_price", "sale_ok", "taxes_id", "uom_id", *STORABLE_FIELDS]
        )

    # -- what is free to sell -----------------------------------------------------------------

    def _marketplace_free(self, account):
        """Give {product id: quantity free to sell} in each product's unit, over the account's warehouses.

        On hand − reserved − confirmed demand nothing is reserved for yet − what marketplace quotations and
        orders on hold want. The account's safety stock is not taken off. Of a kit there is as much as its
        components make. What is not counted in stock is left out.
        """
        contents = self._kit_contents(account.company_id)
        kits = self.browse([kit.id for kit in contents])
        components = self.browse().union(*[component for parts in contents.values() for component in parts])
        counted = self - kits
        if loose := self.product_tmpl_id.filtered(lambda template: not is_storable(template)):
            counted = counted.filtered(lambda product: product.product_tmpl_id not in loose)
        counted |= components
        free = dict.fromkeys(counted.ids, 0.0)
        for _name, sign, figures in counted._marketplace_parts(account):
            for product_id, quantity in figures.items():
                free[product_id] += sign * quantity
        made = {kit.id: self._kits_of(free, parts) for kit, parts in contents.items() if parts}
        return {product_id: free[product_id] for product_id in self.ids if product_id in free} | made

    def _marketplace_parts(self, account):
        """Give what free stock is made of: list of (name for people, sign, {product id: quantity}).

        Nobody stocks kits, but quotations and orders on hold want them: they want what is in them.
        """
        warehouses, everything = account.stock_warehouse_ids, self._with_kits()
        contents = (everything - self)._kit_contents(account.company_id)
        wanted = {
            _("in marketplace quotations"): everything._marketplace_quoted(warehouses),
            _("in marketplace orders on hold"): everything._marketplace_held(warehouses),
        }
        return [
            (_("on hand, not reserved"), 1, self._marketplace_on_hand(warehouses)),
            (_("wanted by orders, not reserved yet"), -1, self._marketplace_demanded(warehouses)),
            *[
                (name, -1, self._of_mine(self._unpacked(figures, contents)))
                for name, figures in wanted.items()
            ],
        ]

    def _of_mine(self, figures):
        mine = set(self.ids)
        return {product_id: quantity for product_id, quantity in figures.items() if product_id in mine}

    def _marketplace_on_hand(self, warehouses):
        """Give {product id: on hand − reserved} in the warehouses' own locations, whoever owns the goods.

        The tree of places says what is in a warehouse, as in Odoo's own figures: the warehouse a place has
        stored stays the old one where a place above it moved.
        """
        self.env.flush_all()
        self.env.cr.execute(
            """
            SELECT quant.product_id,
                   -- Of a count that is not applied yet Odoo knows no quantity.
                   sum(coalesce(quant.quantity, 0) - coalesce(quant.reserved_quantity, 0))::float
              FROM stock_quant quant
              JOIN stock_location location ON location.id = quant.location_id
             WHERE quant.product_id = ANY(%s)
               AND location.parent_path LIKE ANY(%s) AND location.usage = 'internal'
          GROUP BY 1
            """,
            [self.ids, [f"{path}%" for path in warehouses.sudo().view_location_id.mapped("parent_path")]],
        )
        return dict(self.env.cr.fetchall())

    def _marketplace_demanded(self, warehouses):
        """Give {product id: quantity} that goes out of the warehouses and is not reserved yet.

        Of a route of several steps only the first: the others wait for it. Superuser: whose goods they are
        does not matter.
        """
        domain = [
            ("product_id", "in", self.ids),
            ("state", "in", ("confirmed", "partially_available")),
            ("location_id", "child_of", warehouses.sudo().view_location_id.ids),
            ("location_id.usage", "=", "internal"),
        ]
        moves = self.env["stock.move"].sudo()
        groups = ["product_id", "product_uom"]  # port: same
        demanded = defaultdict(float)
        for product, unit, wanted, reserved in moves._read_group(
            domain, groups, ["product_uom_qty:sum", "quantity:sum"]
        ):
            demanded[product.id] += unit._compute_quantity(wanted - reserved, product.uom_id, round=False)
        return demanded

    def _marketplace_quoted(self, warehouses):
        """Give {product id: quantity} of marketplace orders that are not confirmed yet, of any account.

        Superuser: another company's account may sell from the same warehouse.
        """
        domain = [
            ("product_id", "in", self.ids),
            ("order_id.marketplace_config_id", "!=", False),
            ("order_id.state", "in", ("draft", "sent")),
            ("order_id.warehouse_id", "in", warehouses.ids),
        ]
        lines = self.env["sale.order.line"].sudo()
        quoted = defaultdict(float)
        for product, unit, quantity in lines._read_group(
            domain, ["product_id", SOL_UOM], ["product_uom_qty:sum"]
        ):
            quoted[product.id] += unit._compute_quantity(quantity, product.uom_id, round=False)
        return quoted

    def _marketplace_held(self, warehouses):
        """Give {product id: quantity} that orders on hold want of products we know, of any account."""
        self.env.flush_all()
        self.env.cr.execute(
            """
            SELECT wanted.key::int, sum(wanted.value::numeric)::float
              FROM marketplace_event event
              JOIN marketplace_config account ON account.id = event.account_id,
                   jsonb_each_text(event.held_quantities) wanted
             WHERE account.warehouse_id = ANY(%s)
               AND event.held_quantities IS NOT NULL
               AND wanted.key::int = ANY(%s)
          GROUP BY 1
            """,
            [warehouses.ids, self.ids],
        )
        return dict(self.env.cr.fetchall())
