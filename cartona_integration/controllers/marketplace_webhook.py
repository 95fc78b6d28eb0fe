import json
import logging
import math
import time
from collections import Counter

from werkzeug.exceptions import MethodNotAllowed

from odoo import SUPERUSER_ID, http
from odoo.http import request
from odoo.tools import config

from ..exceptions import PayloadError, Unavailable

_logger = logging.getLogger(__name__)


class MachineDispatcher(http.HttpDispatcher):
    """Serves calls of a machine that sends JSON and keeps no session."""

    routing_type = "marketplace"

    def pre_dispatch(self, rule, args):
        """Refuse what Odoo lets through to every route, for browsers that ask other sites' leave."""
        if self.request.httprequest.method == "OPTIONS":
            raise MethodNotAllowed(valid_methods=rule.endpoint.routing["methods"])
        super().pre_dispatch(rule, args)

    def dispatch(self, endpoint, args):
        """Call the endpoint with what the path says: a query and forms are not even read."""
        self.request.params = args
        return self.request.registry["ir.http"]._dispatch(endpoint) if self.request.db else endpoint(**args)

    def post_dispatch(self, response):
        """Leave out the session and what else a browser is told."""
        http.root.set_csp(response)


MAX_BODY = 1024 * 1024  # bytes
DOOR = {
    "type": MachineDispatcher.routing_type,
    # No user and no session; with the addon in server_wide_modules the door also answers without a database.
    "auth": "none",
    "csrf": False,
    "save_session": False,
    # Later series try a route without a user on a read-only cursor first, and then once more.
    "readonly": False,
}
RETRY = [("Retry-After", "30")]  # seconds
PATH = "/marketplace_integration/webhook"

TEST_RATE = 10  # calls per second to where anybody may ask whether the door is there
BURST = 20  # seconds' worth of calls that may come at once

# Per process, for people who read logs; a row per refused call would be a gift to whoever floods us.
refused = Counter()
# Per process: (database, account) -> (calls it may still make, when that was so).
allowances = {}


def addresses(name):
    """Give a route's spellings: bare or with the account's key, with and without a trailing slash."""
    return [f"{PATH}/{name}{key}{slash}" for key in ("", "/<string:key>") for slash in ("", "/")]


def seconds_to_wait(caller, rate):
    """Take one call off what a caller may make now.

    :param int rate: calls per second that come back to it; 0: it may always
    :return: 0, or after how many seconds it may call
    """
    if not rate:
        return 0
    now = time.monotonic()
    left, then = allowances.get(caller, (rate * BURST, now))
    left = min(rate * BURST, left + max(0, now - then) * rate)
    allowed = left >= 1
    allowances[caller] = left - allowed, now
    return 0 if allowed else math.ceil((1 - left) / rate)


class MarketplaceWebhook(http.Controller):
    """Where marketplaces post. Every caller is a stranger until its credential is checked."""

    @http.route(addresses("orders"), methods=["POST"], max_content_length=MAX_BODY, **DOOR)
    def orders(self, key=None):
        """Take one order, a list, or ``{"orders": [...]}`` in the account's dialect."""
        return self._receive("orders", key)

    @http.route(addresses("status"), methods=["POST"], max_content_length=MAX_BODY, **DOOR)
    def status(self, key=None):
        """Take one status or a list in the account's dialect."""
        return self._receive("status", key)

    @http.route(addresses("test"), methods=["GET"], **DOOR)
    def test(self, key=None):
        """Say that the door is there; to whoever proves to be an account, also whose door it is."""
        if not request.db:
            return self._answer(503, {"error": "unavailable"}, RETRY)
        refusal = self._token_in_the_clear(request.httprequest)
        if refusal:
            return refusal
        account, _door = self._entrance(key)
        # Strangers share theirs: they cannot keep an account's health check waiting.
        pause = seconds_to_wait((request.db, "test", account.id), TEST_RATE)
        if pause:
            return self._too_many(pause)
        return self._answer(200, {"status": "ok", **({"account": account.name} if account else {})})

    def _receive(self, topic, key):
        refusal = self._form_error(request.httprequest) or self._token_in_the_clear(request.httprequest)
        if refusal:
            return refusal
        if not request.db:
            return self._answer(503, {"error": "unavailable"}, RETRY)
        account, door = self._entrance(key)
        if not account:
            refused[topic] += 1
            _logger.info("Marketplace webhook %s refused, %d so far", topic, refused[topic])
            return self._answer(401, {"error": "unauthorized"})
        pause = seconds_to_wait((request.db, account.id), door.rate)
        if pause:
            return self._too_many(pause)
        try:
            return self._keep(topic, account, door)
        except Unavailable:
            return self._answer(503, {"error": "unavailable"}, RETRY)

    def _keep(self, topic, account, door):
        call = request.httprequest
        raw = call.get_data()
        try:
            messages = door.messages(topic, raw, call.headers)
        except PayloadError as error:
            account._log_unreadable(error)
            return self._answer(400, {"error": "unreadable", "detail": str(error)})
        accepted, duplicate = account._receive(messages)
        # Not at level INFO: the server logs the call, and the inbox shows what it brought.
        _logger.debug(
            "Marketplace account %d: webhook %s, %d bytes, %d accepted, %d duplicate",
            account.id,
            topic,
            len(raw),
            accepted,
            duplicate,
        )
        return self._answer(200, {"accepted": accepted, "duplicate": duplicate})

    def _form_error(self, call):
        """Refuse before reading what cannot be a message: no length, too long, not JSON."""
        if call.headers.get("Transfer-Encoding") or call.content_length is None:
            return self._answer(411, {"error": "length required"})
        if call.content_length > MAX_BODY:
            return self._answer(413, {"error": "too large"})
        if call.mimetype != "application/json" or call.headers.get("Content-Encoding"):
            return self._answer(415, {"error": "application/json expected"})
        return None

    def _token_in_the_clear(self, call):
        """Refuse a token that came unencrypted: whoever saw it on its way can use it. A signature shows none.

        Only behind a proxy of ours it is known how a call came.
        """
        if not config["proxy_mode"] or call.headers.get("X-Forwarded-Proto") != "http":
            return None
        if not call.headers.get("Authorization"):
            return None
        refused["http"] += 1
        _logger.info("Marketplace webhook: token came over http, refused, %d so far", refused["http"])
        return self._answer(403, {"error": "https required: the token came over http"})

    def _entrance(self, key):
        """Find whom the call proves to be. Superuser: strangers have no user.

        :return: (account, its :class:`Entrance`); no account for strangers
        """
        accounts, call = request.env["marketplace.config"].with_user(SUPERUSER_ID), request.httprequest
        # Kept by the request: after a conflict Odoo calls us again, and the body can be read only once.
        door = accounts._authenticate_webhook(key, call.headers, call.get_data)
        return accounts.browse(door and door.account_id), door

    def _too_many(self, pause):
        return self._answer(429, {"error": "too many"}, [("Retry-After", str(pause))])

    def _answer(self, status, data, headers=()):
        body = json.dumps(data, ensure_ascii=False)
        return request.make_response(body, [("Content-Type", "application/json"), *headers], status=status)
