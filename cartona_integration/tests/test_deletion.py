from odoo.exceptions import UserError

from .test_steps import StepsCase


class TestDeletion(StepsCase):
    """An order the marketplace goes on with is not deleted: it would wait there for ever, or come in anew."""

    def test_a_quotation_is_cancelled_instead(self):
        order = self.arrive()
        with self.assertRaisesRegex(UserError, "Pending"):
            order.unlink()
        self.cancel(order)
        with self.assertRaises(UserError):
            order.unlink()
        self.send()
        order.unlink()
        self.assertFalse(order.exists())

    def test_what_is_over_there_may_be_deleted_and_does_not_come_back(self):
        for account in (self.rest, self.cartona):
            order = self.arrive(account=account)
            self.cancel(order)
            self.send(account)
            order.unlink()
            self.arrive(status="cancelled", account=account, modified_at="2026-11-12T11:00:00Z")
            self.assertFalse(self.order(account, "N1"))
            self.assertIn("deleted", self.events(account)[-1].reason)

    def test_where_no_marketplace_hears_of_it_it_may_be_deleted(self):
        for values in ({"state": "shadow"}, {"state": "draft"}, {"active": False}):
            order = self.arrive()
            self.rest.write(values)
            order.unlink()
            self.assertFalse(order.exists())
            self.rest.write({"state": "live", "active": True})
