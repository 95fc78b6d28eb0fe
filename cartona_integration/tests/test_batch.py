from decimal import Decimal
from unittest.mock import patch

from odoo.tools import mute_logger

from ..models.marketplace_order_processor import MarketplaceOrderProcessor
from .test_inbox import LOGGER, InboxCase
from .test_processor import OrderCase, line


class TestBatch(InboxCase):
    """Orders that arrive together are imported together, and a bad one costs the others little."""

    def send_all(self, *messages):
        self.receive(self.rest, list(messages), run=False)
        with self.counting() as sizes:
            self.run_job(self.rest, "import")
        return sizes

    def counting(self):
        """Give a patch that notes how many orders each attempt to create has."""
        original = MarketplaceOrderProcessor._create_all

        class Counting:
            def __enter__(self):
                self.sizes = []

                def _create_all(processor, account, orders, chosen=None):
                    self.sizes.append(len(orders))
                    return original(processor, account, orders, chosen)

                self.patch = patch.object(MarketplaceOrderProcessor, "_create_all", _create_all)
                self.patch.start()
                return self.sizes

            def __exit__(self, *args):
                self.patch.stop()

        return Counting()

    def test_new_orders_are_created_in_one_go(self):
        sizes = self.send_all(*[self.neutral(f"N{number}") for number in range(8)])
        self.assertEqual((sizes, set(self.states())), ([8], {"done"}))

    def test_a_new_customer_of_several_orders_is_made_once(self):
        self.send_all(self.neutral("A"), self.neutral("B"))
        self.assertEqual(
            len(self.order(self.rest, "A").partner_id | self.order(self.rest, "B").partner_id), 1
        )

    def test_an_unknown_product_costs_one_more_look_and_no_split(self):
        sizes = self.send_all(
            *[self.neutral(f"N{number}") for number in range(8)], self.neutral("X", key="?")
        )
        self.assertEqual(sizes, [9, 8])
        self.assertEqual(self.states("X"), ["hold"])
        self.assertEqual(self.states().count("done"), 8)

    def test_a_total_that_only_odoo_finds_wrong_holds_alone(self):
        row = {**self.neutral("X"), "prices_include_tax": False, "total": 15}
        row["lines"][0]["taxes"] = [{"amount": 5}]
        self.send_all(self.neutral("A"), row, self.neutral("B"))
        self.assertEqual([*self.states("A"), *self.states("X"), *self.states("B")], ["done", "hold", "done"])
        self.assertFalse(self.order(self.rest, "X"))

    def test_an_unreadable_order_is_held_and_the_others_come_in(self):
        self.send_all(self.neutral("A"), {**self.neutral("X"), "total": "much"}, self.neutral("B"))
        self.assertEqual([*self.states("A"), *self.states("X"), *self.states("B")], ["done", "hold", "done"])
        self.assertEqual(self.events(order_id="X").hold_ids.mapped("kind"), ["message"])

    def test_a_bug_on_one_order_fails_that_one(self):
        messages = [self.neutral("BAD"), *[self.neutral(f"N{number}") for number in range(9)]]
        self.receive(self.rest, messages, run=False)
        with self.broken(), self.assertLogs(LOGGER, "ERROR"):
            self.run_job(self.rest, "import")
        self.assertEqual(self.states("BAD"), ["failed"])
        self.assertEqual(self.states().count("done"), 9)

    def test_two_messages_of_one_order_keep_their_order(self):
        self.send_all(
            self.neutral("A", quantity=1), self.neutral("B"), self.neutral("A", "11:00", quantity=4)
        )
        self.assertEqual(self.states("A"), ["done", "done"])
        self.assert_quantity("A", 4)

    def test_a_status_that_came_before_its_order_is_applied_after_it(self):
        status = {"id": "A", "status": "cancelled", "modified_at": "2026-11-12T11:00:00Z"}
        self.receive(self.rest, status, topic="status", run=False)
        self.send_all(self.neutral("A"), self.neutral("B"), self.neutral("C"))
        self.assertEqual(set(self.states()), {"done"})
        self.assertEqual(self.order(self.rest, "A").state, "cancel")
        self.assertEqual(self.order(self.rest, "B").state, "sale")

    @mute_logger("odoo.sql_db")
    def test_a_conflict_halves_the_batch_and_counts_no_try(self):
        self.receive(self.rest, [self.neutral("BAD"), *map(self.neutral, "ABC")], run=False)
        self.raise_times = 1
        with self.raising("40001"), self.counting() as sizes:
            self.run_job(self.rest, "import")
        self.assertEqual(sizes, [4, 2, 2])
        self.assertEqual((set(self.states()), set(self.events().mapped("tries"))), ({"done"}, {1}))


class TestBatchQueries(OrderCase):
    """What an order of five lines costs in a batch of fifty; the figures are upper bounds."""

    SIZE = 50

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.goods = [cls.make_product(f"G{number}") for number in range(20)]
        for product in cls.goods:
            location = cls.rest.warehouse_id.lot_stock_id
            cls.env["stock.quant"]._update_available_quantity(product, location, 10_000)

    def per_order(self, policy):
        """Import a batch and give the SQL statements per order."""
        self.rest.order_policy = policy
        for name in ("warm", "measured"):
            messages = [
                self.message(
                    *[line(row, f"G{(number + row) % 20}") for row in range(5)],
                    id=f"{name}{number}",
                    customer={"id": f"{name}{number}", "name": "Shop", "phone": "+201001234567"},
                    shipping={"street": f"{number} Nile", "city": "Cairo", "country": "EG"},
                )
                for number in range(self.SIZE)
            ]
            self.receive(self.rest, messages, run=False)
            self.env.flush_all()
            self.env.invalidate_all()
            events = self.events().filtered(lambda event: event.state == "new")
            actor = self.rest.with_user(self.rest.user_id).with_company(self.company)
            before = self.env.cr.sql_log_count
            actor._process_events(events.ids)
            actor.env.flush_all()
            count = self.env.cr.sql_log_count - before
        self.assertEqual(set(self.events().mapped("state")), {"done"})
        return count / self.SIZE

    def test_a_draft_order_takes_at_most_16(self):
        self.assertLessEqual(self.per_order("draft"), 16)

    def test_a_confirmed_order_takes_at_most_84(self):
        self.assertLessEqual(self.per_order("confirm"), 84)


class TestTolerance(OrderCase):
    """Cents the account tolerates become a rounding line."""

    def test_a_cent_is_made_up_for_by_a_rounding_line(self):
        order = self.send(total="20.01")
        self.assertEqual((order.amount_total, len(order.order_line)), (20.01, 2))

    def test_without_tolerance_a_cent_holds(self):
        self.rest.total_tolerance = 0
        self.assertHeldWithNothingMade("20.01", total="20.01")

    def test_more_tolerance_lets_a_held_order_in_by_itself(self):
        self.send(total="20.50")
        self.assertHeld("20.50")
        self.rest.total_tolerance = 1
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").amount_total, 20.5)

    def test_an_update_within_the_tolerance_is_taken(self):
        order = self.send()
        self.send(line(quantity="3"), total=str(Decimal("30.01")))
        self.assertEqual(order.amount_total, 30.01)
