from unittest.mock import patch

from ..exceptions import Refused
from ..models.marketplace_home import MarketplaceConfig
from .common import ListedCase, ok, sample, taken


class TestHome(ListedCase):
    """An account works in the database it was started in, and in no copy of it."""

    def setUp(self):
        super().setUp()
        self.kind = self.env.ref("cartona_integration.activity_copy")

    def copied(self):
        """Let the database be another one from now on."""
        here = self.env["marketplace.config"]._database()
        self.startPatcher(patch.object(MarketplaceConfig, "_database", lambda accounts: f"copy of {here}"))

    def test_the_name_of_the_database_holds_what_each_way_of_copying_changes(self):
        before = self.env["marketplace.config"]._database()
        self.assertIn(self.cr.dbname, before)
        self.env["ir.config_parameter"].sudo().set_param("database.uuid", "another")
        self.env.flush_all()
        self.assertNotEqual(self.env["marketplace.config"]._database(), before)

    def test_a_copy_sends_reads_and_imports_nothing(self):
        self.mark_all()
        self.receive(self.rest, sample("rest/neutral_order_created"), run=False)
        self.copied()
        for kind in ("push", "pull", "listings", "link", "steps", "import", "check", "match"):
            self.run_job(self.rest, kind)
        self.assertFalse(self.door.requests)
        self.assertEqual((self.events().state, self.events().tries), ("new", 0))

    def test_the_door_itself_is_shut(self):
        self.copied()
        self.door.will("products", ok({"products": [], "next_page": None}))
        with self.assertRaisesRegex(Refused, "looks like a copy"):
            next(self.env["marketplace.api"]._read_products(self.rest))
        self.rest.action_test_connection()
        self.assertEqual(self.rest.connection_status, "refused")
        self.assertFalse(self.door.requests)

    def test_the_sweep_pauses_all_accounts_and_asks_once(self):
        self.copied()
        for _time in range(2):
            self.env["marketplace.config"]._cron_sweep()
        self.assertEqual(set((self.rest | self.cartona).mapped("state")), {"paused"})
        asked = self.env["mail.activity"].search([("activity_type_id", "=", self.kind.id)])
        self.assertEqual(len(asked), 1)
        self.assertTrue(self.rest.is_copy)

    def test_the_original_is_not_disturbed(self):
        self.env["marketplace.config"]._cron_sweep()
        self.assertEqual((self.rest.state, self.rest.is_copy), ("live", False))

    def test_a_person_starts_it_there(self):
        self.copied()
        self.env["marketplace.config"]._cron_sweep()
        (self.rest | self.cartona).action_activate()
        self.assertFalse(self.rest.is_copy)
        self.assertFalse(self.env["mail.activity"].search([("activity_type_id", "=", self.kind.id)]))
        self.mark_all()
        self.push(taken)
        self.assertTrue(self.sent())

    def test_what_the_other_database_sent_meanwhile_is_made_good(self):
        self.settle()
        self.rest.action_pause()
        self.rest.action_activate()
        self.push(taken)
        self.assertFalse(self.sent(), "at home it is known what stands there")
        self.copied()
        self.env["marketplace.config"]._cron_sweep()
        self.rest.action_activate()
        self.push(taken)
        self.assertEqual([(row["price"], row["stock"]) for row in self.sent()], [("100.00", "10")])

    def test_a_new_account_may_be_tested_before_it_is_started(self):
        account = self.env["marketplace.config"].create(
            {"name": "N", "code": "n", "dialect": "rest", "api_base_url": "https://x.test", "auth_token": "t"}
        )
        self.door.will("test", ok({"products": [], "next_page": None}))
        account.action_test_connection()
        self.assertEqual(account.connection_status, "ok")

    def test_accounts_of_before_the_binding_are_bound_by_an_upgrade(self):
        self.rest.home = False
        self.env.flush_all()
        self.env["marketplace.config"].init()
        self.env.invalidate_all()
        self.assertTrue(self.rest._may_work("push"))
