from unittest.mock import patch

from ..models.marketplace_event import MarketplaceEvent
from .test_processor import OrderCase, line


class TestGoods(OrderCase):
    """What a line is about: the listing's id, then the seller's key, then a barcode; each for itself."""

    def nameless(self, **values):
        return {"id": "1", "quantity": "2", "unit_price": "10.00", **values}

    def link(self, product, external_id=None, **values):
        return self.make_link(self.rest, product, external_id, **values)

    def make_pack(self, product, size):
        unit = product.uom_id
        own = {"relative_uom_id": unit.id, "relative_factor": size}
        if "category_id" in unit._fields:
            own = {"category_id": unit.category_id.id, "uom_type": "bigger", "factor_inv": size}
        return unit.create({"name": f"Box of {size}", **own})

    def assertHeldFor(self, words, key, external_id=False):
        event = self.assertHeld(words)
        self.assertEqual(
            event.hold_ids.mapped(lambda hold: (hold.kind, hold.key, hold.external_id)),
            [("product", key, external_id)],
        )
        return event

    def assertComesIn(self, product):
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "R1").order_line.product_id, product)

    def assertStaysHeld(self):
        """Expect further jobs to leave the message alone: looking anew would make them endless."""
        event = self.last_event()
        with patch.object(MarketplaceEvent, "_reset") as reset:
            self.run_job(self.rest, "import")
        self.assertEqual((reset.call_count, event.state), (0, "hold"))

    def test_a_listings_id_is_never_taken_for_another_products_key(self):
        self.make_product("1205")
        self.assertFalse(self.send(self.nameless(product_id="1205")))
        event = self.assertHeldFor("id:1205", "id:1205", "1205")
        self.assertIn("Link the listing", event.remedy)

    def test_a_key_is_never_taken_for_another_listings_id(self):
        self.link(self.salt, "1205")
        self.assertFalse(self.send(line(1, "1205")))
        self.assertHeldFor("1205", "1205")

    def test_a_linked_id_names_the_product(self):
        self.make_product("1205")
        self.link(self.salt, "1205")
        self.assertEqual(self.send(self.nameless(product_id="1205")).order_line.product_id, self.salt)

    def test_an_order_held_for_a_listing_comes_in_when_that_is_linked(self):
        self.send(self.nameless(product_id="1205"))
        self.assertStaysHeld()
        self.wakeups.clear()
        self.link(self.salt, "1205", product_id=False).product_id = self.salt
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.assertComesIn(self.salt)

    def test_a_line_of_key_and_id_comes_in_when_the_listing_is_linked(self):
        self.send(line(1, "NOWHERE", product_id="1205"))
        self.assertHeldFor("NOWHERE", "NOWHERE", "1205")
        self.assertStaysHeld()
        self.link(self.salt, "1205")
        self.assertComesIn(self.salt)

    def test_a_line_of_key_and_id_comes_in_when_the_key_is_known(self):
        self.send(line(1, "NOWHERE", product_id="1205"))
        self.assertComesIn(self.make_product("NOWHERE"))

    def test_a_listing_that_is_seen_lets_the_orders_in_that_wait_for_it(self):
        self.link(self.salt, "1205", state="proposed")
        self.send(self.nameless(product_id="1205"))
        self.wakeups.clear()
        listing = self.rest._dialect().read_products(
            self.rest._dialect().products_request(),
            type("Answer", (), {"data": {"products": [{"id": "1205"}], "next_page": None}}),
        )
        self.env["marketplace.product.link"]._match(self.rest, listing.rows, 1)
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.assertComesIn(self.salt)

    def test_two_listings_of_a_key_stay_held_though_a_product_has_the_key(self):
        pack = self.make_pack(self.tea, 6)
        self.link(self.tea, "1")
        self.link(self.tea, "2", pack_uom_id=pack.id)
        self.assertFalse(self.send())
        self.assertHeldFor("Several", "TEA")
        self.assertStaysHeld()

    def test_an_unknown_key_stays_held_though_a_listing_has_it_for_its_id(self):
        self.link(self.salt, "1205")
        self.send(line(1, "1205"))
        self.assertStaysHeld()

    def test_a_line_with_nothing_but_a_barcode_is_found_by_it(self):
        self.salt.barcode = "6221031490123"
        order = self.send(self.nameless(barcode="6221031490123"))
        self.assertEqual(order.order_line.product_id, self.salt)

    def test_a_barcode_that_is_entered_lets_the_order_in(self):
        self.send(self.nameless(barcode="6221031490123"))
        event = self.assertHeldFor("barcode:6221031490123", "barcode:6221031490123")
        self.assertIn("barcode", event.remedy)
        self.assertStaysHeld()
        self.wakeups.clear()
        self.salt.barcode = "6221031490123"
        self.assertIn((self.rest.id, "import"), self.wakeups)
        self.assertComesIn(self.salt)

    def test_a_barcode_does_not_stand_in_for_an_unknown_key(self):
        self.salt.barcode = "6221031490123"
        self.assertFalse(self.send(line(1, "NOWHERE", barcode="6221031490123")))

    def test_what_is_missing_is_mended_where_it_is_missing(self):
        self.send(self.nameless(product_id="1205"))
        self.send(self.nameless(barcode="622"), id="R2")
        found = self.env["marketplace.blockage"].search([("account_id", "=", self.rest.id)])
        actions = {row.key: row.action_mend() for row in found}
        self.assertEqual(actions["id:1205"]["res_model"], "marketplace.product.link")
        self.assertEqual(actions["id:1205"]["context"]["default_external_id"], "1205")
        self.assertEqual(actions["barcode:622"]["context"], {"default_barcode": "622"})
