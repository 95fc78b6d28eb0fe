import inspect
import json
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from ..compat import SERIES
from ..models.marketplace_traffic import MarketplaceConfig
from .common import MarketplaceCase, ok, sample

REAL_WAKE = MarketplaceConfig._wake
OURS = (
    "marketplace.config",
    "marketplace.event",
    "marketplace.event.hold",
    "marketplace.order.step",
    "marketplace.product.link",
    "marketplace.sync.log",
    "marketplace.sync.state",
)
INBOX = ("marketplace.event", "marketplace.event.hold", "marketplace.sync.log", "marketplace.sync.state")
SECRETS = (
    "auth_secret",
    "webhook_token_digest",
    "webhook_secret_current",
    "webhook_secret_previous",
    "auth_token",
    "webhook_token",
    "webhook_secret",
)
# Nobody reads these, not even whoever entered them.
STORED_SECRETS = SECRETS[:4]
ORDINARY = (
    "base.group_user,sales_team.group_sale_manager,stock.group_stock_manager,base.group_partner_manager"
)
if SERIES >= 19:  # where sales managers may not make products any more
    ORDINARY += ",product.group_product_manager"


class AccessCase(MarketplaceCase):
    """The roles, an account with messages of all kinds, and another company."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for key in ("TEA-25", "SUGAR-1"):
            cls.make_product(key)
        cls.other_company = cls.env["res.company"].create({"name": "Company B"})
        group = "cartona_integration.group_marketplace_"
        cls.stranger = new_test_user(cls.env, "stranger", groups=ORDINARY)
        cls.clerk = new_test_user(cls.env, "clerk", groups=f"{group}user")
        cls.manager = new_test_user(cls.env, "manager", groups=f"{group}manager")
        cls.admin = new_test_user(cls.env, "system", groups="base.group_system")
        cls.portal = new_test_user(cls.env, "portal_user", groups="base.group_portal")
        cls.neighbour = new_test_user(
            cls.env,
            "neighbour",
            groups=f"{group}manager",
            company_id=cls.other_company.id,
            company_ids=[(6, 0, cls.other_company.ids)],
        )
        cls.robot = cls.cartona.user_id

    def setUp(self):
        super().setUp()
        self.receive(self.cartona, sample("cartona/order_pending"))
        self.receive(self.cartona, sample("cartona/order_unknown_product"))
        self.door.will("status", ok())
        self.run_job(self.cartona, "steps")
        self.door.requests.clear()
        self.env["marketplace.sync.log"]._log_hourly(self.cartona, "pull", "trouble")
        self.done, self.held = self.events(self.cartona)
        self.canaries = [
            self.cartona.sudo().auth_secret,
            self.cartona.sudo().webhook_token_digest,
            "hook-of-cartona_test",
            *self.give_signing_secrets(),
        ]
        self.wakeups.clear()
        self.forget()

    def give_signing_secrets(self):
        """Let the account have a signing secret and the one before it."""
        self.cartona.webhook_signing = "body"
        secrets = "the-signing-secret-before", "the-signing-secret-of-now"
        for secret in secrets:
            self.cartona.webhook_secret = secret
        return secrets

    def forget(self):
        """Empty the cache: what one user read must not be there for the next."""
        self.env.flush_all()
        self.env.invalidate_all()

    def as_user(self, user, records):
        self.forget()
        return records.with_user(user).with_company(user.company_id)

    def said(self, user, records, method, *args, **kwargs):
        """Give all that a call answers as text; nothing when it is refused."""
        try:
            return json.dumps(getattr(self.as_user(user, records), method)(*args, **kwargs), default=str)
        except (UserError, ValueError, KeyError):
            return ""

    def assert_silent(self, answer, who=""):
        for canary in self.canaries:
            self.assertNotIn(canary, answer, who)


class TestSecrets(AccessCase):
    """No role reads a secret, by no way in."""

    def users(self):
        return (self.stranger, self.clerk, self.manager, self.admin, self.portal, self.neighbour, self.robot)

    def grouped(self, user, name):
        """Group accounts as the web client does; 19 has no parameter ``fields`` any more."""
        fields = {"fields": []} if SERIES < 19 else {}
        return self.said(user, self.cartona, "web_read_group", domain=[], groupby=[name], **fields)

    def test_no_way_of_reading_gives_a_secret_to_any_role(self):
        account = self.cartona
        for user in self.users():
            for name in SECRETS:
                answers = (
                    self.said(user, account, "read", [name]),
                    self.said(user, account, "search_read", [], [name]),
                    self.said(user, account, "web_read", {name: {}}),
                    self.said(user, account, "web_search_read", [], {name: {}}),
                    self.said(user, account, "export_data", [name]),
                    self.grouped(user, name),
                    self.said(user, account, "default_get", [name]),
                    self.said(user, account, "copy_data", {"code": "x"}),
                )
                self.assert_silent("".join(answers), (user.login, name))

    def test_reading_everything_gives_no_secret(self):
        for user in self.users():
            self.assert_silent(self.said(user, self.cartona, "read"), user.login)

    def test_no_role_finds_an_account_by_guessing_a_secret(self):
        for user in self.users():
            for name in STORED_SECRETS:
                for operator, guess in (("=ilike", "%"), ("!=", False)):
                    with self.assertRaises(AccessError, msg=(user.login, name)):
                        self.as_user(user, self.env["marketplace.config"]).search([(name, operator, guess)])

    def test_no_role_sorts_or_groups_by_a_secret(self):
        for user in self.users():
            for name in STORED_SECRETS:
                who = user.login, name
                self.assertEqual(
                    self.said(user, self.cartona, "search_read", [], ["name"], order=name), "", who
                )
                self.assertEqual(self.grouped(user, name), "", who)
        # The same questions about something else are answered.
        self.assertTrue(self.said(self.clerk, self.cartona, "search_read", [], ["name"], order="code"))
        self.assertTrue(self.grouped(self.clerk, "state"))

    def test_no_role_reaches_a_secret_through_an_order(self):
        for user in self.users():
            for name in STORED_SECRETS:
                orders = self.as_user(user, self.env["sale.order"])
                with self.assertRaises(AccessError, msg=(user.login, name)):
                    orders.search([(f"marketplace_config_id.{name}", "=ilike", "t%")])
                self.assert_silent(
                    self.said(
                        user,
                        self.order(self.cartona, "kT3vQx9a"),
                        "export_data",
                        [f"marketplace_config_id/{name}"],
                    )
                )

    def test_the_manager_sees_a_mask_and_the_user_nothing(self):
        self.cartona.auth_token = "a-long-token-that-ends-in-1234"
        account = self.as_user(self.manager, self.cartona)
        self.assertEqual(account.read(["auth_token"])[0]["auth_token"], "••••••••1234")
        self.assertEqual(account.read(["webhook_token"])[0]["webhook_token"], "••••••••")
        self.assertEqual(account.read(["webhook_secret"])[0]["webhook_secret"], "••••••••")
        for user in (self.clerk, self.robot):
            for name in ("auth_token", "webhook_token", "webhook_secret"):
                with self.assertRaises(AccessError):
                    self.as_user(user, self.cartona).read([name])

    def test_a_short_token_shows_nothing_of_itself(self):
        self.cartona.auth_token = "short-1234"
        self.assertEqual(self.as_user(self.manager, self.cartona).auth_token, "••••••••")

    def test_saving_the_mask_changes_nothing(self):
        account = self.as_user(self.manager, self.cartona)
        account.write({name: account[name] for name in ("auth_token", "webhook_token", "webhook_secret")})
        self.forget()
        self.assertEqual(self.cartona.sudo().auth_secret, "token-of-cartona_test")
        self.assertEqual(self.cartona.sudo().webhook_token_digest, self.canaries[1])
        self.assertEqual(self.cartona.sudo().webhook_secret_current, self.canaries[-1])

    def test_a_copy_has_no_secret_and_another_key(self):
        copy = self.as_user(self.manager, self.cartona).copy({"code": "copy"})
        self.assertFalse([name for name in STORED_SECRETS if copy.sudo()[name]])
        self.assertNotEqual(copy.webhook_key, self.cartona.webhook_key)
        self.assertEqual(copy.state, "draft")

    def test_no_button_returns_a_secret(self):
        self.door.answers.clear()
        for model, records in (
            ("marketplace.config", self.cartona),
            ("marketplace.event", self.held),
            ("marketplace.order.step", self.env["marketplace.order.step"].search([])),
        ):
            names = [
                name
                for name, _method in inspect.getmembers(type(records), callable)
                if name.startswith("action_")
            ]
            self.assertTrue(names, model)
            for user in self.users():
                for name in names:
                    with (
                        self.env.cr.savepoint(),
                        patch.object(MarketplaceConfig, "_wake", lambda *args: None),
                    ):
                        try:
                            answer = str(getattr(self.as_user(user, records), name)())
                        except Exception as error:  # what it says counts, not whether it works
                            answer = str(error)
                    self.assert_silent(answer, (user.login, name))

    def test_no_tracked_value_or_note_holds_a_secret(self):
        self.cartona.with_user(self.manager).write(
            {"auth_token": "a-new-secret-token-XYZ", "state": "paused"}
        )
        self.canaries.append("a-new-secret-token-XYZ")
        self.env.flush_all()
        self.env.cr.precommit.run()
        notes = self.cartona.message_ids
        self.assert_silent(str(notes.mapped("body")) + str(notes.tracking_value_ids.read()))


class TestRoles(AccessCase):
    """Who may do what with accounts and messages."""

    def test_only_managers_and_the_acting_user_read_the_raw_message(self):
        for user in (self.manager, self.admin, self.robot):
            self.assertIn("kT3vQx9a", self.as_user(user, self.done).payload)
        for user in (self.clerk, self.stranger, self.portal):
            self.assertEqual(self.said(user, self.done, "read", ["payload"]), "")
            self.assertNotIn("order_details", self.said(user, self.done, "read"))
            self.assertNotIn("order_details", self.said(user, self.done, "export_data", ["payload"]))
            with self.assertRaises(AccessError):
                self.as_user(user, self.env["marketplace.event"]).search([("payload", "ilike", "a")])

    def test_users_and_managers_see_the_inbox_and_change_nothing_in_it(self):
        for user in (self.clerk, self.manager):
            for model in INBOX:
                records = self.as_user(user, self.env[model]).search([], limit=1)
                self.assertTrue(records, model)
                with self.assertRaises(AccessError, msg=(user.login, model)):
                    records.write({records._log_access and "create_uid" or "id": user.id})
                with self.assertRaises(AccessError, msg=(user.login, model)):
                    records.create({})
                with self.assertRaises(AccessError, msg=(user.login, model)):
                    records.unlink()

    def test_a_user_reads_accounts_and_changes_none(self):
        account = self.as_user(self.clerk, self.cartona)
        self.assertEqual(account.name, "cartona_test")
        for values in (
            {"name": "x"},
            {"state": "paused"},
            {"auth_token": "x"},
            {"api_base_url": "https://evil.test"},
        ):
            with self.assertRaises(AccessError):
                account.write(values)
        for action in (
            "action_pause",
            "action_activate",
            "action_reset_to_draft",
            "action_generate_webhook_token",
            "action_rotate_webhook_secret",
            "action_drop_previous_webhook_secret",
        ):
            with self.assertRaises(AccessError, msg=action):
                getattr(self.as_user(self.clerk, self.cartona), action)()
        with self.assertRaises(AccessError):
            account.unlink()

    def test_the_acting_user_changes_no_account(self):
        for values in ({"name": "x"}, {"auth_token": "x"}, {"webhook_token": "x"}):
            with self.assertRaises(AccessError):
                self.as_user(self.robot, self.cartona).write(values)

    def test_who_has_nothing_to_do_with_marketplaces_sees_nothing_of_them(self):
        for user in (self.stranger, self.portal, self.env.ref("base.public_user")):
            for model in OURS:
                with self.assertRaises(AccessError, msg=(user.login, model)):
                    self.as_user(user, self.env[model]).search([])
            for action in ("action_pull_orders", "action_test_connection", "action_pause"):
                with self.assertRaises(AccessError, msg=(user.login, action)):
                    getattr(self.as_user(user, self.cartona), action)()
        self.assertFalse(self.wakeups or self.door.requests)

    def test_nothing_but_buttons_and_odoos_own_methods_can_be_called_from_outside(self):
        own = [name for name in vars(MarketplaceConfig) if callable(vars(MarketplaceConfig)[name])]
        self.assertFalse([name for name in own if not name.startswith(("_", "action_"))])


class TestOrdinaryUsers(AccessCase):
    """People without marketplace rights work as if the addon were not there."""

    def setUp(self):
        super().setUp()
        self.startPatcher(patch.object(MarketplaceConfig, "_wake", REAL_WAKE))

    def test_they_edit_products_some_order_waits_for(self):
        products = self.as_user(self.stranger, self.env["product.product"])
        product = products.create({"name": "new", "cartona_id": "NOT-IN-ODOO"})
        product.list_price = 5
        product.product_tmpl_id.cartona_id = "ANOTHER"
        product.active = False
        product.active = True
        self.env.flush_all()
        self.assertIn("marketplace.wake", self.env.cr.postcommit.data)

    def test_they_make_and_edit_partners(self):
        partner = self.as_user(self.stranger, self.env["res.partner"]).create({"name": "new"})
        partner.write({"name": "newer", "company_id": self.env.company.id})
        partner.copy()

    def test_they_sell(self):
        product = self.make_product("OWN")
        partner = self.env["res.partner"].create({"name": "buyer"})
        orders = self.as_user(self.stranger, self.env["sale.order"])
        order = orders.create(
            {
                "partner_id": partner.id,
                "order_line": [(0, 0, {"product_id": product.id, "product_uom_qty": 2})],
            }
        )
        order.action_confirm()
        self.assertEqual(order.state, "sale")
        self.assertFalse(order.marketplace_sync_status)

    def test_they_read_and_change_an_order_of_a_marketplace(self):
        order = self.as_user(self.stranger, self.order(self.cartona, "kT3vQx9a"))
        self.assertEqual(order.marketplace_sync_status, "synced")
        order.note = "call first"
        order.copy()
        order.with_context(disable_cancel_warning=True).action_cancel()
        self.assertEqual(order.state, "cancel")

    def test_they_cancel_and_the_marketplace_is_told(self):
        order = self.as_user(self.stranger, self.order(self.cartona, "kT3vQx9a"))
        order.with_context(disable_cancel_warning=True, default_state="done").action_cancel()
        self.assertEqual(order.marketplace_sync_status, "pending")
        step = order.sudo().marketplace_step_ids[-1]
        self.assertEqual((step.status, step.state, step.create_uid), ("cancelled", "new", self.stranger))
        with self.assertRaises(AccessError):
            self.as_user(self.stranger, order).action_marketplace_sync()

    def test_they_read_all_fields_of_an_order_of_a_marketplace(self):
        order = self.as_user(self.stranger, self.order(self.cartona, "kT3vQx9a"))
        self.assertEqual(order.read()[0]["marketplace_order_number"], "100245")

    def test_they_open_the_order_in_its_form(self):
        order = self.as_user(self.stranger, self.order(self.cartona, "kT3vQx9a"))
        view = order.get_view(view_type="form")
        # The web client asks for what the user may read, as here.
        names = set(view["models"]["sale.order"]) & set(order.fields_get())
        self.assertEqual(order.web_read({name: {} for name in names})[0]["id"], order.id)


class TestCompanies(AccessCase):
    """Who works for company B neither sees nor triggers the accounts of company A."""

    def test_nothing_of_the_account_is_found(self):
        for model in OURS:
            self.assertFalse(self.as_user(self.neighbour, self.env[model]).search([]), model)
            self.assertEqual(self.as_user(self.neighbour, self.env[model]).search_count([]), 0)

    def test_nothing_of_the_account_is_read_by_its_number(self):
        for model in OURS:
            records = self.env[model].search(
                [("account_id", "=", self.cartona.id)] if "account_id" in self.env[model]._fields else []
            )
            self.assertTrue(records, model)
            with self.assertRaises(AccessError, msg=model):
                self.as_user(self.neighbour, records[0]).read(["display_name"])

    def test_no_button_of_the_account_works(self):
        for action in (
            "action_pull_orders",
            "action_test_connection",
            "action_pause",
            "action_activate",
            "action_reset_to_draft",
            "action_generate_webhook_token",
            "action_rotate_webhook_secret",
            "action_drop_previous_webhook_secret",
        ):
            with self.assertRaises(AccessError, msg=action):
                getattr(self.as_user(self.neighbour, self.cartona), action)()
        self.assertFalse(self.wakeups or self.door.requests)

    def test_no_button_of_its_messages_works(self):
        for action in ("action_process_again", "action_ignore"):
            with self.assertRaises(AccessError):
                getattr(self.as_user(self.neighbour, self.held), action)()
        self.assertFalse(self.wakeups)
        self.assertEqual(self.held.state, "hold")

    def test_an_own_message_beside_a_foreign_one_does_not_open_it(self):
        own = self.make_account("rest", code="rest_b", company_id=self.other_company.id)
        self.receive(own, {"id": "N1"})
        both = self.events(own) | self.held
        with self.assertRaises(AccessError):
            self.as_user(self.neighbour, both).action_ignore()
        self.assertEqual(self.held.state, "hold")

    def test_the_account_is_not_moved_or_changed(self):
        for values in ({"company_id": self.other_company.id}, {"auth_token": "x"}, {"name": "x"}):
            with self.assertRaises(AccessError):
                self.as_user(self.neighbour, self.cartona).write(values)

    def test_their_product_does_not_resume_the_other_companys_order(self):
        product = self.make_product("NOT-IN-ODOO", company_id=self.other_company.id)
        self.assertTrue(product)
        self.run_job(self.cartona, "import")
        self.assertEqual(self.held.state, "hold")

    def test_the_acting_user_of_one_company_sees_nothing_of_another(self):
        own = self.make_account("rest", code="rest_b", company_id=self.other_company.id)
        self.assertEqual(self.as_user(own.user_id, self.env["marketplace.config"]).search([]), own)
        self.assertFalse(
            self.as_user(own.user_id, self.env["sale.order"]).search([("cartona_id", "!=", False)])
        )
