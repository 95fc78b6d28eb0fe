import base64
import hmac
import json
import random
import time
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from http.client import HTTPConnection
from unittest.mock import patch
from urllib.parse import urlsplit

from freezegun import freeze_time
from psycopg2 import OperationalError
from psycopg2.errors import SerializationFailure

from odoo import fields
from odoo.exceptions import ValidationError
from odoo.tests import HttpCase
from odoo.tools import config, mute_logger

from ..compat import SERIES
from ..controllers.marketplace_webhook import BURST, MAX_BODY, PATH, allowances
from ..dialects import payload
from ..dialects.rest import Rest
from ..dialects.signature import HmacBody
from ..models import marketplace_webhook, marketplace_webhook_clock
from ..models.marketplace_event_store import MarketplaceEvent
from ..models.marketplace_webhook_clock import CALLS_FOR_CLOCK
from .common import MarketplaceCase, sample

KEYS = ("TEA-25", "SUGAR-1", "SALT-500")
DOOR = "odoo.addons.cartona_integration.controllers.marketplace_webhook"
UNAUTHORIZED = (401, b'{"error": "unauthorized"}')
ORDER_ID = "kT3vQx9a"  # of the sample


def order(hashed_id=ORDER_ID, **changes):
    """Give the sample order under another id."""
    [row] = payload.loads(sample("cartona/order_pending"))
    return {**row, "hashed_id": hashed_id, **changes}


def body(data):
    return payload.dumps(data).encode()


class WebhookCase(MarketplaceCase, HttpCase):
    """Calls from outside, over real HTTP, without a session."""

    registry_test_mode = False  # MarketplaceCase has entered it already

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for key in KEYS:
            cls.make_product(key)

    def setUp(self):
        super().setUp()
        self.registry.clear_cache()  # what the test before has changed was taken back
        self.token = "hook-of-cartona_test"

    def call(self, path="orders", data=b"[]", method="POST", **headers):
        """Call one of the addresses; a header of None is left out.

        :return: (HTTP status, body); what every answer must have is checked on the way
        """
        wanted = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        url = f"{self.base_url()}{PATH}/{path}"
        answer = self.opener.request(
            method, url, data=data, headers=wanted, allow_redirects=False, timeout=12
        )
        self.env.invalidate_all()
        self.headers = answer.headers
        self.assertNotIn("Set-Cookie", answer.headers)
        self.assertFalse([name for name in answer.headers if name.startswith("Access-Control")])
        self.assertNotIn(b"Traceback", answer.content)
        return answer.status_code, answer.content

    def call_raw(self, *headers, data=b""):
        """Post with exactly these headers: what no HTTP library would send."""
        self.env.flush_all()
        # Later series hold back every request of a test that is not announced.
        announced = nullcontext() if SERIES < 19 else self.allow_requests(all_requests=True)
        address = urlsplit(self.base_url()).netloc
        with announced, closing(HTTPConnection(address, timeout=12)) as connection:
            connection.putrequest("POST", f"{PATH}/orders")
            for name, value in (("Authorization", f"Bearer {self.token}"), *headers):
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(data)
            answer = connection.getresponse()
            found = answer.status, answer.read()
        self.env.invalidate_all()
        return found

    def assert_nothing_stored(self):
        self.assertFalse(self.events())
        self.assertFalse(self.wakeups)

    def logs(self):
        return self.env["marketplace.sync.log"].search([("kind", "=", "webhook")])


class TestWebhookCredentials(WebhookCase):
    """Who may post: whoever proves to be an account. All others hear the same constant word."""

    def assert_refused(self, path="orders", **headers):
        self.assertEqual(self.call(path, body(order()), **headers), UNAUTHORIZED)
        self.assertEqual(self.headers["Content-Type"], "application/json")
        self.assert_nothing_stored()
        self.assertFalse(self.logs())

    def test_what_another_thread_reads_before_the_commit_is_forgotten_after_it(self):
        accounts = self.env["marketplace.config"]
        self.rest.webhook_token = "another-hook-of-rest"
        self.env.flush_all()
        read = accounts._entrances()
        self.assertIs(accounts._entrances(), read)
        self.env.cr.postcommit.run()
        self.assertIsNot(accounts._entrances(), read)

    def test_an_account_whose_marketplace_is_gone_closes_nobody_elses_door(self):
        self.env.flush_all()
        self.env.cr.execute("UPDATE marketplace_config SET dialect = 'gone' WHERE id = %s", [self.rest.id])
        self.env.invalidate_all()
        self.registry.clear_cache()
        self.assert_refused(f"orders/{self.rest.webhook_key}", Authorization="Bearer hook-of-rest_test")
        self.assertEqual(self.call(data=body(order()))[0], 200)

    def test_a_deleted_account_opens_to_nobody(self):
        accounts, key = self.env["marketplace.config"], self.rest.webhook_key
        headers = {"Authorization": "Bearer hook-of-rest_test"}
        self.assertTrue(accounts._authenticate_webhook(key, headers))
        self.rest.unlink()
        self.assertFalse(accounts._authenticate_webhook(key, headers))

    def test_the_bearer_token_opens_the_bare_and_the_keyed_address(self):
        key = self.cartona.webhook_key
        for number, path in enumerate(("orders", "orders/", f"orders/{key}", f"orders/{key}/")):
            answer = self.call(path, body(order(f"id{number}")))
            self.assertEqual(answer, (200, b'{"accepted": 1, "duplicate": 0}'), path)
            self.assertEqual(self.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(len(self.events(self.cartona)), 4)

    def test_the_status_address_has_the_same_four_spellings(self):
        key = self.cartona.webhook_key
        for number, path in enumerate(("status", "status/", f"status/{key}", f"status/{key}/")):
            message = {"hashed_id": f"id{number}", "status": "approved"}
            self.assertEqual(self.call(path, body(message)), (200, b'{"accepted": 1, "duplicate": 0}'), path)
        self.assertEqual(set(self.events(self.cartona).mapped("topic")), {"status"})

    def test_the_token_decides_whose_message_it_is(self):
        self.token = "hook-of-rest_test"
        self.call("orders", sample("rest/neutral_order_created"))
        self.assertEqual(self.events().account_id, self.rest)

    def test_the_scheme_may_be_written_in_any_case(self):
        answer = self.call(Authorization=f"bEARER   {self.token} ")
        self.assertEqual(answer[0], 200)

    def test_a_call_without_a_credential_is_refused(self):
        self.assert_refused(Authorization=None)

    def test_wrong_credentials_are_all_refused_alike(self):
        for credential in (
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer None",
            "Bearer False",
            "Bearer null",
            f"Bearer {self.token}x",
            f"Bearer {self.token} {self.token}",
            f"Bearer {self.token},{self.token}",
            f"Basic {self.token}",
            f"Token {self.token}",
            self.token,
            f"Bearer {self.cartona.sudo().webhook_token_digest}",
            f"Bearer {self.cartona.webhook_key}",
            "Bearer token-of-cartona_test",
            f"Bearer {self.token}é".encode(),
            b"Bearer \xff\xfe",
            "Bearer " + "x" * 60_000,
        ):
            with self.subTest(credential=credential[:60]):
                self.assert_refused(Authorization=credential)

    def test_a_token_in_the_query_string_or_in_another_header_is_not_looked_at(self):
        for name in ("token", "access_token", "webhook_token", "authorization", "key"):
            self.assert_refused(f"orders?{name}={self.token}", Authorization=None)
        self.assert_refused(Authorization=None, X_Api_Key=self.token, AuthorizationToken=self.token)

    def test_the_key_in_the_path_proves_nothing(self):
        self.assert_refused(f"orders/{self.cartona.webhook_key}", Authorization=None)

    def test_one_accounts_token_does_not_open_another_accounts_address(self):
        self.assert_refused(f"orders/{self.rest.webhook_key}")

    def test_an_unknown_key_is_refused_even_with_a_good_token(self):
        self.assert_refused("orders/unknown")
        self.assert_refused("orders/%25")

    def test_an_account_without_a_token_lets_nobody_in(self):
        self.cartona.webhook_token = False
        for credential in (None, "", "Bearer", "Bearer ", "Bearer False", f"Bearer {self.token}"):
            self.assert_refused(Authorization=credential)
            self.assert_refused(f"orders/{self.cartona.webhook_key}", Authorization=credential)

    def test_a_draft_account_lets_nobody_in(self):
        self.cartona.action_reset_to_draft()
        self.assert_refused()
        self.assert_refused(f"orders/{self.cartona.webhook_key}")

    def test_an_archived_account_lets_nobody_in(self):
        self.cartona.active = False
        self.assert_refused()
        self.assert_refused(f"orders/{self.cartona.webhook_key}")

    def test_an_old_token_dies_when_a_new_one_is_made(self):
        self.cartona.webhook_token = "another"
        self.assert_refused()
        self.token = "another"
        self.assertEqual(self.call(data=body(order()))[0], 200)

    def test_the_session_of_a_manager_opens_nothing(self):
        self.authenticate("admin", "admin")
        self.assert_refused(Authorization=None)

    def test_reading_the_posting_addresses_is_not_allowed(self):
        for path in ("orders", f"orders/{self.cartona.webhook_key}", "status"):
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                self.assertEqual(self.call(path, None, method)[0], 405, (path, method))
            self.assertEqual(self.call(path, body(order()), "OPTIONS")[0], 405)
        for method in ("POST", "OPTIONS"):
            self.assertEqual(self.call("test", b"{}", method)[0], 405)
        self.assert_nothing_stored()

    def test_the_test_address_says_no_more_than_ok_to_strangers(self):
        for path in ("test", "test/", f"test/{self.cartona.webhook_key}"):
            for credential in (None, "Bearer wrong", "Basic x"):
                answer = self.call(path, None, "GET", Authorization=credential)
                self.assertEqual(answer, (200, b'{"status": "ok"}'))
        self.assert_nothing_stored()

    def test_the_test_address_names_the_account_to_whom_it_belongs(self):
        self.cartona.name = "كارتونة"
        for path in ("test", f"test/{self.cartona.webhook_key}/"):
            status, answer = self.call(path, None, "GET")
            self.assertEqual((status, json.loads(answer)), (200, {"status": "ok", "account": "كارتونة"}))
        self.assertEqual(self.call(f"test/{self.rest.webhook_key}", None, "GET"), (200, b'{"status": "ok"}'))


class TestWebhookForm(WebhookCase):
    """What cannot be a message is refused before it is read."""

    def assert_refused(self, answer, status, error):
        self.assertEqual(answer, (status, body({"error": error}).replace(b":", b": ")))
        self.assert_nothing_stored()
        self.assertFalse(self.logs())

    def test_a_body_of_unknown_length_is_refused(self):
        chunked = self.call_raw(
            ("Content-Type", "application/json"),
            ("Transfer-Encoding", "chunked"),
            data=b"2\r\n[]\r\n0\r\n\r\n",
        )
        self.assert_refused(chunked, 411, "length required")
        self.assert_refused(self.call_raw(("Content-Type", "application/json")), 411, "length required")

    def test_a_length_beside_chunks_is_refused(self):
        answer = self.call_raw(
            ("Content-Type", "application/json"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "12"),
            data=b"2\r\n[]\r\n0\r\n\r\n",
        )
        self.assert_refused(answer, 411, "length required")

    def test_a_length_that_is_no_number_is_refused(self):
        for length in ("-1", "x", "1,2"):
            status, _answer = self.call_raw(("Content-Type", "application/json"), ("Content-Length", length))
            self.assertIn(status, (400, 411), length)
        self.assert_nothing_stored()

    def test_a_body_over_the_limit_is_refused_unread(self):
        for kind in ("application/json", "text/plain"):
            # Odoo refuses it in its own words, before our turn.
            status, _answer = self.call_raw(("Content-Type", kind), ("Content-Length", str(MAX_BODY + 1)))
            self.assertEqual(status, 413)
        self.assert_nothing_stored()

    def test_a_body_of_exactly_the_limit_is_read(self):
        data = body(order(note_message="x"))
        padded = data + b" " * (MAX_BODY - len(data))
        self.assertEqual(self.call(data=padded), (200, b'{"accepted": 1, "duplicate": 0}'))

    def test_anything_but_json_is_refused(self):
        for kind in (
            None,
            "",
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
        ):
            with self.subTest(kind=kind):
                answer = self.call(data=body(order()), Content_Type=kind)
                self.assert_refused(answer, 415, "application/json expected")

    def test_json_with_a_charset_is_read(self):
        answer = self.call(data=body(order()), Content_Type="application/json; charset=utf-8")
        self.assertEqual(answer, (200, b'{"accepted": 1, "duplicate": 0}'))

    def test_a_packed_body_is_refused(self):
        answer = self.call(data=b"\x1f\x8b", Content_Encoding="gzip")
        self.assert_refused(answer, 415, "application/json expected")


class TestWebhookBody(WebhookCase):
    """What an authenticated caller may say, and what comes of it."""

    UNREADABLE = {
        "cut": (b'{"hashed_id": "a"', "character 17: JSON expected, found"),
        "twice": (b"[] []", 'character 3: JSON expected, found "[]"'),
        "empty": (b"", "body: JSON expected, found nothing"),
        "blank": (b" \n ", "body: JSON expected, found nothing"),
        "nan": (b'{"hashed_id": NaN}', "body: a finite number expected"),
        "infinity": (b"[-Infinity]", "body: a finite number expected"),
        "huge number": (b'{"hashed_id": 1e999}', "body: an exponent within 30 expected"),
        "many digits": (b"[" + b"9" * 5000 + b"]", "body: a number of at most 40 digits expected"),
        "duplicate key": (b'{"hashed_id": "a", "hashed_id": "b"}', "hashed_id: a key once in its object"),
        "byte order mark": (b"\xef\xbb\xbf[]", "character 0: JSON expected"),
        "utf-16": ("[]".encode("utf-16"), "byte 0: UTF-8 expected"),
        "not utf-8": (b'"\xe9"', "byte 1: UTF-8 expected"),
        "deep": (b"[" * 100_000, "body: at most 32 levels expected, found more"),
        "deep but whole": (b"[" * 40 + b"]" * 40, "body: at most 32 levels expected, found more"),
        "nul": (b'{"hashed_id": "a\\u0000"}', "hashed_id: text without NUL"),
        "surrogate": (b'{"hashed_id": "\\ud800"}', "hashed_id: text without NUL and lone surrogates"),
        "null": (b"null", "body: an object or a list expected, found nothing"),
        "number": (b"5", "body: an object or a list expected, found 5"),
        "text": (b'"x"', 'body: an object or a list expected, found "x"'),
        "list of numbers": (b"[1]", "/: an order id expected, found none"),
        "list in list": (b"[[]]", "/: an order id expected, found none"),
        "no id": (b"[{}]", "/: an order id expected, found none"),
        "id of null": (b'{"hashed_id": null}', "/: an order id expected, found none"),
        "orders is no list": (b'{"orders": 5}', "body: an object or a list expected, found 5"),
    }

    def test_an_unreadable_body_is_400_with_the_place_and_leaves_no_message(self):
        for name, (data, detail) in self.UNREADABLE.items():
            with self.subTest(name):
                status, answer = self.call(data=data)
                self.assertEqual(status, 400)
                answer = json.loads(answer)
                self.assertEqual(answer.pop("error"), "unreadable")
                self.assertTrue(answer.pop("detail").startswith(detail), name)
                self.assertFalse(answer)
        self.assert_nothing_stored()

    def test_unreadable_bodies_leave_one_log_row_an_hour(self):
        for data, _detail in self.UNREADABLE.values():
            self.call(data=data)
        log = self.logs()
        self.assertEqual((len(log), log.account_id, log.level), (1, self.cartona, "error"))
        self.cr.execute("UPDATE marketplace_sync_log SET create_date = create_date - interval '61 minutes'")
        self.call(data=b"")
        self.assertEqual(len(self.logs()), 2)

    def test_the_log_row_is_in_the_language_of_who_reads_it(self):
        self.env["res.lang"]._activate_lang("ar_001")
        (self.cartona.responsible_id or self.cartona.user_id).lang = "ar_001"
        self.call(data=b"nonsense")
        self.assertRegex(self.logs().message, "[\u0627-\u064a]")

    def test_the_log_row_holds_no_line_break_of_the_sender(self):
        self.call(data=b'{"a\\nb\\u001b[31m": 1, "a\\nb\\u001b[31m": 2}')
        self.assertTrue(self.logs().message.isprintable())

    def test_a_status_alone_is_unreadable_in_the_same_way(self):
        for data in (b"null", b"[1]", b"{}", b"nonsense"):
            self.assertEqual(self.call("status", data)[0], 400)
        self.assert_nothing_stored()

    def test_an_event_of_a_kind_we_do_not_know_is_kept_and_needs_nobody(self):
        self.token = "hook-of-rest_test"
        event = {"version": 1, "type": "product.updated", "id": "evt_1", "data": {"id": "P1"}}
        self.assertEqual(self.call(data=body(event)), (200, b'{"accepted": 1, "duplicate": 0}'))
        self.assertEqual(self.call(data=body(event)), (200, b'{"accepted": 0, "duplicate": 1}'))
        self.run_job(self.rest, "import")
        self.assertEqual((self.events().state, self.events().topic), ("ignored", "other"))

    def test_a_language_nobody_installed_is_no_reason_to_fail(self):
        self.assertEqual(self.call(data=b"[1]", Accept_Language="ar-EG")[0], 400)

    def test_an_empty_list_is_accepted_and_starts_nothing(self):
        self.assertEqual(self.call(data=b"[]"), (200, b'{"accepted": 0, "duplicate": 0}'))
        self.assertEqual(self.call(data=b'{"orders": []}'), (200, b'{"accepted": 0, "duplicate": 0}'))
        self.assert_nothing_stored()

    def test_one_order_a_list_and_an_orders_object_are_read(self):
        for data in (order("a"), [order("b"), order("c")], {"orders": [order("d"), order("e")]}):
            self.assertEqual(self.call(data=body(data))[0], 200)
        self.assertEqual(self.events().mapped("external_order_id"), ["a", "b", "c", "d", "e"])
        self.assertEqual(self.wakeups, [(self.cartona.id, "import")])
        self.run_job(self.cartona, "import")
        self.assertEqual(set(self.events().mapped("state")), {"done"})

    def test_repeated_messages_are_counted_and_start_nothing(self):
        twice = body([order("a"), order("a"), order("b")])
        self.assertEqual(self.call(data=twice), (200, b'{"accepted": 2, "duplicate": 1}'))
        self.wakeups.clear()
        self.assertEqual(self.call(data=twice), (200, b'{"accepted": 0, "duplicate": 3}'))
        self.assertFalse(self.wakeups)

    def test_an_element_without_an_id_is_held_and_the_good_ones_are_imported(self):
        nameless = {name: value for name, value in order().items() if name != "hashed_id"}
        answer = self.call(data=body([order("a"), nameless, order("b")]))
        self.assertEqual(answer, (200, b'{"accepted": 3, "duplicate": 0}'))
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events().mapped("state"), ["done", "hold", "done"])
        held = self.events()[1]
        self.assertFalse(held.external_order_id)
        self.assertIn("hashed_id", held.reason)

    def test_the_request_itself_makes_no_order_and_no_call(self):
        before = self.env["sale.order"].search_count([])
        self.call(data=body(order()))
        self.assertEqual(self.env["sale.order"].search_count([]), before)
        self.assertEqual(self.events().state, "new")
        self.assertFalse(self.door.requests)

    def test_a_paused_account_keeps_what_arrives_and_works_later(self):
        self.cartona.action_pause()
        self.assertEqual(self.call(data=body(order())), (200, b'{"accepted": 1, "duplicate": 0}'))
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events().mapped("state"), ["new"])
        self.cartona.action_activate()
        self.assertIn((self.cartona.id, "import"), self.wakeups)
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events().mapped("state"), ["done"])

    def test_a_business_problem_is_no_concern_of_the_sender(self):
        answer = self.call(data=sample("cartona/order_unknown_product"))
        self.assertEqual(answer, (200, b'{"accepted": 1, "duplicate": 0}'))
        self.run_job(self.cartona, "import")
        self.assertEqual(self.events().state, "hold")

    def test_the_message_is_stored_as_it_came(self):
        self.call(data=body(order()))
        event = self.events()
        self.assertEqual(event.origin, "webhook")
        self.assertEqual(payload.loads(event.payload.encode()), order())

    def test_a_body_for_another_account_changes_nothing_about_whose_it_is(self):
        self.call(f"orders/{self.cartona.webhook_key}?account=rest_test", body(order(account="rest_test")))
        self.assertEqual(self.events().account_id, self.cartona)

    def test_nothing_of_the_message_or_the_token_is_logged(self):
        with self.assertLogs("odoo.addons.cartona_integration", "DEBUG") as caught:
            self.call(data=body(order(note_message="CANARY")))
            self.call(data=body(order()), Authorization="Bearer CANARY")
        said = "\n".join(caught.output)
        self.assertNotIn("CANARY", said)
        self.assertNotIn(self.token, said)
        self.assertIn("1 accepted, 0 duplicate", said)

    def test_a_call_that_came_to_the_proxy_without_encryption_is_refused(self):
        headers = {"X-Forwarded-Host": "shop.test", "X-Forwarded-Proto": "http"}
        refused = (403, b'{"error": "https required: the token came over http"}')
        with patch.dict(config.options, proxy_mode=True):
            self.assertEqual(self.call(data=body(order()), **headers), refused)
            self.assertEqual(self.call("test", None, "GET", **headers), refused)
            self.assert_nothing_stored()
            self.assertEqual(self.call("test", None, "GET", Authorization=None, **headers)[0], 200)
            self.assertEqual(
                self.call(data=body(order()), **headers | {"X-Forwarded-Proto": "https"})[0], 200
            )
        # Without a proxy anybody may write this header.
        self.assertEqual(self.call(data=body(order("other")), **headers)[0], 200)

    def test_a_failing_store_is_not_answered_with_success(self):
        store = type(self.env["marketplace.event"])
        with (
            patch.object(store, "_insert", side_effect=RuntimeError("broken")),
            self.assertLogs("odoo.http", "ERROR"),
        ):
            status, answer = self.call(data=body(order("CANARY")))
        self.assertEqual(status, 500)
        self.assertNotIn(b"CANARY", answer)
        self.assert_nothing_stored()


class Conflict(SerializationFailure):
    """What PostgreSQL says when two transactions meet."""

    pgcode = "40001"


class TestRetry(WebhookCase):
    """Odoo repeats a request after a conflict: the body must still be there."""

    @contextmanager
    def conflicts(self, count):
        """Have the first tries of storing a message meet another transaction; give the list of tries."""
        insert, calls = MarketplaceEvent._insert, []

        def conflict_first(events, *args):
            calls.append(args)
            if len(calls) <= count:
                raise Conflict()
            return insert(events, *args)

        with patch.object(MarketplaceEvent, "_insert", conflict_first):
            yield calls

    def test_a_copy_that_is_stored_at_the_same_moment_is_no_reason_to_wait(self):
        with self.conflicts(1) as calls, patch("time.sleep", side_effect=AssertionError("waited")):
            answer = self.call(data=body(order()))
        self.assertEqual(len(calls), 2)
        self.assertEqual(answer, (200, b'{"accepted": 1, "duplicate": 0}'))

    def test_conflicts_while_storing_lose_no_message(self):
        with self.conflicts(3) as calls, patch("time.sleep"):
            answer = self.call(data=body(order()))
        self.assertEqual(len(calls), 4)
        self.assertEqual(answer, (200, b'{"accepted": 1, "duplicate": 0}'))


class TestSignature(WebhookCase):
    """A sender that signs its calls instead of showing a token."""

    def setUp(self):
        super().setUp()
        marketplace_webhook_clock.leads.clear()
        self.secret = self.rest.action_rotate_webhook_secret()["params"]["message"]
        (self.rest | self.cartona).webhook_token = False
        self.message = sample("rest/neutral_order_created")

    def sign(self, data, secret=None, delivery="msg_1", moment=None):
        """Give the headers Standard Webhooks asks for."""
        key = base64.b64decode((secret or self.secret).removeprefix("whsec_"))
        moment = str(moment or int(time.time()))
        made = hmac.digest(key, f"{delivery}.{moment}.".encode() + data, "sha256")
        return {
            "Authorization": None,
            "webhook-id": delivery,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
        }

    def post(self, data=None, path=None, **how):
        data = data or self.message
        return self.call(path or f"orders/{self.rest.webhook_key}", data, **self.sign(data, **how))

    def assert_refused(self, answer):
        self.assertEqual(answer, UNAUTHORIZED)
        self.assert_nothing_stored()
        self.assertFalse(self.logs())

    def test_a_signed_call_comes_in_at_the_keyed_and_at_the_bare_address(self):
        self.assertEqual(self.post(), (200, b'{"accepted": 1, "duplicate": 0}'))
        other = sample("rest/neutral_order_updated")
        self.assertEqual(self.post(other, "orders", delivery="msg_2")[0], 200)
        self.assertEqual(len(self.events(self.rest)), 2)

    def test_another_body_than_the_signed_one_is_refused(self):
        self.assert_refused(
            self.call(f"orders/{self.rest.webhook_key}", self.message + b" ", **self.sign(self.message))
        )

    def test_another_secret_an_old_moment_and_a_future_one_are_refused_alike(self):
        now = int(time.time())
        other = "whsec_" + base64.b64encode(b"x" * 32).decode()
        for how in ({"secret": other}, {"moment": now - 310}, {"moment": now + 310}, {"delivery": "a.b"}):
            self.assert_refused(self.post(**how))

    def test_an_account_may_let_signed_calls_count_for_longer_or_shorter(self):
        now = int(time.time())
        self.rest.webhook_window = 900
        self.assertEqual(self.post(moment=now - 310)[0], 200)
        self.rest.webhook_window = 60
        self.assertEqual(self.post(moment=now - 70, delivery="msg_2"), UNAUTHORIZED)
        for seconds in (59, 901):
            with self.assertRaises(ValidationError):
                self.rest.webhook_window = seconds

    def clock_activities(self):
        return self.rest.activity_search(["cartona_integration.activity_clock"])

    def test_clocks_that_are_apart_are_told_once_whether_calls_still_count_or_not(self):
        now = int(time.time())
        for seconds, status in ((100, 200), (400, 401)):
            for number in range(2 * CALLS_FOR_CLOCK):
                answer = self.post(delivery=f"msg_{seconds}_{number}", moment=now - seconds)
                self.assertEqual(answer[0], status)
            [activity] = self.clock_activities()
            self.assertEqual(activity.user_id, self.rest.responsible_id or self.rest.user_id)
            self.assertRegex(activity.note, f"{seconds}|{seconds + 1}|{seconds + 2}")
            activity.action_done()
        self.assertFalse(self.clock_activities())

    def test_a_late_call_and_one_that_is_repeated_say_nothing_of_clocks(self):
        late = int(time.time()) - 100
        for _number in range(2 * CALLS_FOR_CLOCK):
            self.post(delivery="the_same", moment=late)
        for number in range(CALLS_FOR_CLOCK):
            self.post(delivery=f"msg_{number}", moment=late if number % 3 == 0 else None)
        other = "whsec_" + base64.b64encode(b"x" * 32).decode()
        for number in range(CALLS_FOR_CLOCK):
            self.post(delivery=f"of_a_stranger_{number}", moment=late, secret=other)
        self.assertFalse(self.clock_activities())

    def test_an_account_without_a_secret_believes_no_signature(self):
        self.rest.webhook_secret = False
        empty = base64.b64encode(b"").decode()
        for secret in (self.secret, "whsec_" + empty):
            self.assert_refused(self.post(secret=secret))

    def test_a_draft_account_and_another_accounts_address_believe_none(self):
        self.assert_refused(self.post(path=f"orders/{self.cartona.webhook_key}"))
        self.rest.action_reset_to_draft()
        self.assert_refused(self.post())

    def test_a_wrong_signature_is_not_made_good_by_a_right_token(self):
        self.rest.webhook_token = "hook-of-rest_test"
        headers = self.sign(self.message) | {"Authorization": "Bearer hook-of-rest_test"}
        path = f"orders/{self.rest.webhook_key}"
        self.assert_refused(self.call(path, self.message, **headers | {"webhook-signature": "v1,AAAA"}))
        self.assertEqual(self.call(path, self.message, **headers)[0], 200)

    def test_both_secrets_count_while_they_are_changed_and_the_old_one_dies_by_itself(self):
        old, self.secret = self.secret, self.rest.action_rotate_webhook_secret()["params"]["message"]
        self.assertEqual(self.post(secret=old)[0], 200)
        self.assertEqual(self.post(delivery="msg_2")[0], 200)
        with freeze_time(fields.Datetime.now() + timedelta(days=6, hours=23)):
            self.assertEqual(self.post(secret=old)[0], 200)
        with freeze_time(fields.Datetime.now() + timedelta(days=7, seconds=1)):
            self.assertEqual(self.post(secret=old), UNAUTHORIZED)
            self.assertEqual(self.post()[0], 200)

    def test_the_old_secret_is_dropped_at_once_when_a_person_says_so(self):
        old, self.secret = self.secret, self.rest.action_rotate_webhook_secret()["params"]["message"]
        self.rest.action_drop_previous_webhook_secret()
        self.assert_refused(self.post(secret=old))
        self.assertEqual(self.post()[0], 200)

    def test_a_secret_before_the_last_two_is_dead(self):
        oldest = self.secret
        for _number in range(2):
            self.rest.action_rotate_webhook_secret()
        self.assert_refused(self.post(secret=oldest))

    def test_taking_the_secret_away_takes_the_one_before_away_too(self):
        self.rest.action_rotate_webhook_secret()
        self.rest.webhook_secret = False
        self.assert_refused(self.post())

    def test_the_signed_id_names_the_delivery(self):
        for _number in range(3):
            self.post()
        self.assertEqual(self.events().delivery_id, "msg_1:N-88123")
        self.assertEqual(self.post(delivery="msg_2"), (200, b'{"accepted": 0, "duplicate": 1}'))

    def test_an_id_that_is_not_signed_names_nothing(self):
        self.rest.webhook_token = self.token = "hook-of-rest_test"
        order_alone = body(json.loads(self.message)["data"]["order"])
        self.rest.webhook_secret = False
        self.call("orders", order_alone, webhook_id="chosen", webhook_signature="v1,x")
        self.assertNotIn("chosen", self.events().delivery_id)

    def test_a_marketplace_may_sign_the_body_alone(self):
        self.rest.write({"webhook_secret": False})
        self.rest.write({"webhook_signing": "body", "webhook_signature_header": "X-Shop-Hmac"})
        self.rest.webhook_secret = "a secret of the marketplace"
        made = hmac.new(b"a secret of the marketplace", self.message, "sha256")
        for encoding, given in (("hex", made.hexdigest()), ("base64", base64.b64encode(made.digest()))):
            self.rest.webhook_signature_encoding = encoding
            path = f"orders/{self.rest.webhook_key}"
            answer = self.call(path, self.message, Authorization=None, X_Shop_Hmac=given)
            self.assertEqual(answer[0], 200)
            answer = self.call(path, self.message + b" ", Authorization=None, X_Shop_Hmac=given)
            self.assertEqual(answer, UNAUTHORIZED)

    def test_a_dialects_own_way_of_signing_wins_over_the_accounts(self):
        with patch.object(Rest, "webhook_signature", HmacBody("X-Own", "base64")):
            key = self.secret.encode()
            made = base64.b64encode(hmac.digest(key, self.message, "sha256"))
            path = f"orders/{self.rest.webhook_key}"
            self.assertEqual(self.call(path, self.message, Authorization=None, X_Own=made)[0], 200)
            self.assertEqual(self.post(), UNAUTHORIZED)

    def test_a_secret_that_could_be_guessed_or_does_not_fit_is_refused(self):
        for secret in ("short", "whsec_c2hvcnQ=", "whsec_not base64 at all !!"):
            with self.assertRaises(ValidationError):
                self.rest.webhook_secret = secret
        with self.assertRaises(ValidationError):
            self.rest.write({"webhook_signing": "body", "webhook_signature_header": "no header: x"})

    def test_the_test_address_names_the_account_to_whom_signs(self):
        path = f"test/{self.rest.webhook_key}"
        answer = self.call(path, None, "GET", **self.sign(b""))
        self.assertEqual(json.loads(answer[1]), {"status": "ok", "account": "rest_test"})

    def test_the_body_is_read_only_where_a_signature_has_to_be_checked(self):
        def read():
            raise AssertionError("read")

        find = self.env["marketplace.config"]._authenticate_webhook
        signature = {name: value for name, value in self.sign(b"").items() if value}
        for key, headers in (
            (self.rest.webhook_key, {"Authorization": "Bearer x"}),
            (self.cartona.webhook_key, signature),
            ("unknown", signature),
        ):
            self.assertFalse(find(key, headers, read))
        with self.assertRaises(AssertionError):
            find(self.rest.webhook_key, signature, read)

    def test_a_printed_entrance_shows_no_credential(self):
        self.rest.webhook_token = "hook-of-rest_test"
        shown = repr(self.rest._entrance())
        self.assertNotIn(self.secret, shown)
        self.assertNotIn(self.rest.sudo().webhook_token_digest, shown)
        self.assertNotIn(self.rest.webhook_key, shown)
        self.assertIn(f"account_id={self.rest.id},", shown)

    def test_nothing_of_the_secret_is_logged(self):
        with self.assertLogs("odoo.addons.cartona_integration", "DEBUG") as caught:
            self.post()
            self.post(secret="whsec_" + base64.b64encode(b"x" * 32).decode())
        said = "\n".join(caught.output)
        self.assertNotIn(self.secret, said)
        self.assertNotIn(self.secret.removeprefix("whsec_"), said)

    def test_a_key_nobody_has_costs_the_work_of_one_that_somebody_has(self):
        calls = []
        original = marketplace_webhook.Entrance.proof

        def proof(door, *args):
            calls.append(door)
            return original(door, *args)

        with patch.object(marketplace_webhook.Entrance, "proof", proof):
            self.assertEqual(self.call("orders/nobodys", body(order())), UNAUTHORIZED)
        self.assertEqual(len(calls), 1)


class TestRate(WebhookCase):
    """One sender's flood must not keep the workers from the others."""

    def setUp(self):
        super().setUp()
        allowances.clear()
        self.addCleanup(allowances.clear)

    def test_what_comes_too_fast_is_asked_to_come_again(self):
        self.cartona.webhook_rate = 1
        with patch(f"{DOOR}.time") as clock:
            clock.monotonic.return_value = 100
            for number in range(BURST):
                self.assertEqual(self.call(data=body(order(f"id{number}")))[0], 200)
            self.assertEqual(self.call(data=body(order("late"))), (429, b'{"error": "too many"}'))
            self.assertEqual(self.headers["Retry-After"], "1")
            self.assertFalse(self.events(order_id="late"))
            clock.monotonic.return_value = 102
            self.assertEqual(self.call(data=body(order("late")))[0], 200)

    def test_the_others_do_not_wait_for_it(self):
        self.cartona.webhook_rate = 1
        allowances[self.env.cr.dbname, self.cartona.id] = 0, time.monotonic() + 60
        self.assertEqual(self.call(data=body(order()))[0], 429)
        self.token = "hook-of-rest_test"
        self.assertEqual(self.call(data=sample("rest/neutral_order_created"))[0], 200)

    def test_without_a_limit_nothing_is_counted(self):
        self.cartona.webhook_rate = 0
        self.assertEqual(self.call(data=body(order()))[0], 200)
        self.assertFalse(allowances)

    def test_strangers_are_not_counted_against_the_account(self):
        self.token = "wrong"
        for _number in range(3):
            self.call(data=body(order()))
        self.assertFalse(allowances)

    def test_who_only_asks_whether_the_door_is_there_is_not_answered_without_end(self):
        allowances[self.env.cr.dbname, "test", False] = 0, time.monotonic() + 60
        answer = self.call("test", method="GET", data=None, Authorization=None)
        self.assertEqual(answer, (429, b'{"error": "too many"}'))
        self.assertTrue(int(self.headers["Retry-After"]))
        self.assertEqual(self.call(data=body(order()))[0], 200)
        health_check = self.call("test", method="GET", data=None)
        self.assertEqual(health_check[0], 200, "strangers cannot keep an account's own question waiting")


class TestUnavailable(WebhookCase):
    """What keeps nothing now asks the sender to come again."""

    @mute_logger("odoo.sql_db")
    def test_a_database_that_cannot_be_written_to_asks_to_come_again(self):
        # Read-only, disk full, out of memory, shut down; what is no matter of the database's is not of these.
        for code in ("25006", "53100", "53200", "57P01"):
            error = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"

            def _insert(events, *_args, error=error):
                events.env.cr.execute(error)

            with patch.object(MarketplaceEvent, "_insert", _insert):
                answer = self.call(data=body(order(code)))
            self.assertEqual(answer, (503, b'{"error": "unavailable"}'))
            self.assertTrue(self.headers["Retry-After"])
            self.assertEqual(self.call(data=body(order(code)))[0], 200)

    def test_a_connection_that_is_lost_meanwhile_asks_to_come_again(self):
        lost = OperationalError("server closed the connection unexpectedly")
        with patch.object(MarketplaceEvent, "_insert", side_effect=lost):
            self.assertEqual(self.call(data=body(order())), (503, b'{"error": "unavailable"}'))
        self.assertEqual(self.call(data=body(order()))[0], 200)


class TestMutations(WebhookCase):
    """Bodies nobody has thought of."""

    ROUNDS = 150
    PIECES = (
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"1e999",
        b"-",
        b"null",
        b",",
        b"\\",
    )

    def mutated(self, mixer, data):
        data = bytearray(data)
        for _number in range(mixer.choice((1, 1, 2, 5, 20))):
            place = mixer.randrange(len(data) + 1)
            length = mixer.choice((0, 1, 1, 3, 40, 400))
            piece = mixer.choice(
                (b"", mixer.randbytes(2), mixer.choice(self.PIECES) * mixer.choice((1, 1, 50)))
            )
            data[place : place + length] = piece
        return bytes(data)

    def bodies(self):
        mixer = random.Random(20)
        samples = [
            sample("cartona/order_pending"),
            sample("cartona/order_sparse_nulls"),
            body([order("a")] * 9),
        ]
        return [self.mutated(mixer, mixer.choice(samples)) for _number in range(self.ROUNDS)]

    def test_no_body_makes_the_server_fail_now_or_later(self):
        self.cartona.webhook_rate = 0
        statuses = {
            self.call("orders" if number % 3 else "status", data)[0]
            for number, data in enumerate(self.bodies())
        }
        self.assertLessEqual(statuses, {200, 400})
        self.assertIn(200, statuses)
        self.run_job(self.cartona, "import")
        self.assertLessEqual(set(self.events().mapped("state")), {"done", "hold", "ignored"})

    def test_no_body_of_a_stranger_leaves_a_row(self):
        self.token = "wrong"
        for data in self.bodies()[: self.ROUNDS // 3]:
            self.assertEqual(self.call(data=data), UNAUTHORIZED)
        self.assert_nothing_stored()
        self.assertFalse(self.logs())
