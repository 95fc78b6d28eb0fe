from odoo import api, models

from ..compat import SOL_TAXES
from ..dialects import words
from .figures import exact
from .marketplace_work_mixin import STOPPED

# In the place of a line here that is gone.
GONE = 0
# Figures of a line that a marketplace may be told.
EDITED = {"product_uom_qty", "price_unit", "discount"}
# What the marketplace said of a line, and of its goods.
TOLD_OF_LINE = (
    "marketplace_line_id",
    "marketplace_quantity",
    "marketplace_price",
    "marketplace_goods",
    "marketplace_unit",
    "marketplace_unit_count",
)
# Context: ids of orders whose lines are being saved together, and told together at the end.
TOGETHER = "marketplace_lines_together"


class SaleOrderLine(models.Model):
    """Tells the marketplace what people change about the lines of its orders."""

    _inherit = "sale.order.line"

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines.filtered(lambda line: not line._is_as_told())._tell()
        return lines

    def write(self, vals):
        replaced = self._replaced_by(vals["product_id"]) if "product_id" in vals else self.browse()
        res = super().write(vals)
        replaced._become_new()
        if EDITED & set(vals) or replaced:
            self._tell()
        return res

    def _tell(self):
        """Have the marketplaces told, unless the lines' orders do it for all that are saved with them."""
        together = self.env.context.get(TOGETHER, ())
        self.order_id.filtered(lambda order: order.id not in together)._tell_lines()

    def _replaced_by(self, product_id):
        """Give the lines that are about to become another line over there, where a product is one's identity.

        A product that takes a placeholder's place only says what the line always was.
        """

        def is_replaced(line):
            account = line.order_id.sudo().marketplace_config_id
            return (
                line.product_id.id not in (product_id, account._placeholder().id)
                and line._is_marketplace_goods()
                and account.state != "shadow"
                and line.order_id.sudo()._may_tell_lines()
            )

        return self.filtered("marketplace_line_id").filtered(is_replaced)

    def _become_new(self):
        """Have the lines taken away over there, and told anew with what they are about now."""
        self.mapped("price_unit"), self.mapped("discount")  # the marketplace's until then, as the form shows
        shown = self._marketplace_shown()
        self._let_go_told()
        for line in self:
            told = line._marketplace_amount()
            line.write(dict.fromkeys(TOLD_OF_LINE, False))
            if shown[line][0]:
                line.order_id._tell_removed(told)

    def unlink(self):
        """Have lines taken away over there, too. One the marketplace took away itself has no quantity."""
        removed, orders = {}, self.order_id
        known = self.filtered("marketplace_line_id")
        for line, (quantity, _price) in known._marketplace_shown().items():
            if quantity and line._is_marketplace_goods():
                removed.setdefault(line.order_id, {}).update(line._marketplace_amount())
        known._let_go_told()
        res = super().unlink()
        for order, amounts in removed.items():
            order._tell_removed(amounts)
        # What stopped a change may have been a line that is gone now.
        orders._look_at_stopped_lines()
        return res

    def _told_figures(self):
        return [self[name] for name in (*EDITED, "marketplace_line_id")]

    def _is_edited(self, before):
        """Tell whether the marketplace may have to hear of a line.

        :param list before: its figures, None for a new one
        """
        return not self._is_as_told() if before is None else self._told_figures() != before

    def _marketplace_amount(self):
        return {self.marketplace_line_id: self.marketplace_quantity * self.marketplace_price}

    def _compute_price_unit(self):
        """Keep the marketplace's price: Odoo would take the pricelist's when a quantity changes."""
        super(SaleOrderLine, self.filtered(lambda line: not line.marketplace_line_id))._compute_price_unit()

    def _compute_discount(self):
        super(SaleOrderLine, self.filtered(lambda line: not line.marketplace_line_id))._compute_discount()

    def _let_go_told(self):
        """Keep what was told of lines that are about to be gone here by their ids over there alone.

        Superuser: sellers see no steps.
        """
        gone = {line.id: {"ref": GONE, "id": line.marketplace_line_id} for line in self}
        for step in self.sudo().order_id.marketplace_step_ids.filtered("changes"):
            changes = [change | gone.get(change["ref"], {}) for change in step.changes]
            if changes != step.changes:
                step.changes = changes

    def _is_as_told(self):
        """Tell whether the line is what a message says it is, as all are that an import makes."""
        told = (self.marketplace_quantity, self.marketplace_price)
        return bool(self.marketplace_line_id) and (self.product_uom_qty, self.price_unit) == told

    def _is_marketplace_goods(self):
        """Tell whether the line is, or could be, one of the marketplace's own: not an amount, not a text."""
        charge = self.env["marketplace.order.processor"]._charge_product()
        return bool(self.product_id) and not self.display_type and self.product_id != charge

    def _is_ours_alone(self):
        """Tell whether the marketplace need not know of the line: a service people added, such as a fee."""
        is_service = self.product_id.type == "service"
        return is_service and not self.marketplace_line_id and self._is_known_to_nobody()

    def _marketplace_wanted(self, planned=None):
        """Give {line: quantity the marketplace should show}; once all is delivered, what was.

        :param dict planned: {order line's id, as text: quantity that will have been delivered}
        """
        over = self.order_id.filtered(lambda order: order._are_deliveries_over())
        wanted = {}
        for line in self:
            if str(line.id) in (planned or ()):
                wanted[line] = planned[str(line.id)]
            elif line.product_id.type != "service" and line.order_id in over:
                wanted[line] = line._marketplace_delivered()
            else:
                wanted[line] = line.product_uom_qty
        return wanted

    def _marketplace_shown(self):
        """Give {line: (quantity, price) the marketplace shows}: what it told, or took from us since."""
        taken = {
            change["ref"]: (change["quantity"], change["price"]) for change in self.order_id._told_changes()
        }
        return {
            line: taken.get(line.id, (line.marketplace_quantity, line.marketplace_price)) for line in self
        }

    def _marketplace_price(self):
        """Give the price after discount, with or without tax as the marketplace's prices are.

        Lines of its own are so already; one that people add has the product's taxes as they are.
        """
        price = self.price_unit * (1 - self.discount / 100)
        included = self.order_id._are_marketplace_prices_taxed()
        taxes = self[SOL_TAXES]
        single = taxes.filtered(lambda tax: not tax.children_tax_ids) | taxes.children_tax_ids
        if all(tax.price_include == included or not tax.amount for tax in single):
            return price
        found = taxes.compute_all(price, currency=self.currency_id, product=self.product_id)
        return found["total_included" if included else "total_excluded"]

    def _marketplace_change(self, quantity, shown, is_in_doubt=False):
        """Compare the line with what the marketplace shows.

        :param float quantity: what it should show
        :param tuple shown: quantity and price it shows
        :param bool is_in_doubt: what it shows is not known
        :return: LineChange, or None
        """
        is_same = self.env["marketplace.order.processor"]._is_same
        wanted = quantity, self._marketplace_price()
        is_new = not self.marketplace_line_id and shown == (0, 0)
        is_known = not (is_in_doubt and self.marketplace_line_id)
        same_quantity = is_known and is_same("product_uom_qty", wanted[0], shown[0])
        same_price = is_known and is_same("price_unit", wanted[1], shown[1])
        if (same_quantity and (same_price or not wanted[0])) or (is_new and wanted[0] <= 0):
            return None
        return words.LineChange(
            self.id,
            self.marketplace_line_id or None,
            None if same_quantity else exact(wanted[0]),
            None if same_price or not wanted[0] else exact(wanted[1]),
            **(self._marketplace_names() if is_new else {}),
        )

    def _marketplace_names(self):
        """Give how the marketplace calls a product people added: by its listing in the line's unit.

        The key alone names a product none of whose listings was seen: else it may be sold in another unit.
        """
        links = self.env["marketplace.product.link"].search(
            [
                ("account_id", "=", self.order_id.marketplace_config_id.id),
                ("product_id", "=", self.product_id.id),
                ("state", "=", "linked"),
            ]
        )
        link = links.filtered(lambda link: (link.pack_uom_id or self.product_id.uom_id) == self._unit())[:1]
        key = link.key if links else self.product_id.cartona_id
        return {"product_id": link.external_id or None, "key": key or None}

    def _is_known_to_nobody(self):
        """Tell whether a line people added names nothing the marketplace sells."""
        return not self.marketplace_line_id and not any(self._marketplace_names().values())


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def write(self, vals):
        """Have lines that are saved together told together: each time, all of them are looked at."""
        orders = self.filtered("marketplace_config_id") if "order_line" in vals else self.browse()
        before = {line: line._told_figures() for line in orders.order_line}
        res = super(SaleOrder, self.with_context(**{TOGETHER: orders.ids}) if orders else self).write(vals)
        orders.order_line.filtered(lambda line: line._is_edited(before.get(line)))._tell()
        return res

    def _tell_lines(self):
        """Have the marketplaces told of changed lines. Superuser: sellers see no steps."""
        for order in self.sudo().filtered("marketplace_config_id"):
            if not order._may_tell_lines():
                continue
            if not order._look_at_stopped_lines() and order._has_lines_to_tell():
                order._enqueue_steps([order._prepare_step()])

    def _look_at_stopped_lines(self):
        """Look anew at changes that stopped, also refused ones: what stopped them may be gone.

        Not at those of which nobody knows whether they arrived: a person or the marketplace tells that.

        :return: the steps. Superuser: sellers see none
        """
        steps = self.sudo().filtered("marketplace_config_id")._stopped_line_steps()
        again = steps.filtered(lambda step: not step.in_doubt)
        if again:
            again._reset()
        return again

    def _stopped_line_steps(self):
        return self.marketplace_step_ids.filtered(lambda step: step.kind == "lines" and step.state in STOPPED)

    def _tell_removed(self, amounts):
        """Have the marketplace told of lines that are gone here.

        :param dict amounts: {line's id over there: what the marketplace's last message counts for it}
        """
        order = self.sudo()
        if order._may_tell_lines():
            order._enqueue_steps([{**order._prepare_step(), "removed": amounts}])

    def _are_marketplace_prices_taxed(self):
        """Tell whether the marketplace's prices contain the tax, see the processor's ``_is_included``."""
        told = (self.marketplace_told or {}).get("prices_include_tax")
        # Superuser: sellers see no accounts.
        return self.sudo().marketplace_config_id.prices_include_tax if told is None else told

    def _may_tell_lines(self):
        dialect = self.marketplace_config_id._dialect()
        return bool(dialect.line_edits) and self._is_told() and self.state != "cancel"

    def _has_lines_to_tell(self):
        return not self._tells_lines_next() and bool(
            self._marketplace_changes() or self._line_steps_waiting()
        )

    def _tells_lines_next(self):
        """Tell whether a step that waits will look at the lines anyway.

        Only one of this very transaction will: any other may be under way by now, unseen.
        """
        now = self.env.cr.now()
        return any(step.create_date == now and not step.tries for step in self._line_steps_waiting())

    def _line_steps_waiting(self):
        """Give the steps by which the marketplace is, or is being, told other figures than it shows."""
        return self.marketplace_step_ids.filtered(lambda step: step.kind == "lines" and step.state == "new")

    def _marketplace_changes(self, planned=None, doubtful=()):
        """Give what the marketplace's lines should become: tuple of LineChange.

        An order whose goods all came back is returned as a whole, not line by line.

        :param doubtful: ids of order lines of which it is not known what the marketplace shows
        """
        if self._is_emptied(planned) and self._are_deliveries_over():
            return ()
        lines = self._marketplace_lines()
        wanted, shown = lines._marketplace_wanted(planned), lines._marketplace_shown()
        changes = (line._marketplace_change(wanted[line], shown[line], line.id in doubtful) for line in lines)
        return tuple(change for change in changes if change)

    def _marketplace_planned(self):
        """Give {order line's id: quantity} of a delivery the marketplace took before its code; else nothing.

        Superuser: sellers see no steps.
        """
        last = self.sudo().marketplace_step_ids.filtered(lambda step: step.kind == "lines")[-1:]
        return last._is_taken() and last.planned

    def _marketplace_lines(self):
        """Give the lines the marketplace shows, or should."""
        return self.order_line.filtered(
            lambda line: line._is_marketplace_goods() and not line._is_ours_alone()
        )

    def _is_emptied(self, planned=None):
        """Tell whether nothing is left that the marketplace could show."""
        return not any(self._marketplace_lines()._marketplace_wanted(planned).values())

    def _told_changes(self):
        """Give the changes the marketplace took and has said nothing newer about, oldest first."""
        steps = self.sudo().marketplace_step_ids.filtered(
            lambda step: step.kind == "lines" and step.changes and step._is_taken()
        )
        return [change for step in steps for change in step.changes if not change.get("over")]


class MarketplaceOrderProcessor(models.AbstractModel):
    """Recognises in the marketplace's messages what we told it of lines."""

    _inherit = "marketplace.order.processor"

    def _update_lines(self, account, sale, order):
        self._adopt_lines(account, sale, order)
        self._close_told_changes(sale, order)
        super()._update_lines(account, sale, order)

    def _adopt_lines(self, account, sale, order):
        """Learn the ids of lines that people added here and we told the marketplace of."""
        told = {change["ref"] for step in sale.marketplace_step_ids for change in step.changes or ()}
        lines = sale.order_line.filtered(lambda line: line.id in told and not line.marketplace_line_id)
        if not lines:
            return
        known = set(sale.order_line.mapped("marketplace_line_id"))
        rows = [row for row in order.lines if row.id not in known]
        goods = self._find_goods(account, rows)
        for row in rows:
            alike = lines.filtered(lambda line, row=row: line.product_id == goods[row].products)
            line = alike.filtered(lambda line, row=row: line.product_uom_qty == float(row.quantity)) or alike
            line[:1].write(
                {
                    "marketplace_line_id": row.id,
                    "marketplace_quantity": float(row.quantity),
                    "marketplace_price": float(row.unit_price),
                }
            )
            lines -= line[:1]

    def _close_told_changes(self, sale, order):
        """Let what the marketplace says now count, where it is not older than what we told it."""
        rows = {row.id: row for row in order.lines}
        ids = {line.id: line.marketplace_line_id for line in sale.order_line}
        for step in sale.marketplace_step_ids.filtered("changes"):
            changes = [
                change | {"over": self._is_told_over(change, rows.get(ids.get(change["ref"], change["id"])))}
                for change in step.changes
            ]
            if (step.state == "done" or step.in_doubt) and changes != step.changes:
                step.changes = changes
        self._recount_removed(sale, rows)

    def _recount_removed(self, sale, rows):
        """Keep what the newest message counts for lines we had taken away: nothing, once it knows."""
        for step in sale.marketplace_step_ids.filtered("removed"):
            amounts = {
                line_id: float(rows[line_id].quantity * rows[line_id].unit_price) if line_id in rows else 0.0
                for line_id in step.removed
            }
            if amounts != step._removed_amounts():
                step.removed = amounts

    def _is_told_over(self, change, row):
        """Tell whether a message shows another figure of a line than it did before we told ours."""
        told = (float(row.quantity), float(row.unit_price)) if row else (0.0, change["before"][1])
        pairs = zip(("product_uom_qty", "price_unit"), told, change["before"], strict=True)
        return bool(change.get("over")) or not all(self._is_same(*pair) for pair in pairs)
