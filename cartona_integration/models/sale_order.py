from odoo import _, api, fields, models
from odoo.exceptions import AccessError

from ..compat import SOL_UOM
from ..dialects import words
from .indexes import ensure_indexes
from .marketplace_mark import RECOUNT
from .marketplace_order_processor import DATED
from .marketplace_work_mixin import OPEN, STOPPED
from .search import search_by

STATUS_LABELS = [
    (words.PENDING, "Pending"),
    (words.HELD, "Being edited"),
    (words.CONFIRMED, "Approved"),
    (words.PARTIALLY_SHIPPED, "Partially shipped"),
    (words.SHIPPED, "Shipped"),
    (words.DELIVERED, "Delivered"),
    (words.CANCELLED, "Cancelled"),
    (words.RETURNED, "Returned"),
]
# What our own stages are called over there.
STATUS_OF_STATE = {"sale": words.CONFIRMED, "cancel": words.CANCELLED}


class SaleOrder(models.Model):
    _inherit = "sale.order"

    marketplace_config_id = fields.Many2one(
        "marketplace.config",
        string="Marketplace Account",
        readonly=True,
        copy=False,
        ondelete="restrict",
        check_company=True,  # in another company the account would not find its order any more
    )
    cartona_id = fields.Char(
        string="Marketplace Order Id",
        readonly=True,
        copy=False,
        help="The order's identity over there.",
    )
    marketplace_order_number = fields.Char(
        readonly=True, copy=False, help="The number people see on the marketplace."
    )
    marketplace_reported_status = fields.Selection(
        STATUS_LABELS, readonly=True, copy=False, help="The last status the marketplace told us."
    )
    marketplace_status = fields.Selection(
        STATUS_LABELS,
        compute="_compute_marketplace_status",
        search="_search_marketplace_status",
        help="What the marketplace shows: what it told us last, or what it took from us since.",
    )
    marketplace_modified_at = fields.Datetime(readonly=True, copy=False)
    marketplace_event_ids = fields.One2many(
        "marketplace.event",
        "sale_order_id",
        readonly=True,
        groups="cartona_integration.group_marketplace_user",
    )
    marketplace_step_ids = fields.One2many(
        "marketplace.order.step",
        "sale_order_id",
        readonly=True,
        groups="cartona_integration.group_marketplace_user",
    )
    marketplace_sync_status = fields.Selection(
        [("pending", "Waiting"), ("synced", "In step"), ("error", "Needs attention")],
        compute="_compute_marketplace_sync_status",
        search="_search_marketplace_sync_status",
        help="Whether Odoo and the marketplace agree on the order.",
    )
    marketplace_error_message = fields.Char(compute="_compute_marketplace_sync_status")
    marketplace_remedy = fields.Char(compute="_compute_marketplace_sync_status")
    delivered_by = fields.Selection(
        [(words.BY_SELLER, "Us"), (words.BY_MARKETPLACE, "The marketplace")],
        readonly=True,
        copy=False,
    )
    marketplace_payment_method = fields.Char(readonly=True, copy=False)
    marketplace_delivery_otp = fields.Char(string="Delivery Code", copy=False)
    marketplace_told = fields.Json(
        readonly=True,
        copy=False,
        help="What the marketplace said last of what people may change here: it is written again only when "
        "the marketplace says something else.",
    )
    marketplace_note = fields.Text(string="Customer's Note", readonly=True, copy=False)
    marketplace_cancel_reason = fields.Char(
        copy=False, help="Told to the marketplace with our cancellation, where it takes such a reason."
    )
    marketplace_to_collect = fields.Monetary(
        string="To Collect as Told",
        readonly=True,
        copy=False,
        help="What the customer pays at the door, as the marketplace told it last.",
    )
    marketplace_receivable = fields.Monetary(
        string="Due from Marketplace",
        readonly=True,
        copy=False,
        help="What the marketplace owes us for this order: credit, instalments, its part of the discounts.",
    )
    marketplace_payable = fields.Monetary(
        string="Due to Marketplace",
        readonly=True,
        copy=False,
        help="What we owe the marketplace for this order, such as wallet top-ups collected at the door.",
    )

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX sale_order_marketplace_identity_uniq"
            " ON sale_order (marketplace_config_id, cartona_id)"
            " WHERE marketplace_config_id IS NOT NULL AND cartona_id IS NOT NULL",
        )

    @api.depends("marketplace_reported_status", "marketplace_step_ids.state")
    def _compute_marketplace_status(self):
        """Work it out. Superuser: whoever sees the order may know, without seeing steps and accounts."""
        for order in self:
            done = order.sudo().marketplace_step_ids.filtered(
                lambda step: step.state == "done" and step.kind == "status"
            )
            reported, account = order.marketplace_reported_status, order.sudo().marketplace_config_id
            order.marketplace_status = (
                account._dialect().shown(reported, done[-1:].status) if account else reported
            )

    @api.model
    def _search_marketplace_status(self, operator, value):
        """Search by it: by every way an order comes to show one of the wanted statuses."""
        wanted = set(value) if operator in ("in", "not in") else {value}
        ways = self.env["marketplace.config"]._ways_to_show(wanted)
        self.env["sale.order"].flush_model(["marketplace_reported_status", "marketplace_config_id"])
        self.env["marketplace.order.step"].sudo().flush_model()
        self.env.cr.execute(
            "SELECT sale.id FROM sale_order sale"
            " JOIN marketplace_config account ON account.id = sale.marketplace_config_id"
            # Joined: as a value it would be looked up for each of the ways.
            " LEFT JOIN LATERAL (SELECT step.status FROM marketplace_order_step step"
            " WHERE step.state = 'done' AND step.kind = 'status' AND step.sale_order_id = sale.id"
            " ORDER BY step.id DESC LIMIT 1) taken ON true"
            " WHERE (account.dialect, coalesce(sale.marketplace_reported_status, ''),"
            " coalesce(taken.status, '')) IN %s",
            [ways or (("", "", ""),)],
        )
        found = [("id", "in", [order_id for [order_id] in self.env.cr.fetchall()])]
        if False in wanted:
            found = ["|", ("marketplace_config_id", "=", False), *found]
        return found if operator in ("=", "in") else ["!", *found]

    @api.depends(
        "state",
        "marketplace_status",
        "picking_ids.state",
        "marketplace_event_ids.state",
        "marketplace_step_ids.state",
    )
    def _compute_marketplace_sync_status(self):
        """Read it from inbox, steps and deliveries.

        Superuser: whoever sees the order may know, without seeing these.
        """
        for order in self.sudo():
            events, steps = order.marketplace_event_ids, order.marketplace_step_ids
            # A step on hold goes on by itself when the marketplace's customer has finished.
            stopped = [work for work in events if work.state in STOPPED]
            stopped += [step for step in steps if step.state == "failed"]
            order.marketplace_error_message = stopped[0].reason if stopped else False
            order.marketplace_remedy = stopped[0].remedy if stopped else False
            if not order.marketplace_config_id:
                order.marketplace_sync_status = False
            elif stopped:
                order.marketplace_sync_status = "error"
            elif order._is_delivered_there_only():
                order.marketplace_sync_status = "error"
                order.marketplace_error_message = _(
                    "The marketplace shows the order as delivered, but its delivery is not validated here: "
                    "validate it, or clear it up with the marketplace."
                )
            else:
                waits = any(work.state in OPEN for work in (*events, *steps))
                order.marketplace_sync_status = "pending" if waits else "synced"

    def write(self, vals):
        """Have a marketplace told when one of its orders is confirmed or cancelled."""
        state = vals.get("state")
        moved = (
            self.filtered(lambda order: order.state != state) if state in STATUS_OF_STATE else self.browse()
        )
        result = super().write(vals)
        moved._enqueue_status(STATUS_OF_STATE.get(state))
        if state or "warehouse_id" in vals:
            self.order_line._note_marketplace_stock()
        return result

    def _prepare_confirmation_values(self):
        """Leave the dates of orders that a message confirms.

        Odoo finds the moves of a changed line by this date. Were it written back afterwards, a lowered line
        would find none: all would be shipped as before, and the rest expected back from the customer.
        """
        values = super()._prepare_confirmation_values()
        if self.env.context.get(DATED):
            values.pop("date_order", None)
        return values

    def _enqueue_status(self, status):
        """Add a step to the orders whose marketplace does not show the status.

        Superuser: whoever confirms, delivers or cancels needs no rights on accounts and steps, nor the
        company's.
        """
        if status == words.CANCELLED:
            # Changes of lines that stopped are no news any more, and would hold up the cancellation.
            self.sudo()._stopped_line_steps()._close("ignored", _("The order is over."), in_doubt=False)
        orders = self.sudo().filtered(lambda order: order._is_worth_telling(status))
        orders._enqueue_steps([order._prepare_step(status) for order in orders])

    def _enqueue_steps(self, vals_list):
        """Add steps, and have them sent."""
        if vals_list:
            # Without the caller's context: its defaults are meant for something else.
            steps = (
                self.env["marketplace.order.step"].with_env(self.env(su=True, context={})).create(vals_list)
            )
            steps.filtered(lambda step: step.state == "new").account_id._wake("steps")
            for step in steps.filtered(lambda step: step.state == "failed"):
                step.with_context(lang=self.env.lang)._give_up(step.reason, step.remedy)

    def _is_worth_telling(self, status):
        """Tell whether the marketplace takes the status from us and is not about to show it anyway.

        An echo ends here: what it told us is written before it moves the order.
        """
        if not self._is_told() or self._marketplace_end_on_hold():
            return False
        dialect, known = self.marketplace_config_id._dialect(), self._marketplace_known()
        waiting = self.marketplace_step_ids.filtered(lambda step: step.state in OPEN)
        for step in waiting.filtered("status"):
            known = dialect.shown(known, step.status)
        return (
            dialect.sends(status, self.delivered_by or None)
            and dialect.outlook(known or None, status) != words.REACHED
        )

    def _has_told(self, status):
        """Tell whether the marketplace took this status from us."""
        return any(step.state == "done" and step.status == status for step in self.marketplace_step_ids)

    def _is_told(self):
        """Tell whether the order has a marketplace that is to hear of it."""
        account = self.marketplace_config_id
        return bool(self.cartona_id and account.active and account.state != "draft")

    def _marketplace_known(self):
        """Give the status that counts for what we tell: also one whose message waits for a person here."""
        ended = self._marketplace_end_on_hold()
        return ended[:1].status or self.marketplace_status

    def _marketplace_end_on_hold(self):
        """Give messages that the order is over, which wait for a person."""
        return self.marketplace_event_ids.filtered(
            lambda event: event.state in OPEN and event.status in words.GONE
        )

    def _marketplace_edits_told(self):
        """Give messages after the one that the customer is editing: they did not become the order."""
        if self.marketplace_reported_status != words.HELD:
            return self.marketplace_event_ids.browse()
        editing = self.marketplace_event_ids.filtered(lambda event: event.status == words.HELD)
        last = max(editing.ids, default=0)
        return self.marketplace_event_ids.filtered(lambda event: event.id > last)

    def _prepare_step(self, status=False):
        values = {
            "account_id": self.marketplace_config_id.id,
            "sale_order_id": self.id,
            "external_order_id": self.cartona_id,
            "kind": "status" if status else "lines",
            "status": status,
            "cancel_reason": status == words.CANCELLED
            and (self.marketplace_cancel_reason or self.marketplace_config_id.cancel_reason),
        }
        if status == words.CANCELLED and self._is_with_customer():
            values |= {
                "state": "failed",
                "reason": _("The order was cancelled here, but the customer has goods of it."),
                "remedy": _(
                    "Take the goods back with a return, or correct the order at the marketplace; then try "
                    "again, or ignore this step."
                ),
            }
        if self.marketplace_config_id.state == "shadow":
            values |= {"state": "ignored", "reason": _("Shadow: it would have been sent.")}
        return values

    def _is_with_customer(self):
        """Tell whether the customer has something of the order."""
        return any(line._is_with_customer() for line in self.order_line)

    def _search_marketplace_sync_status(self, operator, value):
        """Search by it. Only users who may see inbox and steps are offered to."""

        events, steps = "marketplace_event_ids.state", "marketplace_step_ids.state"
        ours = ("marketplace_config_id", "!=", False)
        ahead = ("id", "in", self._find_delivered_there_only().ids)
        error = ["|", "|", (events, "in", STOPPED), (steps, "=", "failed"), ahead]
        pending = ["|", (events, "in", OPEN), (steps, "in", OPEN)]
        domains = {
            "error": error,
            "pending": ["&", "!", *error, *pending],
            "synced": ["&", ours, "!", "|", ahead, *pending],
            False: ["!", ours],
        }
        return search_by(domains, operator, value)

    def action_marketplace_sync(self):
        """Bring both sides together: try again what stopped, and read the marketplace's list."""
        accounts = self.marketplace_config_id._at_work()
        self.marketplace_event_ids.filtered(lambda event: event.state in STOPPED).action_process_again()
        # Codes are not kept, so that what waits for one cannot be sent.
        self.marketplace_step_ids.filtered(
            lambda step: step.state in STOPPED and not (step.needs_code or step._awaits_decision())
        )._reset()
        accounts._wake("pull")
        return accounts[:1]._notify(_("Synchronising"), _("Both sides agree in a few seconds."), "info")

    def unlink(self):
        """Delete; the database deletes the lines, and nobody else is told of it."""
        self.order_line._note_marketplace_stock()
        return super().unlink()

    def _check_marketplace_user(self):
        if not self.env.user.has_group("cartona_integration.group_marketplace_user"):
            raise AccessError(_("Only marketplace users may do this."))

    def action_view_marketplace_events(self):
        """Open the messages this order was made of."""
        action = self.env["ir.actions.act_window"]._for_xml_id("cartona_integration.action_marketplace_event")
        return {**action, "domain": [("sale_order_id", "in", self.ids)], "context": {}}

    def action_view_marketplace_steps(self):
        """Open the statuses that were or will be sent for this order."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "cartona_integration.action_marketplace_order_step"
        )
        return {**action, "domain": [("sale_order_id", "in", self.ids)], "context": {}}

    @api.model
    def _find_marketplace_order(self, account, order_id):
        """Find an account's order by the marketplace's id."""
        return self._find_marketplace_orders(account, [order_id])

    @api.model
    def _find_marketplace_orders(self, account, order_ids):
        """Find an account's orders by the marketplace's ids."""
        return self.search(
            [("marketplace_config_id", "=", account.id), ("cartona_id", "in", list(order_ids))]
        )


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    marketplace_line_id = fields.Char(
        readonly=True,
        copy=False,
        help="The line's identity over there: an offer gives a product several lines.",
    )
    marketplace_quantity = fields.Float(
        readonly=True,
        copy=False,
        help="What the marketplace said last; people may have changed the line since.",
    )
    marketplace_price = fields.Float(readonly=True, copy=False, help="What the marketplace said last.")
    marketplace_goods = fields.Json(
        readonly=True, copy=False, help="What the marketplace calls the goods: {key, product_id}."
    )
    marketplace_unit = fields.Char(readonly=True, copy=False)
    marketplace_unit_count = fields.Float(
        readonly=True,
        copy=False,
        help="Pieces in one unit, as the marketplace says; shown, never computed with.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._note_marketplace_stock()
        return lines

    def write(self, vals):
        if "product_id" in vals:
            self._note_marketplace_stock()
        res = super().write(vals)
        if {"product_uom_qty", "product_id", SOL_UOM} & set(vals):
            self._note_marketplace_stock()
        return res

    def unlink(self):
        self._note_marketplace_stock()
        return super().unlink()

    def _note_marketplace_stock(self):
        """Note that a marketplace's order takes more or less, here and over there.

        Superuser: sellers see no marks.
        """
        if self.env["marketplace.config"]._has_active_account():
            lines = self.filtered(lambda line: line.order_id.marketplace_config_id)
            self.env["marketplace.mark"].sudo()._note(RECOUNT, lines.product_id)
