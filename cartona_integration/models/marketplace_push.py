from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from odoo import _, api, fields, models

from ..dialects.words import ItemResult
from ..exceptions import CredentialsRefused, MarketplaceError, Refused, TooManyCalls, Unavailable
from .marketplace_mark import kinds_of
from .marketplace_product_link import ACKNOWLEDGED
from .marketplace_product_listing import new_reading
from .marketplace_product_offer import DECIDES

# So many products are looked for one by one; for more, reading all listings takes fewer calls.
LOOKUPS = 20
CHECKED_AT_ONCE = 500
# What was sent so long ago without an answer, while nobody sends, was sent by a job that died.
DOUBT_AFTER = timedelta(minutes=1)
# A call without an answer may be carried out late, behind what was sent and taken since; hardly after this.
LATE_FOR = timedelta(minutes=2)
# When so many answers are the same refusal and no listing is taken, it is not about the listings.
SAME_REFUSALS = 10
# After so many pauses it is believed all the same, and each listing says so.
PAUSES = 5


@dataclass
class Caution:
    """What the runs of the pusher before this one came to: failures in a row, and what was said last."""

    failures: int
    reason: str


class MarketplaceConfig(models.Model):
    """How prices and stock travel to the marketplace, and how its listings are found."""

    _inherit = "marketplace.config"

    # -- prices and stock -----------------------------------------------------------------------

    def _job_push(self):
        """Send what marked listings should show, until no mark waits."""
        with self._locked("push"):
            caution = Caution(*self._committed("_push_trouble"))
            self._until_done("push", partial(self._push_batch, caution))

    def _push_trouble(self):
        state = self._state("push")
        return state.failures, state.pause_reason or ""

    def _push_batch(self, caution):
        """Claim, call, keep the answers: three steps, no transaction open during the call.

        :param Caution caution: forgotten as soon as a listing is taken
        :return: whether to go on
        """
        offers = self._committed("_claim_offers")
        if not offers:
            return offers is not None
        results = []
        try:
            self._deliver_cautiously(list(offers.values()), results, caution)
        except MarketplaceError as error:
            self._committed("_fail_push", offers, results, error)
            return False
        self._committed("_note_results", offers, results)
        return True

    def _claim_offers(self):
        """Take the next marks and read the values of now.

        :return: {link id: ProductUpdate} of what has to be sent; None when no mark waits
        """
        if not self._may_work("push"):
            return None
        marks = self.env["marketplace.mark"]._take(self, self._dialect().batch_size)
        if not marks:
            self._state("push")._succeed()
            return None
        kinds = {link_id: {kind for kind, _cause in marked} for link_id, marked in marks.items()}
        # Superuser: a product may have gone to another company; its listing has to be emptied all the same.
        links = self.env["marketplace.product.link"].sudo().browse(kinds).exists()
        links.fetch(DECIDES)
        due = links.filtered(lambda link: link.state == "linked" and not link.is_paused)._claim(kinds)
        self.env["marketplace.product.history"]._note_sent(due, marks)
        # Less goes first: what is sold out must not be sold once more meanwhile.
        return dict(sorted(due.items(), key=lambda item: (item[1].quantity is None, item[1].quantity or 0)))

    def _deliver_cautiously(self, updates, results, caution):
        """Send updates; after trouble one alone at first, to see whether it is over.

        :param list results: see :meth:`_deliver`
        """
        if caution.failures:
            self._deliver(updates[:1], results, caution)
            if results[0].ok:
                caution.failures = 0
                self._committed("_forget_trouble")
        self._deliver(updates[len(results) :], results, caution)

    def _forget_trouble(self):
        self._state("push")._resume()

    def _check_refusals(self, results, caution):
        """Take it for an outage when everything is refused for one reason; nothing of it is the listings'.

        :param list results: emptied before the error: all is sent again
        :raise Unavailable: the work pauses, and begins with one listing
        """
        reasons = {result.reason for result in results if result.ok is False}
        if len(reasons) != 1 or any(result.ok is not False for result in results):
            return
        problem = _("Everything is refused for one reason: %s", reasons.pop())
        enough = 1 if problem == caution.reason else SAME_REFUSALS
        if len(results) >= enough and caution.failures < PAUSES:
            results.clear()
            raise Unavailable(problem)

    def _deliver(self, updates, results, caution):
        """Send updates; what is refused as a whole is halved until the bad ones are alone.

        :param list results: gets one ItemResult per update, in order; those before an error are good
        """
        if not updates:
            return
        try:
            results += self.env["marketplace.api"]._update_products(self, updates)
        except CredentialsRefused:
            raise
        except Refused as error:
            if len(updates) == 1:
                results.append(ItemResult(False, str(error), error.code))
                self._check_refusals(results, caution)
                return
            half = len(updates) // 2
            self._deliver(updates[:half], results, caution)
            self._deliver(updates[half:], results, caution)
        else:
            self._check_refusals(results, caution)

    def _note_results(self, offers, results):
        answers = dict(zip(offers, results, strict=False))
        self.env["marketplace.product.link"]._note_answers(offers, answers)
        self.env["marketplace.product.history"]._note_answers(answers)

    def _fail_push(self, offers, results, error):
        """Mark again what nobody knows the fate of; it is in doubt until it is answered.

        :param results: of the first of the offers, which were answered
        """
        self._note_results(offers, results)
        lost = dict(list(offers.items())[len(results) :])
        self.env["marketplace.mark"]._put_back(self, {key: kinds_of(offer) for key, offer in lost.items()})
        unanswered = dict.fromkeys(lost, ItemResult(None, str(error)))
        self.env["marketplace.product.history"]._note_answers(unanswered)
        links = self.env["marketplace.product.link"].browse(lost).exists()
        # Trouble of the connection is nothing the listings have to do with.
        links.tries = 0
        if not isinstance(error, (CredentialsRefused, TooManyCalls)):
            links.unanswered_at = fields.Datetime.now()
        self._stop("push", error)

    def _forget_acknowledged(self):
        """Forget what the marketplace took: what stands there now was not said to this account."""
        if not self:
            return
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE marketplace_product_link SET price_acknowledged = false, quantity_acknowledged = false"
            " WHERE account_id = ANY(%s) AND (price_acknowledged OR quantity_acknowledged)",
            [self.ids],
        )
        self.env["marketplace.product.link"].invalidate_model()

    # -- listings -------------------------------------------------------------------------------

    def _job_link(self):
        """Look on the marketplace for the products that are looked for; create those that shall be."""
        with self._locked("link"):
            if self._committed("_has_many_lookups"):
                self._wake("listings")
            self._until_done("link", self._look_up)

    def _has_many_lookups(self):
        """Leave many to a reading of all listings, which finds them too."""
        links = self._lookups(LOOKUPS + 1, [("state", "=", "proposed")])
        if len(links) <= LOOKUPS:
            return False
        self._lookups(None, [("state", "=", "proposed")]).looked_up_at = fields.Datetime.now()
        return True

    def _lookups(self, limit, domain=()):
        """Give what is looked for by its key, what was tried least first.

        A listing to be created that was claimed long ago lost its job; in shadow it waits.
        """
        return self.env["marketplace.product.link"].search(
            [
                ("account_id", "=", self.id),
                ("state", "in", ("proposed", "wanted") if self.state == "live" else ("proposed",)),
                ("key", "!=", False),
                ("external_id", "=", False),
                "|",
                ("looked_up_at", "=", False),
                "&",
                ("state", "=", "wanted"),
                ("looked_up_at", "<", fields.Datetime.now() - DOUBT_AFTER),
                *domain,
            ],
            order="tries, id",
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
                created = self.env["marketplace.api"]._create_product(self, new)
                found = [replace(created, key=key)]
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
        link.write({"looked_up_at": fields.Datetime.now(), "tries": link.tries + 1, "reason": False})
        return link.id, link.key, link._prepare_listing() if link.state == "wanted" else None

    def _find_listings(self, key):
        """Read the listings with the seller's key; not every marketplace filters exactly."""
        pages = self.env["marketplace.api"]._read_products(self, key)
        return [listing for page in pages for listing in page.rows if listing.key == key]

    def _match_lookup(self, link_id, listings):
        """Link what was found for a key; say how it ended where it did not end with a link."""
        links = self.env["marketplace.product.link"]
        reading = new_reading()
        links._match(self, listings, reading)
        links._link_by_key(self, reading)
        link = links.browse(link_id).exists()
        if not link or link.state == "linked":
            return
        known = links._find_all(self, "external_id", {listing.product_id for listing in listings})
        if len(listings) == 1 and any(other.state == "linked" for other in known.values()):
            link.reason = _("The listing with this key belongs to another product.")
        link.write({"state": "proposed", "tries": 0})  # not there: the daily reading looks again

    def _refuse_lookup(self, link_id, reason):
        self.env["marketplace.product.link"].browse(link_id).exists().write(
            {"state": "proposed", "reason": reason, "tries": 0}
        )

    def _fail_lookup(self, link_id, error):
        self.env["marketplace.product.link"].browse(link_id).exists().looked_up_at = False
        self._stop("link", error)

    # -- what no hook sees ----------------------------------------------------------------------

    @api.model
    def _cron_check(self):
        """Have all figures computed anew: exchange and tax rates leave no mark by themselves."""
        self.search([("state", "in", self.WORKING_STATES)])._wake("check")

    def _job_check(self):
        """Mark the listings whose figures are no longer what the marketplace acknowledged. No calls."""
        with self._locked("check"):
            self._until_done("check", partial(self._committed, "_check_links"))

    def _check_links(self):
        """Compare the next batch of listings; another job goes on behind the last one.

        :return: whether there are more
        """
        state = self._state("check")
        if not (self._may_work("check") and self._may_work("push")):
            # While nothing is sent, marks would only pile up: all is compared when it goes on.
            state.cursor = False
            return False
        domain = [
            ("account_id", "=", self.id),
            ("state", "=", "linked"),
            ("is_paused", "=", False),
            ("id", ">", int(state.cursor or 0)),
        ]
        batch = self.env["marketplace.product.link"].sudo().search(domain, order="id", limit=CHECKED_AT_ONCE)
        if not batch:
            state._succeed(cursor=False)
            return False
        self.env["marketplace.mark"].sudo()._put_back(self, batch._outdated(), "found")
        self._wake("push")
        state.cursor = str(batch[-1].id)
        return True

    # -- the sweep ------------------------------------------------------------------------------

    def _remark_doubtful(self):
        """Mark again what a job that died may have sent: nobody knows which value stands there.

        The lock tells that no job is at it; it ends with this short transaction. During a pause marks wait.
        """
        if not (self._may_work("push") and self._try_lock("push")):
            return
        self._remark_overtaken()
        doubtful = self.env["marketplace.product.link"].search(
            [
                ("account_id", "=", self.id),
                ("in_doubt", "=", True),
                # A held price is a reason as well, and no reason to forget the stock sent beside it.
                "|",
                ("reason", "=", False),
                ("tries", "<", self.retry_attempts),
                ("sent_at", "<", fields.Datetime.now() - DOUBT_AFTER),
            ]
        )
        hopeless = doubtful.filtered(lambda link: link.tries >= self.retry_attempts)
        hopeless.reason = _("It was sent %s times and never answered.", self.retry_attempts)
        switched = doubtful._switched_kinds()
        kinds = {link.id: switched | link._unanswered_kinds() for link in doubtful - hopeless}
        (doubtful - hopeless).unanswered_at = fields.Datetime.now()
        self.env["marketplace.mark"]._put_back(self, kinds, "again")

    def _remark_overtaken(self):
        """Mark once more what a call without an answer may have undone since; what waits is sent anyway."""
        links = self.env["marketplace.product.link"].search(
            [
                ("account_id", "=", self.id),
                ("in_doubt", "=", False),
                ("unanswered_at", "<", fields.Datetime.now() - LATE_FOR),
            ]
        )
        if links:
            switched = links._switched_kinds()
            links.write({"unanswered_at": False, **{ACKNOWLEDGED[kind]: False for kind in switched}})
            self.env["marketplace.mark"]._put_back(self, dict.fromkeys(links.ids, switched), "late")
