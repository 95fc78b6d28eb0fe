from odoo import _, api, fields, models
from odoo.tools import formatLang

from ..dialects import words
from .marketplace_order_edit import GONE

# What the marketplace says of an order's money, by our field; 0 is news, too.
AMOUNTS = {
    "marketplace_to_collect": "to_collect",
    "marketplace_receivable": "receivable",
    "marketplace_payable": "payable",
    "marketplace_credit": "credit",
    "marketplace_installment": "installment",
    "marketplace_top_up": "top_up",
    "marketplace_discount": "marketplace_discount",
}

# What the figures here follow.
MOVED_BY = (
    *AMOUNTS,
    "state",
    "marketplace_status",
    "order_line.marketplace_quantity",
    "order_line.marketplace_price",
    "picking_ids.state",
    "marketplace_step_ids.state",
    "marketplace_step_ids.changes",
    "marketplace_step_ids.removed",
)


class SaleOrder(models.Model):
    """What an order's three sums are made of, whether they fit its total, and what is to collect now.

    The sums are what the marketplace's last message told. A change of ours that it takes makes no message,
    so what it has taken since is worked out from what was told of the lines.
    """

    _inherit = "sale.order"

    marketplace_credit = fields.Monetary(
        string="Paid by Credit",
        readonly=True,
        copy=False,
        help="The marketplace pays it to us for the customer.",
    )
    marketplace_installment = fields.Monetary(
        string="Paid by Instalments",
        readonly=True,
        copy=False,
        help="The customer pays it to the marketplace later, the marketplace to us.",
    )
    marketplace_top_up = fields.Monetary(
        string="Wallet Top-up",
        readonly=True,
        copy=False,
        help="The customer pays it to us at the door for his wallet, we to the marketplace.",
    )
    marketplace_discount = fields.Monetary(
        string="Marketplace's Discount",
        readonly=True,
        copy=False,
        help="The part of the discounts that the marketplace pays to us.",
    )
    marketplace_money_difference = fields.Monetary(
        string="Not Accounted For",
        compute="_compute_marketplace_money_difference",
        help="Collected + due from the marketplace - due to it - its discount, less the order's total: not 0 "
        "where the total changed here and the marketplace has not taken it yet.",
    )
    marketplace_collect_now = fields.Monetary(
        string="To Collect",
        compute="_compute_marketplace_collect_now",
        help="What the customer pays at the door: what the marketplace told, and what its total changed by "
        "since because it took changes from here. Nothing of an order that is over.",
    )
    marketplace_money_note = fields.Char(
        compute="_compute_marketplace_collect_now",
        help="Why the amounts are not what the marketplace would say today.",
    )
    marketplace_needs_code = fields.Boolean(
        readonly=True,
        copy=False,
        help="The marketplace takes the delivery only with the code the customer has.",
    )
    marketplace_url = fields.Char(string="At the Marketplace", readonly=True, copy=False)

    @api.depends("amount_total", *MOVED_BY)
    def _compute_marketplace_money_difference(self):
        """Compare what was told, and taken since, with the total the marketplace is to show by our lines."""
        for order in self:
            saved, difference = order._origin, 0.0
            change = saved._marketplace_change_taken() if order._has_money_told() else {}
            if order._has_money_told() and not order._is_over() and saved._is_change_exact(change):
                told = order.marketplace_to_collect + order.marketplace_receivable
                told -= order.marketplace_payable + order.marketplace_discount
                ours = order.amount_untaxed if order._is_total_net() else order.amount_total
                difference = told + sum(change.values()) - ours + saved._marketplace_not_delivered()
            order.marketplace_money_difference = order.currency_id.round(difference) if difference else 0.0

    @api.depends(*MOVED_BY)
    def _compute_marketplace_collect_now(self):
        """Let what is to collect follow what the marketplace took from us since its last message.

        It is the amount told plus the difference of the marketplace's totals: credit, instalments and
        top-up do not change with the lines, so that the difference is the customer's, where he pays at the
        door at all; never below 0. Where it is not known nothing is shown: a wrong figure would be asked
        for. A newer message replaces it.
        """
        for order in self:
            now, note = order.marketplace_to_collect, False
            if order._has_money_told():
                now, note = order._collect_after_changes()
            order.marketplace_collect_now, order.marketplace_money_note = now, note

    def _collect_after_changes(self):
        """Give what is to collect now, and why it is not what was told; no reason where it is."""
        if self._is_over():
            return 0.0, _(
                "The order is over: nothing is to be collected. The other amounts are what the marketplace "
                "told before."
            )
        change, told = self._origin._marketplace_change_taken(), self.marketplace_to_collect
        difference = self.currency_id.round(sum(change.values()))
        if not difference:
            return told, False
        known = told > 0 and self._origin._is_change_exact(change)
        now = max(0.0, told + difference) if known else 0.0
        return now, self._describe_change_taken(difference, known)

    def _describe_change_taken(self, difference, known):
        amount = formatLang(self.env, difference, currency_obj=self.currency_id)
        if known:
            return _(
                "The marketplace took changes from here since it told these amounts: its total changed by "
                "%s. To Collect is worked out with it, the other amounts are as they were told.",
                amount,
            )
        return _(
            "The marketplace took changes from here since it told these amounts: its total changed by about "
            "%s. What the customer pays now is to be looked up at the marketplace.",
            amount,
        )

    def _has_money_told(self):
        return bool(self.marketplace_config_id) and any(self[name] for name in AMOUNTS)

    def _is_over(self):
        return self.state == "cancel" or self.marketplace_status in words.GONE

    def _marketplace_change_taken(self):
        """Give by how much the marketplace's lines changed since its last message, as it took it from us.

        Superuser: whoever sees the order may know, without seeing steps.

        :return: {id of the line over there, or of the line here: difference}
        """
        order = self.sudo()
        told = order._told_changes()
        shown = order._marketplace_lines()._marketplace_shown() if told else {}
        changes = {
            line.marketplace_line_id or line.id: line._marketplace_change_taken(*figures)
            for line, figures in shown.items()
        }
        # Of a line that is gone here the marketplace shows what it took, until it takes that it is gone.
        for change in told:
            if change["ref"] == GONE:
                quantity, price = change["before"]
                changes[change["id"]] = change["quantity"] * change["price"] - quantity * price
        for step in order.marketplace_step_ids.filtered(lambda step: step.removed and step._is_taken()):
            changes.update({line_id: -amount for line_id, amount in step._removed_amounts().items()})
        return {name: amount for name, amount in changes.items() if amount}

    def _is_change_exact(self, change):
        """Tell whether a change of lines changes the marketplace's total by just as much.

        Not where it adds taxes that it alone works out, or a discount on the line, which may change along.
        """
        told = self.marketplace_told or {}
        discounts = {f"{name}:discount" for name in change}
        return not change or (
            told.get("prices_include_tax") is not False and not discounts & set(told.get("lines", ()))
        )

    def _marketplace_not_delivered(self):
        """Give what of the total here the marketplace is not to show: what never left, or is not to leave.

        Odoo keeps what was ordered on the line. Superuser: sellers need not see moves.
        """
        order, planned = self.sudo(), self._marketplace_planned()
        if order._is_emptied(planned):
            return 0.0
        return sum(
            (line.product_uom_qty - quantity) * line._marketplace_price()
            for line, quantity in order._marketplace_lines()._marketplace_wanted(planned).items()
        )

    def _is_total_net(self):
        """Tell whether the marketplace's total is without tax: it says nothing of tax, the account says so.

        Superuser: sellers see no accounts.
        """
        told = (self.marketplace_told or {}).get("prices_include_tax")
        return told is None and not self.sudo().marketplace_config_id.prices_include_tax

    def _prepare_invoice(self):
        """Have the invoice name the marketplace's order, whatever became of the customer's reference."""
        values = super()._prepare_invoice()
        number = self.marketplace_order_number or self.cartona_id
        if self.marketplace_config_id and number and number not in (values.get("ref") or ""):
            values["ref"] = f"{values['ref']} ({number})" if values.get("ref") else number
        return values


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    def _marketplace_change_taken(self, quantity, price):
        """Give by how much the marketplace changed the line's amount since its last message.

        :param quantity: what it shows, and at which price
        """
        is_same = self.env["marketplace.order.processor"]._is_same
        # Odoo's price is the marketplace's only at its own accuracy: where nobody changed it, theirs counts.
        if is_same("price_unit", price, self.marketplace_price):
            price = self.marketplace_price
        return quantity * price - self.marketplace_quantity * self.marketplace_price


class MarketplaceOrderProcessor(models.AbstractModel):
    _inherit = "marketplace.order.processor"

    def _prepare_header(self, account, order):
        return {**super()._prepare_header(account, order), **self._prepare_money(order)}

    def _prepare_header_news(self, sale, order):
        """Take what became 0 or no, too; what a message does not tell stays."""
        told = {name: value for name, value in self._prepare_money(order).items() if value is not None}
        return {**super()._prepare_header_news(sale, order), **told}

    def _prepare_money(self, order):
        values = {name: getattr(order, told) for name, told in AMOUNTS.items()}
        return values | {"marketplace_needs_code": order.needs_code, "marketplace_url": order.url}
