import re

from odoo import _, api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError

from ..connections import may_be_private
from ..dialects.words import Credentials
from ..exceptions import Refused, Unavailable

MASK = "••••••••"
# What says which shop the account is over there.
PLACE = {"dialect", "api_base_url", "supplier_code"}
# Shorter tokens show nothing of themselves.
MIN_LENGTH_TO_HINT = 20


class MarketplaceConfig(models.Model):
    """How an account reaches its marketplace: the address, the token, and whether they work."""

    _inherit = "marketplace.config"

    api_base_url = fields.Char(string="API Address", help="https://… as the marketplace documents it.")
    auth_token = fields.Char(
        string="API Token",
        compute="_compute_auth_token",
        inverse="_inverse_auth_token",
        copy=False,
        groups="cartona_integration.group_marketplace_manager",
        help="Write-only: shown masked once saved.",
    )
    auth_secret = fields.Char(copy=False, groups=fields.NO_ACCESS)
    supplier_code = fields.Char(help="Names this account where one token covers several of them.")
    connection_status = fields.Selection(
        [
            ("unknown", "Not tested"),
            ("ok", "Connected"),
            ("refused", "Refused"),
            ("unavailable", "No answer"),
        ],
        default="unknown",
        readonly=True,
        copy=False,
    )
    connection_message = fields.Char(readonly=True, copy=False)

    @api.depends("auth_secret")
    def _compute_auth_token(self):
        for account in self:
            secret = account.sudo().auth_secret
            hint = secret[-4:] if secret and len(secret) >= MIN_LENGTH_TO_HINT else ""
            account.auth_token = secret and MASK + hint

    def _inverse_auth_token(self):
        for account in self:
            token = (account.auth_token or "").strip()
            if token.startswith(MASK):
                continue
            if not token and account.state in account.WORKING_STATES:
                raise UserError(_("Pause or close the account before you take its token away."))
            if not token.isascii() or not token.isprintable():
                raise ValidationError(_("The API token may hold printable ASCII characters only."))
            account.sudo().auth_secret = token or False
            account._resume_after_refusal()

    @api.constrains("api_base_url")
    def _check_api_base_url(self):
        for account in self.filtered("api_base_url"):
            url = account.api_base_url.strip()
            if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", url):
                raise ValidationError(_("The API address is a plain web address, without query or password."))
            if not url.startswith("https://") and not may_be_private():
                raise ValidationError(_("The API address must start with https://."))

    def write(self, vals):
        """Another shop has taken none of our figures: after a marketplace's test shop, say, its real one."""
        moved = self.filtered(
            lambda account: any(account[name] != (vals[name] or False) for name in PLACE & set(vals))
        )
        res = super().write(vals)
        if moved:
            moved._forget_acknowledged()
            moved.filtered(lambda account: account.connection_status == "refused")._resume_after_refusal()
            # Superuser: managers need not see marks.
            moved.env["marketplace.mark"].sudo()._insert_both(moved)
            moved.filtered(lambda account: account.state in account.WORKING_STATES)._wake("listings")
        return res

    def action_test_connection(self):
        """Make a harmless call and tell the user how it went."""
        self.ensure_one()
        if not self.env.user.has_group("cartona_integration.group_marketplace_manager"):
            raise AccessError(_("Only marketplace managers may test a connection."))
        if not self.api_base_url or not self.sudo().auth_secret:
            raise UserError(_("Enter the API address and the API token first."))
        try:
            self.env["marketplace.api"]._test(self)
        except Refused as error:
            return self._show_connection("refused", str(error))
        except Unavailable as error:
            return self._show_connection("unavailable", str(error))
        return self._show_connection("ok")

    def _show_connection(self, status, message=False):
        """Keep the outcome of a connection test and tell it. Not an exception: that would roll it back."""
        if status == "ok" and self.connection_status == "refused":
            self._resume_after_refusal()
        self.write({"connection_status": status, "connection_message": message})
        if status == "ok":
            return self._notify(_("Connected"), _("The marketplace accepts the account."), "success")
        return self._notify(_("Connection failed"), message, "danger")

    def _check_reachable(self):
        for account in self:
            if not account.api_base_url or not account.sudo().auth_secret:
                raise UserError(_("Enter the API address and the API token of %s first.", account.name))

    def _credentials(self):
        """Give what signs a request: the one accessor of the secret, for the network door only."""
        return Credentials(token=self.sudo().auth_secret or "", supplier_code=self.supplier_code or None)
