from collections import Counter, defaultdict

from psycopg2 import IntegrityError, OperationalError
from psycopg2.errors import UniqueViolation

from odoo import _, api, fields, models

from ..dialects import payload
from ..dialects.base import ORDERS, STATUS, STATUSES
from ..exceptions import Hold, PayloadError
from .marketplace_mark import STOCK
from .marketplace_traffic import is_conflict
from .marketplace_work_mixin import OPEN, STOPPED

MAX_ID_LENGTH = 128
# Origins that tell what the marketplace shows at that moment.
READINGS = ("pull", "manual")


class MarketplaceEvent(models.Model):
    """The inbox: one message of a marketplace as it came in, and what became of it."""

    _name = "marketplace.event"
    _description = "Marketplace Message"
    _inherit = "marketplace.work.mixin"
    _order = "id desc"

    _work_kind = "import"
    _help_cause = "messages"

    topic = fields.Selection([(ORDERS, "Order"), (STATUS, "Status")], required=True, readonly=True)
    origin = fields.Selection(
        [("webhook", "Webhook"), ("pull", "Pull"), ("manual", "Fetched by hand"), ("file", "File")],
        required=True,
        readonly=True,
    )
    delivery_id = fields.Char(required=True, readonly=True, help="Unique per account and topic.")
    digest = fields.Char(required=True, readonly=True, help="Of the message's content.")
    status = fields.Char(string="Marketplace Status", readonly=True)
    modified_at = fields.Datetime(readonly=True, help="When the marketplace last changed the order (UTC).")
    payload = fields.Text(
        required=True,
        readonly=True,
        groups="cartona_integration.group_marketplace_manager,"
        "cartona_integration.group_marketplace_integration",
    )
    hold_ids = fields.One2many("marketplace.event.hold", "event_id", readonly=True)
    held_quantities = fields.Json(
        readonly=True,
        help="{product id: quantity} an order on hold wants of products we know: not for sale meanwhile.",
    )
    sale_order_id = fields.Many2one("sale.order", ondelete="set null", readonly=True, index="btree_not_null")
    acknowledged_at = fields.Datetime(readonly=True)

    def init(self):
        super().init()
        for statement in (
            "CREATE UNIQUE INDEX IF NOT EXISTS marketplace_event_identity_uniq"
            " ON marketplace_event (account_id, topic, delivery_id)",
            "CREATE INDEX IF NOT EXISTS marketplace_event_order"
            " ON marketplace_event (external_order_id, account_id)",
            "CREATE INDEX IF NOT EXISTS marketplace_event_held"
            " ON marketplace_event (account_id) WHERE held_quantities IS NOT NULL",
            "CREATE INDEX IF NOT EXISTS marketplace_event_open"
            " ON marketplace_event (account_id, state, id) WHERE state IN ('new', 'hold', 'failed')",
        ):
            self.env.cr.execute(statement)

    @api.depends("topic", "external_order_id")
    def _compute_display_name(self):
        for event in self:
            event.display_name = f"{event.external_order_id or '?'} ({event.topic})"

    def action_open_order(self):
        """Open the order the message became."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "sale.order",
            "res_id": self.sale_order_id.id,
            "views": [(False, "form")],
        }

    def _reset(self):
        """Put messages back into the queue. Superuser: users have no write access to the inbox."""
        self.sudo().hold_ids.unlink()
        super()._reset()

    # -- storing ------------------------------------------------------------------------------

    @api.model
    def _store(self, account, messages, origin):
        """Keep messages, each once.

        A content that was seen before is a repeat, with one exception: a reading that brings back an older
        content without a modification time tells that the order went A → B → A.

        :param messages: iterable of :class:`~..dialects.base.Message`
        :param str origin: one of the field's values
        :return: Counter of ``new`` orders, ``changed`` ones, and ``known`` messages
        """
        seen = self._seen_digests(account, messages)
        counts = Counter()
        for message in messages:
            digests = seen[message.topic, message.order_id]
            digest = payload.digest(message.payload)
            known = digests[-1:] if origin in READINGS and not message.modified_at else digests
            if digest not in known and self._insert(account, message, origin, digest, len(digests)):
                counts["changed" if digests else "new"] += 1
                digests.append(digest)
                continue
            counts["known"] += 1
            if origin == "webhook" and digests and digest != digests[-1]:
                account._ask_feed()
        return counts

    def _seen_digests(self, account, messages):
        """Give {(topic, order id): [digests, oldest first]} of what is stored."""
        seen = defaultdict(list)
        self.env.cr.execute(
            "SELECT topic, external_order_id, array_agg(digest ORDER BY id) FROM marketplace_event"
            " WHERE account_id = %s AND external_order_id = ANY(%s) GROUP BY 1, 2",
            [account.id, [message.order_id for message in messages if message.order_id]],
        )
        for topic, order_id, digests in self.env.cr.fetchall():
            seen[topic, order_id] = digests
        return seen

    def _insert(self, account, message, origin, digest, number):
        """Insert one row.

        :param int number: how many states of the order are stored
        :return: False when the very same message was stored meanwhile
        """
        attributed = message.order_id and len(message.order_id) <= MAX_ID_LENGTH
        order_id = message.order_id if attributed else None
        values = {
            "account_id": account.id,
            "topic": message.topic,
            "origin": origin,
            "external_order_id": order_id,
            "delivery_id": message.delivery_id or self._delivery_id(order_id, number, digest),
            "digest": digest,
            "status": message.status,
            "modified_at": message.modified_at and message.modified_at.replace(tzinfo=None),
            "payload": payload.dumps(message.payload),
            "state": "new",
            "tries": 0,
            "create_uid": account.user_id.id,
            "write_uid": account.user_id.id,
        }
        columns = ", ".join(values)
        holes = ", ".join(["%s"] * len(values))
        query = (
            f"INSERT INTO marketplace_event ({columns}, create_date, write_date)"
            f" VALUES ({holes}, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')"
        )
        try:
            with self.env.cr.savepoint(flush=False):
                self.env.cr.execute(query, list(values.values()), log_exceptions=False)
        except UniqueViolation:
            return False
        return True

    def _delivery_id(self, order_id, number, digest):
        """Name a state of an order; what cannot be attributed to one has no states to count."""
        return f"{order_id}:{number}:{digest[:16]}" if order_id else f"?:{digest}"

    @api.model
    def _settled(self, account, messages):
        """Tell which orders are here in the very state the messages show, with nothing left to do.

        :return: {order id: event id}
        """
        self.env.cr.execute(
            "SELECT DISTINCT ON (external_order_id) external_order_id, id, state, digest"
            " FROM marketplace_event WHERE account_id = %s AND topic = %s AND external_order_id = ANY(%s)"
            " ORDER BY external_order_id, id DESC",
            [account.id, ORDERS, [message.order_id for message in messages if message.order_id]],
        )
        shown = {(message.order_id, payload.digest(message.payload)) for message in messages}
        return {
            order_id: event_id
            for order_id, event_id, state, digest in self.env.cr.fetchall()
            if state in ("done", "ignored") and (order_id, digest) in shown
        }

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

    def _process(self):
        """Turn one message into business records, and keep the outcome, whatever it is.

        The one broad ``except`` of the inbound direction: a bug on one message must not stop the others.
        """
        if self.state not in ("new", "failed"):
            return
        if self.tries > self.account_id.retry_attempts:
            self._give_up(_("Processing did not come to an end %s times.", self.tries - 1))
            return
        try:
            with self.env.cr.savepoint():
                order = self._apply()
        except PayloadError as error:
            self._hold(self._payload_hold(error))
        except Hold as hold:
            self._hold(hold)
        except (OperationalError, IntegrityError) as error:
            if is_conflict(error):
                raise
            self._fail(error)
        except Exception as error:
            self._fail(error)
        else:
            self._settle(order)

    def _apply(self):
        """Do what the message says.

        :return: the sale order, or None for a message that is older than what we know
        :raise Hold: a person, or a later message, is needed
        :raise PayloadError: the message has not the shape its dialect promises
        """
        data = payload.loads(self.payload.encode())
        processor = self.env["marketplace.order.processor"]
        if self.topic == STATUS:
            change = self.account_id._dialect().parse_status(data)
            return self._is_news(change) and processor._change_status(self.account_id, change)
        order = self.account_id._dialect().parse_order(data)
        return self._is_news(order) and processor._import(self.account_id, order)

    def _is_news(self, value):
        """Compare an Order or StatusChange with what we know of its order."""
        order = self.env["sale.order"]._find_marketplace_order(self.account_id, value.id)
        known = order.marketplace_status, order.marketplace_modified_at
        if not order:
            held = self._older_open()[:1]
            known = held.status, held.modified_at
        if known[0] not in STATUSES:
            return True
        at = value.modified_at and value.modified_at.replace(tzinfo=None)
        return self.account_id._dialect().is_newer(*known, value.status, at)

    def _older_open(self):
        """Give earlier whole messages of the same order that are not settled, newest first."""
        if not self.external_order_id:
            return self.browse()
        return self.search(
            [
                ("account_id", "=", self.account_id.id),
                ("external_order_id", "=", self.external_order_id),
                ("topic", "=", ORDERS),
                ("state", "in", OPEN),
                ("id", "<", self.id),
            ]
        )

    # -- outcomes -----------------------------------------------------------------------------

    def _settle(self, order):
        if not order:
            self._close("ignored", _("Older than what is known of the order."))
        else:
            self._close("done", sale_order_id=order.id)
            self._replace_older()
            self._resume_waiting_for_order()
        self._mind_feed()

    def _close(self, state, reason=False, **values):
        self.hold_ids.unlink()
        self._keep_back({})
        if state in STOPPED and self.external_order_id:
            known = self.env["sale.order"]._find_marketplace_order(self.account_id, self.external_order_id)
            values = {"sale_order_id": known.id, **values}
        super()._close(state, reason, **values)

    def _hold(self, hold):
        """Park the message until what it misses appears."""
        self._close("hold", hold.reason, tries=0)
        self.remedy = hold.remedy
        self.env["marketplace.event.hold"].create(
            [{"event_id": self.id, "kind": kind, "key": key} for kind, key in hold.keys]
        )
        self._replace_older()
        if self.topic == ORDERS:
            self._keep_back(self._wanted_quantities())

    def _wanted_quantities(self):
        """Give {product id: quantity} the order wants of products we know, as far as it can be read."""
        try:
            order = self.account_id._dialect().parse_order(payload.loads(self.payload.encode()))
        except PayloadError:
            return {}
        return self.env["marketplace.order.processor"]._wanted_quantities(self.account_id, order)

    def _keep_back(self, quantities):
        """Take what an order on hold wants off what is offered, or give it free again."""
        before = self.held_quantities or {}
        if quantities != before:
            products = self.env["product.product"].browse({int(key) for key in (*before, *quantities)})
            self.held_quantities = quantities or False
            self.env["marketplace.mark"].sudo()._note(STOCK, products)

    def _payload_hold(self, error):
        reason = _(
            "%(path)s: %(expected)s expected, found %(found)s",
            path=error.path,
            expected=error.expected,
            found=error.found,
        )
        return Hold(
            payload.printable(reason),
            _("Ask the marketplace to correct the order, then process it again."),
        )

    def _replace_older(self):
        """Close earlier messages of the order: this one tells the whole order anew."""
        if self.topic == ORDERS:
            for event in self._older_open():
                event._close("ignored", _("A newer message of the order came in."))

    def _mind_feed(self):
        """Have the order leave a feed that is drained by acknowledging: the next reading sees to it."""
        if self.account_id._dialect().can_acknowledge:
            self.account_id._ask_feed()

    # -- resuming -----------------------------------------------------------------------------

    def _hand_over(self, account):
        """Let messages on hold go on, with the account of their token that they are for."""
        own = self.filtered(lambda event: event.account_id == account)
        if own:
            own._reset()
        for event in self - own:
            messages = account._dialect().split(event.topic, payload.loads(event.payload.encode()))
            # The same store as always: what that account has already stays there once.
            self._store(account, messages, event.origin)
            event._close("ignored", _("It is for the account %s.", account.name))
            account._wake("import")

    def _resume_waiting_for_order(self):
        """Let status messages go on that came before their order."""
        self.env["marketplace.event.hold"]._resume(self.account_id, "order", [self.external_order_id])

    @api.model
    def _resume_holds(self, account):
        """Let messages go on whose missing products or currencies are there now."""
        holds = self.env["marketplace.event.hold"]
        if keys := holds._open_keys(account, "product"):
            holds._resume(account, "product", self._known_keys(account, keys))
        if codes := holds._open_keys(account, "currency"):
            active = self.env["res.currency"].search([("name", "in", codes)])
            holds._resume(account, "currency", active.mapped("name"))

    def _known_keys(self, account, keys):
        """Give the keys, or listing ids, that name one product now."""
        links = self.env["marketplace.product.link"]
        sources = (
            self.env["product.product"]._find_by_marketplace_key(account, keys),
            links._find_linked(account, "key", keys),
            links._find_linked(account, "external_id", keys),
        )
        return [key for key in keys if any(len(source[key]) == 1 for source in sources)]


class MarketplaceEventHold(models.Model):
    """One thing a message on hold misses."""

    _name = "marketplace.event.hold"
    _description = "Missing for a Marketplace Message"

    event_id = fields.Many2one("marketplace.event", required=True, ondelete="cascade", index=True)
    kind = fields.Selection(
        [
            ("product", "Product"),
            ("order", "Order"),
            ("account", "Account"),
            ("currency", "Currency"),
            ("total", "Total"),
            ("later", "A later message"),
        ],
        required=True,
    )
    key = fields.Char(required=True, index=True)

    @api.model
    def _open_keys(self, account, kind):
        """Give the distinct keys of a kind that messages of the account wait for."""
        domain = [
            ("event_id.account_id", "=", account.id),
            ("event_id.state", "=", "hold"),
            ("kind", "=", kind),
        ]
        return [key for [key] in self._read_group(domain, ["key"])]

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
