from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..models.marketplace_rehearsal import REHEARSED


class MarketplaceRehearsal(models.TransientModel):
    """Shows what messages would do."""

    _name = "marketplace.rehearsal"
    _description = "What Would Happen"

    result = fields.Html(readonly=True, sanitize=False)  # our own template, which escapes all it is given

    @api.model
    def default_get(self, fields_list):
        values = super().default_get(fields_list)
        ids = self.env.context.get("active_ids")
        if "result" in fields_list and self.env.context.get("active_model") == "marketplace.event" and ids:
            values["result"] = self._of_events(self.env["marketplace.event"].browse(ids))
        return values

    @api.model
    def _of_events(self, events):
        self._check_manager()
        results = []
        for account in events.account_id:
            own = events.filtered(lambda event, account=account: event.account_id == account)
            results += account._rehearse_stored(own[:REHEARSED])
        return self._render(results, len(events))

    @api.model
    def _show(self, results, total, errors=()):
        """Open a window that shows the results of a rehearsal.

        :param list results: as ``_rehearse_event`` gives them
        :param int total: how many messages there are
        :param errors: lines about what could not be read at all
        """
        self._check_manager()
        shown = self.create({"result": self._render(results, total, errors)})
        return {
            "name": _("What Would Happen?"),
            "type": "ir.actions.act_window",
            "res_model": self._name,
            "res_id": shown.id,
            "views": [(False, "form")],
            "target": "new",
        }

    def _render(self, results, total, errors=()):
        left = max(0, total - len(results))
        values = {"results": results, "errors": errors, "left": left, "outcomes": self._outcomes()}
        return self.env["ir.qweb"]._render("cartona_integration.rehearsal", values)

    def _outcomes(self):
        return {
            "created": (_("A new sale order"), "success"),
            "changed": (_("The sale order is changed"), "info"),
            "known": (_("Nothing: this very message is here already"), "secondary"),
            "ignored": (_("Nothing"), "secondary"),
            "hold": (_("Waits"), "warning"),
            "failed": (_("Fails"), "danger"),
        }

    def _check_manager(self):
        if not self.env.user.has_group("cartona_integration.group_marketplace_manager"):
            raise UserError(_("Only marketplace managers see what messages hold."))
