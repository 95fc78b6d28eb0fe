import logging
import os

from odoo import _, fields, models, tools

from odoo.addons.queue_job.jobrunner.channels import ChannelManager
from odoo.addons.queue_job.jobrunner.runner import _channels

from .marketplace_traffic import STUCK_AFTER

_logger = logging.getLogger(__name__)

# Variables with which queue_job runs every job at once.
NO_JOBS = ("QUEUE_JOB__NO_DELAY", "TEST_QUEUE_JOB_NO_DELAY")
# Kinds of work that no waiting row tells of, as those of the sweep do.
TOLD_BY_JOB = ("listings", "match", "check")


class MarketplaceConfig(models.Model):
    """What of the server's set-up makes accounts slow, told where people look for the cause."""

    _inherit = "marketplace.config"

    job_runner_missing = fields.Boolean(compute="_compute_job_runner_missing")
    server_advice = fields.Text(compute="_compute_server_advice")

    def _register_hook(self):
        super()._register_hook()
        for line in self._server_advice():
            _logger.warning(line)

    def _compute_job_runner_missing(self):
        for account in self:
            account.job_runner_missing = account._has_stuck_jobs()

    def _compute_server_advice(self):
        self.server_advice = "\n".join(self._server_advice())

    def _mind_job_runner(self, stuck):
        """Ask for help while nobody runs jobs. Superuser: as there."""
        if stuck:
            self._ask_for_help(
                "runner",
                _(
                    "Jobs wait and nobody runs them: all is done slowly, once a minute. Start Odoo with "
                    "workers and with queue_job in server_wide_modules."
                ),
            )
        else:
            self.sudo().activity_unlink(["cartona_integration.activity_runner"])

    def _work_off_jobs(self):
        """Do here what nothing but a job tells of that nobody runs; what is left has a new job then."""
        for kind in TOLD_BY_JOB:
            if self._committed("_take_jobs", kind) or self._committed("_is_left", kind):
                self._work_here(kind)

    def _take_jobs(self, kind):
        """Take jobs nobody runs off the queue, also those that were to resume after a pause.

        :return: whether there was one
        """
        long_ago = fields.Datetime.now() - STUCK_AFTER
        # Superuser: the acting user sees no jobs.
        jobs = (
            self.env["queue.job"]
            .sudo()
            .search(
                [
                    ("state", "=", "pending"),
                    ("model_name", "=", self._name),
                    ("method_name", "=", f"_job_{kind}"),
                    ("date_created", "<", long_ago),
                    "|",
                    ("eta", "=", False),
                    ("eta", "<", long_ago),
                ]
            )
        )
        own = jobs.filtered(lambda job: job.records == self)
        own.write({"state": "done", "date_done": fields.Datetime.now()})
        return bool(own)

    def _is_left(self, kind):
        """Tell whether work stands half done and no job is to go on with it: whoever did it was killed."""
        if self._is_cared_for(kind) or self._state(kind).failures:
            return False
        if kind == "match":
            return self._has_unmatched()
        return kind == "listings" and self._may_work(kind) and bool(self._state(kind).cursor)

    def _server_advice(self):
        """Tell what to set otherwise. It is read from this process: every server tells its own.

        :return: list of texts
        """
        advice = []
        workers, jobs = tools.config["workers"], self._jobs_at_once()
        if workers and jobs >= workers:
            advice.append(
                _(
                    "Jobs may take all %(workers)d workers of this server at once: webhooks and people wait "
                    "for them. Start at least two more workers than jobs, or set channels = root:%(jobs)d.",
                    workers=workers,
                    jobs=max(1, workers - 2),
                )
            )
        found = [name for name in NO_JOBS if os.environ.get(name)]
        if found:
            advice.append(
                _(
                    "%s is set on this server: whoever saves something waits for the marketplace. Start it "
                    "without.",
                    found[0],
                )
            )
        return advice

    def _jobs_at_once(self):
        """Give how many jobs this server's job runner starts at once; 0: it has none, or cannot start."""
        try:
            channels = ChannelManager.parse_simple_config(_channels())
        except ValueError:
            return 0  # the runner says so itself
        return next((channel["capacity"] for channel in channels if channel["name"] == "root"), 1)
