"""The reference for orders' lives: what both sides do, in turn or at once, and the end both have to show.

Each life is a row of a table. Only where both act at once does the end depend on who was quicker, which is
what :meth:`Life.end` is told: whatever order messages and calls arrive in, nothing else may.
"""

from dataclasses import dataclass
from typing import NamedTuple

ORDERED, LESS, MORE = 10, 6, 12  # of each line
EITHER = "either"  # the amount of an order that both sides change at once: one of theirs, the same on both

# What people do here: of deliveries a part, the rest, all, all there will be, all with the customer's code.
CONFIRM, EDIT, CANCEL, BACK = "confirm", "edit", "cancel", "back"
PART, REST, WHOLE, SHORT, CODE = "part", "rest", "whole", "short", "code"
DELIVERIES = {PART, REST, WHOLE, SHORT, CODE}


class Theirs(NamedTuple):
    """What the customer or the marketplace does: a status is set, lines become others."""

    by: str
    status: str | None = None
    lines: str | None = None  # ADD, DROP


ADD, DROP = "add", "drop"  # every line becomes MORE; only the first one stays
CALL_OFF = Theirs("retailer", "cancelled")
CHANGE = Theirs("retailer", lines=ADD)
HOLD = Theirs("retailer", "held")
RELEASE = Theirs("retailer", "pending", DROP)
APPROVE, SHIP, ARRIVE = (Theirs("marketplace", status) for status in ("confirmed", "shipped", "delivered"))
CORRECT = Theirs("marketplace", lines=ADD)


class Both(NamedTuple):
    """Both sides act at once; what comes too late is refused over there, or found impossible here."""

    theirs: Theirs
    ours: str


#: what the words mean that the marketplaces show; others are ours. Of a meaning the last is what they say
MEANING = {
    "rest": {},
    "cartona": {
        "editing": "held",
        "approved": "confirmed",
        "assigned_to_salesman": "shipped",
        "cancelled_by_supplier": "cancelled",
        "cancelled_by_retailer": "cancelled",
    },
}
#: how an order is made whose life needs it
TWO_LINES = "two lines"
WITH_CODE = {"rest": {"needs_code": True}, "cartona": {"wallet_top_up": 5}}
BY_THEM = {"rest": {"delivered_by": "marketplace"}, "cartona": {"delivered_by": "delivered_by_cartona"}}

#: the order was called off: whether its goods had left -> our order, decisions that wait for a person
CALLED_OFF = {False: ("cancel", 0), True: ("sale", 1)}


class There(NamedTuple):
    """What the marketplace shows: what it took from us, in this order, its status and amount."""

    told: tuple
    status: str
    amount: int | None


class Here(NamedTuple):
    """What Odoo shows: its order, the marketplace's status, the amount, how many decisions are due."""

    state: str
    status: str
    amount: int | None
    decisions: int = 0


@dataclass(frozen=True)
class Life:
    """What happens to an order, and the statuses and changes of lines the marketplace takes from us for it.

    Of what is over no amount counts: it is None.
    """

    acts: tuple
    tells: tuple
    amount: int | str | None = ORDERED
    state: str = "sale"
    edits: int = 0
    made: object = None
    only: str = None  # a marketplace that can tell this

    def end(self, happened, there, here, decided=False):
        """Give (There, Here) as they have to be; where both acted at once, what is found says who was first.

        :param set happened: those of the acts that were done, and not refused
        :param bool decided: a person has done what was asked for
        """
        if CALL_OFF in happened:
            left = bool(DELIVERIES & happened) and not decided
            state, decisions = CALLED_OFF[left]
            over, ours = self._both(there.told, "cancelled", None, state, decisions)
            # Until the person has decided, the order here shows what was known before.
            return over, ours._replace(status=here.status) if left else ours
        if ARRIVE in happened:
            return self._both(there.told, "delivered", ORDERED, "sale")
        status = (self.tells or ("pending",))[-1]
        if self.amount is EITHER:
            amount = there.amount if there.amount in (LESS, MORE) else EITHER
            waits = here.amount == LESS != amount and not decided
            ours = Here("sale", status, LESS if waits else amount, int(waits))
            return There(self.tells, status, amount), ours
        amount = MORE if {CHANGE, CORRECT} & happened else self.amount
        return self._both(self.tells, status, amount, self.state)

    def _both(self, told, status, amount, state, decisions=0):
        """Give an end that is the same on both sides; what we tell may have been cut short."""
        return There(self.tells[: len(told)], status, amount), Here(state, status, amount, decisions)


PARTLY = "partially_shipped"
DELIVERED = ("confirmed", "shipped", "delivered")
LIVES = [
    # We alone act.
    Life((CONFIRM,), ("confirmed",)),
    Life((CONFIRM, WHOLE), DELIVERED),
    Life((CONFIRM, PART, REST), ("confirmed", PARTLY, "shipped", "delivered"), only="rest"),
    Life((CONFIRM, PART, REST), DELIVERED, only="cartona"),
    Life((CONFIRM, SHORT), DELIVERED, LESS, edits=1),
    Life((CONFIRM, EDIT), ("confirmed",), LESS, edits=1),
    Life((EDIT, CONFIRM, WHOLE), DELIVERED, LESS, edits=1),
    Life((CONFIRM, EDIT, WHOLE), DELIVERED, LESS, edits=1),
    Life((CONFIRM, EDIT, CANCEL), ("confirmed", "cancelled"), None, "cancel", edits=1),
    Life((CONFIRM, CANCEL), ("confirmed", "cancelled"), None, "cancel"),
    Life((CANCEL,), ("cancelled",), None, "cancel"),
    Life((CONFIRM, WHOLE, BACK), (*DELIVERED, "returned"), None, only="rest"),
    Life((CONFIRM, CODE), DELIVERED, made=WITH_CODE),
    # The customer changes his order, the marketplace corrects it.
    Life((CHANGE, CONFIRM, WHOLE), DELIVERED),
    Life((HOLD, RELEASE, CONFIRM, WHOLE), DELIVERED, made=TWO_LINES),
    Life((HOLD, CONFIRM, RELEASE), ("confirmed",), made=TWO_LINES),
    Life((Both(CHANGE, CONFIRM), WHOLE), DELIVERED),
    Life((CONFIRM, CORRECT, WHOLE), DELIVERED),
    Life((CONFIRM, Both(CORRECT, EDIT)), ("confirmed",), EITHER, edits=1),
    # The customer calls it off.
    Life((CALL_OFF,), ()),
    Life((CONFIRM, CALL_OFF), ("confirmed",)),
    Life((Both(CALL_OFF, CONFIRM),), ("confirmed",)),
    Life((CONFIRM, Both(CALL_OFF, EDIT)), ("confirmed",), LESS, edits=1),
    Life((CONFIRM, Both(CALL_OFF, CANCEL)), ("confirmed", "cancelled"), None, "cancel"),
    Life((CONFIRM, Both(CALL_OFF, PART)), ("confirmed", PARTLY), only="rest"),
    Life((CONFIRM, Both(CALL_OFF, WHOLE)), DELIVERED),
    Life((CONFIRM, Both(CALL_OFF, WHOLE)), DELIVERED),
    # The marketplace moves it on.
    Life((CONFIRM, Both(ARRIVE, WHOLE)), DELIVERED),
    Life((APPROVE, SHIP, ARRIVE), (), made=BY_THEM),
    Life((APPROVE, ARRIVE, WHOLE), (), made=BY_THEM),
    Life((APPROVE, CANCEL), ("cancelled",), None, "cancel", made=BY_THEM),
]
