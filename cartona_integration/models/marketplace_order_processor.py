from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from odoo import _, api, fields, models
from odoo.tools import float_round

from ..compat import SOL_TAXES, SOL_UOM
from ..dialects import words
from ..exceptions import Hold, Holds

# Nobody is told and nothing is tracked while a machine writes the order; people see the marketplace's page.
QUIET = {
    "tracking_disable": True,
    "mail_create_nosubscribe": True,
    "mail_create_nolog": True,
    "mail_notrack": True,
}
UNDERWAY = (words.PARTIALLY_SHIPPED, words.SHIPPED, words.DELIVERED)
# The goods have left the warehouse.
LEFT = (words.SHIPPED, words.DELIVERED)
ROUNDING = "rounding"
# How a line without the seller's key is called: by the listing's id, by its barcode, by nothing at all.
BY_ID, BY_BARCODE, NAMELESS = "id:", "barcode:", "?"
# Decimals worth comparing where Odoo stores a figure as it comes.
UNROUNDED = 8
# Unit prices come as binary fractions (33.333333): their sum is the marketplace's total only to the cent.
HALF_A_CENT = Decimal("0.005")


class Row(NamedTuple):
    """One order line to be: goods, or with a ``name`` an amount (a discount of ``line``, or a charge)."""

    id: str
    quantity: Decimal
    price: Decimal
    line: words.OrderLine | None = None
    name: str | None = None
    charge: words.Charge | None = None


class Goods(NamedTuple):
    """What a line is about: the products its ``key`` names, by listings or by themselves.

    ``key``: see :meth:`MarketplaceOrderProcessor._goods_key`
    """

    key: str
    products: models.Model
    links: models.Model
    name: str | None = None  # of what stands in for an unknown product

    @property
    def pack(self):
        """The unit the listings sell in; none: the product's own."""
        return self.links.pack_uom_id

    @property
    def is_clear(self):
        """One product in one unit; else a person decides."""
        return len(self.products) == 1 and len({link.pack_uom_id for link in self.links}) <= 1


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
        self._note_unread(plans, sales)
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
        """Find the plans' fiscal positions; most companies have none, and none are looked for then."""
        positions, found = self.env["account.fiscal.position"], {}
        domain = [("company_id", "in", (False, *self.env.company.parent_ids.ids))]
        are_any = bool(positions.search_count(domain, limit=1))
        for plan in plans:
            pair = (plan.partner, plan.delivery)
            if pair not in found:
                found[pair] = positions._get_fiscal_position(*pair) if are_any else positions
            plan.position = found[pair]

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

    def _note_unread(self, plans, sales):
        """Say on new orders what of them could not be read, and did not matter enough to wait for."""
        for plan, sale in zip(plans, sales, strict=True):
            lines = [self._unread_line(error) for error in plan.order.unread]
            if lines:
                sale._message_log(body=Markup("<br/>").join([_("Not readable, left out:"), *lines]))

    def _unread_line(self, error):
        return _(
            "%(path)s: %(expected)s expected, found %(found)s",
            path=error.path,
            expected=error.expected,
            found=error.found,
        )

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
            "marketplace_note": order.note,
            "marketplace_told": self._told(order),
        }

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
        }

    def _prepare_status(self, value, reason):
        """Give a status' values; one without a time leaves the time of what is known."""
        at = {"marketplace_modified_at": self._naive(value.modified_at)} if value.modified_at else {}
        return {"marketplace_reported_status": value.status, "marketplace_cancel_reason": reason, **at}

    # -- lines --------------------------------------------------------------------------------

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
            "marketplace_unit": row.line.unit,
            "marketplace_unit_count": float(row.line.unit_count or 0),
        }

    def _charge_product(self):
        """Give the product of lines that are an amount, not goods."""
        return self.env.ref("cartona_integration.product_charge")

    # -- money --------------------------------------------------------------------------------

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
        total = sum((line.amount for line in order.lines), Decimal(0))
        total += sum((charge.amount for charge in order.charges), Decimal(0))
        if order.prices_include_tax is False:
            total += sum((taxed.tax for taxed in (*order.lines, *order.charges)), Decimal(0))
        if abs(total - order.total) >= HALF_A_CENT + Decimal(str(account.total_tolerance)):
            self._hold_for_total(order, total)

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
            self._hold_for_total(order, found)
        return difference

    def _decimals(self, name):
        """Give the decimals a figure of an order line is stored with; 19 keeps prices as they come."""
        digits = self.env["sale.order.line"]._fields[name].get_digits(self.env)
        return digits[1] if digits else UNROUNDED

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

    def _prepare_rounding(self, amount):
        row = self._prepare_row(Row(ROUNDING, Decimal(1), Decimal(0), name=_("Rounding")), {})
        return {**row, "price_unit": amount, SOL_TAXES: [fields.Command.clear()]}

    def _hold_for_total(self, order, found):
        raise Hold(
            _(
                "The marketplace's total is %(theirs)s, the lines add up to %(ours)s.",
                theirs=order.total,
                ours=found,
            ),
            _("Check the account's tax settings and the products' taxes, then process the message again."),
            [("total", order.id)],
        )

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

    # -- products -------------- ---------------------------------------------------------------

    def _choose_goods(self, account, order, rows, goods):
        """Pick the rows' products out of what was found.

        Nobody has to know the products of an order that is over: it is made only to be known itself.

        :param dict goods: what :meth:`_find_goods` gave
        :return: {line: :class:`Goods`}
        :raise Hold: one is unknown or ambiguous; the order is imported whole or not at all
        """
        chosen = {row.line: goods[row.line] for row in rows if row.line}
        is_gone = order.status in words.GONE
        if is_gone or account.unknown_product_policy == "placeholder":
            stand_in = account._placeholder()
            for line, found in chosen.items():
                if not found.products or (is_gone and not found.is_clear):
                    name = line.name or _("Unknown product")
                    name = f"[{found.key}] {name}"
                    chosen[line] = Goods(found.key, stand_in, found.links.browse(), name)
        bad = {line: found for line, found in chosen.items() if not found.is_clear}
        if bad:
            self._hold_for_products(bad)
        return chosen

    @api.model
    def _find_goods(self, account, lines):
        """Find what lines are about: by the listing's id, then its key, then the product's. Never by name.

        A line without id and key is looked up by the product's barcode. What the platform calls a listing
        is never taken for the seller's key: both may well be numbers.

        :return: {line: :class:`Goods`}
        """
        links, products = self.env["marketplace.product.link"], self.env["product.product"]
        keys = {line.key for line in lines if line.key}
        barcodes = {line.barcode for line in lines if not (line.key or line.product_id)}
        by_id = links._find_linked(account, "external_id", {line.product_id for line in lines})
        by_key = links._find_linked(account, "key", keys)
        found = products._find_of_account(account, "cartona_id", keys)
        by_barcode = products._find_of_account(account, "barcode", barcodes - {None})
        goods = {}
        for line in lines:
            link = by_id[line.product_id] or by_key[line.key]
            named = found[line.key] if line.key or line.product_id else by_barcode[line.barcode]
            goods[line] = Goods(self._goods_key(line), link.product_id or named, link)
        return goods

    @api.model
    def _goods_key(self, line):
        """Write what a line names its goods by: the seller's key, ``id:<listing>`` or ``barcode:<code>``."""
        if line.key or line.product_id:
            return line.key or f"{BY_ID}{line.product_id}"
        return f"{BY_BARCODE}{line.barcode}" if line.barcode else NAMELESS

    @api.model
    def _line_of(self, key, external_id):
        """Give a line that names its goods as a held one did.

        :param str key: as :meth:`_goods_key` wrote it
        :param external_id: the listing's id the line told beside it, or a false value
        """
        nothing = {"id": key, "quantity": Decimal(0), "unit_price": Decimal(0)}
        if key == f"{BY_ID}{external_id}":
            return words.OrderLine(**nothing, product_id=external_id)
        if key.startswith(BY_BARCODE):
            return words.OrderLine(**nothing, barcode=key.removeprefix(BY_BARCODE))
        named = {} if key == NAMELESS else {"key": key}
        return words.OrderLine(**nothing, **named, product_id=external_id or None)

    @api.model
    def _wanted_quantities(self, account, order):
        """Give {product id as text: quantity in its unit} of an order that is not here, for what is known.

        An order that is here keeps its goods back itself; one that is over wants nothing.
        """
        over = (*words.GONE, words.SHIPPED, words.DELIVERED)
        if order.status in over or self.env["sale.order"]._find_marketplace_order(account, order.id):
            return {}
        wanted = defaultdict(float)
        goods = self._find_goods(account, order.lines)
        for line in order.lines:
            found = goods[line]
            if found.is_clear:
                unit = found.pack or found.products.uom_id
                quantity = unit._compute_quantity(float(line.quantity), found.products.uom_id, round=False)
                wanted[str(found.products.id)] += quantity
        return dict(wanted)

    def _hold_for_products(self, bad):
        """Hold until all lines name one product in one unit.

        :param dict bad: {line: :class:`Goods`}
        """
        names = list(dict.fromkeys(found.key for found in bad.values()))
        ambiguous = list(dict.fromkeys(found.key for found in bad.values() if found.products))
        if ambiguous:
            reason = _("Several products or packs have the key: %s", ", ".join(ambiguous))
        else:
            reason = _("Unknown product: %s", ", ".join(names))
        remedy = _("Give exactly one product this marketplace key; the order is then imported by itself.")
        if all(name.startswith(BY_ID) for name in names):
            remedy = _("Link the listing to a product; the order is then imported by itself.")
        elif all(name.startswith(BY_BARCODE) for name in names):
            remedy = _("Give exactly one product this barcode; the order is then imported by itself.")
        told = dict.fromkeys((found.key, line.product_id) for line, found in bad.items())
        raise Hold(reason, remedy, [("product", *pair) for pair in told])
