from datetime import timedelta
from math import ceil
from random import uniform

from odoo import SUPERUSER_ID, api, fields, models

from .indexes import ensure_indexes

MAX_PAUSE = 3600  # seconds
MISSED_DURING = timedelta(days=1)


class MarketplaceSyncState(models.Model):
    """Where one kind of an account's work stands: cursor, last run, pause.

    One row per account and kind, made with the account and only ever written in short transactions.
    """

    _name = "marketplace.sync.state"
    _description = "Marketplace Sync State"
    _order = "account_id, kind"

    KINDS = {
        "import": "Import of orders",
        "pull": "Reading of the order list",
        "steps": "Sending of statuses",
        "push": "Sending of prices and stock",
        "link": "Search for listings",
        "listings": "Reading of all listings",
        "check": "Comparison of all figures",
        "match": "Matching of listings with products",
    }

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade", index=True)
    company_id = fields.Many2one(related="account_id.company_id")
    kind = fields.Selection(list(KINDS.items()), required=True)
    cursor = fields.Char(help="How far a feed with modification times was read (UTC).")
    reading = fields.Json(help="A reading of the order list that another job goes on with.")
    last_run = fields.Datetime()
    failures = fields.Integer(help="Failed runs in a row.")
    paused_until = fields.Datetime(help="Empty on a paused row: until a person changes something.")
    pause_reason = fields.Char()
    missed = fields.Integer(help="New orders since the moment below that no webhook told of.")
    missed_since = fields.Datetime()

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_sync_state_account_kind_uniq"
            " ON marketplace_sync_state (account_id, kind)",
        )
        self._complete_rows()

    def _complete_rows(self):
        """Make the rows of kinds of work that are younger than the accounts.

        An upgrade meets a server at work: it looks first, as a row that was just written would be a conflict.
        """
        self.env.cr.execute(
            "INSERT INTO marketplace_sync_state"
            " (account_id, kind, failures, create_uid, write_uid, create_date, write_date)"
            " SELECT account.id, wanted.kind, 0, %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC',"
            " now() AT TIME ZONE 'UTC'"
            " FROM marketplace_config account, unnest(%(kinds)s) wanted (kind)"
            " WHERE NOT EXISTS (SELECT FROM marketplace_sync_state known"
            " WHERE known.account_id = account.id AND known.kind = wanted.kind)",
            {"uid": SUPERUSER_ID, "kinds": list(self.KINDS)},
        )

    def _is_paused(self):
        self.ensure_one()
        return bool(self.pause_reason) and (
            not self.paused_until or self.paused_until > fields.Datetime.now()
        )

    def _resumes(self):
        """Tell whether it is paused and goes on by itself."""
        return self._is_paused() and bool(self.paused_until)

    def _pause(self, reason, seconds=None):
        """Stop this kind of work.

        :param str reason: one line for people
        :param float seconds: how long; None means until the credentials change
        """
        until = seconds and fields.Datetime.now() + timedelta(seconds=seconds)
        self.write({"pause_reason": reason, "paused_until": until})

    def _back_off(self, reason, retry_after=None):
        """Pause for as long as the marketplace asks, else longer after each failure in a row.

        Whole seconds: Odoo's now is cut to them, so with a fraction the pause would seem to last when the job
        comes that resumes; it would do nothing and leave the work to the sweep.

        :return: seconds until the next try
        """
        self.failures += 1
        seconds = ceil(retry_after or min(MAX_PAUSE, 5 * 2**self.failures) * uniform(0.75, 1.25))
        self._pause(reason, seconds)
        return seconds

    def _count_missed(self, count):
        """Count orders a webhook should have told of; a day later the count begins anew."""
        now = fields.Datetime.now()
        if not self.missed_since or self.missed_since < now - MISSED_DURING:
            self.write({"missed": 0, "missed_since": now})
        if count:
            self.missed += count

    def _resume(self):
        self.write({"pause_reason": False, "paused_until": False, "failures": 0})

    def _succeed(self, **values):
        """Note a good run: now is the last one, and nothing is paused any more.

        A pause that began meanwhile stays: other calls of the account were told to wait.
        """
        if self._is_paused():
            self.failures = 0
        else:
            self._resume()
        self.write({"last_run": fields.Datetime.now(), **values})

    @api.depends("account_id", "kind")
    @api.depends_context("lang")
    def _compute_display_name(self):
        labels = dict(self._fields["kind"]._description_selection(self.env))
        for state in self:
            state.display_name = f"{state.account_id.name} · {labels.get(state.kind)}"


class MarketplaceConfig(models.Model):
    """Gives an account the state of each kind of its work."""

    _inherit = "marketplace.config"

    sync_state_ids = fields.One2many("marketplace.sync.state", "account_id", readonly=True)

    def _create_sync_states(self):
        """Make the account's state rows: they are never made on the way, so never twice."""
        kinds = self.env["marketplace.sync.state"].KINDS
        self.env["marketplace.sync.state"].sudo().create(
            [{"account_id": self.id, "kind": kind} for kind in kinds]
        )

    def _state(self, kind):
        """Give the account's state row of a kind of work."""
        self.ensure_one()
        return self.sync_state_ids.filtered(lambda state: state.kind == kind)
