from unittest.mock import patch

from odoo import Command

from odoo.addons.stock.models.stock_move import StockMove

from ..compat import SERVICE
from .test_processor import OrderCase, line

FEW, MORE, MANY = 8, 16, 32


class LargeOrderCase(OrderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stock = cls.rest.warehouse_id.lot_stock_id
        for number in range(MANY):
            product = cls.make_product(f"P{number}")
            cls.env["stock.quant"]._update_available_quantity(product, stock, 1000)

    def lines(self, count, quantity="4", price="10.00"):
        return [line(number, f"P{number}", quantity, price) for number in range(count)]

    def line_steps(self, order):
        return order.marketplace_step_ids.filtered(lambda step: step.kind == "lines")


class TestLargeOrders(LargeOrderCase):
    """What a message costs grows with its lines, not with their square: a worker has so much time only."""

    def statements(self, count, **values):
        """Give how many it takes to change all of an order's lines."""
        # With a day of delivery changed lines find their moves, whatever the clock says.
        order = {"id": f"R{count}", "delivery_date": "2026-12-01"}
        self.send(*self.lines(count), **order)
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.cr.sql_log_count
        self.send(*self.lines(count, **values), **order)
        self.env.flush_all()
        self.assertEqual(self.last_event().state, "done", self.last_event().reason)
        return self.cr.sql_log_count - before

    def assertGrowsWithTheLines(self, **values):
        """Expect each line to cost the same, however many there are."""
        self.statements(1, **values)  # what is looked up once is known from now on
        few, more, many = (self.statements(count, **values) for count in (FEW, MORE, MANY))
        twice = (MANY - MORE) / (MORE - FEW)
        self.assertLess(many - more, 1.15 * twice * (more - few) + 20, (few, more, many))

    def test_raised_quantities(self):
        self.assertGrowsWithTheLines(quantity="6")

    def test_lowered_quantities(self):
        self.assertGrowsWithTheLines(quantity="3")

    def test_quantities_of_a_delivery_in_two_steps(self):
        self.rest.warehouse_id.delivery_steps = "pick_ship"
        self.assertGrowsWithTheLines(quantity="6")

    def test_quantities_of_a_quotation(self):
        self.rest.order_policy = "draft"
        self.assertGrowsWithTheLines(quantity="6")

    def test_prices(self):
        self.assertGrowsWithTheLines(price="12.00")


class TestLinesTogether(LargeOrderCase):
    """Lines that change together are looked at, moved and told together."""

    def test_goods_are_looked_for_once(self):
        self.send(*self.lines(MANY))
        lines = self.env.registry["sale.order.line"]
        launch = lines._action_launch_stock_rule
        with patch.object(lines, "_action_launch_stock_rule", autospec=True, side_effect=launch) as launched:
            self.send(*self.lines(MANY, "6"))
        self.assertEqual(self.last_event().state, "done")
        calls = [
            call for call in launched.call_args_list if not call.args[0].env.context.get("skip_procurement")
        ]
        self.assertEqual([len(call.args[0]) for call in calls], [MANY])

    def test_raised_lowered_removed_and_added_lines_move_what_the_order_says(self):
        before = {0: "4", 1: "4", 2: "4", 3: "4"}
        after = {0: "6", 1: "1", 3: "4", 4: "2"}
        order = self.send(*[line(number, f"P{number}", quantity) for number, quantity in before.items()])
        self.send(*[line(number, f"P{number}", quantity) for number, quantity in after.items()])
        moves = order.picking_ids.move_ids.filtered(lambda move: move.state != "cancel")
        moved = {move.product_id.name: (move.product_uom_qty, move.state) for move in moves}
        self.assertEqual(
            moved, {f"P{number}": (float(quantity), "assigned") for number, quantity in after.items()}
        )

    def test_whoever_buys_is_asked_about_lowered_lines_and_not_about_what_is_cancelled(self):
        def documents(move, visited):
            """Take the transfer for what the goods come from, as a purchase would be."""
            return [(move.picking_id, self.env.user, visited)]

        self.env["product.product"].create({"name": "Fee", "cartona_id": "FEE", "taxes_id": False, **SERVICE})
        fee = line(2, "FEE", "1")
        with patch.object(StockMove, "_get_upstream_documents_and_responsibles", documents):
            for quantity, asked in (("3", 1), ("0", 0)):
                order = self.send(line(1, "P1", "4"), fee, id=f"R{quantity}")
                self.send(line(1, "P1", quantity), fee, id=f"R{quantity}")
                self.assertEqual(order.order_line[0].product_uom_qty, float(quantity))
                self.assertEqual(len(order.picking_ids.activity_ids), asked, quantity)

    def test_what_a_message_changes_is_compared_once(self):
        self.send(*self.lines(MANY))
        orders = self.env.registry["sale.order"]
        compare = orders._marketplace_changes
        with patch.object(orders, "_marketplace_changes", autospec=True, side_effect=compare) as compared:
            self.send(*self.lines(MANY, "6"))
        self.assertEqual(self.last_event().state, "done")
        self.assertLessEqual(compared.call_count, 1)

    def test_what_a_person_changes_together_is_told_together(self):
        order = self.send(*self.lines(2))
        order.write(
            {
                "order_line": [
                    Command.update(order.order_line[0].id, {"product_uom_qty": 5}),
                    Command.update(order.order_line[1].id, {"price_unit": 9}),
                ]
            }
        )
        self.assertEqual(self.line_steps(order).mapped("state"), ["new"])
        self.assertEqual(len(order._marketplace_changes()), 2)

    def test_saving_what_the_marketplace_does_not_show_tells_nothing(self):
        order = self.send(*self.lines(2))
        order.write({"order_line": [Command.update(row.id, {"name": "Other"}) for row in order.order_line]})
        self.assertFalse(self.line_steps(order))

    def test_a_step_looks_at_the_whole_order_once(self):
        order = self.send(*self.lines(MANY))
        order.order_line.product_uom_qty = 5
        step = self.line_steps(order)
        orders = self.env.registry["sale.order"]
        with (
            patch.object(orders, "_are_deliveries_over", autospec=True, return_value=False) as looked,
            patch.object(orders, "_told_changes", autospec=True, return_value=[]) as told,
        ):
            step._settle_by_known()
            step._claim_changes()
        self.assertLess(looked.call_count + told.call_count, MANY)
        self.assertEqual([change["quantity"] for change in step.changes], [5] * MANY)
