"""The Python names that differ between Odoo 17.0 and later series, in one place."""

from odoo import release

SERIES = release.version_info[0]

SOL_UOM = "product_uom" if SERIES < 19 else "product_uom_id"
SOL_TAXES = "tax_id" if SERIES < 19 else "tax_ids"
STORABLE = {"detailed_type": "product"} if SERIES < 18 else {"type": "consu", "is_storable": True}
STORABLE_FIELDS = ("type",) if SERIES < 18 else ("type", "is_storable")
SERVICE = {"detailed_type": "service"} if SERIES < 18 else {"type": "service"}
TAX_INCLUDED = {"price_include": True} if SERIES < 18 else {"price_include_override": "tax_included"}
TAX_EXCLUDED = {"price_include": False} if SERIES < 18 else {"price_include_override": "tax_excluded"}
# A contact's telephones; later series have one.
PHONES = ("phone", "mobile") if SERIES < 19 else ("phone",)
RETURN_BUTTON = "create_returns" if SERIES < 18 else "action_create_returns"
# The reversals of a posted invoice.
REVERSALS = "reversal_move_id" if SERIES < 18 else "reversal_move_ids"
USER_GROUPS = "groups_id" if SERIES < 19 else "group_ids"


def is_storable(product):
    """Tell whether a product's stock is counted."""
    return product.type == "product" if SERIES < 18 else product.type == "consu" and product.is_storable


def is_for_customer(move):
    """Tell whether a move brings goods to a customer; later series make the next steps only afterwards."""
    places = move.location_dest_id if SERIES < 18 else move.location_dest_id | move.location_final_id
    return "customer" in places.mapped("usage")


def pack_ratio(unit, count):
    """Tell the factor of a unit that holds so many of another; 17 stores how many make the reference."""
    return unit.factor / count if SERIES < 19 else unit.factor * count


def pack_domain(unit, least, most):
    """Give the domain of units of the same kind whose factor lies between two."""
    least, most = min(least, most), max(least, most)
    same = [("category_id", "=", unit.category_id.id)] if SERIES < 19 else []
    return [*same, ("factor", ">=", least), ("factor", "<=", most)]


def pack_values(unit, count):
    """Give the values of a new unit that holds so many of another."""
    if SERIES >= 19:
        return {"relative_factor": count, "relative_uom_id": unit.id}
    ratio = count / unit.factor
    kind = (
        {"uom_type": "bigger", "factor_inv": ratio}
        if ratio > 1
        else {"uom_type": "smaller", "factor": 1 / ratio}
    )
    return {"category_id": unit.category_id.id, **kind}
