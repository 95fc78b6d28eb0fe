from odoo import fields, models

# What a listing shows and what it would show, where both are known; more than any price's decimals.
CHANGES = """
    SELECT link.id, link.observed_price, link.computed_price, link.observed_quantity, link.computed_quantity,
           abs(link.computed_price - link.observed_price) > 0.000001 AND link.computed_price > 0
               AND coalesce(link.held_price, 0) = 0 AND account.auto_sync_prices AS reprices,
           abs(link.computed_quantity - link.observed_quantity) > 0.000001
               AND NOT coalesce(link.computed_unlimited, false) AND account.auto_sync_stock AS recounts,
           link.computed_quantity = 0 AND link.observed_quantity > 0
               AND NOT coalesce(link.computed_unlimited, false) AND account.auto_sync_stock AS empties
      FROM marketplace_product_link link JOIN marketplace_config account ON account.id = link.account_id
     WHERE link.account_id = %(account)s AND link.state = 'linked'
       AND link.observed_at IS NOT NULL AND link.computed_at IS NOT NULL
       -- The chosen ones start, stopped or not; without a choice what was stopped stays so.
       AND CASE WHEN %(ids)s IS NULL THEN NOT coalesce(link.is_paused, false) ELSE link.id = ANY(%(ids)s) END
"""
ORDERS = {
    "empties": "observed_quantity DESC",
    "reprices": "abs(computed_price - observed_price) / greatest(abs(observed_price), 0.01) DESC",
    "recounts": "abs(computed_quantity - observed_quantity) DESC",
}


class MarketplaceConfig(models.Model):
    """From draft over shadow to live: first watch what would be sent, then let it go out."""

    _inherit = "marketplace.config"

    new_links_wait = fields.Boolean(
        help="Nothing is sent for a newly linked listing until somebody presses Start Sending on it. Going "
        "live with a selection switches it on.",
    )
    stopped_count = fields.Integer(
        string="Stopped Listings",
        compute="_compute_stopped_count",
        help="Linked listings nothing is sent for until somebody presses Start Sending on them.",
    )

    def _compute_stopped_count(self):
        stopped = [("state", "=", "linked"), ("is_paused", "=", True)]
        counts = self._count("marketplace.product.link", stopped)
        for account in self:
            account.stopped_count = counts.get(account.id, 0)

    def action_view_stopped(self):
        """Open the listings nothing is sent for."""
        return self._view_with("action_marketplace_link", "account_id", "paused")

    def action_shadow(self):
        """Let the account work without sending anything: orders come in, figures are computed and shown."""
        self._check_reachable()
        res = self.write({"state": "shadow"})
        self._wake("listings")
        return res

    def action_go_live(self):
        """Show what would change on the marketplace, and ask."""
        self.ensure_one()
        self._check_reachable()
        return self.env["marketplace.go.live"]._open(self)

    def _count_changes(self, links=None):
        """Count what going live would change.

        :param links: only these; all of the account when None
        :return: dict with ``compared``, ``reprices``, ``recounts``, ``empties``
        """
        self.env.flush_all()
        names = "".join(f", count(*) FILTER (WHERE {name}) AS {name}" for name in ORDERS)
        query = f"SELECT count(*) AS compared{names} FROM ({CHANGES}) change"
        self.env.cr.execute(query, self._chosen(links))
        return self.env.cr.dictfetchone()

    def _biggest_changes(self, kind, limit, links=None):
        """Give what going live would change, the biggest differences first.

        :param str kind: one of ORDERS
        :return: list of dicts of link id and figures
        """
        self.env.flush_all()
        query = f"SELECT * FROM ({CHANGES}) change WHERE {kind} ORDER BY {ORDERS[kind]}, id LIMIT %(limit)s"
        self.env.cr.execute(query, self._chosen(links) | {"limit": limit})
        return self.env.cr.dictfetchall()

    def _chosen(self, links):
        return {"account": self.id, "ids": None if links is None else links.ids}

    def _go_live(self, links=None):
        """Let the account send.

        :param links: only for these, the others and new ones wait; on an account that is live already they go
            on. For all when None
        """
        if links is not None:
            if self.state != "live":
                listings = self.env["marketplace.product.link"]
                domain = [("account_id", "=", self.id), ("state", "=", "linked"), ("is_paused", "=", False)]
                (listings.search(domain) - links).write({"is_paused": True})
                self.new_links_wait = True
            links.filtered("is_paused").write({"is_paused": False})
        return self.action_activate()
