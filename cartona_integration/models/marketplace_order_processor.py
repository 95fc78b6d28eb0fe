from contextlib import contextmanager
from datetime import timezone
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from odoo import _, api, fields, models
from odoo.tools import float_compare, float_round

from ..compat import SOL_TAXES, TAX_EXCLUDED, TAX_INCLUDED
from ..dialects import base
from ..exceptions import Hold

# Nobody is told and nothing is tracked while a machine writes the order; people see the marketplace's page.
QUIET = {"tracking_disable": True, "mail_create_nosubscribe": True, "mail_create_nolog": True}
GONE = (base.CANCELLED, base.RETURNED)
UNDERWAY = (base.PARTIALLY_SHIPPED, base.SHIPPED, base.DELIVERED)
ROUNDING = "rounding"


class Row(NamedTuple):
    """One order line to be: goods, or with a ``name`` an amount (a discount of ``line``, or a charge)."""

    id: str
    quantity: Decimal
    price: Decimal
    line: base.OrderLine | None = None
    name: str | None = None


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
        if order.account_code and account.supplier_code and order.account_code != account.supplier_code:
            raise Hold(
                _("The order is for supplier code %s.", order.account_code),
                _("Make an account with this supplier code, or correct the code on this account."),
                [("account", order.account_code)],
            )
        sale = self.env["sale.order"]._find_marketplace_order(account, order.id)
        if sale:
            self._update(account, sale, order)
        else:
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
        self._follow_status(sale, change.status)
        sale.write(self._prepare_status(change, change.reason))
        return sale

    # -- a new order -----------------------------------------------------------------------------------------

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
        lines = self._prepare_lines(account, order, partner, rows, products)
        values = self._prepare_order(account, order, partner, lines)
        sale = self.env["sale.order"].with_context(**QUIET).create(values)
        self._settle_total(sale, order)
        self._set_first_stage(account, sale, order)
        return sale

    def _set_first_stage(self, account, sale, order):
        """Bring a new order to the stage it already has over there. Nothing is sent back for it."""
        if order.status in GONE:
            self._cancel(sale)
        elif order.status in UNDERWAY or account.order_policy == "confirm":
            self._confirm(sale)

    def _prepare_order(self, account, order, partner, lines):
        return {
            "marketplace_config_id": account.id,
            "cartona_id": order.id,
            "company_id": account.company_id.id,
            "warehouse_id": account.warehouse_id.id,
            "pricelist_id": self._pricelist(account, order).id,
            "partner_id": partner.id,
            "partner_shipping_id": self._shipping_partner(partner, order).id,
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
            "marketplace_status": value.status,
            "marketplace_modified_at": self._naive(value.modified_at),
            "marketplace_cancel_reason": reason,
        }

    # -- lines -----------------------------------------------------------------------------------------------

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

    def _prepare_lines(self, account, order, partner, rows, products):
        return [
            {
                **self._prepare_row(row, products),
                SOL_TAXES: [fields.Command.set(self._taxes(account, order, partner, products[row.line.id]).ids)]
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
        return {
            **values,
            "product_id": products[row.line.id].id,
            "marketplace_unit": row.line.unit,
            "marketplace_unit_count": float(row.line.unit_count or 0),
        }

    def _charge_product(self):
        """Give the product of lines that are an amount, not goods."""
        return self.env.ref("cartona_integration.product_charge")

    # -- money -----------------------------------------------------------------------------------------------

    def _check_total(self, order):
        """Compare the marketplace's own figures with each other, exactly.

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
        if total != order.total:
            self._hold_for_total(order, total)

    def _settle_total(self, sale, order):
        """Make Odoo's total the marketplace's.

        What Odoo's price accuracy cannot express becomes a rounding line; any more is a hold.
        """
        digits = self.env["decimal.precision"].precision_get("Product Price")
        lost = sum(
            abs(line.quantity) * abs(line.unit_price - Decimal(str(float_round(float(line.unit_price), digits))))
            for line in order.lines
        )
        taxed = len(sale.order_line.filtered(SOL_TAXES)) if order.prices_include_tax is False else 0
        allowed = float(lost) + (taxed + bool(lost)) * sale.currency_id.rounding
        difference = float(order.total) - sale.amount_total
        if sale.currency_id.is_zero(difference):
            return
        if abs(difference) > allowed:
            self._hold_for_total(order, sale.amount_total)
        self._set_rounding(sale, difference)

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
            _("The marketplace's total is %(theirs)s, the lines add up to %(ours)s.",
              theirs=order.total, ours=found),
            _("Check the account's tax settings and the products' taxes, then process the message again."),
            [("total", order.id)],
        )  # fmt: skip

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

    def _taxes(self, account, order, partner, product):
        """Give the line's taxes: the product's, mapped for the customer, in the marketplace's convention."""
        if account.tax_policy == "none":
            return self.env["account.tax"]
        included = account.prices_include_tax if order.prices_include_tax is None else order.prices_include_tax
        position = self.env["account.fiscal.position"]._get_fiscal_position(partner)
        taxes = position.map_tax(product.taxes_id.filtered(lambda tax: tax.company_id == account.company_id))
        return self.env["account.tax"].union(*(self._convention(account, tax, included) for tax in taxes))

    def _convention(self, account, tax, included):
        """Give the tax of the same rate that is (not) included in the price, made when there is none."""
        if tax.price_include == included:
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
            body=_("Tax %(tax)s was made for the marketplace's prices, after %(model)s.", tax=name, model=tax.name)
        )
        return twin.with_env(self.env)

    # -- products and customers ------------------------------------------------------------------------------

    def _resolve_products(self, account, rows):
        """Find the rows' products: links will come first here, then variants by the seller's key.

        A line without a key is looked up by the platform's id. Never by name.

        :return: {line id: product}
        :raise Hold: one is unknown or ambiguous; the order is imported whole or not at all
        """
        keys = {row.line.id: row.line.key or row.line.product_id or "?" for row in rows if row.line}
        found = self.env["product.product"]._find_by_marketplace_key(account, set(keys.values()))
        bad = [key for key in dict.fromkeys(keys.values()) if len(found[key]) != 1]
        if bad:
            self._hold_for_products(bad, [key for key in bad if found[key]])
        return {line_id: found[key] for line_id, key in keys.items()}

    def _hold_for_products(self, bad, ambiguous):
        if ambiguous:
            reason = _("Several products have the key: %s", ", ".join(ambiguous))
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
            if all((known[name] or False) == (value or False) for name, value in self._comparable(address)):
                return known
        contact = order.shipping.name or partner.name
        phone = order.shipping.phone or order.customer.phone
        return self.env["res.partner"].with_context(**QUIET).create(
            {"parent_id": partner.id, "type": "delivery", "name": contact, "phone": phone, **address}
        )  # fmt: skip

    def _comparable(self, address):
        """Leave the note out: Odoo stores it as HTML."""
        return [(name, value) for name, value in address.items() if name != "comment"]

    def _prepare_address(self, address):
        country = address.country and self.env["res.country"].search([("code", "=", address.country)])
        state = country and address.state and self.env["res.country.state"].search(
            [("country_id", "=", country.id), ("name", "=ilike", address.state)], limit=1
        )  # fmt: skip
        return {
            "street": address.street,
            "street2": address.street2 or (address.state if not state else False),
            "city": address.city,
            "zip": address.zip,
            "state_id": state and state.id,
            "country_id": country and country.id,
            "comment": address.note,
        }

    # -- later changes ---------------------------------------------------------------------------------------

    def _update(self, account, sale, order):
        values = self._prepare_status(order, order.cancel_reason)
        if order.status not in (base.HELD, *GONE) and sale.state != "cancel":
            self._check_total(order)
            self._update_lines(account, sale, order)
            values |= {name: value for name, value in self._prepare_header(order).items() if value}
        self._follow_status(sale, order.status)
        sale.with_context(**QUIET).write(values)

    def _follow_status(self, sale, status):
        """Bring the order to the stage a later status asks for, by Odoo's own actions."""
        if status in GONE:
            self._cancel(sale)
        elif status == base.CONFIRMED or status in UNDERWAY:
            self._confirm(sale)

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
            for values in self._prepare_lines(account, order, sale.partner_id, new, products)
        ]
        notes = [_("%(name)s: new, %(quantity)s", name=self._row_name(row), quantity=row.quantity) for row in new]
        for row_id, line in known.items():
            if changed := self._line_changes(line, rows.get(row_id)):
                commands.append(fields.Command.update(line.id, changed))
                notes.append(self._describe_changes(line, changed))
        if commands:
            self._write_lines(sale, order, commands, notes)

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
                _("%s: more is delivered than the changed order wants.", line.product_id.display_name),
                _("Take the goods back with a return on the delivery, then process the message again."),
            )
        return wanted if self._differing(line, wanted) else {}

    def _differing(self, line, wanted):
        """Give the names of the figures that differ at the accuracy Odoo stores them with."""
        precision = self.env["decimal.precision"].precision_get
        digits = {
            "product_uom_qty": precision("Product Unit of Measure"),
            "price_unit": precision("Product Price"),
            "discount": precision("Discount"),
        }
        return [name for name in digits if float_compare(line[name], wanted[name], precision_digits=digits[name])]

    def _describe_changes(self, line, changed):
        """Say one line's changes in words, with the figures before them."""
        labels = {"product_uom_qty": _("quantity"), "price_unit": _("price"), "discount": _("discount %")}
        figures = ", ".join(
            f"{labels[name]} {line[name]:g} → {changed[name]:g}" for name in self._differing(line, changed)
        )
        return f"{line.name}: {figures}"

    def _write_lines(self, sale, order, commands, notes):
        rounding = sale.order_line.filtered(lambda line: line.marketplace_line_id == ROUNDING)
        with self._unlocked(sale):
            rounding.write({"product_uom_qty": 0})
            sale.with_context(**QUIET).write({"order_line": commands})
            self._settle_total(sale, order)
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

    def _naive(self, moment):
        """Give an aware time as Odoo stores it."""
        return moment and moment.astimezone(timezone.utc).replace(tzinfo=None)
