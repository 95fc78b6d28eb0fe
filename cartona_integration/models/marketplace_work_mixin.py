import logging
from datetime import timedelta

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..dialects import payload

_logger = logging.getLogger(__name__)

MAX_RETRY_PAUSE = 3600  # seconds
# What is not settled yet, one way or another.
OPEN = ("new", "hold", "failed")
# What stopped, and goes on by a person or by what it waits for.
STOPPED = ("hold", "failed")


class MarketplaceWorkMixin(models.AbstractModel):
    """The life of one piece of an account's work: a message that came in, a status that goes out."""

    _name = "marketplace.work.mixin"
    _description = "Work of a Marketplace Account"

    # The kind of job that does it, and the cause named to the person who is asked for help.
    _work_kind = None
    _help_cause = None

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade", readonly=True)
    company_id = fields.Many2one(related="account_id.company_id")
    external_order_id = fields.Char(string="Marketplace Order Id", readonly=True)
    state = fields.Selection(
        [
            ("new", "Waiting"),
            ("done", "Done"),
            ("hold", "On hold"),
            ("failed", "Failed"),
            ("ignored", "Ignored"),
        ],
        required=True,
        default="new",
        readonly=True,
    )
    tries = fields.Integer(readonly=True)
    next_try = fields.Datetime(
        readonly=True, help="Empty on what failed: it waits for a person. Empty on what waits: at once."
    )
    reason = fields.Char(readonly=True)
    remedy = fields.Char(readonly=True)

    def action_process_again(self):
        """Try once more, whatever stopped it."""
        self._check_open()
        self._reset()
        return True

    def action_ignore(self):
        """Close what nobody will need."""
        self._ignore()
        return True

    def _ignore(self, reason=None):
        """Close what nobody will need, with who said so and why."""
        self._check_open()
        text = _("Ignored by %s", self.env.user.name)
        # Superuser: users have no write access to it.
        for work in self.sudo():
            work._close("ignored", f"{text}: {reason}" if reason else text)

    def _check_open(self):
        """Refuse buttons on what is settled; reading the records first applies the user's rules."""
        if any(work.state not in OPEN for work in self):
            raise UserError(_("Only what waits, is on hold or failed can be changed."))

    def _reset(self):
        """Put work back into the queue. Superuser: users have no write access to it."""
        work = self.sudo()
        work.write({"state": "new", "tries": 0, "next_try": False, "reason": False, "remedy": False})
        work.account_id._wake(self._work_kind)

    @api.model
    def _has_waiting(self, account):
        return bool(self.search_count(self._waiting_domain(account), limit=1))

    @api.model
    def _waiting_domain(self, account):
        """Describe what the account's job has to do now."""
        return [
            ("account_id", "=", account.id),
            "|",
            "&",
            ("state", "=", "new"),
            ("next_try", "=", False),
            "&",
            ("state", "in", ("new", "failed")),
            ("next_try", "<=", fields.Datetime.now()),
        ]

    def _close(self, state, reason=False, **values):
        self.write({"state": state, "reason": reason, "remedy": False, "next_try": False, **values})

    def _fail(self, error):
        """Keep the failure. The log gets the traceback, the row only the class: its text may hold data."""
        _logger.error("%s %s failed", self._description, self.id, exc_info=error)
        reason = type(error).__name__
        if isinstance(error, UserError):  # texts made for people
            reason = payload.printable(str(error))
        if self.tries >= self.account_id.retry_attempts:
            self._give_up(reason)
        else:
            pause = timedelta(seconds=min(MAX_RETRY_PAUSE, 30 * 4**self.tries))
            self._close("failed", reason, next_try=fields.Datetime.now() + pause)

    def _give_up(self, reason, remedy=False):
        """Leave it to a person."""
        self._close("failed", reason, remedy=remedy)
        self.account_id._ask_for_help(
            self._help_cause,
            _("Order %(order)s: %(reason)s", order=self._order_title(), reason=reason),
        )

    @api.model
    def _needs_help(self, account):
        """Tell whether something of the account's waits for the person who was asked for help."""
        return bool(self.search_count([("account_id", "=", account.id), *self._help_domain()], limit=1))

    @api.model
    def _help_domain(self):
        return ["&", ("state", "=", "failed"), ("next_try", "=", False)]

    def _order_title(self):
        """Give what people call the order, here and at the marketplace."""
        ours, theirs = self.sale_order_id.name, self.external_order_id
        return f"{ours} ({theirs})" if ours else theirs
