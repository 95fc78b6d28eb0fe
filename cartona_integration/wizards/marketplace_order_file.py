import base64
import binascii

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..dialects import payload
from ..dialects.base import ORDERS
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
        messages, errors = self._read()
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
        messages, errors = self._read()
        results = self.account_id._rehearse_file(messages)
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

    def _read(self):
        """Cut the file into messages.

        :return: (those that are orders, one line per element that is none)
        :raise UserError: it is not a file of orders at all
        """
        self.ensure_one()
        try:
            found = self.account_id._dialect().split(ORDERS, payload.loads(self._raw()))
        except PayloadError as error:
            raise UserError(_("The file cannot be read: %s", self._printable(error))) from error
        good, errors = [], []
        for number, message in enumerate(found, start=1):
            error = self._error(message)
            if error:
                errors.append(_("Element %(number)d: %(error)s", number=number, error=error))
            else:
                good.append(message)
        return good, errors

    def _raw(self):
        try:
            raw = base64.b64decode(self.file, validate=True)
        except binascii.Error as error:
            raise UserError(_("The file did not arrive whole.")) from error
        if len(raw) > MAX_FILE:
            raise UserError(_("The file is larger than %d MiB. Cut it.", MAX_FILE // 1024**2))
        return raw

    def _error(self, message):
        """Tell why an element is no order; nothing when it is one."""
        try:
            self.account_id._parse(message.topic, message.payload)
        except PayloadError as error:
            return self._printable(error)
        return None

    @api.model
    def _printable(self, error):
        return payload.printable(str(error))
