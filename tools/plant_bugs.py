"""Plant bugs, one for each rule of the design, and see whether a test notices.

``plant_bugs.py [word …]`` plants those whose rule holds one of the words; without words all. Each is planted
in a copy of the project in the build folder, and only the tests named with it run there.
"""

import os
import shutil
import subprocess
import sys

from environment import ADDON, BUILD, ROOT, say

COPY = BUILD / "planted"
MODELS = f"{ADDON}/models"

# (the rule that is broken, file, text, what stands there instead, stage, word of the tests)
BUGS = [
    (
        "uniqueness of messages is the database's",
        f"{MODELS}/marketplace_event.py",
        "CREATE UNIQUE INDEX marketplace_event_identity_uniq",
        "CREATE INDEX marketplace_event_identity_uniq",
        "faults", "at_once",
    ),
    (
        "uniqueness of orders is the database's",
        f"{MODELS}/sale_order.py",
        "CREATE UNIQUE INDEX sale_order_marketplace_identity_uniq",
        "CREATE INDEX sale_order_marketplace_identity_uniq",
        "addon", "processor or inbox or access",
    ),
    (
        "a repeat of a content is known by its digest",
        f"{MODELS}/marketplace_event_store.py",
        "if digest not in known and self._insert(",
        "if self._insert(",
        "addon", "inbox or webhook",
    ),
    (
        "a lost race is a duplicate, not an error",
        f"{MODELS}/marketplace_event_store.py",
        " ON CONFLICT (account_id, topic, delivery_id) DO NOTHING",
        "",
        "faults", "at_once",
    ),
    (
        "one bad message does not stop the others",
        f"{MODELS}/marketplace_event.py",
        "        except Exception as error:\n            return None, error",
        "        except ZeroDivisionError as error:\n            return None, error",
        "addon", "inbox",
    ),
    (
        "a total that differs is a hold",
        f"{MODELS}/marketplace_order_total.py",
        "    def _hold_for_total(self, order, found, remedy):\n        raise Hold(",
        "    def _hold_for_total(self, order, found, remedy):\n        Hold(",
        "addon", "processor",
    ),
    (
        "an order of several bad lines is imported whole or not at all",
        f"{MODELS}/marketplace_order_goods.py",
        "            self._hold_for_products(bad)",
        "            0 and self._hold_for_products(bad)",
        "addon", "processor or inbox",
    ),
    (
        "confirming keeps the order's date",
        f"{MODELS}/sale_order.py",
        '            values.pop("date_order", None)\n',
        "            pass\n",
        "addon", "processor or inbox or samples",
    ),
    (
        "goods that have left are not cancelled by a message",
        f"{MODELS}/marketplace_order_changes.py",
        "delivered = [line for line in sale.order_line if line._is_with_customer()]",
        "delivered = []",
        "addon", "processor or inbox",
    ),
    (
        "strangers are refused: an account without a token has none",
        f"{MODELS}/marketplace_webhook.py",
        'hmac.compare_digest((self.token_digest or "none")',
        "hmac.compare_digest((self.token_digest or token_digest)",
        "addon", "webhook",
    ),
    (
        "strangers are refused: the token counts",
        f"{MODELS}/marketplace_webhook.py",
        "        return hmac.compare_digest(",
        "        return True or hmac.compare_digest(",
        "addon", "TestWebhookCredentials",
    ),
    (
        "a signature that came must be right, whatever the token says",
        f"{MODELS}/marketplace_webhook.py",
        "if keys and self.signature.is_presented(headers):",
        "if keys and self.signature.is_presented(headers) and not token_digest:",
        "addon", "TestSignature",
    ),
    (
        "a signed call is refused after five minutes",
        f"{ADDON}/dialects/signature.py",
        "lead is not None and abs(lead) <= window",
        "lead is not None",
        "addon", "TestSignature",
    ),
    (
        "the secret before the newest dies in the end",
        f"{MODELS}/marketplace_webhook.py",
        "self.previous_until and self.previous_until > fields.Datetime.now()",
        "self.previous_until",
        "addon", "TestSignature",
    ),
    (
        "one of the accounts behind a token reads for all",
        f"{MODELS}/marketplace_feed.py",
        "        if leader != self:\n",
        "        if False:\n",
        "addon", "TestTokenGroup",
    ),
    (
        "an order stays with the account that has it",
        f"{MODELS}/marketplace_group.py",
        "(home & named) or home[:1] or named or",
        "named or home[:1] or",
        "addon", "TestTokenGroup",
    ),
    (
        "an order for another account is held",
        f"{MODELS}/marketplace_order_processor.py",
        "        account._check_addressee(order)\n",
        "",
        "addon", "TestTokenGroup or processor",
    ),
    (
        "a trial leaves nothing behind",
        f"{MODELS}/marketplace_traffic.py",
        "                cr.rollback()",
        "                cr.flush()",
        "addon", "by_hand",
    ),
    (
        "a message without length is refused before it is read",
        f"{ADDON}/controllers/marketplace_webhook.py",
        'if call.headers.get("Transfer-Encoding") or call.content_length is None:',
        "if False:",
        "addon", "webhook",
    ),
    (
        "acknowledged is only what is settled here",
        f"{MODELS}/marketplace_event_store.py",
        'if state in settled and (order_id, digest) in shown',
        "if (order_id, digest) in shown",
        "addon", "inbox",
    ),
    (
        "acknowledged is the state that was read",
        f"{MODELS}/marketplace_event_store.py",
        'if state in settled and (order_id, digest) in shown',
        "if state in settled",
        "addon", "inbox or TestAcknowledge",
    ),
    (
        "marks survive: they are collected anew at each flush",
        f"{MODELS}/marketplace_mark.py",
        'noted = cr.precommit.data.pop("marketplace.marks", {})',
        'noted = cr.precommit.data.get("marketplace.marks", {})',
        "addon", "mark",
    ),
    (
        "reservations change what is free",
        f"{MODELS}/stock_quant.py",
        'FIGURES = {"quantity", "reserved_quantity", ',
        'FIGURES = {"quantity", ',
        "addon", "mark or push or hooks",
    ),
    (
        "what is sent is in doubt until it is answered",
        f"{MODELS}/marketplace_product_link.py",
        "in_doubt = coalesce(in_doubt, false) OR has_price OR has_stock,",
        "in_doubt = false,",
        "addon", "push",
    ),
    (
        "what is sent counts as unknown until it is answered",
        f"{MODELS}/marketplace_product_link.py",
        "price_acknowledged = coalesce(price_acknowledged, false) AND NOT has_price,",
        "price_acknowledged = coalesce(price_acknowledged, false),",
        "addon", "push",
    ),
    (
        "marks of what failed are put back",
        f"{MODELS}/marketplace_push.py",
        '        self.env["marketplace.mark"]._put_back(self, {key: kinds_of(',
        '        0 and self.env["marketplace.mark"]._put_back(self, {key: kinds_of(',
        "addon", "push",
    ),
    (
        "a refused batch is split until the bad row is alone",
        f"{MODELS}/marketplace_push.py",
        "            if len(updates) == 1:",
        "            if len(updates) >= 1:",
        "addon", "push",
    ),
    (
        "a late message does not undo a newer one on hold",
        f"{MODELS}/marketplace_event_news.py",
        "held_at and (not known[1] or held_at > known[1])",
        "False",
        "addon", "contradictions",
    ),
    (
        "what cannot be read replaces nothing",
        f"{MODELS}/marketplace_event.py",
        'all(kind != "message" for kind, *_key in hold.keys)',
        "True",
        "addon", "contradictions",
    ),
    (
        "that an order is over replaces what waits, though nobody can read the rest",
        f"{MODELS}/marketplace_event.py",
        "if self.status in GONE or all(",
        "if all(",
        "addon", "contradictions",
    ),
    (
        "no button but the step's own decides what waits for a decision",
        f"{MODELS}/sale_order.py",
        "not (step.needs_code or step._awaits_decision())",
        "not step.needs_code",
        "addon", "test_delivery",
    ),
    (
        "a tax of the same rate may be booked elsewhere",
        f"{MODELS}/marketplace_taxes.py",
        "self._books(other) == self._books(tax)",
        "True",
        "addon", "processor",
    ),
    (
        "an order cancelled with goods at the customer is a decision",
        f"{MODELS}/sale_order.py",
        "status == words.CANCELLED and self._is_with_customer()",
        "False",
        "addon", "test_delivery",
    ),
    (
        "what a vendor is still asked for is to come",
        f"{MODELS}/marketplace_order_delivery.py",
        "and not self._awaits_vendor()",
        "",
        "addon", "test_delivery",
    ),
    (
        "no code is asked for while a vendor is to send the rest",
        f"{MODELS}/stock_picking.py",
        " or order._awaits_vendor()",
        "",
        "addon", "test_delivery_code",
    ),
    (
        "a file that is imported again unlinks nothing",
        f"{MODELS}/marketplace_product_link.py",
        "other = self.filtered(lambda link: link._is_renamed(identity))",
        "other = self if identity else self.browse()",
        "addon", "test_identity",
    ),
    (
        "safety stock is kept back",
        f"{MODELS}/marketplace_config_allocation.py",
        "max(0.0, free - buffer)",
        "max(0.0, free)",
        "addon", "push or product or offer or allocation",
    ),
    (
        "marketplace quotations are not for sale",
        f"{MODELS}/product_product.py",
        '            _("in marketplace quotations"): everything._marketplace_quoted(warehouses),\n',
        "",
        "addon", "push or product or mark",
    ),
    (
        "without a warehouse nothing is told: never 0 by mistake",
        f"{MODELS}/marketplace_product_offer.py",
        "        if not account.stock_warehouse_ids:\n",
        "        if False:\n",
        "addon", "push or offer",
    ),
    (
        "one pusher at a time",
        f"{MODELS}/marketplace_traffic.py",
        "        return self.env.cr.fetchone()[0]\n",
        "        return True\n",
        "addon", "push or inbox or traffic",
    ),
    (
        "statuses of an order are sent in their order",
        f"{MODELS}/marketplace_order_step.py",
        "older.id < step.id",
        "older.id > step.id",
        "addon", "steps",
    ),
    (
        "a claimed step may have arrived",
        f"{MODELS}/marketplace_order_step.py",
        'self.write({"tries": self.tries + 1, "in_doubt": True})',
        'self.write({"tries": self.tries + 1})',
        "addon", "steps",
    ),
    (
        "an order of which nothing is left is cancelled by a person",
        f"{MODELS}/marketplace_order_edit.py",
        "return not any(self._marketplace_lines()._marketplace_wanted(planned).values())",
        "return False",
        "addon", "EditsAreTold",
    ),
    (
        "what had left before it was seen is not told back",
        f"{MODELS}/marketplace_order_processor.py",
        '"marketplace_seen_shipped": order.status in LEFT,',
        '"marketplace_seen_shipped": False,',
        "addon", "DeliveriesAreTold",
    ),
    (
        "an echo ends here",
        f"{MODELS}/sale_order.py",
        "            and dialect.outlook(known or None, status) != words.REACHED\n",
        "",
        "addon", "steps",
    ),
    (
        "a copied database talks to nobody",
        f"{MODELS}/marketplace_home.py",
        " and self.sudo().home == self._database()",
        "",
        "addon", "home",
    ),
    (
        "what was sold there waits for its order",
        f"{MODELS}/marketplace_product_listing.py",
        '            or (drift == "sold" and self.drift != "sold")\n',
        "",
        "addon", "healing",
    ),
    (
        "one reading that misses a listing is not believed",
        f"{MODELS}/marketplace_product_unseen.py",
        "GONE_AFTER = 2",
        "GONE_AFTER = 1",
        "addon", "healing",
    ),
    (
        "a key of one product and the barcode of another are a person's case",
        f"{MODELS}/marketplace_product_listing.py",
        "        self._leave_contradicted(account, single, seekers)\n",
        "",
        "addon", "test_link",
    ),
    (
        "what became another product's is not sold on",
        f"{MODELS}/marketplace_link_identity.py",
        '            link.write({"is_paused": True, "is_disputed": True, "reason": problem})\n',
        "            pass\n",
        "addon", "healing",
    ),
    (
        "a flood of missing listings is not believed",
        f"{MODELS}/marketplace_product_unseen.py",
        "MISSING_AT_ONCE = 5",
        "MISSING_AT_ONCE = 2000",
        "addon", "healing",
    ),
    (
        "an ambiguous proposal is refused",
        f"{MODELS}/marketplace_product_match.py",
        "if len(match.products) > 1:",
        "if len(match.products) > 99:",
        "addon", "linking",
    ),
    (
        "nothing is sent for a listing without product",
        f"{MODELS}/marketplace_product_listing.py",
        '        without.write({"state": "found"',
        '        without.write({"state": "linked"',
        "addon", "link",
    ),
    (
        "an account that starts with a selection sends for no other",
        f"{MODELS}/marketplace_going_live.py",
        '            (listings.search(domain) - links).write({"is_paused": True})\n',
        "",
        "addon", "going_live",
    ),
    (
        "the last units are one account's",
        f"{MODELS}/marketplace_config_sharing.py",
        "(units, -rival.id) > (own, -self.id)",
        "(units, -rival.id) < (own, -self.id)",
        "addon", "allocation",
    ),
    (
        "credentials that are refused pause the account",
        f"{MODELS}/marketplace_traffic.py",
        "            self._stop_for_credentials(error)\n",
        "            pass\n",
        "addon", "traffic or push or steps",
    ),
    (
        "calls go to the public internet only",
        f"{ADDON}/connections.py",
        "    if not may_be_private() and not all(map(is_public, addresses)):\n",
        "    if not addresses:\n",
        "unit", "connections",
    ),
    (
        "a name is looked up once",
        f"{ADDON}/connections.py",
        "                self._dns_host = address\n",
        "                pass\n",
        "unit", "connections",
    ),
    (
        "too many calls of one kind are too many of all",
        f"{MODELS}/marketplace_traffic.py",
        "                self._rest_from_calling(kind, str(error), error.retry_after or REST)\n",
        "                pass\n",
        "addon", "traffic",
    ),
    (
        "a redirect is no answer",
        f"{ADDON}/dialects/base.py",
        "        if 300 <= answer.status < 400:\n",
        "        if 300 <= answer.status < 300:\n",
        "addon", "api",
    ),
    (
        "jobs work as the account's user in its company",
        f"{MODELS}/marketplace_traffic.py",
        "        return self.with_user(self.user_id).with_company(self.company_id)",
        "        return self",
        "addon", "traffic or batch or access",
    ),
    (
        "the place to read from is never ahead of our clock",
        f"{MODELS}/marketplace_feed.py",
        "max((at for at in times if at <= now)",
        "max((at for at in times)",
        "addon", "TestPull",
    ),
    (
        "a time that has not come yet is believed by nobody",
        f"{MODELS}/marketplace_config.py",
        "if at and at > datetime.now(timezone.utc) + SKEW else value",
        "if False else value",
        "addon", "TestNewer",
    ),
    (
        "a line that is about other goods waits for a person",
        f"{MODELS}/marketplace_order_changes.py",
        "        if other_goods or other_unit:",
        "        if other_unit:",
        "addon", "TestOrderChanges",
    ),
    (
        "what no database stores is refused where it is read",
        f"{ADDON}/dialects/payload.py",
        "    _check(data, ())\n",
        "",
        "unit", "payload",
    ),
    (
        "a message is JSON by its own word",
        f"{ADDON}/controllers/marketplace_webhook.py",
        'if call.mimetype != "application/json" or call.headers.get("Content-Encoding"):',
        "if False:",
        "addon", "TestWebhookForm",
    ),
    (
        "a database that takes no rows asks to come again",
        f"{MODELS}/marketplace_webhook.py",
        'raise Unavailable("The database takes no rows") from error',
        "raise error",
        "addon", "TestUnavailable",
    ),
    (
        "what a paused account has sold is not offered by the others",
        f"{MODELS}/marketplace_traffic.py",
        "                self._keep_back_waiting()\n",
        "                pass\n",
        "addon", "policies",
    ),
    (
        "who looks for work after a commit leaves the connection as it was",
        f"{MODELS}/marketplace_traffic.py",
        "            connection.isolation_level, connection.readonly = level, readonly\n",
        "            pass\n",
        "addon", "TestWakeUp",
    ),
    (
        "uniqueness of customers is the database's",
        f"{MODELS}/res_partner.py",
        "CREATE UNIQUE INDEX res_partner_cartona_id_uniq",
        "CREATE INDEX res_partner_cartona_id_uniq",
        "addon", "TestCustomer",
    ),
    (
        "uniqueness of listings is the database's",
        f"{MODELS}/marketplace_product_link.py",
        "CREATE UNIQUE INDEX marketplace_product_link_external_uniq",
        "CREATE INDEX marketplace_product_link_external_uniq",
        "addon", "identity or link",
    ),
    (
        "a copied contact is not the marketplace's",
        f"{MODELS}/res_partner.py",
        'string="Marketplace Customer",\n        copy=False,',
        'string="Marketplace Customer",',
        "addon", "TestCustomer",
    ),
    (
        "success is answered after the message is kept",
        f"{ADDON}/controllers/marketplace_webhook.py",
        "accepted, duplicate = account._receive(messages)",
        "accepted, duplicate = len(messages), 0",
        "addon", "TestWebhook",
    ),
    (
        "a confirmed order is cancelled by Odoo's own action, without its question",
        f"{MODELS}/marketplace_order_changes.py",
        "sale.with_context(disable_cancel_warning=True, **QUIET).action_cancel()",
        "sale.with_context(**QUIET).action_cancel()",
        "addon", "processor or samples",
    ),
    (
        "a line that is gone from a confirmed order becomes 0",
        f"{MODELS}/marketplace_order_changes.py",
        'gone = row_id not in rows and sale.state in ("draft", "sent")',
        "gone = row_id not in rows",
        "addon", "processor or samples",
    ),
    (
        "a locked order is opened for a change",
        f"{MODELS}/marketplace_order_changes.py",
        "        if locked:\n            sale.action_unlock()",
        "",
        "addon", "processor or samples or policies",
    ),
    (
        "customers are made no followers",
        f"{MODELS}/marketplace_order_changes.py",
        "following.message_unsubscribe(following.partner_id.ids)",
        "following.message_ids",
        "addon", "processor or samples or policies",
    ),
    (
        "a status that waits makes a message read at the same moment begin again",
        f"{MODELS}/marketplace_order_step.py",
        '"UPDATE sale_order SET write_date = write_date WHERE id = %s"',
        '"SELECT %s"',
        "addon", "test_steps",
    ),
    (
        "the place to read from moves only when all is read",
        f"{MODELS}/marketplace_feed.py",
        '                    self._committed("_leave_reading", reading)\n                    return False',
        '                    self._committed("_leave_reading", reading)\n                    break',
        "addon", "TestPull",
    ),
]  # fmt: skip


def plant(file, text, instead):
    """Break the copy's file.

    :raise SystemExit: the text is not there exactly once: the list is older than the code
    """
    path = COPY / file
    source = path.read_text()
    if source.count(text) != 1:
        raise ValueError(f"{source.count(text)} times in {file}: {text.strip()[:60]!r}")
    path.write_text(source.replace(text, instead))


def make_copy():
    """Copy the project; the copy's own build folder stays from one time to the next."""
    for left in COPY.glob("*"):
        if left.name != "build" and left.is_dir():
            shutil.rmtree(left)
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    for name in files:
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)


def run(stage, word):
    """Run the tests named with a bug.

    :return: whether one failed
    """
    env = {**os.environ, "STAGE": stage, "ARGS": f"-x -q -k '{word}'", "KEEP": "1"}
    done = subprocess.run(
        [sys.executable, "tools/run_tests.py"], cwd=COPY, env=env, check=False, capture_output=True, text=True
    )
    text = done.stdout + done.stderr
    if done.returncode and " failed" not in text and " error" not in text:
        raise ValueError(f"the tests did not run: {text[-500:]}")
    return bool(done.returncode)


def main():
    words = [word.lower() for word in sys.argv[1:]]
    chosen = [bug for bug in BUGS if not words or any(word in bug[0].lower() for word in words)]
    make_copy()
    outcomes = {"caught": [], "ESCAPED": [], "NOT PLANTED": []}
    for rule, file, text, instead, stage, word in chosen:
        original = (COPY / file).read_text()
        try:
            plant(file, text, instead)
            outcome = "caught" if run(stage, word) else "ESCAPED"
        except ValueError as error:
            outcome = "NOT PLANTED"
            say(str(error))
        (COPY / file).write_text(original)
        outcomes[outcome].append(rule)
        say(f"{outcome}: {rule}")
    subprocess.run([sys.executable, "tools/postgres.py", "stop"], cwd=COPY, check=False)
    print("\nplanted bugs: " + ", ".join(f"{len(rules)} {outcome}" for outcome, rules in outcomes.items()))
    return 1 if outcomes["ESCAPED"] or outcomes["NOT PLANTED"] else 0


if __name__ == "__main__":
    sys.exit(main())
