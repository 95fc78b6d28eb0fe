from odoo import _, models
from odoo.tools import formatLang, html2plaintext

from ..compat import SOL_TAXES, SOL_UOM
from .figures import exact

# What a person can look through; the rest of a file is only counted.
REHEARSED = 20
# What comes of a message, where it is not done.
OUTCOMES = {"new": "hold", "hold": "hold", "failed": "failed", "ignored": "ignored"}


class MarketplaceConfig(models.Model):
    """What a message would do, without doing it: the real path, in a transaction that is taken back.

    Rows, marks, statuses, jobs and mails end with that transaction. What does not come back is a number a
    sequence of PostgreSQL gave out: sale orders may skip one.
    """

    _inherit = "marketplace.config"

    def _rehearse_stored(self, events):
        """Tell what stored messages would do now; see :meth:`_rehearse_event`."""
        return self._rehearse("_rehearse_events", events.ids)

    def _rehearse_new(self, messages, origin):
        """Tell what messages would do that are not stored yet; see :meth:`_rehearse_event`.

        :param str origin: as of the stored message
        """
        own = [message for message in messages[:REHEARSED] if self._is_shown(message)]
        return self._rehearse("_rehearse_messages", own, origin)

    def _is_shown(self, message):
        """Tell whether the user may see what becomes of a message: the token may be other companies', too."""
        [account] = self._routed([message])
        return account.sudo().company_id in self.env.companies

    def _rehearse_events(self, ids):
        return [self._rehearse_event(event) for event in self.env["marketplace.event"].browse(ids)]

    def _rehearse_messages(self, messages, origin):
        return [self._rehearse_message(message, origin) for message in messages]

    def _rehearse_message(self, message, origin):
        [account] = self._routed([message])
        account = account._as_actor()
        events = account.env["marketplace.event"]
        if events._store(account, [message], origin)["known"]:
            return {"order": message.order_id, "account": account.name, "outcome": "known"}
        event = events.search([("account_id", "=", account.id)], order="id desc", limit=1)
        return account._rehearse_event(event)

    def _rehearse_event(self, event):
        """Process a message, as its job would, and tell what became of it.

        :return: dict of plain values: ``outcome`` and what it is made of
        """
        told = {"order": event.external_order_id, "account": self.name}
        before = self._before(event)
        event.write({"state": "new", "tries": 0})
        event._process()
        outcome = OUTCOMES.get(event.state)
        if outcome:
            return told | {"outcome": outcome, "reason": event.reason, "remedy": event.remedy}
        sale = event.sale_order_id
        return (
            told
            | {"outcome": "changed" if before["sale"] else "created"}
            | self._describe_sale(sale)
            | self._describe_customer(sale, before, event.customer_id)
        )

    def _before(self, event):
        """Note what is known before, to tell later what is new."""
        sale = self.env["sale.order"]._find_marketplace_order(self, event.external_order_id)
        customer = self._customer_of(event)
        key = customer and self._customer_key(customer)
        # Superuser: only whether it is there is told.
        partners = self.env["res.partner"].sudo().with_context(active_test=False)
        return {
            "sale": sale,
            "known": partners.search([("cartona_id", "=", key)]) if key else partners,
            "newest": partners.search([], order="id desc", limit=1).id,
            "notes": sale.message_ids,
        }

    def _customer_of(self, event):
        order = event._lenient_order()
        return order and order.customer

    def _describe_sale(self, sale):
        """Give an order as texts."""
        currency = sale.currency_id
        amounts = {
            name: formatLang(self.env, sale[name], currency_obj=currency)
            for name in ("amount_untaxed", "amount_tax", "amount_total")
        }
        return amounts | {
            "name": sale.name,
            "state": dict(sale._fields["state"]._description_selection(self.env))[sale.state],
            "date": str(sale.date_order),
            "warehouse": sale.warehouse_id.name,
            "lines": [self._describe_line(line) for line in sale.order_line if not line.display_type],
        }

    def _describe_line(self, line):
        return {
            "name": line.name,
            "product": line.product_id.display_name,
            "quantity": f"{exact(line.product_uom_qty)} {line[SOL_UOM].name}",
            "price": formatLang(self.env, line.price_unit, currency_obj=line.currency_id),
            "taxes": ", ".join(line[SOL_TAXES].mapped("name")),
            "total": formatLang(self.env, line.price_total, currency_obj=line.currency_id),
        }

    def _describe_customer(self, sale, before, chosen):
        """Tell who the customer is, how it was found, and what was noted about the order."""
        partner = sale.partner_id
        notes = [html2plaintext(note.body) for note in sale.message_ids - before["notes"] if note.body]
        found = self._found(partner, before, chosen)
        return {"customer": partner.display_name, "found": found, "notes": notes}

    def _found(self, partner, before, chosen):
        """Tell by what the customer was found."""
        if before["sale"]:
            return _("the order's")
        if partner.id > before["newest"]:
            return _("new")
        if partner == chosen:
            return _("chosen by a person")
        if partner in before["known"]:
            return _("known by the marketplace's id")
        keys = dict(self._fields["customer_key"]._description_selection(self.env))
        return _("known by %s", keys[self.customer_key])
