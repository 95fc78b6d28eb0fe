import hashlib
import os
import re
import secrets
from decimal import Decimal

from odoo import SUPERUSER_ID, _, api, fields, models, tools
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tools import float_round

from .. import compat, dialects
from ..dialects.words import ACCOUNT, STATUS, STATUSES, Credentials
from ..exceptions import Refused, Unavailable

# Set to 1 to talk to plain-http and private addresses: simulators and tests, never production.
ALLOW_PRIVATE_TARGETS = "MARKETPLACE_ALLOW_PRIVATE_TARGETS"
# Fields of an account every figure it shows depends on.
SHOWN_BY = {
    "active", "state", "pricelist_id", "currency_id", "prices_include_tax", "tax_policy", "company_id",
    "warehouse_id", "stock_warehouse_ids", "stock_buffer", "auto_sync_prices", "auto_sync_stock",
    "stock_percentage", "stock_maximum", "stock_minimum", "price_jump", "price_floor",
}  # fmt: skip
MASK = "••••••••"
# Shorter tokens show nothing of themselves.
MIN_LENGTH_TO_HINT = 20


class MarketplaceConfig(models.Model):
    """One seller account on one marketplace: how to reach it, who acts, and what to do with its orders."""

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
    user_id = fields.Many2one(
        "res.users",
        string="Acting User",
        copy=False,
        ondelete="restrict",
        help="Imports run with the rights of this user. One is made for the account when left empty.",
    )
    responsible_id = fields.Many2one(
        "res.users",
        default=lambda self: self.env.user,
        help="Gets an activity when the account needs a person.",
    )

    api_base_url = fields.Char(string="API Address", help="https://… as the marketplace documents it.")
    auth_token = fields.Char(
        string="API Token",
        compute="_compute_auth_token",
        inverse="_inverse_auth_token",
        copy=False,
        groups="cartona_integration.group_marketplace_manager",
        help="Write-only: shown masked once saved.",
    )
    auth_secret = fields.Char(copy=False, groups=fields.NO_ACCESS)
    supplier_code = fields.Char(help="Names this account where one token covers several of them.")
    timeout = fields.Integer(default=15, help="Seconds to wait for an answer of the marketplace.")
    retry_attempts = fields.Integer(
        default=5, help="How often a failed message is tried before a person is asked."
    )
    connection_status = fields.Selection(
        [
            ("unknown", "Not tested"),
            ("ok", "Connected"),
            ("refused", "Refused"),
            ("unavailable", "No answer"),
        ],
        default="unknown",
        readonly=True,
        copy=False,
    )
    connection_message = fields.Char(readonly=True, copy=False)

    webhook_key = fields.Char(
        default=lambda self: secrets.token_urlsafe(16),
        required=True,
        readonly=True,
        copy=False,
        help="Part of the webhook address. It finds the account; it proves nothing.",
    )
    webhook_token = fields.Char(
        compute="_compute_webhook_token",
        inverse="_inverse_webhook_token",
        copy=False,
        groups="cartona_integration.group_marketplace_manager",
        help="The sender proves itself with 'Authorization: Bearer <token>'. Only its digest is kept.",
    )
    webhook_token_digest = fields.Char(copy=False, groups=fields.NO_ACCESS)
    webhook_url = fields.Char(compute="_compute_webhook_url")

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
    pricelist_id = fields.Many2one(
        "product.pricelist",
        check_company=True,
        help="The account's orders are in its currency; the prices themselves come from the marketplace.",
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
        help="Currency of orders whose message names none.",
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
    prices_include_tax = fields.Boolean(
        default=True,
        help="Whether the marketplace's prices contain the sales tax, when the message is silent.",
    )
    tax_policy = fields.Selection(
        [
            ("product", "Taxes of the product"),
            ("rate", "By the rate in the message"),
            ("none", "No taxes on the lines"),
        ],
        default="product",
        required=True,
        help="By the rate: each percentage the marketplace sends means one of your taxes, see the table; "
        "where it sends none, the product's taxes count.",
    )
    order_policy = fields.Selection(
        [("confirm", "Confirm at once"), ("draft", "Leave as quotation")],
        default="confirm",
        required=True,
        string="New Orders",
    )
    auto_pull_orders = fields.Boolean(
        string="Read Orders Regularly",
        default=True,
        help="Read the marketplace's order list regularly. It finds what webhooks missed.",
    )
    pull_interval = fields.Integer(string="Every", default=5, help="Minutes between two readings.")
    last_order_pull = fields.Datetime(string="Last Read", compute="_compute_last_order_pull")
    sync_state_ids = fields.One2many("marketplace.sync.state", "account_id", readonly=True)
    waiting_event_count = fields.Integer(compute="_compute_event_counts")
    problem_event_count = fields.Integer(compute="_compute_event_counts")
    link_ids = fields.One2many("marketplace.product.link", "account_id", readonly=True)
    job_runner_missing = fields.Boolean(compute="_compute_job_runner_missing")

    def init(self):
        super().init()
        for statement in (
            "CREATE UNIQUE INDEX IF NOT EXISTS marketplace_config_code_uniq ON marketplace_config (code)",
            "CREATE UNIQUE INDEX IF NOT EXISTS marketplace_config_webhook_key_uniq"
            " ON marketplace_config (webhook_key)",
        ):
            self.env.cr.execute(statement)

    @api.depends("auth_secret")
    def _compute_auth_token(self):
        for account in self:
            secret = account.sudo().auth_secret
            hint = secret[-4:] if secret and len(secret) >= MIN_LENGTH_TO_HINT else ""
            account.auth_token = secret and MASK + hint

    def _inverse_auth_token(self):
        for account in self:
            token = (account.auth_token or "").strip()
            if token.startswith(MASK):
                continue
            if not token and account.state in account.WORKING_STATES:
                raise UserError(_("Pause or close the account before you take its token away."))
            if not token.isascii() or not token.isprintable():
                raise ValidationError(_("The API token may hold printable ASCII characters only."))
            account.sudo().auth_secret = token or False
            account._resume_after_new_credentials()

    def _compute_webhook_token(self):
        for account in self:
            account.webhook_token = MASK if account.sudo().webhook_token_digest else False

    def _inverse_webhook_token(self):
        for account in self:
            token = (account.webhook_token or "").strip()
            if not token.startswith(MASK):
                account.sudo().webhook_token_digest = self._digest(token) if token else False

    @api.depends("webhook_key")
    def _compute_webhook_url(self):
        for account in self:
            account.webhook_url = (
                f"{account.get_base_url()}/marketplace_integration/webhook/orders/{account.webhook_key}"
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

    @api.depends("company_id", "pricelist_id", "dialect")
    def _compute_currency_id(self):
        for account in self:
            account.currency_id = (
                account.pricelist_id.currency_id or account.currency_id or account.company_id.currency_id
            )

    def _compute_last_order_pull(self):
        for account in self:
            account.last_order_pull = account._state("pull").last_run

    def _compute_event_counts(self):
        counts = {
            (account.id, state): count
            for account, state, count in self.env["marketplace.event"]._read_group(
                [("account_id", "in", self.ids), ("state", "in", ("new", "hold", "failed"))],
                ["account_id", "state"],
                ["__count"],
            )
        }
        for account in self:
            account.waiting_event_count = counts.get((account.id, "new"), 0)
            account.problem_event_count = sum(
                counts.get((account.id, state), 0) for state in ("hold", "failed")
            )

    def _compute_job_runner_missing(self):
        for account in self:
            account.job_runner_missing = account._has_stuck_jobs()

    @api.constrains("code")
    def _check_code(self):
        for account in self:
            if not re.fullmatch(r"[a-z0-9_-]{1,32}", account.code):
                raise ValidationError(_("The code takes small letters, digits, - and _ (at most 32)."))

    @api.constrains("user_id", "company_id")
    def _check_user_id(self):
        for account in self:
            if account.user_id.id == SUPERUSER_ID:
                raise ValidationError(
                    _("OdooBot cannot act for an account: it sees no access rules. Leave the user empty.")
                )
            if account.user_id and account.company_id not in account.user_id.sudo().company_ids:
                raise ValidationError(_("The acting user has no access to the account's company."))

    @api.constrains("api_base_url")
    def _check_api_base_url(self):
        for account in self.filtered("api_base_url"):
            url = account.api_base_url.strip()
            if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", url):
                raise ValidationError(_("The API address is a plain web address, without query or password."))
            if not url.startswith("https://") and not os.environ.get(ALLOW_PRIVATE_TARGETS):
                raise ValidationError(_("The API address must start with https://."))

    @api.constrains("currency_id", "pricelist_id", "company_id")
    def _check_currency_id(self):
        for account in self:
            ordered = account.pricelist_id.currency_id or account.company_id.currency_id
            if account.currency_id != ordered:
                raise ValidationError(
                    _(
                        "Orders in %(currency)s need a pricelist in %(currency)s: choose one on the account.",
                        currency=account.currency_id.name,
                    )
                )

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
        if self.dialect and not self.api_base_url:
            self.api_base_url = self._dialect().default_base_url

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
        if SHOWN_BY & set(vals) and vals.get("state") != "paused":
            self.env["marketplace.mark"].sudo()._insert_both(self)
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

    def _create_sync_states(self):
        """Make the account's state rows: they are never made on the way, so never twice."""
        kinds = self.env["marketplace.sync.state"].KINDS
        self.env["marketplace.sync.state"].sudo().create(
            [{"account_id": self.id, "kind": kind} for kind in kinds]
        )

    def _choose_pricelist(self):
        """Let a platform with a currency of its own have its orders in it, also in a company with another.

        Superuser: managers need not be able to activate currencies.
        """
        code = self._dialect().default_currency
        if self.pricelist_id or code in (None, self.company_id.currency_id.name):
            return
        currency = (
            self.env["res.currency"].sudo().with_context(active_test=False).search([("name", "=", code)])
        )
        currency.active = True
        self.pricelist_id = self._pricelist_in(currency)

    def _pricelist_in(self, currency):
        """Give a pricelist that makes orders be in a currency; prices always come from the marketplace.

        Superuser: neither managers nor the acting user need be able to make pricelists.

        :return: none where the company's own currency needs none
        """
        if self.pricelist_id.currency_id == currency or currency == self.company_id.currency_id:
            return self.pricelist_id.filtered(lambda pricelist: pricelist.currency_id == currency)
        pricelists = self.env["product.pricelist"].sudo()
        domain = [
            ("currency_id", "=", currency.id),
            ("company_id", "in", (False, self.company_id.id)),
        ]
        return pricelists.search(domain, limit=1) or pricelists.create(
            {
                "name": _("Marketplaces (%s)", currency.name),
                "currency_id": currency.id,
                "company_id": self.company_id.id,
            }
        )

    def _create_integration_user(self):
        """Make the user the account's jobs act as. Superuser: managers need not be able to create users."""
        groups = (
            "base.group_user",
            "base.group_partner_manager",
            "sales_team.group_sale_salesman_all_leads",
            "stock.group_stock_user",
            "cartona_integration.group_marketplace_integration",
        )
        users = self.env["res.users"].sudo().with_context(active_test=False)
        login = f"marketplace_{self.code}"
        if users.search_count([("login", "=", login)], limit=1):
            # Left by a deleted account: its rights may have been changed since, so it is not used again.
            login = f"{login}_{self.id}"
        return users.with_context(no_reset_password=True, mail_create_nosubscribe=True).create(
            {
                "name": _("Marketplace %s", self.name),
                "login": login,
                # Odoo posts notes in the user's name only if it has an address; like OdooBot's, nobody's.
                "email": f"{login}@example.com",
                "company_id": self.company_id.id,
                "company_ids": [fields.Command.set(self.company_id.ids)],
                "notification_type": "email",
                compat.USER_GROUPS: [fields.Command.set([self.env.ref(group).id for group in groups])],
            }
        )

    def action_test_connection(self):
        """Make a harmless call and tell the user how it went."""
        self.ensure_one()
        if not self.env.user.has_group("cartona_integration.group_marketplace_manager"):
            raise AccessError(_("Only marketplace managers may test a connection."))
        if not self.api_base_url or not self.sudo().auth_secret:
            raise UserError(_("Enter the API address and the API token first."))
        try:
            self.env["marketplace.api"]._test(self)
        except Refused as error:
            return self._show_connection("refused", str(error))
        except Unavailable as error:
            return self._show_connection("unavailable", str(error))
        return self._show_connection("ok")

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

    def action_generate_webhook_token(self):
        """Make a new webhook token, show it once and keep only its digest."""
        self.ensure_one()
        token = secrets.token_urlsafe(32)
        self.webhook_token = token
        return self._notify(_("Copy the webhook token now, it is not shown again"), token, "warning")

    def action_view_events(self):
        """Open the account's inbox."""
        return self._view_with("action_marketplace_event", "account_id")

    def action_view_links(self):
        """Open the account's listings."""
        return self._view_with("action_marketplace_link", "account_id")

    def action_view_steps(self):
        """Open the statuses the account sends."""
        return self._view_with("action_marketplace_order_step", "account_id")

    def action_view_orders(self):
        """Open the account's sale orders."""
        return self._view_with("action_marketplace_order", "marketplace_config_id")

    def _show_connection(self, status, message=False):
        """Keep the outcome of a connection test and tell it. Not an exception: that would roll it back."""
        self.write({"connection_status": status, "connection_message": message})
        if status == "ok":
            return self._notify(_("Connected"), _("The marketplace accepts the account."), "success")
        return self._notify(_("Connection failed"), message, "danger")

    def _notify(self, title, message, kind):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": title,
                "message": message,
                "type": kind,
                "sticky": kind in ("danger", "warning"),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
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
        if topic == STATUS:
            return self._dialect(code).parse_status(data)
        return self._dialect(code).parse_order(data, self.time_zone or None)

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

    def _credentials(self):
        """Give what signs a request: the one accessor of the secret, for the network door only."""
        return Credentials(token=self.sudo().auth_secret or "", supplier_code=self.supplier_code or None)

    def _listed_price(self, product, price):
        """Give a sales price in the account's tax convention, rounded in its currency.

        :return: Decimal
        """
        return self._listed_prices([(product, price)])[product]

    def _listed_prices(self, prices):
        """Give {product: price}, see :meth:`_listed_price`.

        :param prices: list of (product, price before taxes)
        """
        company, currency, taxed = self.company_id, self.currency_id, self.tax_policy == "product"
        total = "total_included" if self.prices_include_tax else "total_excluded"
        rounding, places, listed = currency.rounding, currency.decimal_places, {}
        for product, net in prices:
            price = net
            taxes = product.product_tmpl_id.taxes_id if taxed else None
            if taxes and (ours := taxes.filtered(lambda tax: tax.company_id == company)):
                price = ours.compute_all(net, currency=currency, product=product)[total]
            rounded = float_round(price, precision_rounding=rounding)
            listed[product] = Decimal(f"{rounded:.{places}f}")
        return listed

    def _customer_key(self, customer):
        """Give the ``cartona_id`` of a customer in its space, or None for one the marketplace gives no id.

        :param Customer customer: as the dialect read it
        """
        if not customer.id:
            return None
        return f"{self._customer_space(customer)}{customer.id}"

    def _customer_space(self, customer):
        """Give what the ids of customers begin with that are numbered together with this one."""
        return f"retailer_{self.code}_" if customer.space == ACCOUNT else "retailer_"

    def _state(self, kind):
        """Give the account's state row of a kind of work."""
        self.ensure_one()
        return self.sync_state_ids.filtered(lambda state: state.kind == kind)

    @api.model
    def _digest(self, token):
        return hashlib.sha256(token.encode()).hexdigest()
