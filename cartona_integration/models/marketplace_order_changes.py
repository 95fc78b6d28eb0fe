from contextlib import contextmanager

from markupsafe import Markup

from odoo import _, fields, models
from odoo.tools import float_compare

from ..dialects import base
from ..exceptions import Hold
from .marketplace_order_processor import QUIET, ROUNDING, UNDERWAY


class MarketplaceOrderProcessor(models.AbstractModel):
    """Carries what happens to an order at the marketplace after its import into the sale order."""

    _inherit = "marketplace.order.processor"

    def _update(self, account, sale, order):
        values = self._prepare_status(order, order.cancel_reason)
        if order.status not in (base.HELD, *base.GONE) and sale.state != "cancel":
            self._check_total(order)
            self._update_lines(account, sale, order)
            values |= {name: value for name, value in self._prepare_header(order).items() if value}
        self._write_news(sale, values)
        self._follow_status(sale, order.status)

    def _write_news(self, sale, values):
        """Write what differs: a message that tells nothing new leaves no trace, not even a write date."""

        def stored(name, value):
            return sale._fields[name].convert_to_cache(value, sale)

        news = {
            name: value for name, value in values.items() if stored(name, value) != stored(name, sale[name])
        }
        if news:
            sale.with_context(**QUIET).write(news)

    def _follow_status(self, sale, status):
        """Bring the order to the stage a later status asks for, by Odoo's own actions.

        The status is written already: what is known to the marketplace is not told to it again.
        """
        if status in base.GONE:
            self._cancel(sale)
        elif status == base.CONFIRMED or status in UNDERWAY:
            self._confirm(sale)
        sale.marketplace_step_ids._follow_marketplace()

    def _confirm(self, sale):
        """Confirm; the customer does not become a follower, and the order keeps its own date."""
        if sale.state not in ("draft", "sent"):
            return
        placed_at, partner = sale.date_order, sale.partner_id
        sale.with_context(**QUIET).action_confirm()
        sale.date_order = placed_at
        if partner in sale.message_partner_ids:
            sale.message_unsubscribe(partner.ids)

    def _cancel(self, sale):
        """Cancel; goods that have left need a person.

        :raise Hold: something is delivered
        """
        if sale.state == "cancel":
            return
        if any(line.qty_delivered for line in sale.order_line):
            raise Hold(
                _("The marketplace cancelled the order, but goods are already delivered."),
                _("Take the goods back with a return on the delivery, then ignore this message."),
            )
        with self._unlocked(sale):
            # Bare, action_cancel returns a wizard on a confirmed order.
            sale.with_context(disable_cancel_warning=True, **QUIET).action_cancel()

    def _update_lines(self, account, sale, order):
        """Carry changed, new and removed lines into the order, each by the marketplace's line id.

        What people added in Odoo has no such id and stays.
        """
        known = {
            line.marketplace_line_id: line
            for line in sale.order_line
            if line.marketplace_line_id and line.marketplace_line_id != ROUNDING
        }
        rows = {row.id: row for row in self._rows(order)}
        new = [row for row_id, row in rows.items() if row_id not in known and row.quantity]
        products = self._resolve_products(account, new)
        commands = [
            fields.Command.create(values)
            for values in self._prepare_lines(account, order, sale.fiscal_position_id, new, products)
        ]
        notes = [
            _("%(name)s: new, %(quantity)s", name=self._row_name(row), quantity=row.quantity) for row in new
        ]
        for row_id, line in known.items():
            if changed := self._line_changes(line, rows.get(row_id)):
                # A confirmed order has to keep its lines, Odoo says.
                gone = row_id not in rows and sale.state in ("draft", "sent")
                commands.append(
                    fields.Command.delete(line.id) if gone else fields.Command.update(line.id, changed)
                )
                notes.append(self._describe_changes(line, changed))
        if commands:
            self._write_lines(account, sale, order, commands, notes)

    def _row_name(self, row):
        return row.name or row.line.name or row.line.key

    def _line_changes(self, line, row):
        """Give the values to write when quantity or price differ; a row that is gone is quantity 0.

        The product never changes: a line keeps its product for life. The price is always written along:
        Odoo computes it anew from the pricelist when the quantity changes.

        :raise Hold: less is wanted than is delivered
        """
        wanted = {"product_uom_qty": 0.0, "price_unit": line.price_unit, "discount": 0.0}
        if row:
            wanted |= {"product_uom_qty": float(row.quantity), "price_unit": float(row.price)}
        if wanted["product_uom_qty"] < line.qty_delivered:
            raise Hold(
                _(
                    "%s: more is delivered than the changed order wants.",
                    line.product_id.display_name,
                ),
                _("Take the goods back with a return on the delivery, then process the message again."),
            )
        return wanted if self._differing(line, wanted) else {}

    def _differing(self, line, wanted):
        """Give the names of the figures that differ at the accuracy Odoo stores them with."""
        return [
            name
            for name in ("product_uom_qty", "price_unit", "discount")
            if float_compare(line[name], wanted[name], precision_digits=self._decimals(name))
        ]

    def _describe_changes(self, line, changed):
        """Say one line's changes in words, with the figures before them."""
        labels = {
            "product_uom_qty": _("quantity"),
            "price_unit": _("price"),
            "discount": _("discount %"),
        }
        figures = ", ".join(
            f"{labels[name]} {line[name]:g} → {changed[name]:g}" for name in self._differing(line, changed)
        )
        return f"{line.name}: {figures}"

    def _write_lines(self, account, sale, order, commands, notes):
        rounding = sale.order_line.filtered(lambda line: line.marketplace_line_id == ROUNDING)
        with self._unlocked(sale):
            rounding.write({"product_uom_qty": 0})
            sale.with_context(**QUIET).write({"order_line": commands})
            self._settle_total(account, sale, order)
        items = Markup().join(Markup("<li>%s</li>") % note for note in notes)
        intro = _("The marketplace changed the order:")
        sale._message_log(body=Markup("<p>%s</p><ul>%s</ul>") % (intro, items))

    @contextmanager
    def _unlocked(self, sale):
        """Open an order the setting 'Lock Confirmed Sales' has closed, and close it again."""
        locked = sale.locked
        if locked:
            sale.action_unlock()
        yield
        if locked:
            sale.action_lock()
