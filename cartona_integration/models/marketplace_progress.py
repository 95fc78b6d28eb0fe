from odoo import _, api, fields, models
from odoo.exceptions import UserError


class MarketplaceConfig(models.Model):
    """How far reading, matching and sending are, for whoever watches; sending can be paused or called off."""

    _inherit = "marketplace.config"

    is_sending_paused = fields.Boolean(
        string="Sending Paused",
        copy=False,
        readonly=True,
        help="Prices and stock wait; orders and statuses go on. What changes meanwhile is sent afterwards.",
    )
    unsent_count = fields.Integer(
        string="Listings to Send", compute="_compute_progress", help="They may show something old."
    )
    sent_progress = fields.Float(
        compute="_compute_progress", help="Per cent of the listings nothing waits for."
    )
    unmatched_count = fields.Integer(
        string="Listings to Compare",
        compute="_compute_unmatched_count",
        help="Listings without product whose products are still to be looked for.",
    )
    is_under_way = fields.Boolean(
        compute="_compute_is_under_way", help="There is something to watch: the page follows it by itself."
    )

    def _compute_progress(self):
        # Superuser: nobody reads marks, they are only counted. What was read and found in order is compared
        # once more, without a call: counted, the bar would run backwards while all listings are read.
        self.env.cr.execute(
            "SELECT account_id, count(DISTINCT link_id) FROM marketplace_mark"
            " WHERE account_id = ANY(%s) AND cause IS DISTINCT FROM 'read' GROUP BY account_id",
            [self.ids],
        )
        waiting = dict(self.env.cr.fetchall())
        totals = self._count(
            "marketplace.product.link", [("state", "=", "linked"), ("is_paused", "=", False)]
        )
        for account in self:
            left, total = waiting.get(account.id, 0), totals.get(account.id, 0)
            account.unsent_count = left
            account.sent_progress = 100 * max(0, total - left) / total if total else 100

    def _compute_unmatched_count(self):
        waiting = [("state", "=", "found"), ("matched_at", "=", False)]
        counts = self._count("marketplace.product.link", waiting)
        for account in self:
            account.unmatched_count = counts.get(account.id, 0)

    @api.depends("is_reading", "unmatched_count", "unsent_count", "is_sending_paused")
    def _compute_is_under_way(self):
        """Tell whether figures will change by themselves: not while a person has to act first."""
        for account in self:
            is_stopped = any(state._is_paused() and not state._resumes() for state in account.sync_state_ids)
            is_sending = account.unsent_count and not account.is_sending_paused
            account.is_under_way = (
                account.state in self.WORKING_STATES
                and not is_stopped
                and bool(account.is_reading or account.unmatched_count or is_sending)
            )

    def _may_work(self, kind):
        return super()._may_work(kind) and not (kind == "push" and self.is_sending_paused)

    def action_pause_sending(self):
        """Send no more prices and stock until somebody says so."""
        return self.write({"is_sending_paused": True})

    def action_resume_sending(self):
        """Go on where sending was paused."""
        self.write({"is_sending_paused": False})
        self._wake("push")
        return True

    def action_cancel_sending(self):
        """Call the first full sending off: what was not sent stays as it is over there, the account watches
        again.

        :raise UserError: in shadow nobody would hear what becomes of the orders there are
        """
        if any(account.order_count for account in self):
            raise UserError(
                _(
                    "In shadow the statuses of this account's orders would not be sent: pause the sending "
                    "instead."
                )
            )
        self.write({"is_sending_paused": False, "state": "shadow"})
        return self._notify(
            _("Called off"), _("Nothing more is sent. Going live again sends what differs then."), "info"
        )
