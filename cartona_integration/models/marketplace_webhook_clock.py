import logging
from contextlib import suppress
from statistics import median

from psycopg2 import Error

from odoo import _, models

_logger = logging.getLogger(__name__)

CLOCKS_APART = 60  # seconds
CALLS_FOR_CLOCK = 9
# Per process: (database, account) -> {id of a signed call: seconds its sender's clock was ahead}.
leads = {}


class MarketplaceConfig(models.Model):
    """How far the clocks of who signs calls and of this server are apart."""

    _inherit = "marketplace.config"

    def _note_lead(self, delivery, lead):
        """Ask for help when the clocks here and there are apart: in the end no signed call counts any more.

        :param str delivery: id of a signed call, one that is repeated counts once; None: it tells no time
        :param float lead: seconds the sender's clock is ahead
        """
        known = leads.setdefault((self.env.cr.dbname, self.id), {})
        known[delivery] = lead
        known.pop(None, None)
        found = list(known.values())
        if len(found) < CALLS_FOR_CLOCK:
            return
        known.clear()
        apart = abs(median(found))
        if apart > min(CLOCKS_APART, self.sudo().webhook_window / 2):
            _logger.warning("Marketplace account %s: clocks are %d seconds apart", self.id, apart)
            # Beside the message's transaction, which must not end with it, and without a mail on its way.
            with suppress(Error):
                account = self._speaking().with_context(mail_notify_force_send=False)
                account._committed("_ask_about_clock", apart)

    def _ask_about_clock(self, apart):
        self._ask_for_help(
            "clock",
            _(
                "The clocks of the marketplace and of this server are %(apart)d seconds apart. From "
                "%(window)d on no signed call counts. Let the server set its clock by the network (NTP).",
                apart=apart,
                window=self.webhook_window,
            ),
        )
