"""How figures are written."""

from decimal import Decimal

from odoo.tools import float_is_zero, formatLang

# Odoo stores figures as binary fractions: what differs by less is the same figure.
SAME = 6  # decimals


def exact(number):
    """Give a figure of Odoo as people would write it, without binary leftovers."""
    return Decimal(format(Decimal(f"{number:.6f}").normalize(), "f"))


def tell(env, number, places=0):
    """Write a number with as few decimals as it needs, at least so many."""
    needed = next(
        (
            more
            for more in range(places, 4)
            if float_is_zero(number - round(number, more), precision_digits=SAME)
        ),
        4,
    )
    return formatLang(env, number, digits=needed)


def tell_price(env, price, currency):
    """Write a price with its currency's code, with more decimals where they are part of a sum."""
    return f"{tell(env, price, currency.decimal_places)} {currency.name}"
