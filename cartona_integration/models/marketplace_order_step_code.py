from uuid import uuid4

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..dialects import words
from .marketplace_order_step import Call
from .marketplace_work_mixin import OPEN

# {order: quantities told with its code} accepted in this transaction, whose snapshot is older and does not
# see it.
ACCEPTED = "marketplace.accepted"


class MarketplaceOrderStep(models.Model):
    """The journal of delivery codes: that one was sent and what came back, never the code."""

    _inherit = "marketplace.order.step"

    needs_code = fields.Boolean(readonly=True, help="Sent by a person, with the code the customer tells.")
    code_sent_at = fields.Datetime(readonly=True, help="When the last code was sent (UTC).")
    is_followed = fields.Boolean(readonly=True, help="That the delivery here followed was looked at.")

    def action_process_again(self):
        if self.filtered("needs_code"):
            raise UserError(
                _(
                    "The code is not kept: validate the delivery, or press 'It Is Delivered' on the order, "
                    "and enter it."
                )
            )
        return super().action_process_again()

    def _wait_for_customer(self):
        """A delivery whose code is missing does not go on by itself."""
        if not self.needs_code:
            super()._wait_for_customer()

    def _older_open(self):
        """Give the order's earlier steps that are not settled, oldest first."""
        steps = self.sale_order_id.marketplace_step_ids
        return steps.filtered(lambda step: step.state in OPEN and step.id < self.id).sorted("id")

    def _claim_code(self):
        """Note, before the call, that from now on the code may have arrived.

        What was in doubt is read back or a person's word was taken: another code is another call.
        """
        was_in_doubt = self.in_doubt
        self.write(
            {
                "tries": self.tries + 1,
                "in_doubt": True,
                "code_sent_at": fields.Datetime.now(),
                "idempotency_key": str(uuid4()),
                "reason": _("A delivery code was sent; what became of it is not known."),
                "remedy": _("Validate the delivery, or press 'It Is Delivered' on the order: it asks."),
            }
        )
        details = {"idempotency_key": self.idempotency_key}
        return Call(self.id, self.external_order_id, self.status, details, was_in_doubt)

    def _arrive(self, found=None):
        """What was asked about while it was in doubt is looked at once more."""
        super()._arrive(found)
        self.filtered("is_followed").is_followed = False

    @api.model
    def _needs_help(self, account):
        """Count deliveries that were taken over there, and asked about as nobody has validated them here."""
        return super()._needs_help(account) or bool(
            self.search_count(
                [
                    ("account_id", "=", account.id),
                    ("state", "=", "done"),
                    ("is_followed", "=", True),
                    ("sale_order_id", "in", self.env["sale.order"]._find_delivered_there_only().ids),
                ],
                limit=1,
            )
        )

    def _doubt(self):
        return _(
            "A code was sent at %s, and no answer came. Look at the order at the marketplace: is it "
            "delivered there?",
            fields.Datetime.context_timestamp(self, self.code_sent_at).strftime("%H:%M"),
        )

    def _refuse_code(self, told):
        """Keep the attempt in the journal; the next one is another step."""
        self._close("ignored", told, in_doubt=False)

    def _leave_in_doubt(self, told):
        self.reason = _("A delivery code was sent; what became of it is not known (%s).", told)


class SaleOrder(models.Model):
    """Sends the customer's delivery code and hears at once whether the marketplace takes it."""

    _inherit = "sale.order"

    marketplace_code_due = fields.Boolean(compute="_compute_marketplace_code_due")

    @api.depends("marketplace_needs_code", "marketplace_status", "marketplace_step_ids.state")
    def _compute_marketplace_code_due(self):
        """Superuser: whoever delivers may know."""
        for order in self.sudo():
            order.marketplace_code_due = order._waits_for_code()

    def action_marketplace_delivered(self):
        """Ask for the code first, where one is due."""
        if self._waits_for_code():
            self._check_marketplace_user()
            return self.env["marketplace.delivery.code"]._ask(self)
        return super().action_marketplace_delivered()

    def _waits_for_code(self):
        """Tell whether the marketplace will take the delivery only with the customer's code."""
        self.ensure_one()
        order = self.sudo()
        account = order.marketplace_config_id
        if not order.marketplace_needs_code or not order._is_told() or account.state == "shadow":
            return False
        dialect, known = account._dialect(), order._marketplace_known() or None
        return (
            dialect.sends(words.DELIVERED, order.delivered_by or None)
            and dialect.outlook(known, words.DELIVERED) in (words.SEND, words.WAIT)
            and order.id not in order._accepted_now()
        )

    def _asks_code_when_validated(self):
        """Tell whether the validation of its last delivery means that the customer has the goods."""
        policy = self.marketplace_config_id.delivery_policy
        return policy == "delivered" and not self.marketplace_seen_shipped and self._waits_for_code()

    def _marketplace_known(self):
        return words.DELIVERED if self.id in self._accepted_now() else super()._marketplace_known()

    def _may_tell_lines(self):
        """What was told with the code is not told again; what left beside it is, if only to a person."""
        planned = self._accepted_now().get(self.id)
        is_news = planned is None or (planned and self._is_unlike(planned))
        return bool(is_news) and super()._may_tell_lines()

    def _is_unlike(self, planned):
        """Tell whether other goods leave than were planned."""
        is_same = self.env["marketplace.order.processor"]._is_same
        goods = self._marketplace_lines().filtered(lambda line: line.product_id.type != "service")
        return not all(
            is_same("product_uom_qty", quantity, planned.get(str(line.id), 0))
            for line, quantity in goods._marketplace_wanted().items()
        )

    def _open_code_steps(self):
        """Give the steps that wait for a code, or for what became of one."""
        return self.sudo().marketplace_step_ids.filtered(lambda step: step.needs_code and step.state in OPEN)

    def _code_doubt(self):
        """Give what is not known of a code that was sent, for people; None where all is known."""
        doubtful = self._open_code_steps().filtered("in_doubt")[:1]
        return doubtful._doubt() if doubtful else None

    def _accepted_now(self):
        return self.env.cr.postcommit.data.setdefault(ACCEPTED, {})

    def _prepare_step(self, status=False):
        """A delivery whose code nobody asked for is not sent: a person has to get it."""
        values = super()._prepare_step(status)
        if status == words.DELIVERED and self.marketplace_needs_code and values.get("state") != "ignored":
            values |= {
                "needs_code": True,
                "state": "failed",
                "reason": _("The customer's delivery code is missing."),
                "remedy": _("Ask the customer for the code and press 'It Is Delivered' on the order."),
            }
        return values

    def _send_code(self, code, planned=None, again=False):
        """Tell the marketplace that the order is delivered, with the code, and wait for its answer.

        What has to be told before is told before. All is kept in transactions of its own: whatever becomes
        of this one, a repeat finds what was answered and does not call again.

        :param dict planned: {order line's id: quantity that will have been delivered}
        :param bool again: a person says that a code whose answer never came was not taken
        :return: (what is wrong, for people; None when it is taken, whether it is not known if it was taken)
        """
        account = self.sudo().marketplace_config_id._as_actor()
        if not account._wait_for_lock("steps"):
            return _("Other statuses are being sent just now. Try again in a moment."), False
        step_id, problem = account._committed("_open_code_step", self.id, planned)
        if problem:
            return problem, False
        while account._send_next_step(self.sudo().cartona_id):
            pass
        call, problem, is_in_doubt = account._committed("_claim_code", step_id, again)
        if call:
            problem, is_in_doubt = account._try_code(call, code)
        if problem is None:
            self._accepted_now()[self.id] = planned or {}
        return problem, is_in_doubt

    def _code_title(self):
        return f"{self.marketplace_order_number or self.cartona_id} ({self.partner_id.name})"

    def _entered_code(self):
        """Give the code a person entered on the order before; what the marketplace told is another one."""
        told = (self.marketplace_told or {}).get("marketplace_delivery_otp")
        return self.marketplace_delivery_otp != told and self.marketplace_delivery_otp

    def _forget_code(self):
        if self._entered_code():
            self.marketplace_delivery_otp = False
