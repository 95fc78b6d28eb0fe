from decimal import Decimal
from typing import NamedTuple

from odoo import _, fields, models

from ..compat import SOL_TAXES, SOL_UOM
from ..dialects import words
from ..exceptions import Hold


class Row(NamedTuple):
    """One order line to be: goods, or with a ``name`` an amount (a discount of ``line``, or a charge)."""

    id: str
    quantity: Decimal
    price: Decimal
    line: words.OrderLine | None = None
    name: str | None = None
    charge: words.Charge | None = None


class MarketplaceOrderProcessor(models.AbstractModel):
    """Writes the lines of sale orders: goods, discounts and charges, each by an id of its own."""

    _inherit = "marketplace.order.processor"

    def _rows(self, order):
        """List the order's lines to be, each with an id of its own.

        A discount is a line of its own: a percentage could not express every amount to the cent.
        """
        rows = []
        for line in order.lines:
            rows.append(Row(line.id, line.quantity, line.unit_price, line))
            if line.discount:
                name = _("Discount: %s", line.name or line.key or line.id)
                rows.append(Row(f"{line.id}:discount", Decimal(1), -line.discount, line, name))
        for number, charge in enumerate(order.charges):
            name = charge.name or charge.kind
            rows.append(Row(f"{charge.kind}:{number}", Decimal(1), charge.amount, name=name, charge=charge))
        if len({row.id for row in rows}) != len(rows):
            raise Hold(
                _("Two lines of the order have the same id."),
                _("Ask the marketplace to correct the order, then process the message again."),
            )
        return rows

    def _prepare_lines(self, account, order, position, rows, goods, memo, usual=()):
        """Give the values of order lines.

        :param dict memo: remembers the taxes of one run
        :param usual: the taxes of each line the order has already
        """
        lines, usual = [], list(usual)
        for row in rows:
            if row.line:
                product = goods[row.line].products
                taxes = self._taxes(account, order, position, row.line, product, memo)
                usual.append(taxes)
            else:
                taxes = self._charge_taxes(account, order, position, row.charge, usual, memo)
            lines.append({**self._prepare_row(row, goods), SOL_TAXES: [fields.Command.set(taxes.ids)]})
        return lines

    def _prepare_row(self, row, goods):
        values = {
            "product_uom_qty": float(row.quantity),
            "price_unit": float(row.price),
            "discount": 0,
            "marketplace_line_id": row.id,
            "marketplace_quantity": float(row.quantity),
            "marketplace_price": float(row.price),
        }
        if row.name:
            charge = self._charge_product()
            return {**values, "product_id": charge.id, SOL_UOM: charge.uom_id.id, "name": row.name}
        found = goods[row.line]
        return {
            **values,
            "product_id": found.products.id,
            SOL_UOM: (found.pack or found.products.uom_id).id,
            **({"name": found.name} if found.name else {}),
            "marketplace_goods": self._told_goods(row.line),
            "marketplace_unit": row.line.unit,
            "marketplace_unit_count": float(row.line.unit_count or 0),
        }

    def _told_goods(self, line):
        return {"key": line.key, "product_id": line.product_id}

    def _charge_product(self):
        """Give the product of lines that are an amount, not goods.

        Asked for each line: ``env.ref`` would look each time whether it is there.
        """
        charge = self.env["ir.model.data"]._xmlid_to_res_id(
            "cartona_integration.product_charge", raise_if_not_found=True
        )
        return self.env["product.product"].browse(charge)
