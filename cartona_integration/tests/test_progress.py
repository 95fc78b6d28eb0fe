from odoo.exceptions import UserError

from .test_link import LinkCase


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
