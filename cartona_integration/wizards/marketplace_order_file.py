import base64
import binascii
import codecs
from dataclasses import replace

from odoo import _, fields, models
from odoo.exceptions import UserError

from ..dialects import payload
from ..dialects.rest import Rest
from ..dialects.words import ORDERS
from ..exceptions import PayloadError

MAX_FILE = 5 * 1024 * 1024  # bytes
SHOWN_ERRORS = 20


class MarketplaceOrderFile(models.TransientModel):
    """Takes orders from a file, as if the marketplace had pushed them."""

    _name = "marketplace.order.file"
    _description = "Import Orders from a File"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade")
    file = fields.Binary(required=True, attachment=False)
    file_name = fields.Char()
    result = fields.Text(readonly=True)

    def action_import(self):
        """Store what can be read and say what cannot."""
        messages, errors = self._parse()
        counts = self.account_id._keep(messages, "file") if messages else {}
        stored = counts.get("new", 0) + counts.get("changed", 0)
        told = _(
            "%(stored)d stored, %(known)d known already, %(bad)d not readable.",
            stored=stored,
            known=counts.get("known", 0),
            bad=len(errors),
        )
        self.result = "\n".join([told, *errors[:SHOWN_ERRORS]])
        return self._show()

    def action_rehearse(self):
        """Show what the file would do, without doing it."""
        messages, errors = self._parse()
        results = self.account_id._rehearse_new(messages, "file")
        return self.env["marketplace.rehearsal"]._show(results, len(messages), errors[:SHOWN_ERRORS])

    def action_view_events(self):
        """Open the account's inbox."""
        return self.account_id.action_view_events()

    def _show(self):
        return {
            "type": "ir.actions.act_window",
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
            "target": "new",
        }

    def _parse(self):
        """Cut the file into messages: in the account's dialect, or where nothing is, in our neutral format.

        :return: (those that are orders, one line per element that is none)
        :raise UserError: it is not a file of orders at all
        """
        self.ensure_one()
        try:
            data = payload.loads(self._raw())
            good, errors = self._cut(data)
        except PayloadError as error:
            raise UserError(_("The file cannot be read: %s", self.account_id._describe(error))) from error
        neutral, others = ((), ()) if good else self._cut_neutral(data)
        return (neutral, others) if neutral else (good, errors)

    def _cut_neutral(self, data):
        try:
            return self._cut(data, Rest.code)
        except PayloadError:
            return (), ()

    def _cut(self, data, dialect=None):
        """Cut data in one dialect; none: the account's.

        :raise PayloadError: it cannot be cut at all
        """
        good, errors = [], []
        for number, message in enumerate(self.account_id._dialect(dialect).split(ORDERS, data), start=1):
            error = self._error(message, dialect)
            if error:
                errors.append(_("Element %(number)d: %(error)s", number=number, error=error))
            else:
                good.append(replace(message, dialect=dialect))
        return good, errors

    def _raw(self):
        try:
            raw = base64.b64decode(self.file, validate=True)
        except binascii.Error as error:
            raise UserError(_("The file did not arrive whole.")) from error
        if len(raw) > MAX_FILE:
            raise UserError(_("The file is larger than %d MiB. Cut it.", MAX_FILE // 1024**2))
        # Many editors on Windows begin a file with a mark that JSON knows not.
        return raw.removeprefix(codecs.BOM_UTF8)

    def _error(self, message, dialect):
        """Tell why an element is no order; nothing when it is one."""
        try:
            self.account_id._parse(message.topic, message.payload, dialect)
        except PayloadError as error:
            return self.account_id._describe(error)
        return None
