from datetime import timedelta
from decimal import Decimal

from odoo import _, api, fields, models

from ..dialects import words
from ..exceptions import Refused

# So long nobody has told the ids of new lines, or whether they arrived at all: the list of orders was read
# twice since, and the order's statuses wait. Somebody has to look.
UNTOLD_AFTER = timedelta(minutes=10)


class MarketplaceConfig(models.Model):
    _inherit = "marketplace.config"

    @api.model
    def _cron_sweep(self):
        for account in self.search([("state", "in", self.WORKING_STATES)]):
            account._speaking()._committed("_find_untold_lines")
        return super()._cron_sweep()

    def _find_untold_lines(self):
        """Ask a person about changes that wait for what the marketplace does not tell of new lines."""
        steps = self.env["marketplace.order.step"].search(
            [
                ("account_id", "=", self.id),
                ("kind", "=", "lines"),
                ("state", "=", "hold"),
                ("untold_since", "<", fields.Datetime.now() - UNTOLD_AFTER),
            ]
        )
        for step in steps:
            step._ask_about_untold()


class MarketplaceOrderStep(models.Model):
    """Sends changed lines: always the difference of the moment, so that the last one wins."""

    _inherit = "marketplace.order.step"

    changes = fields.Json(readonly=True, help="Changed lines as they were told: ref is the order line here.")
    planned = fields.Json(
        readonly=True, help="{order line's id: quantity} of a delivery that waits for its code."
    )
    removed = fields.Json(
        readonly=True,
        help="{id over there: amount the marketplace's last message counts for it} of lines deleted here.",
    )

    untold_since = fields.Datetime(
        readonly=True, help="Since when it waits for what the marketplace does not tell of new lines."
    )

    def _is_taken(self):
        """Tell whether the marketplace took it; ignored in doubt, a person said that it arrived."""
        return self.state == "done" or (self.state == "ignored" and self.in_doubt)

    def _removed_amounts(self):
        """Give the amounts of removed lines; older steps kept the ids alone."""
        return self.removed if isinstance(self.removed, dict) else {}

    def _settle_by_known(self):
        return self._settle_lines() if self.kind == "lines" else super()._settle_by_known()

    def _settle_lines(self):
        """Settle changes that make no call, or cannot be told."""
        order, dialect = self.sale_order_id, self.account_id._dialect()
        known, changes = order._marketplace_known(), self._changes_due()
        if not order or known in words.GONE or order.state == "cancel":
            self._close("ignored", _("The order is over."), in_doubt=False)
        elif not changes:
            self._forget_refused()
            self._arrive()
        elif known == words.HELD:
            self.untold_since = False
            self._wait_for_customer()
        elif order._is_emptied(self.planned) and dialect.outlook(known, words.CANCELLED) == words.SEND:
            self._ask_to_cancel(known)
        elif not dialect.takes_lines(known, order.delivered_by or None):
            self._refuse_lines(changes, known)
        elif unnamed := self._unnamed(changes):
            self._ask_for_listing(unnamed)
        elif self._waits_for_ids(changes):
            self._wait_for_lines(_("The marketplace has not told the ids of new lines yet."))
        elif self.in_doubt and not dialect.can_read_order and not all(change.id for change in changes):
            self._wait_for_lines(_("It is not known whether the new lines arrived."))
        else:
            return False
        return True

    def _wait_for_lines(self, reason):
        """Wait for what only the marketplace's list tells; who was asked about it stays asked."""
        is_asked = self.state == "failed" and not self.next_try
        if not is_asked:
            self._wait_for_news(reason, untold_since=self.untold_since or fields.Datetime.now())
        self.account_id._ask_feed()

    def _forget_refused(self):
        """Let what was told in vain not count as told, now that the step ends well without it."""
        if not self.in_doubt:
            self.changes = False

    def _changes_due(self):
        """Give what is to be told now: also of lines that were changed back since they were told in vain."""
        gone = [words.LineChange(0, line_id, Decimal(0)) for line_id in self.removed or ()]
        doubtful = {
            change["ref"] for change in self.changes or () if self.in_doubt and not change.get("over")
        }
        return (*self.sale_order_id._marketplace_changes(self.planned, doubtful), *gone)

    def _lines_of(self, changes):
        return self.env["sale.order.line"].browse([change.ref for change in changes if change.ref])

    def _unnamed(self, changes):
        told = self._told_lines()
        new = [change for change in changes if not change.id and change.ref not in told]
        return self._lines_of(new).filtered(lambda line: line._is_known_to_nobody())

    def _told_lines(self):
        return {change["ref"] for change in self.sale_order_id._told_changes()}

    def _waits_for_ids(self, changes):
        told = self._told_lines()
        return any(not change.id and change.ref in told for change in changes)

    def _refuse_lines(self, changes, known):
        lines = ", ".join(self._lines_of(changes).mapped("product_id.display_name"))
        if self.sale_order_id.delivered_by == words.BY_MARKETPLACE:
            reason = _("The marketplace delivers this order and takes no changed lines of it: %s", lines)
        else:
            reason = _(
                "The marketplace takes no changed lines of an order that is %(known)s: %(lines)s",
                known=self._status_labels().get(known) or "?",
                lines=lines,
            )
        self._give_up(
            reason, _("Settle it with the customer, or change the lines back; then ignore this step.")
        )

    def _ask_to_cancel(self, known):
        """Have a person cancel an order of which nothing is left, with the reason he knows."""
        reason = _(
            "Nothing is left of the order here; the marketplace still shows it as %s.",
            self._status_labels().get(known) or "?",
        )
        self._give_up(
            reason,
            _("Cancel the order, with the reason the customer is to hear; or give a line a quantity again."),
        )

    def _ask_for_listing(self, lines):
        self._give_up(
            _("Not sold on the marketplace: %s", ", ".join(lines.mapped("product_id.display_name"))),
            _("Give the product its marketplace key and try again, take the line out, or ignore this step."),
        )

    def _ask_about_untold(self):
        """Have a person do what cannot be told while the marketplace does not tell of new lines."""
        if self.in_doubt:
            remedy = _(
                "Look at the order at the marketplace: ignore this step if they are there, else try again."
            )
            self._give_up(self.reason, remedy)
            return
        reason = _(
            "The marketplace does not tell its ids of new lines, so that their changes cannot be sent: %s",
            ", ".join(self._lines_of(self._changes_due()).mapped("product_id.display_name")),
        )
        remedy = _(
            "Bring these lines at the marketplace to what the order says here and ignore this step: what "
            "waits behind it goes on. Or try again: the marketplace's orders are read once more."
        )
        self._give_up(reason, remedy)

    def _claim_changes(self):
        """Note what is told, so that it is known whatever happens.

        :return: what a Call needs of it
        """
        if self.kind != "lines":
            return (), frozenset()
        changes = self._changes_due()
        wanted = self._lines_of(changes)._marketplace_wanted(self.planned)
        ids = {change.ref: change.id for change in changes}
        self.changes = [self._prepare_told(line, ids[line.id], quantity) for line, quantity in wanted.items()]
        lines = self.sale_order_id.order_line
        return changes, frozenset(lines.filtered("marketplace_line_id").mapped("marketplace_line_id"))

    def _prepare_told(self, line, line_id, quantity):
        before = [line.marketplace_quantity, line.marketplace_price]
        price = line._marketplace_price()
        return {"ref": line.id, "id": line_id, "quantity": quantity, "price": price, "before": before}

    def _send(self, account, call):
        """Send changed lines; of what is in doubt only what an order that can be read does not show yet.

        :return: {order line's id here: its id over there} of new lines, as far as it is told
        """
        if not call.changes:
            return super()._send(account, call)
        network, dialect = self.env["marketplace.api"], account._dialect()
        if call.is_in_doubt and not dialect.can_read_order:
            return self._send_again(account, call)
        changes, learned = call.changes, {}
        if call.is_in_doubt:
            lines = self._read_lines(account, call)
            changes = words.still_to_tell(changes, lines)
            learned = words.new_line_ids(call.changes, lines, call.known_lines)
        if changes:
            key = call.details["idempotency_key"]
            lines = network._update_order_lines(account, call.order_id, changes, key)
            learned |= words.new_line_ids(changes, lines, call.known_lines | set(learned.values()))
        return learned

    def _send_again(self, account, call):
        """Send once more what cannot be read back; a line that may be gone by now is taken away by itself.

        That it is not there any more would else refuse the other changes, too.
        """
        network, dialect = self.env["marketplace.api"], account._dialect()
        removals = [change for change in call.changes if change.id and change.quantity == 0]
        others = tuple(change for change in call.changes if change not in removals)
        if others:
            network._update_order_lines(account, call.order_id, others)
        for removal in removals:
            try:
                network._update_order_lines(account, call.order_id, (removal,))
            except Refused as refusal:
                if not dialect.is_line_gone(refusal):
                    raise
        return {}

    def _read_lines(self, account, call):
        message = self.env["marketplace.api"]._read_order(account, call.order_id)
        return account._dialect().parse_order(message.payload).lines

    def _goes_on(self):
        """Have changes go on, too, that were given up before they were sent: the message has freed them."""
        is_unsent = self.kind == "lines" and self.state == "failed" and not (self.tries or self.in_doubt)
        return super()._goes_on() or is_unsent

    def _is_settled_by(self, account, call, refusal):
        """Take "there is no such line" for the answer to taking it away again."""
        if not call.changes:
            return super()._is_settled_by(account, call, refusal)
        only_removals = all(change.id and change.quantity == 0 for change in call.changes)
        return call.is_in_doubt and only_removals and account._dialect().is_line_gone(refusal)

    def _arrive(self, learned=None):
        super()._arrive()
        if self.kind == "lines" and isinstance(learned, dict):
            for ref, line_id in learned.items():
                self.env["sale.order.line"].browse(ref).exists().marketplace_line_id = line_id
            if any(not change["id"] and change["ref"] not in learned for change in self.changes or ()):
                self.account_id._ask_feed()

    def action_ignore(self):
        """Take the word of a person that what cannot be told is there: it is not asked about again."""
        self._check_open()
        for step in self.sudo().filtered(lambda step: step.kind == "lines" and not step.in_doubt):
            if step._waits_for_ids(step._changes_due()):
                step._claim_changes()
                step.in_doubt = True
        return super().action_ignore()

    def action_process_again(self):
        """Try once more; the word of a person who was asked is taken that new lines did not arrive."""
        self._check_open()
        steps = self.sudo().filtered(lambda step: step.kind == "lines")
        steps.filtered(lambda step: step.state == "failed").in_doubt = False
        steps.untold_since = False
        return super().action_process_again()
