"""Everything that can go wrong with an answer, one function per kind.

A fault is posted for an account (or all) and an operation (or "*"), strikes a number of times and is
gone. Times and pauses are in seconds.
"""

import gzip
import itertools
import json
import random
import socket
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import urlencode

from flask import Response, copy_current_request_context, request

ALWAYS = -1
MEGABYTE = 1024 * 1024
HTML = "<!doctype html><html><body><h1>We'll be right back</h1></body></html>"


@dataclass
class Fault:
    """One fault to play; ``times`` counts down, ALWAYS stays until it is removed."""

    id: int
    kind: str
    operation: str = "*"
    account: str | None = None
    times: int = 1
    params: dict = field(default_factory=dict)
    removed: threading.Event = None

    def strikes(self, call):
        wanted = self.operation in ("*", call.operation)
        return wanted and (self.account is None or self.account in call.accounts)

    def describe(self):
        names = ("id", "kind", "operation", "account", "times", "params")
        return {name: getattr(self, name) for name in names}

    def hang(self, seconds=60):
        """Wait; removing the faults ends the wait."""
        self.removed.wait(float(self.params.get("seconds", seconds)))


class Faults:
    """The faults waiting to strike, the oldest first."""

    def __init__(self):
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting = []
        self._removed = threading.Event()

    def add(self, kind, **values):
        """Add a fault.

        :raise ValueError: no such kind, or no such params of it
        """
        known = HTTP_ERROR_PARAMS if is_error_status(kind) else PARAMS.get(kind)
        if known is None:
            raise ValueError(f"unknown kind {kind}; known: 400 to 599, {', '.join(PLAYS)}")
        unknown = set(values.get("params", ())) - known
        if unknown:
            raise ValueError(f"unknown params {sorted(unknown)}; known: {sorted(known)}")
        with self._lock:
            fault = Fault(next(self._numbers), kind, removed=self._removed, **values)
            self._waiting.append(fault)
        return fault

    def take(self, call):
        """Give the fault that strikes this call, or None."""
        with self._lock:
            fault = next((fault for fault in self._waiting if fault.strikes(call)), None)
            if fault and fault.times != ALWAYS:
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
        return fault

    def waiting(self):
        with self._lock:
            return [fault.describe() for fault in self._waiting]

    def clear(self):
        """Remove all faults; calls that hang go on."""
        with self._lock:
            self._waiting = []
            self._removed.set()
            self._removed = threading.Event()


class Partial:
    """How single rows of a bulk call fare; rows are named by any of their ids.

    ``refuse``: not applied and refused. ``omit``: applied, but the answer is silent about them.
    ``skip``: neither applied nor answered. ``reorder``: the answer comes shuffled. ``extra``: ids
    answered for although nobody asked.
    """

    def __init__(self, refuse=(), omit=(), skip=(), extra=(), reorder=False, seed=None):
        self.refused, self.omitted, self.skipped = (
            {str(name) for name in names} for names in (refuse, omit, skip)
        )
        self.extra = [str(name) for name in extra]
        self._random = random.Random(seed) if reorder else None

    def order(self, answers):
        """Shuffle; an answer of two or more rows never comes in the order asked."""
        mixed = list(answers)
        while self._random and len(answers) > 1 and mixed == list(answers):
            self._random.shuffle(mixed)
        return mixed


def is_error_status(kind):
    return kind.isdecimal() and 400 <= int(kind) <= 599


def play(fault, call, marketplace, run):
    """Answer a call the way the fault wants it.

    :param run: applies the call and gives the right answer
    """
    if is_error_status(fault.kind):
        return http_error(fault, marketplace)
    return PLAYS[fault.kind](fault, call, run)


def http_error(fault, marketplace):
    """Answer an error without applying the call."""
    said = fault.params.get("message", f"Simulated HTTP {fault.kind}")
    answer = marketplace.refused(int(fault.kind), "simulated", said)
    if "retry_after" in fault.params:
        answer.headers["Retry-After"] = retry_after(fault.params["retry_after"])
    return answer


def retry_after(wanted):
    """Write the header: text and numbers as they are, ``{"date_in": seconds}`` as an HTTP date."""
    if not isinstance(wanted, dict):
        return str(wanted)
    moment = datetime.now(timezone.utc) + timedelta(seconds=wanted["date_in"])
    return format_datetime(moment, usegmt=True)


def timeout_before(fault, _call, _run):
    """Hang, then close; the call never had an effect."""
    fault.hang()
    hang_up()


def timeout_after(fault, _call, run):
    """Apply the call, hang, then close: the caller cannot know that it worked."""
    run()
    fault.hang()
    hang_up()


def late(fault, _call, run):
    """Hang, then close, and apply the call ``after`` seconds later, perhaps behind what came since.

    Removing the faults applies it at once.
    """

    def apply():
        fault.removed.wait(float(fault.params.get("after", 60)))
        run()

    fault.hang()
    threading.Thread(target=copy_current_request_context(apply), daemon=True).start()
    hang_up()


def hang_up():
    """Close the connection without an answer.

    Shut down by hand: after an exception the server would wait for the next request on it.
    """
    connection = request.environ.get("werkzeug.socket")
    if connection:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("simulated")


def cut(fault, _call, run):
    """Promise the whole answer, send ``keep`` bytes of it (default: half) and close."""
    body = run().get_data()
    answer = Response(body[: fault.params.get("keep", len(body) // 2)], mimetype="application/json")
    answer.headers["Content-Length"] = str(len(body))
    return answer


def not_json(fault, _call, _run):
    """Answer like a proxy in front of a marketplace that is down."""
    return Response(HTML, status=fault.params.get("status", 200), mimetype="text/html")


def empty(fault, _call, run):
    """Apply the call and answer nothing."""
    run()
    return Response(b"", status=fault.params.get("status", 200), mimetype="application/json")


def redirect(fault, _call, _run):
    """Point elsewhere, by default to the same address: the journal then shows who follows."""
    again = f"{request.base_url}?{urlencode(request.args.to_dict() | {'followed': '1'})}"
    headers = {"Location": fault.params.get("location", again)}
    return Response(b"", status=fault.params.get("status", 302), headers=headers)


def wrong_shape(fault, _call, run):
    """Apply the call and answer JSON nobody promised: a list for an object, an object for a list."""
    data = run().get_json()
    other = {"data": data} if isinstance(data, list) else [data]
    return Response(json.dumps(fault.params.get("body", other)), mimetype="application/json")


def slow(fault, _call, run):
    """Answer right, but late: after ``seconds``, or by chance up to ``up_to`` of them."""
    fault.hang(random.uniform(0, float(fault.params.get("up_to", 1))))
    return run()


def drip(fault, _call, run):
    """Send the right answer byte by byte, ``pause`` seconds apart."""
    body, pause = run().get_data(), float(fault.params.get("pause", 0.1))

    def bytewise():
        for index in range(len(body)):
            fault.removed.wait(pause)
            yield body[index : index + 1]

    headers = {"Content-Length": str(len(body))}
    return Response(bytewise(), mimetype="application/json", headers=headers)


def huge(fault, _call, run):
    """Send ``megabytes`` of blanks before the right answer; ``gzip`` makes them a small bomb."""
    body, megabytes = run().get_data(), int(fault.params.get("megabytes", 8))
    if fault.params.get("gzip"):
        packed = gzip.compress(b" " * (megabytes * MEGABYTE) + body)
        return Response(packed, mimetype="application/json", headers={"Content-Encoding": "gzip"})
    blanks = itertools.repeat(b" " * MEGABYTE, megabytes)
    headers = {"Content-Length": str(megabytes * MEGABYTE + len(body))}
    return Response(itertools.chain(blanks, [body]), mimetype="application/json", headers=headers)


def partial(fault, call, run):
    """Let single rows fare differently, see :class:`Partial`."""
    return run(Partial(**fault.params))


PLAYS = {
    "timeout_before": timeout_before,
    "timeout_after": timeout_after,
    "late": late,
    "slow": slow,
    "cut": cut,
    "not_json": not_json,
    "empty": empty,
    "redirect": redirect,
    "wrong_shape": wrong_shape,
    "drip": drip,
    "huge": huge,
    "partial": partial,
}

# what params a kind knows: a misspelt one should not make a test pass
HTTP_ERROR_PARAMS = {"message", "retry_after"}
PARAMS = {
    "timeout_before": {"seconds"},
    "timeout_after": {"seconds"},
    "late": {"seconds", "after"},
    "slow": {"seconds", "up_to"},
    "cut": {"keep"},
    "not_json": {"status"},
    "empty": {"status"},
    "redirect": {"status", "location"},
    "wrong_shape": {"body"},
    "drip": {"pause"},
    "huge": {"megabytes", "gzip"},
    "partial": {"refuse", "omit", "skip", "extra", "reorder", "seed"},
}
