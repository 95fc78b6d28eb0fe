"""Bodies nobody should send: no answer of 500 or more, no row of a stranger, the server lives."""

import copy
import json
import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from ..system.conftest import sample
from ..system.harness import wait_for
from .common import SEED, size

BODIES = size("BODIES", 10_000)
SENDERS = 8
HUGE = ("1e999", "-1e308", "9" * 400, "9" * 5000, "1e-400", "NaN", "-Infinity", "0.1e400000", "-0")
ODD = (
    None,
    True,
    False,
    0,
    -1,
    10**30,
    1e300,
    0.1,
    "",
    "x",
    " ",
    "\u0000",
    "\u202e",
    "أ" * 300,
    [],
    {},
    [[]],
    {"a": 1},
    "1,5",
    "٣",
    "2026-13-45",
    "0000-00-00",
    "9999-12-31T23:59:59Z",
    "x" * 70_000,
)
BAD_BYTES = (
    b"\xff",
    b"\xc0\xaf",
    b"\x00",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\udc00x",
    b"\\u0000",
    b"\xef\xbb\xbf",
)
TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=utf-16",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "APPLICATION/JSON",
    "a" * 4000,
)
LENGTHS = ("-1", "x", "", "99999999999", "1e3", "0", "5 5")
STRANGERS = (
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "Basic {token}",
    "bearer\t{token}x",
    "Bearer {token} ,x",
    "Bearer None",
    "Bearer False",
    "Bearer \xff\xfe",
    "Bearer " + "x" * 7000,
)


def paths(value, path=()):
    """Yield the path of everything in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from paths(child, (*path, key))


def replaced(value, path, new):
    """Give the value with another one at a path."""
    if not path:
        return new
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return value


class Mutator:
    """Makes a bad request of a good message, the same one for the same seed."""

    def __init__(self, seed, number):
        self.random = random.Random(f"{seed}:{number}")
        self.number = number

    def body(self, message):
        """Give the bytes of a body that is bad in one or two ways."""
        ways = (
            self.swapped,
            self.huge,
            self.nested,
            self.doubled,
            self.flipped,
            self.truncated,
            self.garbled,
            self.emptied,
            self.utf16,
            self.renamed,
        )
        body = self.random.choice(ways)(message)
        if self.random.random() < 0.2:
            body = self.flip(body)
        return body

    def dump(self, value):
        return json.dumps(value, ensure_ascii=self.random.random() < 0.5).encode(errors="surrogatepass")

    def somewhere(self, message):
        return self.random.choice(list(paths(message)))

    def swapped(self, message):
        for _time in range(self.random.randint(1, 3)):
            message = replaced(message, self.somewhere(message), self.random.choice(ODD))
        return self.dump(message)

    def huge(self, message):
        marked = self.dump(replaced(message, self.somewhere(message), "@@"))
        return marked.replace(b'"@@"', self.random.choice(HUGE).encode())

    def nested(self, message):
        deep = self.random.choice((50, 500, 5_000, 100_000))
        start, end = self.random.choice((("[", "]"), ('{"a":', "}")))
        marked = self.dump(replaced(message, self.somewhere(message), "@@"))
        return marked.replace(b'"@@"', (start * deep + "1" + end * deep).encode())

    def doubled(self, message):
        text = self.dump(message)
        key = self.random.choice([b'"status"', b'"id"', b'"hashed_id"', b'"order_details"', b'"lines"'])
        return text.replace(
            key, key + b":" + self.random.choice([b"1", b'"x"', b"[]", b"null"]) + b"," + key, 1
        )

    def flipped(self, message):
        return self.flip(self.dump(message))

    def flip(self, body):
        body = bytearray(body)
        for _time in range(self.random.randint(1, 5) if body else 0):
            body[self.random.randrange(len(body))] ^= 1 << self.random.randrange(8)
        return bytes(body)

    def truncated(self, message):
        body = self.dump(message)
        return body[: self.random.randrange(len(body))]

    def garbled(self, message):
        body = self.dump(message)
        place = self.random.randrange(len(body))
        return body[:place] + self.random.choice(BAD_BYTES) + body[place:]

    def emptied(self, _message):
        return self.random.choice(
            (b"", b"null", b"[]", b"{}", b"[{}]", b"[null]", b'"x"', b"1", b'{"orders": 1}')
        )

    def utf16(self, message):
        return json.dumps(message).encode(self.random.choice(("utf-16", "utf-16-le", "utf-32")))

    def renamed(self, message):
        """Spell a key wrongly, or leave a member out."""
        text = self.dump(message)
        keys = [path[-1] for path in paths(message) if path and isinstance(path[-1], str)]
        return text.replace(f'"{self.random.choice(keys)}"'.encode(), b'"other"')

    def headers(self, body, credential):
        """Give the head's lines after the first; now and then with a wrong type or length."""
        kind = self.random.choice(TYPES) if self.random.random() < 0.1 else TYPES[0]
        lines = [f"Content-Type: {kind}"]
        if credential is not None:
            lines.append(f"Authorization: {credential}")
        chance = self.random.random()
        if chance < 0.03:
            lines.append(f"Content-Length: {self.random.choice(LENGTHS)}")
        elif chance < 0.05:
            lines.append(f"Content-Length: {self.random.randrange(len(body) + 1)}")
        elif chance < 0.07:
            lines += [
                "Transfer-Encoding: chunked",
                *([f"Content-Length: {len(body)}"] if chance < 0.06 else []),
            ]
        elif chance > 0.02:
            lines.append(f"Content-Length: {len(body)}")
        if self.random.random() < 0.03:
            lines.append(f"Content-Encoding: {self.random.choice(('gzip', 'br', 'x'))}")
        return lines

    def request(self, shop, stranger):
        """Give the bytes of a whole request."""
        address = urlsplit(shop.address)
        topic = self.random.choice(("orders", "orders", "orders", "status"))
        path = address.path.replace("/webhook/orders/", f"/webhook/{topic}/")
        credential = f"Bearer {shop.hook}"
        if stranger:
            token = self.random.choice(STRANGERS)
            credential = token and token.format(token=shop.hook)
            if self.random.random() < 0.2:
                path = path.rsplit("/", 1)[0]
        body = self.body(message(shop.dialect, self.number, self.random))
        head = [f"POST {path} HTTP/1.1", f"Host: {address.netloc}", "Connection: close"]
        lines = "\r\n".join([*head, *self.headers(body, credential), "", ""])
        return lines.encode("latin-1", errors="replace") + body


NAMES = {
    "cartona": (
        "order_pending",
        "order_offer_two_lines",
        "order_sparse_nulls",
        "order_installment_credit_topup",
        "order_cancelled_by_retailer",
        "order_delivered_by_cartona",
    ),
    "rest": (
        "neutral_order_created",
        "neutral_order_updated",
        "neutral_order_cancelled",
        "neutral_order_status",
        "neutral_ping",
    ),
}


def message(dialect, number, rng):
    """Give a good message about an order of its own."""
    found = sample(f"{dialect}/{rng.choice(NAMES[dialect])}")
    text = json.dumps(found)
    for known in ("kT3vQx9a", "mB7wLz2c", "sW1kHf6g", "pR5nYd8e", "4471902836", "N-88123"):
        text = text.replace(f'"{known}"', f'"M{number}"')
    return json.loads(text)


def exchange(address, request):
    """Send bytes and give the status that came back; None where the connection just ended."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(64)
        except OSError:
            return None
    return int(answer.split()[1]) if answer.startswith(b"HTTP/") else None


def test_nothing_that_is_posted_brings_the_door_down(open_shop, products, server, show):
    dialects = ("cartona", "rest")
    known = {dialect: open_shop(dialect, auto_pull_orders=False) for dialect in dialects}
    foreign = {dialect: open_shop(dialect, auto_pull_orders=False) for dialect in dialects}
    errors, pid = len(server.errors()), server.process.pid
    bad = {}

    def play(number):
        stranger, dialect = number % 2 == 0, dialects[number // 2 % 2]
        shop = (foreign if stranger else known)[dialect]
        status = exchange(shop.address, Mutator(SEED, number).request(shop, stranger))
        if status and status >= 500:
            bad[number] = status
        return stranger, status

    with ThreadPoolExecutor(SENDERS) as pool:
        answers = Counter(pool.map(play, range(BODIES)))
    shown = {
        who: {status: answers[stranger, status] for is_stranger, status in answers if is_stranger == stranger}
        for who, stranger in (("known", False), ("strangers", True))
    }
    for shop in known.values():
        wait_for(lambda shop=shop: all(state != "new" for [state] in shop.events()), 300, "all is looked at")
    states = Counter(state for shop in known.values() for [state] in shop.events())
    show(f"{BODIES} mutated bodies (seed {SEED}): answers {shown}, messages {dict(states)}")
    assert not bad, f"requests answered with 500 or more, by number: {bad}"
    assert not any(shop.events() for shop in foreign.values()), "a stranger left a row"
    assert not any(status and status < 300 for stranger, status in answers if stranger)
    assert server.process.pid == pid and server.answers()
    assert server.errors()[errors:] == []
    failed = [
        row for shop in known.values() for row in shop.events("state, id, reason") if row[0] == "failed"
    ]
    assert not failed, "a message was too much for the import"
