from odoo import _, api, fields, models
from odoo.exceptions import UserError

SHOWN = 80  # of each kind
LINES = "marketplace.go.live.line"


class MarketplaceGoLive(models.TransientModel):
    """Shows what would change on the marketplace before it does, and asks."""

    _name = "marketplace.go.live"
    _description = "Go Live"

    account_id = fields.Many2one("marketplace.config", required=True, readonly=True, ondelete="cascade")
    account_state = fields.Selection(related="account_id.state")
    last_push = fields.Datetime(related="account_id.last_push", string="Computed At")
    link_ids = fields.Many2many("marketplace.product.link", string="Only These", readonly=True)
    link_count = fields.Integer(string="Linked Listings", readonly=True)
    unknown_count = fields.Integer(
        string="Not Compared Yet",
        readonly=True,
        help="Linked listings that were not read yet, or whose figures were not computed yet.",
    )
    is_unread = fields.Boolean(
        string="Never Read", readonly=True, help="The marketplace's listings were not read to the end yet."
    )
    waiting_count = fields.Integer(
        string="Held Back", readonly=True, help="A person has to look at them first."
    )
    empties = fields.Integer(string="Would Go to 0", readonly=True)
    reprices = fields.Integer(string="Prices That Would Change", readonly=True)
    recounts = fields.Integer(string="Quantities That Would Change", readonly=True)
    shown_at_most = fields.Integer(default=SHOWN, readonly=True)
    line_ids = fields.One2many("marketplace.go.live.line", "wizard_id", readonly=True)
    empties_ids = fields.One2many("marketplace.go.live.line", "wizard_id", domain=[("kind", "=", "empties")])
    reprices_ids = fields.One2many(
        "marketplace.go.live.line", "wizard_id", domain=[("kind", "=", "reprices")]
    )
    recounts_ids = fields.One2many(
        "marketplace.go.live.line", "wizard_id", domain=[("kind", "=", "recounts")]
    )
    stopped_count = fields.Integer(related="account_id.stopped_count")
    new_links_wait = fields.Boolean(related="account_id.new_links_wait", readonly=False)
    import_from = fields.Datetime(related="account_id.import_from", readonly=False)
    is_understood = fields.Boolean(string="Go on although not everything was compared")

    @api.model_create_multi
    def create(self, vals_list):
        wizards = super().create(vals_list)
        for wizard in wizards:
            wizard._compare()
        return wizards

    @api.model
    def _open(self, account, links=None):
        """Open the window.

        :param links: only for these; for all of the account's when None
        """
        wizard = self.create({"account_id": account.id, "link_ids": links and links.ids})
        return {
            "name": _("Go Live"),
            "type": "ir.actions.act_window",
            "res_model": self._name,
            "res_id": wizard.id,
            "views": [(False, "form")],
            "target": "new",
        }

    def _compare(self):
        account, links = self.account_id, self._links()
        counts = account._count_changes(links)
        domain = [("account_id", "=", account.id), ("state", "=", "linked")]
        domain.append(("is_paused", "=", False) if links is None else ("id", "in", links.ids))
        listings = self.env["marketplace.product.link"]
        total = listings.search_count(domain)
        self.write(
            {
                "link_count": total,
                "is_unread": not account._state("listings").last_run,
                "unknown_count": total - counts.pop("compared"),
                "waiting_count": listings.search_count([*domain, ("reason", "!=", False)]),
                "line_ids": [
                    fields.Command.create(self._prepare_line(kind, change))
                    for kind in counts
                    for change in account._biggest_changes(kind, SHOWN, links)
                ],
                **counts,
            }
        )

    def _links(self):
        return self.link_ids or None

    def _prepare_line(self, kind, change):
        names = ("observed_price", "computed_price", "observed_quantity", "computed_quantity")
        return {"kind": kind, "link_id": change["id"], **{name: change[name] for name in names}}

    def action_confirm(self):
        """Go live.

        :raise UserError: nobody said that it shall happen although not everything is known
        """
        if self.is_unread and not self.is_understood:
            raise UserError(
                _(
                    "The marketplace's listings were not read yet: nobody can tell what would change. Let "
                    "the account work in shadow for a while, or say that you go on all the same."
                )
            )
        if self.unknown_count and not self.is_understood:
            raise UserError(
                _(
                    "%s listings were not compared. Let the account work in shadow for a while, "
                    "or say that you go on all the same.",
                    self.unknown_count,
                )
            )
        self.account_id._go_live(self._links())
        return {"type": "ir.actions.act_window_close"}

    def action_shadow(self):
        """Watch first: everything is computed, nothing is sent."""
        self.account_id.action_shadow()
        return {"type": "ir.actions.act_window_close"}


class MarketplaceGoLiveLine(models.TransientModel):
    """One figure that would change."""

    _name = "marketplace.go.live.line"
    _description = "Change by Going Live"

    wizard_id = fields.Many2one("marketplace.go.live", required=True, ondelete="cascade")
    kind = fields.Selection(
        [("empties", "Goes to 0"), ("reprices", "Price"), ("recounts", "Quantity")], required=True
    )
    link_id = fields.Many2one("marketplace.product.link", string="Listing", required=True, ondelete="cascade")
    product_id = fields.Many2one(related="link_id.product_id")
    observed_price = fields.Float(string="Price Now")
    computed_price = fields.Float(string="New Price")
    observed_quantity = fields.Float(string="Quantity Now")
    computed_quantity = fields.Float(string="New Quantity")
