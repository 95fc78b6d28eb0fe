import contextlib
import logging
import os
import socket
import tempfile
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

from odoo.addons.cartona_integration import connections
from odoo.addons.cartona_integration.dialects import payload
from odoo.addons.cartona_integration.dialects.words import ProductUpdate, Request
from odoo.addons.cartona_integration.exceptions import CredentialsRefused, Refused, Unavailable
from odoo.addons.cartona_integration.models import marketplace_api

from .common import MarketplaceCase, ok, sample

REAL_SEND = marketplace_api.MarketplaceApi._send
SECRET = "canary-7f3a9c51d2e8-token"


class Handler(BaseHTTPRequestHandler):
    """Hands each request to what the test wrote; keeps what was asked."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        self.server.ports.append(self.client_address[1])
        # The door hangs up on servers that misbehave.
        with contextlib.suppress(OSError):
            self.server.behave(self)

    do_GET = do_POST = answer

    def say(self, body=b"[]", status=200, **headers):
        """Answer as a decent server would; a header of None is left out."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Be quiet."""


class Server(ThreadingHTTPServer):
    """A marketplace of this machine that behaves as a test says."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.ports = [], []
        self.behave = Handler.say
        self.over = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/api"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=[0.02], daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_exception):
        self.over.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


class DoorCase(MarketplaceCase):
    """Real calls to a server of this machine."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.cartona | cls.rest).write({"auth_token": SECRET, "timeout": 2})

    def setUp(self):
        super().setUp()
        self.startPatcher(patch.object(marketplace_api.MarketplaceApi, "_send", REAL_SEND))
        # Connections of one test are nobody else's.
        connections._local.__dict__.pop("transports", None)
        self.server = self.enterContext(Server())
        (self.cartona | self.rest).write({"api_base_url": self.server.address})
        self.api = self.env["marketplace.api"]
        self.addCleanup(self.close_connections)

    def close_connections(self):
        for transport in connections._local.__dict__.pop("transports", {}).values():
            transport.close()

    def will(self, body=b"[]", status=200, **headers):
        """Let every request be answered so."""
        self.server.behave = lambda handler: handler.say(body, status, **headers)

    def call(self, account=None, path="thing", **values):
        """Make one call through the door."""
        values = {"operation": "test", "method": "GET", "path": path, **values}
        return self.api._call(account or self.rest, Request(**values))

    def assertUnavailable(self, words, seconds=1.5):
        """Expect a call to end soon, as unavailable, telling these words and no address."""
        started = time.monotonic()
        with self.assertRaises(Unavailable) as caught:
            self.call()
        self.assertLess(time.monotonic() - started, seconds)
        self.assertIn(words, str(caught.exception))
        self.assertNotIn("127.0.0.1", str(caught.exception))
        self.assertNotIn(SECRET, str(caught.exception))
        return caught.exception


class TestDoorRequests(DoorCase):
    """What leaves this machine."""

    def test_cartona_gets_its_own_header_and_no_other(self):
        self.call(self.cartona)
        [(_method, _path, headers, _body)] = self.server.seen
        self.assertEqual(headers["AuthorizationToken"], SECRET)
        self.assertNotIn("Authorization", headers)

    def test_the_neutral_format_gets_a_bearer_token(self):
        self.call(self.rest)
        [(_method, _path, headers, _body)] = self.server.seen
        self.assertEqual(headers["Authorization"], f"Bearer {SECRET}")

    def test_path_and_query_follow_the_accounts_address(self):
        for base in (self.server.address, f"{self.server.address}/"):
            self.rest.api_base_url = base
            self.call(query=(("page", "1"), ("sku", "904#2")))
        self.assertEqual(
            [path for _method, path, _headers, _body in self.server.seen],
            ["/api/thing?page=1&sku=904%232"] * 2,
        )

    def test_text_is_sent_as_utf_8_and_not_escaped(self):
        self.call(method="POST", body={"reason": "تأخر الطلب"})
        [(method, _path, headers, body)] = self.server.seen
        self.assertEqual(method, "POST")
        self.assertIn("تأخر الطلب", body.decode())
        self.assertEqual(headers["Content-Type"], "application/json")

    def test_a_call_without_body_sends_none(self):
        self.call(method="POST")
        [(_method, _path, headers, body)] = self.server.seen
        self.assertEqual(body, b"")
        self.assertNotIn("Content-Type", headers)

    def test_a_marketplace_can_tell_our_calls(self):
        self.call()
        self.assertEqual(self.server.seen[0][2]["User-Agent"], "cartona_integration (Odoo)")

    def test_compression_is_not_asked_for(self):
        self.call()
        self.assertEqual(self.server.seen[0][2]["Accept-Encoding"], "identity")

    def test_headers_of_one_call_travel_with_it(self):
        self.call(headers=(("Idempotency-Key", "42"),))
        self.assertEqual(self.server.seen[0][2]["Idempotency-Key"], "42")

    def test_two_calls_share_a_connection(self):
        self.will(b'{"a": 1}')
        self.call()
        self.call()
        self.assertEqual(len(set(self.server.ports)), 1)

    def test_a_connection_is_shared_after_answers_of_every_kind(self):
        def chunked(handler):
            handler.say(b"2\r\n[]\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")

        self.server.behave = chunked
        self.call()
        self.will(b"", 204, Content_Length=None)
        self.call()
        self.will(b'{"error": "no"}', 422)
        with self.assertRaises(Refused):
            self.call()
        self.will()
        self.call()
        self.assertEqual(len(set(self.server.ports)), 1)

    def test_two_accounts_share_no_connection(self):
        self.call(self.rest)
        self.call(self.cartona)
        self.assertEqual(len(set(self.server.ports)), 2)

    def test_cookies_are_not_kept(self):
        self.will(Set_Cookie="session=1; Path=/")
        self.call()
        self.call()
        self.assertNotIn("Cookie", self.server.seen[1][2])

    def test_a_password_in_the_address_takes_the_place_of_nothing(self):
        address = self.server.address.replace("://", "://robber:robbed@")
        self.env.flush_all()
        # No form takes it.
        self.env.cr.execute("UPDATE marketplace_config SET api_base_url = %s", [address])
        self.env.invalidate_all()
        self.call(self.rest)
        self.assertEqual(self.server.seen[0][2]["Authorization"], f"Bearer {SECRET}")

    def test_passwords_in_a_netrc_file_are_not_used(self):
        with tempfile.TemporaryDirectory() as folder:
            netrc = Path(folder, "netrc")
            netrc.write_text("machine 127.0.0.1 login robber password robbed\n")
            with patch.dict(os.environ, {"NETRC": str(netrc)}):
                self.call(self.rest)
                self.call(self.cartona)
        self.assertEqual(self.server.seen[0][2]["Authorization"], f"Bearer {SECRET}")
        self.assertNotIn("Authorization", self.server.seen[1][2])

    def test_a_proxy_of_the_environment_is_not_used(self):
        nowhere = "http://127.0.0.1:9"
        names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        with patch.dict(os.environ, {**dict.fromkeys(names, nowhere), "no_proxy": "", "NO_PROXY": ""}):
            self.call()
        self.assertEqual(len(self.server.seen), 1)


class TestDoorAnswers(DoorCase):
    """What comes back, from servers good and bad."""

    def test_numbers_are_read_exactly(self):
        self.will(b'{"price": 0.1, "big": 12345678901234567890.01}')
        data = self.call().data
        self.assertEqual((str(data["price"]), str(data["big"])), ("0.1", "12345678901234567890.01"))

    def test_an_empty_answer_is_none(self):
        self.will(b"", 204, Content_Length=None)
        answer = self.call()
        self.assertEqual((answer.status, answer.data), (204, None))

    def test_a_chunked_answer_is_read_whole(self):
        def behave(handler):
            handler.say(
                b'8\r\n{"a": 1,\r\n7\r\n"b": 2}\r\n0\r\n\r\n',
                Content_Length=None,
                Transfer_Encoding="chunked",
            )

        self.server.behave = behave
        self.assertEqual(self.call().data, {"a": 1, "b": 2})

    def test_something_else_than_json_is_unavailable(self):
        self.will(b"<html>Welcome</html>")
        self.assertUnavailable("not JSON")

    def test_deeply_nested_json_is_unavailable(self):
        self.will(b"[" * 200_000)
        self.assertUnavailable("nested too deep")

    def test_an_answer_compressed_unasked_is_unavailable_and_never_unpacked(self):
        self.will(b"\x1f\x8b" + b"\x00" * 50, Content_Encoding="gzip")
        self.assertUnavailable("not JSON")

    def test_redirects_are_not_followed(self):
        for status in (301, 302, 303, 307, 308):
            self.server.seen.clear()
            self.will(b"", status, Location=f"{self.server.address}/elsewhere")
            self.assertUnavailable(f"HTTP {status}: a redirect")
            self.assertEqual(len(self.server.seen), 1)

    def test_the_body_of_a_redirect_is_limited_too(self):
        def flood(handler):
            handler.say(b"", 302, Content_Length=None, Location="/elsewhere", Connection="close")
            for _number in range(400):
                handler.wfile.write(b"x" * 65536)
                self.flooded += 65536

        self.flooded = 0
        self.server.behave = flood
        with patch.object(marketplace_api, "MAX_ANSWER", 5 * 1024 * 1024):
            self.assertUnavailable("too large", seconds=10)
        self.assertLess(self.flooded, 20 * 1024 * 1024)

    def test_a_body_too_large_is_unavailable(self):
        with patch.object(marketplace_api, "MAX_ANSWER", 1000):
            self.will(b"[" + b" " * 2000 + b"]")
            self.assertUnavailable("too large")

    def test_an_endless_body_is_unavailable(self):
        def flood(handler):
            handler.say(b"", Content_Length=None, Connection="close")
            while not self.server.over.is_set():
                handler.wfile.write(b" " * 65536)

        self.server.behave = flood
        self.assertUnavailable("too large", seconds=10)

    def test_an_answer_cut_before_its_announced_end_is_unavailable(self):
        def cut(handler):
            handler.say(b"[]", Content_Length="100")
            handler.close_connection = True

        self.server.behave = cut
        self.assertUnavailable("No answer")

    def test_a_chunked_answer_cut_is_unavailable(self):
        def cut(handler):
            handler.say(b"10\r\n[]", Content_Length=None, Transfer_Encoding="chunked")
            handler.close_connection = True

        self.server.behave = cut
        self.assertUnavailable("No answer")

    def test_a_chunked_answer_that_stops_between_chunks_is_unavailable(self):
        def cut(handler):
            handler.say(b"2\r\n[]\r\n", Content_Length=None, Transfer_Encoding="chunked")
            handler.close_connection = True

        self.server.behave = cut
        self.assertUnavailable("No answer")

    def drip(self, handler, text):
        for byte in text:
            if self.server.over.wait(0.2):
                return
            handler.wfile.write(bytes([byte]))

    def test_a_body_that_drips_is_stopped_at_the_deadline(self):
        def drip(handler):
            handler.say(b"", Content_Length="100")
            self.drip(handler, b" " * 100)

        self.rest.timeout = 1
        self.server.behave = drip
        with patch.object(marketplace_api, "CONNECT_TIMEOUT", 0.2):
            self.assertUnavailable("No answer", seconds=3)

    def test_headers_that_drip_are_stopped_at_the_deadline(self):
        def drip(handler):
            self.drip(handler, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100 + b"\r\n\r\n[]")

        self.rest.timeout = 1
        self.server.behave = drip
        with patch.object(marketplace_api, "CONNECT_TIMEOUT", 0.2):
            self.assertUnavailable("No answer", seconds=4)

    def test_a_server_that_says_nothing_is_unavailable(self):
        self.rest.timeout = 1
        self.server.behave = lambda _handler: self.server.over.wait(5)
        self.assertUnavailable("No answer", seconds=3)

    def test_a_server_that_hangs_up_is_unavailable(self):
        def hang_up(handler):
            handler.close_connection = True

        self.server.behave = hang_up
        self.assertUnavailable("No answer")

    def test_a_server_that_speaks_no_http_is_unavailable(self):
        def babble(handler):
            handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")
            handler.close_connection = True

        self.server.behave = babble
        self.assertUnavailable("No answer")

    def test_a_closed_door_is_unavailable(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.rest.api_base_url = f"http://127.0.0.1:{port}/api"
        self.assertUnavailable("No answer (ConnectionError)")

    def test_a_connection_the_server_closed_meanwhile_is_opened_anew(self):
        def close(handler):
            handler.say()
            handler.close_connection = True

        self.server.behave = close
        closed, close_connection = threading.Event(), self.server.shutdown_request
        self.server.shutdown_request = lambda request: (close_connection(request), closed.set())
        self.call()
        self.assertTrue(closed.wait(5))
        self.call()
        self.assertEqual(len(self.server.seen), 2)

    def test_our_own_network_is_no_marketplace(self):
        with patch.dict(os.environ):
            os.environ.pop(connections.ALLOW_PRIVATE_TARGETS, None)
            self.assertUnavailable("does not lead to a public server")
        self.assertFalse(self.server.seen)

    def test_retry_after_is_kept(self):
        self.will(b"{}", 429, Retry_After="17")
        self.assertEqual(self.assertUnavailable("HTTP 429").retry_after, 17)
        self.will(b"{}", 503)
        self.assertIsNone(self.assertUnavailable("HTTP 503").retry_after)

    def test_other_4xx_is_a_refusal_with_the_marketplaces_words(self):
        self.will('{"error": {"code": "late", "message": "متأخر"}}'.encode(), 422)
        with self.assertRaises(Refused) as caught:
            self.call()
        self.assertEqual((str(caught.exception), caught.exception.code), ("HTTP 422: متأخر", "late"))

    def test_a_refusal_inside_a_200_is_a_refusal(self):
        self.will(b'{"error": "no"}')
        with self.assertRaises(Refused):
            self.call()

    def test_refused_credentials_are_told_from_other_refusals(self):
        self.will(b"{}", 401)
        with self.assertRaises(CredentialsRefused):
            self.call(self.rest)
        self.will(b'{"error": "invalid credentials"}', 400)
        with self.assertRaises(CredentialsRefused):
            self.call(self.cartona)


class TestDoorSecrets(DoorCase):
    """The token leaves this machine in a header, and in nothing else."""

    def test_neither_log_nor_error_tells_the_token(self):
        def cut(handler):
            handler.say(b"[]", Content_Length="100")
            handler.close_connection = True

        echo = f'{{"note": "{SECRET}"}}'.encode()
        for behave in (
            lambda handler: handler.say(),
            lambda handler: handler.say(echo),
            lambda handler: handler.say(b"{}", 401),
            lambda handler: handler.say(b"", 302, Location=f"/{SECRET}"),
            cut,
        ):
            self.server.behave = behave
            with self.assertLogs(level=logging.DEBUG) as logs, contextlib.suppress(Refused, Unavailable):
                self.call(self.rest)
                self.call(self.cartona)
            self.assertNotIn(SECRET, "\n".join(logs.output))

    def test_the_log_tells_account_operation_and_status_but_no_content(self):
        self.will(b'{"customer": "Somebody"}')
        with self.assertLogs(marketplace_api._logger, logging.INFO) as logs:
            self.call()
        [line] = logs.output
        self.assertIn("rest_test: test answered 200", line)
        self.assertNotIn("Somebody", line)

    def test_a_marketplace_that_repeats_the_token_in_its_refusal_does_not_publish_it(self):
        self.will(f'{{"error": "bad token {SECRET}"}}'.encode(), 401)
        with self.assertRaises(Refused) as caught:
            self.call()
        self.assertNotIn(SECRET, str(caught.exception))


class TestOperations(MarketplaceCase):
    """What can be asked of a marketplace, whatever its dialect."""

    def setUp(self):
        super().setUp()
        self.api = self.env["marketplace.api"]

    def test_listings_are_read_to_the_end(self):
        page = payload.loads(sample("cartona/supplier_products"))
        self.door.will("products", ok(page))
        [rows] = [list(page.rows) for page in self.api._read_products(self.cartona)]
        self.assertEqual(len(rows), len(page))
        self.assertEqual(rows[0].key, "TEA-25")

    def test_a_list_without_end_is_stopped(self):
        self.startPatcher(patch.object(marketplace_api, "MAX_PAGES", 3))
        self.door.will("orders", ok([{"hashed_id": str(n)} for n in range(100)]))
        with self.assertRaises(Unavailable):
            list(self.api._read_orders(self.cartona))
        self.assertEqual(len(self.door.requests), 3)

    def test_a_page_of_another_shape_is_unavailable(self):
        self.door.will("orders", ok({"orders": "none", "next_page": None}))
        with self.assertRaises(Unavailable):
            list(self.api._read_orders(self.rest))

    def test_a_single_order_of_another_shape_is_unavailable(self):
        self.door.will("order", ok([]))
        with self.assertRaises(Unavailable):
            self.api._read_order(self.rest, "N-1")

    def test_a_feed_with_times_is_asked_from_a_time(self):
        self.door.will("orders", ok({"orders": [], "next_page": None}))
        list(self.api._read_orders(self.rest, datetime(2026, 1, 2, tzinfo=timezone.utc)))
        self.assertIn(("since", "2026-01-02T00:00:00Z"), self.door.requests[0].query)

    def test_updates_go_out_in_batches_and_are_answered_one_by_one(self):
        updates = [ProductUpdate(key=str(number)) for number in range(250)]
        self.door.will("update_products", ok([]))
        results = self.api._update_products(self.cartona, updates)
        self.assertEqual([len(request.body) for request in self.door.requests], [100, 100, 50])
        self.assertEqual(len(results), 250)

    def test_an_answer_per_item_tells_which_was_refused(self):
        self.door.will("update_products", ok(payload.loads(sample("rest/neutral_batch_answer"))))
        updates = [ProductUpdate(product_id="P-479"), ProductUpdate(product_id="P-999")]
        results = self.api._update_products(self.rest, updates)
        self.assertEqual([result.ok for result in results], [True, False])
        self.assertEqual(results[1].code, "unknown_product")

    def test_a_status_is_told(self):
        self.door.will("status", ok())
        self.api._update_order_status(self.cartona, "X1", "shipped")
        self.assertEqual(self.door.requests[0].body, {"hashed_id": "X1", "status": "assigned_to_salesman"})

    def test_acknowledgements_are_answered_per_order(self):
        self.door.will("acknowledge", ok([{"hashed_id": "X2", "error": "unknown"}]))
        results = self.api._acknowledge_orders(self.cartona, ["X1", "X2"])
        self.assertEqual([result.ok for result in results], [True, False])

    def test_a_created_product_is_given_back(self):
        self.door.will("create_product", ok({"product": {"id": "P-1", "sku": "TEA"}}, 201))
        listing = self.api._create_product(self.rest, ProductUpdate(key="TEA"))
        self.assertEqual((listing.product_id, listing.key), ("P-1", "TEA"))
