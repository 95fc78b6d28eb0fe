"""Kits, which Odoo knows only with its manufacturing application."""

import pytest

SETTING = """
from odoo.addons.cartona_integration.compat import STORABLE
account = env["marketplace.config"].create({
    "name": "Shop", "code": "shop", "dialect": "rest", "api_base_url": "https://marketplace.test/api",
    "auth_token": "token", "webhook_token": "hook"})
account.action_activate()
warehouse = account.warehouse_id
def product(name, **values):
    return env["product.product"].create({"name": name, "taxes_id": False, **STORABLE, **values})
def kit(product, made, *lines, **values):
    env["mrp.bom"].create({"product_tmpl_id": product.product_tmpl_id.id, "type": "phantom",
        "product_qty": made, "bom_line_ids": [(0, 0, {"product_id": part.id, "product_qty": quantity,
        **values}) for part, quantity in lines]})
def move_in(product, quantity):
    env["stock.quant"]._update_available_quantity(product, warehouse.lot_stock_id, quantity)
def link(product):
    return env["marketplace.product.link"].create({"account_id": account.id, "product_id": product.id,
        "key": product.name, "external_id": product.name, "state": "linked"})
def drop_marks():
    env.cr.flush()
    env.cr.execute("DELETE FROM marketplace_mark")
def marked(kind="stock"):
    env.cr.flush()
    env.cr.execute("SELECT DISTINCT link_id FROM marketplace_mark WHERE kind = %s", [kind])
    return {env["marketplace.product.link"].browse(row[0]).key for row in env.cr.fetchall()}
def offered(*products):
    env.flush_all()
    env.invalidate_all()
    links = account.link_ids.filtered(lambda link: link.product_id in env["product.product"].union(*products))
    found = links._offers(dict.fromkeys(links, {"stock"}))
    return {link.key: None if offer.unlimited else int(offer.quantity) for link, offer in found.items()}
def sell(product, quantity, confirm=True, **values):
    order = env["sale.order"].create({"partner_id": env.user.partner_id.id, "order_line": [
        (0, 0, {"product_id": product.id, "product_uom_qty": quantity})], **values})
    if confirm:
        order.action_confirm()
    return order
tea, cup, spoon, sugar = (product(name) for name in ("tea", "cup", "spoon", "sugar"))
leaflet = product("leaflet")
leaflet.product_tmpl_id.write({"detailed_type": "consu"} if "detailed_type" in leaflet._fields
                              else {"is_storable": False})
box, crate, gift = product("box"), product("crate"), product("gift")
kit(box, 1, (tea, 2), (cup, 1), (leaflet, 1))
kit(crate, 1, (box, 3), (spoon, 1))
kit(gift, 1, (leaflet, 2))
move_in(tea, 20); move_in(cup, 7); move_in(spoon, 5); move_in(sugar, 9)
for listed in (tea, cup, box, crate, gift, sugar):
    link(listed)
drop_marks()
"""
COMPUTED = """
assert offered(tea, box, crate, gift, sugar) == {"tea": 20, "box": 7, "crate": 2, "gift": None, "sugar": 9}
for made in (box, crate):
    assert offered(made)[made.name] == made.with_context(
        warehouse=warehouse.ids, warehouse_id=warehouse.ids).free_qty, made.name
said = account.link_ids.filtered(lambda link: link.product_id == box).explanation
assert "2 of tea in each: 20 free" in said and "= 7 free" in said, said
"""
MARKED = """
move_in(spoon, 1)
assert marked() == {"crate"}, marked()
drop_marks()
move_in(tea, 1)
assert marked() == {"tea", "box", "crate"}, marked()
drop_marks()
order = sell(cup, 2)
assert {"cup", "box", "crate"} <= marked(), marked()
assert "sugar" not in marked()
assert offered(box, crate) == {"box": 5, "crate": 1}
order.with_context(disable_cancel_warning=True).action_cancel()
drop_marks()
tea.list_price = 5
assert marked("price") == {"tea"}, marked("price")
drop_marks()
leaflet.product_tmpl_id.write(STORABLE)
assert {"box", "crate", "gift"} <= marked(), marked()
"""
SOLD = """
sell(box, 2)
assert offered(tea, box, crate) == {"tea": 16, "box": 5, "crate": 1}, offered(tea, box, crate)
drop_marks()
quotation = sell(crate, 1, confirm=False, marketplace_config_id=account.id, cartona_id="Q1")
assert {"crate", "box", "tea", "cup"} <= marked("recount"), marked("recount")
assert offered(tea, cup, box, crate) == {"tea": 10, "cup": 2, "box": 2, "crate": 0}
quotation.action_confirm()
assert offered(tea, cup, box, crate) == {"tea": 10, "cup": 2, "box": 2, "crate": 0}
"""
PACKED = """
dozen = env.ref("uom.product_uom_dozen")
half = product("half")
kit(half, 12, (sugar, 6))
link(half)
assert offered(half) == {"half": 18}, offered(half)
pair = product("pair")
kit(pair, 1, (sugar, 0.25), product_uom_id=dozen.id)
link(pair)
assert offered(pair) == {"pair": 3}, offered(pair)
"""


@pytest.mark.parametrize(
    "script", [COMPUTED, MARKED, SOLD, PACKED], ids=["computed", "marked", "sold", "packed"]
)
def test_a_kit_is_what_its_components_make(companions, script):
    companions.shell(SETTING + script)
