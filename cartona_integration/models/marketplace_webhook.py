import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg2 import OperationalError
from psycopg2.errors import ReadOnlySqlTransaction, SerializationFailure

from odoo import _, api, fields, models, tools
from odoo.exceptions import ValidationError

from .. import dialects
from ..dialects import base, payload
from ..dialects.signature import WINDOW, HmacBody, StandardWebhooks, is_proof
from ..dialects.words import OTHER
from ..exceptions import PayloadError, Unavailable, _lt
from .indexes import ensure_indexes
from .marketplace_config_connection import MASK
from .marketplace_traffic import without_transaction

# How long a secret still counts after another took its place.
ROTATION = timedelta(days=7)
SECRET_BYTES = 32
# Seconds. Less, and clocks that are well set are too far apart; more, and a captured call counts for long.
MIN_WINDOW, MAX_WINDOW = 60, 900
# Classes of SQLSTATE: connection lost, read-only, no space or memory, shut down.
NOT_NOW = {"08", "25", "53", "57"}
GONE = "08006"  # what a connection that is gone does not say itself
# Fields of an account its entrance is made of.
ENTRANCE = (
    "webhook_key", "dialect", "webhook_rate", "webhook_window", "webhook_token_digest", "webhook_signing",
    "webhook_signature_header", "webhook_signature_encoding", "webhook_secret_current",
    "webhook_secret_previous", "webhook_previous_until",
)  # fmt: skip
# What tells whether there is one.
OPEN = ("active", "state")
ENTRANCES = (
    f"SELECT id, {', '.join(ENTRANCE)} FROM marketplace_config WHERE active AND state != 'draft' ORDER BY id"
)


@dataclass(frozen=True)
class Entrance:
    """What the webhook needs to know of an account.

    Nothing is read of the account's record itself: by the ORM that takes longer than storing the message.
    """

    account_id: int
    key: str = field(repr=False)  # in the path
    rate: int  # calls per second
    window: int  # seconds a signed moment may lie from our clock
    dialect: base.Dialect
    token_digest: str = field(repr=False)
    signature: StandardWebhooks | HmacBody
    secret: str = field(repr=False)
    previous_secret: str = field(default="", repr=False)
    previous_until: datetime | None = None  # naive UTC

    def secrets(self):
        """Give the secrets that count now."""
        is_rotating = self.previous_until and self.previous_until > fields.Datetime.now()
        return tuple(filter(None, (self.secret, is_rotating and self.previous_secret)))

    def keys(self):
        """Give the keys that count now.

        :raise ValueError: one of them is none
        """
        return [self.signature.key(secret) for secret in self.secrets()]

    def proof(self, token_digest, headers, read):
        """Tell whether a call carries a credential of the account; a signature that came must be right.

        :return: (whether, by how many seconds the clock of who signed it is ahead, None where nobody did)
        """
        try:
            keys = self.keys()
        except ValueError:
            return False, None
        if keys and self.signature.is_presented(headers):
            lead = self.signature.lead(headers, read(), keys, time.time())
            return is_proof(lead, self.window), lead
        return hmac.compare_digest((self.token_digest or "none").encode(), token_digest.encode()), None

    def messages(self, topic, raw, headers):
        """Cut the body of a proven call into messages.

        :param str topic: ``orders`` or ``status``
        :param bytes raw: the body as it came
        :return: tuple of :class:`~..dialects.words.Message`
        :raise PayloadError: nothing in it can be attributed to an order
        """
        messages = self.dialect.split(topic, payload.loads(raw))
        if messages and not any(message.order_id or message.topic == OTHER for message in messages):
            raise PayloadError("/", _lt("an order id"), _lt("none"))
        return base.delivered(self._delivery_id(headers), messages)

    def _delivery_id(self, headers):
        """Give the id the call was signed with, where it names the delivery for ever."""
        if self.dialect.signed_id_is_unique and self.secrets() and self.signature.is_presented(headers):
            return self.signature.delivery_id(headers)
        return None


# What a call to no account is compared with.
NOWHERE = Entrance(
    account_id=0,
    key="",
    rate=0,
    window=WINDOW,
    dialect=None,
    token_digest="",
    signature=StandardWebhooks(),
    secret="whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
)


class MarketplaceConfig(models.Model):
    """The webhook's entrance: how a caller proves to be the account's marketplace, and what it leaves."""

    _inherit = "marketplace.config"

    webhook_key = fields.Char(
        default=lambda self: secrets.token_urlsafe(16),
        required=True,
        readonly=True,
        copy=False,
        help="Part of the webhook address. It finds the account; it proves nothing.",
    )
    webhook_token = fields.Char(
        compute="_compute_webhook_token",
        inverse="_inverse_webhook_token",
        copy=False,
        groups="cartona_integration.group_marketplace_manager",
        help="The sender proves itself with 'Authorization: Bearer <token>'. Only its digest is kept.",
    )
    webhook_token_digest = fields.Char(copy=False, groups=fields.NO_ACCESS)
    webhook_url = fields.Char(compute="_compute_webhook_url")
    webhook_signing = fields.Selection(
        [("standard", "Standard Webhooks"), ("body", "HMAC of the body")],
        string="Signature",
        default="standard",
        required=True,
        help="Standard Webhooks: headers webhook-id, webhook-timestamp and webhook-signature; old calls are "
        "refused. HMAC of the body: SHA-256 in a header; a captured call can be repeated and is then "
        "recognised as known.",
    )
    webhook_window = fields.Integer(
        string="Signed Calls Count For",
        default=WINDOW,
        help="Seconds, 60 to 900. A call that was signed longer ago, or so far in the future, is refused.",
    )
    webhook_signature_header = fields.Char(string="Signature Header", default="X-Signature")
    webhook_signature_encoding = fields.Selection(
        [("hex", "Hexadecimal"), ("base64", "Base64")], string="Written As", default="hex"
    )
    webhook_secret = fields.Char(
        string="Signing Secret",
        compute="_compute_webhook_secret",
        inverse="_inverse_webhook_secret",
        copy=False,
        groups="cartona_integration.group_marketplace_manager",
        help="Shared with the sender, which signs every call with it. Write-only: shown masked once saved. "
        "The one before it counts for seven more days.",
    )
    webhook_secret_current = fields.Char(copy=False, groups=fields.NO_ACCESS)
    webhook_secret_previous = fields.Char(copy=False, groups=fields.NO_ACCESS)
    webhook_previous_until = fields.Datetime(
        string="Secret Before Counts Until",
        copy=False,
        readonly=True,
        groups="cartona_integration.group_marketplace_manager",
    )
    webhook_rate = fields.Integer(
        string="Calls per Second",
        default=50,
        help="More than that, counted by each worker, is answered with 429 (come again); for 20 seconds' "
        "worth at once there is room. 0: no limit.",
    )

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE UNIQUE INDEX marketplace_config_webhook_key_uniq ON marketplace_config (webhook_key)",
        )

    def write(self, vals):
        res = super().write(vals)
        if {*ENTRANCE, *OPEN} & set(vals):
            self._forget_entrances()
        return res

    def unlink(self):
        res = super().unlink()
        self._forget_entrances()
        return res

    @api.model
    def _forget_entrances(self):
        """Have the entrances read anew: now, and once more after the commit.

        A server with threads instead of workers may read in between what was there before.
        """
        self.env.registry.clear_cache()
        self.env.cr.postcommit.add(self.env.registry.clear_cache)

    def _compute_webhook_token(self):
        for account in self:
            account.webhook_token = MASK if account.sudo().webhook_token_digest else False

    def _inverse_webhook_token(self):
        for account in self:
            token = (account.webhook_token or "").strip()
            if not token.startswith(MASK):
                account.sudo().webhook_token_digest = self._digest(token) if token else False

    @api.depends("webhook_key")
    def _compute_webhook_url(self):
        for account in self:
            account.webhook_url = (
                f"{account.get_base_url()}/marketplace_integration/webhook/orders/{account.webhook_key}"
            )

    def _compute_webhook_secret(self):
        for account in self:
            account.webhook_secret = MASK if account.sudo().webhook_secret_current else False

    def _inverse_webhook_secret(self):
        for account in self:
            secret = (account.webhook_secret or "").strip()
            if not secret.startswith(MASK):
                account._replace_webhook_secret(secret)

    @api.constrains("webhook_secret_current", "webhook_signing", "dialect")
    def _check_webhook_secret(self):
        for account in self:
            try:
                account._entrance().keys()
            except ValueError as error:
                raise ValidationError(
                    _(
                        "The signing secret cannot be used: at least 16 bytes, for Standard Webhooks "
                        "written as whsec_<base64>. Or let New Secret make one."
                    )
                ) from error

    @api.constrains("webhook_signing", "webhook_signature_header", "webhook_rate", "webhook_window")
    def _check_webhook_form(self):
        for account in self:
            name = account.webhook_signature_header or ""
            if account.webhook_signing == "body" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", name):
                raise ValidationError(_("Enter the name of the header that carries the signature."))
            if account.webhook_rate < 0:
                raise ValidationError(_("Calls per second: 0 or more."))
            if not MIN_WINDOW <= account.webhook_window <= MAX_WINDOW:
                raise ValidationError(_("Signed calls count for 60 to 900 seconds."))

    def action_generate_webhook_token(self):
        """Make a new webhook token, show it once and keep only its digest."""
        self.ensure_one()
        token = secrets.token_urlsafe(32)
        self.webhook_token = token
        return self._notify(_("Copy the webhook token now, it is not shown again"), token, "warning")

    def action_rotate_webhook_secret(self):
        """Make a new signing secret, show it once, and let the one before count for some days."""
        self.ensure_one()
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        self.webhook_secret = secret
        return self._notify(_("Copy the signing secret now, it is not shown again"), secret, "warning")

    def action_drop_previous_webhook_secret(self):
        """Let only the newest signing secret count from now on."""
        self.ensure_one()
        # The write through the manager's own rights comes first: it refuses everybody else.
        self.webhook_previous_until = False
        self.sudo().webhook_secret_previous = False
        return self._notify(_("Done"), _("Only the newest signing secret counts now."), "success")

    def _replace_webhook_secret(self, secret):
        """Let a secret take the place of the current one; none ends them both."""
        # Superuser: nobody reads these fields, not even who wrote them.
        account, until = self.sudo(), fields.Datetime.now() + ROTATION
        previous = account.webhook_secret_current if secret else False
        account.write(
            {
                "webhook_secret_previous": previous,
                "webhook_previous_until": previous and until,
                "webhook_secret_current": secret or False,
            }
        )

    # -- who calls ----------------------------------------------------------------------------

    @api.model
    def _authenticate_webhook(self, key, headers, read=bytes):
        """Find the account a webhook call proves to come from. Fails closed.

        :param str key: the key in the path, None on the bare address
        :param headers: the call's headers, a mapping that ignores case
        :param read: gives the body as it came; called only where a signature has to be checked, so that
            strangers cannot keep a worker waiting for theirs
        :return: its :class:`Entrance`, or None
        """
        digest = self._bearer_digest(headers)
        doors = [door for door in self._entrances() if key is None or door.key == key]
        if not doors:
            # A key nobody has costs the same work, but for reading: its time tells strangers nothing.
            NOWHERE.proof(digest, headers, bytes)
        proven = []
        for door in doors:
            is_proven, lead = door.proof(digest, headers, read)
            proven += [door] * is_proven
            if lead is not None:
                self.browse(door.account_id)._note_lead(door.signature.delivery_id(headers), lead)
        accounts = self.browse([door.account_id for door in proven])
        if len(proven) > 1 and not accounts <= accounts[:1]._token_group():
            return None  # whose it is cannot be told
        return proven[0] if proven else None

    @api.model
    @tools.ormcache()
    def _entrances(self):
        """Give all entrances; kept, as a flood of calls asks, until anything of them changes.

        Every worker hears of a change before its next call: what is revoked is over.
        """
        self.flush_model([*ENTRANCE, *OPEN])
        self.env.cr.execute(ENTRANCES)
        rows = self.env.cr.dictfetchall()
        # An account whose marketplace is not installed any more closes nobody else's door.
        return [self._prepare_entrance(row) for row in rows if row["dialect"] in dialects.DIALECTS]

    def _entrance(self):
        """Give the account's entrance, whether it is open or not. Superuser: secrets."""
        return self._prepare_entrance(self.sudo().read(ENTRANCE, load=None)[0])

    @api.model
    def _prepare_entrance(self, row):
        dialect = dialects.get(row["dialect"])
        return Entrance(
            account_id=row["id"],
            key=row["webhook_key"],
            rate=row["webhook_rate"] or 0,
            window=row["webhook_window"] or WINDOW,
            dialect=dialect,
            token_digest=row["webhook_token_digest"] or "",
            signature=dialect.webhook_signature or self._prepare_signature(row),
            secret=row["webhook_secret_current"] or "",
            previous_secret=row["webhook_secret_previous"] or "",
            previous_until=row["webhook_previous_until"] or None,
        )

    @api.model
    def _prepare_signature(self, row):
        """Give the way of signing chosen on the account, for a marketplace without one of its own."""
        if row["webhook_signing"] == "body":
            return HmacBody(row["webhook_signature_header"] or "", row["webhook_signature_encoding"] or "hex")
        return StandardWebhooks()

    @api.model
    def _bearer_digest(self, headers):
        scheme, _space, token = headers.get("Authorization", "").partition(" ")
        return self._digest(token.strip()) if scheme.lower() == "bearer" else ""

    @api.model
    def _digest(self, token):
        return hashlib.sha256(token.encode()).hexdigest()

    # -- what it brings -----------------------------------------------------------------------

    def _receive(self, messages):
        """Keep what a marketplace posted; everything else happens in a job.

        It is all its transaction does. The same message may come in by another call at this very moment: a
        new transaction finds it. Odoo would begin one as well, after up to two seconds of sleep.

        :return: (accepted, duplicate) counts
        :raise Unavailable: nothing can be kept now
        """
        with self._writable():
            try:
                counts = self._receive_first(messages) or self._keep(messages, "webhook")
            except SerializationFailure:
                self.env.cr.rollback()
                counts = self._keep(messages, "webhook")
        return counts["new"] + counts["changed"], counts["known"]

    def _receive_first(self, messages):
        """Keep the first message of an order.

        :return: Counter, see ``marketplace.event._store``; empty when it takes a closer look
        """
        if len(messages) != 1 or len(self._token_group()) != 1:
            return Counter()
        with without_transaction(self.env.cr):
            is_first = self.env["marketplace.event"]._store_first(self, messages[0])
        if is_first:
            self._wake("import")
        return Counter(new=1) if is_first else Counter()

    def _log_unreadable(self, error):
        """Leave a trace of an authenticated but unreadable call."""
        with self._writable():
            self._speaking()._log_call(error)

    def _log_call(self, error):
        text = _("A call could not be read: %s", payload.printable(str(error)))
        self.env["marketplace.sync.log"]._log_hourly(self, "webhook", text)

    @contextmanager
    def _writable(self):
        """Tell a database that takes no rows now from what is wrong with a call.

        :raise Unavailable: it is the sender's to come again
        """
        try:
            yield
        except (ReadOnlySqlTransaction, OperationalError) as error:
            if (error.pgcode or GONE)[:2] not in NOT_NOW:
                raise
            if not self.env.cr.closed:
                self.env.cr.rollback()
            raise Unavailable("The database takes no rows") from error
