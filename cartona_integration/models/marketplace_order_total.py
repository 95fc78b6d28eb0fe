from decimal import Decimal

from odoo import _, fields, models
from odoo.tools import float_compare, float_round

from ..compat import SOL_TAXES
from ..dialects import words
from ..exceptions import Hold, Holds
from .figures import exact
from .marketplace_order_lines import Row
from .marketplace_order_processor import QUIET

# The id of the line that makes up for cents.
ROUNDING = "rounding"
# Decimals worth comparing where Odoo stores a figure as it comes.
UNROUNDED = 8
# Unit prices come as binary fractions (33.333333): their sum is the marketplace's total only to the cent.
HALF_A_CENT = Decimal("0.005")


class MarketplaceOrderProcessor(models.AbstractModel):
    """Makes the total of sale orders the marketplace's, to the cent."""

    _inherit = "marketplace.order.processor"

    def _check_total(self, account, order):
        """Compare the marketplace's own figures with each other.

        :raise Hold: they differ by more than the account tolerates: nobody can say what the customer owes
        """
        if any(line.unit_price < 0 or line.quantity < 0 for line in order.lines):
            raise Hold(
                _("A line has a negative price or quantity."),
                _("Ask the marketplace to correct the order, then process the message again."),
                [("total", order.id)],
            )
        self._check_accuracy(order)
        total = sum((line.amount for line in order.lines), Decimal(0))
        total += sum((charge.amount for charge in order.charges), Decimal(0))
        if order.prices_include_tax is False:
            total += sum((taxed.tax for taxed in (*order.lines, *order.charges)), Decimal(0))
        if abs(total - order.total) >= HALF_A_CENT + Decimal(str(account.total_tolerance)):
            self._hold_for_total(
                order,
                total,
                _(
                    "Ask the marketplace to correct the order, or let the account tolerate a larger "
                    "difference of totals; the order is then imported by itself."
                ),
            )

    def _check_accuracy(self, order):
        """Refuse a quantity that Odoo would round: other goods would leave than were sold.

        :raise Hold: the setting has too few decimals
        """
        digits = self._decimals("product_uom_qty")
        for line in order.lines:
            if float_compare(float(line.quantity), float_round(float(line.quantity), digits), UNROUNDED):
                raise Hold(
                    _(
                        "%(line)s: quantities have %(digits)d decimals here, %(quantity)s has more.",
                        line=line.name or line.key or line.id,
                        digits=digits,
                        quantity=line.quantity,
                    ),
                    _(
                        "Raise the decimal accuracy of quantities in Odoo's technical settings, then process "
                        "the message again."
                    ),
                    [("total", order.id)],
                )

    def _settle_totals(self, account, plans, sales):
        """Make the totals of new orders the marketplace's, with one insert for all rounding lines.

        :raise Holds: some differ by more than the account allows
        """
        holds, lines = Holds(), []
        for plan, sale in zip(plans, sales, strict=True):
            with holds.of(plan.order):
                if amount := self._missing_amount(account, sale, plan.order):
                    lines.append({"order_id": sale.id, **self._prepare_rounding(amount)})
        holds.check()
        if lines:
            self.env["sale.order.line"].with_context(**QUIET).create(lines)

    def _settle_total(self, account, sale, order):
        """Make the total of an order that is here the marketplace's.

        The line that makes up for cents is revived where a confirmed order kept it at quantity 0.
        """
        amount = self._missing_amount(account, sale, order)
        line = sale.order_line.filtered(lambda line: line.marketplace_line_id == ROUNDING)
        if amount and line:
            line.write({"product_uom_qty": 1, "price_unit": amount})
        elif amount:
            sale.order_line = [fields.Command.create(self._prepare_rounding(amount))]

    def _missing_amount(self, account, sale, order):
        """Give what a rounding line has to add to make Odoo's total the marketplace's; mostly 0.

        That is what Odoo's price accuracy cannot express, and what the account tolerates.
        Lines people added do not count. A marketplace that says nothing of tax and whose prices are without
        it gives a total without it.

        :raise Hold: it is more, and the order is not over
        """
        is_net = order.prices_include_tax is None and not account.prices_include_tax
        digits = self._decimals("price_unit")
        lost = sum(
            abs(line.quantity)
            * abs(line.unit_price - Decimal(str(float_round(float(line.unit_price), digits))))
            for line in order.lines
        )
        taxed = len(sale.order_line.filtered(SOL_TAXES)) if order.prices_include_tax is False else 0
        allowed = float(lost) + (taxed + bool(lost)) * sale.currency_id.rounding
        added = sale.order_line.filtered(lambda line: not line.marketplace_line_id)
        total, part = ("amount_untaxed", "price_subtotal") if is_net else ("amount_total", "price_total")
        found = sale.currency_id.round(sale[total] - sum(added.mapped(part)))
        difference = sale.currency_id.round(float(order.total) - found)
        is_off = abs(difference) > max(allowed, account.total_tolerance) + sale.currency_id.rounding / 2
        if is_off and order.status not in words.GONE:
            self._hold_for_total(
                order,
                found,
                _(
                    "Check the account's tax settings and the products' taxes, then process the message "
                    "again."
                ),
            )
        return difference

    def _decimals(self, name):
        """Give the decimals a figure of an order line is stored with; 19 keeps prices as they come."""
        digits = self.env["sale.order.line"]._fields[name].get_digits(self.env)
        return digits[1] if digits else UNROUNDED

    def _prepare_rounding(self, amount):
        row = self._prepare_row(Row(ROUNDING, Decimal(1), Decimal(0), name=_("Rounding")), {})
        return {**row, "price_unit": amount, SOL_TAXES: [fields.Command.clear()]}

    def _hold_for_total(self, order, found, remedy):
        raise Hold(
            _(
                "The marketplace's total is %(theirs)s, the lines add up to %(ours)s.",
                theirs=order.total,
                ours=exact(found),
            ),
            remedy,
            [("total", order.id)],
        )
