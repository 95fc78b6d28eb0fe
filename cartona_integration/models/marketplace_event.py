import re
from datetime import timedelta

from psycopg2 import IntegrityError, OperationalError

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..dialects import payload
from ..dialects.words import GONE, ORDERS, OTHER, STATUS, StatusChange
from ..exceptions import Hold, Holds, NotYet, PayloadError, Unwanted
from .indexes import ensure_indexes
from .marketplace_traffic import is_conflict
from .marketplace_work_mixin import OPEN, STOPPED

MAX_KEY_LENGTH = 256
# Kinds of holds that end with the next message of the order, and how long that may take.
SETTLED_BY_NEWS = ["later", "order"]
PATIENCE = timedelta(days=1)


class MarketplaceEvent(models.Model):
    """The inbox: one message of a marketplace as it came in, and what became of it."""

    _name = "marketplace.event"
    _description = "Marketplace Message"
    _inherit = "marketplace.work.mixin"
    _order = "id desc"

    _work_kind = "import"
    _help_cause = "messages"

    topic = fields.Selection(
        [(ORDERS, "Order"), (STATUS, "Status"), (OTHER, "Other")], required=True, readonly=True
    )
    origin = fields.Selection(
        [("webhook", "Webhook"), ("pull", "Pull"), ("manual", "Fetched by hand"), ("file", "File")],
        required=True,
        readonly=True,
    )
    delivery_id = fields.Char(required=True, readonly=True, help="Unique per account and topic.")
    digest = fields.Char(required=True, readonly=True, help="Of the message's content.")
    status = fields.Char(string="Marketplace Status", readonly=True)
    status_label = fields.Char(string="Status", compute="_compute_status_label")
    modified_at = fields.Datetime(readonly=True, help="When the marketplace last changed the order (UTC).")
    dialect = fields.Char(
        string="Format",
        readonly=True,
        help="Of the content, if not the account's: a file may be in the neutral format.",
    )
    payload = fields.Text(
        required=True,
        readonly=True,
        groups="cartona_integration.group_marketplace_manager,"
        "cartona_integration.group_marketplace_integration",
    )
    hold_ids = fields.One2many("marketplace.event.hold", "event_id", readonly=True)
    is_given_up = fields.Boolean(
        compute="_compute_is_given_up", help="No order came of it, and none will unless a person says so."
    )
    sale_order_id = fields.Many2one("sale.order", ondelete="set null", readonly=True, index="btree_not_null")
    customer_id = fields.Many2one(
        "res.partner", readonly=True, ondelete="set null", help="The contact a person chose as the customer."
    )
    acknowledged_at = fields.Datetime(readonly=True)

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_event_identity_uniq"
            " ON marketplace_event (account_id, topic, delivery_id)",
            "CREATE INDEX marketplace_event_order ON marketplace_event (external_order_id, account_id)",
            "CREATE INDEX marketplace_event_open"
            " ON marketplace_event (account_id, state, id) WHERE state IN ('new', 'hold', 'failed')",
        )

    @api.depends("topic", "external_order_id")
    @api.depends_context("lang")
    def _compute_display_name(self):
        labels = dict(self._fields["topic"]._description_selection(self.env))
        for event in self:
            event.display_name = f"{event.external_order_id or '?'} ({labels.get(event.topic)})"

    @api.depends("status")
    @api.depends_context("lang")
    def _compute_status_label(self):
        """Say it in the reader's language; a word we do not know is shown as it is."""
        labels = dict(self.env["sale.order"]._fields["marketplace_status"]._description_selection(self.env))
        for event in self:
            event.status_label = labels.get(event.status, event.status)

    def action_open_order(self):
        """Open the order the message became."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "sale.order",
            "res_id": self.sale_order_id.id,
            "views": [(False, "form")],
        }

    def action_process_again(self):
        """Try once more, also what was ignored by mistake, or whose order was deleted since.

        :raise UserError: it is settled, or the order's newest message is another one
        """
        again = self.filtered(lambda event: event.is_given_up)
        if any(event._is_replaced() for event in again):
            raise UserError(_("A newer message of the order came in: process that one again."))
        again._reset()
        return super(MarketplaceEvent, self - again).action_process_again()

    @api.depends("state", "topic", "sale_order_id")
    def _compute_is_given_up(self):
        # Superuser: an order that is out of the user's sight is an order.
        orders = self.env["sale.order"].sudo()
        for event in self:
            event.is_given_up = (
                event.topic == ORDERS
                and event.state in ("done", "ignored")
                and not event.sale_order_id
                and not orders._find_marketplace_order(event.account_id, event.external_order_id)
            )

    @api.model
    def _problem_domain(self):
        """Describe what needs a person; what another message settles by itself does so after a day only."""
        return [
            "|",
            ("state", "=", "failed"),
            "&",
            ("state", "=", "hold"),
            "|",
            ("create_date", "<", fields.Datetime.now() - PATIENCE),
            "|",
            ("hold_ids", "=", False),
            ("hold_ids.kind", "not in", SETTLED_BY_NEWS),
        ]

    def _is_replaced(self):
        """Tell whether a newer message tells the whole order, and nobody has ignored it."""
        return bool(
            self.search_count(
                [
                    ("account_id", "=", self.account_id.id),
                    ("external_order_id", "=", self.external_order_id),
                    ("topic", "=", ORDERS),
                    ("state", "!=", "ignored"),
                    ("id", ">", self.id),
                ],
                limit=1,
            )
        )

    def _reset(self):
        """Put messages back into the queue. Superuser: users have no write access to the inbox."""
        self.sudo().hold_ids.unlink()
        super()._reset()

    # -- processing ---------------------------------------------------------------------------

    @api.model
    def _claim(self, account, limit):
        """Count a try on the next messages and give their ids.

        A message that was tried before goes alone: if it kills its worker, no other is counted with it.
        """
        events = self.search(self._waiting_domain(account), order="id", limit=limit)
        events = events[:1] if events[:1].tries else events.filtered(lambda event: not event.tries)
        for event in events:
            event.tries += 1
        return events.ids

    def _process_all(self):
        """Process claimed messages: the first of each new order together, then the others one by one.

        The messages of one order keep their order.
        """
        first = self._first_of_new_orders()
        first._process()
        for event in self - first:
            event._process()

    def _first_of_new_orders(self):
        """Give the messages that tell of an order of which nothing else is here or open."""
        heads = self.browse()
        seen = set()
        for event in self.filtered("external_order_id"):
            if event.external_order_id not in seen and event.topic == ORDERS and event._may_be_tried():
                heads |= event
            seen.add(event.external_order_id)
        if len(heads) < 2:
            return self.browse()
        order_ids = heads.mapped("external_order_id")
        account = heads.account_id
        orders = self.env["sale.order"]._find_marketplace_orders(account, order_ids)
        open_ones = self.search(
            [
                ("account_id", "=", account.id),
                ("external_order_id", "in", order_ids),
                ("topic", "=", ORDERS),
                ("state", "in", OPEN),
                ("id", "not in", heads.ids),
            ]
        )
        ids = {event.external_order_id: event.id for event in heads}
        known = set(orders.mapped("cartona_id"))
        known |= {event.external_order_id for event in open_ones if event.id < ids[event.external_order_id]}
        return heads.filtered(lambda event: event.external_order_id not in known)

    def _may_be_tried(self):
        return self.state in ("new", "failed") and self.tries <= self.account_id.retry_attempts

    def _process(self):
        """Turn messages into business records, and keep the outcome, whatever it is.

        It is one message of any kind, or several that each are all there is of an order: these share a
        savepoint, and are split when it fails.
        """
        if len(self) <= 1 and not self._is_alive():
            return
        orders, error = self._attempt(self._apply_all)
        if isinstance(error, Holds):
            self._hold_some(error.by_order)
        elif error:
            self._split(error)
        else:
            self._settle_all(orders)

    def _attempt(self, method):
        """Call a method in a savepoint of its own.

        The one broad ``except`` of the inbound direction: a bug on one message must not stop the others.

        :return: (what it returns, None), or (None, its error)
        :raise OperationalError, IntegrityError: a conflict, which whoever opened the transaction repeats
        """
        try:
            with self.env.cr.savepoint():
                return method(), None
        except (OperationalError, IntegrityError) as error:
            if is_conflict(error):
                raise
            return None, error
        except Exception as error:
            return None, error

    def _is_alive(self):
        """Tell whether the message is to be processed, and give it up after too many tries."""
        if not self or self.state not in ("new", "failed"):
            return False
        if self._may_be_tried():
            return True
        self._give_up(_("Processing did not come to an end %s times.", self.tries - 1))
        return False

    def _split(self, error):
        """Find the bad one of several: its quarter fails again, the others are done. Alone it has failed."""
        if len(self) == 1:
            self._fail(error)
            return
        size = max(1, -(-len(self) // 4))
        for start in range(0, len(self), size):
            self[start : start + size]._process()

    def _apply_all(self):
        """Do what the messages say.

        :return: {event: its sale order; a false value for a message that is older than what we know}
        :raise Holds: some need a person, or a later message; nothing counts that was done
        """
        holds, orders, found = Holds(), {}, {}
        for event in self:
            with holds.of(event):
                if len(self) == 1:
                    found[event] = event._apply()
                else:
                    orders[event] = event._parse()
        holds.check()
        if orders:
            found = self._import_new(orders)
        return found

    def _import_new(self, orders):
        """Import orders that are not here.

        :param dict orders: {event: Order}
        """
        ids = {order.id: event for event, order in orders.items()}
        try:
            sales = self.env["marketplace.order.processor"]._create_all(
                self.account_id, list(orders.values()), self._chosen()
            )
        except Holds as holds:
            raise holds.under({order_id: ids[order_id].id for order_id in holds.by_order}) from None
        return {ids[order_id]: sale for order_id, sale in sales.items()}

    def _chosen(self):
        """Give {order id: the contact a person chose as its customer}."""
        return {event.external_order_id: event.customer_id for event in self if event.customer_id}

    def _parse(self):
        """Parse the message.

        :raise Hold: it has not the shape its dialect promises
        """
        try:
            return self.account_id._parse(self.topic, payload.loads(self.payload.encode()), self.dialect)
        except PayloadError as error:
            raise self._payload_hold(error) from None

    def _parse_ending(self):
        """Give the StatusChange of an order here that is over, whatever of its message cannot be read."""
        if self.status not in GONE or not self.env["sale.order"]._find_marketplace_order(
            self.account_id, self.external_order_id
        ):
            return None
        try:
            return self.account_id._parse(STATUS, payload.loads(self.payload.encode()), self.dialect)
        except PayloadError:
            return None

    def _apply(self):
        """Do what one message says.

        :return: the sale order, or a false value for a message that is older than what we know
        :raise Hold: a person, or a later message, is needed
        """
        if self.topic == OTHER:
            raise Unwanted(_("Of a kind that is not used."))
        processor = self.env["marketplace.order.processor"]
        try:
            value = self._parse()
        except Hold:
            value = self._parse_ending()
            if not value:
                raise
        if not self._is_news(value):
            return None
        if isinstance(value, StatusChange):
            self._check_not_ignored()
            return processor._change_status(self.account_id, value)
        return processor._import(self.account_id, value, self._chosen())

    # -- outcomes -----------------------------------------------------------------------------

    def _hold_some(self, holds):
        """Park those that cannot be imported, each for its own reason; the others go on without them.

        :param dict holds: {event id: Hold}
        """
        for event in self.filtered(lambda event: event.id in holds):
            event._park(holds[event.id])
        if rest := self.filtered(lambda event: event.id not in holds):
            rest._process()

    def _park(self, hold):
        """Leave a message for a time, a person or for ever, as its hold says."""
        if isinstance(hold, NotYet):
            self._close("new", hold.reason, tries=0)
            self.next_try = hold.until
            self._replace_older()
            self._keep_wanted()
        elif isinstance(hold, Unwanted):
            self._close("ignored", hold.reason)
            self._replace_older()
            self._resume_statuses()
            self._mind_feed()
        else:
            self._hold(hold)

    def _settle_all(self, orders):
        """Close processed messages.

        :param dict orders: {event: its sale order, a false value for an old message}
        """
        done = self.filtered(orders.get)
        done._close("done")
        done._keep_orders(orders)
        (self - done)._close("ignored", _("Older than what is known of the order."))
        self[:1]._mind_feed()
        if len(self) == 1:
            done._replace_older()
        done._resume_statuses()

    def _keep_orders(self, orders):
        """Keep which orders messages became, with one statement: the ORM takes one for each.

        :param dict orders: {event: its sale order}
        """
        self.env.cr.execute(
            "UPDATE marketplace_event event SET sale_order_id = found.order_id"
            " FROM unnest(%s::int[], %s::int[]) AS found (event_id, order_id)"
            " WHERE event.id = found.event_id",
            [self.ids, [orders[event].id for event in self]],
        )
        self.invalidate_recordset(["sale_order_id"], flush=False)
        names = ["marketplace_event_ids", "marketplace_sync_status", "marketplace_error_message"]
        self.sale_order_id.invalidate_recordset(names, flush=False)

    def _fail(self, error):
        """Keep the failure. The marketplace has sold the goods all the same: they are not for sale here."""
        super()._fail(error)
        self._keep_wanted()

    def _ignore(self, reason=None):
        """Close what nobody will need, and the statuses that waited for it."""
        super()._ignore(reason)
        self._resume_statuses()

    def _resume_statuses(self):
        """Put the statuses back into the queue that waited for these orders.

        Superuser: people who ignore an order have no write access to the inbox.
        """
        holds = self.env["marketplace.event.hold"].sudo()
        orders = self.filtered(lambda event: event.topic == ORDERS)
        for account, events in orders.grouped("account_id").items():
            holds._resume(account, "order", events.mapped("external_order_id"))

    def _close(self, state, reason=False, **values):
        self.hold_ids.unlink()
        for event in self:
            event._keep_back({})
        if state in STOPPED and self.external_order_id:
            known = self.env["sale.order"]._find_marketplace_order(self.account_id, self.external_order_id)
            values = {"sale_order_id": known.id, **values}
        super()._close(state, reason, **values)

    def _hold(self, hold):
        """Park the message until what it misses appears."""
        self._close("hold", hold.reason, tries=0)
        self.remedy = hold.remedy
        self.env["marketplace.event.hold"].create(
            [
                {
                    "event_id": self.id,
                    "kind": kind,
                    "key": key[:MAX_KEY_LENGTH],
                    "external_id": listing[0] if listing else False,
                    **self._worth(),
                }
                for kind, key, *listing in hold.keys
            ]
        )
        # What cannot be read replaces nothing, the older one may be all there ever is of the order; but that
        # the order is over can always be read.
        if self.status in GONE or all(kind != "message" for kind, *_key in hold.keys):
            self._replace_older()
        if self.topic == STATUS:
            # The list may show an order that no webhook brought, or that waited for this very status.
            self.account_id._ask_feed()
        else:
            self._keep_wanted()
            if self.account_id.acknowledge_holds:
                self._mind_feed()

    def _worth(self):
        """Give what the order is worth, as far as it can be read."""
        order = self._lenient_order()
        if not order:
            return {}
        currencies = self.env["res.currency"].with_context(active_test=False)
        currency = order.currency and currencies.search([("name", "=", order.currency)])
        return {
            "amount": float(order.total),
            "currency_id": (currency or self.account_id.currency_id).id,
        }

    def _lenient_order(self):
        """Give the Order the message tells, None for a status or for what cannot be read."""
        try:
            return self._parse() if self.topic == ORDERS else None
        except Hold:
            return None

    def _payload_hold(self, error):
        return Hold(
            self.account_id._describe(error),
            _("Ask the marketplace to correct the order, then process it again."),
            [("message", re.sub(r"\[\d+\]", "[]", error.path))],
        )

    def _mind_feed(self):
        """Have the order leave a feed that is drained by acknowledging: the next reading sees to it."""
        if self.account_id._dialect().can_acknowledge:
            self.account_id._ask_feed()
