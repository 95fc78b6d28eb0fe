from dataclasses import asdict, dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from markupsafe import Markup

from odoo import _, api, fields, models

from ..dialects import words
from ..exceptions import Hold, Holds

# Nobody is told and nothing is tracked while a machine writes the order; people see the marketplace's page.
QUIET = {
    "tracking_disable": True,
    "mail_create_nosubscribe": True,
    "mail_create_nolog": True,
    "mail_notrack": True,
}
# Context: orders that are confirmed keep their dates.
DATED = "marketplace_dated"
UNDERWAY = (words.PARTIALLY_SHIPPED, words.SHIPPED, words.DELIVERED)
# The goods have left the warehouse.
LEFT = (words.SHIPPED, words.DELIVERED)


@dataclass
class Plan:
    """An order on its way to become a sale order: what was found out for it so far."""

    order: words.Order
    rows: list
    goods: dict
    pricelist: models.Model
    partner: models.Model | None = None
    delivery: models.Model | None = None
    position: models.Model | None = None


class MarketplaceOrderProcessor(models.AbstractModel):
    """Makes sale orders of :class:`~..dialects.words.Order` values, and carries later changes into them."""

    _name = "marketplace.order.processor"
    _description = "Marketplace Order Processor"

    @api.model
    def _import(self, account, order, chosen=None):
        """Bring the account's sale order to what the marketplace says.

        :param account: one ``marketplace.config``
        :param Order order: newer than what is known of it
        :param dict chosen: {order id: the contact a person chose as its customer}
        :return: the sale order
        :raise Hold: a person, or a later message, is needed; nothing is changed
        """
        sale = self.env["sale.order"]._find_marketplace_order(account, order.id)
        if sale:
            self._update(account, sale, order)
            return sale
        try:
            return self._create_all(account, [order], chosen)[order.id]
        except Holds as holds:
            raise holds.by_order[order.id] from None

    @api.model
    def _change_status(self, account, change):
        """Carry a status that came without its order.

        :param StatusChange change: newer than what is known
        :raise Hold: the order is not here yet, or its stage forbids it
        """
        sale = self.env["sale.order"]._find_marketplace_order(account, change.id)
        if not sale:
            raise Hold(
                _("The order of this status is not here yet."),
                _("Nothing to do: the status is applied when the order arrives."),
                [("order", change.id)],
            )
        self._check_not_reopened(sale, change.status)
        self._take_status(sale, change.status, self._prepare_status(change, change.reason))
        return sale

    # -- a new order --------------------------------------------------------------------------

    @api.model
    def _create_all(self, account, orders, chosen=None):
        """Make sale orders, all in one go: one search and one insert per table.

        :param orders: orders that are not here
        :param dict chosen: {order id: the contact a person chose as its customer}
        :return: {order id: sale order}
        :raise Holds: some cannot be imported; whatever was made must be rolled back
        """
        plans = self._plan(account, orders, chosen or {})
        self._create_partners(account, plans)
        self._find_positions(plans)
        memo = {}
        values = [self._prepare_order(account, plan, memo) for plan in plans]
        sales = self.env["sale.order"].with_context(**QUIET).create(values)
        self._settle_totals(account, plans, sales)
        self._note_unread(account, plans, sales)
        self._note_taxes(account, plans, sales)
        self._set_first_stages(account, plans, sales)
        return {plan.order.id: sale for plan, sale in zip(plans, sales, strict=True)}

    def _plan(self, account, orders, chosen):
        """Find out all that is needed, before anything is made.

        :raise Holds: something is missing for some of them
        """
        holds, plans = Holds(), []
        goods = self._find_goods(account, [line for order in orders for line in order.lines])
        pricelists = self._find_pricelists(account, orders)
        for order in orders:
            with holds.of(order):
                plans.append(self._plan_order(account, order, goods, pricelists))
        self._find_customers(account, plans, chosen, holds)
        holds.check()
        return plans

    def _plan_order(self, account, order, goods, pricelists):
        account._check_addressee(order)
        if order.status == words.HELD:
            raise Hold(
                _("The customer is still editing the order."),
                _("Nothing to do: it is imported when the customer has finished."),
                [("later", order.id)],
            )
        self._check_wanted(account, order)
        if order.status not in words.GONE:
            self._check_total(account, order)
        rows = [row for row in self._rows(order) if row.quantity]
        pricelist = pricelists.get(order.currency)
        if pricelist is None:
            self._hold_for_currency(order.currency or account.currency_id.name)
        goods = self._choose_goods(account, order, rows, goods)
        if order.status not in words.GONE:
            self._check_taxes(account, goods)
        return Plan(order, rows, goods, pricelist)

    def _find_positions(self, plans):
        """Find the plans' fiscal positions; most companies have none, and none are looked for then.

        Superuser: the acting user of a branch does not see its parent company.
        """
        positions, found = self.env["account.fiscal.position"], {}
        domain = [("company_id", "in", (False, *self.env.company.sudo().parent_ids.ids))]
        are_any = bool(positions.search_count(domain, limit=1))
        for plan in plans:
            pair = (plan.partner, plan.delivery)
            if pair not in found:
                found[pair] = positions._get_fiscal_position(*pair) if are_any else positions
            plan.position = found[pair]

    def _note_unread(self, account, plans, sales):
        """Say on new orders what of them could not be read, and did not matter enough to wait for."""
        for plan, sale in zip(plans, sales, strict=True):
            lines = [account._describe(error) for error in plan.order.unread]
            if lines:
                sale._message_log(body=Markup("<br/>").join([_("Not readable, left out:"), *lines]))

    def _set_first_stages(self, account, plans, sales):
        """Bring new orders to the stage they already have over there, or to the account's policy's."""
        gone = underway = self.env["sale.order"]
        for plan, sale in zip(plans, sales, strict=True):
            if plan.order.status in words.GONE:
                gone |= sale
            elif plan.order.status in UNDERWAY:
                underway |= sale
        for sale in gone:
            self._cancel(sale)
        self._confirm(sales - gone if account.order_policy == "confirm" else underway)
        if account.shipped_policy == "deliver":
            self._deliver(underway.filtered(lambda sale: sale.marketplace_reported_status in LEFT))

    def _prepare_order(self, account, plan, memo):
        order = plan.order
        lines = self._prepare_lines(account, order, plan.position, plan.rows, plan.goods, memo)
        return {
            "marketplace_config_id": account.id,
            "cartona_id": order.id,
            "company_id": account.company_id.id,
            "warehouse_id": account.warehouse_id.id,
            "pricelist_id": plan.pricelist.id,
            "partner_id": plan.partner.id,
            "partner_shipping_id": plan.delivery.id,
            "fiscal_position_id": plan.position.id,
            "user_id": account.salesperson_id.id,
            "date_order": self._naive(order.placed_at) or fields.Datetime.now(),
            "order_line": [fields.Command.create(line) for line in lines],
            "marketplace_seen_shipped": order.status in LEFT,
            **({"team_id": account.team_id.id} if account.team_id else {}),
            **self._prepare_header(account, order),
            **self._prepare_status(order, order.cancel_reason),
        }

    def _prepare_header(self, account, order):
        """Give what follows the marketplace at every message, untouched by stages."""
        return {
            "marketplace_order_number": order.number,
            "client_order_ref": order.number,
            "commitment_date": self._noon(account, order.delivery_date),
            "delivered_by": order.delivered_by,
            "marketplace_payment_method": order.payment_method,
            "marketplace_delivery_otp": order.delivery_otp,
            "marketplace_to_collect": order.to_collect,
            "marketplace_receivable": order.receivable,
            "marketplace_payable": order.payable,
            "marketplace_note": self._note(order),
            "marketplace_told": self._told(order),
        }

    def _note(self, order):
        """Give what the customer wrote, on the order and on its lines."""
        lines = [f"{line.name or line.key or line.id}: {line.note}" for line in order.lines if line.note]
        return "\n".join(filter(None, (order.note, *lines))) or None

    def _noon(self, account, day):
        """Give a day as a time: its noon at the marketplace. Midnight UTC is the day before in America."""
        zone = ZoneInfo(account.time_zone or "UTC")
        return day and self._naive(datetime.combine(day, time(12), zone))

    def _told(self, order):
        """Give what the marketplace says of what people may change, as JSON keeps it."""
        return {
            "client_order_ref": order.number,
            "commitment_date": order.delivery_date and order.delivery_date.isoformat(),
            "marketplace_delivery_otp": order.delivery_otp,
            "lines": [row.id for row in self._rows(order) if row.quantity],
            "address": order.shipping and asdict(order.shipping),
            "customer": order.customer.id or order.customer.company or order.customer.name,
            "prices_include_tax": order.prices_include_tax,
        }

    def _prepare_status(self, value, reason):
        """Give a status' values; one without a time leaves the time of what is known."""
        at = {"marketplace_modified_at": self._naive(value.modified_at)} if value.modified_at else {}
        return {"marketplace_reported_status": value.status, "marketplace_cancel_reason": reason, **at}

    # -- currency -----------------------------------------------------------------------------

    def _find_pricelists(self, account, orders):
        """Give {currency of a message: pricelist that makes an order be in it}; inactive ones are missing."""
        wanted = {order.currency: order.currency or account.currency_id.name for order in orders}
        found = self.env["res.currency"].search([("name", "in", list(wanted.values()))])
        by_code = {currency.name: currency for currency in found}
        return {
            told: account._pricelist_in(by_code[code]) for told, code in wanted.items() if code in by_code
        }

    def _hold_for_currency(self, code):
        """Hold: the currency is unknown or not active; the company's is never taken silently."""
        raise Hold(
            _("The order's currency %s is not active.", code),
            _("Activate the currency; the order is then imported by itself."),
            [("currency", code)],
        )
