import json
from pathlib import Path
from unittest.mock import patch

from odoo.tests import TransactionCase, tagged

from ..compat import SERIES, STORABLE
from ..dialects.words import Answer
from ..models.marketplace_api import MarketplaceApi
from ..models.marketplace_traffic import MarketplaceConfig
from ..models.marketplace_work_mixin import MarketplaceWorkMixin

SAMPLES = Path(__file__).parent / "samples"


def sample(name):
    """Read one of the sample files.

    :param str name: such as ``cartona/order_pending``
    :return: bytes, as a marketplace would post them
    """
    return (SAMPLES / f"{name}.json").read_bytes()


class Door:
    """Stands where the network was: answers what a test scripted, records what was asked."""

    def __init__(self):
        self.requests = []
        self.answers = {}

    def will(self, operation, *answers):
        """Script the answers of one operation in order; the last one repeats.

        :param answers: an Answer, an exception to raise, or a function of the request
        """
        self.answers[operation] = list(answers)

    def asked(self, operation):
        """Give the requests made for one operation."""
        return [request for request in self.requests if request.operation == operation]

    def send(self, _account, request):
        """Take the place of ``MarketplaceApi._send``; fails loudly on a call nobody expected."""
        self.requests.append(request)
        script = self.answers.get(request.operation)
        if not script:
            raise AssertionError(f"unexpected call: {request.operation} {request.path}")
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer(request) if callable(answer) else answer


def ok(data=None, status=200, **headers):
    """Give an answer of the marketplace."""
    return Answer(status, data, headers)


@tagged("post_install", "-at_install")
class MarketplaceCase(TransactionCase):
    """Base of the addon's tests: own cursors see test data, no network, jobs run when a test says so."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if SERIES < 19:
            cls.registry.enter_test_mode(cls.cr)
            cls.addClassCleanup(cls.registry.leave_test_mode)
        else:
            cls.registry_enter_test_mode_cls()
        # Of the seconds a test with a few users takes, most went into their passwords.
        cls.startClassPatcher(patch("odoo.addons.base.models.res_users.MIN_ROUNDS", 1))
        # Later series bring it archived.
        cls.env.ref("uom.product_uom_dozen").active = True
        cls.cartona = cls.make_account("cartona")
        cls.rest = cls.make_account("rest")

    def setUp(self):
        super().setUp()
        self.wakeups = []
        self.door = Door()
        self.startPatcher(patch.object(MarketplaceConfig, "_wake", self._note_wakeup()))
        self.startPatcher(patch.object(MarketplaceApi, "_send", self.door.send))
        self.startPatcher(
            patch.object(MarketplaceWorkMixin, "_fail", self._raise_own(MarketplaceWorkMixin._fail))
        )

    def _note_wakeup(self):
        def _wake(accounts, kind):
            for account in accounts:
                if (account.id, kind) not in self.wakeups:
                    self.wakeups.append((account.id, kind))

        return _wake

    def _raise_own(self, fail):
        """Let a test's own failure be one, wherever the addon catches all errors."""

        def _fail(work, error):
            if isinstance(error, AssertionError):
                raise error
            fail(work, error)

        return _fail

    def run_wakeups(self):
        """Run the jobs that were asked for, and those they ask for, as the acting users."""
        while self.wakeups:
            account_id, kind = self.wakeups.pop(0)
            self.run_job(self.env["marketplace.config"].browse(account_id), kind)

    def run_job(self, account, kind):
        """Run one job of an account as the job runner would."""
        self.env.flush_all()
        self.env.invalidate_all()
        actor = account.with_user(account.user_id).with_company(account.company_id)
        getattr(actor, f"_job_{kind}")()
        self.env.invalidate_all()

    @classmethod
    def make_account(cls, dialect, **values):
        """Make a live account, with tokens made of its code."""
        code = values.pop("code", f"{dialect}_test")
        account = cls.env["marketplace.config"].create(
            {
                "name": code,
                "code": code,
                "dialect": dialect,
                "api_base_url": "https://marketplace.test/api",
                "auth_token": f"token-of-{code}",
                "webhook_token": f"hook-of-{code}",
                "calls_per_second": 0,
                **values,
            }
        )
        if not account.currency_id.rate_ids:
            cls.env["res.currency.rate"].create(
                {"currency_id": account.currency_id.id, "rate": 1, "company_id": account.company_id.id}
            )
        account.action_activate()
        return account

    @classmethod
    def make_product(cls, key, **values):
        """Make a storable product with a marketplace key and no taxes."""
        return cls.env["product.product"].create(
            {"name": key or "Keyless", "cartona_id": key, "taxes_id": False, **STORABLE, **values}
        )

    @classmethod
    def make_link(cls, account, product, external_id, **values):
        """Link a listing that was seen."""
        return cls.env["marketplace.product.link"].create(
            {
                "account_id": account.id,
                "product_id": product.id,
                "key": product.cartona_id,
                "external_id": external_id,
                "state": "linked",
                **values,
            }
        )

    def receive(self, account, message, topic="orders", run=True):
        """Let a message arrive by webhook and, unless told otherwise, be processed.

        :param message: bytes, or anything JSON can express
        :return: (accepted, duplicate)
        """
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        caller = account.with_user(self.env.ref("base.user_root"))
        counts = caller._receive(caller._entrance().messages(topic, raw, {}))
        if run:
            self.run_job(account, "import")
        return counts

    def pull(self, account, *pages):
        """Let the account read these pages of its feed, process them and acknowledge."""
        self.door.will("orders", *[page if isinstance(page, Answer) else ok(page) for page in pages])
        self.run_job(account, "pull")
        self.run_job(account, "import")

    def events(self, account=None, order_id=None):
        """Give stored messages, oldest first."""
        domain = [("account_id", "=", account.id)] if account else []
        if order_id:
            domain.append(("external_order_id", "=", order_id))
        return self.env["marketplace.event"].search(domain, order="id")

    def order(self, account, order_id):
        """Give the sale order of a marketplace order."""
        return self.env["sale.order"]._find_marketplace_order(account, order_id)


def rows_of(request):
    """Give the listings a bulk update is about, whatever the dialect."""
    return request.body["items"] if isinstance(request.body, dict) else request.body


def taken(request, refuse=(), silent=()):
    """Answer a bulk update row by row, in the dialect's way.

    :param refuse: listing ids that are refused
    :param silent: listing ids the answer does not mention
    """
    if isinstance(request.body, dict):
        rows = [
            {"id": row["id"], "ok": False, "code": "no", "message": "Not this one"}
            if row["id"] in refuse
            else {"id": row["id"], "ok": True}
            for row in request.body["items"]
            if row["id"] not in silent
        ]
        return ok({"results": rows})
    names = ("supplier_product_id", "internal_product_id")
    rows = [{name: row[name] for name in names if name in row} for row in request.body]
    rows = [row for row in rows if row.get(names[0]) not in silent]
    return ok([row | {"success": row.get(names[0]) not in refuse} for row in rows])


class ListedCase(MarketplaceCase):
    """A product for 100, ten of it in stock, sold on a cartona and a rest account; nothing sent yet."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for account in (cls.cartona, cls.rest):
            account.link_by_key = False
        # Euros or pounds: the accounts' prices shall be the products' own.
        cls.cartona.write({"pricelist_id": False, "currency_id": cls.env.company.currency_id.id})
        cls.stock = cls.rest.warehouse_id.lot_stock_id
        cls.tea = cls.make_product("TEA-25", list_price=100)
        cls.move_in(cls.tea, 10)
        cls.on_rest = cls.make_link(cls.rest, cls.tea, "R1")
        cls.on_cartona = cls.make_link(cls.cartona, cls.tea, "501")
        cls.drop_marks()

    @classmethod
    def move_in(cls, product, quantity, location=None):
        cls.env["stock.quant"]._update_available_quantity(product, location or cls.stock, quantity)

    @classmethod
    def drop_marks(cls):
        cls.cr.flush()
        cls.cr.execute("DELETE FROM marketplace_mark")

    def marks(self, account=None):
        """Give (link, kind) of the marks that were inserted, each once."""
        self.cr.flush()
        self.cr.execute(
            "SELECT DISTINCT link_id, kind FROM marketplace_mark WHERE account_id = ANY(%s)",
            [(account or self.rest | self.cartona).ids],
        )
        links = self.env["marketplace.product.link"]
        return {(links.browse(link_id), kind) for link_id, kind in self.cr.fetchall()}

    def push(self, *answers, account=None):
        """Run the pusher; the marketplace takes everything unless told otherwise."""
        self.cr.flush()
        self.door.will("update_products", *(answers or (taken,)))
        self.run_job(account or self.rest, "push")

    def mark_all(self, account=None):
        self.env["marketplace.mark"]._insert_both(account or self.rest)

    def settle(self, account=None):
        """Let the marketplace show what Odoo says."""
        self.mark_all(account)
        self.push(account=account)
        self.door.requests.clear()

    def sent(self):
        """Give the rows of all bulk updates that were asked for."""
        return [row for request in self.door.asked("update_products") for row in rows_of(request)]
