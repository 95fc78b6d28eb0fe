import base64
import codecs
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user
from odoo.tools import mute_logger

from ..dialects import payload
from ..dialects.cartona import Cartona
from ..models.marketplace_order_processor import MarketplaceOrderProcessor
from ..models.marketplace_traffic import LOCKS
from ..wizards import marketplace_order_file
from .common import MarketplaceCase, ok, sample

LEFT_BEHIND = (
    "sale_order", "sale_order_line", "res_partner", "stock_move", "stock_picking", "mail_message",
    "mail_mail", "queue_job", "marketplace_mark", "marketplace_order_step", "marketplace_event",
    "marketplace_event_hold",
)  # fmt: skip
GROUP = "cartona_integration.group_marketplace_"


class ByHandCase(MarketplaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tea, cls.sugar = (cls.make_product(key) for key in ("TEA-25", "SUGAR-1"))
        cls.clerk = new_test_user(cls.env, "clerk", groups=f"{GROUP}user")
        cls.manager = new_test_user(cls.env, "manager", groups=f"{GROUP}manager")

    def setUp(self):
        super().setUp()
        self.wakeups.clear()

    def cartona_order(self, order_id="K1", **changes):
        [row] = payload.loads(sample("cartona/order_pending"))
        return {**row, "hashed_id": order_id, **changes}

    def neutral(self, order_id="N1", **changes):
        return {
            "id": order_id,
            "status": "pending",
            "modified_at": "2026-11-12T10:00:00Z",
            "currency": self.env.company.currency_id.name,
            "total": 10,
            "customer": {"id": "C1", "name": "Shop"},
            "lines": [{"id": "1", "sku": "TEA-25", "quantity": 1, "unit_price": 10}],
            **changes,
        }


class TestFetch(ByHandCase):
    """One order a person asks for."""

    def fetch(self, account, number, user=None):
        wizard = self.env["marketplace.fetch.order"].with_user(user or self.clerk)
        return wizard.create({"account_id": account.id, "number": number}).action_fetch()

    def test_an_order_is_read_by_its_id_where_the_marketplace_can(self):
        self.door.will("order", ok({"order": self.neutral()}))
        action = self.fetch(self.rest, " N1 ")
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), self.events())
        self.assertEqual((self.events().origin, self.events().state), ("manual", "new"))
        self.run_wakeups_of_import(self.rest)
        self.assertTrue(self.order(self.rest, "N1"))

    def run_wakeups_of_import(self, account):
        self.assertIn((account.id, "import"), self.wakeups)
        self.run_job(account, "import")

    def test_elsewhere_it_is_looked_for_on_all_pages_by_id_or_number(self):
        first, second = self.cartona_order("K1", receipt_id="1"), self.cartona_order("K2", receipt_id="2")
        for number in ("K2", "2"):
            with patch.object(Cartona, "page_size", 1):
                self.door.will("orders", ok([first]), ok([second]))
                self.fetch(self.cartona, number)
        self.assertEqual(self.events().mapped("external_order_id"), ["K2"])
        self.run_wakeups_of_import(self.cartona)
        self.assertTrue(self.order(self.cartona, "K2"))
        self.assertFalse(self.door.asked("acknowledge"))

    def test_an_order_the_list_does_not_show_any_more_is_told_clearly(self):
        self.door.will("orders", ok([]))
        with self.assertRaisesRegex(UserError, "does not list order K1"):
            self.fetch(self.cartona, "K1")
        self.assertFalse(self.events())

    def test_an_order_nobody_knows_and_an_outage_are_told_in_the_marketplaces_words(self):
        for answer, said in (
            (ok({"error": "no such order"}, status=404), "no such order"),
            (ok(status=503), "503"),
        ):
            self.door.will("order", answer)
            with self.assertRaisesRegex(UserError, said):
                self.fetch(self.rest, "N1")

    def test_an_id_that_would_change_the_address_is_refused(self):
        with self.assertRaises(UserError):
            self.fetch(self.rest, "..")
        self.assertFalse(self.door.requests)

    def test_it_waits_for_a_reading_that_is_under_way(self):
        with self.registry._db.cursor() as elsewhere:
            elsewhere.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS["pull"], self.cartona.id])
            with self.assertRaisesRegex(UserError, "just now"):
                self.fetch(self.cartona, "K1")
        self.assertFalse(self.door.requests)

    def test_what_is_known_already_is_stored_once(self):
        self.receive(self.rest, self.neutral())
        self.door.will("order", ok({"order": self.neutral()}))
        self.fetch(self.rest, "N1")
        self.assertEqual(len(self.events()), 1)

    def test_an_account_that_does_not_work_fetches_nothing(self):
        self.rest.action_pause()
        with self.assertRaises(UserError):
            self.fetch(self.rest, "N1")
        self.assertFalse(self.door.requests)

    def test_what_becomes_of_another_companys_order_is_not_shown(self):
        company = self.env["res.company"].create({"name": "Other"})
        other = self.make_account("cartona", code="other", company_id=company.id, supplier_code="2")
        (self.cartona | other).auth_token = "one-token-of-two-0123456789"
        self.cartona.supplier_code = "1"
        self.door.will("orders", ok([self.cartona_order(supplier_code="2")]))
        wizard = self.env["marketplace.fetch.order"].with_user(self.manager)
        action = wizard.create({"account_id": self.cartona.id, "number": "K1"}).action_rehearse()
        shown = self.env["marketplace.rehearsal"].browse(action["res_id"]).result
        self.assertNotIn("TEA-25", shown)

    def test_what_an_order_would_do_is_shown_before_it_is_fetched(self):
        self.door.will("order", ok({"order": self.neutral()}))
        wizard = self.env["marketplace.fetch.order"].with_user(self.manager)
        action = wizard.create({"account_id": self.rest.id, "number": "N1"}).action_rehearse()
        shown = self.env["marketplace.rehearsal"].browse(action["res_id"]).result
        self.assertIn("A new sale order", shown)
        self.assertFalse(self.events())
        self.assertFalse(self.order(self.rest, "N1"))


class TestReadAgain(ByHandCase):
    """All orders since a time that a person says."""

    def read_again(self, account, since="2026-11-10 08:00:00", user=None):
        wizard = self.env["marketplace.read.again"].with_user(user or self.clerk)
        wizard.create({"account_id": account.id, "since": since}).action_read()
        self.assertIn((account.id, "pull"), self.wakeups)
        self.run_job(account, "pull")
        return dict(self.door.requests[-1].query)

    def test_what_a_restored_backup_lost_is_imported(self):
        self.receive(self.rest, self.neutral("N1"))
        self.rest._state("pull").cursor = "2026-11-20T10:00:00+00:00"
        self.door.will("orders", ok({"orders": [self.neutral("N1"), self.neutral("N2")], "next_page": None}))
        self.assertEqual(self.read_again(self.rest)["since"], "2026-11-10T08:00:00Z")
        self.assertEqual(self.events().mapped("external_order_id"), ["N1", "N2"])
        self.door.will("orders", ok({"orders": [], "next_page": None}))
        self.run_job(self.rest, "pull")
        self.assertEqual(dict(self.door.requests[-1].query)["since"], "2026-11-20T09:55:00Z")

    def test_a_list_that_is_drained_is_asked_for_what_was_taken(self):
        self.door.will("orders", ok([self.cartona_order()]))
        self.assertEqual(self.read_again(self.cartona)["from"], "2026-11-10T08:00:00Z")
        self.door.will("orders", ok([]))
        self.run_job(self.cartona, "pull")
        self.assertNotIn("from", dict(self.door.requests[-1].query))

    def test_nothing_is_left_out_that_the_next_reading_would_have_read(self):
        self.rest._state("pull").cursor = "2026-11-05T10:00:00+00:00"
        self.door.will("orders", ok({"orders": [], "next_page": None}))
        self.assertEqual(self.read_again(self.rest)["since"], "2026-11-05T09:55:00Z")

    def test_the_first_reading_stays_one_of_everything(self):
        self.door.will("orders", ok({"orders": [], "next_page": None}))
        self.assertNotIn("since", self.read_again(self.rest))

    def test_it_waits_for_a_reading_that_is_under_way(self):
        with self.registry._db.cursor() as elsewhere:
            elsewhere.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS["pull"], self.rest.id])
            with self.assertRaisesRegex(UserError, "just now"):
                self.read_again(self.rest)

    def test_the_wish_survives_an_outage_and_a_later_wish_for_less(self):
        for account, name in ((self.rest, "since"), (self.cartona, "from")):
            if account == self.rest:
                account._state("pull").cursor = "2026-11-20T10:00:00+00:00"
            self.door.will("orders", ok(status=503))
            self.read_again(account)
            with self.assertRaisesRegex(UserError, "paused"):
                self.read_again(account)
            account._state("pull")._resume()
            self.door.will("orders", ok(status=503))
            self.assertEqual(self.read_again(account, "2026-11-19 08:00:00")[name], "2026-11-10T08:00:00Z")

    def test_an_account_that_does_not_work_reads_nothing(self):
        self.rest.action_pause()
        with self.assertRaisesRegex(UserError, "Start the account"):
            self.read_again(self.rest)


class TestFile(ByHandCase):
    """Orders from a file."""

    def wizard(self, data, account=None, user=None):
        raw = data if isinstance(data, bytes) else payload.dumps(data).encode()
        return (
            self.env["marketplace.order.file"]
            .with_user(user or self.manager)
            .create({"account_id": (account or self.cartona).id, "file": base64.b64encode(raw)})
        )

    def imported(self, data, account=None):
        wizard = self.wizard(data, account)
        wizard.action_import()
        return wizard.result

    def test_one_order_a_list_and_an_orders_object_are_taken(self):
        for data in (
            self.cartona_order("a"),
            [self.cartona_order("b"), self.cartona_order("c")],
            {"orders": [self.cartona_order("d")]},
        ):
            self.imported(data)
        self.assertEqual(self.events().mapped("external_order_id"), ["a", "b", "c", "d"])
        self.assertEqual(set(self.events().mapped("origin")), {"file"})
        self.run_job(self.cartona, "import")
        self.assertEqual(set(self.events().mapped("state")), {"done"})

    def test_the_same_file_twice_stores_nothing_more(self):
        self.imported(self.cartona_order())
        self.assertIn("0 stored, 1 known", self.imported(self.cartona_order()))
        self.assertEqual(len(self.events()), 1)

    def test_an_older_state_in_a_file_does_not_come_back(self):
        for status in ("pending", "approved"):
            self.receive(self.cartona, payload.dumps(self.cartona_order(status=status)).encode())
        self.imported(self.cartona_order(status="pending"))
        self.assertEqual(len(self.events()), 2)

    def test_bad_elements_are_named_one_by_one_and_the_good_ones_are_taken(self):
        nameless = self.cartona_order()
        del nameless["hashed_id"]
        told = self.imported([self.cartona_order("a"), nameless, 7, self.cartona_order("b", total_price="x")])
        self.assertIn("1 stored, 0 known already, 3 not readable", told)
        self.assertIn("Element 2: hashed_id", told)
        self.assertIn("Element 3: ", told)
        self.assertIn("Element 4: total_price", told)
        self.assertEqual(self.events().mapped("external_order_id"), ["a"])

    def test_a_file_that_begins_with_a_byte_order_mark_is_read(self):
        raw = codecs.BOM_UTF8 + payload.dumps(self.cartona_order()).encode()
        self.assertIn("1 stored", self.imported(raw))

    def test_what_is_no_file_of_orders_is_refused(self):
        for raw in (b" ", b"nonsense", b"\xff", b"5", b'{"a": 1, "a": 2}', b"[" * 50_000):
            with self.assertRaises(UserError):
                self.imported(raw)
        self.assertFalse(self.events())

    def test_a_huge_file_is_refused(self):
        self.startPatcher(patch.object(marketplace_order_file, "MAX_FILE", 1000))
        with self.assertRaisesRegex(UserError, "larger"):
            self.imported(b" " * 1001)

    def test_only_managers_import_files(self):
        with self.assertRaises(AccessError):
            self.wizard([], user=self.clerk)

    def test_the_neutral_format_is_the_rest_accounts(self):
        self.imported(sample("rest/neutral_order_created"), self.rest)
        self.assertEqual(self.events(self.rest).external_order_id, "N-88123")

    def test_every_account_takes_the_neutral_format(self):
        order = self.neutral()
        self.assertIn(
            "2 stored, 0 known already, 1 not readable", self.imported([order, self.neutral("N2"), 7])
        )
        self.assertIn("0 stored, 1 known", self.imported(order))
        action = self.wizard(self.neutral("N3")).action_rehearse()
        self.assertIn("A new sale order", self.env[action["res_model"]].browse(action["res_id"]).result)
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events(self.cartona).mapped("state"), ["done", "done"])
        self.assertEqual(self.order(self.cartona, "N1").partner_id.cartona_id, "retailer_cartona_test_C1")

    def test_an_envelope_of_the_neutral_format_is_taken_by_every_account(self):
        data = payload.loads(sample("rest/neutral_order_created"))
        self.assertIn("1 stored", self.imported(data))
        self.assertEqual(self.events(self.cartona).external_order_id, "N-88123")

    def test_a_neutral_order_that_waits_for_another_account_stays_neutral(self):
        self.cartona.write({"supplier_code": "1", "auth_token": "shared"})
        other = self.make_account("cartona", code="other", supplier_code="2", auth_token="shared")
        self.imported(self.neutral(), other)
        event = self.events()
        event._hand_over(self.cartona if event.account_id == other else other)
        for account in self.cartona | other:
            self.run_job(account, "import")
        self.assertEqual(self.events()[-1:].dialect, "rest")
        self.assertNotIn("message", self.events().hold_ids.mapped("kind"))

    def test_times_in_a_file_may_be_the_accounts(self):
        order = self.neutral(placed_at="2026-01-02T03:04:05")
        self.assertIn("0 stored", self.imported(order, self.rest))
        self.rest.time_zone = "Africa/Cairo"
        self.env.flush_all()
        self.assertIn("1 stored", self.imported(order, self.rest))
        shown = self.wizard(self.neutral("N2", placed_at="2026-01-02T03:04:05"), self.rest).action_rehearse()
        self.assertIn("01:04:05", self.env[shown["res_model"]].browse(shown["res_id"]).result)

    def test_a_file_is_tried_without_effect(self):
        action = self.wizard([self.cartona_order("a"), self.cartona_order("b")]).action_rehearse()
        shown = self.env[action["res_model"]].browse(action["res_id"]).result
        self.assertEqual(shown.count("A new sale order"), 2)
        self.assertFalse(self.events() or self.order(self.cartona, "a"))


class TestRehearsal(ByHandCase):
    """What a message would do, without doing it."""

    def shown(self, user=None):
        wizards = self.env["marketplace.rehearsal"].with_user(user or self.manager)
        context = {"active_model": "marketplace.event", "active_ids": self.events().ids}
        return wizards.with_context(**context).default_get(["result"])["result"]

    def figures(self):
        """Count everything a message can leave behind."""
        self.env.flush_all()
        counted = {}
        for table in LEFT_BEHIND:
            self.cr.execute(f"SELECT count(*) FROM {table}")
            counted[table] = self.cr.fetchone()[0]
        return counted

    def test_a_new_order_is_shown_whole_and_nothing_of_it_remains(self):
        self.receive(self.cartona, payload.dumps(self.cartona_order()).encode(), run=False)
        before, state = self.figures(), self.events().read(["state", "tries", "sale_order_id"])
        postcommit = list(self.cr.postcommit._funcs)
        self.wakeups.clear()
        shown = self.shown()
        for words in ("A new sale order", "(new)", "TEA-25", "SUGAR-1", "860"):
            self.assertIn(words, shown)
        self.assertEqual(self.figures(), before)
        self.assertEqual(self.events().read(["state", "tries", "sale_order_id"]), state)
        self.assertEqual(list(self.cr.postcommit._funcs), postcommit)
        self.assertFalse(self.door.requests)
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events().state, "done")

    def test_a_customer_that_is_known_is_named_with_the_key_it_was_found_by(self):
        self.receive(self.cartona, payload.dumps(self.cartona_order("K1")).encode())
        self.receive(self.cartona, payload.dumps(self.cartona_order("K2")).encode(), run=False)
        self.assertIn("known by the marketplace", self.shown())

    def test_of_several_things_that_agree_only_the_key_is_named(self):
        self.rest.customer_key = "email"
        customer = {"id": "C1", "name": "Shop", "email": "a@example.com", "phone": "+201001234567"}
        self.env["res.partner"].create({"name": "A", "email": "a@example.com", "phone": "+201001234567"})
        self.receive(self.rest, self.neutral(customer=customer), run=False)
        self.env.flush_all()
        self.assertIn("known by E-mail address)", " ".join(self.shown().split()))

    def test_a_change_shows_the_order_as_it_would_be_and_leaves_it_as_it_is(self):
        self.receive(self.rest, self.neutral())
        lines = [{"id": "1", "sku": "TEA-25", "quantity": 3, "unit_price": 10}]
        edited = self.neutral(lines=lines, total=30, modified_at="2026-11-12T11:00:00Z")
        self.receive(self.rest, edited, run=False)
        shown = self.shown()
        self.assertIn("The sale order is changed", shown)
        self.assertIn("30", shown)
        self.assertEqual(self.order(self.rest, "N1").amount_total, 10)

    def test_what_would_wait_says_what_for(self):
        self.receive(self.cartona, sample("cartona/order_unknown_product"), run=False)
        shown = self.shown()
        self.assertIn("Waits", shown)
        self.assertIn("NOT-IN-ODOO", shown)
        self.assertEqual(self.events().state, "new")
        self.make_product("NOT-IN-ODOO")
        self.assertIn("A new sale order", self.shown())

    def test_what_is_older_and_what_cannot_be_read_say_so(self):
        self.receive(self.rest, self.neutral(modified_at="2026-11-12T12:00:00Z"))
        self.receive(self.rest, self.neutral(), run=False)
        self.receive(self.rest, {"id": "N2"}, run=False)
        shown = self.shown()
        self.assertIn("Nothing: Older than what is known", " ".join(shown.split()))
        self.assertIn("status", shown)

    @mute_logger("odoo.addons.cartona_integration.models.marketplace_work_mixin")
    def test_a_bug_is_told_and_leaves_nothing(self):
        self.receive(self.rest, [self.neutral(), self.neutral("N2")], run=False)
        original = MarketplaceOrderProcessor._create_all

        def _create_all(processor, account, orders, chosen=None):
            if orders[0].id == "N1":
                raise KeyError("CANARY of the customer")
            return original(processor, account, orders, chosen)

        with patch.object(MarketplaceOrderProcessor, "_create_all", _create_all):
            shown = self.shown()
        self.assertIn("Fails: KeyError", " ".join(shown.split()))
        self.assertNotIn("CANARY", shown)
        self.assertIn("A new sale order", shown)
        self.assertEqual(set(self.events().mapped("state")), {"new"})

    def test_texts_of_the_marketplace_are_shown_as_text(self):
        lines = [{"id": "1", "sku": "TEA-25", "quantity": 1, "unit_price": 10, "name": "<img onerror=x>"}]
        order = self.neutral(lines=lines, customer={"id": "C9", "name": "<script>x</script>"})
        self.receive(self.rest, order, run=False)
        shown = self.shown()
        self.assertIn("&lt;script&gt;", shown)
        self.assertNotIn("<script", shown)
        self.assertNotIn("<img", shown)

    def test_only_managers_see_what_messages_hold(self):
        self.receive(self.cartona, payload.dumps(self.cartona_order()).encode(), run=False)
        with self.assertRaises(UserError):
            self.shown(self.clerk)
        with self.assertRaises(AccessError):
            self.env["marketplace.rehearsal"].with_user(self.clerk).create({})

    def test_another_companys_manager_sees_nothing(self):
        company = self.env["res.company"].create({"name": "B"})
        neighbour = new_test_user(
            self.env, "b", groups=f"{GROUP}manager", company_id=company.id, company_ids=[(6, 0, company.ids)]
        )
        self.receive(self.cartona, payload.dumps(self.cartona_order()).encode(), run=False)
        with self.assertRaises(AccessError):
            self.shown(neighbour)

    def test_several_accounts_messages_are_shown_at_once(self):
        self.receive(self.cartona, payload.dumps(self.cartona_order()).encode(), run=False)
        self.receive(self.rest, self.neutral(), run=False)
        self.assertEqual(self.shown().count("A new sale order"), 2)
