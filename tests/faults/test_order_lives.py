"""Orders live whole lives while both sides act, calls fail and workers die: both tell one story at the end.

What happens in a life, and how it has to end, says ``order_model.py``.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from ..simulator.state import DEFAULT_OTP
from ..system.harness import RECOVERY, wait_for
from ..system.test_statuses import Orders, reopen
from . import order_model as model
from .common import SEED, Trouble, shorten_pauses, size
from .order_model import Both, Here, Theirs, There

LIVES = size("ORDER_LIVES", 1000)
AT_ONCE = size("ORDERS_AT_ONCE", 100)  # orders of both marketplaces that live at the same time
KILLS = 2  # of all workers at once, in the first portions
ENDING = max(300, LIVES // 4)  # seconds; people enter one code after the other
SHARE = 0.03  # of the calls go wrong; each pauses its account for two seconds
ECHOED = 0.3  # of the orders are told to us again after each turn, whatever happened to them
TOLD_AT_ONCE = 0.5  # of what they do while we act; the rest is told when we have acted
PUSHED = 0.8  # of what they do is told by webhook; the list tells of all
FAULTS = [
    (4, "429", {"retry_after": 1}),
    (3, "500", {}),
    (2, "timeout_after", {"seconds": 3}),
    (1, "timeout_before", {"seconds": 3}),
    (2, "not_json", {}),
    (1, "cut", {}),
    (1, "422", {"message": "not today"}),
]
OPERATIONS = {"rest": ("status", "lines"), "cartona": ("status", "order_details")}
#: the fields of an order with its lines, of a line with its amount
LINES = {"rest": ("lines", "quantity", str), "cartona": ("order_details", "amount", int)}


@dataclass
class Portion:
    """Orders of one shop that live at the same time; what many do in the same turn is one call to Odoo."""

    shop: object
    rng: random.Random
    count: int
    orders: Orders = None
    lives: dict = field(default_factory=dict)  # the marketplace's id of an order -> its life
    numbers: dict = field(default_factory=dict)  # ... -> the id here
    payloads: dict = field(default_factory=dict)  # ... -> the order as it was made
    happened: dict = field(default_factory=dict)  # ... -> acts that were done
    unseen: dict = field(default_factory=dict)  # ... -> the amount it was changed to over there
    codes: set = field(default_factory=set)  # ids here of orders whose customers have a code
    stopped: set = field(default_factory=set)  # ids here of orders one of whose steps had failed

    def add(self, other):
        """Take over the orders of another portion of the same shop."""
        for name in ("lives", "numbers", "payloads", "happened", "codes", "stopped"):
            getattr(self, name).update(getattr(other, name))

    def begin(self):
        self.orders = Orders(self.shop, None)
        self.orders.products = [{"key": "TEA-25", "price": "250.00"}]
        self.place()
        ids = as_tuple(self.lives)
        self.numbers = dict(self.shop.orders("cartona_id, id", f"cartona_id IN {ids}"))
        self.happened = {order_id: set() for order_id in self.lives}

    def place(self):
        """Have orders made over there, each for its life, and wait until they are here."""
        fitting = [life for life in model.LIVES if life.only in (None, self.shop.dialect)]
        rows = self.shop.post("order_factory", {"count": self.count, "products": self.orders.products})
        for row in rows:
            order_id, life = id_of(row), self.rng.choice(fitting)
            self.lives[order_id], self.payloads[order_id] = life, made_for(life, row, self.shop.dialect)
        self.shop.post("orders", list(self.payloads.values()))
        self.push(self.lives)
        wait_for(lambda: set(self.lives) <= self.orders.here(), RECOVERY, f"{len(rows)} orders are here")

    # -- what happens --------------------------------------------------------------------------

    def turn(self, number):
        """Let everybody do what comes next in his life, kind by kind in any order."""
        kinds, at_once = {}, []
        for order_id, life in self.lives.items():
            act = life.acts[number] if number < len(life.acts) else None
            if isinstance(act, Both):
                at_once += [(act.theirs, order_id), (act.ours, order_id)]
            elif act:
                kinds.setdefault(act, []).append(order_id)
        self.wait_for_changes(kinds)
        for kind in self.rng.sample(sorted(kinds, key=str), len(kinds)):
            self.act(kind, kinds[kind])
        self.act_at_once(at_once)
        self.echo()

    def wait_for_changes(self, kinds):
        """Wait until people see here what they are to deliver."""
        due = {order_id for kind in model.DELIVERIES & set(kinds) for order_id in kinds[kind]}
        changed = {order_id: amount for order_id, amount in self.unseen.items() if order_id in due}

        def are_seen():
            here = self.here(changed)
            return all(here[order_id].amount == amount for order_id, amount in changed.items())

        if changed:
            try:
                wait_for(are_seen, RECOVERY, f"changes are here: {changed}")
            except AssertionError as error:
                raise AssertionError(self.story(changed)) from error

    def story(self, ids):
        """Tell of orders how they stand on both sides, and what became of each message."""
        there, here = self.there(), self.here(ids)
        rows = []
        for order_id in ids:
            messages = self.shop.server.sql(
                "SELECT origin, topic, status, modified_at, state, tries, reason FROM marketplace_event"
                " WHERE external_order_id = %s ORDER BY id",
                [order_id],
            )
            rows += [f"{order_id} {self.lives[order_id].acts}", f"  {there[order_id]} {here[order_id]}"]
            rows += [f"  {message}" for message in messages]
        return "\n".join(rows)

    def act(self, kind, ids):
        if isinstance(kind, Theirs):
            self.tell([order_id for order_id in ids if self.they(kind, order_id)])
        else:
            ACTS[kind](self, [self.numbers[order_id] for order_id in ids])
            for order_id in ids:
                self.happened[order_id].add(kind)

    def act_at_once(self, acts):
        """Let both sides act on the same orders, in any order; what they did is told at once, or later."""
        untold = []
        for kind, order_id in self.rng.sample(acts, len(acts)):
            if not isinstance(kind, Theirs):
                self.try_to_act(kind, order_id)
            elif self.they(kind, order_id):
                untold.append(order_id)
                if self.rng.random() < TOLD_AT_ONCE:
                    self.tell([untold.pop()])
        self.tell(untold)

    def try_to_act(self, kind, order_id):
        """Have somebody here act; where the other side was quicker, Odoo may refuse it."""
        try:
            self.act(kind, [order_id])
        except AssertionError:
            if not any(isinstance(act, Theirs) for act in self.happened[order_id]):
                raise

    def they(self, kind, order_id):
        """Let the marketplace, or its customer, do something.

        :return: whether it was still possible
        """
        path = f"accounts/{self.shop.code}/orders/{order_id}"
        change = change_of(kind, self.payloads[order_id], self.shop.dialect)
        try:
            answer = self.shop.simulator.control("POST", path, change, by=kind.by)
        except AssertionError as error:
            if "illegal_transition" in str(error) or "not_editable" in str(error):
                return False
            raise
        self.happened[order_id].add(kind)
        if kind.lines:
            self.unseen[order_id] = amount_of(answer["order"])
        return True

    def tell(self, ids):
        """Have most of what they did told by webhook, some of it twice; the list tells of all."""
        self.push([order_id for order_id in ids if self.rng.random() < PUSHED], duplicates=0.3)
        self.shop.pull()

    def echo(self):
        """Have some orders told to us as they are, our own changes too."""
        ids = [order_id for order_id in self.lives if self.rng.random() < ECHOED]
        self.push(ids, topic=self.rng.choice(("orders", "status")), duplicates=0.3, reorder=True)
        self.shop.pull()

    def push(self, ids, topic="orders", **how):
        """Push, and wait until all is taken: a late message without a time is another test's business."""
        self.shop.post("push", {"orders": list(ids), "topic": topic, "wait": 120, **how})

    # -- what people do here -------------------------------------------------------------------

    def rpc(self, *args, **kwargs):
        return self.shop.server.rpc(*args, **kwargs)

    def confirm(self, orders):
        self.rpc("sale.order", "action_confirm", orders)

    def cancel(self, orders):
        self.rpc("sale.order", "action_cancel", orders, context={"disable_cancel_warning": True})

    def edit(self, orders, quantity=model.LESS):
        lines = self.shop.server.sql("SELECT id FROM sale_order_line WHERE order_id = ANY(%s)", [orders])
        self.rpc("sale.order.line", "write", [line for [line] in lines], {"product_uom_qty": quantity})

    def moves(self, orders, state="NOT IN ('done', 'cancel')"):
        return self.shop.server.sql(
            "SELECT move.id, move.picking_id, move.product_uom_qty FROM stock_move move"
            " JOIN sale_order_line line ON line.id = move.sale_line_id"
            f" WHERE line.order_id = ANY(%s) AND move.state {state}",
            [orders],
        )

    def deliver(self, orders, quantity=None, backorder=True):
        """Validate what is to be delivered.

        :return: what the button answers, a question perhaps
        """
        by_quantity, pickings = {}, []
        for move, picking, wanted in self.moves(orders):
            by_quantity.setdefault(float(quantity or wanted), []).append(move)
            pickings.append(picking)
        assert pickings, "nothing is to be delivered"
        for wanted, moves in by_quantity.items():
            self.rpc("stock.move", "write", moves, {"quantity": wanted, "picked": True})
        context = {"skip_backorder": True, "skip_sms": True}
        if not backorder:
            context["picking_ids_not_to_backorder"] = pickings
        return self.rpc("stock.picking", "button_validate", pickings, context=context)

    def deliver_with_code(self, order):
        """Have the customer tell the code; without an answer look at the marketplace whether it was taken.

        :return: whether it is delivered
        """
        question = self.deliver([order])
        if question is True or self.enter_code(question["res_id"], "action_confirm"):
            return True
        [found] = self.rpc("marketplace.delivery.code", "read", [question["res_id"]], ["is_in_doubt"])
        if not found["is_in_doubt"]:
            return False
        shown = {self.numbers[order_id]: there.status for order_id, there in self.there().items()}
        taken = shown[order] == "delivered"
        return self.enter_code(question["res_id"], "action_taken" if taken else "action_send_again")

    def enter_code(self, wizard, button):
        [found] = self.rpc("marketplace.delivery.code", "read", [wizard], ["line_ids"])
        self.rpc("marketplace.delivery.code.line", "write", found["line_ids"], {"code": DEFAULT_OTP})
        return self.rpc("marketplace.delivery.code", button, [wizard]) is True

    def give_back(self, orders):
        for move, picking, _quantity in self.moves(orders, "= 'done'"):
            context = {"active_id": picking, "active_ids": [picking], "active_model": "stock.picking"}
            wizard = self.rpc("stock.return.picking", "create", {"picking_id": picking}, context=context)
            [found] = self.rpc("stock.return.picking", "read", [wizard], ["product_return_moves"])
            [[quantity]] = self.shop.server.sql(
                "SELECT quantity::float FROM stock_move WHERE id = %s", [move]
            )
            lines = found["product_return_moves"]
            self.rpc("stock.return.picking.line", "write", lines, {"quantity": quantity})
            made = self.rpc("stock.return.picking", RETURN[self.shop.server.odoo.series], [wizard])
            moves = self.shop.server.sql("SELECT id FROM stock_move WHERE picking_id = %s", [made["res_id"]])
            moves = [move for [move] in moves]
            self.rpc("stock.move", "write", moves, {"quantity": quantity, "picked": True})
            self.rpc("stock.picking", "button_validate", [made["res_id"]])

    def decide(self):
        """Have a person do what the messages on hold ask for.

        :return: how many there were
        """
        here, there, edits = self.here(), self.there(), {}
        due = [order_id for order_id in self.lives if here[order_id].decisions]
        for order_id in due:
            if model.DELIVERIES & self.happened[order_id]:
                self.give_back([self.numbers[order_id]])
            else:
                edits.setdefault(there[order_id].amount, []).append(self.numbers[order_id])
        for amount, orders in edits.items():
            self.edit(orders, amount)
            self.rpc("sale.order", "action_marketplace_sync", orders)
        return len(due)

    # -- what became of them -------------------------------------------------------------------

    def steps(self):
        return self.shop.server.sql(
            "SELECT sale_order_id, state FROM marketplace_order_step WHERE sale_order_id = ANY(%s)",
            [list(self.numbers.values())],
        )

    def settle(self):
        """Have a person try again what was refused for a moment, unless the marketplace's word settles it.

        :return: whether all has come to its end
        """
        self.shop.pull()
        self.codes = {order for order in self.codes if not self.deliver_with_code(order)}
        steps = self.steps()
        stopped = {order for order, state in steps if state == "failed"}
        if again := stopped & self.stopped:
            self.rpc("sale.order", "action_marketplace_sync", sorted(again))
        self.stopped = stopped - again
        time.sleep(1)
        shorten_pauses([self.shop])
        return not self.codes and self.is_told() and not self.differing()

    def is_told(self):
        return all(state in ("done", "ignored") for _order, state in self.steps())

    def there(self):
        """Give {order id: There}."""
        rows = self.shop.simulator.control("GET", f"accounts/{self.shop.code}/orders")
        means = model.MEANING[self.shop.dialect]
        found = {}
        for row in rows:
            told = [step["status"] for step in row["history"] if step["by"] == "supplier"]
            status, *told = (means.get(word, word) for word in (row["order"]["status"], *told))
            found[id_of(row["order"])] = There(tuple(told), status, amount_of(row["order"]))
        return {order_id: found[order_id] for order_id in self.lives}

    def here(self, ids=None):
        """Give {order id: Here}; what is to be delivered, or was, is the amount of a confirmed order."""
        numbers = [self.numbers[order_id] for order_id in ids or self.lives]
        rows = self.rpc("sale.order", "read", numbers, ["cartona_id", "state", "marketplace_status"])
        figures = {number: found for number, *found in self.shop.server.sql(FIGURES, [numbers])}
        return {
            row["cartona_id"]: Here(row["state"], row["marketplace_status"], *figures[row["id"]])
            for row in rows
        }

    def differing(self, decided=False):
        """Give {order id: (its life, what both sides should show, what they do)} of those that differ."""
        there, here, different = self.there(), self.here(), {}
        for order_id, life in self.lives.items():
            found = there[order_id], here[order_id]
            wanted = life.end(self.happened[order_id], *found, decided)
            if wanted[0].amount is None:
                found = tuple(side._replace(amount=None) for side in found)
            if wanted != found:
                different[order_id] = life.acts, wanted, found
        return different

    def changes(self):
        """Count what the marketplace took from us: statuses, and lines that nobody was quicker with."""
        statuses = sum(len(there.told) for there in self.there().values())
        return statuses + sum(life.edits for order_id, life in self.lives.items() if self.is_alone(order_id))

    def perhaps(self):
        """Count changes of lines that are told or not, as the other act comes later or sooner."""
        return sum(life.edits for order_id, life in self.lives.items() if not self.is_alone(order_id))

    def is_alone(self, order_id):
        """Tell whether nothing over there can keep our changes of an order's lines from being told."""
        called_off = model.CALL_OFF in self.happened[order_id]
        return not called_off and self.lives[order_id].amount in (model.ORDERED, model.LESS)

    def crossings(self):
        """Count the lives in which both acted at once, by whose act was done."""
        names = {(True, True): "both", (True, False): "theirs", (False, True): "ours"}
        return Counter(
            names[act.theirs in self.happened[order_id], act.ours in self.happened[order_id]]
            for order_id, life in self.lives.items()
            for act in life.acts
            if isinstance(act, Both)
        )


ACTS = {
    model.CONFIRM: Portion.confirm,
    model.EDIT: Portion.edit,
    model.CANCEL: Portion.cancel,
    model.BACK: Portion.give_back,
    model.PART: lambda portion, orders: portion.deliver(orders, model.LESS),
    model.REST: Portion.deliver,
    model.WHOLE: Portion.deliver,
    model.SHORT: lambda portion, orders: portion.deliver(orders, model.LESS, backorder=False),
    model.CODE: lambda portion, orders: portion.codes.update(orders),
}
RETURN = {"17.0": "create_returns", "19.0": "action_create_returns"}
FIGURES = """
    SELECT sale.id,
        CASE WHEN sale.state = 'sale'
        THEN (SELECT sum(CASE move.state WHEN 'done' THEN move.quantity ELSE move.product_uom_qty END)
            FROM stock_move move
            JOIN sale_order_line line ON line.id = move.sale_line_id
            JOIN stock_location place ON place.id = move.location_dest_id AND place.usage = 'customer'
            WHERE line.order_id = sale.id AND move.state != 'cancel')
        ELSE (SELECT sum(product_uom_qty) FROM sale_order_line line WHERE line.order_id = sale.id)
        END::int,
        (SELECT count(*) FROM marketplace_event event
            WHERE event.sale_order_id = sale.id AND event.state = 'hold')::int
    FROM sale_order sale WHERE sale.id = ANY(%s)
"""


def as_tuple(ids):
    return "(" + ", ".join(f"'{order_id}'" for order_id in ids) + ")"


def id_of(payload):
    return payload.get("hashed_id") or payload["id"]


def made_for(life, payload, dialect):
    """Give a made order as a life needs it: what is ordered of its one line, or of two."""
    name, amount, kind = LINES[dialect]
    lines = [payload[name][0] | {amount: kind(model.ORDERED)}]
    if life.made == model.TWO_LINES:
        lines.append(lines[0] | {"id": kind(int(lines[0]["id"]) + 1)})
    values = life.made[dialect] if isinstance(life.made, dict) else {}
    return with_lines(payload | values, lines, dialect)


def with_lines(payload, lines, dialect):
    total = sum(float(line.get("selling_price") or line["unit_price"]) for line in lines) * model.ORDERED
    if dialect == "cartona":
        return payload | {"order_details": lines, "total_price": total}
    return payload | {"lines": lines, "charges": [], "total": f"{total:.2f}"}


def change_of(kind, payload, dialect):
    """Give what an act of theirs changes about an order, as it was made."""
    name, amount, number = LINES[dialect]
    words = {status: word for word, status in model.MEANING[dialect].items()}
    change = {"status": words.get(kind.status, kind.status)} if kind.status else {}
    if kind.lines == model.DROP:
        change[name] = payload[name][:1]
    elif kind.lines:
        change[name] = [line | {amount: number(model.MORE)} for line in payload[name]]
    return change


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


def live(shops, server, rng):
    """Let orders live, a portion of each shop at a time, and workers die.

    :return: all of each shop, as one portion
    """
    whole = [Portion(shop, rng, LIVES // len(shops)) for shop in shops]
    for start in range(0, LIVES, AT_ONCE):
        count = min(AT_ONCE, LIVES - start) // len(shops)
        living = [Portion(shop, rng, count) for shop in shops]
        for portion in living:
            portion.begin()
        for number in range(max(len(life.acts) for life in model.LIVES)):
            for portion in living:
                portion.turn(number)
        if start < KILLS * AT_ONCE:
            server.kill_workers()
            wait_for(server.answers, 60, "the server answers again")
        for portion, part in zip(whole, living, strict=True):
            portion.add(part)
    return whole


def check_ends(portions, is_so, seconds, **how):
    """Wait until it is so for each portion, or show what has not come to its end.

    :param how: what :meth:`Portion.differing` takes
    """
    for portion in portions:
        try:
            wait_for(lambda portion=portion: is_so(portion), seconds, "all comes to its end")
        except AssertionError as error:
            wrong = list(portion.differing(**how).items())
            rows = [f"{order_id}: {row}" for order_id, row in wrong[:5]]
            steps = Counter(state for _order, state in portion.steps())
            text = "\n".join([f"{len(wrong)} differ; life, wanted and found:", *rows, f"steps: {steps}"])
            raise AssertionError(text) from error


def echo_all(portions):
    """Have all that happened told to us once more, twice, by webhook and by the list."""
    for portion in portions:
        portion.push(portion.lives, duplicates=1, reorder=True)
        portion.shop.pull()
    time.sleep(3)
    for portion in portions:
        wait_for(lambda shop=portion.shop: no_event_waits(shop), 120, "echoes are read")


def no_event_waits(shop):
    return all(state not in ("new", "failed") for [state] in shop.events())


def test_lives_of_orders_end_as_the_reference_says(open_shop, products, server, show):
    shops = [open_shop(dialect, timeout=2, order_policy="draft") for dialect in ("cartona", "rest")]
    reopen(shops[0], own_changes="listed")
    troubles = [Trouble(shops, "status", FAULTS, SHARE), *(
        Trouble([shop], OPERATIONS[shop.dialect][1], FAULTS, SHARE) for shop in shops
    )]  # fmt: skip
    for trouble in troubles:
        trouble.start()
    begun = time.monotonic()
    portions = live(shops, server, random.Random(SEED))
    check_ends(portions, Portion.settle, ENDING)
    for trouble in troubles:
        trouble.end()
    took = time.monotonic() - begun
    decisions = sum(portion.decide() for portion in portions)
    check_ends(portions, Portion.is_told, 60)
    calls = calls_of(shops)
    echo_all(portions)
    # An order whose goods are back is looked at again within a minute.
    check_ends(portions, lambda portion: not portion.differing(decided=True), 120, decided=True)
    echoes = len(calls_of(shops)) - len(calls)
    lives, changes, perhaps = (
        sum(counts)
        for counts in zip(*((len(p.lives), p.changes(), p.perhaps()) for p in portions), strict=True)
    )
    crossings = sum((portion.crossings() for portion in portions), Counter())
    struck = sum(1 for call in calls if call["fault"])
    late = sum(1 for call in calls if not call["fault"] and call["answered"] >= 400)
    show(
        f"{lives} lives of orders, {changes} changes in {took:.0f} s (seed {SEED}): {len(calls)} calls, "
        f"{struck} went wrong, {late} came too late; both acted at once {crossings.total()} times, done was "
        f"{dict(crossings)}; {decisions} decisions of people, {KILLS} kills, 0 ended otherwise, "
        f"{echoes} echoes"
    )
    assert not echoes, "an echo was answered with a call"
    assert late <= 2 * crossings.total(), "a call that comes too late is made once, or again by a person"
    most = changes + perhaps + decisions + struck + late + 2 * KILLS
    assert changes <= len(calls) <= most, "one call per change, and one per trouble"
