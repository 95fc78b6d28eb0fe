"""Webhooks to compare with. The addon is server-wide only, so that it runs in any database."""

from uuid import uuid4

from odoo import SUPERUSER_ID, http
from odoo.http import request

from odoo.addons.cartona_integration.controllers.marketplace_webhook import MarketplaceWebhook

# As anybody would write a webhook.
PLAIN = {"type": "http", "auth": "none", "csrf": False, "save_session": False, "readonly": False}


class CountedWebhook(MarketplaceWebhook):
    """Tells how many SQL statements its transaction took; a constant header for all that is compared."""

    def _answer(self, status, data, headers=()):
        answer = super()._answer(status, data, headers)
        answer.headers["X-Sql"] = str(request.env.cr.sql_log_count) if request.db else "0"
        return answer


class Bench(http.Controller):
    @http.route("/bench/insert", methods=["POST"], **PLAIN)
    def insert(self):
        """Keep the message and no more: what any door that answers after the commit has to do."""
        raw = request.httprequest.get_data()
        with request.env.cr.savepoint(flush=False):
            request.env.cr.execute(
                "INSERT INTO bench_message (key, body) VALUES (%s, %s)", [str(uuid4()), raw.decode()]
            )
        return self._answer()

    @http.route("/bench/orm/<int:account_id>", methods=["POST"], **PLAIN)
    def orm(self, account_id):
        """Keep the message by the ORM, and add a job of its own."""
        account = request.env["marketplace.config"].with_user(SUPERUSER_ID).browse(account_id)
        event = account.env["marketplace.event"].create(
            {
                "account_id": account_id,
                "topic": "orders",
                "origin": "webhook",
                "delivery_id": str(uuid4()),
                "digest": "",
                "payload": request.httprequest.get_data().decode(),
                "state": "ignored",
            }
        )
        # Far away: only what the request does is compared.
        account.with_delay(eta=86400, description=str(event.id))._job_import()
        return self._answer()

    def _answer(self):
        headers = [("Content-Type", "application/json"), ("X-Sql", str(request.env.cr.sql_log_count))]
        return request.make_response('{"accepted": 1, "duplicate": 0}', headers)
