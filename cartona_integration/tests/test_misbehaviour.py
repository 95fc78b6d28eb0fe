import ssl
import tempfile
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from odoo import fields

from ..dialects.words import CANCELLED, LineChange, ProductUpdate
from ..exceptions import (
    AnswerTooLarge,
    CredentialsRefused,
    MarketplaceError,
    Refused,
    TooManyCalls,
    Unavailable,
)
from ..models import marketplace_api
from .test_api import DoorCase


def says(body=b"[]", status=200, **headers):
    return lambda handler: handler.say(body, status, **headers)


def hang_up(handler, *said):
    for text in said:
        handler.wfile.write(text)
    handler.close_connection = True


def say_nothing(handler):
    handler.server.over.wait(5)


# What any call means that is answered so.
ANYWHERE = {
    "301": (says(b"", 301, Location="/elsewhere"), Unavailable),
    "302": (says(b"[]", 302, Location="/elsewhere"), Unavailable),
    "304": (says(b"", 304), Unavailable),
    "307": (says(b"", 307, Location="/elsewhere"), Unavailable),
    "400": (says(b'{"error": "no"}', 400), Refused),
    "400 that is no JSON": (says(b"<html>", 400), Refused),
    "401": (says(b"", 401), CredentialsRefused),
    "403": (says(b"<html>", 403), CredentialsRefused),
    "404": (says(b"", 404), Refused),
    "408": (says(b"", 408), Unavailable),
    "409": (says(b'{"message": "no"}', 409), Refused),
    "422": (says(b'{"errors": ["no"]}', 422), Refused),
    "425": (says(b"", 425), Unavailable),
    "429": (says(b"", 429, Retry_After="7"), TooManyCalls),
    "500": (says(b'{"error": "oops"}', 500), Unavailable),
    "502": (says(b"<html>", 502), Unavailable),
    "503": (says(b"", 503, Retry_After="soon"), Unavailable),
    "504": (says(b"", 504), Unavailable),
    "an error inside": (says(b'{"error": "no"}'), Refused),
    "a page for people": (says(b"<html>Maintenance</html>"), Unavailable),
    "half of it": (says(b'[{"id": 1'), Unavailable),
    "another encoding": (says(b'["\xff\xfe"]'), Unavailable),
    "compressed unasked": (says(b"\x1f\x8b\x00\x00", Content_Encoding="gzip"), Unavailable),
    "nested without end": (says(b"[" * 100_000), AnswerTooLarge),
    "too large": (says(b"[" + b" " * 300_000 + b"]"), AnswerTooLarge),
    "hung up": (hang_up, Unavailable),
    "cut": (lambda handler: hang_up(handler, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"), Unavailable),
    "cut between chunks": (
        lambda handler: hang_up(handler, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n"),
        Unavailable,
    ),
    "no HTTP": (lambda handler: hang_up(handler, b"SSH-2.0-OpenSSH\r\n"), Unavailable),
    "silent": (say_nothing, Unavailable),
}
# JSON, and not what was asked for.
SHAPES = {
    "nothing": says(b""),
    "204": says(b"", 204, Content_Length=None),
    "null": says(b"null"),
    "a number": says(b"42"),
    "a text": says(b'"ok"'),
    "an empty object": says(b"{}"),
    "another object": says(b'{"orders": 7, "products": "x", "results": null}'),
}


class TestMisbehaviour(DoorCase):
    """Each way to answer wrongly, to each kind of call: what it means is decided at one door."""

    def operations(self, account):
        """Give {name: function that makes the call}."""
        door, dialect = self.env["marketplace.api"], account._dialect()
        update = ProductUpdate(key="A", price=Decimal(1), quantity=Decimal(1), unlimited=False)
        calls = {
            "orders": lambda: door._read_orders_page(account, dialect.orders_request(None)),
            "products": lambda: door._read_products_page(account, dialect.products_request()),
            "update_products": lambda: door._update_products(account, [update]),
            "status": lambda: door._update_order_status(account, "N1", CANCELLED, reason="out_of_stock"),
            "lines": lambda: door._update_order_lines(
                account, "N1", (LineChange(1, id="1", quantity=Decimal(2)),), "key"
            ),
        }
        if dialect.can_acknowledge:
            calls["acknowledge"] = lambda: door._acknowledge_orders(account, ["N1"])
        return calls

    def judged(self, call, behave):
        """Give the class of what a call raises, or its result."""
        self.server.behave = behave
        try:
            return call()
        except MarketplaceError as error:
            return type(error)

    def test_what_any_call_means_that_is_answered_wrongly(self):
        (self.cartona | self.rest).timeout = 1
        self.startPatcher(patch.object(marketplace_api, "MAX_ANSWER", 200_000))
        self.startPatcher(patch.object(marketplace_api, "CONNECT_TIMEOUT", 0.2))
        for account in (self.cartona, self.rest):
            for operation, call in self.operations(account).items():
                for name, (behave, expected) in ANYWHERE.items():
                    with self.subTest(dialect=account.dialect, operation=operation, answer=name):
                        self.assertIs(self.judged(call, behave), expected)

    def test_a_list_of_another_shape_is_no_empty_list(self):
        for account in (self.cartona, self.rest):
            for operation in ("orders", "products"):
                for name, behave in SHAPES.items():
                    with self.subTest(dialect=account.dialect, operation=operation, answer=name):
                        self.assertIs(self.judged(self.operations(account)[operation], behave), Unavailable)

    def list_orders(self, rows):
        """Let cartona's list of orders be these, page by page."""

        def page(handler):
            query = dict(parse_qsl(urlsplit(handler.path).query))
            size, number = int(query["per_page"]), int(query["page"])
            handler.say(f"[{', '.join(rows[(number - 1) * size : number * size])}]".encode())

        self.startPatcher(patch.object(marketplace_api, "MAX_ANSWER", 60_000))
        self.server.behave = page

    def read_orders(self):
        door, request, found = self.env["marketplace.api"], self.cartona._dialect().orders_request(), []
        while request:
            page = door._read_orders_page(self.cartona, request)
            request = page.next
            found += page.rows
        return found

    def rows(self, count, size=0):
        return [f'{{"hashed_id": "K{number}", "note": "{"x" * size}"}}' for number in range(count)]

    def test_orders_too_large_are_left_out_and_a_person_is_told(self):
        for large in ([37], [36, 37, 38], [9], [0, 1], [39], []):
            rows = self.rows(40)
            for number in large:
                rows[number] = self.rows(1, 70_000)[0]
            self.list_orders(rows)
            found = [message.order_id for message in self.read_orders() if message.order_id]
            self.assertEqual(found, [f"K{number}" for number in range(40) if number not in large])
            self.server.seen.clear()

    def test_a_list_of_which_nothing_can_be_read_is_no_list(self):
        self.list_orders(self.rows(40, 70_000))
        with self.assertRaises(AnswerTooLarge):
            self.read_orders()
        self.assertLess(len(self.server.seen), 10)

    def test_one_order_that_cannot_be_read_stops_no_other(self):
        deep = '{{"hashed_id": "{name}", "note": {start}{end}}}'
        rows = self.rows(6)
        for number, levels in ((1, 300), (3, 50_000)):
            rows[number] = deep.format(name=f"K{number}", start="[" * levels, end="]" * levels)
        rows[5] = self.rows(1, 70_000)[0]
        self.startPatcher(patch.object(type(self.cartona._dialect()), "can_acknowledge", False))
        self.list_orders(rows)
        for _time in range(2):
            self.run_job(self.cartona, "pull")
        self.run_job(self.cartona, "import")
        self.assertEqual(
            sorted(event.external_order_id or "" for event in self.events(self.cartona)),
            ["", "K0", "K1", "K2", "K4"],
        )
        told = self.events(self.cartona).filtered(lambda event: not event.external_order_id)
        self.assertIn(f"order too large, left out {fields.Date.today()}", told.reason)
        self.assertIn("at most 32 levels", self.events(order_id="K1").reason)
        self.assertTrue(self.cartona._state("pull").last_run, "the list was read to its end")

    def test_a_page_too_large_is_read_in_parts(self):
        self.list_orders(self.rows(100, 4000))
        pages = list(self.env["marketplace.api"]._read_orders(self.cartona))
        found = [message.order_id for page in pages for message in page.rows]
        self.assertEqual(found, [f"K{number}" for number in range(100)], "each once, in their order")
        # Twice it was too large: 100 of them, 50, 25; then 5 at a time, and an empty page is the end.
        self.assertEqual(len(self.server.seen), 3 + 21)

    def test_what_has_no_row_per_listing_took_none_where_rows_are_promised(self):
        for name, behave in SHAPES.items():
            with self.subTest(answer=name):
                self.assertIs(self.judged(self.operations(self.rest)["update_products"], behave), Unavailable)

    def test_a_certificate_nobody_vouches_for_is_unavailable(self):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "pem").write_bytes(
                certificate.public_bytes(pem)
                + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(Path(folder, "pem"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.rest.api_base_url = self.server.address.replace("http://", "https://")
        self.assertUnavailable("No answer (SSLError)")
        self.assertFalse(self.server.seen)
