from collections import defaultdict
from datetime import timezone
from decimal import Decimal
from typing import NamedTuple

from odoo import _, api, fields, models
from odoo.tools import float_round

from ..compat import SOL_TAXES, SOL_UOM, TAX_EXCLUDED, TAX_INCLUDED
from ..dialects import base
from ..exceptions import Hold

# Nobody is told and nothing is tracked while a machine writes the order; people see the marketplace's page.
QUIET = {"tracking_disable": True, "mail_create_nosubscribe": True, "mail_create_nolog": True}
UNDERWAY = (base.PARTIALLY_SHIPPED, base.SHIPPED, base.DELIVERED)
ROUNDING = "rounding"
# Decimals worth comparing where Odoo stores a figure as it comes.
UNROUNDED = 8
# Unit prices come as binary fractions (33.333333): their sum is the marketplace's total only to the cent.
HALF_A_CENT = Decimal("0.005")


class Row(NamedTuple):
    """One order line to be: goods, or with a ``name`` an amount (a discount of ``line``, or a charge)."""

    id: str
    quantity: Decimal
    price: Decimal
    line: base.OrderLine | None = None
    name: str | None = None


class Goods(NamedTuple):
    """What a line is about: the products its ``key`` names, by listings or by themselves."""

    key: str
    products: models.Model
    links: models.Model

    @property
    def pack(self):
        """The unit the listings sell in; none: the product's own."""
        return self.links.pack_uom_id

    @property
    def is_clear(self):
        """One product in one unit; else a person decides."""
        return len(self.products) == 1 and len({link.pack_uom_id for link in self.links}) <= 1


class MarketplaceOrderProcessor(models.AbstractModel):
    """Makes sale orders of :class:`~..dialects.base.Order` values, and carries later changes into them."""

    _name = "marketplace.order.processor"
    _description = "Marketplace Order Processor"

    @api.model
    def _import(self, account, order):
        """Bring the account's sale order to what the marketplace says.

        :param account: one ``marketplace.config``
        :param Order order: newer than what is known of it
        :return: the sale order
        :raise Hold: a person, or a later message, is needed; nothing is changed
        """
        sale = self.env["sale.order"]._find_marketplace_order(account, order.id)
        if sale:
            self._update(account, sale, order)
        else:
            account._check_addressee(order)
            sale = self._create(account, order)
        return sale

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
        self._write_news(sale, self._prepare_status(change, change.reason))
        self._follow_status(sale, change.status)
        return sale

    # -- a new order --------------------------------------------------------------------------

    def _create(self, account, order):
        if order.status == base.HELD:
            raise Hold(
                _("The customer is still editing the order."),
                _("Nothing to do: it is imported when the customer has finished."),
                [("later", order.id)],
            )
        self._check_total(order)
        rows = [row for row in self._rows(order) if row.quantity]
        products = self._resolve_products(account, rows)
        partner = self._customer(account, order)
        delivery = self._shipping_partner(partner, order)
        position = self.env["account.fiscal.position"]._get_fiscal_position(partner, delivery)
        lines = self._prepare_lines(account, order, position, rows, products)
        values = self._prepare_order(account, order, partner, delivery, lines)
        sale = self.env["sale.order"].with_context(**QUIET).create(values)
        self._settle_total(account, sale, order)
        self._set_first_stage(account, sale, order)
        return sale

    def _set_first_stage(self, account, sale, order):
        """Bring a new order to the stage it already has over there, or to the account's policy's."""
        if order.status in base.GONE:
            self._cancel(sale)
        elif order.status in UNDERWAY or account.order_policy == "confirm":
            self._confirm(sale)

    def _prepare_order(self, account, order, partner, delivery, lines):
        return {
            "marketplace_config_id": account.id,
            "cartona_id": order.id,
            "company_id": account.company_id.id,
            "warehouse_id": account.warehouse_id.id,
            "pricelist_id": self._pricelist(account, order).id,
            "partner_id": partner.id,
            "partner_shipping_id": delivery.id,
            "user_id": False,
            "date_order": self._naive(order.placed_at) or fields.Datetime.now(),
            "order_line": [fields.Command.create(line) for line in lines],
            **self._prepare_header(order),
            **self._prepare_status(order, order.cancel_reason),
        }

    def _prepare_header(self, order):
        """Give what follows the marketplace at every message, untouched by stages."""
        return {
            "marketplace_order_number": order.number,
            "client_order_ref": order.number,
            "commitment_date": order.delivery_date,
            "delivered_by": order.delivered_by,
            "marketplace_payment_method": order.payment_method,
            "marketplace_delivery_otp": order.delivery_otp,
            "marketplace_to_collect": order.to_collect,
            "marketplace_receivable": order.receivable,
            "marketplace_payable": order.payable,
            "marketplace_note": order.note,
        }

    def _prepare_status(self, value, reason):
        return {
            "marketplace_reported_status": value.status,
            "marketplace_modified_at": self._naive(value.modified_at),
            "marketplace_cancel_reason": reason,
        }

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
            rows.append(Row(f"{charge.kind}:{number}", Decimal(1), charge.amount, name=name))
        if len({row.id for row in rows}) != len(rows):
            raise Hold(
                _("Two lines of the order have the same id."),
                _("Ask the marketplace to correct the order, then process the message again."),
            )
        return rows

    def _prepare_lines(self, account, order, position, rows, products):
        return [
            {
                **self._prepare_row(row, products),
                SOL_TAXES: [
                    fields.Command.set(
                        self._taxes(account, order, position, products[row.line.id].products).ids
                    )
                ]
                if row.line
                else [fields.Command.clear()],
            }
            for row in rows
        ]

    def _prepare_row(self, row, products):
        values = {
            "product_uom_qty": float(row.quantity),
            "price_unit": float(row.price),
            "discount": 0,
            "marketplace_line_id": row.id,
        }
        if row.name:
            return {**values, "product_id": self._charge_product().id, "name": row.name}
        goods = products[row.line.id]
        return {
            **values,
            "product_id": goods.products.id,
            **({SOL_UOM: goods.pack.id} if goods.pack else {}),
            "marketplace_unit": row.line.unit,
            "marketplace_unit_count": float(row.line.unit_count or 0),
        }

    def _charge_product(self):
        """Give the product of lines that are an amount, not goods."""
        return self.env.ref("cartona_integration.product_charge")

    def _naive(self, moment):
        """Give an aware time as Odoo stores it."""
        return moment and moment.astimezone(timezone.utc).replace(tzinfo=None)

    # -- money --------------------------------------------------------------------------------

    def _check_total(self, order):
        """Compare the marketplace's own figures with each other, to the cent.

        :raise Hold: they differ: nobody can say what the customer owes
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
        if abs(total - order.total) >= HALF_A_CENT:
            self._hold_for_total(order, total)

    def _settle_total(self, account, sale, order):
        """Make Odoo's total the marketplace's.

        What Odoo's price accuracy cannot express becomes a rounding line; any more is a hold.
        Lines people added do not count. A marketplace that says nothing of tax and whose prices are without
        it gives a total without it.
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
        difference = float(order.total) - found
        if sale.currency_id.is_zero(difference):
            return
        if abs(difference) > allowed:
            self._hold_for_total(order, found)
        self._set_rounding(sale, difference)

    def _decimals(self, name):
        """Give the decimals a figure of an order line is stored with; 19 keeps prices as they come."""
        digits = self.env["sale.order.line"]._fields[name].get_digits(self.env)
        return digits[1] if digits else UNROUNDED

    def _set_rounding(self, sale, amount):
        """Add the line that makes up for cents, or revive the one a confirmed order kept at quantity 0."""
        line = sale.order_line.filtered(lambda line: line.marketplace_line_id == ROUNDING)
        if line:
            line.write({"product_uom_qty": 1, "price_unit": amount})
        else:
            row = self._prepare_row(Row(ROUNDING, Decimal(1), Decimal(0), name=_("Rounding")), {})
            values = {**row, "price_unit": amount, SOL_TAXES: [fields.Command.clear()]}
            sale.order_line = [fields.Command.create(values)]

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

    def _pricelist(self, account, order):
        """Give the pricelist that makes the order be in the message's currency, or in the account's.

        :raise Hold: the currency is unknown or not active; the company's is never taken silently
        """
        code = order.currency or account.currency_id.name
        currency = self.env["res.currency"].search([("name", "=", code)])
        if not currency:
            raise Hold(
                _("The order's currency %s is not active.", code),
                _("Activate the currency; the order is then imported by itself."),
                [("currency", code)],
            )
        return account._pricelist_in(currency)

    def _taxes(self, account, order, position, product):
        """Give the line's taxes: the product's, mapped for the customer, in the marketplace's convention."""
        if account.tax_policy == "none":
            return self.env["account.tax"]
        included = (
            account.prices_include_tax if order.prices_include_tax is None else order.prices_include_tax
        )
        taxes = position.map_tax(product.taxes_id.filtered(lambda tax: tax.company_id == account.company_id))
        single = taxes.filtered(lambda tax: not tax.children_tax_ids) | taxes.children_tax_ids
        return self.env["account.tax"].union(*(self._convention(account, tax, included) for tax in single))

    def _convention(self, account, tax, included):
        """Give the tax of the same rate that is (not) included in the price, made when there is none."""
        if tax.price_include == included or not tax.amount:
            return tax
        twins = self.env["account.tax"].search(
            [
                ("company_id", "=", account.company_id.id),
                ("type_tax_use", "=", "sale"),
                ("amount_type", "=", tax.amount_type),
                ("amount", "=", tax.amount),
            ]
        )
        twins = twins.filtered(lambda other: other.price_include == included)
        return twins[:1] or self._create_twin(account, tax, included)

    def _create_twin(self, account, tax, included):
        """Copy a tax, with its accounts and tags, for prices of the other convention.

        Superuser: the acting user has no accounting rights.
        """
        kind = _("included") if included else _("on top")
        name = f"{tax.name} ({kind})"
        twin = tax.sudo().copy({"name": name, **(TAX_INCLUDED if included else TAX_EXCLUDED)})
        account.sudo()._message_log(
            body=_(
                "Tax %(tax)s was made for the marketplace's prices, after %(model)s.",
                tax=name,
                model=tax.name,
            )
        )
        return twin.with_env(self.env)

    # -- products and customers ---------------------------------------------------------------

    def _resolve_products(self, account, rows):
        """Find the rows' products.

        :return: {line id: :class:`Goods`}
        :raise Hold: one is unknown or ambiguous; the order is imported whole or not at all
        """
        goods = self._find_goods(account, [row.line for row in rows if row.line])
        bad = {found.key: found.products for found in goods.values() if not found.is_clear}
        if bad:
            self._hold_for_products(list(bad), [key for key, products in bad.items() if products])
        return goods

    def _find_goods(self, account, lines):
        """Find what lines are about: by the listing's id, then its key, then the product's. Never by name.

        A line without a key is looked up by its barcode.

        :return: {line id: :class:`Goods`}
        """
        keys = {line.id: line.key or line.product_id or line.barcode or "?" for line in lines}
        links = self.env["marketplace.product.link"]
        by_id = links._find_linked(account, "external_id", {line.product_id for line in lines})
        by_key = links._find_linked(account, "key", set(keys.values()))
        found = self.env["product.product"]._find_by_marketplace_key(account, set(keys.values()))
        goods = {}
        for line in lines:
            key = keys[line.id]
            link = by_id[line.product_id] or by_key[key]
            products = link.product_id or found[key]
            goods[line.id] = Goods(key, products, link)
        return goods

    @api.model
    def _wanted_quantities(self, account, order):
        """Give {product id as text: quantity in its unit} of an order that is not here, for what is known.

        An order that is here keeps its goods back itself; one that is over wants nothing.
        """
        over = (*base.GONE, base.SHIPPED, base.DELIVERED)
        if order.status in over or self.env["sale.order"]._find_marketplace_order(account, order.id):
            return {}
        wanted = defaultdict(float)
        goods = self._find_goods(account, order.lines)
        for line in order.lines:
            found = goods[line.id]
            if found.is_clear:
                unit = found.pack or found.products.uom_id
                quantity = unit._compute_quantity(float(line.quantity), found.products.uom_id, round=False)
                wanted[str(found.products.id)] += quantity
        return dict(wanted)

    def _hold_for_products(self, bad, ambiguous):
        if ambiguous:
            reason = _("Several products or packs have the key: %s", ", ".join(ambiguous))
        else:
            reason = _("Unknown product: %s", ", ".join(bad))
        remedy = _("Give exactly one product this marketplace key; the order is then imported by itself.")
        raise Hold(reason, remedy, [("product", key) for key in bad])

    def _customer(self, account, order):
        """Find the customer by the marketplace's id, or create it; never by name."""
        key = account._customer_key(order.customer)
        partners = self.env["res.partner"]._find_marketplace_customer(key, account.company_id) if key else ()
        if len(partners) > 1:
            raise Hold(
                _("Several contacts are marketplace customer %s.", key),
                _("Keep the id on one of them, then process the message again."),
            )
        return partners or self.env["res.partner"].with_context(**QUIET).create(
            {
                "cartona_id": key,
                "company_id": account.company_id.id,
                "name": order.customer.name or order.customer.company or _("Customer of order %s", order.id),
                "is_company": bool(order.customer.company),
                "email": order.customer.email,
                "phone": order.customer.phone,
                "vat": order.customer.vat,
                "customer_rank": 1,
                **self._prepare_address(order.shipping or base.Address()),
            }
        )

    def _shipping_partner(self, partner, order):
        """Give where to deliver: the customer, or one of its delivery addresses, made when it is new."""
        address = order.shipping and self._prepare_address(order.shipping)
        if not address or not any(address.values()):
            return partner
        for known in partner | partner.child_ids.filtered(lambda child: child.type == "delivery"):
            if self._is_at(known, address):
                return known
        contact = order.shipping.name or partner.name
        phone = order.shipping.phone or order.customer.phone
        return (
            self.env["res.partner"]
            .with_context(**QUIET)
            .create(
                {
                    "parent_id": partner.id,
                    "company_id": partner.company_id.id,
                    "type": "delivery",
                    "name": contact,
                    "phone": phone,
                    **address,
                }
            )
        )

    def _is_at(self, partner, address):
        """Tell whether a contact has this address. Its note does not count: Odoo stores it as HTML."""
        known = partner._convert_to_write({name: partner[name] for name in address if name != "comment"})
        return all((known[name] or False) == (address[name] or False) for name in known)

    def _prepare_address(self, address):
        country = address.country and self.env["res.country"].search([("code", "=", address.country)])
        state = (
            country
            and address.state
            and self.env["res.country.state"].search(
                [("country_id", "=", country.id), ("name", "=ilike", address.state)], limit=1
            )
        )
        return {
            "street": address.street,
            "street2": address.street2 or (address.state if not state else False),
            "city": address.city,
            "zip": address.zip,
            "state_id": state and state.id,
            "country_id": country and country.id,
            "comment": address.note,
        }
