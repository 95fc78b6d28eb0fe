import json

from odoo import _, api, fields, models

from ..dialects.words import Request
from ..exceptions import MarketplaceError, Unavailable
from .marketplace_product_listing import new_reading
from .marketplace_traffic import MAX_PAGES, STALE_AFTER


class MarketplaceConfig(models.Model):
    """How all listings of an account are read: page by page, each kept before the next is asked for.

    Where the reading stands is the cursor of its state row, so a job, a restart or a killed server go on
    there: when it began, its number, what it counted, the request for the next page, and, once all pages are
    read, whether what was missed is noted and the last key that was linked.
    """

    _inherit = "marketplace.config"

    reading_count = fields.Integer(
        string="Being Read, So Far",
        compute="_compute_reading_count",
        help="Listings of the reading that is going on. Their products are looked for after the last page.",
    )

    is_reading = fields.Boolean(
        compute="_compute_reading_count", help="All listings are being read, or will be in a moment."
    )

    def _compute_reading_count(self):
        for account in self:
            is_working = account.state in self.WORKING_STATES
            state = account._state("listings") if is_working else account.sync_state_ids.browse()
            # A reading that was refused stands where it is until the next regular one.
            goes_on = state.cursor and (not state.failures or state._resumes())
            account.reading_count = json.loads(state.cursor or "{}").get("received", 0)
            account.is_reading = is_working and bool(goes_on or account._has_job("listings"))

    def _has_job(self, kind):
        """Tell whether a job of this kind waits for its turn or runs."""
        self.env.cr.execute(
            "SELECT 1 FROM queue_job WHERE identity_key = %s AND state IN ('pending', 'enqueued', 'started')"
            " LIMIT 1",
            [self._job_identity(kind)],
        )
        return bool(self.env.cr.rowcount)

    def _job_listings(self):
        """Read all listings: keep each, link those with a known key, note what every one of them shows."""
        with self._locked("listings"):
            self._until_done("listings", self._read_on)

    def _read_on(self):
        """Take the next step of the reading.

        :return: whether there is another one
        """
        course = self._committed("_course")
        if course is None:
            return False
        if not course["request"]:
            return self._committed("_link_read", course)
        try:
            self._check_pages(course)
            asked = fields.Datetime.to_string(fields.Datetime.now())
            page = self.env["marketplace.api"]._read_products_page(self, Request.from_json(course["request"]))
        except MarketplaceError as error:
            self._committed("_stop", "listings", error)
            return False
        return self._committed("_keep_page", course, page.rows, page.next and page.next.as_json(), asked)

    def _course(self):
        """Give where the reading stands; None when nothing may be read now."""
        if not self._may_work("listings"):
            return None
        course = json.loads(self._state("listings").cursor or "{}")
        began = fields.Datetime.to_datetime(course.get("began"))
        if began and began > fields.Datetime.now() - STALE_AFTER:
            return course
        first = self._dialect().products_request().as_json()
        return {
            "began": fields.Datetime.to_string(fields.Datetime.now()), "reading": new_reading(),
            "pages": 0, "received": 0, "linked": 0, "request": first, "after": "",
        }  # fmt: skip

    def _check_pages(self, course):
        if course["pages"] >= MAX_PAGES:
            raise Unavailable(_("The list has more than %s pages", MAX_PAGES))

    def _keep_page(self, course, listings, following, asked):
        """Keep what a page shows.

        :param dict following: the request for the next page
        :param str asked: when this one was asked for, UTC
        :return: True, as linking by key comes after the last page
        """
        links = self.env["marketplace.product.link"]
        course["linked"] += links._match(
            self, listings, course["reading"], fields.Datetime.to_datetime(asked)
        )
        course["received"] += len(listings)
        course["pages"] += 1
        course["request"] = following
        self._keep_course(course)
        return True

    def _link_read(self, course):
        """Link by key what was read: only at the end it is known that a key is one listing's.

        Before that, what was not seen: a listing made anew over there takes the place of the old one.

        :return: whether there is more to link
        """
        links = self.env["marketplace.product.link"]
        if not course.get("missed"):
            began = fields.Datetime.to_datetime(course["began"])
            course["gone"] = links._note_missing(self, began, course["reading"])
            course["missed"] = True
        batch = links._link_by_key(self, course["reading"], course["after"])
        if batch is None:
            self._finish_reading(course)
            return False
        course["after"], linked = batch
        course["linked"] += linked
        self._keep_course(course)
        return True

    def _keep_course(self, course):
        self._state("listings").write({"cursor": json.dumps(course), "failures": 0})

    def _finish_reading(self, course):
        self._log_drift(course["reading"], fields.Datetime.to_datetime(course["began"]))
        self._state("listings")._succeed(cursor=False)
        self._rematch()
        if course.get("gone"):
            self._ask_about_gone()
        if course["linked"]:
            message = _(
                "%(linked)d newly linked of %(received)d listings",
                linked=course["linked"],
                received=course["received"],
            )
            self.env["marketplace.sync.log"].create(
                {
                    "account_id": self.id,
                    "kind": "listings",
                    "received": course["received"],
                    "new": course["linked"],
                    "known": course["received"] - course["linked"],
                    "message": message,
                }
            )

    def action_read_listings(self):
        """Read all listings now: what they show is compared, and new ones are kept."""
        self.filtered(lambda account: account.state in account.WORKING_STATES)._wake("listings")
        return self._notify(_("Reading listings"), _("They appear page by page."), "info")

    @api.model
    def _cron_listings(self):
        """Have all listings read once a day: new ones are linked, what they show is noted."""
        self.search([("state", "in", self.WORKING_STATES)])._wake("listings")
