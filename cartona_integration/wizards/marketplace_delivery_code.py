from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..models.stock_picking import ANSWERS


class MarketplaceDeliveryCode(models.TransientModel):
    """Asks for the codes the customers have, and completes the deliveries whose codes are accepted."""

    _name = "marketplace.delivery.code"
    _description = "Delivery Codes"
    _transient_max_hours = 0.25  # codes are not kept

    picking_ids = fields.Many2many("stock.picking", readonly=True)
    answers = fields.Json(readonly=True, help="What was answered to Odoo's own questions before.")
    line_ids = fields.One2many("marketplace.delivery.code.line", "wizard_id")
    is_in_doubt = fields.Boolean(compute="_compute_is_in_doubt")

    @api.depends("line_ids.is_in_doubt")
    def _compute_is_in_doubt(self):
        for wizard in self:
            wizard.is_in_doubt = any(wizard.line_ids.mapped("is_in_doubt"))

    @api.model
    def _ask(self, orders, pickings=None):
        """Open the wizard.

        :param pickings: what is validated when the codes are accepted; none: the goods have left already
        """
        context = self.env.context
        answers = {name: context[name] for name in context if name in ANSWERS or name.startswith("skip_")}
        # Superuser: carriers see no sales; lines take only what these orders are called.
        lines = [
            {
                "sale_order_id": order.id,
                "name": order._code_title(),
                "code": order._entered_code(),
                "message": order._code_doubt(),
                "is_in_doubt": bool(order._code_doubt()),
            }
            for order in orders.sudo()
        ]
        wizard = self.sudo().create(
            {
                "picking_ids": [fields.Command.set(pickings.ids if pickings else [])],
                "answers": answers,
                "line_ids": [fields.Command.create(line) for line in lines],
            }
        )
        return wizard._show()

    def action_confirm(self):
        """Send the codes; complete what waits for them when all were accepted."""
        return self._go_on(lambda line: line._send())

    def action_send_again(self):
        """Send codes again whose answer never came: the person has looked, they were not taken."""
        return self._go_on(lambda line: line._send(again=True))

    def action_taken(self):
        """Complete deliveries whose codes were taken, as the person has seen at the marketplace."""
        return self._go_on(lambda line: line.is_in_doubt and line._take_for_accepted())

    def _go_on(self, settle):
        self._check_may_deliver()
        for line in self.line_ids.filtered(lambda line: not line.is_accepted):
            settle(line)
        if not all(line.is_accepted for line in self.line_ids):
            return self._show()
        pickings, answers = self.picking_ids, self.answers or {}
        self.line_ids.code = False
        return pickings.with_context(**answers).button_validate() if pickings else True

    def _check_may_deliver(self):
        """Send no code for a delivery the user could not validate afterwards."""
        self.ensure_one()
        if not self.line_ids:
            raise UserError(_("There is no delivery that needs a code."))
        self.picking_ids.mapped("state")  # reads them, with the user's rules
        user = self.env.user
        if not self.picking_ids and not user.has_group("cartona_integration.group_marketplace_user"):
            raise UserError(_("Only marketplace users may do this."))

    def _show(self):
        return {
            "type": "ir.actions.act_window",
            "name": _("Delivery Codes"),
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
            "target": "new",
        }


class MarketplaceDeliveryCodeLine(models.TransientModel):
    """One order's code."""

    _name = "marketplace.delivery.code.line"
    _description = "Delivery Code of an Order"
    _transient_max_hours = 0.25

    wizard_id = fields.Many2one("marketplace.delivery.code", required=True, ondelete="cascade")
    sale_order_id = fields.Many2one("sale.order", required=True, readonly=True, ondelete="cascade")
    name = fields.Char(string="Order", readonly=True)
    code = fields.Char(copy=False)
    message = fields.Char(readonly=True)
    is_accepted = fields.Boolean(string="Accepted", readonly=True)
    is_in_doubt = fields.Boolean(readonly=True)

    def _send(self, again=False):
        """Have the code tried; it is forgotten at once, whatever comes of it."""
        code, order = (self.code or "").strip(), self.sudo().sale_order_id
        self.sudo().code = False
        if not code:
            self.sudo().message = _("Enter the code the customer tells.")
            return
        pickings = self.wizard_id.picking_ids
        planned = pickings.sudo()._planned_quantities(order) if pickings else None
        self._note(order, *order._send_code(code, planned, again))

    def _take_for_accepted(self):
        order = self.sudo().sale_order_id
        order.marketplace_config_id._committed("_settle_code_by_hand", order.id)
        order._accepted_now()[order.id] = {}
        self._note(order)

    def _note(self, order, problem=None, is_in_doubt=False):
        self.sudo().write({"is_accepted": not problem, "message": problem, "is_in_doubt": is_in_doubt})
        if not problem:
            order._forget_code()
