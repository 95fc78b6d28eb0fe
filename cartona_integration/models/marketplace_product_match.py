import json

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from ..dialects.words import Listing
from ..matching import CONFIDENCE, Match
from .marketplace_product_unseen import GONE_AFTER
from .search import search_by

NAMED = 3  # so many of the products one code has are told


class MarketplaceProductLink(models.Model):
    """The workbench: which product a listing without one may be, why, and who says so."""

    _inherit = "marketplace.product.link"

    proposed_product_id = fields.Many2one("product.product", ondelete="set null", readonly=True, copy=False)
    confidence = fields.Integer(
        string="Sure by", readonly=True, copy=False, help="Per cent. A name alone never makes more than 70."
    )
    is_sure = fields.Boolean(
        compute="_compute_is_sure",
        search="_search_is_sure",
        help="As sure as the account asks for: 'Link What Is Sure' links it.",
    )
    evidence = fields.Char(compute="_compute_evidence", help="Why this product, or why none can be proposed.")
    # What is said, as a list of (kind, what they have in common, product ids): said in the reader's language.
    evidence_found = fields.Json(readonly=True, copy=False)
    is_ambiguous = fields.Boolean(
        readonly=True, copy=False, help="Several products, or several listings, match."
    )
    matched_at = fields.Datetime(readonly=True, copy=False)
    refused_product_id = fields.Many2one("product.product", ondelete="set null", readonly=True, copy=False)

    @api.depends("proposed_product_id", "confidence", "account_id.link_confidence")
    def _compute_is_sure(self):
        for link in self:
            is_enough = link.confidence >= link.account_id.link_confidence
            link.is_sure = bool(link.proposed_product_id) and is_enough

    def _search_is_sure(self, operator, value):
        proposed, sure = ("proposed_product_id", "!=", False), [("id", "=", False)]
        for [account] in self._read_group([proposed], ["account_id"]):
            enough = [("account_id", "=", account.id), ("confidence", ">=", account.link_confidence)]
            sure = ["|", *sure, "&", *enough]
        sure = ["&", proposed, *sure]
        return search_by({True: sure, False: ["!", *sure]}, operator, value)

    @api.depends("evidence_found")
    @api.depends_context("lang")
    def _compute_evidence(self):
        for link in self:
            link.evidence = " · ".join(link._say(*found) for found in link.evidence_found or [])

    def _say(self, kind, told, product_ids):
        """Say what was found. Superuser: what is said of a listing says nothing else of its products."""
        products = self.env["product.product"].sudo().browse(product_ids[:NAMED]).exists()
        names = ", ".join(products.mapped("display_name"))
        if kind == "several":
            return _("%(count)d products: %(names)s", count=len(product_ids), names=names)
        if kind == "refused":
            return _("%(product)s: refused by %(name)s", product=names, name=told)
        return self._kinds_of_evidence()[kind] % (told or names)

    # -- buttons ------------------------------------------------------------------------------

    def action_link_proposed(self):
        """Link the listings with the products proposed for them."""
        self.check_access_rights("write")
        chosen = self.filtered(lambda link: link.state == "found" and link.proposed_product_id)
        if not chosen:
            raise UserError(_("None of these listings has a proposed product."))
        linked = self.browse()
        for account in chosen.account_id:
            own = chosen.filtered(lambda link, account=account: link.account_id == account)
            linked |= own._link_proposed()
        left = len(self) - len(linked)
        told = _("%d listings are linked.", len(linked))
        if left:
            told = _(
                "%(told)s %(left)d of the chosen stay without product: nothing is proposed for them, or the "
                "product has its listing.",
                told=told,
                left=left,
            )
        return self.account_id[:1]._notify(_("Linked"), told, "success" if linked else "warning")

    def action_refuse_proposed(self):
        """Take the proposals back; the listings stay without product."""
        for link in self.filtered("proposed_product_id"):
            refused = link.proposed_product_id
            link._forget_proposal()
            found = [("refused", self.env.user.name, refused.ids)]
            link.write({"refused_product_id": refused.id, "evidence_found": found})
        return True

    def _link_proposed(self):
        """Link listings of one account; what would sell a product twice in one unit stays.

        :return: the links
        """
        account = self.account_id
        packs = self._packs({link: link.proposed_product_id for link in self})
        taken = self._taken(account, self.proposed_product_id)
        rows = []
        for link in self:
            identity = link.proposed_product_id.id, packs[link].id
            if identity not in taken:
                taken.add(identity)
                rows.append((link.id, identity[0], identity[1] or None))
        chosen = self.browse([row[0] for row in rows])
        for pack in {packs[link] for link in chosen}:
            sold = chosen.filtered(lambda link, pack=pack: packs[link] == pack)
            sold._make_room(account.ids, sold.proposed_product_id.ids, pack.id)
        self._write_many(("product_id", "pack_uom_id"), rows)
        chosen._forget_proposal()
        chosen._become_linked()
        return chosen

    def _forget_proposal(self):
        nothing = {"proposed_product_id": False, "confidence": 0, "evidence_found": False}
        self.write({**nothing, "is_ambiguous": False})

    def _taken(self, account, products):
        """Give {(product id, pack id)} that have a listing on the account already."""
        links = self.search(
            [
                ("account_id", "=", account.id),
                ("product_id", "in", products.ids),
                ("missed", "<", GONE_AFTER),
                "|",
                ("external_id", "!=", False),
                ("state", "=", "linked"),
            ]
        )
        return {(link.product_id.id, link.pack_uom_id.id) for link in links}

    # -- packs ----------------------------------------------------------------------------------

    def _learn_packs(self):
        """Set what newly linked listings are sold in, where the account counts single pieces.

        Where another listing of the product is sold in that unit already, a person has to choose: in the
        product's own unit it would cost what one piece costs.
        """
        fresh = self.filtered(lambda link: link.product_id and not link.pack_uom_id)
        packs = self._packs({link: link.product_id for link in fresh})
        taken = {account: self._taken(account, fresh.product_id) for account in fresh.account_id}
        for link, pack in packs.items():
            identity = link.product_id.id, pack.id
            if pack and identity in taken[link.account_id]:
                link.write({"product_id": False, "state": "found"})
            elif pack:
                taken[link.account_id].add(identity)
                link.pack_uom_id = pack

    def _sell_in_packs(self):
        """Set what listings are sold in that a person linked; a unit that is taken is told."""
        fresh = self.filtered(lambda link: link.product_id and not link.pack_uom_id)
        for link, pack in self._packs({link: link.product_id for link in fresh}).items():
            if pack:
                link.pack_uom_id = pack

    def _packs(self, products):
        """Give {link: unit of measure} of what listings are sold in; empty is the product's own.

        :param dict products: {link: product}
        """
        return {
            link: product._marketplace_pack(link.unit_count, link.unit)
            if link.account_id.counts_in == "piece" and link.unit_count > 1
            else self.env["uom.uom"]
            for link, product in products.items()
        }

    # -- matching -------------------------------------------------------------------------------

    def _propose_products(self, catalogue):
        """Keep what a catalogue says about listings of one account.

        :param Catalogue catalogue: the account's products
        """
        elsewhere = self._linked_elsewhere()
        now, rows = fields.Datetime.now(), []
        for link in self:
            listing = Listing(link.external_id, link.key, link.listing_name, link.barcode or None)
            match = elsewhere.get(link.external_id) or catalogue.match(listing)
            product, confidence, found, is_ambiguous = link._proposal(match)
            rows.append((link.id, product, confidence, found and json.dumps(found), is_ambiguous, now))
        names = ("proposed_product_id", "confidence", "evidence_found", "is_ambiguous", "matched_at")
        self._write_many(names, rows)

    def _linked_elsewhere(self):
        """Give {listing id: Match} of listings another account of the same marketplace has linked.

        One that is called otherwise there is another one: shops of one marketplace may number their own.
        Superuser: the other account may be another company's; its product is only proposed where it is seen.
        """
        account = self.account_id
        companies = (False, account.company_id.id)
        keys = {link.external_id: link.key for link in self}
        others = self.sudo().search(
            [
                ("account_id", "!=", account.id),
                ("account_id.dialect", "=", account.dialect),
                ("account_id.api_base_url", "=", account.api_base_url),
                ("external_id", "in", self.filtered("external_id").mapped("external_id")),
                ("state", "=", "linked"),
                ("product_id.company_id", "in", companies),
                ("product_id.active", "=", True),
            ]
        )
        return {
            other.external_id: Match(
                "listing_id", (other.product_id.id,), other.external_id, CONFIDENCE["listing_id"]
            )
            for other in others
            if not (other.key and keys[other.external_id]) or other.key == keys[other.external_id]
        }

    def _proposal(self, match):
        """Give product, confidence, what was found and whether it is ambiguous."""
        if match is None:
            return None, 0, None, False
        if match.products == (self.refused_product_id.id,):
            return None, 0, self.evidence_found or None, False
        found = [(match.kind, match.told, [])]
        if len(match.products) > 1:
            return None, 0, [*found, ("several", "", match.products)], True
        return match.products[0], match.confidence, found, False

    def _kinds_of_evidence(self):
        return {
            "listing_id": _("Same listing id: %s"),
            "own_id": _("Same listing id: %s"),
            "key": _("Same key: %s"),
            "barcode": _("Same barcode: %s"),
            "reference": _("Same internal reference: %s"),
            "normalised": _("Same code but for signs, case and zeros: %s"),
            "name": _("Names %s %% alike"),
            "contradiction": _("Key and barcode of different products: %s"),
            "taken": _("%s has its listing already"),
            "rivals": _("Several listings may be %s"),
        }

    @api.model
    def _refuse_rivals(self, account):
        """Keep of several listings that may be the same product, in the same unit, the surest; two as sure
        as each other are a person's case, as is a product that has its listing already."""
        self.env.flush_all()
        self.env.cr.execute(
            """
            WITH rated AS (
                SELECT id, rank() OVER surest AS place, count(*) OVER same AS tied,
                       EXISTS (
                           SELECT FROM marketplace_product_link other
                            WHERE other.account_id = link.account_id AND other.state = 'linked'
                              AND other.product_id = link.proposed_product_id
                              AND (NOT %(packs)s
                                   OR coalesce(other.unit_count, 0) = coalesce(link.unit_count, 0))
                       ) AS taken
                  FROM marketplace_product_link link
                 WHERE account_id = %(account)s AND state = 'found' AND proposed_product_id IS NOT NULL
                WINDOW surest AS (
                           PARTITION BY proposed_product_id, CASE WHEN %(packs)s THEN unit_count END
                               ORDER BY confidence DESC),
                       same AS (
                           PARTITION BY proposed_product_id, CASE WHEN %(packs)s THEN unit_count END,
                                        confidence)
            )
            SELECT id, taken FROM rated WHERE taken OR place > 1 OR tied > 1
            """,
            {"account": account.id, "packs": account.counts_in == "piece"},
        )
        doubles = dict(self.env.cr.fetchall())
        for link in self.browse(doubles):
            kind = "taken" if doubles[link.id] else "rivals"
            found = [*(link.evidence_found or []), (kind, "", link.proposed_product_id.ids)]
            link.write(
                {"proposed_product_id": False, "confidence": 0, "is_ambiguous": True, "evidence_found": found}
            )
