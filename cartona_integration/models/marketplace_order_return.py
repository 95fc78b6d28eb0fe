from odoo import _, api, fields, models

from ..compat import RETURN_BUTTON, REVERSALS
from ..dialects import words
from .marketplace_order_processor import QUIET


class MarketplaceConfig(models.Model):
    _inherit = "marketplace.config"

    return_policy = fields.Selection(
        [
            ("ignore", "Show it on the order"),
            ("note", "Leave a note on the order"),
            ("return", "Prepare the return of the goods"),
            ("credit", "Prepare the return and a credit note"),
        ],
        string="A Delivered Order Is Returned",
        default="return",
        required=True,
        help="What to do when the marketplace calls an order returned whose goods have left. Returns and "
        "credit notes are drafts: a person completes them when the goods are back.",
    )


class MarketplaceOrderProcessor(models.AbstractModel):
    """Takes orders back that the marketplace calls returned after they left."""

    _inherit = "marketplace.order.processor"

    def _follow_status(self, sale, status, is_another):
        """Keep an order whose goods had left; where all are back already, the marketplace only says so."""
        if status == words.RETURNED and "done" in sale._last_moves().mapped("state"):
            if any(line._pieces_there() for line in sale.order_line):
                self._take_back(sale)
            sale.marketplace_step_ids._follow_marketplace()
        else:
            super()._follow_status(sale, status, is_another)

    def _take_back(self, sale):
        """Do what the account's people decided about returns; a return that was prepared is not again."""
        policy = sale.marketplace_config_id.return_policy
        made = []
        if policy in ("return", "credit"):
            self._stop_deliveries(sale)
            made += self._prepare_returns(sale)
        if policy == "credit":
            made += self._prepare_credit_notes(sale)
        if policy != "ignore":
            drafts = ", ".join(draft.display_name for draft in made)
            note = _("The marketplace says that the order was returned. Prepared: %s", drafts or "-")
            sale._message_log(body=note)

    def _stop_deliveries(self, sale):
        """Send nothing more after an order that is over."""
        pickings = sale._last_moves().filtered(lambda move: move.state not in ("done", "cancel")).picking_id
        if pickings:
            pickings.action_cancel()
            sale._message_log(body=_("Not delivered any more: %s", ", ".join(pickings.mapped("name"))))

    def _prepare_returns(self, sale):
        """Make draft returns of all that left and has no return yet."""
        moves = sale._last_moves().filtered(lambda move: move.state == "done" and self._left(move) > 0)
        return [self._prepare_return(picking, moves) for picking in moves.picking_id]

    def _left(self, move):
        """Give how much of a move has no return yet, done or not, in its product's unit."""
        back = move.returned_move_ids.filtered(lambda back: back.state != "cancel")
        return sum(move.move_line_ids.mapped("quantity_product_uom")) - sum(back.mapped("product_qty"))

    def _prepare_return(self, picking, moves):
        """Use Odoo's own wizard."""
        context = {
            "active_id": picking.id,
            "active_ids": picking.ids,
            "active_model": "stock.picking",
            **QUIET,
        }
        wizard = self.env["stock.return.picking"].with_context(**context).create({"picking_id": picking.id})
        for line in wizard.product_return_moves:
            line.quantity = self._left(line.move_id)
        wizard.product_return_moves.filtered(lambda line: line.move_id not in moves).unlink()
        return self.env["stock.picking"].browse(getattr(wizard, RETURN_BUTTON)()["res_id"])

    def _prepare_credit_notes(self, sale):
        """Make draft credit notes of the posted invoices. Superuser: the acting user keeps no accounts."""
        invoices = sale.sudo().invoice_ids.filtered(
            lambda move: move.move_type == "out_invoice" and move.state == "posted" and not move[REVERSALS]
        )
        number = sale.marketplace_order_number or sale.cartona_id
        reference = _("Return of %(order)s (%(number)s)", order=sale.name, number=number)
        values = [{"ref": reference, "invoice_date": False} for _move in invoices]
        credits = invoices._reverse_moves(values) if invoices else invoices
        # An invoice may be for several orders.
        credits.invoice_line_ids.filtered(
            lambda line: line.sale_line_ids and not line.sale_line_ids & sale.order_line
        ).unlink()
        return list(credits)


class MarketplaceEvent(models.Model):
    """Makes one decision of an order that ended over there while it was delivered here."""

    _inherit = "marketplace.event"

    def _hold(self, hold):
        """Ask once, whether the end is told with the order, alone, or both ways; the order knows more."""
        others = self._other_ends()
        if others and self.topic == words.STATUS:
            self._close("ignored", _("The marketplace has ended the order: decide on its message."))
            return
        for other in others:
            other._close("ignored", _("A newer message of the order came in."))
        super()._hold(hold)
        if self.status in words.GONE and self.sale_order_id:
            self.sale_order_id.marketplace_step_ids._follow_marketplace()
            self.account_id._forget_help("statuses")
            self._ask_to_decide(hold)

    def _other_ends(self):
        """Give other messages that ask whether the order is over."""
        if self.status not in words.GONE:
            return self.browse()
        order = self.env["sale.order"]._find_marketplace_order(self.account_id, self.external_order_id)
        return order._marketplace_end_on_hold() - self

    def _ask_to_decide(self, hold):
        note = _("Order %(order)s: %(reason)s", order=self._order_title(), reason=hold.reason)
        self.account_id._ask_for_help("messages", note)

    @api.model
    def _help_domain(self):
        """Count the decisions, too."""
        ended = [("state", "=", "hold"), ("status", "in", words.GONE), ("sale_order_id", "!=", False)]
        return ["|", *super()._help_domain(), "&", "&", *ended]
