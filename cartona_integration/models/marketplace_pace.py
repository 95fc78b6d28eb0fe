import time

from odoo import _, api, fields, models
from odoo.exceptions import ValidationError
from odoo.http import request

from ..exceptions import Unavailable
from .indexes import ensure_indexes

# A job waits no longer for its turn; what would have to is postponed like any other trouble.
PATIENCE = 10  # seconds


class MarketplacePace(models.Model):
    """When an account may make its next call: one row per account, written in transactions of its own."""

    _name = "marketplace.pace"
    _description = "Marketplace Pace"
    _log_access = False

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade")
    next_at = fields.Datetime(required=True)

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_pace_account_uniq ON marketplace_pace (account_id)",
        )


class MarketplaceConfig(models.Model):
    """How many calls an account makes, all workers together."""

    _inherit = "marketplace.config"

    calls_per_second = fields.Float(
        compute="_compute_calls_per_second",
        store=True,
        readonly=False,
        precompute=True,
        help="At most so many calls to the marketplace, all workers together. 0: no limit.",
    )

    @api.depends("dialect")
    def _compute_calls_per_second(self):
        for account in self:
            account.calls_per_second = account._dialect().calls_per_second if account.dialect else 0

    @api.constrains("calls_per_second")
    def _check_calls_per_second(self):
        for account in self:
            if account.calls_per_second and not 0.1 <= account.calls_per_second <= 1000:
                raise ValidationError(_("Calls per second take 0.1 to 1000, or 0 for no limit."))

    def _await_turn(self):
        """Wait until the account may make another call.

        This is the one place that waits: no transaction but the job's own is open, a reading of many pages
        cannot be begun anew at each of them, and a call may take longer. In a person's request nothing waits:
        its call counts, and the jobs wait for it.

        :raise Unavailable: the turn is too far away
        """
        if not self.calls_per_second:
            return
        seconds = self._committed("_take_turn")
        if self._is_watched():
            return
        if seconds is None:
            raise Unavailable(_("All calls of the next seconds are taken."), retry_after=PATIENCE)
        if seconds > 0:
            time.sleep(seconds)

    def _is_watched(self):
        """Tell whether a person waits for the answer: jobs run in requests too, but they are known."""
        return bool(request) and not self.env.context.get("job_uuid")

    def _take_turn(self):
        """Give how many seconds away the account's next turn is, which is taken; None when too far away."""
        self.env.cr.execute(
            """
            INSERT INTO marketplace_pace AS pace (account_id, next_at)
            VALUES (%(account)s, clock_timestamp() AT TIME ZONE 'UTC' + %(gap)s * interval '1 second')
       ON CONFLICT (account_id) DO UPDATE
               SET next_at = greatest(pace.next_at, clock_timestamp() AT TIME ZONE 'UTC')
                             + %(gap)s * interval '1 second'
             WHERE pace.next_at < clock_timestamp() AT TIME ZONE 'UTC' + %(patience)s * interval '1 second'
         RETURNING extract(epoch FROM pace.next_at - clock_timestamp() AT TIME ZONE 'UTC')::float - %(gap)s
            """,
            {"account": self.id, "gap": 1 / self.calls_per_second, "patience": PATIENCE},
            log_exceptions=False,  # a conflict of two jobs is repeated
        )
        found = self.env.cr.fetchone()
        return found[0] if found else None
