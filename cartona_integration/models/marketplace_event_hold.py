from dataclasses import replace

from odoo import _, api, fields, models

from ..dialects import payload
from ..dialects.words import STATUSES
from .marketplace_order_goods import BY_BARCODE, BY_ID

# What the content of a message is when it was deleted, see keep_payload_days.
PURGED = "{}"


class MarketplaceEventHold(models.Model):
    """One thing a message on hold misses."""

    _name = "marketplace.event.hold"
    _description = "Missing for a Marketplace Message"

    event_id = fields.Many2one("marketplace.event", required=True, ondelete="cascade", index=True)
    kind = fields.Selection(
        [
            ("product", "Product"),
            ("tax", "Tax"),
            ("currency", "Currency"),
            ("customer", "Customer"),
            ("total", "Total"),
            ("message", "Readable message"),
            ("account", "Account"),
            ("shipped", "Decision on a shipped order"),
            ("return", "Return of the goods"),
            ("changed", "Decision on a changed order"),
            ("order", "Order"),
            ("later", "A later message"),
        ],
        required=True,
    )
    key = fields.Char(required=True, index=True)
    external_id = fields.Char(
        string="Listing Id", readonly=True, help="The listing a product's line named beside the key."
    )
    amount = fields.Monetary(readonly=True, help="The order's total, as far as it can be read.")
    currency_id = fields.Many2one("res.currency", readonly=True)

    @api.model
    def _open_keys(self, account, kind):
        """Give the distinct keys of a kind that messages of the account wait for."""
        return [key for [key] in self._read_group(self._open_domain(account, kind), ["key"])]

    @api.model
    def _open_domain(self, account, kind):
        return [
            ("event_id.account_id", "=", account.id),
            ("event_id.state", "=", "hold"),
            ("kind", "=", kind),
        ]

    @api.model
    def _found_goods(self, account):
        """Give the messages that wait for goods the processor, by its own decision, finds now.

        Anything else than its decision would put what it holds back into the queue for ever.
        """
        processor = self.env["marketplace.order.processor"]
        waiting = {
            processor._line_of(key, external_id): events
            for key, external_id, events in self._read_group(
                self._open_domain(account, "product"), ["key", "external_id"], ["event_id:recordset"]
            )
        }
        goods = processor._find_goods(account, waiting)
        found = [events for line, events in waiting.items() if goods[line].is_clear]
        return self.env["marketplace.event"].union(*found)

    @api.model
    def _waiting(self, account, kind, keys):
        """Give the messages that wait for one of the keys."""
        domain = [
            ("kind", "=", kind),
            ("key", "in", keys),
            ("event_id.account_id", "=", account.id),
        ]
        return self.search(domain).event_id.filtered(lambda event: event.state == "hold")

    @api.model
    def _resume(self, account, kind, keys):
        """Put the messages back into the queue that wait for one of the keys."""
        events = self._waiting(account, kind, keys)
        if events:
            events._reset()

    @api.model
    def _wake_waiting(self, kind, keys):
        """Wake the imports of accounts whose messages wait for one of the keys.

        Superuser: whoever enters what was missing needs no rights on the inbox.
        """
        if keys:
            holds = self.sudo().search([("kind", "=", kind), ("key", "in", list(keys))])
            holds.event_id.account_id._wake("import")


class MarketplaceEvent(models.Model):
    """How messages on hold go on, each by what it waits for."""

    _inherit = "marketplace.event"

    is_customer_unclear = fields.Boolean(compute="_compute_is_customer_unclear")

    @api.model
    def _resume_holds(self, account):
        """Let messages go on for which what they missed is there now."""
        holds = self.env["marketplace.event.hold"]
        if events := holds._found_goods(account):
            events._reset()
        for kind, find in (
            ("currency", self._active_currencies),
            ("tax", self._mapped_rates),
            ("customer", self._single_customers),
            ("return", self._returned_orders),
        ):
            if keys := holds._open_keys(account, kind):
                holds._resume(account, kind, find(account, keys))

    def _hand_over(self, account):
        """Let messages on hold go on, with the account of their token that they are for."""
        own = self.filtered(lambda event: event.account_id == account)
        if own:
            own._reset()
        for event in self - own:
            data = payload.loads(event.payload.encode())
            messages = account._dialect(event.dialect).split(event.topic, data)
            messages = [replace(message, dialect=event.dialect or None) for message in messages]
            # The same store as always: what that account has already stays there once.
            self._store(account, messages, event.origin)
            event._close("ignored", _("It is for the account %s.", account.name))
            account._wake("import")

    @api.model
    def _resume_kind(self, account, kind):
        """Look anew at all that waits for this kind of thing: a setting that decides on it has changed."""
        holds = self.env["marketplace.event.hold"]
        if keys := holds._open_keys(account, kind):
            holds._resume(account, kind, keys)

    @api.model
    def _hurry(self, account):
        """Have messages that wait for their time looked at now: what they wait for may not count any more."""
        domain = [("account_id", "=", account.id), ("state", "=", "new"), ("next_try", "!=", False)]
        if waiting := self.search(domain):
            waiting._reset()

    def _active_currencies(self, account, codes):
        return self.env["res.currency"].search([("name", "in", codes)]).mapped("name")

    def _mapped_rates(self, account, keys):
        rate_key = self.env["marketplace.order.processor"]._rate_key
        return list({rate_key(mapping.rate) for mapping in account.tax_rate_ids} & set(keys))

    def _single_customers(self, account, keys):
        """Give the customers that are clear by the processor's own decision, see ``_found_goods``.

        Contacts that are merged, archived or corrected wake nobody: the sweep looks every minute.
        """
        domain = self.env["marketplace.event.hold"]._open_domain(account, "customer")
        newest = self.env["marketplace.event.hold"]._read_group(domain, ["key"], ["event_id:max"])
        events = self.browse(event_id for key, event_id in newest if key in set(keys))
        orders = [event._lenient_order() for event in events]
        processor = self.env["marketplace.order.processor"]
        return processor._clear_customers(account, list(filter(None, orders)))

    def _returned_orders(self, account, keys):
        """Give the orders whose goods are all back."""
        orders = self.env["sale.order"].search(
            [("marketplace_config_id", "=", account.id), ("cartona_id", "in", keys)]
        )
        return [
            order.cartona_id
            for order in orders
            if not any(line._is_with_customer() for line in order.order_line)
        ]

    def _hold(self, hold):
        """Have statuses say what they wait for now: the customer, or a person who decides on this."""
        super()._hold(hold)
        steps = self.sale_order_id.marketplace_step_ids
        steps.filtered(lambda step: step.state == "hold")._follow_marketplace()

    # -- by a person --------------------------------------------------------------------------

    def _ignore(self, reason=None):
        """Let what waited for the customer go on: that he has finished is so, whatever he has changed."""
        super()._ignore(reason)
        for event in self.sudo():
            order = event.sale_order_id
            if event.status in STATUSES and event in order._marketplace_edits_told():
                order.marketplace_reported_status = event.status
                order.marketplace_step_ids._follow_marketplace()

    def action_ask_reason(self):
        """Ask why the messages are ignored."""
        return self._open_wizard("marketplace.ignore", _("Ignore"), {"default_event_ids": self.ids})

    def action_choose_customer(self):
        """Ask which contact the customer is."""
        self.ensure_one()
        return self._open_wizard(
            "marketplace.customer.chooser", _("Choose the Customer"), {"default_event_id": self.id}
        )

    def _open_wizard(self, model, name, context):
        return {
            "type": "ir.actions.act_window",
            "name": name,
            "res_model": model,
            "views": [(False, "form")],
            "target": "new",
            "context": context,
        }

    @api.depends("hold_ids.kind")
    def _compute_is_customer_unclear(self):
        for event in self:
            event.is_customer_unclear = event.state == "hold" and "customer" in event.hold_ids.mapped("kind")

    def _customer_candidates(self):
        """Give the contacts that may be the customer of an order on hold for that.

        Superuser: whoever looks after the inbox need not see all contacts, but has to choose among these.
        """
        event = self.sudo()
        order = event._lenient_order()
        if not order:
            return self.env["res.partner"]
        found = event.env["marketplace.order.processor"]._find_candidates(event.account_id, [order])
        return self.env["res.partner"].union(*(partners for each in found for partners in each.values()))

    def _choose_customer(self, partner):
        """Take a contact for the customer, and let what waited for that go on. Superuser: see above."""
        self._check_open()
        event = self.sudo()
        order, account = event._lenient_order(), event.account_id
        key = order and account._customer_key(order.customer)
        others = partner.sudo()._find_marketplace_customers({key}, account.company_id)[key]
        if key and not partner.sudo().cartona_id and not others:
            partner.sudo().cartona_id = key
        event.customer_id = partner
        event._reset()
        if key:
            event.env["marketplace.event.hold"]._resume(account, "customer", [key])

    @api.autovacuum
    def _gc_payloads(self):
        """Delete the content of messages that are settled for long, in portions; the rest of them stays."""
        self.env.cr.execute(
            """
            UPDATE marketplace_event SET payload = %s WHERE id IN (
                SELECT event.id FROM marketplace_event event
                  JOIN marketplace_config account ON account.id = event.account_id
                 WHERE event.state IN ('done', 'ignored') AND event.payload != %s
                   AND account.keep_payload_days > 0
                   AND event.write_date
                       < now() AT TIME ZONE 'UTC' - account.keep_payload_days * interval '1 day'
                 LIMIT 10000)
            """,
            [PURGED, PURGED],
        )
        self.invalidate_model(["payload"])


class MarketplaceBlockage(models.Model):
    """What is missing, how many orders wait for it and what these are worth."""

    _name = "marketplace.blockage"
    _description = "What Blocks Marketplace Orders"
    _auto = False
    _order = "order_count desc, amount desc, id"
    _rec_name = "key"

    account_id = fields.Many2one("marketplace.config", readonly=True)
    company_id = fields.Many2one("res.company", readonly=True)
    kind = fields.Selection(
        selection=lambda self: self.env["marketplace.event.hold"]._fields["kind"].selection,
        string="Missing",
        readonly=True,
    )
    key = fields.Char(readonly=True)
    order_count = fields.Integer(string="Orders", readonly=True)
    amount = fields.Monetary(readonly=True)
    currency_id = fields.Many2one("res.currency", readonly=True)
    since = fields.Datetime(readonly=True)

    @property
    def _table_query(self):
        return """
            SELECT min(hold.id) AS id, event.account_id, account.company_id, hold.kind, hold.key,
                   hold.currency_id, count(DISTINCT event.external_order_id) AS order_count,
                   sum(hold.amount) AS amount, min(event.create_date) AS since
              FROM marketplace_event_hold hold
              JOIN marketplace_event event ON event.id = hold.event_id AND event.state = 'hold'
              JOIN marketplace_config account ON account.id = event.account_id
          GROUP BY event.account_id, account.company_id, hold.kind, hold.key, hold.currency_id
        """

    def action_view_messages(self):
        """Open the messages that wait for it."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("cartona_integration.action_marketplace_event")
        domain = [
            ("account_id", "=", self.account_id.id),
            ("state", "=", "hold"),
            ("hold_ids.kind", "=", self.kind),
            ("hold_ids.key", "=", self.key),
        ]
        return {**action, "domain": domain, "context": {}}

    def action_mend(self):
        """Open where it is mended; what only a look at the messages shows, there."""
        self.ensure_one()
        if self.kind in ("tax", "account", "shipped", "total"):
            return self.account_id.action_open_account()
        if self.kind == "product":
            return self._mend_product()
        if self.kind == "currency":
            return self._open("res.currency", [("name", "=", self.key)], {"active_test": False})
        return self.action_view_messages()

    def _mend_product(self):
        if self.key.startswith(BY_ID):
            listing = self.key.removeprefix(BY_ID)
            return self._open(
                "marketplace.product.link",
                [("account_id", "=", self.account_id.id), ("external_id", "=", listing)],
                {"default_account_id": self.account_id.id, "default_external_id": listing},
            )
        if self.key.startswith(BY_BARCODE):
            return self._open("product.product", [], {"default_barcode": self.key.removeprefix(BY_BARCODE)})
        return self._open("product.product", [], {"default_cartona_id": self.key})

    def _open(self, model, domain, context):
        return {
            "type": "ir.actions.act_window",
            "name": _("Missing: %s", self.key),
            "res_model": model,
            "views": [(False, "list"), (False, "form")],
            "domain": domain,
            "context": context,
        }
