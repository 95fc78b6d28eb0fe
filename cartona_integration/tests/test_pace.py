from unittest.mock import patch

from odoo.exceptions import ValidationError

from ..exceptions import Unavailable
from ..models import marketplace_pace
from ..models.marketplace_pace import PATIENCE, MarketplaceConfig
from .common import ListedCase, taken


class TestPace(ListedCase):
    """Calls per second of an account, all workers together."""

    def setUp(self):
        super().setUp()
        self.rest.calls_per_second = 2
        self.env.flush_all()
        self.waited = []
        self.startPatcher(patch.object(marketplace_pace.time, "sleep", self.waited.append))
        self.door.will("update_products", taken)

    def turns(self, count, account=None):
        return [(account or self.rest)._take_turn() for _number in range(count)]

    def test_each_turn_is_a_part_of_a_second_after_the_last_one(self):
        for number, seconds in enumerate(self.turns(4)):
            self.assertAlmostEqual(seconds, number / 2, delta=0.2)

    def test_an_account_that_rested_goes_at_once(self):
        self.turns(3)
        self.cr.execute("UPDATE marketplace_pace SET next_at = next_at - interval '1 hour'")
        self.assertLessEqual(self.turns(1)[0], 0.01)

    def test_accounts_do_not_wait_for_each_other(self):
        self.cartona.calls_per_second = 2
        self.turns(4)
        self.assertLessEqual(self.turns(1, self.cartona)[0], 0.01)

    def test_a_job_waits_for_its_turn(self):
        self.turns(3)
        self.mark_all()
        self.push()
        [seconds] = self.waited
        self.assertAlmostEqual(seconds, 1.5, delta=0.3)

    def test_what_would_wait_too_long_is_postponed_and_blames_no_listing(self):
        self.turns(2 * PATIENCE + 3)
        self.mark_all()
        self.push()
        self.assertFalse(self.waited or self.door.requests)
        state = self.rest._state("push")
        self.assertTrue(state._is_paused() and state.paused_until)
        self.assertFalse(self.on_rest.reason)
        self.assertEqual(len(self.marks(self.rest)), 2)

    def test_a_turn_that_is_too_far_away_is_not_taken(self):
        self.turns(2 * PATIENCE + 3)
        self.assertIsNone(self.turns(1)[0])
        with self.assertRaises(Unavailable):
            self.rest._await_turn()

    def test_a_person_waits_for_no_turn_and_the_jobs_after_it_do(self):
        with patch.object(MarketplaceConfig, "_is_watched", lambda account: True):
            for _number in range(3):
                self.rest._await_turn()
        self.assertFalse(self.waited)
        self.assertAlmostEqual(self.turns(1)[0], 1.5, delta=0.3)

    def test_without_a_limit_nothing_is_written(self):
        self.rest.calls_per_second = 0
        self.mark_all()
        self.push()
        self.cr.execute("SELECT count(*) FROM marketplace_pace")
        self.assertEqual((self.cr.fetchone()[0], self.waited), (0, []))

    def test_a_new_account_keeps_to_its_marketplaces_limit(self):
        account = self.env["marketplace.config"].create({"name": "New", "code": "new", "dialect": "cartona"})
        self.assertEqual(account.calls_per_second, account._dialect().calls_per_second)

    def test_a_limit_that_would_never_let_anything_through_is_refused(self):
        for limit in (-1, 0.01, 5000):
            with self.assertRaises(ValidationError):
                self.rest.calls_per_second = limit
