from odoo import _, api, fields, models
from odoo.exceptions import UserError

from .. import dialects
from ..dialects.words import CANCELLED, GONE, SEND, WAIT


class MarketplaceConfig(models.Model):
    _inherit = "marketplace.config"

    cancel_reason = fields.Selection(
        selection="_cancel_reasons",
        string="Reason of Cancellations",
        help="Told to the marketplace with a cancellation for which nobody chose a reason.",
    )

    @api.model
    def _cancel_reasons(self):
        """Give the reasons marketplaces take, as (word, what people read)."""
        labels = {
            "out_of_stock": _("Out of stock"),
            "cannot_deliver_the_order": _("We cannot deliver"),
            "supplier_asked_me_to_cancel": _("Agreed with the customer"),
            "delayed_order": _("The order is late"),
            "pending_order_without_action": _("Nobody looked at the order in time"),
            "removed_items": _("Items were taken out"),
            "supplier_attitude": _("Disagreement with the customer"),
            "missing_items": _("Items are missing"),
            "expired_products": _("Products have expired"),
            "different_prices": _("Prices differ"),
            "different_products": _("Products differ"),
        }
        words = {word for dialect in dialects.DIALECTS.values() for word in dialect.cancel_reasons}
        known = [(word, label) for word, label in labels.items() if word in words]
        return known + [(word, word) for word in sorted(words - set(labels))]


class SaleOrder(models.Model):
    _inherit = "sale.order"

    marketplace_cancel_label = fields.Char(
        string="Marketplace Cancel Reason", compute="_compute_marketplace_cancel_label"
    )
    marketplace_takes_reason = fields.Boolean(compute="_compute_marketplace_takes_reason")

    @api.depends("marketplace_cancel_reason")
    @api.depends_context("lang")
    def _compute_marketplace_cancel_label(self):
        """Say it in the reader's language, where it is one of the marketplaces' words."""
        labels = dict(self.env["marketplace.config"]._cancel_reasons())
        for order in self:
            order.marketplace_cancel_label = labels.get(order.marketplace_cancel_reason)

    @api.depends("marketplace_config_id", "state", "marketplace_status", "picking_ids.state")
    def _compute_marketplace_takes_reason(self):
        """Offer it while the marketplace may still cancel the order. Superuser: sellers see no accounts."""
        for order in self.sudo():
            order.marketplace_takes_reason = bool(order.marketplace_config_id) and order._takes_reason()

    def _takes_reason(self):
        dialect, known = self.marketplace_config_id._dialect(), self._marketplace_known() or None
        return (
            bool(dialect.cancel_reasons)
            and self.state != "cancel"
            and dialect.outlook(known, CANCELLED) in (SEND, WAIT)
            and not any(line._is_with_customer() for line in self.order_line)
        )

    def _forget_cancellation(self):
        """Have a cancellation that the marketplace took count no more: it goes on, and so do people here."""
        taken = self.marketplace_step_ids.filtered(
            lambda step: step.state == "done" and step.status == CANCELLED
        )
        taken._close("ignored", _("The marketplace has gone on with the order since."))

    @api.ondelete(at_uninstall=False)
    def _unlink_except_alive_at_marketplace(self):
        """Keep an order the marketplace goes on with: it would wait there for ever, or come in anew.

        Superuser: sellers see no accounts.
        """
        for order in self.sudo():
            if order._is_alive_at_marketplace():
                labels = dict(order._fields["marketplace_status"]._description_selection(self.env))
                raise UserError(
                    _(
                        "%(order)s lives on at the marketplace: %(status)s. Cancel it here; it can be "
                        "deleted once the marketplace has taken the cancellation.",
                        order=order.name,
                        status=labels.get(order._marketplace_known(), "?"),
                    )
                )

    def _is_alive_at_marketplace(self):
        """Tell whether the marketplace, which would take a cancellation from us, shows it as not over."""
        account = self.marketplace_config_id
        return (
            self._is_told()
            and account.state != "shadow"
            and account._dialect().sends(CANCELLED, self.delivered_by or None)
            and self._marketplace_known() not in GONE
        )

    def action_marketplace_cancel(self):
        """Ask why the order is cancelled, in the marketplace's words."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": _("Cancel the Order"),
            "res_model": "marketplace.order.cancel",
            "views": [(False, "form")],
            "target": "new",
            "context": {"default_sale_order_id": self.id},
        }
