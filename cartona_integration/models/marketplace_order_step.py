from typing import NamedTuple
from uuid import uuid4

from psycopg2 import Error as DatabaseError

from odoo import _, api, fields, models

from ..dialects import words
from ..exceptions import CredentialsRefused, Refused, Unavailable
from .indexes import ensure_indexes
from .marketplace_work_mixin import OPEN, STOPPED
from .sale_order import STATUS_LABELS


class Call(NamedTuple):
    """What is needed to tell one status or one change of lines, outside of any transaction."""

    step_id: int
    order_id: str
    status: str
    details: dict
    is_in_doubt: bool
    changes: tuple = ()  # of words.LineChange
    known_lines: frozenset = frozenset()  # ids of the lines that were there before


class MarketplaceOrderStep(models.Model):
    """The outbox of an order's life: one row per status or change to tell, sent in order, never merged."""

    _name = "marketplace.order.step"
    _description = "Marketplace Order Step"
    _inherit = "marketplace.work.mixin"
    _order = "id"

    _work_kind = "steps"
    _help_cause = "statuses"

    sale_order_id = fields.Many2one("sale.order", ondelete="set null", readonly=True, index="btree_not_null")
    kind = fields.Selection(
        [("status", "Status"), ("lines", "Lines")], required=True, readonly=True, default="status"
    )
    status = fields.Selection(STATUS_LABELS, readonly=True, help="Empty: the order's lines are told.")
    cancel_reason = fields.Char(readonly=True)
    cancel_label = fields.Char(string="Cancel Reason", compute="_compute_cancel_label")
    idempotency_key = fields.Char(
        required=True,
        readonly=True,
        default=lambda self: str(uuid4()),
        help="Tells a marketplace that a repeated call is the same one; another after each refusal.",
    )
    in_doubt = fields.Boolean(readonly=True, help="It was sent, and what became of it is not known.")
    done_at = fields.Datetime(string="Arrived", readonly=True)

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE INDEX marketplace_order_step_open"
            " ON marketplace_order_step (account_id, external_order_id, id)"
            " WHERE state IN ('new', 'hold', 'failed')",
        )

    @api.depends("cancel_reason")
    @api.depends_context("lang")
    def _compute_cancel_label(self):
        """Say it in the reader's language, where it is one of the marketplaces' words."""
        labels = dict(self.env["marketplace.config"]._cancel_reasons())
        for step in self:
            step.cancel_label = labels.get(step.cancel_reason)

    @api.depends("external_order_id", "status")
    @api.depends_context("lang")
    def _compute_display_name(self):
        labels = self._status_labels()
        for step in self:
            what = labels.get(step.status) or _("Changed lines")
            step.display_name = f"{step.external_order_id}: {what}"

    def action_ignore(self):
        """Close steps that nobody will need; what waited behind them goes on."""
        super().action_ignore()
        self.sudo().account_id._wake(self._work_kind)
        return True

    # -- which is next ------------------------------------------------------------------------

    @api.model
    def _has_waiting(self, account):
        return bool(self._next_due(account))

    @api.model
    def _next_due(self, account, order_id=None):
        """Give the next step to send: an order's oldest open one, if nothing has stopped it.

        What was never tried goes first, so that an order the marketplace chokes on holds up no other.

        :param str order_id: of this order only, whatever its steps wait for
        """
        self.flush_model()
        self.env.cr.execute(
            "SELECT step.id FROM marketplace_order_step step JOIN marketplace_config account"
            " ON account.id = step.account_id AND account.state = 'live' AND account.active"
            " WHERE step.account_id = %(account)s AND (step.state = 'new' AND step.next_try IS NULL"
            " OR step.state IN ('new', 'failed') AND step.next_try <= %(now)s"
            " OR step.state = 'new' AND step.external_order_id = %(order)s)"
            " AND (%(order)s IS NULL OR step.external_order_id = %(order)s)"
            " AND NOT EXISTS (SELECT FROM marketplace_order_step older WHERE older.id < step.id"
            " AND older.account_id = step.account_id AND older.external_order_id = step.external_order_id"
            " AND older.state IN ('new', 'hold', 'failed'))"
            " ORDER BY step.next_try NULLS FIRST, step.id LIMIT 1",
            {"account": account.id, "now": fields.Datetime.now(), "order": order_id},
        )
        return self.browse(found for [found] in self.env.cr.fetchall())

    def _claim(self):
        """Count a try, and note that from now on the step may have arrived.

        :return: :class:`Call`
        """
        is_in_doubt = self.in_doubt
        self.write({"tries": self.tries + 1, "in_doubt": True})
        details = {"idempotency_key": self.idempotency_key}
        if self.status == words.CANCELLED:
            details["reason"] = self.cancel_reason or None
        return Call(
            self.id, self.external_order_id, self.status, details, is_in_doubt, *self._claim_changes()
        )

    # -- the call -----------------------------------------------------------------------------

    @api.model
    def _try(self, account, call):
        """Tell one status, with no transaction open, and judge what came back.

        The one broad ``except`` of statuses: a bug on one step must not stop the others.

        :param Call call: what :meth:`_claim` gave
        :return: the name of the method that keeps the outcome, and the error or what was learned
        """
        try:
            found = self._send(account, call)
        except (CredentialsRefused, Unavailable) as error:
            return "_postpone", error
        except Refused as error:
            return "_arrive" if self._is_settled_by(account, call, error) else "_refuse", error
        except DatabaseError:
            raise
        except Exception as error:
            return "_fail", error
        return "_arrive", found

    def _is_settled_by(self, account, call, refusal):
        """Tell whether a refusal only says that it is so already."""
        return account._dialect().is_repeat(refusal, call.status)

    def _send(self, account, call):
        """Tell one status; what is in doubt is read back first, where the marketplace lets us."""
        network, dialect = self.env["marketplace.api"], account._dialect()
        if call.is_in_doubt and dialect.can_read_order:
            shown = network._read_order(account, call.order_id).status
            if shown in words.STATUSES and dialect.outlook(shown, call.status) == words.REACHED:
                return
        network._update_order_status(account, call.order_id, call.status, **call.details)

    @api.model
    def _next_call(self, account, order_id=None):
        """Claim the next step that has to be sent; what needs no call is settled on the way.

        :return: :class:`Call`, or None when nothing waits
        """
        step = self._next_due(account, order_id)
        while step and (step._settle_by_known() or step._is_worn_out()):
            step = self._next_due(account, order_id)
        return step._claim() if step else None

    # -- what the marketplace shows -----------------------------------------------------------

    def _follow_marketplace(self):
        """Have the order's open steps follow the status that the marketplace told of it."""
        for step in self.filtered(lambda step: step.state in OPEN):
            if not step._settle_by_known() and step._goes_on():
                step._reset()

    def _goes_on(self):
        """Tell whether it is sent once a message says that it can be, with no person asking for it."""
        return self.state == "hold"

    def _settle_by_known(self):
        """Settle a step whose call makes no sense by what is known.

        :return: False when it has to be sent
        """
        known = self.sale_order_id._marketplace_known()
        outlook = self._outlook(known)
        if outlook == words.SEND:
            return False
        if outlook == words.REACHED:
            self._arrive()
        elif outlook == words.WAIT:
            self._wait_for_customer()
        elif outlook == words.OVER and self.sale_order_id.state == "cancel":
            self._close("ignored", _("The order is over at the marketplace, and here."), in_doubt=False)
        elif outlook == words.OVER and self.sale_order_id._marketplace_end_on_hold():
            # Its message asks a person already: one decision, in one place.
            reason = _("The marketplace has ended the order: decide on its message.")
            self._close("ignored", reason, in_doubt=False)
        else:
            self._disagree(known)
        return True

    def _wait_for_customer(self):
        if any(event.state in STOPPED for event in self.sale_order_id._marketplace_edits_told()):
            self._wait_for_news(
                _("The customer has edited the order, and the message that tells it waits for a person."),
                remedy=_("Decide on the message: process it again or ignore it. This is sent then."),
            )
        else:
            self._wait_for_news(
                _("The customer is still editing the order."),
                remedy=_("Nothing to do: it is sent when the customer has finished."),
            )

    def _wait_for_news(self, reason, **values):
        """Wait until the marketplace tells more of the order.

        A message that is being read at this moment does not see the step wait, as we do not see what it
        tells. Writing the order's row, too, makes the later of the two begin again.
        """
        self.env.cr.execute(
            "UPDATE sale_order SET write_date = write_date WHERE id = %s", [self.sale_order_id.id]
        )
        self._close("hold", reason, **values)

    def _outlook(self, known):
        return self.account_id._dialect().outlook(known, self.status)

    def _status_labels(self):
        return dict(self._fields["status"]._description_selection(self.env))

    def _disagree(self, known):
        """Leave to a person what no call can mend."""
        reason = self._contradiction(known, self.status)
        self._give_up(reason, _("Bring the order here to what the marketplace shows, then ignore this step."))

    def _contradiction(self, known, status):
        labels = self._status_labels()
        return _(
            "The marketplace shows the order as %(known)s: it cannot become %(status)s.",
            known=labels[known],
            status=labels[status],
        )

    # -- outcomes -----------------------------------------------------------------------------

    def _arrive(self, _found=None):
        self._close("done", in_doubt=False, done_at=fields.Datetime.now())

    def _awaits_decision(self):
        """Tell whether only a person can say that it is to be told: the customer has goods of the order."""
        return self.status == words.CANCELLED and self.sale_order_id._is_with_customer()

    def _refuse(self, error):
        """Keep the marketplace's own words; the same call again would be refused again."""
        self._give_up(str(error), _("Clear it up with the marketplace, then try again; or ignore this step."))
        # Perhaps the order is in another state than we know.
        self.account_id._ask_feed()
        # A marketplace may answer a call it knows with the answer it gave before.
        self.write({"in_doubt": False, "idempotency_key": str(uuid4())})

    def _postpone(self, _error=None):
        """Wait until the account's pause ends. It was not the step's fault, so it costs no try."""
        self.write(
            {
                "state": "new",
                "tries": self.tries - 1,
                "next_try": self.account_id._state(self._work_kind).paused_until,
            }
        )

    def _is_worn_out(self):
        """Tell whether the step was claimed often enough without coming to an end: leave it to a person."""
        worn_out = self.tries >= self.account_id.retry_attempts
        if worn_out:
            self._give_up(_("Sending did not come to an end %s times.", self.tries))
        return worn_out
