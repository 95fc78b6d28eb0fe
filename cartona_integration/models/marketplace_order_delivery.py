from odoo import _, api, fields, models

from ..compat import SOL_UOM, is_for_customer
from ..dialects import words

# Types of products that are moved.
MOVED = ("consu", "product")
# Context: ids of orders that are being cancelled whole.
CALLED_OFF = "marketplace_called_off"


class MarketplaceConfig(models.Model):
    _inherit = "marketplace.config"

    delivery_policy = fields.Selection(
        [
            ("delivered", "The goods are with the customer"),
            ("shipped", "The goods are on their way"),
        ],
        string="A Validated Delivery Means",
        default="delivered",
        required=True,
        help="With the customer: the marketplace is told that the order was shipped and delivered, once the "
        "last delivery is validated. On their way: it is told that it was shipped; a button on the order "
        "says later that it arrived.",
    )


class SaleOrder(models.Model):
    """Tells the marketplace how far an order's deliveries came."""

    _inherit = "sale.order"

    marketplace_seen_shipped = fields.Boolean(
        readonly=True,
        copy=False,
        help="The goods had left before the order was first seen: its deliveries here only repeat that.",
    )
    marketplace_can_deliver = fields.Boolean(compute="_compute_marketplace_can_deliver")

    @api.depends("state", "marketplace_status", "picking_ids.state", "marketplace_step_ids.state")
    def _compute_marketplace_can_deliver(self):
        """Offer to tell that the goods arrived. Superuser: sellers see no accounts."""
        for order in self.sudo():
            order.marketplace_can_deliver = (
                bool(order.marketplace_config_id)
                and order.state == "sale"
                and (order._are_deliveries_over() or order._has_no_deliveries())
                and not order._is_all_back()
                and (order._is_worth_telling(words.DELIVERED) or order._waits_for_code())
                and order._marketplace_known() not in (*words.GONE, words.DELIVERED)
            )

    def _action_cancel(self):
        """Tell the cancellation only: not that of its deliveries, as if what left had been all."""
        return super(SaleOrder, self.with_context(**{CALLED_OFF: self.ids}))._action_cancel()

    def action_marketplace_delivered(self):
        """Tell the marketplace that the goods are with the customer."""
        self.ensure_one()
        self._check_marketplace_user()
        if self._has_no_deliveries():
            self._enqueue_status(words.SHIPPED)
        self._enqueue_status(words.DELIVERED)
        return True

    def _tell_delivery(self):
        """Have the marketplaces told how far the deliveries came.

        Superuser: whoever moves goods needs no rights on orders, accounts and steps.
        """
        for order in self.sudo().filtered("marketplace_config_id"):
            if order._is_told() and order.state == "sale":
                order._tell_own_delivery()

    def _tell_own_delivery(self):
        moves = self._last_moves()
        if not moves.filtered(lambda move: move.state == "done"):
            return
        over = self._are_deliveries_over()
        if over and self._is_all_back():
            # What stopped of its lines is no news any more, and would hold up the return.
            self._look_at_stopped_lines()
            self._tell_return()
            return
        self._forget_untold_return()
        is_news = not self.marketplace_seen_shipped
        if is_news:
            self._enqueue_status(self._word_for_shipped(over))
        if over:
            self._tell_lines()
            if is_news and self.marketplace_config_id.delivery_policy == "delivered":
                self._enqueue_status(words.DELIVERED)

    def _is_delivered_there_only(self):
        """Tell whether the marketplace shows it as delivered, and not all of it has left here."""
        return (
            self.marketplace_status == words.DELIVERED
            and self.state == "sale"
            and self.delivery_status != "full"  # of most, without a look at their moves
            and not (self._are_deliveries_over() or self._has_no_deliveries())
        )

    def _find_delivered_there_only(self):
        candidates = self.search(
            [
                ("marketplace_config_id", "!=", False),
                ("state", "=", "sale"),
                ("delivery_status", "!=", "full"),
                "|",
                ("marketplace_reported_status", "=", words.DELIVERED),
                ("marketplace_step_ids.status", "=", words.DELIVERED),
            ]
        )
        return candidates.filtered(lambda order: order.sudo()._is_delivered_there_only())

    def _tell_return(self):
        """Tell that all came back; where only a person can tell it, ask for one, once."""
        dialect, by = self.marketplace_config_id._dialect(), self.delivered_by or None
        if dialect.sends(words.RETURNED, by):
            self._enqueue_status(words.RETURNED)
        elif self._is_worth_reporting_return(dialect, by):
            step = self.env["marketplace.order.step"].create(self._prepare_step(words.RETURNED))
            if step.state == "new":
                step._give_up(
                    _("All goods came back, and the marketplace takes no return from us."),
                    _("Report the return to the marketplace, then ignore this step."),
                )

    def _forget_untold_return(self):
        """Ask nobody to report a return whose goods are with the customer again; the next one is news."""
        self.marketplace_step_ids.filtered(
            lambda step: step.status == words.RETURNED and step.state == "failed" and not step.in_doubt
        ).unlink()

    def _is_worth_reporting_return(self, dialect, by):
        is_ours = dialect.sends(words.SHIPPED, by) and not self._marketplace_end_on_hold()
        reported = words.RETURNED in self.marketplace_step_ids.mapped("status")
        return is_ours and not reported and self.marketplace_status not in words.GONE

    def _word_for_shipped(self, over):
        """Give the status for goods that left; a marketplace without a word for a part is told the whole."""
        dialect = self.marketplace_config_id._dialect()
        part = not over and dialect.sends(words.PARTIALLY_SHIPPED, self.delivered_by or None)
        return words.PARTIALLY_SHIPPED if part else words.SHIPPED

    def _last_moves(self):
        return self.order_line._last_moves()

    def _has_no_deliveries(self):
        """Tell whether only a person can say that it is done: nothing of the order is moved."""
        return self.state == "sale" and not self.order_line.move_ids

    def _are_deliveries_over(self):
        """Tell whether goods left and no more will."""
        return (
            "done" in self._last_moves().mapped("state")
            and not self._coming_moves()
            and not self._awaits_vendor()
        )

    def _awaits_vendor(self):
        """Tell whether goods have no move yet: a vendor's get one when the purchase is confirmed."""
        return any(
            line.product_id.type in MOVED and line.product_uom_qty > 0 and not line.move_ids
            for line in self.order_line
        )

    def _coming_moves(self):
        """Give the open moves that bring goods to the customer, also by a later step of the route."""
        return self.order_line.move_ids.filtered(
            lambda move: (
                move.state not in ("done", "cancel")
                and is_for_customer(move)
                and move.location_id.usage != "customer"
            )
        )

    def _is_all_back(self):
        """Tell whether goods were delivered, and all of them came back."""
        lines = self.order_line.filtered(lambda line: line._last_moves_done())
        return bool(lines) and not any(line._pieces_there() for line in lines)


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    def write(self, vals):
        """Look at what is not to come any more; where goods are not looked for yet, that is for later."""
        res = super().write(vals)
        if "product_uom_qty" in vals and not self.env.context.get("skip_procurement"):
            self._tell_unmoved()
        return res

    def _tell_unmoved(self):
        """Have what left told when a vendor's goods that were still to come are not wanted any more.

        Superuser: whoever edits an order need not see moves.
        """
        lines = self.sudo().filtered("order_id.marketplace_config_id")
        lines = lines.filtered(lambda line: line.product_id.type in MOVED and not line.move_ids)
        lines.order_id._tell_delivery()

    def _unit(self):
        return self[SOL_UOM]

    def _last_moves(self):
        """Give the moves that bring goods to the customer: the last step of the route, or drop-shipping."""
        return self.move_ids.filtered(
            lambda move: move.location_dest_id.usage == "customer" and move.location_id.usage != "customer"
        )

    def _last_moves_done(self):
        return self._last_moves().filtered(lambda move: move.state == "done")

    def _marketplace_delivered(self):
        """Give what the customer has, in the line's unit: what went there less what came back.

        Odoo's own figure leaves out returns that are not to be refunded; a kit's parts only it can count.
        """
        moves = self.move_ids.filtered(lambda move: move.state == "done")
        if moves.product_id - self.product_id:
            return self.qty_delivered
        own = self.product_id.uom_id
        return own._compute_quantity(self._pieces_there(), self._unit(), rounding_method="HALF-UP")

    def _is_with_customer(self):
        """Tell whether the customer has something of the line; of a service Odoo's figure tells."""
        return (self._pieces_there() if self.move_ids else self.qty_delivered) > 0

    def _pieces_there(self, product=None):
        """Give how much the customer has of what was moved for the line, in the products' own units.

        :param product: only of this one, such as a part of a kit
        """
        quantity = 0.0
        moves = self.move_ids.filtered(lambda move: move.state == "done")
        for move in moves.filtered(lambda move: move.product_id == product) if product else moves:
            there, back = (place.usage == "customer" for place in (move.location_dest_id, move.location_id))
            quantity += sum(move.move_line_ids.mapped("quantity_product_uom")) * (there - back)
        return quantity
