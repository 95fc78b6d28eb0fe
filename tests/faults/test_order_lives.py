"""Orders live whole lives while both sides act, calls fail and workers die: both tell one story at the end.

Each life is a row of a table: what happens here, and what the marketplace must show then. The table is the
reference; whatever order things arrive in, nothing may be lost, come twice or out of turn.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from ..system.harness import wait_for
from ..system.test_statuses import Orders, reopen
from .common import SEED, Trouble, shorten_pauses, size

LIVES = size("ORDER_LIVES", 1000)
AT_ONCE = 100  # orders of both marketplaces that live at the same time
KILLS = 2  # of all workers at once, in the first portions
RECOVERY = 300  # seconds
SHARE = 0.03  # of the calls go wrong; each pauses its account for two seconds
AMOUNT, LESS = 10, 6  # ordered, and what a part or an edit is
FAULTS = [
    (4, "429", {"retry_after": 1}),
    (3, "500", {}),
    (2, "timeout_after", {"seconds": 3}),
    (1, "timeout_before", {"seconds": 3}),
    (2, "not_json", {}),
    (1, "cut", {}),
    (1, "422", {"message": "not today"}),
]
WORDS = {
    "rest": {word: word for word in ("confirmed", "shipped", "delivered", "cancelled", "returned")}
    | {"part": "partially_shipped"},
    "cartona": {
        "confirmed": "approved",
        "shipped": "assigned_to_salesman",
        "delivered": "delivered",
        "cancelled": "cancelled_by_supplier",
    },
}
OPERATIONS = {"rest": ("status", "lines"), "cartona": ("status", "order_details")}


@dataclass
class Life:
    """What people do here, in turn, and what the marketplace shows then; of what is over no amount counts."""

    acts: tuple
    shows: tuple
    amount: int | None = AMOUNT
    edits: int = 0
    only: str = None  # a marketplace that can tell this


CONFIRM, EDIT, PART, REST, WHOLE, SHORT, CANCEL, BACK = range(8)
DELIVERED = ("confirmed", "shipped", "delivered")
LIVES_LED = [
    Life((CONFIRM,), ("confirmed",)),
    Life((CONFIRM, WHOLE), DELIVERED),
    Life((CONFIRM, WHOLE), DELIVERED),
    Life((CONFIRM, PART, REST), ("confirmed", "part", "shipped", "delivered"), only="rest"),
    Life((CONFIRM, PART, REST), DELIVERED, only="cartona"),
    Life((CONFIRM, SHORT), DELIVERED, LESS, 1),
    Life((CONFIRM, EDIT), ("confirmed",), LESS, 1),
    Life((EDIT, CONFIRM, WHOLE), DELIVERED, LESS, 1),
    Life((CONFIRM, EDIT, WHOLE), DELIVERED, LESS, 1),
    Life((CONFIRM, EDIT, CANCEL), ("confirmed", "cancelled"), None),
    Life((CONFIRM, CANCEL), ("confirmed", "cancelled")),
    Life((CANCEL,), ("cancelled",)),
    Life((CONFIRM, WHOLE, BACK), (*DELIVERED, "returned"), only="rest"),
]


@dataclass
class Portion:
    """Orders of one shop that live at the same time; what many do in the same turn is one call to Odoo."""

    shop: object
    rng: random.Random
    count: int
    orders: Orders = None
    lives: dict = field(default_factory=dict)

    def begin(self):
        self.orders = Orders(self.shop, None)
        self.orders.products = [{"key": "TEA-25", "price": "250.00"}]
        fitting = [life for life in LIVES_LED if life.only in (None, self.shop.dialect)]
        ids = self.place()
        self.lives = {order_id: self.rng.choice(fitting) for order_id in ids}
        self.numbers = dict(self.shop.orders("cartona_id, id", f"cartona_id IN {as_tuple(ids)}"))

    def place(self):
        """Have orders of AMOUNT made over there, and wait until they are here."""
        made = self.shop.post("order_factory", {"count": self.count, "products": self.orders.products})
        ids = [row.get("hashed_id") or row["id"] for row in made]
        self.shop.post("orders", [with_amount(row, AMOUNT) for row in made])
        self.shop.post("push", {"orders": ids, "topic": "orders", "wait": 120})
        wait_for(lambda: set(ids) <= self.orders.here(), 120, f"{len(ids)} orders are here")
        return ids

    def turn(self, number):
        """Let everybody do what comes next in his life, kind by kind in any order."""
        kinds = {}
        for order_id, life in self.lives.items():
            if number < len(life.acts):
                kinds.setdefault(life.acts[number], []).append(self.numbers[order_id])
        for kind in self.rng.sample(sorted(kinds), len(kinds)):
            ACTS[kind](self, kinds[kind])

    def rpc(self, *args, **kwargs):
        return self.shop.server.rpc(*args, **kwargs)

    def confirm(self, orders):
        self.rpc("sale.order", "action_confirm", orders)

    def cancel(self, orders):
        self.rpc("sale.order", "action_cancel", orders, context={"disable_cancel_warning": True})

    def edit(self, orders):
        lines = self.shop.server.sql("SELECT id FROM sale_order_line WHERE order_id = ANY(%s)", [orders])
        self.rpc("sale.order.line", "write", [line for [line] in lines], {"product_uom_qty": LESS})

    def moves(self, orders, state="NOT IN ('done', 'cancel')"):
        return self.shop.server.sql(
            "SELECT move.id, move.picking_id, move.product_uom_qty FROM stock_move move"
            " JOIN sale_order_line line ON line.id = move.sale_line_id"
            f" WHERE line.order_id = ANY(%s) AND move.state {state}",
            [orders],
        )

    def deliver(self, orders, quantity=None, backorder=True):
        by_quantity, pickings = {}, []
        for move, picking, wanted in self.moves(orders):
            by_quantity.setdefault(float(quantity or wanted), []).append(move)
            pickings.append(picking)
        for wanted, moves in by_quantity.items():
            self.rpc("stock.move", "write", moves, {"quantity": wanted, "picked": True})
        context = {"skip_backorder": True, "skip_sms": True}
        if not backorder:
            context["picking_ids_not_to_backorder"] = pickings
        self.rpc("stock.picking", "button_validate", pickings, context=context)

    def give_back(self, orders):
        for _move, picking, _quantity in self.moves(orders, "= 'done'"):
            context = {"active_id": picking, "active_ids": [picking], "active_model": "stock.picking"}
            wizard = self.rpc("stock.return.picking", "create", {"picking_id": picking}, context=context)
            [found] = self.rpc("stock.return.picking", "read", [wizard], ["product_return_moves"])
            lines = found["product_return_moves"]
            self.rpc("stock.return.picking.line", "write", lines, {"quantity": AMOUNT})
            made = self.rpc("stock.return.picking", RETURN[self.shop.server.odoo.series], [wizard])
            moves = self.shop.server.sql("SELECT id FROM stock_move WHERE picking_id = %s", [made["res_id"]])
            moves = [move for [move] in moves]
            self.rpc("stock.move", "write", moves, {"quantity": AMOUNT, "picked": True})
            self.rpc("stock.picking", "button_validate", [made["res_id"]])

    # -- what became of them -------------------------------------------------------------------

    def steps(self):
        return self.shop.server.sql(
            "SELECT sale_order_id, state FROM marketplace_order_step WHERE sale_order_id = ANY(%s)",
            [list(self.numbers.values())],
        )

    def settle(self):
        """Have a person try again what was refused for a moment.

        :return: whether all is told
        """
        steps = self.steps()
        stopped = sorted({order for order, state in steps if state in ("failed", "hold")})
        if stopped:
            self.rpc("sale.order", "action_marketplace_sync", stopped)
        time.sleep(1)
        shorten_pauses([self.shop])
        return all(state in ("done", "ignored") for _order, state in steps)

    def wanted(self, order_id):
        life, words = self.lives[order_id], WORDS[self.shop.dialect]
        return [words[status] for status in life.shows], life.amount

    def differing(self):
        """Give {order id: (wanted, found)} of what the marketplace shows and should not."""
        rows = self.shop.simulator.control("GET", f"accounts/{self.shop.code}/orders")
        found = {}
        for row in rows:
            payload = row["order"]
            order_id = payload.get("hashed_id") or payload["id"]
            if order_id in self.lives:
                statuses = [step["status"] for step in row["history"]][1:]
                amount = self.lives[order_id].amount
                found[order_id] = statuses, amount and amount_of(payload)
        return {
            order_id: (self.wanted(order_id), found.get(order_id))
            for order_id in self.lives
            if found.get(order_id) != self.wanted(order_id)
        }

    def changes(self):
        return sum(len(life.shows) + life.edits for life in self.lives.values())

    def perhaps(self):
        """Count edits that are told or not, as the cancellation comes later or sooner."""
        return sum(life.amount is None for life in self.lives.values())


ACTS = {
    CONFIRM: Portion.confirm,
    EDIT: Portion.edit,
    PART: lambda portion, orders: portion.deliver(orders, LESS),
    REST: Portion.deliver,
    WHOLE: Portion.deliver,
    SHORT: lambda portion, orders: portion.deliver(orders, LESS, backorder=False),
    CANCEL: Portion.cancel,
    BACK: Portion.give_back,
}
RETURN = {"17.0": "create_returns", "19.0": "action_create_returns"}


def as_tuple(ids):
    return "(" + ", ".join(f"'{order_id}'" for order_id in ids) + ")"


def with_amount(payload, amount):
    """Give a made order with this amount of its one line."""
    if "order_details" in payload:
        [line] = payload["order_details"]
        lines = [line | {"amount": amount}]
        return payload | {"order_details": lines, "total_price": float(line["selling_price"]) * amount}
    [line] = payload["lines"]
    lines = [line | {"quantity": str(amount), "discount": "0.00"}]
    return payload | {"lines": lines, "charges": [], "total": f"{float(line['unit_price']) * amount:.2f}"}


def amount_of(payload):
    lines = payload.get("order_details") or payload["lines"]
    return sum(int(float(line.get("amount") or line["quantity"])) for line in lines)


def calls_of(shops):
    return [
        call
        for shop in shops
        for operation in OPERATIONS[shop.dialect]
        for call in shop.simulator.control("GET", "calls", account=shop.code, operation=operation)
    ]


def test_lives_of_orders_end_as_the_reference_says(open_shop, products, server, show):
    shops = [open_shop(dialect, timeout=2, order_policy="draft") for dialect in ("cartona", "rest")]
    reopen(shops[0], own_changes="listed")
    rng, begun, killed = random.Random(SEED), time.monotonic(), 0
    troubles = [Trouble(shops, "status", FAULTS, SHARE), *(
        Trouble([shop], OPERATIONS[shop.dialect][1], FAULTS, SHARE) for shop in shops
    )]  # fmt: skip
    for trouble in troubles:
        trouble.start()
    portions, wrong = [], {}
    for start in range(0, LIVES, AT_ONCE):
        count = min(AT_ONCE, LIVES - start) // len(shops)
        living = [Portion(shop, rng, count) for shop in shops]
        for portion in living:
            portion.begin()
        for number in range(max(len(life.acts) for life in LIVES_LED)):
            for portion in living:
                portion.turn(number)
        if killed < KILLS:
            server.kill_workers()
            wait_for(server.answers, 60, "the server answers again")
            killed += 1
        portions += living
    for portion in portions:
        wait_for(portion.settle, RECOVERY, f"all is told: {Counter(state for _o, state in portion.steps())}")
        wrong |= portion.differing()
    for trouble in troubles:
        trouble.end()
    took, calls = time.monotonic() - begun, calls_of(shops)
    struck = sum(1 for call in calls if call["fault"])
    for shop in shops:
        ids = [order_id for portion in portions if portion.shop == shop for order_id in portion.lives]
        shop.post("push", {"orders": ids, "topic": "orders", "wait": 120, "duplicates": 1, "reorder": True})
        shop.pull()
    time.sleep(3)
    for shop in shops:
        wait_for(lambda shop=shop: no_event_waits(shop), 120, "echoes are read")
    echoes = len(calls_of(shops)) - len(calls)
    changes = sum(portion.changes() for portion in portions)
    lives = sum(len(portion.lives) for portion in portions)
    show(
        f"{lives} lives of orders, {changes} changes in {took:.0f} s (seed {SEED}): {len(calls)} calls, "
        f"{struck} went wrong, {killed} kills, {len(wrong)} ended otherwise, {echoes} echoes"
    )
    assert not wrong, f"wanted and found: {dict(list(wrong.items())[:5])}"
    assert not echoes, "an echo was answered with a call"
    most = changes + sum(portion.perhaps() for portion in portions) + struck + 2 * killed
    assert changes <= len(calls) <= most, "one call per change, and one per trouble"


def no_event_waits(shop):
    return all(state not in ("new", "failed") for [state] in shop.events())
