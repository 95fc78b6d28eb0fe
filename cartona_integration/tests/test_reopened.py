from .common import ok
from .test_delivery import DeliveryCase


class TestGoesOn(DeliveryCase):
    """A marketplace that goes on with what it had let us cancel is seen at once, and goes on here, too."""

    def cancelled(self, account=None, order_id="N1"):
        """Give an order that was cancelled here, and whose cancellation the marketplace took."""
        order = self.confirmed(account, order_id)
        self.cancel(order)
        self.send(account)
        self.assertEqual((order.state, order.marketplace_status), ("cancel", "cancelled"))
        return order

    def assertAsked(self, order, status):
        self.assertEqual(order.marketplace_sync_status, "error")
        self.assertIn(f"goes on with it: {status}", order.marketplace_error_message)

    def test_goods_that_leave_after_our_cancellation_are_asked_about(self):
        for status, label in (("partially_shipped", "Partially shipped"), ("shipped", "Shipped")):
            order = self.cancelled(order_id=status)
            self.arrive(status, status, modified_at="2026-11-12T11:00:00Z")
            self.assertAsked(order, label)

    def test_without_a_time_it_is_what_the_list_shows(self):
        order = self.cancelled(self.cartona)
        self.door.will("acknowledge", ok())
        self.pull(self.cartona, [self.message(self.cartona, "N1", "shipped")])
        self.assertAsked(order, "Shipped")

    def test_what_we_told_ourselves_may_come_back_late(self):
        self.rest.delivery_policy = "shipped"
        order = self.confirmed()
        self.ship(order)
        self.send()
        self.cancel(order)
        self.step(order).action_process_again()
        self.send()
        self.assertEqual(order.marketplace_status, "cancelled")
        self.arrive(status="shipped", modified_at="2026-11-12T11:00:00Z")
        self.assertEqual((order.marketplace_sync_status, order.marketplace_status), ("synced", "cancelled"))

    def test_that_it_took_our_cancellation_settles_what_was_asked(self):
        order = self.cancelled()
        for topic in ("orders", "status"):
            told = self.message(self.rest, "N1", "shipped", modified_at="2026-11-12T11:00:00Z")
            self.receive(self.rest, told, topic)
        self.assertAsked(order, "Shipped")
        self.arrive(status="cancelled", modified_at="2026-11-12T11:30:00Z")
        self.assertEqual((order.state, order.marketplace_sync_status), ("cancel", "synced"))

    def test_a_person_lets_it_go_on(self):
        for account, is_echoed in ((self.rest, False), (self.rest, True), (self.cartona, False)):
            order = self.cancelled(account, f"N{is_echoed}")
            if is_echoed:
                self.arrive(order.cartona_id, "cancelled", modified_at="2026-11-12T10:30:00Z")
            told = self.message(account, order.cartona_id, "shipped", modified_at="2026-11-12T11:00:00Z")
            self.door.will("acknowledge", ok())
            self.pull(account, [told] if account == self.cartona else {"orders": [told], "next_page": None})
            event = order.marketplace_event_ids.filtered(lambda event: event.state == "hold")
            order.action_draft()
            event.action_process_again()
            self.run_job(account, "import")
            self.assertEqual((order.state, order.marketplace_status), ("sale", "shipped"))
            self.assertEqual(order.marketplace_sync_status, "synced")
            self.ship(order)
            self.send(account)
            self.assertEqual(order.marketplace_status, "delivered")
