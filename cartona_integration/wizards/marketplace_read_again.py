from datetime import timedelta, timezone

from odoo import _, fields, models
from odoo.exceptions import UserError


class MarketplaceReadAgain(models.TransientModel):
    """Reads an account's list of orders once more from an earlier time: what is missing here is imported."""

    _name = "marketplace.read.again"
    _description = "Read Orders Again"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade")
    since = fields.Datetime(
        string="Changed Since",
        required=True,
        default=lambda self: fields.Datetime.now() - timedelta(days=1),
        help="Orders that were placed or changed since are read. What is here already is not imported twice.",
    )

    def action_read(self):
        """Have the next reading begin at this time, or earlier if it would have.

        :raise UserError: the list is being read at this moment, or the account does not work
        """
        self.ensure_one()
        account = self.account_id
        if account.state not in account.WORKING_STATES:
            raise UserError(_("Start the account first, in shadow or live."))
        if not account._token_group()[:1]._try_lock("pull"):
            raise UserError(_("The list of orders is being read just now. Try again in a moment."))
        # Superuser: users have no write access to where the work stands, nor to other companies' accounts.
        leader, since = account._feed_leader().sudo(), self.since.replace(tzinfo=timezone.utc)
        if not leader._may_work("pull"):
            raise UserError(_("Reading is paused: %s", leader._state("pull").pause_reason))
        leader._read_since(since)
        return account.action_pull_orders()
