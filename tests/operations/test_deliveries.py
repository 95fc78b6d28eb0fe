"""Deliveries validated in a batch, or shipped by a vendor, by Odoo's own applications for that."""

SETTING = """
import json
from odoo.addons.cartona_integration.compat import STORABLE
from odoo.addons.cartona_integration.dialects.words import Answer
from odoo.addons.cartona_integration.models.marketplace_api import MarketplaceApi
from odoo.addons.cartona_integration.models.stock_picking import StockPicking
told = []
def send(api, account, request):
    if request.operation in ("status", "lines"):
        told.append((request.path.split("/")[1], request.body.get("status") or request.body["lines"],
                     request.body.get("otp")))
    return Answer(200, {"order": {"lines": []}}, {})
MarketplaceApi._send = send
account = env["marketplace.config"].create({
    "name": NAME, "code": NAME, "dialect": "rest", "api_base_url": "https://marketplace.test/api",
    "auth_token": "token", "webhook_token": "hook"})
account.action_activate()
env.cr.commit()
actor = account.with_user(account.user_id).with_company(account.company_id)
def product(key, **values):
    return env["product.product"].create(
        {"name": key, "cartona_id": key, "taxes_id": False, **STORABLE, **values})
def move_in(product, quantity):
    location = account.warehouse_id.lot_stock_id
    env["stock.quant"]._update_available_quantity(product, location, quantity)
def arrive(order_id, *keys, **values):
    lines = [{"id": str(number), "sku": key, "quantity": 3, "unit_price": 5}
             for number, key in enumerate(keys, 1)]
    message = {"id": order_id, "status": "confirmed", "modified_at": "2026-11-12T10:00:00Z", "lines": lines,
               "currency": env.company.currency_id.name, "total": 15 * len(lines),
               "customer": {"id": "C1", "name": "Shop"}, **values}
    account._receive(account._entrance().messages("orders", json.dumps(message).encode(), {}))
    env.cr.commit()
    actor._job_import()
    env.cr.commit()
    return env["sale.order"].search([("marketplace_config_id", "=", account.id),
                                     ("cartona_id", "=", order_id)])
def pick(pickings, quantity=3):
    pickings.move_ids.write({"quantity": quantity, "picked": True})
def tell():
    env.cr.commit()
    actor._job_steps()
    env.cr.commit()
def heard(order):
    return [(what, code) for order_id, what, code in told if order_id == order.cartona_id]
"""
DELIVERED = [("shipped", None), ("delivered", None)]
BATCH = f"""
move_in(product("tea-b"), 100)
def batch_of(*orders):
    pickings = env["sale.order"].union(*orders).picking_ids
    batch = env["stock.picking.batch"].create({{"picking_ids": [(6, 0, pickings.ids)]}})
    batch.action_confirm()
    pick(pickings)
    env.cr.commit()
    return batch
is_attended = StockPicking._is_attended
StockPicking._is_attended = lambda pickings: True
plain, due = arrive("B1", "tea-b"), arrive("B2", "tea-b", needs_code=True)
batch = batch_of(plain, due)
pickings = batch.picking_ids
wizard = env["marketplace.delivery.code"].browse(batch.action_done()["res_id"])
assert wizard.line_ids.sale_order_id == due and not told, told
assert set(pickings.mapped("state")) == {{"assigned"}}, "one question for all, before anything is done"
wizard.line_ids.code = "4711"
env.cr.commit()
wizard.action_confirm()
tell()
assert (set(pickings.mapped("state")), batch.state) == ({{"done"}}, "done")
assert heard(due) == [("shipped", None), ("delivered", "4711")], told
assert heard(plain) == {DELIVERED}, told

StockPicking._is_attended = is_attended
plain, due = arrive("B3", "tea-b"), arrive("B4", "tea-b", needs_code=True)
batch = batch_of(plain, due)
batch.action_done()
tell()
assert (plain.picking_ids.state, due.picking_ids.state) == ("done", "assigned")
assert heard(plain) == {DELIVERED} and not heard(due), told
assert due.picking_ids.activity_ids and due.picking_ids.batch_id == batch

StockPicking._is_attended = lambda pickings: True
due = arrive("B5", "tea-b", needs_code=True)
picking = due.picking_ids
pick(picking, 2)
env.cr.commit()
answered = picking.with_context(skip_backorder=True, picking_ids_not_to_backorder=picking.ids)
wizard = env["marketplace.delivery.code"].browse(answered.button_validate()["res_id"])
wizard.line_ids.code = "4711"
env.cr.commit()
wizard.action_confirm()
tell()
less = [{{"id": "1", "quantity": "2"}}]
assert heard(due) == [("shipped", None), (less, None), ("delivered", "4711")], "nothing twice"
assert (picking.state, due.marketplace_sync_status) == ("done", "synced")
rows = [(step.kind, step.state) for step in due.marketplace_step_ids]
assert rows == [("status", "done"), ("lines", "done"), ("status", "done")], rows
"""
DROPPED = """
move_in(product("tea-d"), 100)
vendor = env["res.partner"].create({"name": "Vendor"})
product("sofa-d", route_ids=[(4, env.ref("stock_dropshipping.route_drop_shipping").id)],
        seller_ids=[(0, 0, {"partner_id": vendor.id, "price": 1})])
order = arrive("D1", "tea-d", "sofa-d")
assert order.state == "sale" and order.picking_ids.move_ids.product_id.name == "tea-d"
pick(order.picking_ids)
order.picking_ids.button_validate()
tell()
assert heard(order) == [("partially_shipped", None)], told
purchase = order.order_line.purchase_line_ids.order_id
purchase.button_confirm()
tell()
assert heard(order) == [("partially_shipped", None)], "a purchase brings nothing to the customer"
[dropped] = purchase.picking_ids
pick(dropped, 2)
dropped.with_context(skip_backorder=True, picking_ids_not_to_backorder=dropped.ids).button_validate()
assert dropped.state == "done"
tell()
less = [{"id": "2", "quantity": "2"}]
assert heard(order)[1:] == [("shipped", None), (less, None), ("delivered", None)], told
assert (order.marketplace_status, order.marketplace_sync_status) == ("delivered", "synced")
"""


def test_a_batch_is_validated_once_its_codes_are_accepted(companions):
    companions.shell(f"NAME = 'batches'{SETTING}{BATCH}")


def test_what_a_vendor_ships_is_delivered(companions):
    companions.shell(f"NAME = 'drops'{SETTING}{DROPPED}")
