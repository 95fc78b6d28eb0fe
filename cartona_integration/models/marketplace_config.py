import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from odoo import _, api, fields, models, tools
from odoo.exceptions import UserError, ValidationError

from .. import dialects
from ..dialects import payload
from ..dialects.words import STATUS, STATUSES
from .indexes import ensure_indexes

# Fields of an account every figure it shows depends on.
SHOWN_BY = {
    "active", "state", "pricelist_id", "currency_id", "prices_include_tax", "tax_policy", "company_id",
    "warehouse_id", "stock_warehouse_ids", "stock_buffer", "auto_sync_prices", "auto_sync_stock",
    "stock_percentage", "stock_maximum", "stock_minimum", "price_jump", "price_floor",
    "floor_pricelist_id", "price_rounding",
}  # fmt: skip
# So much a marketplace's clock may be ahead of ours.
SKEW = timedelta(minutes=10)


class MarketplaceConfig(models.Model):
    """One seller account on one marketplace: whether it works, where it sells from, what goes by itself."""

    _name = "marketplace.config"
    _description = "Marketplace Account"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _check_company_auto = True
    _order = "name, id"

    WORKING_STATES = ("shadow", "live")

    name = fields.Char(required=True, help="How people call this account, for example 'Cartona Cairo'.")
    code = fields.Char(
        required=True,
        copy=False,
        help="Short and permanent: small letters, digits, - and _. It is part of customers' external ids.",
    )
    active = fields.Boolean(default=True)
    dialect = fields.Selection(
        selection=lambda self: [(code, dialect.name) for code, dialect in dialects.DIALECTS.items()],
        string="Marketplace",
        required=True,
    )
    state = fields.Selection(
        [("draft", "Draft"), ("shadow", "Shadow"), ("live", "Live"), ("paused", "Paused")],
        default="draft",
        required=True,
        copy=False,
        tracking=True,
        help="Draft: nothing in, nothing out. Shadow: orders come in, nothing is sent to the marketplace. "
        "Live: everything works. Paused: what arrives is kept and waits.",
    )
    company_id = fields.Many2one("res.company", required=True, default=lambda self: self.env.company)
    responsible_id = fields.Many2one(
        "res.users",
        default=lambda self: self.env.user,
        help="Gets an activity when the account needs a person.",
    )

    timeout = fields.Integer(default=15, help="Seconds to wait for an answer of the marketplace.")
    retry_attempts = fields.Integer(
        default=5, help="How often a failed message is tried before a person is asked."
    )

    warehouse_id = fields.Many2one(
        "stock.warehouse",
        required=True,
        compute="_compute_warehouse_id",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        help="Ships the account's orders.",
    )
    stock_warehouse_ids = fields.Many2many(
        "stock.warehouse",
        string="Sells From",
        compute="_compute_stock_warehouse_ids",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        help="What is free in these warehouses is offered on the marketplace.",
    )
    stock_buffer = fields.Float(
        string="Safety Stock",
        help="So many units of each product are kept back: a customer may buy before the marketplace hears "
        "of the last sale.",
    )
    auto_sync_prices = fields.Boolean(
        string="Send Prices", default=True, help="Send a price within seconds when it changes in Odoo."
    )
    auto_sync_stock = fields.Boolean(
        string="Send Stock", default=True, help="Send the free quantity within seconds when it changes."
    )
    link_by_key = fields.Boolean(
        string="Link by Key",
        default=True,
        help="Link a product with the listing that has its marketplace key, without asking.",
    )
    order_policy = fields.Selection(
        [("confirm", "Confirm at once"), ("draft", "Leave as quotation")],
        default="confirm",
        required=True,
        string="New Orders",
        help="A confirmed order reserves its goods and makes its delivery. A quotation waits until somebody "
        "confirms it; its goods are not offered meanwhile.",
    )
    auto_pull_orders = fields.Boolean(
        string="Read Orders Regularly",
        default=True,
        help="Read the marketplace's order list regularly. It finds what webhooks missed.",
    )
    pull_interval = fields.Integer(string="Every", default=5, help="Minutes between two readings.")
    last_order_pull = fields.Datetime(string="Last Read", compute="_compute_last_order_pull")
    waiting_event_count = fields.Integer(compute="_compute_event_counts")
    problem_event_count = fields.Integer(compute="_compute_event_counts")
    link_ids = fields.One2many("marketplace.product.link", "account_id", readonly=True)

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_config_code_uniq ON marketplace_config (code)",
        )

    @api.depends("company_id")
    def _compute_warehouse_id(self):
        for account in self:
            if account.warehouse_id.company_id != account.company_id:
                account.warehouse_id = self.env["stock.warehouse"].search(
                    [("company_id", "=", account.company_id.id)], limit=1
                )

    @api.depends("warehouse_id")
    def _compute_stock_warehouse_ids(self):
        for account in self:
            foreign = account.stock_warehouse_ids.filtered(
                lambda warehouse, company=account.company_id: warehouse.company_id != company
            )
            if foreign or not account.stock_warehouse_ids:
                account.stock_warehouse_ids = account.warehouse_id

    def _compute_last_order_pull(self):
        for account in self:
            account.last_order_pull = account._state("pull").last_run

    def _compute_event_counts(self):
        events = self.env["marketplace.event"]
        for name, which in (
            ("waiting_event_count", [("state", "=", "new")]),
            ("problem_event_count", events._problem_domain()),
        ):
            domain = [("account_id", "in", self.ids), *which]
            counts = dict(events._read_group(domain, ["account_id"], ["__count"]))
            for account in self:
                account[name] = counts.get(account, 0)

    @api.constrains("code")
    def _check_code(self):
        for account in self:
            if not re.fullmatch(r"[a-z0-9_-]{1,32}", account.code):
                raise ValidationError(_("The code takes small letters, digits, - and _ (at most 32)."))

    @api.constrains("timeout", "retry_attempts", "pull_interval")
    def _check_numbers(self):
        for account in self:
            if not (
                1 <= account.timeout <= 60 and account.retry_attempts >= 1 and account.pull_interval >= 1
            ):
                raise ValidationError(
                    _("Timeout takes 1 to 60 seconds; attempts and pull interval at least 1.")
                )

    @api.constrains("stock_warehouse_ids", "stock_buffer")
    def _check_stock(self):
        for account in self:
            if not account.stock_warehouse_ids:
                raise ValidationError(_("Choose at least one warehouse the account sells from."))
            if account.stock_buffer < 0:
                raise ValidationError(_("The safety stock cannot be negative."))

    @api.onchange("dialect")
    def _onchange_dialect(self):
        if not self.dialect:
            return
        dialect = self._dialect()
        self.api_base_url = self.api_base_url or dialect.default_base_url
        if not self._origin:
            # A list that is drained shows what nobody has taken yet; another one the shop's whole past.
            self.import_from = not dialect.can_acknowledge and (self.import_from or fields.Datetime.now())

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._refuse_double_code(vals.get("code"))
        accounts = super().create(vals_list)
        for account in accounts:
            account._create_sync_states()
            account._choose_pricelist()
            if not account.user_id:
                account.user_id = account._create_integration_user()
        self.env.registry.clear_cache()
        return accounts

    def write(self, vals):
        if "code" in vals:
            self._refuse_double_code(vals["code"])
        res = super().write(vals)
        if {"state", "active"} & set(vals):
            self.env.registry.clear_cache()
        if vals.get("state") in self.WORKING_STATES:
            self._wake_all()
        elif vals.get("state") == "paused":
            self._wake("import")  # what waits keeps its goods back
        if SHOWN_BY & set(vals) and vals.get("state") != "paused":
            self.env["marketplace.mark"].sudo()._insert_both(self)
        if {"state", "active", "pricelist_id", "floor_pricelist_id"} & set(vals):
            # Rules that begin or end soon were of no interest before. Superuser: a cron is nobody's to start.
            self.env.ref("cartona_integration.cron_dated_prices").sudo()._trigger()
        return res

    @api.ondelete(at_uninstall=False)
    def _unlink_except_with_orders(self):
        if self.env["sale.order"].sudo().search_count([("marketplace_config_id", "in", self.ids)], limit=1):
            raise UserError(_("An account with orders is archived, not deleted: its orders need it."))

    def _refuse_double_code(self, code):
        """Say in words, before it happens, what the unique index would refuse.

        Superuser: the other account may be another company's.
        """
        accounts = self.sudo().with_context(active_test=False)
        if code and accounts.search_count([("code", "=", code), ("id", "not in", self.ids)], limit=1):
            raise ValidationError(_("Another account already has the code %s.", code))

    @api.model
    @tools.ormcache()
    def _has_active_account(self):
        """Tell whether any account of any company may want to hear of changes. Superuser: of any."""
        return bool(self.sudo().search_count([("state", "!=", "draft")], limit=1))

    def action_activate(self):
        """Let the account work. What arrived while it was paused is processed now."""
        self._check_reachable()
        return self.write({"state": "live"})

    def action_pause(self):
        """Stop sending and importing; what arrives meanwhile is kept."""
        return self.write({"state": "paused"})

    def action_reset_to_draft(self):
        """Close the account: its webhook answers 401 and nothing is sent."""
        return self.write({"state": "draft"})

    def _at_work(self):
        """Give the accounts that work.

        :raise UserError: none does
        """
        active = self.filtered(lambda account: account.active and account.state in account.WORKING_STATES)
        if not active:
            raise UserError(_("Start the account first, in shadow or live."))
        return active

    def action_pull_orders(self):
        """Read the marketplace's order list now."""
        active = self._at_work()
        for account in active:
            account._ask_feed()
        return self._notify(_("Reading orders"), _("New orders appear in a few seconds."), "info")

    def action_sync_products(self):
        """Read all listings, link what can be linked, and send what they should show and do not."""
        active = self._at_work()
        # Superuser: marketplace users may ask for it without write access to listings.
        self.env["marketplace.mark"].sudo()._insert_both(active, asked=True)
        active._wake("listings")
        return self._notify(_("Synchronising"), _("Prices and stock are sent within seconds."), "info")

    def action_view_events(self):
        """Open the account's inbox."""
        return self._view_with("action_marketplace_event", "account_id")

    def action_view_links(self):
        """Open the account's listings."""
        return self._view_with("action_marketplace_link", "account_id", "linked")

    def action_view_steps(self):
        """Open the statuses the account sends."""
        return self._view_with("action_marketplace_order_step", "account_id")

    def action_view_orders(self):
        """Open the account's sale orders."""
        return self._view_with("action_marketplace_order", "marketplace_config_id")

    def _notify(self, title, message, kind):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": title,
                "message": message,
                "type": kind,
                "sticky": kind in ("danger", "warning"),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    def _dialect(self, code=None):
        """Give the account's dialect, or another.

        :rtype: odoo.addons.cartona_integration.dialects.base.Dialect
        """
        return dialects.get(code or self.dialect)

    def _parse(self, topic, data, code=None):
        """Read a message, its times as the account means them.

        :param str code: of the message's dialect; none: the account's
        :return: an Order, or a StatusChange
        :raise PayloadError: it has not the shape its dialect promises
        """
        dialect = self._dialect(code)
        if topic == STATUS:
            value = dialect.parse_status(data)
        else:
            value = dialect.parse_order(data, self.time_zone or None)
        # A time that has not come yet would make every later message an old one.
        at = value.modified_at
        return replace(value, modified_at=None) if at and at > datetime.now(timezone.utc) + SKEW else value

    @api.model
    def _describe(self, error):
        """Tell in the reader's language what is wrong with a message, or an answer.

        :param PayloadError error: says so in English, with marked texts
        """
        limit = () if error.limit is None else (error.limit,)
        text = _(
            "%(path)s: %(expected)s expected, found %(found)s",
            path=error.path,
            expected=_(error.expected, *limit),
            found=_(error.found),
        )
        return payload.printable(text)

    @api.model
    def _ways_to_show(self, wanted):
        """Give each way by which an order comes to show one of the wanted statuses; False is one of them.

        :return: tuple of (dialect's code, status reported, status sent), empty texts for none
        """
        statuses = (False, *STATUSES)
        return tuple(
            (code, reported or "", sent or "")
            for code, dialect in dialects.DIALECTS.items()
            for reported in statuses
            for sent in statuses
            if dialect.shown(reported, sent) in wanted
        )
