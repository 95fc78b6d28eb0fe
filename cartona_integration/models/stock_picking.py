from odoo import api, fields, models
from odoo.http import request
from odoo.tools import float_compare, float_round

from ..dialects.words import GONE

# Answers to Odoo's own questions before a validation, as their wizards give them.
ANSWERS = ("button_validate_picking_ids", "picking_ids_not_to_backorder", "cancel_backorder")


class StockPicking(models.Model):
    _inherit = "stock.picking"

    marketplace_config_id = fields.Many2one(
        related="sale_id.marketplace_config_id", string="Marketplace Account"
    )
    marketplace_order_number = fields.Char(
        related="sale_id.marketplace_order_number", string="Marketplace Order"
    )
    marketplace_sync_status = fields.Selection(
        related="sale_id.marketplace_sync_status", string="Marketplace Sync"
    )
    marketplace_code_due = fields.Boolean(
        string="Delivery Code Due",
        compute="_compute_marketplace_code_due",
        help="The marketplace takes this delivery only with the code the customer tells.",
    )

    @api.depends("sale_id.marketplace_code_due", "state")
    def _compute_marketplace_code_due(self):
        """Superuser: carriers see no sales."""
        for picking in self:
            order = picking.sudo().sale_id
            brings = picking.location_dest_id.usage == "customer" and picking.state not in ("done", "cancel")
            picking.marketplace_code_due = brings and order._asks_code_when_validated()

    def button_validate(self):
        """Leave deliveries that need a code where nobody can enter one: a cron would lose the question."""
        due = self.browse() if self._is_attended() else self.filtered("marketplace_code_due")
        for picking in due:
            picking._ask_for_code_later()
        rest = self - due
        return super(StockPicking, rest or self).button_validate()

    def _is_attended(self):
        """Tell whether somebody sees what a button returns; jobs run in requests, too."""
        return bool(request) and not self.env.context.get("job_uuid")

    def _ask_for_code_later(self):
        kind = "cartona_integration.activity_delivery_code"
        if not self.activity_search([kind]):
            account = self.sudo().sale_id.marketplace_config_id
            person = self.user_id or account.responsible_id or account.user_id
            self.with_context(lang=person.lang).activity_schedule(kind, user_id=person.id)

    def _pre_action_done_hook(self):
        """After Odoo's own questions ask for the codes of the orders this completes."""
        res = super()._pre_action_done_hook()
        if res is not True:
            return res
        orders = self._marketplace_orders().filtered(self._completes_with_code)
        return self.env["marketplace.delivery.code"]._ask(orders, self) if orders else True

    def _completes_with_code(self, order):
        """Tell whether the order is delivered with these, and the marketplace wants the code for that."""
        return order._asks_code_when_validated() and self._completes(order)

    def _completes(self, order):
        """Tell whether nothing of the order is left to deliver after these."""
        moves = order._coming_moves()
        ours = (moves & order._last_moves()).filtered(lambda move: move.picking_id in self)
        if moves - ours or not ours or order._awaits_vendor():
            return False
        return all(self._leaves_no_backorder(move) for move in ours)

    def _leaves_no_backorder(self, move):
        kind = move.picking_id.picking_type_id.create_backorder
        refused = move.picking_id.id in self.env.context.get("picking_ids_not_to_backorder", ())
        if kind == "never" or (refused and kind != "always"):
            return True
        wanted, unit = move.product_qty, move.product_id.uom_id
        return float_compare(self._picked(move), wanted, precision_rounding=unit.rounding) >= 0

    @staticmethod
    def _picked(move):
        """Give what will leave of a move, in its product's unit."""
        return sum(move.move_line_ids.filtered("picked").mapped("quantity_product_uom"))

    def _planned_quantities(self, order):
        """Give {order line's id: what will have been delivered of it}, in the lines' units."""
        lines = order.order_line.filtered(lambda line: line.product_id.type != "service")
        return {str(line.id): self._planned_quantity(line) for line in lines}

    def _planned_quantity(self, line):
        moves = line.move_ids.filtered(lambda move: move.state != "cancel")
        if moves.product_id - line.product_id:
            return self._planned_kits(line, moves)
        picked = sum(self._picked(move) for move in self._open_moves(moves))
        picked = line.product_id.uom_id._compute_quantity(picked, line._unit(), rounding_method="HALF-UP")
        return line._marketplace_delivered() + picked

    def _planned_kits(self, line, moves):
        """Give how many of a kit will have been delivered whole: as many as its scarcest part makes."""
        shares = []
        for parts in (moves & line._last_moves()).grouped("product_id").values():
            there = line._pieces_there(parts.product_id) + sum(
                self._picked(move) for move in self._open_moves(parts)
            )
            shares.append(min(1, there / (sum(parts.mapped("product_qty")) or 1)))
        quantity = line.product_uom_qty * min(shares, default=0)
        return float_round(quantity, precision_rounding=line._unit().rounding, rounding_method="DOWN")

    def _open_moves(self, moves):
        return moves.filtered(lambda move: move.picking_id in self and move.state != "done")

    def _action_done(self):
        """Have the marketplaces told what left, and what came back."""
        res = super()._action_done()
        self.activity_unlink(["cartona_integration.activity_delivery_code"])
        for order in self._marketplace_orders():
            # Of an order that is over, over there, a return is no news unless it is the last.
            if order.marketplace_status not in GONE or order._is_all_back() or self._brings(order):
                order._tell_delivery()
        return res

    def _brings(self, order):
        """Tell whether these bring goods of the order to its customer."""
        return bool(order._last_moves() & self.move_ids)

    def _marketplace_orders(self):
        return self.move_ids._marketplace_orders()
