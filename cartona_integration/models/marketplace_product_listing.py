from random import randint

from odoo import _, api, fields, models

LINKED_AT_ONCE = 500
# What a row without product has seen, and hands over to the link that takes its place.
SEEN = (
    "external_id", "key", "listing_name", "barcode", "unit", "unit_count", "observed_price",
    "observed_quantity", "observed_at", "looked_up_at", "reading",
)  # fmt: skip


def new_reading():
    """Give a number that tells one reading of listings from another; times have whole seconds only."""
    return randint(1, 2**31 - 1)


class MarketplaceProductLink(models.Model):
    """What is read of listings: each has a row from the first time it is seen, with or without a product."""

    _inherit = "marketplace.product.link"

    barcode = fields.Char(string="Barcode There", readonly=True, copy=False)
    unit = fields.Char(string="Unit There", readonly=True, copy=False)
    unit_count = fields.Float(
        string="Pieces per Unit",
        readonly=True,
        copy=False,
        help="How many pieces the marketplace says one listed unit has. It changes nothing by itself.",
    )
    reading = fields.Integer(readonly=True, copy=False, help="The reading that saw the listing last.")

    # -- one listing, one row -----------------------------------------------------------------

    def _found_with(self, account_id, external_id):
        return self.search(
            [
                ("account_id", "=", account_id),
                ("external_id", "=", external_id),
                ("state", "=", "found"),
                ("id", "not in", self.ids),
            ]
        )

    def _take_over(self, vals):
        """Let a link made by hand or by an import take the place of the row of the same listing."""
        found = self._found_with(vals["account_id"], vals["external_id"])
        if found:
            seen = found._seen_values()
            vals.update({name: value for name, value in seen.items() if not vals.get(name)}, state="linked")
            found.unlink()

    def _drop_found(self, external_id):
        """Make room for a link that gets the id of a listing without product: it is looked for by its id."""
        for account in self.account_id:
            self._found_with(account.id, external_id).unlink()

    def _settle_found(self):
        """Link listings somebody gave a product: they were seen already."""
        found = self.filtered(lambda link: link.state == "found" and link.product_id)
        if found:
            found.write({"state": "linked", "reason": False, "tries": 0})
            found._sell_in_packs()

    def _seen_values(self):
        return {name: self[name] for name in SEEN}

    def _write_many(self, names, rows):
        """Write other values to each of many rows in one statement.

        :param names: of the columns
        :param rows: list of (id, value, …), as the database stores them
        """
        if not rows:
            return
        self.env.flush_all()
        types = {name: self._fields[name].column_type[1] for name in names}
        changes = ", ".join(f"{name} = new.{name}::{types[name]}" for name in names)
        self.env.cr.execute_values(
            f"UPDATE marketplace_product_link link SET {changes}"
            f" FROM (VALUES %s) AS new (id, {', '.join(names)}) WHERE link.id = new.id",
            rows,
            page_size=len(rows),
        )
        self.invalidate_model()

    # -- what is listed -------------------------------------------------------------------------

    @api.model
    def _match(self, account, listings, reading, asked=None):
        """Note what listings show. The id decides, whatever the key says; a new one gets a row.

        :param listings: iterable of :class:`~..dialects.words.Listing`
        :param int reading: see :func:`new_reading`
        :param datetime asked: when they were asked for, if that was not now
        :return: how many were linked now
        """
        # Pages shift while they are read: a listing may come twice.
        named = {(listing.product_id or None, None if listing.product_id else listing.key): listing
                 for listing in listings if listing.product_id or listing.key}  # fmt: skip
        by_id = self._find_all(account, "external_id", {listing_id for listing_id, _key in named})
        by_key = self._find_all(account, "key", {key for _listing_id, key in named})
        known = {
            (listing_id, key): by_id.get(listing_id) if listing_id else by_key.get(key)
            for listing_id, key in named
        }
        new = [name for name, link in known.items() if not link]
        rows = [
            {"account_id": account.id, "external_id": listing_id, "key": named[listing_id, key].key,
             "state": "found"}
            for listing_id, key in new
        ]  # fmt: skip
        known |= dict(zip(new, self.create(rows), strict=True))
        return self._note_all_seen(
            [(known[name], listing) for name, listing in named.items()], reading, asked
        )

    def _find_all(self, account, field, values):
        """Give {value: link} of the account; of a key only links without an id, which have it once."""
        domain = [("account_id", "=", account.id), (field, "in", [value for value in values if value])]
        if field == "key":
            domain.append(("external_id", "=", False))
        return {link[field]: link for link in self.search(domain)}

    def _note_all_seen(self, pairs, reading, asked=None):
        """Keep what listings show; who names one by its id is linked by that.

        What a linked one should show is computed anew: also what nobody told of.

        :param pairs: list of (link, Listing)
        :return: how many were linked now
        """
        links = self.union(*[link for link, _listing in pairs])
        self._ask_what_became_another(pairs)
        named = links.filtered(lambda link: link.state in ("proposed", "wanted") and link.external_id)
        now = fields.Datetime.now()
        names = ("drift", "drifted_at", "price_acknowledged", "quantity_acknowledged", "missed", *SEEN)
        rows = []
        for link, listing in pairs:
            drift = link._drift_of(listing, asked or now)
            known = link._still_acknowledged(listing, drift)
            since = link.drifted_at if drift == link.drift else now
            rows.append((link.id, drift, drift and since, *known, 0, *link._seen(listing, now), reading))
        self._write_many(names, rows)
        named._become_linked()
        drifted = self.browse([link_id for link_id, drift, *_values in rows if drift not in (None, "off")])
        marks = self.env["marketplace.mark"]
        marks._insert_both(drifted - named, cause="found")
        marks._insert_both(links - named - drifted, cause="read")
        return len(named.filtered("product_id"))

    def _seen(self, listing, now):
        """Give the values of SEEN but the last; what the marketplace says wrongly, or not at all, is 0."""
        return (
            listing.product_id or self.external_id or None,
            listing.key or self.key or None,
            listing.name or self.listing_name or None,
            listing.barcode or None,
            listing.unit or None,
            float(listing.unit_count or self.unit_count or 0),
            float(listing.price or 0),
            float(listing.quantity or 0),
            now,
            now,
        )

    def _still_acknowledged(self, listing, drift=None):
        """Void what the marketplace took but does not show: it is sent once more.

        What was sold there is most likely an order that is on its way: our quantity of now would sell it
        twice, so only what the next reading sees again is voided.

        :param str drift: the likely cause, new
        :return: whether the price, and whether the quantity, is still known to stand there
        """
        price = listing.price is None or self._is_same("acknowledged_price", listing.price)
        quantity = not self._sells_otherwise(listing) and (
            listing.quantity is None
            or self.acknowledged_unlimited
            or self._is_same("acknowledged_quantity", listing.quantity)
            or (drift == "sold" and self.drift != "sold")
        )
        return self.price_acknowledged and price, self.quantity_acknowledged and quantity

    def _become_linked(self):
        """Link listings that were seen, and have everything sent they should show."""
        without = self.filtered(lambda link: not link.product_id)
        without.write({"state": "found", "reason": False, "tries": 0})
        linked = self - without
        linked.write({"state": "linked", "reason": False, "tries": 0})
        if linked:
            linked._learn_packs()
            linked._show_anew()

    # -- linking by key -----------------------------------------------------------------------

    @api.model
    def _link_by_key(self, account, reading, after=""):
        """Link listings by the seller's key, each of which only one of the listings read has.

        :param int reading: the complete reading that saw them
        :param str after: the last key of the batch before
        :return: (the last key of this batch, how many were linked now); None at the end
        """
        self.env.flush_all()
        self.env.cr.execute(
            """
            SELECT key, CASE WHEN count(*) = 1 THEN min(id) END FROM marketplace_product_link
             WHERE account_id = %s AND reading = %s AND key > %s
          GROUP BY key HAVING bool_or(state != 'linked') OR count(*) > 1
          ORDER BY key LIMIT %s
            """,
            [account.id, reading, after, LINKED_AT_ONCE],
        )
        rows = self.env.cr.fetchall()
        if not rows:
            return None
        keys = [key for key, _link_id in rows]
        gone = self._gone_with(account, keys) if account.link_by_key else {}
        seekers = gone | self._find_all(account, "key", keys)
        self._note_ambiguous([seekers[key] for key, link_id in rows if not link_id and key in seekers])
        single = {link.key: link for link in self.browse([link_id for _key, link_id in rows if link_id])}
        self._leave_contradicted(account, single, seekers)
        return rows[-1][0], self._link_single(account, single, seekers)

    def _leave_contradicted(self, account, single, seekers):
        """Take out, for a person, the listings whose barcode is another product's than their key.

        :param dict single, seekers: as :meth:`_link_single` takes them
        """
        barcoded = {key: link for key, link in single.items() if link.barcode and link.state != "linked"}
        if not barcoded:
            return
        products = self.env["product.product"]
        marked = products._find_of_account(account, "barcode", {link.barcode for link in barcoded.values()})
        named = products._find_of_account(account, "cartona_id", barcoded)
        for key, link in barcoded.items():
            product = seekers[key].product_id if key in seekers else named[key]
            other = marked[link.barcode]
            if product and other and not product & other:
                del single[key]
                if seeker := seekers.pop(key, None):
                    seeker.reason = _(
                        "The listing with this key has the barcode of %s: enter its listing id if it is the "
                        "right one.",
                        other[0].display_name,
                    )

    def _link_single(self, account, single, seekers):
        """Link listings whose key nothing else has.

        :param dict single: {key: link}, most of them without product
        :param dict seekers: {key: link without an id}
        :return: how many were linked now
        """
        pairs = [(seekers[key], link) for key, link in single.items() if seekers.get(key, link) != link]
        linked = self.union(*[seeker for seeker, link in pairs if not link.product_id])
        self._absorb([(seeker, link) for seeker, link in pairs if not link.product_id])
        linked |= self.union(*[link for key, link in single.items() if seekers.get(key) == link])
        if account.link_by_key:
            linked |= self._find_products(
                account, {key: link for key, link in single.items() if key not in seekers}
            )
        new = linked.filtered(lambda link: link.state != "linked" and link.product_id)
        (linked.filtered("product_id"))._become_linked()
        return len(new)

    def _absorb(self, pairs):
        """Let links that look for a listing take the place of the rows without product of these listings.

        :param pairs: list of (link, row of the listing)
        """
        rows = [(link.id, 0, *[row[name] or None for name in SEEN]) for link, row in pairs]
        # Superuser: the acting user deletes nothing but these doubles.
        self.union(*[row for _link, row in pairs]).sudo().unlink()
        self._write_many(("missed", *SEEN), rows)

    def _find_products(self, account, rows):
        """Give listings the one product that has their key and is not linked on this account yet.

        :param dict rows: {key: row without product}
        :return: the rows that have one now
        """
        found = self.env["product.product"]._find_of_account(account, "cartona_id", rows)
        products = self.env["product.product"].union(*found.values())
        plain = [("product_id", "in", products.ids), ("pack_uom_id", "=", False)]
        known = self.search([("account_id", "=", account.id), *plain]).product_id
        named = {
            rows[key].id: product.id
            for key, product in found.items()
            if len(product) == 1 and product not in known and rows[key].state == "found"
        }
        self._write_many(("product_id",), list(named.items()))
        return self.browse(named)

    def _note_ambiguous(self, links):
        """Say on the links that look for a key several listings have that a person has to choose."""
        self.union(*links).filtered(lambda link: link.state in ("proposed", "wanted")).write(
            {
                "state": "proposed",
                "reason": _("Several listings have this key: enter the listing id of the right one."),
            }
        )
