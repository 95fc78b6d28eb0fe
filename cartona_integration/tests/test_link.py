import json
from ast import literal_eval
from datetime import timedelta
from unittest.mock import patch

from lxml import etree

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import new_test_user

from ..compat import SOL_UOM
from ..dialects.words import Answer
from ..exceptions import Unavailable
from ..models import marketplace_reading
from ..models.marketplace_push import DOUBT_AFTER, LOOKUPS
from ..models.marketplace_reading import STALE_AFTER
from .common import ListedCase, ok


def listing(key, listing_id, price="1.00", stock="1", **values):
    """Give a listing as the rest marketplace shows it."""
    return {"id": listing_id, "sku": key, "name": f"Their {key}", "price": price, "stock": stock, **values}


class LinkCase(ListedCase):
    def setUp(self):
        super().setUp()
        (self.rest | self.cartona).link_by_key = True
        self.links = self.env["marketplace.product.link"]

    def link(self, product, account=None):
        return self.links.search(
            [("product_id", "=", product.id), ("account_id", "=", (account or self.rest).id)]
        )

    def listed(self, *rows):
        """Let rest list these, filtered by key where one is asked for."""

        def answer(request):
            wanted = dict(request.query).get("sku")
            found = [row for row in rows if wanted in (None, row.get("sku"))]
            return ok({"products": found, "next_page": None})

        self.door.will("products", answer)

    def look(self, *rows):
        """Run the search for what is looked for."""
        self.listed(*rows)
        self.run_job(self.rest, "link")

    def read_all(self, *rows):
        """Run the reading of all listings."""
        self.listed(*rows)
        self.run_job(self.rest, "listings")


class TestProposing(LinkCase):
    """A key makes an account look for its listing."""

    def test_a_key_proposes_a_link_on_every_account_that_links_by_itself(self):
        self.cartona.link_by_key = False
        sugar = self.make_product("SUGAR-1")
        self.assertEqual((self.link(sugar).state, self.link(sugar).key), ("proposed", "SUGAR-1"))
        self.assertFalse(self.link(sugar, self.cartona))
        self.assertIn((self.rest.id, "link"), self.wakeups)

    def test_nothing_is_sent_before_the_listing_was_seen(self):
        sugar = self.make_product("SUGAR-1", list_price=5)
        self.drop_marks()
        sugar.list_price = 6
        self.assertFalse(self.marks(self.rest))
        self.look()
        self.assertEqual(self.link(sugar).state, "proposed")
        self.assertFalse(self.marks(self.rest))

    def test_a_changed_key_is_looked_for_and_a_removed_one_is_not(self):
        sugar = self.make_product("SUGAR-1")
        self.look()
        sugar.cartona_id = "SUGAR-2"
        self.assertEqual((self.link(sugar).key, self.link(sugar).looked_up_at), ("SUGAR-2", False))
        sugar.cartona_id = False
        self.assertFalse(self.link(sugar))

    def test_a_deleted_product_is_not_looked_for_and_leaves_its_key_to_another(self):
        sugar = self.make_product("SUGAR-1")
        self.look()
        sugar.unlink()
        self.assertFalse(self.links.search([("key", "=", "SUGAR-1")]))
        again = self.make_product("SUGAR-1")
        self.assertEqual(self.link(again).state, "proposed")

    def test_so_it_is_while_no_account_works(self):
        sugar = self.make_product("SUGAR-1")
        self.look()
        self.env["marketplace.config"].search([]).state = "draft"
        sugar.unlink()
        self.assertFalse(self.links.search([("key", "=", "SUGAR-1")]))

    def test_a_linked_listing_stays_whatever_becomes_of_the_key(self):
        for key in ("OTHER", False):
            self.tea.cartona_id = key
            self.assertEqual((self.on_rest.state, self.on_rest.external_id), ("linked", "R1"))

    def test_a_product_of_another_company_is_not_proposed(self):
        company = self.env["res.company"].create({"name": "Company B"})
        product = self.make_product("B-1", company_id=company.id)
        self.assertFalse(self.link(product))
        self.read_all(listing("B-1", "9"))
        self.assertFalse(self.link(product))

    def test_two_companies_products_with_one_key_each_have_their_own(self):
        company = self.env["res.company"].create({"name": "Company B"})
        other = self.make_product("SAME", company_id=company.id)
        mine = self.make_product("SAME", company_id=self.env.company.id)
        self.look(listing("SAME", "9"))
        self.assertEqual(self.link(mine).external_id, "9")
        self.assertFalse(self.link(other))

    def test_a_user_without_marketplace_rights_fills_in_a_key(self):
        user = new_test_user(self.env, "clerk", groups="base.group_system")
        sugar = self.make_product(False)
        sugar.with_user(user).cartona_id = "SUGAR-1"
        self.assertEqual(self.link(sugar).state, "proposed")


class TestLinking(LinkCase):
    """A listing is linked by its id, else by its key, else by a person."""

    def test_a_listing_with_the_key_is_linked_and_then_sent_everything(self):
        sugar = self.make_product("SUGAR-1", list_price=5)
        self.look(listing("SUGAR-1", "9"))
        link = self.link(sugar)
        self.assertEqual((link.state, link.external_id, link.listing_name), ("linked", "9", "Their SUGAR-1"))
        self.assertEqual((link.observed_price, link.observed_quantity), (1, 1))
        self.push()
        [row] = self.sent()
        self.assertEqual((row["id"], row["price"], row["stock"]), ("9", "5.00", "0"))

    def test_an_account_that_sends_no_prices_sends_none_of_a_new_link(self):
        self.rest.auto_sync_prices = False
        self.drop_marks()
        sugar = self.make_product("SUGAR-1", list_price=5)
        self.look(listing("SUGAR-1", "9"))
        self.assertEqual(self.marks(self.rest), {(self.link(sugar), "stock")})

    def test_the_marketplaces_filter_is_not_trusted(self):
        sugar = self.make_product("SUGAR-1")
        self.door.will("products", ok({"products": [listing("SUGAR-10", "9")], "next_page": None}))
        self.run_job(self.rest, "link")
        self.assertEqual((self.link(sugar).state, self.link(sugar).reason), ("proposed", False))

    def make_contradiction(self):
        pepper = self.make_product("PEPPER", barcode="6221031490033")
        mint = self.make_product(False, barcode="6221031490019")
        return pepper, mint, listing("PEPPER", "R5", barcode="6221031490019")

    def test_a_key_and_a_barcode_of_different_products_are_a_persons_case(self):
        pepper, mint, row = self.make_contradiction()
        self.read_all(row)
        link = self.link(pepper)
        self.assertEqual((link.state, link.external_id), ("proposed", False))
        self.assertIn(mint.display_name, link.reason)
        link.external_id = "R5"
        self.read_all(row)
        self.assertEqual((link.state, link.external_id, link.reason), ("linked", "R5", False))

    def test_what_is_looked_for_by_its_key_may_have_another_products_barcode_too(self):
        pepper, mint, row = self.make_contradiction()
        self.look(row)
        self.assertEqual(self.link(pepper).state, "proposed")
        self.assertIn(mint.display_name, self.link(pepper).reason)

    def test_a_listing_with_another_products_barcode_is_not_given_its_keys_product(self):
        pepper, _mint, row = self.make_contradiction()
        self.link(pepper).unlink()
        self.read_all(row)
        self.assertFalse(self.link(pepper))
        self.assertEqual(self.links.search([("external_id", "=", "R5")]).state, "found")
        self.read_all(listing("PEPPER", "R5", barcode="6221031490033"))
        self.assertEqual(self.link(pepper).external_id, "R5")

    def test_a_key_of_several_listings_is_a_persons_case(self):
        sugar = self.make_product("SUGAR-1")
        rows = listing("SUGAR-1", "8"), listing("SUGAR-1", "9")
        self.look(*rows)
        link = self.link(sugar)
        self.assertEqual((link.state, link.external_id), ("proposed", False))
        self.assertIn("Several listings", link.reason)
        link.external_id = "9"
        self.assertFalse(link.reason)
        self.assertIn((self.rest.id, "listings"), self.wakeups)
        self.read_all(*rows)
        self.assertEqual((link.state, link.external_id, link.reason), ("linked", "9", False))

    def test_a_key_of_listings_on_several_pages_is_a_persons_case_too(self):
        sugar = self.make_product("SUGAR-1")
        self.door.will(
            "products",
            ok({"products": [listing("SUGAR-1", "8")], "next_page": 2}),
            ok({"products": [listing("SUGAR-1", "9")], "next_page": None}),
        )
        self.run_job(self.rest, "listings")
        self.assertEqual(self.link(sugar).state, "proposed")
        self.assertIn("Several listings", self.link(sugar).reason)

    def test_a_listing_that_comes_twice_because_pages_shift_is_one(self):
        sugar = self.make_product("SUGAR-1")
        row = listing("SUGAR-1", "8")
        self.door.will(
            "products",
            ok({"products": [row, row], "next_page": 2}),
            ok({"products": [row], "next_page": None}),
        )
        self.run_job(self.rest, "listings")
        self.assertEqual(self.link(sugar).external_id, "8")

    def test_a_key_a_linked_listing_has_too_is_ambiguous(self):
        self.on_rest.write({"product_id": self.make_product(False).id})
        self.read_all(listing("TEA-25", "R1"), listing("TEA-25", "R2"))
        found = self.links.search([("external_id", "=", "R2")])
        self.assertEqual((found.state, found.product_id.id), ("found", False))

    def test_the_id_decides_whatever_the_key_says(self):
        self.make_product("SUGAR-1")
        self.look(listing("SUGAR-1", "R1"))
        self.assertEqual(self.on_rest.product_id, self.tea)
        self.assertEqual(self.on_rest.key, "SUGAR-1")
        other = self.links.search([("key", "=", "SUGAR-1"), ("state", "=", "proposed")])
        self.assertIn("another product", other.filtered(lambda link: link.account_id == self.rest).reason)

    def test_a_listing_without_an_id_is_linked_by_its_key(self):
        sugar = self.make_product("SUGAR-1")
        self.read_all(listing("SUGAR-1", None))
        link = self.link(sugar)
        self.assertEqual((link.state, link.external_id), ("linked", False))
        self.read_all(listing("SUGAR-1", None), listing("SUGAR-1", None))
        self.read_all(listing("SUGAR-1", "9"))
        self.assertEqual(link.external_id, "9")

    def test_a_listing_is_linked_to_a_product_that_was_never_proposed(self):
        self.rest.link_by_key = False
        sugar = self.make_product("SUGAR-1", list_price=5)
        self.read_all(listing("SUGAR-1", "9"))
        self.assertFalse(self.link(sugar))
        self.rest.link_by_key = True
        self.read_all(listing("SUGAR-1", "9"))
        self.assertEqual(self.link(sugar).state, "linked")
        log = self.env["marketplace.sync.log"].search([("kind", "=", "listings")])
        self.assertEqual((log.received, log.new), (1, 1))

    def test_a_link_made_by_hand_by_its_id_alone_is_found_by_the_reading_of_all(self):
        link = self.links.create(
            {"account_id": self.rest.id, "product_id": self.make_product(False).id, "external_id": "9"}
        )
        self.assertIn((self.rest.id, "listings"), self.wakeups)
        self.read_all(listing("X", "8"))
        self.assertEqual((link.state, link.reason), ("proposed", "No listing has this id."))
        self.read_all(listing("X", "9"))
        self.assertEqual((link.state, link.key, link.reason), ("linked", "X", False))

    def test_a_link_that_names_another_listing_has_to_be_seen_again(self):
        self.settle()
        self.on_rest.external_id = "R2"
        self.assertEqual((self.on_rest.state, self.on_rest.price_acknowledged), ("proposed", False))
        self.tea.list_price = 120
        self.assertFalse(self.marks(self.rest))
        self.read_all(listing("TEA-25", "R2"))
        self.push()
        [row] = self.sent()
        self.assertEqual((row["id"], row["price"], row["stock"]), ("R2", "120.00", "10"))

    def test_a_link_that_gets_another_product_shows_that_ones_figures(self):
        self.settle()
        self.on_rest.product_id = self.make_product("SUGAR-1", list_price=5)
        self.push()
        [row] = self.sent()
        self.assertEqual((row["id"], row["price"], row["stock"]), ("R1", "5.00", "0"))

    def test_a_listing_whose_product_is_gone_meanwhile_is_found_and_not_linked(self):
        link = self.make_link(self.rest, self.env["product.product"], "E77", state="proposed")
        link._become_linked()
        self.assertEqual(link.state, "found")

    def test_a_pack_the_product_is_not_measured_in_is_refused(self):
        with self.assertRaises(ValidationError):
            self.on_rest.pack_uom_id = self.env.ref("uom.product_uom_kgm")

    def test_a_link_made_by_hand_takes_the_place_of_the_search_for_the_product(self):
        sugar = self.make_product("SUGAR-1")
        link = self.links.create(
            {"account_id": self.rest.id, "product_id": sugar.id, "external_id": "9", "key": "X"}
        )
        self.assertEqual(self.link(sugar), link)


class TestReading(LinkCase):
    """The reading of all listings, and the search for single ones."""

    def test_what_the_marketplace_took_but_does_not_show_is_sent_again(self):
        self.settle()
        self.read_all(listing("TEA-25", "R1", price="77.00", stock="10"))
        self.assertEqual(self.on_rest.observed_price, 77)
        self.push()
        [row] = self.sent()
        self.assertEqual((row["price"], row.get("stock")), ("100.00", None))

    def test_what_it_shows_as_it_took_it_is_not_sent_again(self):
        self.settle()
        for row in (listing("TEA-25", "R1", price="100.0", stock="10"), {"id": "R1"}):
            self.read_all(row)
            self.push()
        self.assertFalse(self.sent())

    def test_a_change_nobody_told_of_goes_out_with_the_next_reading(self):
        self.settle()
        self.env.flush_all()
        self.cr.execute(
            "UPDATE product_template SET list_price = 130 WHERE id = %s", [self.tea.product_tmpl_id.id]
        )
        self.env.invalidate_all()
        self.read_all(listing("TEA-25", "R1", price="100.00", stock="10"))
        self.push()
        self.assertEqual(self.sent()[0]["price"], "130.00")

    def test_figures_that_cannot_be_read_are_no_reason_to_stop(self):
        rows = [{"id": "R1", "sku": "TEA-25", "price": "cheap", "stock": None}, "no object", {"name": "x"}]
        self.door.will("products", ok({"products": rows, "next_page": None}))
        self.run_job(self.rest, "listings")
        self.assertEqual((self.on_rest.observed_price, self.on_rest.observed_quantity), (0, 0))

    def test_few_are_looked_for_one_by_one_and_many_by_reading_all(self):
        for number in range(LOOKUPS + 1):
            self.make_product(f"P{number}")
        self.wakeups.clear()
        self.look(listing("P3", "3"))
        self.assertFalse(self.door.requests)
        self.assertEqual(self.wakeups, [(self.rest.id, "listings")])
        self.run_job(self.rest, "listings")
        self.assertEqual(self.links.search([("external_id", "=", "3")]).product_id.cartona_id, "P3")
        self.assertFalse(self.rest._committed("_has_waiting", "link"))

    def test_a_marketplace_that_does_not_answer_is_asked_again_later(self):
        sugar = self.make_product("SUGAR-1")
        self.door.will("products", Unavailable("No answer"))
        self.run_job(self.rest, "link")
        self.assertTrue(self.rest._state("link").paused_until)
        self.assertFalse(self.link(sugar).looked_up_at)
        self.rest._state("link").paused_until = fields.Datetime.now() - timedelta(seconds=1)
        self.look(listing("SUGAR-1", "9"))
        self.assertEqual(self.link(sugar).state, "linked")

    def test_a_key_the_marketplace_refuses_says_so_and_the_others_go_on(self):
        bad, good = self.make_product("BAD"), self.make_product("GOOD")

        def answer(request):
            if dict(request.query)["sku"] == "BAD":
                return Answer(422, {"error": {"message": "No such sku"}})
            return ok({"products": [listing("GOOD", "9")], "next_page": None})

        self.door.will("products", answer)
        self.run_job(self.rest, "link")
        self.assertIn("No such sku", self.link(bad).reason)
        self.assertEqual(self.link(good).state, "linked")

    def test_a_key_that_always_fails_does_not_stop_the_others_for_ever(self):
        self.make_product("BAD")
        good = self.make_product("GOOD")

        def answer(request):
            if dict(request.query)["sku"] == "BAD":
                return Answer(500, None)
            return ok({"products": [listing("GOOD", "9")], "next_page": None})

        self.door.will("products", answer)
        for _time in range(2):
            self.rest._state("link")._resume()
            self.run_job(self.rest, "link")
        self.assertEqual(self.link(good).state, "linked")

    def test_a_reading_that_breaks_off_keeps_what_it_saw_and_goes_on_there(self):
        sugar = self.make_product("SUGAR-1")
        self.door.will(
            "products", ok({"products": [listing("TEA-25", "R1")], "next_page": 2}), Answer(503, None)
        )
        self.run_job(self.rest, "listings")
        self.assertTrue(self.on_rest.observed_at)
        self.assertTrue(self.rest._state("listings").paused_until)
        self.rest._state("listings")._resume()
        self.read_all(listing("SUGAR-1", "9"))
        self.assertEqual(dict(self.door.asked("products")[-1].query)["page"], "2")
        self.assertEqual(self.link(sugar).state, "linked")

    def test_how_far_a_reading_is_can_be_seen(self):
        page = {"products": [listing("A", "1"), listing("B", "2")], "next_page": 2}
        self.door.will("products", ok(page), Answer(503, None))
        self.run_job(self.rest, "listings")
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.reading_count, 2)
        self.rest._state("listings")._resume()
        self.read_all(listing("C", "3"))
        self.rest.invalidate_recordset()
        self.assertEqual(self.rest.reading_count, 0)

    def test_a_reading_left_for_hours_starts_again(self):
        self.door.will(
            "products", ok({"products": [listing("TEA-25", "R1")], "next_page": 2}), Answer(503, None)
        )
        self.run_job(self.rest, "listings")
        state = self.rest._state("listings")
        course = json.loads(state.cursor)
        course["began"] = fields.Datetime.to_string(fields.Datetime.now() - 2 * STALE_AFTER)
        state.write({"cursor": json.dumps(course), "pause_reason": False, "paused_until": False})
        self.read_all(listing("TEA-25", "R1"))
        self.assertEqual(dict(self.door.asked("products")[-1].query)["page"], "1")
        self.assertFalse(state.cursor)

    def test_a_list_that_never_ends_is_stopped(self):
        self.startPatcher(patch.object(marketplace_reading, "MAX_PAGES", 1))
        self.door.will("products", ok({"products": [listing("TEA-25", "R1")], "next_page": 7}))
        self.run_job(self.rest, "listings")
        self.assertIn("more than 1 pages", self.rest._state("listings").pause_reason)

    def test_the_daily_cron_reads_every_working_account(self):
        self.cartona.action_pause()
        self.wakeups.clear()
        self.env["marketplace.config"]._cron_listings()
        self.assertIn((self.rest.id, "listings"), self.wakeups)
        self.assertNotIn((self.cartona.id, "listings"), self.wakeups)


class TestCreating(LinkCase):
    """Listings the marketplace does not have yet."""

    def setUp(self):
        super().setUp()
        self.sugar = self.make_product("SUGAR-1", list_price=5, barcode="6221031490019")
        self.move_in(self.sugar, 4)
        self.look()
        self.wanted = self.link(self.sugar)
        self.door.requests.clear()
        self.shop = []  # what the marketplace has

    def marketplace(self, answer_of_creation=None):
        """Let the marketplace keep what is created; the answer may get lost."""

        def create(request):
            row = {**request.body["product"], "id": f"N{len(self.shop)}"}
            self.shop.append(row)
            if answer_of_creation:
                raise answer_of_creation
            return ok({"product": row}, 201)

        self.door.will("create_product", create)
        self.door.will(
            "products",
            lambda request: ok({"products": self.find(**dict(request.query)), "next_page": None}),
        )

    def find(self, sku, **_page):
        return [row for row in self.shop if row["sku"] == sku]

    def create_now(self):
        self.wanted.action_create_listing()
        self.run_job(self.rest, "link")

    def test_a_listing_is_created_with_everything_and_linked(self):
        self.marketplace()
        self.create_now()
        [row] = self.shop
        self.assertEqual(
            {name: row.get(name) for name in ("sku", "name", "barcode", "price", "stock", "active")},
            {
                "sku": "SUGAR-1",
                "name": self.sugar.display_name,
                "barcode": "6221031490019",
                "price": "5.00",
                "stock": "4",
                "active": True,
            },
        )
        self.assertEqual((self.wanted.state, self.wanted.external_id), ("linked", "N0"))

    def test_a_creation_with_an_unknown_outcome_makes_no_double(self):
        self.marketplace(Unavailable("No answer"))
        self.create_now()
        self.assertEqual((len(self.shop), self.wanted.state), (1, "wanted"))
        self.rest._state("link")._resume()
        self.run_job(self.rest, "link")
        self.assertEqual((len(self.shop), self.wanted.state, self.wanted.external_id), (1, "linked", "N0"))

    def test_a_creation_whose_job_died_is_taken_up_again(self):
        self.marketplace()
        self.wanted.action_create_listing()
        self.env.flush_all()
        self.rest.with_user(self.rest.user_id)._committed("_claim_lookup")  # and dies
        self.env.invalidate_all()
        self.assertFalse(self.rest._committed("_has_waiting", "link"))
        self.wanted.looked_up_at = fields.Datetime.now() - 2 * DOUBT_AFTER
        self.env.flush_all()
        self.assertTrue(self.rest._committed("_has_waiting", "link"))
        self.run_job(self.rest, "link")
        self.assertEqual((len(self.shop), self.wanted.state), (1, "linked"))

    def test_what_is_there_already_is_linked_and_not_created(self):
        self.marketplace()
        self.shop.append({"id": "N7", "sku": "SUGAR-1"})
        self.create_now()
        self.assertEqual((len(self.shop), self.wanted.external_id), (1, "N7"))

    def test_an_answer_without_the_key_is_still_this_listing(self):
        self.marketplace()
        self.door.will("create_product", ok({"product": {"id": "N5"}}, 201))
        self.create_now()
        self.assertEqual((self.wanted.state, self.wanted.external_id), ("linked", "N5"))
        self.assertEqual(self.wanted.key, "SUGAR-1")

    def test_a_refused_creation_says_why(self):
        self.marketplace()
        self.door.will("create_product", Answer(422, {"error": {"code": "x", "message": "No brand"}}))
        self.create_now()
        self.assertEqual(self.wanted.state, "proposed")
        self.assertIn("No brand", self.wanted.reason)

    def test_nothing_is_offered_for_nothing(self):
        self.marketplace()
        self.sugar.list_price = 0
        self.create_now()
        self.assertFalse(self.shop)
        self.assertEqual(self.wanted.state, "proposed")
        self.assertIn("no price", self.wanted.reason)

    def test_in_shadow_it_waits(self):
        self.marketplace()
        self.rest.state = "shadow"
        self.create_now()
        self.assertFalse(self.shop)
        self.assertEqual(self.wanted.state, "wanted")
        self.rest.action_activate()
        self.run_job(self.rest, "link")
        self.assertEqual((len(self.shop), self.wanted.state), (1, "linked"))

    def test_cartona_refuses_with_words(self):
        link = self.link(self.sugar, self.cartona)
        with self.assertRaisesRegex(UserError, "lets no listings be created"):
            link.action_create_listing()

    def test_without_a_key_or_a_product_it_is_refused_with_words(self):
        link = self.links.create({"account_id": self.rest.id, "key": "ORPHAN"})
        with self.assertRaisesRegex(UserError, "needs a product and a key"):
            link.action_create_listing()


class TestButtons(LinkCase):
    """What people see and press."""

    def test_sending_now_sends_what_seems_to_be_there(self):
        self.settle()
        self.on_rest.action_sync()
        self.assertEqual(self.on_rest.sync_status, "pending")
        self.push()
        [row] = self.sent()
        self.assertEqual((row["price"], row["stock"]), ("100.00", "10"))
        self.assertEqual(self.on_rest.sync_status, "synced")

    def test_sending_now_looks_for_what_is_not_linked(self):
        sugar = self.make_product("SUGAR-1")
        self.look()
        self.link(sugar).action_sync()
        self.look(listing("SUGAR-1", "9"))
        self.assertEqual(self.link(sugar).state, "linked")

    def test_sending_now_promises_only_what_will_be(self):
        proposed = self.link(self.make_product("SUGAR-1"))
        self.assertIn("looked for", proposed.action_sync()["params"]["message"])
        found = self.links.create({"account_id": self.rest.id, "external_id": "9", "state": "found"})
        with self.assertRaisesRegex(UserError, "product"):
            found.action_sync()
        self.on_rest.is_paused = True
        with self.assertRaisesRegex(UserError, "Start Sending"):
            self.on_rest.action_sync()

    def test_the_accounts_button_opens_as_many_listings_as_it_says(self):
        self.links.create({"account_id": self.rest.id, "external_id": "9", "state": "found"})
        self.make_product("SUGAR-1")
        self.assertEqual(self.rest.link_count, 1)
        action = self.rest.action_view_links()
        [name] = [key.removeprefix("search_default_") for key in action["context"]]
        view = self.env.ref("cartona_integration.view_marketplace_link_search")
        [chosen] = etree.fromstring(view.arch).xpath("//filter[@name=$name]/@domain", name=name)
        self.assertEqual(self.links.search([*action["domain"], *literal_eval(chosen)]), self.on_rest)

    def test_a_button_with_nothing_to_do_says_so(self):
        with self.assertRaises(UserError):
            self.on_rest.action_start_sending()
        with self.assertRaises(UserError):
            self.on_rest.action_create_listing()
        self.on_rest.action_stop_sending()
        with self.assertRaises(UserError):
            self.on_rest.action_stop_sending()

    def test_each_status_finds_its_own(self):
        self.settle()
        sugar = self.link(self.make_product("SUGAR-1"))
        self.on_cartona.reason = "Refused"
        mine = self.on_rest | sugar | self.on_cartona
        for status, link in (("synced", self.on_rest), ("pending", sugar), ("error", self.on_cartona)):
            self.assertEqual(link.sync_status, status)
            for operator, value in (("=", status), ("in", [status])):
                found = self.links.search([("sync_status", operator, value), ("id", "in", mine.ids)])
                self.assertEqual(found, link)
            for operator, value in (("!=", status), ("not in", [status])):
                found = self.links.search([("sync_status", operator, value), ("id", "in", mine.ids)])
                self.assertEqual(found, mine - link)

    def test_what_was_looked_for_and_is_not_there_makes_no_product_wait(self):
        self.settle()
        self.settle(self.cartona)
        self.on_cartona.unlink()
        self.links.create({"account_id": self.cartona.id, "product_id": self.tea.id, "key": "TEA-25"})
        products = self.env["product.product"]
        for status, looked_up_at in (("pending", False), ("synced", fields.Datetime.now())):
            self.link(self.tea, self.cartona).looked_up_at = looked_up_at
            self.assertEqual(self.tea.marketplace_sync_status, status)
            self.assertIn(self.tea, products.search([("marketplace_sync_status", "=", status)]))
        self.assertNotIn(self.tea, products.search([("marketplace_sync_status", "=", "pending")]))
        self.on_rest.unlink()
        self.env.invalidate_all()
        self.assertFalse(self.tea.marketplace_sync_status)
        self.assertIn(self.tea, products.search([("marketplace_sync_status", "=", False)]))
        self.assertFalse(self.link(self.tea, self.cartona).sync_status)

    def test_what_waits_for_a_pause_to_end_is_not_in_step(self):
        self.settle()
        self.rest.action_pause()
        self.on_rest.product_id.list_price = 70
        self.assertTrue(self.marks(self.rest))
        self.env.invalidate_all()
        self.assertEqual((self.on_rest | self.on_cartona).mapped("sync_status"), ["pending", "pending"])
        self.assertNotIn(self.on_rest, self.links.search([("sync_status", "=", "synced")]))
        self.assertIn(self.on_rest, self.links.search([("sync_status", "=", "pending")]))

    def test_a_stranger_and_a_neighbour_press_nothing(self):
        company = self.env["res.company"].create({"name": "Company B"})
        group = "cartona_integration.group_marketplace_manager"
        users = (
            new_test_user(self.env, "stranger", groups="base.group_user"),
            new_test_user(
                self.env, "b", groups=group, company_id=company.id, company_ids=[(6, 0, company.ids)]
            ),
        )
        self.env.flush_all()
        for user in users:
            for button in ("action_sync", "action_create_listing"):
                self.env.invalidate_all()
                with self.assertRaises(AccessError):
                    getattr(self.on_rest.with_user(user).with_company(user.company_id), button)()

    def test_a_marketplace_user_presses_send(self):
        user = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        self.env.flush_all()
        self.env.invalidate_all()
        self.on_rest.with_user(user).action_sync()
        self.assertTrue(self.marks(self.rest))

    def test_orders_find_their_product_by_the_listings_pack(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        self.make_link(self.rest, self.tea, "R12", pack_uom_id=dozen.id)
        order = {
            "id": "N1",
            "status": "pending",
            "modified_at": "2026-11-12T10:00:00Z",
            "currency": self.env.company.currency_id.name,
            "total": 100,
            "customer": {"id": "C1", "name": "Shop"},
            "lines": [{"id": "1", "product_id": "R12", "sku": "TEA-25", "quantity": 1, "unit_price": 100}],
        }
        self.receive(self.rest, order)
        line = self.order(self.rest, "N1").order_line
        self.assertEqual((line.product_uom_qty, line[SOL_UOM]), (1, dozen))
        order["lines"][0].pop("product_id")
        self.receive(self.rest, {**order, "id": "N2"})
        message = self.events(self.rest, "N2")
        self.assertEqual(message.state, "hold")
        self.assertIn("packs have the key", message.reason)


class TestProductPage(LinkCase):
    """What a product's page tells of its listings, and to whom."""

    def setUp(self):
        super().setUp()
        self.settle()
        self.settle(self.cartona)
        self.template = self.tea.product_tmpl_id

    def shown(self, product, user):
        """Read a product as its page does."""
        self.env.invalidate_all()
        fields = {"marketplace_sync_status": {}, "marketplace_link_ids": {"fields": {"key": {}}}}
        [values] = product.with_user(user).web_read(fields)
        return values["marketplace_sync_status"], [link["id"] for link in values["marketplace_link_ids"]]

    def make_neighbour(self):
        """Make a marketplace manager of another company."""
        company = self.env["res.company"].create({"name": "Neighbours"})
        return new_test_user(
            self.env,
            "neighbour",
            groups="cartona_integration.group_marketplace_manager,base.group_user",
            company_id=company.id,
            company_ids=[(6, 0, company.ids)],
        )

    def test_it_opens_where_only_another_company_lists_the_product(self):
        neighbour = self.make_neighbour()
        for product in (self.template, self.tea):
            self.assertEqual(self.shown(product, neighbour), (False, []))
            found = product.with_user(neighbour).search([("marketplace_sync_status", "=", "synced")])
            self.assertNotIn(product, found)

    def test_what_somebody_else_has_read_is_not_shown(self):
        neighbour = self.make_neighbour()
        self.assertIn(self.on_rest, self.template.marketplace_link_ids)
        self.assertFalse(self.template.with_user(neighbour).marketplace_link_ids)

    def test_it_shows_the_companys_listings(self):
        clerk = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        listings = (self.on_rest | self.on_cartona).ids
        for product in (self.template, self.tea):
            status, links = self.shown(product, clerk)
            self.assertEqual((status, sorted(links)), ("synced", sorted(listings)))
            found = product.with_user(clerk).search([("marketplace_sync_status", "=", "synced")])
            self.assertIn(product, found)

    def test_it_tells_of_the_listings_of_archived_variants(self):
        self.tea.active = False
        self.push()
        self.assertEqual(self.template.marketplace_sync_status, "error")
        self.assertIn(self.on_rest, self.template.marketplace_link_ids)
        domain = [("marketplace_sync_status", "=", "error"), ("id", "=", self.template.id)]
        self.assertTrue(self.template.search(domain))
