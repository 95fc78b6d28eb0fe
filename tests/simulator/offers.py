"""What a person sees of listings and orders, whatever their dialect calls it."""

from dataclasses import dataclass
from decimal import Decimal

from .state import Refusal

CURRENCY = "EGP"


@dataclass(frozen=True)
class Offer:
    """One listing as the shop shows it."""

    id: str
    product: dict  # what the factory makes a line of, in its words
    name: str
    price: Decimal | None
    stock: Decimal | None  # the figure the seller gave, None: none
    unlimited: bool
    published: bool
    marked_out: bool  # said to be out of stock, whatever the figure says

    @property
    def key(self):
        return self.product["key"]

    @property
    def currency(self):
        return self.product.get("currency", CURRENCY)

    @property
    def left(self):
        """Give how much can be ordered, None: any amount."""
        if self.unlimited:
            return None
        return Decimal(0) if self.marked_out else self.stock

    @property
    def state(self):
        """Tell in one word whether it can be ordered: "available" only can."""
        if not self.published:
            return "unpublished"
        if self.price is None:
            return "unpriced"
        return "available" if self.left is None or self.left > 0 else "sold out"

    def check(self, amount):
        """Check an order of this amount.

        :raise Refusal: it cannot be had
        """
        if amount < 1:
            raise Refusal(422, "quantity", f"A quantity is a whole number above zero: {self.name}")
        if self.state != "available":
            raise Refusal(409, "not_for_sale", f"Cannot be ordered, {self.state}: {self.name}")
        if self.left is not None and amount > self.left:
            raise Refusal(409, "stock", f"Only {plain(self.left)} in stock, {amount} ordered: {self.name}")


def plain(number):
    """Write a number without zeros that say nothing."""
    return format(number.normalize(), "f")


def money(amount):
    """Write an amount with two decimals, or with all it has."""
    return format(amount, ".2f" if amount == round(amount, 2) else "f")


def look(record, fields):
    """Read values under a person's names.

    :param fields: name -> paths in the record, "a.b"; the first that leads to a value counts
    """
    return {name: _first(record, paths) for name, paths in fields.items()}


def _first(record, paths):
    found = (_follow(record, path.split(".")) for path in paths)
    return next((value for value in found if value not in (None, "")), None)


def _follow(record, steps):
    for step in steps:
        record = record.get(step) if isinstance(record, dict) else None
    return record
