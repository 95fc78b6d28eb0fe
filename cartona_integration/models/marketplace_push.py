from datetime import timedelta

from odoo import _, api, fields, models

from ..dialects.base import ItemResult
from ..exceptions import CredentialsRefused, MarketplaceError, Refused
from .marketplace_mark import kinds_of

# So many products are looked for one by one; for more, reading all listings takes fewer calls.
LOOKUPS = 20
# What was sent so long ago without an answer, while nobody sends, was sent by a job that died.
DOUBT_AFTER = timedelta(minutes=1)


class MarketplaceConfig(models.Model):
    """How prices and stock travel to the marketplace, and how its listings are found."""

    _inherit = "marketplace.config"

    # -- prices and stock -----------------------------------------------------------------------

    def _job_push(self):
        """Send what marked listings should show, until no mark waits."""
        with self._locked("push"):
            self._until_done("push", self._push_batch)

    def _push_batch(self):
        """Claim, call, keep the answer: three steps, no transaction open during the call.

        :return: whether to go on
        """
        offers = self._committed("_claim_offers")
        if offers is None:
            return False
        try:
            results = self._deliver(list(offers.values()))
        except MarketplaceError as error:
            self._committed("_fail_push", offers, error)
            return False
        self._committed("_note_results", offers, results)
        return True

    def _claim_offers(self):
        """Take the next marks and read the values of now.

        :return: {link id: ProductUpdate} of what has to be sent; None when no mark waits
        """
        if not self._may_work("push"):
            return None
        kinds = self.env["marketplace.mark"]._take(self, self._dialect().batch_size)
        if not kinds:
            self._state("push")._succeed()
            return None
        links = self.env["marketplace.product.link"].browse(kinds).exists()
        due = links._claim(kinds)
        if self.state != "live":  # shadow: computed and shown, never sent
            return {}
        for link, offer in due.items():
            link._note_sent(offer)
        # Less goes first: what is sold out must not be sold once more meanwhile.
        sooner = sorted(due, key=lambda link: (due[link].quantity is None, due[link].quantity or 0))
        return {link.id: due[link] for link in sooner}

    def _deliver(self, updates):
        """Send updates; what is refused as a whole is halved until the bad ones are alone.

        :return: list of ItemResult, one per update
        """
        if not updates:
            return []
        try:
            return self.env["marketplace.api"]._update_products(self, updates)
        except CredentialsRefused:
            raise
        except Refused as error:
            if len(updates) == 1:
                return [ItemResult(False, str(error), error.code)]
        half = len(updates) // 2
        return self._deliver(updates[:half]) + self._deliver(updates[half:])

    def _note_results(self, offers, results):
        links = self.env["marketplace.product.link"].browse(offers).exists()
        outcomes = dict(zip(offers, results, strict=True))
        for link in links:
            link._note_result(offers[link.id], outcomes[link.id])

    def _fail_push(self, offers, error):
        """Nobody knows what arrived: everything is marked again, and in doubt until it is answered."""
        self.env["marketplace.mark"]._put_back(
            self, {link_id: kinds_of(offer) for link_id, offer in offers.items()}
        )
        self._stop("push", error)

    # -- listings -------------------------------------------------------------------------------

    def _job_link(self):
        """Look on the marketplace for the products that are looked for; create those that shall be."""
        with self._locked("link"):
            if self._committed("_has_many_lookups"):
                self._wake("listings")
            else:
                self._until_done("link", self._look_up)

    def _has_many_lookups(self):
        """Leave many to a reading of all listings, which finds them too."""
        links = self._lookups(LOOKUPS + 1, [("state", "=", "proposed")])
        if len(links) <= LOOKUPS:
            return False
        self._lookups(None, [("state", "=", "proposed")]).looked_up_at = fields.Datetime.now()
        return True

    def _lookups(self, limit, domain=()):
        return self.env["marketplace.product.link"].search(
            [
                ("account_id", "=", self.id),
                ("state", "in", ("proposed", "wanted")),
                ("looked_up_at", "=", False),
                ("key", "!=", False),
                *domain,
            ],
            order="id",
            limit=limit,
        )

    def _look_up(self):
        """Ask for the listings with one key; where there is none and one is wanted, create it.

        :return: whether to go on
        """
        wanted = self._committed("_claim_lookup")
        if not wanted:
            return False
        link_id, key, new = wanted
        try:
            found = self._find_listings(key)
            if new and not found:
                found = [self.env["marketplace.api"]._create_product(self, new)]
        except CredentialsRefused as error:
            self._committed("_fail_lookup", link_id, error)
            return False
        except Refused as error:
            self._committed("_refuse_lookup", link_id, str(error))
            return True
        except MarketplaceError as error:
            self._committed("_fail_lookup", link_id, error)
            return False
        self._committed("_match_lookup", link_id, found)
        return True

    def _claim_lookup(self):
        """Give the next link to look for.

        :return: (link id, key, ProductUpdate to create or None); None when none waits
        """
        if not self._may_work("link"):
            return None
        link = self._lookups(1)
        if not link:
            self._state("link")._succeed()
            return None
        link.looked_up_at = fields.Datetime.now()
        creates = link.state == "wanted" and self.state == "live"
        return link.id, link.key, link._prepare_listing() if creates else None

    def _find_listings(self, key):
        """Read the listings with the seller's key; not every marketplace filters exactly."""
        pages = self.env["marketplace.api"]._read_products(self, key)
        return [listing for page in pages for listing in page.rows if listing.key == key]

    def _match_lookup(self, link_id, listings):
        links = self.env["marketplace.product.link"]
        links._match(self, listings)
        links.browse(link_id).exists()._note_lookup(listings)

    def _refuse_lookup(self, link_id, reason):
        self.env["marketplace.product.link"].browse(link_id).exists().write(
            {"state": "proposed", "reason": reason}
        )

    def _fail_lookup(self, link_id, error):
        self.env["marketplace.product.link"].browse(link_id).exists().looked_up_at = False
        self._stop("link", error)

    def _job_listings(self):
        """Read all listings: link those with a known key, note what every one of them shows."""
        with self._locked("listings"):
            if not self._committed("_may_work", "listings"):
                return
            try:
                self._read_listings()
            except MarketplaceError as error:
                self._committed("_stop", "listings", error)

    def _read_listings(self):
        received = linked = 0
        for page in self.env["marketplace.api"]._read_products(self):
            received += len(page.rows)
            linked += self._committed("_match_page", page.rows)
        self._committed("_finish_listings", received, linked)

    def _match_page(self, listings):
        return self.env["marketplace.product.link"]._match(self, listings)

    def _finish_listings(self, received, linked):
        self._state("listings")._succeed()
        if linked:
            message = _("%(linked)d newly linked of %(received)d listings", linked=linked, received=received)
            self.env["marketplace.sync.log"].create(
                {
                    "account_id": self.id,
                    "kind": "listings",
                    "received": received,
                    "new": linked,
                    "known": received - linked,
                    "message": message,
                }
            )

    @api.model
    def _cron_listings(self):
        """Have all listings read once a day: new ones are linked, what they show is noted."""
        self.search([("state", "in", self.WORKING_STATES)])._wake("listings")

    # -- the sweep ------------------------------------------------------------------------------

    def _remark_doubtful(self):
        """Mark again what a job that died may have sent: nobody knows which value stands there.

        The lock tells that no job is at it; it ends with this short transaction.
        """
        if not self._try_lock("push"):
            return
        doubtful = self.env["marketplace.product.link"].search(
            [
                ("account_id", "=", self.id),
                ("in_doubt", "=", True),
                ("reason", "=", False),
                ("sent_at", "<", fields.Datetime.now() - DOUBT_AFTER),
            ]
        )
        self.env["marketplace.mark"]._insert_both(doubtful)
