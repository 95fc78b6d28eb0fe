from datetime import timedelta

from odoo import api, fields, models

from .indexes import ensure_indexes

RETENTION_DAYS = 90


class MarketplaceSyncLog(models.Model):
    """Runs and refusals, for people. Written when something changed or failed, never per record."""

    _name = "marketplace.sync.log"
    _description = "Marketplace Sync Log"
    _order = "id desc"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade", readonly=True)
    company_id = fields.Many2one(related="account_id.company_id")
    kind = fields.Selection(
        [
            ("pull", "Orders read"),
            ("webhook", "Webhook"),
            ("steps", "Statuses sent"),
            ("push", "Prices and stock sent"),
            ("link", "Listings looked for"),
            ("listings", "Listings read"),
            ("check", "Figures compared"),
        ],
        required=True,
        readonly=True,
    )
    level = fields.Selection([("info", "Done"), ("error", "Failed")], default="info", readonly=True)
    message = fields.Char(readonly=True)
    received = fields.Integer(readonly=True)
    new = fields.Integer(readonly=True)
    changed = fields.Integer(readonly=True)
    asked_from = fields.Datetime(readonly=True, help="Empty: everything that waits.")
    known = fields.Integer(string="Already Known", readonly=True)

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE INDEX marketplace_sync_log_account_date"
            " ON marketplace_sync_log (account_id, create_date DESC)",
        )

    @api.model
    def _log_hourly(self, account, kind, message, level="error", **values):
        """Keep at most one such row per account and hour: a broken sender must not fill the table."""
        recent = fields.Datetime.now() - timedelta(hours=1)
        domain = [("account_id", "=", account.id), ("kind", "=", kind), ("level", "=", level)]
        if not self.search_count([*domain, ("create_date", ">", recent)], limit=1):
            self._log(account, kind, message, level=level, **values)

    @api.model
    def _log(self, account, kind, message, **values):
        self.create({"account_id": account.id, "kind": kind, "message": message, **values})

    @api.autovacuum
    def _gc_old_rows(self):
        limit = fields.Datetime.now() - timedelta(days=RETENTION_DAYS)
        self.search([("create_date", "<", limit)], limit=5000).unlink()
