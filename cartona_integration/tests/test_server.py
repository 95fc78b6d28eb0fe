from unittest.mock import patch

from odoo.tools import config

from .common import MarketplaceCase

MODELS = "odoo.addons.cartona_integration.models"


class TestServerAdvice(MarketplaceCase):
    """What of the server's set-up makes everything slow is told on the account and in the log."""

    def advice(self, workers=4, channels="root:2", **environment):
        with (
            patch.dict(config.options, {"workers": workers}),
            patch(f"{MODELS}.marketplace_server._channels", return_value=channels),
            patch.dict(f"{MODELS}.marketplace_server.os.environ", environment),
        ):
            self.rest.invalidate_recordset(["server_advice"])
            return self.rest.server_advice

    def test_a_server_that_is_set_up_well_gets_none(self):
        for channels in ("root:2", "root:3", "root", "root:0", "sub:5", "no: number"):
            self.assertFalse(self.advice(channels=channels), channels)

    def test_jobs_that_may_take_all_workers_are_told_with_what_to_set(self):
        for channels, workers in (("root:4", 4), ("root:9,root.sub:1", 4), ("root", 1)):
            told = self.advice(channels=channels, workers=workers)
            self.assertIn(f"all {workers} workers", told)
            self.assertIn(f"root:{max(1, workers - 2)}", told)

    def test_threads_need_none(self):
        self.assertFalse(self.advice(workers=0, channels="root:9"))

    def test_jobs_that_are_no_jobs_are_told(self):
        for name in ("QUEUE_JOB__NO_DELAY", "TEST_QUEUE_JOB_NO_DELAY"):
            self.assertIn(name, self.advice(**{name: "1"}))

    def test_it_is_in_the_log_when_the_server_starts(self):
        with (
            patch.dict(f"{MODELS}.marketplace_server.os.environ", QUEUE_JOB__NO_DELAY="1"),
            self.assertLogs(f"{MODELS}.marketplace_server", "WARNING") as caught,
        ):
            self.env["marketplace.config"]._register_hook()
        self.assertIn("QUEUE_JOB__NO_DELAY", caught.output[0])
