from contextlib import contextmanager

from markupsafe import Markup

from odoo import _, fields, models
from odoo.tools import float_compare

from ..compat import REVERSALS, SOL_TAXES
from ..dialects import words
from ..exceptions import Hold
from .figures import exact
from .marketplace_order_processor import DATED, QUIET, UNDERWAY, Plan
from .marketplace_order_total import ROUNDING

# Figures of a line, and where the last of them is kept that the marketplace told.
TOLD = {"product_uom_qty": "marketplace_quantity", "price_unit": "marketplace_price"}
# What each of them is made of here.
WRITTEN = {"product_uom_qty": ("product_uom_qty",), "price_unit": ("price_unit", "discount")}


class MarketplaceOrderProcessor(models.AbstractModel):
    """Carries what happens to an order at the marketplace after its import into the sale order."""

    _inherit = "marketplace.order.processor"

    def _update(self, account, sale, order):
        self._check_not_reopened(sale, order.status)
        values = self._prepare_status(order, order.cancel_reason)
        if order.status not in (words.HELD, *words.GONE) and sale.state != "cancel":
            self._check_currency(sale, order)
            self._check_total(account, order)
            self._update_lines(account, sale, order)
            self._update_address(account, sale, order)
            self._note_customer(sale, order)
            values |= self._prepare_header_news(sale, order)
        self._take_status(sale, order.status, values)

    def _check_currency(self, sale, order):
        """Hold a message in another currency: its figures would be taken for ours."""
        if order.currency and order.currency != sale.currency_id.name:
            raise Hold(
                _(
                    "The order is in %(ours)s here, the marketplace's message is in %(theirs)s.",
                    ours=sale.currency_id.name,
                    theirs=order.currency,
                ),
                _("Ask the marketplace which one counts; correct the order here and ignore the message."),
                [("changed", sale.cartona_id)],
            )

    def _check_not_reopened(self, sale, status):
        """Hold what goes on at the marketplace after it had ended there: here a person ended it, too."""
        if sale.state == "cancel" and self._is_reopened(sale, status):
            labels = dict(sale._fields["marketplace_status"]._description_selection(self.env))
            raise Hold(
                _("The order is cancelled; the marketplace goes on with it: %s.", labels.get(status)),
                _("Set the order to quotation and process the message again, or ignore it."),
                [("changed", sale.cartona_id)],
            )

    def _is_reopened(self, sale, status):
        """Tell whether the marketplace goes on with an order that had ended there.

        What it told before it took our cancellation may come late, and so may the echo of what we told. That
        the goods are under way without a word of ours is no such thing.
        """
        is_late = status not in UNDERWAY or sale._has_told(status)
        ended = sale.marketplace_reported_status if is_late else sale.marketplace_status
        return ended in words.GONE and status not in words.GONE

    def _take_status(self, sale, status, values):
        """Write a status and what came with it, and have the order follow where it is another one."""
        if self._is_reopened(sale, status):
            sale._forget_cancellation()
        is_another = status != sale.marketplace_reported_status
        self._write_news(sale, values)
        self._follow_status(sale, status, is_another)

    def _prepare_header_news(self, sale, order):
        """Give the header's values to write: of what people may change only what the marketplace changed."""
        before, told = sale.marketplace_told or {}, self._told(order)
        told = {name: value or before.get(name) or value for name, value in told.items()}
        header = self._prepare_header(sale.marketplace_config_id, order)
        values = {name: value for name, value in header.items() if value}
        same = {name for name in told if name in before and before[name] == told[name]}
        return {
            name: value for name, value in {**values, "marketplace_told": told}.items() if name not in same
        }

    def _write_news(self, sale, values):
        """Write what differs: a message that tells nothing new leaves no trace, not even a write date."""

        def stored(name, value):
            return sale._fields[name].convert_to_cache(value, sale)

        news = {
            name: value for name, value in values.items() if stored(name, value) != stored(name, sale[name])
        }
        if news:
            sale.with_context(**QUIET).write(news)

    def _follow_status(self, sale, status, is_another):
        """Bring the order to the stage a later status asks for, by Odoo's own actions.

        The status is written already: what is known to the marketplace is not told to it again. A quotation
        stays one while the marketplace only repeats that the order is confirmed: the account said so.
        """
        if status in words.GONE:
            self._cancel(sale)
        elif status in UNDERWAY or status == words.CONFIRMED and is_another:
            self._confirm(sale)
        sale.marketplace_step_ids._follow_marketplace()

    def _confirm(self, sales):
        """Confirm; the customers do not become followers, and the orders keep their own dates."""
        sales = sales.filtered(lambda sale: sale.state in ("draft", "sent"))
        if not sales:
            return
        sales.with_context(**{DATED: True}, **QUIET).action_confirm()
        following = sales.filtered(lambda sale: sale.partner_id in sale.message_partner_ids)
        if following:
            following.message_unsubscribe(following.partner_id.ids)

    def _cancel(self, sale):
        """Cancel what can be cancelled without a person; Odoo takes reservations and drafts back.

        :raise Hold: goods have left or an invoice is posted
        """
        if sale.state == "cancel":
            return
        self._check_cancellable(sale)
        picked = self._picked_in_vain(sale)
        # Odoo does it, too; superuser: the acting user keeps no accounts.
        sale.sudo().invoice_ids.filtered(lambda move: move.state == "draft").button_cancel()
        with self._unlocked(sale):
            # Bare, action_cancel returns a wizard on a confirmed order.
            sale.with_context(disable_cancel_warning=True, **QUIET).action_cancel()
        if picked:
            sale._message_log(
                body=_("Goods were picked already, put them back: %s", ", ".join(picked.mapped("name")))
            )

    def _picked_in_vain(self, sale):
        """Give transfers whose goods are off their shelves and will not leave: picked, or one step on."""

        def is_off(move):
            if move.state == "done":
                return any(after.state not in ("done", "cancel") for after in move.move_dest_ids)
            return move.state != "cancel" and move.picked

        return sale.picking_ids.filtered(lambda picking: any(map(is_off, picking.move_ids))).sorted("id")

    def _check_cancellable(self, sale):
        """Hold what only a person may undo, with the way to undo it."""
        key = [("return", sale.cartona_id)]
        delivered = [line for line in sale.order_line if line._is_with_customer()]
        rest = any(line.qty_delivered < line.product_uom_qty for line in sale.order_line)
        if delivered and rest:
            raise Hold(
                _("The marketplace cancelled the order, but a part of it is already delivered."),
                _("Take the goods back with a return on the delivery; the rest is then cancelled by itself."),
                key,
            )
        if delivered:
            raise Hold(
                _("The marketplace cancelled the order, but its goods are already delivered."),
                _("Take the goods back with a return on the delivery; the rest happens by itself."),
                key,
            )
        posted = sale.sudo().invoice_ids.filtered(
            lambda move: (
                move.state == "posted" and move.move_type == "out_invoice" and not self._is_credited(move)
            )
        )
        if posted:
            raise Hold(
                _("The marketplace cancelled the order, but it is invoiced: %s", posted[0].name),
                _("Credit the invoice, then process the message again."),
                [("changed", sale.cartona_id)],
            )

    def _is_credited(self, invoice):
        """Tell whether an invoice is credited whole; a paid one that is does not count as reversed."""
        credits = invoice[REVERSALS].filtered(lambda move: move.state == "posted")
        left = invoice.amount_total - sum(credits.mapped("amount_total"))
        return invoice.payment_state == "reversed" or invoice.currency_id.compare_amounts(left, 0) <= 0

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
        # What was told before and is not here was taken out by people.
        seen = {*known, *(sale.marketplace_told or {}).get("lines", ())}
        new = [row for row_id, row in rows.items() if row_id not in seen and row.quantity]
        commands = self._prepare_new_lines(account, sale, order, new)
        notes = [
            _("%(name)s: new, %(quantity)s", name=self._row_name(row), quantity=row.quantity) for row in new
        ]
        is_told_anew = False
        shown = sale.order_line._marketplace_wanted(sale._marketplace_planned())
        for row_id, line in known.items():
            changed = self._line_changes(line, rows.get(row_id), shown[line])
            if self._differing(line, changed):
                # A confirmed order has to keep its lines, Odoo says.
                gone = row_id not in rows and sale.state in ("draft", "sent")
                if gone:
                    line.marketplace_quantity = 0  # the marketplace knows
                commands.append(
                    fields.Command.delete(line.id)
                    if gone
                    else fields.Command.update(line.id, self._to_write(line, changed))
                )
                notes.append(self._describe_changes(line, changed))
            elif self._is_told_anew(line, changed):
                line.write({name: changed[name] for name in TOLD.values()})
                is_told_anew = True
        if commands or is_told_anew:
            self._write_lines(account, sale, order, commands, notes)

    def _prepare_new_lines(self, account, sale, order, rows):
        """Give commands that add the rows; their products and taxes have to be known."""
        found = self._find_goods(account, [row.line for row in rows if row.line])
        goods = self._choose_goods(account, order, rows, found)
        self._check_taxes(account, goods)
        usual = [line[SOL_TAXES] for line in sale.order_line]
        values = self._prepare_lines(account, order, sale.fiscal_position_id, rows, goods, {}, usual)
        return [fields.Command.create(line) for line in values]

    def _row_name(self, row):
        return row.name or row.line.name or row.line.key

    def _line_changes(self, line, row, shown_quantity):
        """Give the figures a line should have; a row that is gone is quantity 0.

        What the marketplace did not change stays as it is here, whoever changed it; so does what was ordered
        where it shows what we told it that was delivered, or will be once its code is here. The product never
        changes: a line keeps its product for life. Price and discount are always written along: Odoo computes
        them anew from the pricelist when the quantity changes. The marketplace's price is ours after the
        discount, so that a changed one leaves no discount.

        :param float shown_quantity: what is to be shown there
        :raise Hold: less is wanted than is delivered, or something else, or both sides changed a confirmed
            order
        """
        told = {"product_uom_qty": 0.0, "price_unit": line.marketplace_price}
        if row and row.line and row.quantity:
            self._check_goods(line, row.line)
        if row:
            told |= {"product_uom_qty": float(row.quantity), "price_unit": float(row.price)}
        wanted = {**told, "discount": 0.0}
        ours = self._figures(line) | {"price_unit": line._marketplace_price()}
        shown = {**ours, "product_uom_qty": shown_quantity}
        for name, last in TOLD.items():
            if any(self._is_same(name, told[name], known) for known in (line[last], ours[name], shown[name])):
                wanted |= {field: line[field] for field in WRITTEN[name]}
            elif line.order_id.state == "sale" and not self._is_same(name, ours[name], line[last]):
                self._hold_for_both(line, name, told[name])
        if (
            wanted["product_uom_qty"] < line.qty_delivered
            and wanted["product_uom_qty"] != line.product_uom_qty
        ):
            raise Hold(
                _(
                    "%s: more is delivered than the changed order wants.",
                    line.product_id.display_name,
                ),
                _("Take the goods back with a return on the delivery, then process the message again."),
                [("changed", line.order_id.cartona_id)],
            )
        return wanted | {last: told[name] for name, last in TOLD.items()}

    def _check_goods(self, line, told):
        """Hold a line that is about something else now: shipped is what it was about.

        One name of two may be new, such as the id of a listing that had none.
        """
        before, now = line.marketplace_goods or {}, self._told_goods(told)
        names = [name for name in now if before.get(name) and now[name]]
        other_goods = names and all(before[name] != now[name] for name in names)
        other_unit = line.marketplace_unit and told.unit and line.marketplace_unit != told.unit
        if other_goods or other_unit:
            raise Hold(
                _(
                    "%(line)s: at the marketplace the line is about %(told)s now.",
                    line=line.product_id.display_name,
                    told=" ".join(text[:60] for text in (told.key, told.name, told.unit) if text),
                ),
                _("Have the marketplace add another line, or correct the order here and ignore the message."),
                [("changed", line.order_id.cartona_id)],
            )

    def _hold_for_both(self, line, name, told):
        raise Hold(
            _(
                "%(line)s: the marketplace changed the %(figure)s to %(told)s, somebody here to %(ours)s.",
                line=line.product_id.display_name,
                figure=self._label(name),
                told=exact(told),
                ours=exact(self._figures(line)[name]),
            ),
            _("Enter the marketplace's figure on the order and process the message again, or ignore it."),
            [("changed", line.order_id.cartona_id)],
        )

    def _figures(self, values):
        """Give the quantity and the price after discount of a line, or of what is to be written into it."""
        price = values["price_unit"] * (1 - values["discount"] / 100)
        return {"product_uom_qty": values["product_uom_qty"], "price_unit": price}

    def _is_same(self, name, one, other):
        return not float_compare(one, other, precision_digits=self._decimals(name))

    def _to_write(self, line, changed):
        """Leave out a quantity that stays: Odoo would look for goods to move, for each line written anew."""
        stays = self._is_same("product_uom_qty", line.product_uom_qty, changed["product_uom_qty"])
        return {name: value for name, value in changed.items() if name != "product_uom_qty" or not stays}

    def _is_told_anew(self, line, changed):
        return any(not self._is_same(name, line[last], changed[last]) for name, last in TOLD.items())

    def _differing(self, line, wanted):
        """Give the names of the figures that differ at the accuracy Odoo stores them with."""
        return [
            name
            for name, written in WRITTEN.items()
            if any(not self._is_same(name, line[field], wanted[field]) for field in written)
        ]

    def _label(self, name):
        return {"product_uom_qty": _("quantity"), "price_unit": _("price")}[name]

    def _describe_changes(self, line, changed):
        """Say one line's changes in words, with the figures before them."""
        before, after = self._figures(line), self._figures(changed)
        figures = ", ".join(
            f"{self._label(name)} {exact(before[name])} → {exact(after[name])}"
            for name in self._differing(line, changed)
        )
        return f"{line.name}: {figures}"

    def _write_lines(self, account, sale, order, commands, notes):
        rounding = sale.order_line.filtered(lambda line: line.marketplace_line_id == ROUNDING)
        with self._unlocked(sale):
            rounding.write({"product_uom_qty": 0})
            self._write_together(sale.with_context(**QUIET), commands)
            if not self._is_changed_here(sale, order):
                self._settle_total(account, sale, order)
        if not notes:
            return
        items = Markup().join(Markup("<li>%s</li>") % note for note in notes)
        intro = _("The marketplace changed the order:")
        sale._message_log(body=Markup("<p>%s</p><ul>%s</ul>") % (intro, items))

    def _write_together(self, sale, commands):
        """Write lines; Odoo looks for their goods once, for all of them.

        By itself it does so line by line, each time with all that the order has to move: minutes for a large
        one. What it asks people about lowered lines comes last, as it has it: nothing is asked about what is
        cancelled by then.
        """
        before = {line: line.product_uom_qty for line in sale.order_line}
        sale.with_context(skip_procurement=True, skip_activity=True).write({"order_line": commands})
        added = sale.order_line.filtered(lambda line: line not in before)
        changed = (sale.order_line - added).filtered(lambda line: line.product_uom_qty != before[line])
        if sale.state != "sale" or not added | changed:
            return
        if changed:
            changed._action_launch_stock_rule(
                previous_product_uom_qty={line.id: before[line] for line in changed}
            )
            changed._tell_unmoved()
        if added:
            added._action_launch_stock_rule()
        self._ask_about_lowered(sale, {line: (line.product_uom_qty, before[line]) for line in changed})

    def _ask_about_lowered(self, sale, changes):
        """Have whoever moves the goods look at lines that are lowered, as Odoo does at the end of a save.

        :param dict changes: {line: (quantity, the one before)}
        """
        lowered = {line: quantities for line, quantities in changes.items() if quantities[0] < quantities[1]}
        if lowered:
            pickings = self.env["stock.picking"].sudo()
            documents = pickings._log_activity_get_documents(lowered, "move_ids", "UP")
            sale._log_decrease_ordered_quantity(
                {key: told for key, told in documents.items() if key[0].state != "cancel"}
            )

    def _is_changed_here(self, sale, order):
        """Tell whether people gave lines other figures than the marketplace: totals then differ, too."""
        lines = sale.order_line.filtered(
            lambda line: line.marketplace_line_id and line.marketplace_line_id != ROUNDING
        )
        told = {row.id for row in self._rows(order) if row.quantity}
        return bool(told - set(lines.mapped("marketplace_line_id"))) or any(
            line.discount
            or any(not self._is_same(name, line[name], line[last]) for name, last in TOLD.items())
            for line in lines
        )

    def _update_address(self, account, sale, order):
        """Deliver to another place when the marketplace names another than before; Odoo reminds of transfers.

        What people chose stays while the marketplace repeats itself.
        """
        known, told = sale.marketplace_told or {}, self._told(order)["address"]
        if "address" not in known or not told or told == known["address"]:
            return
        plan = Plan(order, [], {}, sale.pricelist_id, partner=sale.partner_id)
        self._create_addresses(account, [plan], self._find_places(account, [order.shipping]))
        if plan.delivery != sale.partner_shipping_id:
            with self._unlocked(sale):
                sale.with_context(**QUIET).partner_shipping_id = plan.delivery
            sale._message_log(
                body=_(
                    "The marketplace changed the delivery address: %s", plan.delivery.contact_address_inline
                )
            )

    def _note_customer(self, sale, order):
        """Say that the marketplace names another customer than before, or one at last: people change it."""
        known, told = sale.marketplace_told or {}, self._told(order)["customer"]
        if "customer" in known and told and told != known["customer"]:
            name = " ".join(filter(None, (order.customer.company, order.customer.name, order.customer.id)))
            sale._message_log(
                body=_(
                    "The marketplace names another customer now: %s. Change the order's if it is so.", name
                )
            )

    @contextmanager
    def _unlocked(self, sale):
        """Open an order the setting 'Lock Confirmed Sales' has closed, and close it again."""
        locked = sale.locked
        if locked:
            sale.action_unlock()
        yield
        if locked:
            sale.action_lock()
