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
USER_GROUPS = "groups_id" if SERIES < 19 else "group_ids"


def is_storable(product):
    """Tell whether a product's stock is counted."""
    return product.type == "product" if SERIES < 18 else product.type == "consu" and product.is_storable
