import time

from odoo import _, fields, models
from odoo.exceptions import UserError

from ..exceptions import MarketplaceError

# A person waits, and a worker with it.
PATIENCE = 30  # seconds


class MarketplaceFetchOrder(models.TransientModel):
    """Fetches one order a person asks for by its number, whatever the regular reading does."""

    _name = "marketplace.fetch.order"
    _description = "Fetch an Order"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade")
    number = fields.Char(string="Order", required=True, help="The order's id, or the number people see.")

    def action_fetch(self):
        """Read the order, store it like any message, and show what is stored of it."""
        account, message = self.account_id, self._find()
        account._keep([message], "manual")
        action = account._view_with("action_marketplace_event", "account_id")
        domain = [
            ("account_id", "in", account._token_group().ids),
            ("external_order_id", "=", message.order_id),
        ]
        return {**action, "domain": domain, "context": {}}

    def action_rehearse(self):
        """Read the order and show what it would do, without doing it."""
        results = self.account_id._rehearse_new([self._find()], "manual")
        return self.env["marketplace.rehearsal"]._show(results, 1)

    def _find(self):
        """Read the order.

        :return: :class:`~..dialects.words.Message`
        :raise UserError: the account does not work, or the marketplace does not show it
        """
        self.ensure_one()
        if self.account_id.state not in self.account_id.WORKING_STATES:
            raise UserError(_("Start the account first, in shadow or live."))
        try:
            return self._ask()
        except MarketplaceError as error:
            raise UserError(_("The marketplace could not be read: %s", error)) from error

    def _ask(self):
        """Have the marketplace show the order.

        :raise UserError: it does not
        """
        number = self.number.strip()
        if self.account_id._dialect().can_read_order:
            return self.env["marketplace.api"]._read_order(self.account_id, number)
        return self._find_in_feed(number)

    def _find_in_feed(self, number):
        """Look through the list of orders; nothing leaves it meanwhile: acknowledging needs the same lock."""
        if not self.account_id._token_group()[:1]._try_lock("pull"):
            raise UserError(_("The list of orders is being read just now. Try again in a moment."))
        deadline = time.monotonic() + PATIENCE
        for page in self.env["marketplace.api"]._read_orders(self.account_id):
            for message in page.rows:
                if number in (message.order_id, message.number):
                    return message
            if time.monotonic() > deadline:
                raise UserError(_("The list of orders is too long to look through while you wait."))
        raise UserError(
            _(
                "The marketplace does not list order %s. It lists orders that are new or changed and not yet "
                "taken: this one was taken, has another number, or belongs to somebody else. Look for it "
                "under Messages, or import it from a file.",
                number,
            )
        )
