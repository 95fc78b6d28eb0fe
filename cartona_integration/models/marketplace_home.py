from odoo import _, api, fields, models

from ..exceptions import Refused


class MarketplaceConfig(models.Model):
    """An account works in one database: a copy of it is silent until a person starts it there."""

    _inherit = "marketplace.config"

    home = fields.Char(
        readonly=True,
        copy=False,
        groups=fields.NO_ACCESS,
        help="The database a person started the account in.",
    )
    is_copy = fields.Boolean(compute="_compute_is_copy")

    def init(self):
        """Bind accounts that work since before there was a binding."""
        super().init()
        self.env.cr.execute(
            "UPDATE marketplace_config SET home = %s WHERE home IS NULL AND state = ANY(%s)",
            [self._database(), list(self.WORKING_STATES)],
        )

    def _compute_is_copy(self):
        here = self._database()
        for account in self:
            # Superuser: what it compares is nobody's to read.
            account.is_copy = (account.sudo().home or here) != here

    @api.model_create_multi
    def create(self, vals_list):
        accounts = super().create(vals_list)
        accounts.filtered(lambda account: account.state in self.WORKING_STATES)._settle_here()
        return accounts

    def write(self, vals):
        res = super().write(vals)
        if vals.get("state") in self.WORKING_STATES:
            self._settle_here()
        return res

    def _settle_here(self):
        """Bind accounts to this database: a person starts them.

        What another database has sent since this one was copied, nobody knows here: all is sent anew.
        """
        here, accounts = self._database(), self.sudo()
        accounts.filtered(lambda account: account.home != here)._forget_acknowledged()
        accounts.write({"home": here})
        self.activity_unlink(["cartona_integration.activity_copy"])

    @api.model
    def _database(self):
        """Name this very database, so that no copy has the same name.

        A duplicate made by Odoo has another uuid, ``createdb -T`` another oid, a dump restored elsewhere
        another system. Never cached: a restored database may take another one's place under a living server.
        """
        self.env.cr.execute(
            """
            SELECT concat_ws('/', (SELECT oid FROM pg_database WHERE datname = current_database()),
                   current_database(), (SELECT value FROM ir_config_parameter WHERE key = 'database.uuid')),
                   has_function_privilege('pg_control_system()', 'execute')
            """
        )
        name, may_ask = self.env.cr.fetchone()
        if may_ask:  # some hosts take it from everyone
            self.env.cr.execute("SELECT system_identifier FROM pg_control_system()")
            name = f"{name}/{self.env.cr.fetchone()[0]}"
        return name

    def _may_work(self, kind):
        # Superuser: what it compares is nobody's to read.
        return super()._may_work(kind) and self.sudo().home == self._database()

    def _check_home(self):
        """Refuse every call of an account that works in another database.

        :raise Refused: it does; one that never worked anywhere may be tested
        """
        if self.is_copy:
            raise Refused(_("This database looks like a copy: start the account here before it calls."))

    @api.model
    def _cron_sweep(self):
        """Pause what was copied before anything else: it says so to a person once."""
        for account in self.search([("state", "in", self.WORKING_STATES)]):
            if account.is_copy:
                account._committed("_pause_copy")
        self.env.invalidate_all()
        return super()._cron_sweep()

    def _pause_copy(self):
        """Stop an account in a copied database; one question is enough for all of them."""
        # Superuser: the sweep's user may be anyone.
        self.sudo().write({"state": "paused"})
        asked = (
            self.env["mail.activity"]
            .sudo()
            .search_count(
                [("activity_type_id", "=", self.env.ref("cartona_integration.activity_copy").id)], limit=1
            )
        )
        if not asked:
            self._ask_for_help(
                "copy",
                _(
                    "This database looks like a copy of another one. All accounts are paused; start them "
                    "here only if the other database does not use them any more."
                ),
            )
