from psycopg2 import OperationalError

from odoo import _, api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import float_compare

from .marketplace_product_link import IDENTIFIES
from .marketplace_product_unseen import GONE_AFTER


class Interrupted(BaseException):
    """Passes through Odoo's import of files, which takes every Exception for a fault of the file."""


class MarketplaceProductLink(models.Model):
    """Says in words, before it happens, what the unique indexes would refuse."""

    _inherit = "marketplace.product.link"

    is_disputed = fields.Boolean(
        string="Became Something Else",
        readonly=True,
        copy=False,
        help="The marketplace says now that it is something else: nothing is sent for it, and its orders "
        "wait, until somebody presses Start Sending on it.",
    )

    def write(self, vals):
        """Whoever lets a listing go on has said what it is."""
        settled = self.filtered("is_disputed") if vals.get("is_paused") is False else self.browse()
        res = super().write(vals)
        if settled:
            super(MarketplaceProductLink, settled).write({"is_disputed": False, "reason": False})
        return res

    @api.model
    def load(self, fields, data):
        """Have an import repeated, as any request is, when a job wrote the same listings meanwhile."""
        try:
            return super(MarketplaceProductLink, self.with_context(marketplace_file=True)).load(fields, data)
        except Interrupted as interrupted:
            raise interrupted.__cause__ from None

    def _load_records(self, data_list, update=False):
        if not self.env.context.get("marketplace_file"):
            return super()._load_records(data_list, update)
        try:
            records = super()._load_records(data_list, update)
            self.env.flush_all()
            return records
        except OperationalError as error:
            raise Interrupted from error

    @api.model
    def _convert_records(self, records, *, log=lambda message: None, **kwargs):
        """Refuse rows of a file that Odoo would only warn of: of several products of one name or reference it
        takes the first, and a listing would show the wrong price.
        """

        def refuse(message):
            log({**message, "type": "error"})

        return super()._convert_records(records, log=refuse, **kwargs)

    def _make_room(self, account_ids, product_ids, pack_id=False):
        """Drop what looks in vain for a listing of products that get one: it has no id, or is gone.

        Superuser: who links, be it a job, deletes nothing else.

        :param pack_id: what they are sold in; empty: each product's own unit
        """
        self.search(
            [
                ("account_id", "in", account_ids),
                ("product_id", "in", product_ids),
                ("state", "!=", "linked"),
                ("id", "not in", self.ids),
                "|",
                # Nobody has said yet what it is to be sold in.
                *("&", ("external_id", "=", False), ("pack_uom_id", "in", [False, pack_id or False])),
                *("&", ("missed", ">=", GONE_AFTER), ("pack_uom_id", "=", pack_id or False)),
            ]
        ).sudo().unlink()

    def _identity_with(self, vals):
        """Give what identifies the listing once these values are written."""
        record = {name: self._fields[name].convert_to_write(self[name], self) for name in IDENTIFIES}
        return {**record, **{name: vals[name] for name in IDENTIFIES & set(vals)}}

    def _is_renamed(self, vals):
        """Tell whether values change what identifies the listing."""
        return any(
            self._fields[name].convert_to_write(self[name], self) != (vals[name] or False)
            for name in IDENTIFIES & set(vals)
        )

    @api.model
    def _identities(self, row):
        """Give the three things of which an account has one each, those there are.

        :param dict row: values of a listing's fields
        """
        account, pack = row.get("account_id"), row.get("pack_uom_id") or False
        if row.get("external_id"):
            yield "external_id", account, row["external_id"]
        if row.get("product_id"):
            yield "product_id", account, (row["product_id"], pack)
        if row.get("key") and not row.get("external_id"):
            yield "key", account, row["key"]

    def _refuse_doubles(self, rows):
        """Refuse listings that are there, or that come twice.

        :param rows: list of values of listings that are about to be; those of ``self`` change to them
        :raise ValidationError: with words a person understands
        """
        known = {
            identity: other
            for other in self._rivals(rows) - self
            for identity in self._identities(other._identity_with({}))
        }
        for row in rows:
            for identity in self._identities(row):
                if identity in known:
                    raise ValidationError(self._why_double(identity, known[identity]))
                known[identity] = self.browse()

    def _rivals(self, rows):
        """Give the listings that share something with the rows. Superuser: a product may be out of sight."""
        wanted = {
            name: [row[name] for row in rows if row.get(name)]
            for name in ("external_id", "product_id", "key")
        }
        if not any(wanted.values()):
            return self.browse()
        accounts = [row.get("account_id") for row in rows]
        shared = [(name, "in", values) for name, values in wanted.items()]
        return self.sudo().search([("account_id", "in", accounts), "|", "|", *shared])

    def _why_double(self, identity, other):
        """Say which listing or product is linked already, and where.

        :param other: the link that has it; empty: another row of the same import
        """
        name, account_id, value = identity
        account = self.env["marketplace.config"].sudo().browse(account_id).name
        if not other:
            shown = (
                self.env["product.product"].browse(value[0]).display_name if name == "product_id" else value
            )
            return _("%(value)s comes twice for %(account)s.", value=shown, account=account)
        product = other.product_id.display_name or _("no product")
        listing = other.external_id or other.key
        if name == "product_id":
            return _(
                "%(product)s is already linked on %(account)s, with listing %(listing)s. Another listing of "
                "it has to be sold in another unit, or that one has to give the product up first.",
                product=product,
                account=account,
                listing=listing,
            )
        return _(
            "Listing %(listing)s of %(account)s is already linked, with %(product)s.",
            listing=value,
            account=account,
            product=product,
        )

    # -- what changes over there ----------------------------------------------------------------

    @api.model
    def _ask_what_became_another(self, pairs):
        """Send nothing more to linked listings that became something else over there; a person is asked.

        A key that is no other product's, or none, says nothing: the listing's id decides.

        :param pairs: list of (link, Listing) of one account, as they are and as they were read now
        """
        linked = [(link, listing) for link, listing in pairs if link.state == "linked" and link.product_id]
        problems = {}
        for link, listing in linked:
            before, now = link.unit_count, float(listing.unit_count or 0)
            # What is told for the first time is simply kept.
            if before and now and before != now and not link._is_sold_in(now):
                problems[link] = _(
                    "The marketplace sells it in %(now)g pieces now, no longer in %(before)g: choose what it "
                    "is sold in, then press Start Sending.",
                    now=now,
                    before=before,
                )
        problems |= self._renamed_to_another(linked)
        for link, problem in problems.items():
            link.write({"is_paused": True, "is_disputed": True, "reason": problem})
        if problems:
            account = next(iter(problems)).account_id
            note = _("%s listings became something else at the marketplace: they are paused.", len(problems))
            account._ask_for_help("listings", note)

    def _is_sold_in(self, count):
        """Tell whether the unit it is sold in has so many pieces: a person was quicker."""
        own = self.product_id.uom_id
        held = (self.pack_uom_id or own)._compute_quantity(1, own, round=False)
        return self.account_id.counts_in == "piece" and not float_compare(held, count, precision_digits=3)

    def _renamed_to_another(self, linked):
        """Give {link: problem} of listings that have another product's key now."""
        renamed = {
            link: listing.key
            for link, listing in linked
            if link.key and listing.key and link.key != listing.key
        }
        problems = {}
        if renamed:
            account = next(iter(renamed)).account_id
            found = self.env["product.product"]._find_of_account(account, "cartona_id", renamed.values())
            for link, key in renamed.items():
                if found[key] and link.product_id not in found[key]:
                    problems[link] = _(
                        "Its key at the marketplace is %(key)s now, that of %(product)s: choose the product, "
                        "then press Start Sending.",
                        key=key,
                        product=found[key][0].display_name,
                    )
        return problems
