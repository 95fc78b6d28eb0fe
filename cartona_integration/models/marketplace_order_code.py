from datetime import timedelta

from psycopg2.errors import LockNotAvailable

from odoo import _, api, fields, models

from ..dialects import words
from ..exceptions import CredentialsRefused, MarketplaceError, Refused
from .marketplace_traffic import LOCKS
from .marketplace_work_mixin import OPEN

# How long a person who enters a code waits for statuses that are being sent just now.
PATIENCE = "15s"
# A code was accepted so long ago, and the delivery here is still open: somebody has to look.
FORGOTTEN_AFTER = timedelta(minutes=5)


class MarketplaceConfig(models.Model):
    _inherit = "marketplace.config"

    def _wait_for_lock(self, kind):
        """Take the account's lock of this kind for the current transaction, waiting a little for it."""
        try:
            with self.env.cr.savepoint(flush=False):
                self.env.cr.execute("SET LOCAL lock_timeout = %s", [PATIENCE])
                self.env.cr.execute(
                    "SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS[kind], self.id], log_exceptions=False
                )
                self.env.cr.execute("SET LOCAL lock_timeout TO DEFAULT")
        except LockNotAvailable:
            return False
        return True

    def _open_code_step(self, order_id, planned):
        """Make the steps up to the delivery; the one with the code waits for a person, as it is.

        :return: (id of that one, what is wrong: the order may be over since the code was asked for)
        """
        order = self.env["sale.order"].browse(order_id).sudo()
        step, known = order._open_code_steps()[:1], order._marketplace_known()
        if self._dialect().outlook(known or None, words.DELIVERED) == words.OVER:
            return None, step._contradiction(known, words.DELIVERED)
        if not step and known != words.DELIVERED:
            order._enqueue_status(words.SHIPPED)
            if planned and order._may_tell_lines() and order._marketplace_changes(planned):
                order._enqueue_steps([{**order._prepare_step(), "planned": planned}])
            values = order._prepare_step(words.DELIVERED) | {"needs_code": True, "state": "failed"}
            step = self.env["marketplace.order.step"].sudo().create(values)
        return step.id, None

    def _claim_code(self, step_id, again):
        """Note that the code is being sent, before it is.

        :return: (Call or None, what is wrong or None, whether that is what became of an earlier code);
            nothing at all where the marketplace shows it delivered
        """
        step = self.env["marketplace.order.step"].browse(step_id)
        if not step_id or step.state == "done":
            return None, None, False
        older = step._older_open()
        if older:
            first = older[:1]
            return None, first.reason or _("What comes before was not sent: %s", first.display_name), False
        if not self._may_work("steps"):
            return None, _("The account is paused: %s", self._state("steps").pause_reason or self.name), False
        if step.in_doubt and not again and not self._dialect().can_read_order:
            return None, step._doubt(), True
        return step._claim_code(), None, False

    def _try_code(self, call, code):
        """Send the code, with no transaction open, and keep the answer.

        :return: (the marketplace's words, None when it is taken; whether it is not known if it was taken)
        """
        steps, outcome, told = self.env["marketplace.order.step"], "_arrive", None
        try:
            steps._send(self, call._replace(details=call.details | {"otp": code}))
        except Refused as error:
            if isinstance(error, CredentialsRefused) or not steps._is_settled_by(self, call, error):
                outcome, told = "_refuse_code", _("The marketplace did not take the code: %s", error)
        except MarketplaceError as error:
            outcome, told = "_leave_in_doubt", str(error)
        # The code itself must not come back in somebody's words.
        told = told and told.replace(code, "***")
        self._committed("_conclude_code", call.step_id, outcome, told)
        return told, outcome == "_leave_in_doubt"

    def _conclude_code(self, step_id, outcome, told):
        step = self.env["marketplace.order.step"].browse(step_id)
        if step.state in OPEN:
            getattr(step, outcome)(told)

    def _settle_code_by_hand(self, order_id):
        """Take a person's word that the marketplace shows the order as delivered."""
        order = self.env["sale.order"].browse(order_id)
        order._open_code_steps()._arrive()

    @api.model
    def _cron_sweep(self):
        for account in self.search([("state", "in", self.WORKING_STATES)]):
            account._speaking()._committed("_find_forgotten_deliveries")
        return super()._cron_sweep()

    def _find_forgotten_deliveries(self):
        """Ask about deliveries the marketplace has taken, or may have, and nobody has validated here."""
        since = fields.Datetime.now() - FORGOTTEN_AFTER
        steps = self.env["marketplace.order.step"].search(
            [
                ("account_id", "=", self.id),
                ("needs_code", "=", True),
                ("is_followed", "=", False),
                "|",
                "&",
                ("state", "=", "done"),
                ("done_at", "<", since),
                "&",
                "&",
                ("state", "=", "failed"),
                ("in_doubt", "=", True),
                ("code_sent_at", "<", since),
            ]
        )
        for step in steps:
            step.is_followed = True
            if step.state == "failed":
                self._ask_for_help(
                    "statuses",
                    _("Order %s: nobody knows whether the marketplace took the delivery code.",
                      step.external_order_id),
                )  # fmt: skip
            elif step.sale_order_id._is_delivered_there_only():
                self._ask_for_help(
                    "statuses",
                    _("Order %s: the marketplace took the delivery code, but its delivery is not validated "
                      "here.", step.external_order_id),
                )  # fmt: skip
