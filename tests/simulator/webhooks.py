"""Pushes messages to the sellers' webhooks, again and again until they are taken.

Each delivery is retried on its own, so that one that fails does not hold up the next. All times are in
seconds, those in the ledger in milliseconds.
"""

import heapq
import itertools
import json
import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone

import requests

from .state import stamp

_logger = logging.getLogger(__name__)

PATH = "/marketplace_integration/webhook"
WORKERS = 64
MAX_ATTEMPTS_KEPT = 200_000
#: what account.webhook and a push may change
RETRY = {
    "timeout": 10.0,  # of one attempt
    "first_pause": 1.0,
    "growth": 2.0,
    "longest_pause": 60.0,
    "deadline": 3600.0,  # after the first attempt a delivery is given up
}


@dataclass(eq=False)
class Push:
    """Deliveries that were asked for together and share a limit of concurrent calls."""

    id: int
    account: str
    topic: str
    webhook: dict  # base_url, key, token and RETRY
    concurrency: int
    deliveries: int = 0
    left: int = 0
    running: int = 0
    held: deque = field(default_factory=deque)  # due, but the limit is reached
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self):
        return f"{self.webhook['base_url'].rstrip('/')}{PATH}/{self.topic}/{self.webhook['key']}"


@dataclass(eq=False)
class Delivery:
    """One message on its way. Its body stays as it was when it was pushed."""

    push: Push
    order_id: str | None
    body: bytes
    due: float  # monotonic
    first_due: float
    attempts: int = 0


def mixed(messages, duplicates=0, reorder=False, seed=None):
    """Repeat and shuffle messages as a network would.

    :param float duplicates: extra copies of each; the fraction is a probability
    :param bool reorder: shuffle all, copies included
    """
    mixer = random.Random(seed)
    result = []
    for message in messages:
        result += [message] * (1 + int(duplicates) + (mixer.random() < duplicates % 1))
    if reorder:
        mixer.shuffle(result)
    return result


class Webhooks:
    """The ledger, and the threads that push."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._random = random.Random()
        self._workers = 0
        self._forget()

    def _forget(self):
        self._queue = []  # heap of (due, number, delivery)
        self._attempts = deque(maxlen=MAX_ATTEMPTS_KEPT)
        self._acknowledged, self._given_up = [], []
        self._pushes = set()  # those not done

    def reset(self):
        """Drop what waits and empty the ledger; an attempt under way ends unseen."""
        with self._changed:
            for push in self._pushes:
                push.done.set()
            self._forget()

    def push(self, account, topic, messages, concurrency=4, rate=None, **how):
        """Send messages in the background.

        :param messages: list of (order id, JSON-serializable body)
        :param int concurrency: calls at a time, at most WORKERS
        :param float rate: messages per second, None: as fast as ``concurrency`` lets them
        :param how: what RETRY and :func:`mixed` take
        :return: Push
        """
        retry = {name: how.pop(name) for name in RETRY if name in how}
        chosen = mixed(messages, **how)
        webhook = RETRY | account.webhook | retry
        push = Push(next(self._numbers), account.code, topic, webhook, int(concurrency))
        push.deliveries = push.left = len(chosen)
        if not chosen:
            push.done.set()
            return push
        start = time.monotonic()
        with self._changed:
            self._pushes.add(push)
            for index, (order_id, body) in enumerate(chosen):
                due = start + index / rate if rate else start
                raw = json.dumps(body, ensure_ascii=False).encode()
                self._enqueue(Delivery(push, order_id, raw, due, due))
            self._hire(min(WORKERS, sum(push.left for push in self._pushes)))
            self._changed.notify_all()
        return push

    def ledger(self, account=None, since_id=0):
        """Describe what was tried, taken and given up."""
        with self._changed:
            waiting = sum(push.left for push in self._pushes if account in (None, push.account))
            return {
                "attempts": [row for row in self._of(self._attempts, account) if row["id"] > since_id],
                "acknowledged": self._of(self._acknowledged, account),
                "given_up": self._of(self._given_up, account),
                "waiting": waiting,
            }

    @staticmethod
    def _of(rows, account):
        return [row for row in rows if account in (None, row["account"])]

    def _enqueue(self, delivery):
        heapq.heappush(self._queue, (delivery.due, next(self._numbers), delivery))

    def _hire(self, wanted):
        """Start workers up to ``wanted``; they stay."""
        while self._workers < wanted:
            self._workers += 1
            threading.Thread(target=self._work, name=f"webhook-{self._workers}", daemon=True).start()

    def _work(self):
        session = requests.Session()
        session.trust_env = False
        while True:
            delivery = self._take()
            started, at = time.monotonic(), datetime.now(timezone.utc)
            status, said = self._send(session, delivery)
            self._note(delivery, at, status, said, (time.monotonic() - started) * 1000)

    def _take(self):
        """Wait for a delivery that is due and whose push has a call to spare."""
        with self._changed:
            while True:
                now = time.monotonic()
                if not self._queue or self._queue[0][0] > now:
                    self._changed.wait(self._queue[0][0] - now if self._queue else None)
                    continue
                delivery = heapq.heappop(self._queue)[2]
                push = delivery.push
                if push.running < push.concurrency:
                    push.running += 1
                    return delivery
                push.held.append(delivery)

    def _send(self, session, delivery):
        """Make one attempt.

        :return: tuple of the HTTP status or None, and what was said
        """
        webhook = delivery.push.webhook
        headers = {"Authorization": f"Bearer {webhook['token']}", "Content-Type": "application/json"}
        try:
            answer = session.post(
                delivery.push.url, data=delivery.body, headers=headers, timeout=webhook["timeout"],
                allow_redirects=False,
            )  # fmt: skip
        except (requests.RequestException, OSError) as error:
            return None, type(error).__name__
        return answer.status_code, answer.text[:200]

    def _note(self, delivery, at, status, said, ms):
        """Enter an attempt into the ledger and decide what becomes of the delivery."""
        push = delivery.push
        delivery.attempts += 1
        row = {
            "id": next(self._numbers),
            "at": stamp(at),
            "account": push.account,
            "push": push.id,
            "topic": push.topic,
            "order_id": delivery.order_id,
            "attempt": delivery.attempts,
            "status": status,
            "ms": round(ms, 1),
            "answer": said,
        }
        with self._changed:
            if push not in self._pushes:
                return  # everything was reset meanwhile
            push.running -= 1
            if push.held:
                self._enqueue(push.held.popleft())
            self._attempts.append(row)
            self._decide(delivery, row)
            self._changed.notify_all()

    def _decide(self, delivery, row):
        push, now = delivery.push, time.monotonic()
        pause = self._pause(push.webhook, delivery.attempts)
        if row["status"] and 200 <= row["status"] < 300:
            waited = round((now - delivery.first_due) * 1000, 1)
            self._acknowledged.append(row | {"since_due_ms": waited})
        elif now + pause < delivery.first_due + push.webhook["deadline"]:
            delivery.due = now + pause
            self._enqueue(delivery)
            return
        else:
            _logger.warning("Order %s was given up after %d attempts", delivery.order_id, delivery.attempts)
            self._given_up.append(row)
        push.left -= 1
        if not push.left:
            push.done.set()
            self._pushes.remove(push)

    def _pause(self, webhook, attempts):
        """Give a growing pause; jitter keeps many deliveries from coming back together."""
        pause = min(webhook["longest_pause"], webhook["first_pause"] * webhook["growth"] ** (attempts - 1))
        return pause * self._random.uniform(0.5, 1)
