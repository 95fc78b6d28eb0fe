from collections import Counter, defaultdict

from odoo import _, models, tools

from ..dialects.words import ORDERS
from ..exceptions import Hold

# Fields of an account that decide who shares its token, and which messages are for it.
GROUPED_BY = {"active", "state", "dialect", "api_base_url", "auth_secret", "supplier_code"}
# Stands for "names no account" where a key cannot be empty.
NOBODY = "-"


class MarketplaceConfig(models.Model):
    """A token that covers several accounts: who shares it, and whose a message is.

    Nothing about it is stored: the accounts' secrets are compared, here and by their one accessor.
    """

    _inherit = "marketplace.config"

    def write(self, vals):
        res = super().write(vals)
        if GROUPED_BY & set(vals):
            self.env.registry.clear_cache()
            for account in self:
                account._working_group()._wake("import")
        return res

    # -- who shares ---------------------------------------------------------------------------

    def _token_group(self):
        """Give the account and those behind the same token, the oldest first.

        Superuser: they may be of several companies, and one reads the list of orders for all.
        """
        self.ensure_one()
        return self.sudo().browse(self._token_group_ids())

    @tools.ormcache("self.id")
    def _token_group_ids(self):
        """Give the group's ids; kept, as each order asks."""
        account = self.sudo()
        if account.state == "draft" or not self._dialect().token_covers_accounts:
            return account._ids
        accounts = account.with_context(active_test=True)
        others = accounts.search([("dialect", "=", account.dialect), ("state", "!=", "draft")])
        return tuple(sorted((account | others.filtered(account._shares_token))._ids))

    def _shares_token(self, other):
        mine, theirs = self._credentials(), other._credentials()
        same_place = self._place() == other._place()
        return same_place and bool(mine.token) and tools.consteq(mine.token, theirs.token)

    def _place(self):
        return (self.api_base_url or "").strip().rstrip("/").lower()

    def _feed_leader(self):
        """Give the account that reads the list of orders for all behind its token: the oldest that works."""
        return self._working_group()[:1] or self._token_group()[:1]

    def _working_group(self):
        return self._token_group().filtered(
            lambda account: account.active and account.state in self.WORKING_STATES
        )

    # -- whose a message is -------------------------------------------------------------------

    def _keep(self, messages, origin):
        """Store messages, each with the account it is for, and have them imported.

        :return: Counter, see ``marketplace.event._store``
        """
        counts = Counter()
        for account, own in self._routed(messages).items():
            counts += account._keep_own(own, origin)
        return counts

    def _keep_own(self, messages, origin):
        counts = self.env["marketplace.event"]._store(self, messages, origin)
        if counts["new"] or counts["changed"]:
            self._wake("import")
        return counts

    def _routed(self, messages):
        """Tell whose each message is: of who has the order, of who has the code, else of who reads the list.

        :return: {account: messages}
        """
        group = self._token_group()
        if len(group) == 1:
            return {self: messages}
        homes = group._homes(messages)
        routed = defaultdict(list)
        for message in messages:
            named = group._named(message.account_code)
            home = homes.get(message.order_id, self.browse())
            routed[(home & named) or home[:1] or named or self._feed_leader()].append(message)
        return routed

    def _named(self, code):
        """Give the account of a code; None and empty are that of the account without one."""
        return self.filtered(lambda account: (account.supplier_code or "") == (code or ""))[:1]

    def _homes(self, messages):
        """Tell which of the accounts have an order already; an order never moves to another account.

        Of an order that is not imported yet, only a message that names no account needs to know.

        :return: {order id: accounts}
        """
        wanted = {message.order_id: message.account_code for message in messages if message.order_id}
        homes = self._homes_of(list(wanted))
        nameless = [order_id for order_id, code in wanted.items() if not code and order_id not in homes]
        return homes | self._homes_in_inbox(nameless)

    def _homes_of(self, order_ids):
        """Tell which of the accounts have orders.

        :return: {order id: accounts}
        """
        homes = defaultdict(self.browse)
        domain = [("marketplace_config_id", "in", self.ids), ("cartona_id", "in", order_ids)]
        for sale in order_ids and self.env["sale.order"].search(domain):
            homes[sale.cartona_id] |= sale.marketplace_config_id
        return homes

    def _homes_in_inbox(self, order_ids):
        if not order_ids:
            return {}
        events = self.env["marketplace.event"].search(
            [
                ("account_id", "in", self.ids),
                ("external_order_id", "in", order_ids),
                ("topic", "=", ORDERS),
                ("state", "!=", "ignored"),
            ],
            order="id",
        )
        settled = events.filtered(lambda event: "account" not in event.hold_ids.mapped("kind"))
        return {event.external_order_id: event.account_id for event in settled}

    def _takes(self, code):
        """Tell whether a new order with this code is the account's; alone behind its token it needs none."""
        if len(self._token_group()) > 1:
            return (code or "") == (self.supplier_code or "")
        return not (code and self.supplier_code) or code == self.supplier_code

    def _check_addressee(self, order):
        """Hold a new order that is for another account.

        :raise Hold: it waits for that account, or for its code to be corrected
        """
        code = order.account_code
        if self._takes(code):
            return
        reason = _("The order is for supplier code %s.", code)
        remedy = _("Make an account with this supplier code, or correct the code on this account.")
        if not code:
            reason = _("The order names no supplier code, and several accounts share the token.")
            remedy = _("Leave the supplier code of the account empty that takes such orders.")
        raise Hold(reason, remedy, [("account", code or NOBODY)])

    def _hand_over_holds(self):
        """Let messages go on that wait for an account, or for an order that another account has by now."""
        holds, group = self.env["marketplace.event.hold"].sudo(), self._token_group()
        for key in holds._open_keys(self, "account"):
            code = key if key != NOBODY else None
            account = group._named(code) or self.filtered(lambda own, code=code: own._takes(code))
            if account:
                holds._waiting(self, "account", [key])._hand_over(account)
        waiting = holds._open_keys(self, "order") if len(group) > 1 else ()
        for order_id, account in (group - self)._homes_of(waiting).items():
            holds._waiting(self, "order", [order_id])._hand_over(account[:1])
