import hashlib
import os
from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo import SUPERUSER_ID
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, new_test_user
from odoo.tools import mute_logger

from odoo.addons.cartona_integration.connections import ALLOW_PRIVATE_TARGETS
from odoo.addons.cartona_integration.dialects.words import ACCOUNT, PLATFORM, Customer
from odoo.addons.cartona_integration.exceptions import CredentialsRefused, Refused, Unavailable
from odoo.addons.cartona_integration.models.marketplace_config_connection import MASK

from ..compat import USER_GROUPS
from .common import MarketplaceCase, ok


class AccountCase(MarketplaceCase):
    def draft(self, **values):
        """Make an account that is not at work yet."""
        values = {"name": "New", "code": "new", "dialect": "rest", **values}
        return self.env["marketplace.config"].create(values)


class TestActingUser(AccountCase):
    """The user an account's jobs act as."""

    def test_an_account_gets_a_user_of_its_own(self):
        user = self.rest.user_id
        self.assertNotEqual(user, self.cartona.user_id)
        self.assertEqual(user.company_ids, self.rest.company_id)
        self.assertEqual(user.login, "marketplace_rest_test")

    def test_it_has_the_rights_to_import_and_no_more(self):
        user = self.rest.user_id
        for group in ("sales_team.group_sale_salesman_all_leads", "stock.group_stock_user"):
            self.assertTrue(user.has_group(group), group)
        for group in (
            "base.group_system",
            "base.group_erp_manager",
            "sales_team.group_sale_manager",
            "stock.group_stock_manager",
            "account.group_account_invoice",
            "cartona_integration.group_marketplace_manager",
        ):
            self.assertFalse(user.has_group(group), group)

    def test_it_cannot_read_the_secrets_of_its_account(self):
        account = self.rest.with_user(self.rest.user_id)
        for name in ("auth_token", "auth_secret", "webhook_token", "webhook_token_digest"):
            with self.assertRaises(AccessError):
                account.read([name])

    def test_it_cannot_change_its_account(self):
        with self.assertRaises(AccessError):
            self.rest.with_user(self.rest.user_id).write({"name": "Mine"})

    def test_it_cannot_log_in(self):
        self.env.cr.execute("SELECT password FROM res_users WHERE id = %s", [self.rest.user_id.id])
        self.assertFalse(self.env.cr.fetchone()[0])

    def test_a_user_of_ones_own_choice_is_kept(self):
        user = new_test_user(self.env, "importer", "base.group_user")
        self.assertEqual(self.draft(user_id=user.id).user_id, user)

    def test_odoobot_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "OdooBot"):
            self.rest.user_id = SUPERUSER_ID

    def test_a_user_without_access_to_the_company_is_refused(self):
        other = self.env["res.company"].create({"name": "Other company"})
        user = new_test_user(
            self.env, "stranger", "base.group_user", company_id=other.id, company_ids=[(6, 0, other.ids)]
        )
        with self.assertRaisesRegex(ValidationError, "company"):
            self.rest.user_id = user

    def test_a_manager_without_other_rights_can_make_an_account(self):
        manager = new_test_user(
            self.env,
            "clerk",
            "cartona_integration.group_marketplace_manager,stock.group_stock_user",
        )
        accounts = self.env["marketplace.config"].with_user(manager)
        account = accounts.create({"name": "Clerk's", "code": "clerk", "dialect": "cartona"})
        self.assertTrue(account.user_id)

    def test_a_code_can_be_used_again_after_its_account_was_deleted(self):
        self.draft().unlink()
        self.assertTrue(self.draft().user_id)

    def test_no_group_of_the_user_is_the_technical_ones_of_people(self):
        self.assertNotIn(
            self.env.ref("cartona_integration.group_marketplace_integration"),
            self.env.ref("base.user_admin")[USER_GROUPS],
        )


class TestAccountFields(AccountCase):
    """What an account's fields take."""

    def test_a_code_takes_small_letters_digits_and_dashes(self):
        for code in ("Cairo", "cai ro", "كايرو", "", "x" * 33, "a.b", "a\n"):
            with self.assertRaises(ValidationError, msg=code):
                self.rest.code = code
        self.rest.code = "cairo_1-b"

    def test_a_code_is_one_accounts_only_even_archived(self):
        self.cartona.active = False
        with self.assertRaisesRegex(ValidationError, "cartona_test"):
            self.draft(code="cartona_test")

    def test_an_address_is_a_plain_web_address(self):
        for url in (
            "marketplace.test",
            "ftp://marketplace.test",
            "https://user:password@marketplace.test",
            "https://marketplace.test/api?token=1",
            "https://marketplace.test/api#part",
            "https://market place.test",
            "https://",
            "file:///etc/passwd",
        ):
            with self.assertRaises(ValidationError, msg=url):
                self.rest.api_base_url = url
        self.rest.api_base_url = "https://marketplace.test:8443/api/v1/"

    def test_an_address_is_encrypted_unless_the_server_allows_otherwise(self):
        with patch.dict(os.environ):
            os.environ.pop(ALLOW_PRIVATE_TARGETS, None)
            with self.assertRaisesRegex(ValidationError, "https"):
                self.rest.api_base_url = "http://marketplace.test"
        with patch.dict(os.environ, {ALLOW_PRIVATE_TARGETS: "1"}):
            self.rest.api_base_url = "http://marketplace.test"

    def test_numbers_have_bounds(self):
        for name, value in (("timeout", 0), ("timeout", 61), ("retry_attempts", 0), ("pull_interval", 0)):
            with self.assertRaises(ValidationError, msg=name):
                self.rest[name] = value

    def test_a_new_account_suggests_its_marketplaces_address(self):
        with Form(self.env["marketplace.config"]) as form:
            form.name = "Cairo"
            form.code = "cairo"
            form.dialect = "cartona"
            self.assertEqual(form.api_base_url, "https://supplier-integrations.cartona.com/api/v1/")

    def test_an_account_made_by_a_person_leaves_the_past_alone_where_the_list_shows_it(self):
        form = Form(self.env["marketplace.config"])
        form.dialect = "rest"
        self.assertTrue(form.import_from)
        form.dialect = "cartona"
        self.assertFalse(form.import_from)
        draft = self.draft(dialect="cartona")
        with Form(draft) as form:
            form.dialect = "rest"
        self.assertFalse(draft.import_from)

    def test_cartonas_orders_are_in_pounds_in_a_company_with_another_currency(self):
        account = self.draft(dialect="cartona")
        self.assertNotEqual(account.company_id.currency_id.name, "EGP")
        self.assertEqual((account.currency_id.name, account.pricelist_id.currency_id.name), ("EGP", "EGP"))
        self.assertTrue(account.currency_id.active)

    def test_a_pricelist_somebody_chose_is_kept(self):
        pricelist = self.env["product.pricelist"].create(
            {"name": "Francs", "currency_id": self.env.ref("base.CHF").id}
        )
        account = self.draft(dialect="cartona", pricelist_id=pricelist.id)
        self.assertEqual((account.pricelist_id, account.currency_id.name), (pricelist, "CHF"))

    def test_a_currency_without_pricelist_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "CHF"):
            self.rest.currency_id = self.env.ref("base.CHF")

    def test_the_warehouse_is_one_of_the_company(self):
        company = self.env["res.company"].create({"name": "Other company"})
        self.env.user.company_ids += company
        account = self.draft(company_id=company.id)
        self.assertEqual(account.warehouse_id.company_id, company)
        with self.assertRaises(UserError):
            account.warehouse_id = self.rest.warehouse_id

    def test_state_rows_are_made_once(self):
        kinds = sorted(self.env["marketplace.sync.state"].KINDS)
        self.assertEqual(sorted(self.rest.sync_state_ids.mapped("kind")), kinds)
        self.rest.write({"name": "Renamed"})
        self.rest.action_pause()
        self.rest.action_activate()
        self.assertEqual(sorted(self.rest.sync_state_ids.mapped("kind")), kinds)

    @mute_logger("odoo.sql_db")
    def test_the_database_refuses_a_second_state_row_of_a_kind(self):
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.env["marketplace.sync.state"].create({"account_id": self.rest.id, "kind": "pull"})

    def test_a_copy_has_no_secret_no_user_and_is_not_active(self):
        copy = self.rest.copy({"code": "copied"})
        self.assertFalse(copy.sudo().auth_secret or copy.sudo().webhook_token_digest)
        self.assertEqual((copy.state, copy.connection_status), ("draft", "unknown"))
        self.assertNotEqual(copy.webhook_key, self.rest.webhook_key)
        self.assertNotEqual(copy.user_id, self.rest.user_id)
        self.assertEqual(len(copy.sync_state_ids), len(self.rest.sync_state_ids))


class TestAccountSecrets(AccountCase):
    """Tokens go in and never come out."""

    def test_a_saved_token_is_shown_masked(self):
        self.rest.auth_token = "abcdefghijklmnopqrstuvwx1234"
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.auth_token, f"{MASK}1234")

    def test_a_short_token_shows_nothing_of_itself(self):
        self.rest.auth_token = "short-token-1234"
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.auth_token, MASK)

    def test_saving_the_mask_changes_nothing(self):
        self.rest.auth_token = "abcdefghijklmnopqrstuvwx1234"
        self.rest.invalidate_recordset()
        self.rest.write({"auth_token": self.rest.auth_token, "webhook_token": self.rest.webhook_token})
        self.assertEqual(self.rest.sudo().auth_secret, "abcdefghijklmnopqrstuvwx1234")
        digest = hashlib.sha256(b"hook-of-rest_test").hexdigest()
        self.assertEqual(self.rest.sudo().webhook_token_digest, digest)

    def test_saving_the_form_changes_no_token(self):
        secret = self.rest.sudo().auth_secret
        with Form(self.rest) as form:
            form.name = "Renamed"
        self.assertEqual(self.rest.sudo().auth_secret, secret)

    def test_a_token_no_header_can_carry_is_refused(self):
        for token in ("two\nlines", "two\r\nX-Header: 1", "nul\x00", "ключ", "tab\there"):
            with self.assertRaises(ValidationError, msg=repr(token)):
                self.rest.auth_token = token
        self.assertEqual(self.rest.sudo().auth_secret, "token-of-rest_test")

    def test_spaces_around_a_pasted_token_are_dropped(self):
        self.rest.auth_token = "  pasted-token\n"
        self.assertEqual(self.rest.sudo().auth_secret, "pasted-token")

    def test_a_new_token_lets_a_refused_account_work_again(self):
        self.door.will("orders", CredentialsRefused("HTTP 401"))
        self.run_job(self.rest, "pull")
        self.assertEqual(self.rest.connection_status, "refused")
        self.assertTrue(self.rest._state("pull")._is_paused())
        self.assertEqual(len(self.rest.activity_ids), 1)
        self.rest.auth_token = "a-better-token"
        self.assertFalse(self.rest._state("pull")._is_paused())
        self.assertEqual(self.rest.connection_status, "unknown")
        self.assertFalse(self.rest.activity_ids)
        self.assertIn((self.rest.id, "pull"), self.wakeups)

    def test_a_test_that_goes_well_lets_a_refused_account_work_again(self):
        self.door.will("orders", CredentialsRefused("HTTP 403"))
        self.run_job(self.rest, "pull")
        self.assertTrue(self.rest._state("push")._is_paused())
        with patch.object(type(self.env["marketplace.api"]), "_test"):
            self.rest.action_test_connection()
        self.assertFalse(self.rest._state("push")._is_paused())
        self.assertEqual(self.rest.connection_status, "ok")
        self.assertFalse(self.rest.activity_ids)

    def test_another_address_lets_a_refused_account_work_again(self):
        self.door.will("orders", CredentialsRefused("HTTP 403"))
        self.run_job(self.rest, "pull")
        self.rest.api_base_url = "https://other.test/api"
        self.assertFalse(self.rest._state("pull")._is_paused())

    def test_a_webhook_token_is_shown_once_and_kept_as_a_digest(self):
        action = self.rest.action_generate_webhook_token()
        token = action["params"]["message"]
        self.assertGreaterEqual(len(token), 32)
        self.assertTrue(action["params"]["sticky"])
        digest = hashlib.sha256(token.encode()).hexdigest()
        self.assertEqual(self.rest.sudo().webhook_token_digest, digest)
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.webhook_token, MASK)
        self.env.flush_all()
        self.env.cr.execute("SELECT row_to_json(c)::text FROM marketplace_config c")
        self.assertNotIn(token, str(self.env.cr.fetchall()))

    def test_a_new_webhook_token_replaces_the_one_before(self):
        first = self.rest.action_generate_webhook_token()["params"]["message"]
        second = self.rest.action_generate_webhook_token()["params"]["message"]
        find = self.env["marketplace.config"]._authenticate_webhook
        self.assertFalse(find(self.rest.webhook_key, {"Authorization": f"Bearer {first}"}))
        door = find(self.rest.webhook_key, {"Authorization": f"Bearer {second}"})
        self.assertEqual(door.account_id, self.rest.id)

    def test_a_marketplace_user_reads_accounts_but_no_secret(self):
        user = new_test_user(self.env, "reader", "cartona_integration.group_marketplace_user")
        account = self.rest.with_user(user)
        self.assertEqual(account.name, "rest_test")
        for name in ("auth_token", "auth_secret", "webhook_token", "webhook_token_digest"):
            with self.assertRaises(AccessError):
                account.read([name])
            with self.assertRaises(AccessError):
                account.search([(name, "like", "t")])

    def test_not_even_a_manager_reads_the_secret_itself(self):
        manager = new_test_user(self.env, "boss", "cartona_integration.group_marketplace_manager")
        account = self.rest.with_user(manager)
        self.assertEqual(account.read(["auth_token"])[0]["auth_token"], MASK)
        with self.assertRaises(AccessError):
            account.read(["auth_secret"])


class TestConnection(AccountCase):
    """The button that tries the connection tells and keeps what it found; it never raises for that."""

    def test_success_is_shown_and_kept(self):
        self.door.will("test", ok({"products": []}))
        action = self.rest.action_test_connection()
        self.assertEqual(action["params"]["type"], "success")
        self.assertEqual(self.rest.connection_status, "ok")

    def test_a_refusal_is_shown_and_kept(self):
        for error in (CredentialsRefused("HTTP 401"), Refused("HTTP 422")):
            self.door.will("test", error)
            action = self.rest.action_test_connection()
            self.assertEqual(action["params"]["type"], "danger")
            self.assertEqual(self.rest.connection_status, "refused")
            self.assertEqual(self.rest.connection_message, str(error))

    def test_no_answer_is_shown_and_kept(self):
        for error in (Unavailable("HTTP 503"), ConnectionRefusedError("10.0.0.1"), TimeoutError()):
            self.door.will("test", error)
            action = self.rest.action_test_connection()
            self.assertEqual(action["params"]["type"], "danger")
            self.assertEqual(self.rest.connection_status, "unavailable")
            self.assertNotIn("10.0.0.1", self.rest.connection_message)

    def test_a_later_success_clears_the_message(self):
        self.door.will("test", Unavailable("HTTP 503"), ok([]))
        self.rest.action_test_connection()
        self.rest.action_test_connection()
        self.assertFalse(self.rest.connection_message)

    def test_a_connection_can_be_tried_before_activating(self):
        account = self.draft(api_base_url="https://marketplace.test", auth_token="t")
        self.door.will("test", ok([]))
        account.action_test_connection()
        self.assertEqual((account.connection_status, account.state), ("ok", "draft"))

    def test_without_address_or_token_it_says_so(self):
        for values in ({}, {"api_base_url": "https://marketplace.test"}, {"auth_token": "t"}):
            account = self.draft(code=f"new{len(values)}{values.get('auth_token', '')}", **values)
            with self.assertRaises(UserError):
                account.action_test_connection()

    def test_only_managers_try_it(self):
        user = new_test_user(self.env, "reader", "cartona_integration.group_marketplace_user")
        self.door.will("test", ok([]))
        with self.assertRaises(AccessError):
            self.rest.with_user(user).action_test_connection()
        self.assertFalse(self.door.requests)


class TestActivation(AccountCase):
    """Draft, shadow, live, paused."""

    def test_activating_without_token_is_refused(self):
        account = self.draft(api_base_url="https://marketplace.test")
        with self.assertRaises(UserError):
            account.action_activate()
        self.assertEqual(account.state, "draft")

    def test_activating_without_address_is_refused(self):
        with self.assertRaises(UserError):
            self.draft(auth_token="t").action_activate()

    def test_activating_starts_all_work(self):
        self.rest.action_pause()
        self.wakeups.clear()
        self.rest.action_activate()
        kinds = {kind for account_id, kind in self.wakeups if account_id == self.rest.id}
        self.assertEqual(kinds, set(self.env["marketplace.sync.state"].KINDS))

    def test_pulling_needs_an_account_at_work(self):
        self.rest.action_reset_to_draft()
        with self.assertRaises(UserError):
            self.rest.action_pull_orders()

    def test_pulling_on_demand_wakes_the_pull(self):
        self.rest.action_pull_orders()
        self.assertIn((self.rest.id, "pull"), self.wakeups)

    def test_customers_ids_carry_the_accounts_code_where_ids_are_its_own(self):
        self.assertEqual(self.rest._customer_key(Customer(id="7", space=ACCOUNT)), "retailer_rest_test_7")
        self.assertEqual(self.rest._customer_key(Customer(id="7", space=PLATFORM)), "retailer_7")
        self.assertIsNone(self.rest._customer_key(Customer(id=None)))
