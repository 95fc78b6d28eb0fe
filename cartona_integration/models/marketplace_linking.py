from datetime import timedelta

from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..matching import CONFIDENCE, Catalogue, Product

MATCHED_AT_ONCE = 200
COVERED_DAYS = 30


class MarketplaceConfig(models.Model):
    """How listings without product find theirs, and how far that has come."""

    _inherit = "marketplace.config"

    counts_in = fields.Selection(
        [("unit", "The marketplace's unit"), ("piece", "Single pieces")],
        string="Odoo Counts",
        default="unit",
        required=True,
        help="Single pieces: a listing of 12 pieces is linked in a unit of 12, made when there is none. "
        "Price and stock are then those of 12.",
    )
    link_confidence = fields.Integer(
        string="Sure from",
        default=90,
        help="Per cent from which 'Link What Is Sure' links. Names alone never reach it.",
    )
    unlinked_count = fields.Integer(string="Listings without Product", compute="_compute_coverage")
    ambiguous_count = fields.Integer(string="Ambiguous Listings", compute="_compute_coverage")
    coverage = fields.Integer(
        compute="_compute_coverage", help="Per cent of the listings that have a product."
    )
    unlisted_count = fields.Integer(string="Products without Listing", compute="_compute_left")
    sure_count = fields.Integer(string="Sure Proposals", compute="_compute_left")
    ordered_coverage = fields.Integer(
        string="Ordered Lines Covered",
        compute="_compute_left",
        help="Per cent of the lines ordered in the last 30 days whose product is linked here.",
    )

    @api.constrains("link_confidence")
    def _check_link_confidence(self):
        for account in self:
            if not CONFIDENCE["name"] < account.link_confidence <= 100:
                raise ValidationError(
                    _("Sure from takes %s to 100 per cent: less is a name alone.", CONFIDENCE["name"] + 1)
                )

    def _compute_coverage(self):
        states = {
            (account.id, state): count
            for account, state, count in self.env["marketplace.product.link"]._read_group(
                [("account_id", "in", self.ids), ("state", "in", ("found", "linked"))],
                ["account_id", "state"],
                ["__count"],
            )
        }
        ambiguous = [("state", "=", "found"), ("is_ambiguous", "=", True)]
        unclear = self._count("marketplace.product.link", ambiguous)
        for account in self:
            without, having = states.get((account.id, "found"), 0), states.get((account.id, "linked"), 0)
            account.unlinked_count = without
            account.ambiguous_count = unclear.get(account.id, 0)
            account.coverage = 100 * having // (having + without) if having + without else 0

    def _compute_left(self):
        """Count what is left to do; for the account's page only, as it looks at all products."""
        links, products = self.env["marketplace.product.link"], self.env["product.product"]
        self.sure_count = self.unlisted_count = self.ordered_coverage = 0
        # What is being edited is counted as it is stored; a new account has nothing yet.
        for account in self.filtered(lambda account: account._origin):
            stored = account._origin
            account.sure_count = links.search_count(stored._sure_domain())
            account.unlisted_count = products.search_count(stored._unlisted_domain())
            account.ordered_coverage = stored._ordered_coverage()

    def _sure_domain(self):
        return [
            ("account_id", "=", self.id),
            ("state", "=", "found"),
            ("is_sure", "=", True),
        ]

    def _unlisted_domain(self):
        return [
            ("sale_ok", "=", True),
            ("company_id", "in", (False, self.company_id.id)),
            ("marketplace_link_ids", "not any", [("account_id", "=", self.id), ("state", "=", "linked")]),
        ]

    def _ordered_coverage(self):
        """Give the share of the lines ordered lately that are covered; all of them where none was ordered.

        Lines nobody could name a product for are in messages on hold.
        """
        since = fields.Datetime.now() - timedelta(days=COVERED_DAYS)
        self.env.cr.execute(
            """
            SELECT count(*), count(*) FILTER (WHERE EXISTS (
                       SELECT FROM marketplace_product_link link
                        WHERE link.account_id = %(account)s AND link.product_id = line.product_id
                          AND link.state = 'linked'))
              FROM sale_order_line line JOIN sale_order sale ON sale.id = line.order_id
             WHERE sale.marketplace_config_id = %(account)s AND sale.create_date > %(since)s
               AND line.product_id IS NOT NULL AND line.display_type IS NULL
               AND line.marketplace_line_id IS NOT NULL
            """,
            {"account": self.id, "since": since},
        )
        lines, covered = self.env.cr.fetchone()
        missing = [
            ("event_id.account_id", "=", self.id),
            ("event_id.state", "=", "hold"),
            ("kind", "=", "product"),
        ]
        lines += self.env["marketplace.event.hold"].search_count(
            [*missing, ("event_id.create_date", ">", since)]
        )
        return 100 * covered // lines if lines else 100

    # -- buttons ------------------------------------------------------------------------------

    def action_match(self):
        """Propose products for all listings without one, anew."""
        self._rematch()
        return self._notify(_("Comparing"), _("Proposals appear in a few seconds."), "info")

    def action_link_sure(self):
        """Link all proposals that are sure enough."""
        self.ensure_one()
        sure = self.env["marketplace.product.link"].search(self._sure_domain())
        if not sure:
            raise UserError(_("No proposal is sure enough."))
        return sure.action_link_proposed()

    def action_view_unlinked(self):
        """Open the listings without product, the surest proposals first."""
        domain = [("account_id", "in", self.ids), ("state", "=", "found")]
        return {**self._view_with("action_marketplace_workbench", "account_id"), "domain": domain}

    def action_view_unlisted(self):
        """Open the products no listing of this account sells."""
        self.ensure_one()
        return {
            "name": _("Products without Listing"),
            "type": "ir.actions.act_window",
            "res_model": "product.product",
            "views": [(False, "list"), (False, "form")],
            "domain": self._unlisted_domain(),
        }

    # -- the job --------------------------------------------------------------------------------

    def _rematch(self):
        """Have all listings without product compared anew. Superuser: users may ask, not write."""
        links = self.env["marketplace.product.link"].sudo()
        links.search(
            [("account_id", "in", self.ids), ("state", "=", "found"), ("matched_at", "!=", False)]
        ).write({"matched_at": False})
        self._wake("match")

    def _job_match(self):
        """Compare the listings without product with the products. No calls."""
        with self._locked("match"):
            if self._committed("_has_unmatched"):
                catalogue = self._committed("_load_catalogue")
                self._until_done("match", lambda: self._committed("_match_batch", catalogue))

    def _unmatched(self, limit):
        domain = [("account_id", "=", self.id), ("state", "=", "found"), ("matched_at", "=", False)]
        return self.env["marketplace.product.link"].search(domain, order="id", limit=limit)

    def _has_unmatched(self):
        return self._may_work("match") and bool(self._unmatched(1))

    def _match_batch(self, catalogue):
        """Compare some listings.

        :return: whether to go on
        """
        if not self._may_work("match"):
            return False
        links = self._unmatched(MATCHED_AT_ONCE)
        if links:
            links._propose_products(catalogue)
            return True
        links._refuse_rivals(self)
        self._state("match")._succeed()
        return False

    def _load_catalogue(self):
        """Read what is compared of the account's products. Plain SQL: 100,000 records would be too many.

        :rtype: Catalogue
        """
        lang = self.company_id.partner_id.lang or "en_US"
        self.env.flush_all()
        self.env.cr.execute(
            """
            SELECT product.id, product.cartona_id, product.default_code, product.barcode,
                   coalesce(template.name ->> %(lang)s, template.name ->> 'en_US')
              FROM product_product product
              JOIN product_template template ON template.id = product.product_tmpl_id
             WHERE product.active AND template.active AND template.sale_ok
               AND (template.company_id IS NULL OR template.company_id = %(company)s)
            """,
            {"lang": lang, "company": self.company_id.id},
        )
        return Catalogue(Product(*row) for row in self.env.cr.fetchall())
