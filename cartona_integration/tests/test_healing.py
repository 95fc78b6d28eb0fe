from datetime import timedelta

from lxml import etree

from odoo import fields

from ..compat import SERVICE
from .test_link import LinkCase, listing


class HealingCase(LinkCase):
    """What the rest account's listing shows was sent and accepted yesterday."""

    def setUp(self):
        super().setUp()
        self.settle()
        self.yesterday()

    def yesterday(self):
        """Let all that happened have happened a day before."""
        self.env.flush_all()
        names = ("sent_at", "acknowledged_at", "observed_at", "create_date")
        changes = ", ".join(f"{name} = {name} - interval '1 day'" for name in names)
        self.cr.execute(f"UPDATE marketplace_product_link SET {changes}")
        self.env.invalidate_all()

    def see(self, price="100.00", stock="10", **values):
        self.read_all(listing("TEA-25", "R1", price=price, stock=stock, **values))

    def log(self):
        return self.env["marketplace.sync.log"].search([("kind", "=", "listings")], limit=1).message or ""


class TestDrift(HealingCase):
    """A reading finds what differs, says why, and has it sent again."""

    def test_what_agrees_is_no_drift(self):
        self.see()
        self.assertFalse(self.on_rest.drift)
        self.assertEqual(self.rest.drift_count, 0)
        self.assertEqual(self.rest.unsent_count, 0, "it is compared once more, and that is not told as work")

    def test_a_price_changed_by_hand_over_there_is_told_and_repaired(self):
        self.see()
        self.yesterday()
        self.see(price="77.00")
        self.assertEqual((self.on_rest.drift, self.rest.drift_count), ("changed", 1))
        self.assertIn("Changed at the marketplace: 1", self.log())
        self.assertEqual(self.rest.unsent_count, 1)
        self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["100.00"])
        self.yesterday()
        self.see()
        self.assertFalse(self.on_rest.drift)

    def test_whoever_looks_at_drifted_listings_sees_why_and_what_was_seen(self):
        action = self.rest.action_view_drift()
        view_id = next(view_id for view_id, mode in action["views"] if mode == "list")
        arch = etree.fromstring(self.links.get_view(view_id)["arch"])
        for name in ("drift", "observed_price", "observed_quantity"):
            [field] = arch.xpath("//field[@name=$name]", name=name)
            self.assertEqual(field.get("optional"), "show", name)

    def test_an_accepted_price_that_never_arrived_is_lost(self):
        self.take(120)
        self.see(price="100.00")
        self.assertEqual(self.on_rest.drift, "lost")

    def test_so_is_one_after_another_that_did_arrive_and_no_reading_saw(self):
        self.take(120, 130)
        self.see(price="120.00")
        self.assertEqual(self.on_rest.drift, "lost")

    def take(self, *prices):
        """Have the marketplace take prices, one after the other, since it was last read."""
        self.see()
        self.yesterday()
        for price in prices:
            self.tea.list_price = price
            self.push()
        self.env.flush_all()
        self.cr.execute(
            "UPDATE marketplace_product_link SET acknowledged_at = acknowledged_at + interval '1 hour'"
        )
        self.cr.execute("UPDATE marketplace_product_link SET sent_at = sent_at - interval '1 hour'")
        self.env.invalidate_all()

    def test_a_refused_one_is_refused(self):
        self.on_rest.reason = "Too cheap"
        self.on_rest.price_acknowledged = False
        self.see(price="77.00")
        self.assertEqual(self.on_rest.drift, "refused")

    def test_less_stock_was_sold_there_and_is_not_sent_before_its_order_had_time_to_come(self):
        self.see()
        self.yesterday()
        self.see(stock="8")
        self.assertEqual(self.on_rest.drift, "sold")
        self.assertIn((self.rest.id, "pull"), self.wakeups)
        self.push()
        self.assertFalse(self.sent())
        self.yesterday()
        self.see(stock="8")
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["10"])

    def test_what_was_sold_there_is_not_sold_twice_because_its_price_was_changed_too(self):
        self.see()
        self.yesterday()
        self.see(price="77.00", stock="8")
        self.push()
        self.assertEqual([(row.get("price"), row.get("stock")) for row in self.sent()], [("100.00", None)])
        self.assertIn((self.rest.id, "pull"), self.wakeups)

    def test_more_stock_than_there_is_is_repaired_at_once(self):
        self.see()
        self.yesterday()
        self.see(stock="99")
        self.assertEqual(self.on_rest.drift, "changed")
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["10"])

    def test_a_listing_set_to_never_sell_out_by_hand_is_counted_again(self):
        self.see(stock_managed=True)
        self.assertFalse(self.on_rest.drift)
        self.yesterday()
        self.see(stock_managed=False)
        self.assertEqual(self.on_rest.drift, "changed")
        self.push()
        self.assertEqual([(row["stock"], row["stock_managed"]) for row in self.sent()], [("10", True)])

    def asked(self):
        kind = self.env.ref("cartona_integration.activity_listings")
        return self.rest.activity_ids.filtered(lambda one: one.activity_type_id == kind)

    def test_a_listing_switched_off_there_is_told_to_a_person_once_and_left_alone(self):
        self.see(active=True)
        self.assertFalse(self.on_rest.drift)
        self.yesterday()
        self.see(active=False)
        self.assertEqual((self.on_rest.drift, self.rest.drift_count), ("off", 1))
        self.assertIn("1 listings are switched off at the marketplace", self.asked().note)
        self.push()
        self.assertFalse(self.sent())
        self.asked().unlink()
        since = self.on_rest.drifted_at - timedelta(days=1)
        self.on_rest.drifted_at = since
        self.yesterday()
        self.see(active=False)
        self.assertEqual((self.on_rest.drift, self.on_rest.drifted_at), ("off", since))
        self.assertFalse(self.asked(), "once is enough")
        self.see(active=True)
        self.assertFalse(self.on_rest.drift)
        self.see(active=False)
        self.assertTrue(self.asked(), "switched on and off, it is told again")

    def test_a_price_changed_on_a_listing_that_is_switched_off_is_repaired_all_the_same(self):
        self.see(active=False)
        self.yesterday()
        self.see(price="77.00", active=False)
        self.push()
        self.assertEqual([row["price"] for row in self.sent()], ["100.00"])

    def test_what_is_sold_out_or_not_for_sale_here_may_be_switched_off_there(self):
        self.tea.sale_ok = False
        self.push()
        self.yesterday()
        self.see(stock="0", active=False)
        self.assertFalse(self.on_rest.drift)
        self.tea.sale_ok = True
        self.move_in(self.tea, -10)
        self.push()
        self.yesterday()
        self.see(stock="0", active=False)
        self.assertFalse(self.on_rest.drift or self.asked())
        self.move_in(self.tea, 3)
        self.push()
        self.yesterday()
        self.see(stock="3", active=False)
        self.assertTrue(self.asked())

    def test_what_was_sent_while_it_was_read_tells_nothing(self):
        self.on_rest.sent_at = fields.Datetime.now() + timedelta(seconds=5)
        self.see(price="77.00")
        self.assertFalse(self.on_rest.drift)

    def test_in_shadow_nothing_drifts(self):
        self.rest.state = "shadow"
        self.see(price="77.00")
        self.assertFalse(self.on_rest.drift)


class TestGone(HealingCase):
    """Listings that go, and come again."""

    def miss(self, *rows):
        self.yesterday()
        self.read_all(*(rows or [listing("OTHER", "X1")]))

    def setUp(self):
        super().setUp()
        self.see()

    def test_one_reading_without_it_is_not_believed(self):
        self.wakeups.clear()
        self.miss()
        self.assertEqual((self.on_rest.state, self.on_rest.missed), ("linked", 1))
        self.assertIn((self.rest.id, "listings"), self.wakeups)
        self.see()
        self.assertEqual(self.on_rest.missed, 0)

    def test_after_two_nothing_is_sent_any_more_and_a_person_is_asked(self):
        self.miss()
        self.miss()
        self.assertEqual(self.on_rest.state, "proposed")
        self.assertIn("does not list it any more", self.on_rest.reason)
        kind = self.env.ref("cartona_integration.activity_listings")
        self.assertTrue(self.rest.activity_ids.filtered(lambda one: one.activity_type_id == kind))
        self.drop_marks()
        self.tea.list_price = 130
        self.assertFalse(self.marks(self.rest))

    def test_seen_again_it_is_linked_again(self):
        self.miss()
        self.miss()
        self.see()
        self.assertEqual((self.on_rest.state, self.on_rest.reason, self.on_rest.missed), ("linked", False, 0))

    def test_made_anew_with_the_same_key_it_is_the_same_link(self):
        again = listing("TEA-25", "R9")
        self.miss(again)
        self.assertEqual(self.on_rest.external_id, "R1")
        self.miss(again)
        self.assertEqual((self.on_rest.state, self.on_rest.external_id), ("linked", "R9"))
        self.assertEqual(self.on_rest.product_id, self.tea)
        self.assertFalse(self.links.search([("external_id", "=", "R1"), ("account_id", "=", self.rest.id)]))
        self.push()
        self.assertEqual({(row["id"], row["price"]) for row in self.sent()}, {("R9", "100.00")})

    def test_made_anew_it_counts_as_seen_and_nobody_is_asked(self):
        again = listing("TEA-25", "R9")
        self.miss(again)
        self.miss(again)
        self.assertEqual((self.on_rest.state, self.on_rest.missed), ("linked", 0))
        self.assertFalse(self.rest.activity_search(["cartona_integration.activity_listings"]))
        self.miss()
        self.assertEqual(self.on_rest.state, "linked", "one reading without it is not believed")

    def test_a_person_is_told_of_all_that_are_gone(self):
        other = self.make_link(self.rest, self.make_product("SUGAR-1"), "R2")
        here = [listing(f"X{n}", f"x{n}") for n in range(9)]
        self.read_all(listing("TEA-25", "R1"), listing("SUGAR-1", "R2"), *here)
        for rows in ([listing("SUGAR-1", "R2"), *here],) * 2 + (here,) * 2:
            self.miss(*rows)
        self.assertEqual(set((self.on_rest | other).mapped("state")), {"proposed"})
        [asked] = self.rest.activity_search(["cartona_integration.activity_listings"])
        self.assertIn("2 listings", asked.note)

    def test_another_listing_of_what_is_gone_can_be_linked_by_hand(self):
        for _time in range(2):
            self.miss(listing("other", "R9"))
        found = self.links.search([("external_id", "=", "R9")])
        found.product_id = self.tea
        self.assertEqual((found.state, self.link(self.tea)), ("linked", found))

    def test_another_box_of_what_is_gone_is_linked_in_its_pack(self):
        self.rest.counts_in = "piece"
        self.on_rest.pack_uom_id = self.env.ref("uom.product_uom_dozen")
        self.tea.default_code = "T1"
        rows = listing("T1", "R8", unit_count=12), listing("?", "R9", unit_count=12)
        for _time in range(2):
            self.miss(*rows)
        self.run_job(self.rest, "match")
        proposed, by_hand = (self.links.search([("external_id", "=", one)]) for one in ("R8", "R9"))
        self.assertEqual(proposed.proposed_product_id, self.tea)
        with self.cr.savepoint() as savepoint:
            by_hand.product_id = self.tea
            self.assertEqual(self.link(self.tea), by_hand)
            savepoint.rollback()
        self.env.invalidate_all()
        proposed.action_link_proposed()
        self.assertEqual((self.link(self.tea), proposed.state), (proposed, "linked"))

    def test_made_anew_twice_a_person_chooses(self):
        rows = listing("TEA-25", "R8"), listing("TEA-25", "R9")
        self.miss(*rows)
        self.miss(*rows)
        self.assertEqual(self.on_rest.state, "proposed")
        self.assertIn("Several listings", self.on_rest.reason)

    def test_a_person_may_say_what_took_its_place(self):
        self.rest.link_by_key = False
        self.tea.default_code = "TEA-25"
        for _time in range(2):
            self.miss(listing("TEA-25", "R9"))
        self.run_job(self.rest, "match")
        found = self.links.search([("external_id", "=", "R9")])
        found.action_link_proposed()
        self.assertEqual(self.link(self.tea), found)

    def test_a_listing_nobody_linked_goes_without_a_word(self):
        self.read_all(listing("TEA-25", "R1"), listing("X", "8"))
        for _time in range(2):
            self.miss(listing("TEA-25", "R1"))
        self.assertFalse(self.links.search([("external_id", "=", "8")]))
        self.assertEqual(self.on_rest.state, "linked")

    def test_a_list_that_is_empty_of_a_sudden_is_not_believed(self):
        sugar = self.make_product("SUGAR-1")
        other = self.make_link(self.rest, sugar, "R2")
        self.read_all(listing("TEA-25", "R1", price="100.00", stock="10"), listing("SUGAR-1", "R2"))
        for _reading in range(3):
            self.yesterday()
            self.read_all()
        self.assertEqual(set((self.on_rest | other).mapped("state")), {"linked"})
        self.assertTrue(self.rest.activity_search(["cartona_integration.activity_listings"]))

    def test_when_very_many_are_missing_nothing_is_believed(self):
        self.read_all(listing("TEA-25", "R1"), *[listing(f"X{n}", f"{n}") for n in range(30)])
        for _time in range(3):
            self.miss(listing("TEA-25", "R1"))
        self.assertEqual(len(self.links.search([("state", "=", "found")])), 30)
        self.assertTrue(self.rest.activity_ids)

    def test_a_few_of_a_small_shop_may_go_half_of_it_does_not(self):
        rows = [listing(f"X{n}", f"{n}") for n in range(12)]
        self.read_all(listing("TEA-25", "R1"), *rows)
        for _time in range(2):
            self.miss(listing("TEA-25", "R1"), *rows[6:])
        self.assertEqual(len(self.links.search([("state", "=", "found")])), 12)
        self.assertTrue(self.rest.activity_ids)
        for _time in range(2):
            self.miss(listing("TEA-25", "R1"), *rows[3:])
        self.assertEqual(len(self.links.search([("state", "=", "found")])), 9)

    def assertAsked(self, words):
        self.assertTrue(self.on_rest.is_paused)
        self.assertIn(words, self.on_rest.reason)
        self.assertTrue(self.rest.activity_search(["cartona_integration.activity_listings"]))
        self.tea.list_price = 130
        self.push()
        self.assertFalse(self.sent())

    def go_on(self):
        self.on_rest.is_paused = False
        self.push()
        self.assertEqual(self.sent()[-1]["price"], "130.00")
        self.assertFalse(self.on_rest.reason)

    def test_its_key_is_another_products_now_a_person_is_asked(self):
        self.make_product("SUGAR-1")
        again = listing("SUGAR-1", "R1", price="100.00", stock="10")
        self.read_all(again)
        self.assertAsked("Its key at the marketplace is SUGAR-1 now")
        self.go_on()
        self.read_all(again)
        self.assertFalse(self.on_rest.is_paused, "it was asked once")

    def test_its_key_is_another_companys_product_is_nothing_to_ask(self):
        other = self.env["res.company"].create({"name": "Other"})
        self.make_product("SUGAR-1", company_id=other.id)
        self.read_all(listing("SUGAR-1", "R1", price="100.00", stock="10"))
        self.assertFalse(self.on_rest.is_paused)

    def test_it_is_sold_in_other_packs_now_a_person_is_asked(self):
        self.see(unit_count=12)
        self.assertFalse(self.on_rest.is_paused, "it was not known before")
        self.see(unit_count=24)
        self.assertAsked("in 24 pieces now, no longer in 12")
        self.go_on()

    def test_a_reading_that_tells_no_pack_hides_no_change_of_it(self):
        self.see(unit_count=12)
        self.see()
        self.assertEqual(self.on_rest.unit_count, 12)
        self.see(unit_count=24)
        self.assertTrue(self.on_rest.is_paused)

    def test_orders_of_what_became_something_else_wait_for_the_answer(self):
        self.see(unit_count=12)
        self.see(unit_count=24)
        line = {"id": "1", "product_id": "R1", "sku": "TEA-25", "quantity": 1, "unit_price": 10}
        order = {"id": "N1", "status": "pending", "total": 10, "customer": {"id": "C1", "name": "Shop"}}
        order |= {"currency": self.rest.currency_id.name, "modified_at": "2026-11-12T10:00:00Z"}
        self.receive(self.rest, {**order, "lines": [line]})
        event = self.events(self.rest)
        self.assertEqual(event.state, "hold")
        self.assertIn("became something else", event.reason)
        self.on_rest.action_start_sending()
        self.assertFalse(self.on_rest.is_disputed)
        self.assertFalse(self.on_rest.reason, "who has answered is not asked any more")
        self.run_job(self.rest, "import")
        self.assertEqual(self.order(self.rest, "N1").order_line.product_id, self.tea)

    def test_a_person_who_chose_the_new_pack_already_is_not_asked(self):
        self.rest.counts_in = "piece"
        self.see(unit_count=6)
        self.on_rest.pack_uom_id = self.env.ref("uom.product_uom_dozen")
        self.see(unit_count=12)
        self.assertFalse(self.on_rest.is_paused)

    def test_its_key_changed_over_there_the_id_decides(self):
        self.read_all(listing("NEW-KEY", "R1", price="100.00", stock="10"))
        self.assertEqual((self.on_rest.product_id, self.on_rest.key), (self.tea, "NEW-KEY"))


class TestProductsThatGo(HealingCase):
    """Nothing sells what is not there."""

    def make_variants(self):
        attribute = self.env["product.attribute"].create({"name": "Size"})
        small, large = self.env["product.attribute.value"].create(
            [{"name": name, "attribute_id": attribute.id} for name in ("S", "L")]
        )
        template = self.tea.product_tmpl_id
        template.attribute_line_ids = [
            (0, 0, {"attribute_id": attribute.id, "value_ids": [(6, 0, (small + large).ids)]})
        ]
        return template, small, large

    def test_a_variant_that_goes_with_its_attribute_shows_nothing_and_asks(self):
        template, _small, _large = self.make_variants()
        sold = template.product_variant_ids[0]
        self.on_rest.product_id = sold
        self.settle()
        sold.active = False
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["0"])
        self.assertIn("variant was archived", self.on_rest.reason)

    def test_an_archived_product_shows_nothing_and_asks_nobody(self):
        self.tea.product_tmpl_id.active = False
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["0"])
        self.assertFalse(self.on_rest.reason)

    def test_a_deleted_products_listing_shows_nothing_and_waits_for_another(self):
        never_out = self.make_product(False, list_price=100, **SERVICE)
        self.on_rest.product_id = never_out
        self.settle()
        never_out.product_tmpl_id.unlink()
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["0"])
        self.assertIn("deleted", self.on_rest.reason)
        self.see()
        self.assertEqual((self.on_rest.state, self.on_rest.product_id.id), ("linked", False))

    def test_merged_products_whose_links_moved_show_the_stock_of_the_one_that_stays(self):
        other = self.make_product(False, list_price=100)
        self.move_in(other, 4)
        self.env.flush_all()
        self.cr.execute(
            "UPDATE marketplace_product_link SET product_id = %s WHERE id = %s", [other.id, self.on_rest.id]
        )
        self.env.invalidate_all()
        self.tea.product_tmpl_id.active = False
        self.run_job(self.rest, "check")
        self.push()
        self.assertEqual([row["stock"] for row in self.sent()], ["4"])
