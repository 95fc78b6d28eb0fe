from odoo import api, fields, models

from ..dialects import base
from .marketplace_mark import STOCK


class SaleOrder(models.Model):
    _inherit = "sale.order"

    marketplace_config_id = fields.Many2one(
        "marketplace.config",
        string="Marketplace Account",
        readonly=True,
        copy=False,
        ondelete="restrict",
    )
    cartona_id = fields.Char(
        string="Marketplace Order Id",
        readonly=True,
        copy=False,
        help="The order's identity over there.",
    )
    marketplace_order_number = fields.Char(
        readonly=True, copy=False, help="The number people see on the marketplace."
    )
    marketplace_status = fields.Selection(
        [
            (base.PENDING, "Pending"),
            (base.HELD, "Being edited"),
            (base.CONFIRMED, "Approved"),
            (base.PARTIALLY_SHIPPED, "Partially shipped"),
            (base.SHIPPED, "Shipped"),
            (base.DELIVERED, "Delivered"),
            (base.CANCELLED, "Cancelled"),
            (base.RETURNED, "Returned"),
        ],
        readonly=True,
        copy=False,
        help="The last status the marketplace told us.",
    )
    marketplace_modified_at = fields.Datetime(readonly=True, copy=False)
    marketplace_event_ids = fields.One2many(
        "marketplace.event",
        "sale_order_id",
        readonly=True,
        groups="cartona_integration.group_marketplace_user",
    )
    marketplace_sync_status = fields.Selection(
        [("pending", "Waiting"), ("synced", "In step"), ("error", "Needs attention")],
        compute="_compute_marketplace_sync_status",
        help="Whether Odoo and the marketplace agree on the order.",
    )
    marketplace_error_message = fields.Char(compute="_compute_marketplace_sync_status")
    delivered_by = fields.Selection(
        [(base.BY_SELLER, "Us"), (base.BY_MARKETPLACE, "The marketplace")],
        readonly=True,
        copy=False,
    )
    marketplace_payment_method = fields.Char(readonly=True, copy=False)
    marketplace_delivery_otp = fields.Char(string="Delivery Code", copy=False)
    marketplace_note = fields.Text(string="Customer's Note", readonly=True, copy=False)
    marketplace_cancel_reason = fields.Char(readonly=True, copy=False)
    marketplace_to_collect = fields.Monetary(
        string="To Collect", readonly=True, copy=False, help="What the customer pays at the door."
    )
    marketplace_receivable = fields.Monetary(
        string="Due from Marketplace",
        readonly=True,
        copy=False,
        help="What the marketplace owes us for this order: credit, instalments, its part of the discounts.",
    )
    marketplace_payable = fields.Monetary(
        string="Due to Marketplace",
        readonly=True,
        copy=False,
        help="What we owe the marketplace for this order, such as wallet top-ups collected at the door.",
    )

    def init(self):
        super().init()
        self.env.cr.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS sale_order_marketplace_identity_uniq"
            " ON sale_order (marketplace_config_id, cartona_id)"
            " WHERE marketplace_config_id IS NOT NULL AND cartona_id IS NOT NULL"
        )

    @api.depends("marketplace_event_ids.state")
    def _compute_marketplace_sync_status(self):
        """Read it from the inbox. Superuser: whoever sees the order may know, without seeing the inbox."""
        for order in self:
            events = order.sudo().marketplace_event_ids
            trouble = events.filtered(lambda event: event.state in ("hold", "failed"))[:1]
            order.marketplace_error_message = trouble.reason
            if not order.marketplace_config_id:
                order.marketplace_sync_status = False
            elif trouble:
                order.marketplace_sync_status = "error"
            else:
                waiting = any(event.state == "new" for event in events)
                order.marketplace_sync_status = "pending" if waiting else "synced"

    def write(self, vals):
        res = super().write(vals)
        if "state" in vals:
            self.order_line._note_marketplace_stock()
        return res

    def action_view_marketplace_events(self):
        """Open the messages this order was made of."""
        action = self.env["ir.actions.act_window"]._for_xml_id("cartona_integration.action_marketplace_event")
        return {**action, "domain": [("sale_order_id", "in", self.ids)], "context": {}}

    @api.model
    def _find_marketplace_order(self, account, order_id):
        """Find an account's order by the marketplace's id."""
        return self.search([("marketplace_config_id", "=", account.id), ("cartona_id", "=", order_id)])


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    marketplace_line_id = fields.Char(
        readonly=True,
        copy=False,
        help="The line's identity over there: an offer gives a product several lines.",
    )
    marketplace_unit = fields.Char(readonly=True, copy=False)
    marketplace_unit_count = fields.Float(
        readonly=True,
        copy=False,
        help="Pieces in one unit, as the marketplace says; shown, never computed with.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._note_marketplace_stock()
        return lines

    def write(self, vals):
        res = super().write(vals)
        if {"product_uom_qty", "product_id"} & set(vals):
            self._note_marketplace_stock()
        return res

    def unlink(self):
        self._note_marketplace_stock()
        return super().unlink()

    def _note_marketplace_stock(self):
        """Note that a marketplace's quotation keeps back more or less. Superuser: sellers see no marks."""
        if self.env["marketplace.config"]._has_active_account():
            lines = self.filtered("order_id.marketplace_config_id")
            self.env["marketplace.mark"].sudo()._note(STOCK, lines.product_id)
