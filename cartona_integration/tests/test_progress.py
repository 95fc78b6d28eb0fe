from odoo.exceptions import UserError

from ..dialects.words import Answer
from .common import ok
from .test_link import LinkCase, listing


class TestProgress(LinkCase):
    """Whoever watches a full sending sees how far it is, pauses it and calls it off."""

    def test_what_is_left_is_counted_once_per_listing(self):
        self.mark_all()
        self.assertEqual((self.rest.unsent_count, self.rest.sent_progress), (1, 0))
        self.push()
        self.rest.invalidate_recordset()
        self.assertEqual((self.rest.unsent_count, self.rest.sent_progress), (0, 100))

    def test_what_a_reading_has_compared_is_no_work_that_is_left(self):
        self.mark_all()
        self.push()
        self.env["marketplace.mark"]._insert_both(self.on_rest, cause="read")
        self.rest.invalidate_recordset()
        self.assertEqual((self.rest.unsent_count, self.rest.sent_progress), (0, 100))

    def test_a_page_follows_what_goes_on_by_itself_only(self):
        self.assertFalse(self.rest.is_under_way)
        self.mark_all()
        self.rest.invalidate_recordset()
        self.assertTrue(self.rest.is_under_way)
        self.rest._state("push")._pause("Wrong token")
        self.rest.invalidate_recordset()
        self.assertFalse(self.rest.is_under_way)
        self.rest._state("push")._pause("No answer", 60)
        self.rest.invalidate_recordset()
        self.assertTrue(self.rest.is_under_way)
        self.rest.action_pause_sending()
        self.assertFalse(self.rest.is_under_way)

    def test_a_reading_is_followed_from_the_moment_it_is_asked_for_to_the_last_proposal(self):
        self.rest._add_job("listings")
        self.assertEqual((self.rest.is_reading, self.rest.is_under_way), (True, True))
        self.env["queue.job"].search([("identity_key", "=", self.rest._job_identity("listings"))]).unlink()
        self.rest.invalidate_recordset()
        self.assertFalse(self.rest.is_under_way)
        self.read_all(listing("TEA-25", "R1"), listing("NOBODYS", "9"))
        self.push()
        self.rest.invalidate_recordset()
        self.assertEqual((self.rest.is_reading, self.rest.unmatched_count), (False, 1))
        self.assertTrue(self.rest.is_under_way)
        self.run_job(self.rest, "match")
        self.assertEqual((self.rest.unmatched_count, self.rest.is_under_way), (0, False))

    def test_a_reading_that_was_refused_is_followed_no_longer(self):
        first = ok({"products": [listing("TEA-25", "R1")], "next_page": 2})
        self.door.will("products", first, Answer(422, {"message": "No"}))
        self.run_job(self.rest, "listings")
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.reading_count, 1)
        self.assertTrue(self.rest.is_reading, "it rests, and may go on")
        self.rest._state("listings").paused_until = "2020-01-01"
        self.rest.invalidate_recordset()
        self.assertFalse(self.rest.is_reading)

    def test_an_account_without_listings_is_done(self):
        self.on_rest.unlink()
        self.assertEqual(self.rest.sent_progress, 100)

    def test_paused_nothing_is_sent_and_nothing_is_lost(self):
        self.rest.action_pause_sending()
        self.tea.list_price = 120
        self.push()
        self.assertFalse(self.sent())
        self.rest.action_resume_sending()
        self.assertIn((self.rest.id, "push"), self.wakeups)
        self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["120.00"])

    def test_paused_orders_go_on(self):
        self.rest.action_pause_sending()
        self.assertTrue(self.rest._may_work("pull"))
        self.assertTrue(self.rest._may_work("steps"))

    def test_called_off_it_watches_again(self):
        self.mark_all()
        self.rest.action_cancel_sending()
        self.push()
        self.assertEqual((self.rest.state, self.sent()), ("shadow", []))

    def test_a_shop_with_orders_is_not_called_off_as_their_statuses_would_be_lost(self):
        order = {"id": "N1", "status": "pending", "total": 10, "customer": {"id": "C1", "name": "Shop"}}
        order |= {"currency": self.rest.currency_id.name, "modified_at": "2026-11-12T10:00:00Z"}
        line = {"id": "1", "sku": "TEA-25", "quantity": 1, "unit_price": 10}
        self.receive(self.rest, {**order, "lines": [line]})
        with self.assertRaises(UserError):
            self.rest.action_cancel_sending()
        self.assertEqual(self.rest.state, "live")

    def test_in_the_middle_of_a_run_the_next_batch_waits(self):
        self.mark_all()
        account = self.rest.with_user(self.rest.user_id)
        account.sudo().action_pause_sending()
        self.env.flush_all()
        self.assertIsNone(account._committed("_claim_offers"))
