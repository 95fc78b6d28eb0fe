from datetime import timedelta, timezone

from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError

from odoo.addons.base.models.res_partner import _tz_get

from ..dialects import words
from ..exceptions import Hold, NotYet, Unwanted

# Orders wait for a status at most until they are looked at again; a new message comes first, as a rule.
LOOK_AGAIN = timedelta(hours=1)
# What is accepted, by the least status an order needs.
ACCEPTED = {
    "pending": set(words.STATUSES),
    "confirmed": set(words.STATUSES) - {words.PENDING},
    "shipped": {words.PARTIALLY_SHIPPED, words.SHIPPED, words.DELIVERED, *words.GONE},
}
# Settings by which orders that wait, or are on hold for one of these kinds, are looked at anew.
DECIDES = {
    "total": {"total_tolerance", "prices_include_tax", "tax_policy"},
    "tax": {"tax_policy"},
    "shipped": {"shipped_policy"},
    "product": {"unknown_product_policy"},
    "customer": {"customer_key"},
}
# To what Odoo's button to validate a delivery would ask.
ANSWERS = {"skip_backorder": True, "skip_sms": True, "skip_expired": True, "skip_sanity_check": False}
WAITS_FOR = {"accept_from", "paid_only", "import_delay", "import_from"}


class MarketplaceConfig(models.Model):
    """What an account's people decide about its orders."""

    _inherit = "marketplace.config"

    accept_from = fields.Selection(
        [
            ("pending", "As soon as it is placed"),
            ("confirmed", "Once it is approved"),
            ("shipped", "Once it is shipped"),
        ],
        string="Import an Order",
        default="pending",
        required=True,
        help="From which status at the marketplace on an order is wanted here. Until then it waits in the "
        "inbox; what it wants is kept back.",
    )
    paid_only = fields.Boolean(
        string="Paid Orders Only",
        help="Orders the marketplace calls unpaid, or by a word nobody knows, wait until they are paid. A "
        "marketplace that says nothing of payment, such as one where the customer pays at the door, is not "
        "waited for.",
    )
    import_delay = fields.Integer(
        string="Wait",
        help="Minutes after an order was placed before it is imported: customers who correct or cancel at "
        "once then cause no work here. 0: at once.",
    )
    import_from = fields.Datetime(
        string="Ignore Orders Before",
        help="Orders placed earlier are ignored: they were handled before this account was connected. Empty: "
        "all are imported that the marketplace lists or pushes, however old.",
    )
    shipped_policy = fields.Selection(
        [
            ("confirm", "Confirm them; the goods are delivered by hand"),
            ("deliver", "Confirm and deliver them"),
            ("hold", "Ask a person"),
        ],
        string="Orders First Seen Shipped",
        default="confirm",
        required=True,
        help="What to do with orders that have left already when they are first seen here. Whatever is "
        "chosen, nothing of it is sent back to the marketplace.",
    )
    unknown_product_policy = fields.Selection(
        [("hold", "Hold the order until it is known"), ("placeholder", "Import it with a placeholder")],
        string="Unknown Products",
        default="hold",
        required=True,
        help="An order on hold is imported by itself as soon as its product is known. A placeholder is a "
        "service named like the line: the order comes in whole, but nothing of it is delivered from stock.",
    )
    placeholder_product_id = fields.Many2one(
        "product.product",
        check_company=True,
        help="Stands in for unknown products. Empty: the one the connector brings.",
    )
    total_tolerance = fields.Float(
        default=0.01,
        digits=(16, 4),
        help="By how much an order's total may differ from the marketplace's, in the order's currency. A "
        "rounding line makes up for it; what differs more is put on hold.",
    )
    customer_key = fields.Selection(
        [
            ("none", "The marketplace's id only"),
            ("phone", "Phone number"),
            ("email", "E-mail address"),
            ("vat", "Tax number"),
        ],
        string="Find Customers By",
        default="none",
        required=True,
        help="Customers are found by the marketplace's id. The first time, a contact may also be found by "
        "this one exact key; two contacts that have it put the order on hold. Never by name.",
    )
    country_id = fields.Many2one(
        "res.country",
        string="Customers' Country",
        help="Of addresses that name none, and of phone numbers without a country code.",
    )
    state_id = fields.Many2one(
        "res.country.state",
        string="Customers' State",
        domain="[('country_id', '=', country_id)]",
        help="Of addresses in this country that name none.",
    )
    customer_lang = fields.Selection(
        selection=lambda self: self.env["res.lang"].get_installed(),
        string="Customers' Language",
        help="Of new customers whose language is not told. Empty: as Odoo chooses for new contacts.",
    )
    team_id = fields.Many2one(
        "crm.team", string="Sales Team", check_company=True, help="Of new orders. Empty: as Odoo chooses."
    )
    salesperson_id = fields.Many2one(
        "res.users",
        domain="[('share', '=', False), ('company_ids', '=', company_id)]",
        help="Of new orders. Empty: nobody's.",
    )
    time_zone = fields.Selection(
        _tz_get,
        help="Of times the marketplace sends without saying whose they are. Empty: as the marketplace is "
        "known to mean them.",
    )
    acknowledge_holds = fields.Boolean(
        string="Confirm Receipt of Held Orders",
        help="Tell the marketplace that an order is safely here even while it is on hold. It then leaves the "
        "marketplace's list of new orders. Not set: only what is imported or ignored is confirmed.",
    )
    keep_payload_days = fields.Integer(
        string="Keep Messages",
        default=180,
        help="Days after which the content of settled messages is deleted; that they came and what became "
        "of them is kept. 0: for ever.",
    )
    tax_rate_ids = fields.One2many("marketplace.tax.rate", "account_id", string="Tax Rates")

    @api.constrains("total_tolerance", "import_delay", "keep_payload_days")
    def _check_policies(self):
        for account in self:
            if min(account.total_tolerance, account.import_delay, account.keep_payload_days) < 0:
                raise ValidationError(_("Tolerance, waiting time and days to keep cannot be negative."))

    def write(self, vals):
        res = super().write(vals)
        # Superuser: managers have no write access to the inbox.
        events = self.env["marketplace.event"].sudo()
        for account in self:
            if WAITS_FOR & set(vals):
                events._hurry(account)
            for kind, names in DECIDES.items():
                if names & set(vals):
                    events._resume_kind(account, kind)
        return res

    def _placeholder(self):
        """Give the product that stands in for unknown ones."""
        ours = self.env.ref("cartona_integration.product_placeholder")
        return self.placeholder_product_id or ours


class MarketplaceOrderProcessor(models.AbstractModel):
    """Asks the account's people's decisions whether an order is wanted, and when."""

    _inherit = "marketplace.order.processor"

    def _check_wanted(self, account, order):
        """Compare an order that is not here with what the account imports, and when.

        :raise Unwanted: never
        :raise NotYet: later
        :raise Hold: a person decides
        """
        if account.import_from and order.placed_at and self._naive(order.placed_at) < account.import_from:
            raise Unwanted(_("Placed before the account's orders are imported."))
        if order.status in words.GONE:
            self._check_not_deleted(account, order)
            return  # made, and cancelled: so that it is known
        self._check_ready(account, order)
        if order.status in (words.SHIPPED, words.DELIVERED) and account.shipped_policy == "hold":
            raise Hold(
                _("The order has been shipped already, and was never seen before."),
                _("Choose on the account what to do with such orders, or ignore the message."),
                [("shipped", order.id)],
            )

    def _check_not_deleted(self, account, order):
        """Leave an order away that was here and that people deleted: that it is over is no news.

        :raise Unwanted: one of its messages became an order, which is not here any more
        """
        became = [
            ("account_id", "=", account.id),
            ("external_order_id", "=", order.id),
            ("topic", "=", words.ORDERS),
            ("state", "=", "done"),
        ]
        if self.env["marketplace.event"].search_count(became, limit=1):
            raise Unwanted(_("The order is over, and was deleted here."))

    def _check_ready(self, account, order):
        now = fields.Datetime.now()
        if order.status not in ACCEPTED[account.accept_from]:
            raise NotYet(_("Waiting for the marketplace's approval."), now + LOOK_AGAIN)
        if account.paid_only and order.paid is False:
            raise NotYet(
                _("Waiting for the payment; the marketplace calls it: %s", order.payment_state),
                now + LOOK_AGAIN,
            )
        if account.import_delay:
            placed_at = self._naive(order.placed_at)
            if not placed_at or placed_at > now:  # a clock of theirs, or its time zone, is wrong
                placed_at = self._first_seen(account, order)
            due = placed_at + timedelta(minutes=account.import_delay)
            if due > now:
                raise NotYet(_("Waiting: the customer may still correct the order."), due)

    def _first_seen(self, account, order):
        """Give when an order was first heard of: it stands for a time of placing that nobody told."""
        domain = [("account_id", "=", account.id), ("external_order_id", "=", order.id)]
        first = self.env["marketplace.event"].search(domain, order="id", limit=1)
        return first.create_date or fields.Datetime.now()

    def _naive(self, moment):
        """Give an aware time as Odoo stores it."""
        return moment and moment.astimezone(timezone.utc).replace(tzinfo=None)

    def _deliver(self, sales):
        """Validate all that the orders ship, step after step of the route, by Odoo's own button.

        What is not in stock goes all the same: it has left. The button's questions are answered before.
        """
        for sale in sales:
            while pickings := sale.picking_ids.filtered(self._is_next_picking):
                for move in pickings.move_ids.filtered(lambda move: move.state not in ("done", "cancel")):
                    move.write({"quantity": move.product_uom_qty, "picked": True})
                self._validate(sale, pickings)

    def _validate(self, sale, pickings):
        """Press the button of an order's pickings.

        :raise Hold: Odoo refuses, as it does where lots are missing, or asks something new
        """
        reason = _("The delivery of the order could not be validated.")
        try:
            pickings.with_context(**ANSWERS).button_validate()
        except UserError as error:
            reason = f"{reason} {error}"
        if pickings.filtered(lambda picking: picking.state != "done"):
            raise Hold(
                reason,
                _("Let the account only confirm such orders, and validate their deliveries by hand."),
                [("shipped", sale.cartona_id)],
            )

    @staticmethod
    def _is_next_picking(picking):
        """Tell whether a picking is open and waits for no other."""
        before = picking.move_ids.move_orig_ids
        return picking.state not in ("done", "cancel") and all(
            move.state in ("done", "cancel") for move in before
        )
