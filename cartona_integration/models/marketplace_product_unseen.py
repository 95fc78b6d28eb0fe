from odoo import _, api, fields, models
from odoo.tools import float_compare

from .figures import SAME
from .marketplace_product_link import NOTHING_ACKNOWLEDGED

# Missing in so many complete readings in a row: it is gone. One may miss what moved between its pages.
GONE_AFTER = 2
# More missing at once than both is trouble of the marketplace, not of the listings.
MISSING_AT_ONCE = 5
MISSING_SHARE = 0.2


class MarketplaceProductLink(models.Model):
    """What readings find changed: figures that drifted, listings that went and came again."""

    _inherit = "marketplace.product.link"

    drift = fields.Selection(
        [
            ("changed", "Changed at the marketplace"),
            ("lost", "Lost on the way"),
            ("refused", "Refused"),
            ("sold", "Sold there"),
            ("off", "Switched off there"),
        ],
        readonly=True,
        copy=False,
        help="The likely cause why the last reading saw other figures than the marketplace had accepted; "
        "they are sent again. Lost: it still shows what it showed before. Sold: less is left than we sent. "
        "Switched off: customers do not find it; only somebody there can switch it on.",
    )
    drifted_at = fields.Datetime(
        readonly=True, copy=False, help="When a reading first saw it so, for this cause."
    )
    missed = fields.Integer(
        default=0, readonly=True, copy=False, help="Complete readings in a row that did not see it."
    )

    def _drift_of(self, listing, asked):
        """Tell why a listing shows something else than the marketplace accepted; None when it does not.

        :param Listing listing: as it was read
        :param datetime asked: when it was asked for; what was sent since tells nothing
        """
        if self.state != "linked" or self.account_id.state != "live" or self.is_paused:
            return None
        if self.in_doubt or (self.sent_at and self.sent_at >= asked):
            return self.drift or None
        if listing.active is False and self._is_offered():
            return "off"
        if self.reason and self.sent_at:
            return "refused" if self._differs(listing, "sent") else None
        counted = self.quantity_acknowledged and not self.acknowledged_unlimited
        cause = "changed" if self.quantity_acknowledged and self._sells_otherwise(listing) else None
        if counted and self._differs_in(listing.quantity, "acknowledged_quantity"):
            cause = self._cause(listing.quantity, "quantity")
            if cause == "changed" and listing.quantity < self.acknowledged_quantity:
                # Whatever became of the price: our quantity of now would sell it twice.
                return "sold"
        if self.price_acknowledged and self._differs_in(listing.price, "acknowledged_price"):
            return self._cause(listing.price, "price")
        return cause

    def _is_offered(self):
        """Tell whether customers should find it: many marketplaces hide by themselves what is sold out.

        Superuser: the product may have gone to another company.
        """
        product = self.sudo().product_id
        is_empty = not (self.acknowledged_quantity or self.acknowledged_unlimited)
        return bool(product - self._unsold(product)) and not (self.quantity_acknowledged and is_empty)

    def _sells_otherwise(self, listing):
        """Tell whether a listing never sells out there, and should, or the other way round."""
        return listing.unlimited not in (None, self.acknowledged_unlimited)

    def _differs(self, listing, prefix):
        figures = ((listing.price, f"{prefix}_price"), (listing.quantity, f"{prefix}_quantity"))
        return any(self._differs_in(figure, name) for figure, name in figures)

    def _differs_in(self, figure, name):
        return figure is not None and not self._is_same(name, figure)

    def _cause(self, figure, name):
        """Tell a change over there from an update that never arrived.

        That one shows what was seen before it, or what the marketplace took before it.
        """
        seen_before = self.observed_at and self.acknowledged_at and self.observed_at < self.acknowledged_at
        if seen_before and self._is_same(f"observed_{name}", figure):
            return "lost"
        kind = {"price": "price", "quantity": "stock"}[name]
        domain = [("link_id", "=", self.id), ("outcome", "=", "taken"), ("figures", "in", (kind, "both"))]
        before = self.env["marketplace.product.history"].search(domain, offset=1, limit=1)
        is_lost = before and not float_compare(before[name], float(figure), precision_digits=SAME)
        return "lost" if is_lost else "changed"

    # -- gone and come again --------------------------------------------------------------------

    @api.model
    def _note_missing(self, account, began, reading):
        """Note which listings a complete reading did not see. Whoever names an id no listing has is told.

        :param datetime began: when the reading began; younger links are none of its business
        :return: whether linked ones are gone
        """
        seen_once = [("account_id", "=", account.id), ("reading", "!=", False), ("create_date", "<=", began)]
        missing = self.search([*seen_once, ("state", "in", ("linked", "found")), ("reading", "!=", reading)])
        total = self.search_count(seen_once)
        # A shop with few listings is emptied by one answer that lists none.
        seen_none = total > 1 and not self.search_count(
            [("account_id", "=", account.id), ("reading", "=", reading)], limit=1
        )
        if seen_none or (len(missing) > MISSING_AT_ONCE and len(missing) > MISSING_SHARE * total):
            account._ask_for_help(
                "listings",
                _(
                    "%s listings were missing when all were read: nothing was changed. Delete them here if "
                    "they are gone for good.",
                    len(missing),
                ),
            )
            return False
        for link in missing:
            link.missed += 1
        gone = missing.filtered(lambda link: link.missed >= GONE_AFTER)
        linked = gone.filtered(lambda link: link.state == "linked")
        linked._go()
        # Superuser: the acting user deletes nothing but rows nobody linked.
        gone.filtered(lambda link: link.state == "found").sudo().unlink()
        if missing.exists() - gone.exists():
            account._wake("listings")  # once more, to be sure
        self._note_unknown(account, began)
        return bool(linked)

    def _go(self):
        """Send nothing any more for listings that are gone; when they are seen again, they are linked."""
        reason = _(
            "The marketplace does not list it any more; listed anew with this key, it is linked again."
        )
        self.write({"state": "proposed", "reason": reason, "in_doubt": False, "drift": False})
        self.write(NOTHING_ACKNOWLEDGED)

    @api.model
    def _note_unknown(self, account, began):
        domain = [
            ("account_id", "=", account.id),
            ("state", "in", ("proposed", "wanted")),
            ("external_id", "!=", False),
            ("missed", "<", GONE_AFTER),
            "|",
            ("looked_up_at", "=", False),
            ("looked_up_at", "<", began),
        ]
        self.search(domain).write(
            {"looked_up_at": fields.Datetime.now(), "reason": _("No listing has this id.")}
        )

    def _gone_with(self, account, keys):
        """Give {key: the one link of a listing that is gone}: listed anew, it has another id."""
        links = self.search(
            [
                ("account_id", "=", account.id),
                ("key", "in", list(keys)),
                ("state", "=", "proposed"),
                ("missed", ">=", GONE_AFTER),
                ("product_id", "!=", False),
            ]
        )
        return {key: link for key, link in links.grouped("key").items() if len(link) == 1}


class MarketplaceConfig(models.Model):
    """How many listings a reading found drifted, and why."""

    _inherit = "marketplace.config"

    drift_count = fields.Integer(
        string="Drifted Listings",
        compute="_compute_drift_count",
        help="Listings the last reading saw with other figures than the marketplace had accepted, or "
        "switched off.",
    )

    def _compute_drift_count(self):
        counts = self._count("marketplace.product.link", [("drift", "!=", False)])
        for account in self:
            account.drift_count = counts.get(account.id, 0)

    def action_view_drift(self):
        """Open the listings that drifted."""
        views = [
            (self.env.ref("cartona_integration.view_marketplace_link_drift_list").id, "list"),
            (False, "form"),
        ]
        return {**self._view_with("action_marketplace_link", "account_id", "drifted"), "views": views}

    def _log_drift(self, reading, began):
        """Tell how many listings drifted, by cause.

        :param datetime began: when the reading began
        """
        links = self.env["marketplace.product.link"]
        domain = [("account_id", "=", self.id), ("reading", "=", reading), ("drift", "!=", False)]
        counts = dict(links._read_group(domain, ["drift"], ["__count"]))
        off = counts.pop("off", 0)
        if off and links.search_count([*domain, ("drift", "=", "off"), ("drifted_at", ">=", began)], limit=1):
            self._ask_about_switched_off(off)
        if "sold" in counts:
            self._ask_feed()  # the orders that explain it
        if counts:
            labels = dict(links._fields["drift"]._description_selection(self.env))
            causes = ", ".join(f"{labels[cause]}: {count}" for cause, count in counts.items())
            message = _(
                "%(count)d listings showed other figures than were accepted (%(causes)s): sent again",
                count=sum(counts.values()),
                causes=causes,
            )
            self.env["marketplace.sync.log"]._log(self, "listings", message)

    def _ask_about_gone(self):
        """Tell a person of all that are gone: of those the reading has linked with another id nobody asks."""
        gone = [("account_id", "=", self.id), ("state", "=", "proposed"), ("missed", ">=", GONE_AFTER)]
        if count := self.env["marketplace.product.link"].search_count(gone):
            self._ask_for_help("listings", _("%s listings are gone from the marketplace.", count))

    def _ask_about_switched_off(self, count):
        """Tell a person, once; the switch is the marketplace's: its people may have had their reasons."""
        note = _(
            "%s listings are switched off at the marketplace, so nobody can buy them: switch them on there, "
            "or stop sending them here.",
            count,
        )
        self._ask_for_help("listings", note)
