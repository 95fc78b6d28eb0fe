from ast import literal_eval

from lxml import etree

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import new_test_user

from .common import sample
from .test_link import LinkCase, listing


class WorkbenchCase(LinkCase):
    def setUp(self):
        super().setUp()
        self.rest.link_by_key = False

    def found(self, listing_id):
        return self.links.search([("account_id", "=", self.rest.id), ("external_id", "=", listing_id)])

    def read_there(self, *rows):
        """Read all listings and compare those without product with the products."""
        self.read_all(listing("TEA-25", "R1"), *rows)
        self.run_job(self.rest, "match")

    def proposal(self, listing_id):
        link = self.found(listing_id)
        return link.proposed_product_id, link.confidence


class TestProposals(WorkbenchCase):
    """A listing without product gets a proposal, with what speaks for it."""

    def test_a_listing_nobody_linked_is_kept_and_seen_and_sent_nothing(self):
        self.drop_marks()
        self.read_there(listing("X-1", "9", price="7.50", stock="3", unit="box", unit_count=12))
        link = self.found("9")
        self.assertEqual((link.state, link.product_id.id, link.listing_name), ("found", False, "Their X-1"))
        self.assertEqual((link.observed_price, link.observed_quantity, link.unit_count), (7.5, 3, 12))
        self.assertFalse([mark for mark in self.marks(self.rest) if mark[0] == link])
        self.assertEqual(link.sync_status, False)
        self.assertIn(link, self.links.search([("sync_status", "=", False)]))

    def test_a_key_and_a_barcode_of_different_products_are_for_a_person(self):
        by_key = self.make_product("K-100")
        by_barcode = self.make_product(False, barcode="6221031490019")
        both = self.make_product("K-200", barcode="6221031490026")
        self.read_there(
            listing("K-100", "1", barcode="6221031490019"), listing("K-200", "2", barcode="6221031490026")
        )
        link = self.found("1")
        self.assertEqual((link.is_ambiguous, link.proposed_product_id.id), (True, False))
        for told in ("K-100, 6221031490019", by_key.display_name, by_barcode.display_name):
            self.assertIn(told, link.evidence)
        self.assertEqual(self.proposal("2"), (both, 97))

    def test_each_kind_of_evidence_finds_its_product(self):
        by_key = self.make_product("K-100")
        by_barcode = self.make_product(False, barcode="6221031490019")
        by_reference = self.make_product(False, default_code="REF-77")
        by_code = self.make_product(False, default_code="AB/0042-x")
        by_name = self.make_product(False, name="Green tea Sencha 250 g tin")
        by_id = self.make_product("551234")
        self.read_there(
            listing("K-100", "1"),
            listing("other", "2", barcode="6221031490019"),
            listing("REF-77", "3"),
            listing("ab 0042 X", "4"),
            listing("zzz", "5") | {"name": "Sencha green tea, tin 250g"},
            listing("yyy", "551234") | {"name": "?"},
        )
        self.assertEqual(self.proposal("1"), (by_key, 97))
        self.assertEqual(self.proposal("2"), (by_barcode, 95))
        self.assertEqual(self.proposal("3"), (by_reference, 90))
        self.assertEqual(self.proposal("4"), (by_code, 80))
        self.assertEqual(self.proposal("5")[0], by_name)
        self.assertLessEqual(self.proposal("5")[1], 70)
        self.assertEqual(self.proposal("551234"), (by_id, 75))
        self.assertIn("Same barcode: 6221031490019", self.found("2").evidence)
        self.assertIn("% alike", self.found("5").evidence)

    def test_evidence_is_read_in_the_readers_language_whoever_had_it_collected(self):
        self.env["res.lang"]._activate_lang("ar_001")
        self.make_product(False, barcode="6221031490019")
        for name in ("First", "Second"):
            self.make_product(False, name=name, default_code="TWICE")
        self.make_product("SUGAR-1")
        self.read_there(
            listing("?", "2", barcode="6221031490019"), listing("TWICE", "3"), listing("SUGAR-1", "4")
        )
        self.found("4").with_context(lang="ar_001").action_refuse_proposed()
        for listing_id, english, arabic, kept in (
            ("2", "Same barcode", "الباركود نفسه", "6221031490019"),
            ("3", "2 products", "2 منتجات", "First"),
            ("4", "refused by", "رفضه", "SUGAR-1"),
        ):
            for lang, told in (("en_US", english), ("ar_001", arabic)):
                evidence = self.found(listing_id).with_context(lang=lang).evidence
                self.assertIn(told, evidence)
                self.assertIn(kept, evidence)

    def test_evidence_names_products_that_are_still_there(self):
        first, second = (self.make_product(False, default_code="TWICE", name=name) for name in ("One", "Two"))
        self.read_there(listing("TWICE", "9"))
        first.unlink()
        self.env.invalidate_all()
        self.assertIn(second.display_name, self.found("9").evidence)
        self.assertNotIn("One", self.found("9").evidence)

    def test_a_number_of_ours_that_is_a_listings_id_by_chance_is_never_sure(self):
        sugar = self.make_product("501")
        salt = self.make_product(False, default_code="502")
        self.read_there({"id": "501", "name": "Tyres"}, {"id": "502", "sku": "T-9", "name": "Nails"})
        self.assertEqual((self.proposal("501")[0], self.proposal("502")[0]), (sugar, salt))
        self.assertEqual(self.rest.sure_count, 0)

    def test_a_code_several_products_have_is_refused_and_says_which(self):
        for name in ("First", "Second"):
            self.make_product(False, name=name, default_code="TWICE")
        self.read_there(listing("TWICE", "9"))
        link = self.found("9")
        self.assertEqual((link.proposed_product_id.id, link.is_ambiguous), (False, True))
        self.assertIn("First", link.evidence)
        self.assertIn("Second", link.evidence)

    def test_of_several_listings_for_one_product_the_surest_is_kept(self):
        sugar = self.make_product("SUGAR-1", default_code="S1")
        self.read_there(listing("S1", "8"), listing("SUGAR-1", "9"))
        self.assertEqual(self.proposal("9"), (sugar, 97))
        self.assertTrue(self.found("8").is_ambiguous)
        self.assertIn("Several listings", self.found("8").evidence)

    def test_several_listings_as_sure_as_each_other_are_all_refused(self):
        self.make_product("SUGAR-1")
        self.read_there(listing("SUGAR-1", "8"), listing("SUGAR-1", "9"))
        self.assertEqual(self.found("8").is_ambiguous, self.found("9").is_ambiguous)
        self.assertFalse(self.found("8").proposed_product_id | self.found("9").proposed_product_id)

    def test_a_product_that_has_its_listing_is_not_proposed_again(self):
        self.read_there(listing("TEA-25", "9"))
        self.assertFalse(self.found("9").proposed_product_id)
        self.assertIn("has its listing already", self.found("9").evidence)

    def test_a_product_of_another_company_is_not_proposed(self):
        company = self.env["res.company"].create({"name": "Company B"})
        self.make_product("B-1", company_id=company.id)
        self.read_there(listing("B-1", "9"))
        self.assertFalse(self.found("9").proposed_product_id)

    def test_a_listing_linked_on_another_account_of_the_same_marketplace_is_proposed(self):
        other = self.make_account("rest", code="second")
        sugar = self.make_product(False)
        self.make_link(other, sugar, "9")
        self.read_there(listing("?", "9"))
        self.assertEqual(self.proposal("9"), (sugar, 98))

    def test_another_shops_listing_of_the_same_number_is_not_the_same_listing(self):
        other = self.make_account("rest", code="second")
        tyres, sugar = self.make_product("TYRES"), self.make_product("SUGAR-1")
        self.make_link(other, tyres, "9")
        self.read_there(listing("SUGAR-1", "9"))
        self.assertEqual(self.proposal("9"), (sugar, 97))

    def test_what_was_refused_is_not_proposed_again(self):
        self.make_product("SUGAR-1")
        self.read_there(listing("SUGAR-1", "9"))
        self.found("9").action_refuse_proposed()
        self.read_there(listing("SUGAR-1", "9"))
        self.assertFalse(self.found("9").proposed_product_id)
        self.assertIn("refused by", self.found("9").evidence)

    def test_a_product_made_later_is_proposed_when_asked_for(self):
        self.read_there(listing("SUGAR-1", "9"))
        sugar = self.make_product(False, default_code="SUGAR-1")
        self.rest.action_match()
        self.run_job(self.rest, "match")
        self.assertEqual(self.proposal("9")[0], sugar)


class TestApproving(WorkbenchCase):
    """A person's word links."""

    def test_all_that_is_sure_is_linked_with_one_click_and_sent(self):
        sure, guess = (
            self.make_product("SUGAR-1", list_price=5),
            self.make_product(False, name="Brown rice 5 kg"),
        )
        self.read_there(listing("SUGAR-1", "8"), listing("?", "9") | {"name": "Brown rice 5 kg"})
        self.assertEqual(self.rest.sure_count, 1)
        self.rest.action_link_sure()
        self.assertEqual((self.found("8").state, self.found("8").product_id), ("linked", sure))
        self.assertEqual((self.found("9").state, self.found("9").proposed_product_id), ("found", guess))
        self.push()
        self.assertIn(("8", "5.00"), [(row["id"], row.get("price")) for row in self.sent()])

    def test_what_is_sure_is_what_the_account_says(self):
        self.make_product("SUGAR-1")
        self.make_product(False, default_code="REF-1")
        self.read_there(listing("SUGAR-1", "8"), listing("REF-1", "9"))
        self.assertEqual(self.filtered_by("sure"), self.found("8") | self.found("9"))
        self.rest.link_confidence = 91
        self.assertEqual(self.filtered_by("sure"), self.found("8"))
        self.assertEqual(self.filtered_by("guess"), self.found("9"))
        self.assertEqual((self.found("8").is_sure, self.found("9").is_sure), (True, False))
        self.rest.action_link_sure()
        self.assertEqual((self.found("8").state, self.found("9").state), ("linked", "found"))

    def filtered_by(self, name):
        """Give what a filter of the workbench leaves of its listings."""
        action = self.rest.action_view_unlinked()
        arch = self.links.get_view(action["search_view_id"][0], "search")["arch"]
        [found] = etree.fromstring(arch).xpath(f"//filter[@name='{name}']/@domain")
        return self.links.search(action["domain"] + literal_eval(found))

    def test_a_selection_is_linked_also_by_name_as_a_person_looked_at_it(self):
        rice = self.make_product(False, name="Brown rice 5 kg")
        self.read_there(listing("?", "9") | {"name": "Brown rice 5 kg"})
        self.found("9").action_link_proposed()
        self.assertEqual((self.found("9").state, self.found("9").product_id), ("linked", rice))
        self.assertFalse(self.found("9").proposed_product_id)

    def test_what_is_left_is_told_only_where_something_is(self):
        self.make_product(False, default_code="REF-1")
        self.read_there(listing("REF-1", "1"), listing("?", "2"))
        sure, unclear = self.found("1"), self.found("2")
        told = (sure | unclear).action_link_proposed()["params"]["message"]
        self.assertIn("1 of the chosen", told)
        self.make_product(False, default_code="REF-3")
        self.read_there(listing("REF-1", "1"), listing("?", "2"), listing("REF-3", "3"))
        told = self.found("3").action_link_proposed()["params"]["message"]
        self.assertEqual(told, "1 listings are linked.")

    def test_nothing_without_a_proposal_is_linked(self):
        self.read_there(listing("?", "9"))
        with self.assertRaises(UserError):
            self.found("9").action_link_proposed()
        with self.assertRaises(UserError):
            self.rest.action_link_sure()

    def test_a_proposal_whose_product_was_linked_meanwhile_stays(self):
        sugar = self.make_product("SUGAR-1")
        self.read_there(listing("SUGAR-1", "9"))
        self.make_link(self.rest, sugar, "7")
        self.found("9").action_link_proposed()
        self.assertEqual(self.found("9").state, "found")

    def test_the_search_for_a_linked_product_ends(self):
        sugar = self.make_product(False, default_code="S1")
        self.read_there(listing("S1", "9"))
        self.rest.link_by_key = True
        sugar.cartona_id = "SUGAR-1"
        self.assertEqual(len(self.link(sugar)), 1)
        self.found("9").action_link_proposed()
        self.assertEqual(self.link(sugar), self.found("9"))

    def test_a_product_chosen_by_hand_links_at_once(self):
        sugar = self.make_product(False, list_price=5)
        self.read_there(listing("?", "9"))
        self.found("9").product_id = sugar
        self.assertEqual(self.found("9").state, "linked")
        self.assertIn((self.found("9"), "price"), self.marks(self.rest))

    def test_a_file_with_ids_and_products_links(self):
        sugar = self.make_product(False, default_code="S1")
        self.read_there(listing("?", "9", price="3.00"))
        rows = [[self.rest.name, "9", "S1"]]
        done = self.links.load(["account_id", "external_id", "product_id"], rows)
        self.assertFalse(done["messages"])
        link = self.found("9")
        self.assertEqual((link.state, link.product_id, link.observed_price), ("linked", sugar, 3))

    def test_a_file_that_links_a_listing_twice_is_refused(self):
        self.make_product(False, default_code="S1")
        rows = [[self.rest.name, "R1", "S1"]]
        done = self.links.load(["account_id", "external_id", "product_id"], rows)
        self.assertTrue(done["messages"])
        self.assertEqual(self.on_rest.product_id, self.tea)

    def test_a_file_whose_product_is_one_of_several_is_refused(self):
        first, second = (self.make_product(False, default_code="S1", name=name) for name in ("One", "Two"))
        self.read_there(listing("?", "9"))
        for told in ("S1", first.display_name, second.display_name):
            done = self.links.load(["account_id", "external_id", "product_id"], [[self.rest.name, "9", told]])
            self.assertEqual([message["type"] for message in done["messages"]], ["error"], told)
        self.assertFalse(self.found("9").product_id)

    def test_only_managers_link(self):
        self.make_product("SUGAR-1")
        self.read_there(listing("SUGAR-1", "9"))
        user = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        with self.assertRaises(AccessError):
            self.found("9").with_user(user).action_link_proposed()

    def test_an_order_on_hold_goes_on_when_its_listing_is_linked(self):
        self.receive(self.cartona, sample("cartona/order_unknown_product"))
        self.assertEqual(self.events(self.cartona).state, "hold")
        [key] = self.env["marketplace.event.hold"].search([("kind", "=", "product")]).mapped("key")
        self.cartona.link_by_key = False
        sugar = self.make_product(False, default_code=key)
        self.env["marketplace.product.link"].create(
            {"account_id": self.cartona.id, "external_id": "x9", "key": key, "state": "found"}
        )
        self.run_job(self.cartona, "match")
        self.cartona.action_link_sure()
        self.run_job(self.cartona, "import")
        self.assertNotEqual(self.events(self.cartona).state, "hold")
        self.assertIn(sugar, self.env["sale.order.line"].search([]).product_id)


class TestPacks(WorkbenchCase):
    """A listing of twelve pieces is a unit of twelve, where the account says that Odoo counts pieces."""

    def test_by_default_the_products_own_unit_is_kept(self):
        self.make_product("SUGAR-1")
        self.read_there(listing("SUGAR-1", "9", unit="box", unit_count=12))
        self.rest.action_link_sure()
        self.assertFalse(self.found("9").pack_uom_id)

    def test_a_known_unit_of_that_size_is_used(self):
        self.rest.counts_in = "piece"
        self.make_product("SUGAR-1", list_price=5)
        self.read_there(listing("SUGAR-1", "9", unit="box", unit_count=12))
        self.rest.action_link_sure()
        self.assertEqual(self.found("9").pack_uom_id, self.env.ref("uom.product_uom_dozen"))
        self.push()
        self.assertIn(("9", "60.00"), [(row["id"], row.get("price")) for row in self.sent()])

    def test_what_only_looks_for_a_product_goes_whatever_its_listing_is_sold_in(self):
        """It would wait for ever beside the listing."""
        self.rest.counts_in = "piece"
        links = self.env["marketplace.product.link"]
        for number, way in enumerate(("proposed", "by file")):
            sugar = self.make_product(f"SUGAR-{number}", barcode=f"400638133393{number}")
            looking = links.search([("account_id", "=", self.rest.id), ("product_id", "=", sugar.id)])
            if not looking:
                looking = self.make_link(self.rest, sugar, False, state="proposed")
            found = self.make_link(
                self.rest, links.product_id, f"9{number}", state="found", key=f"?{number}", unit_count=12
            )
            if way == "proposed":
                found.proposed_product_id = sugar
                found.action_link_proposed()
            else:
                dozen = self.env.ref("uom.product_uom_dozen")
                found.write({"product_id": sugar.id, "pack_uom_id": dozen.id})
            self.assertEqual(found.pack_uom_id, self.env.ref("uom.product_uom_dozen"), way)
            self.assertFalse(looking.exists(), way)

    def test_what_a_person_or_a_file_links_is_sold_in_its_pack_too(self):
        self.rest.counts_in = "piece"
        sugar, salt = self.make_product(False, list_price=5), self.make_product(False, default_code="S1")
        self.read_there(listing("?", "8", unit_count=12), listing("!", "9", unit_count=12))
        self.found("8").product_id = sugar
        rows = [[self.rest.name, "9", "S1"]]
        self.links.load(["account_id", "external_id", "product_id"], rows)
        self.assertEqual(self.found("9").product_id, salt)
        dozen = self.env.ref("uom.product_uom_dozen")
        self.assertEqual((self.found("8").pack_uom_id, self.found("9").pack_uom_id), (dozen, dozen))
        self.push()
        self.assertIn(("8", "60.00"), [(row["id"], row.get("price")) for row in self.sent()])

    def test_a_second_box_of_a_product_is_not_sold_for_the_price_of_a_piece(self):
        self.rest.counts_in, self.rest.link_by_key = "piece", True
        sugar = self.make_product("SUGAR-1", list_price=5)
        self.make_link(self.rest, sugar, "8", pack_uom_id=self.env.ref("uom.product_uom_dozen").id, key="?")
        self.read_there(listing("?", "8", unit_count=12), listing("SUGAR-1", "9", unit_count=12))
        self.assertEqual(self.found("9").state, "found")
        self.push()
        self.assertNotIn("9", [row["id"] for row in self.sent()])

    def test_an_unknown_size_is_made_once(self):
        self.rest.counts_in = "piece"
        for key in ("A-1", "B-1"):
            self.make_product(key)
        self.read_there(
            listing("A-1", "8", unit="box", unit_count=35), listing("B-1", "9", unit="box", unit_count=35)
        )
        self.rest.action_link_sure()
        pack = self.found("8").pack_uom_id
        self.assertEqual((pack, pack.name), (self.found("9").pack_uom_id, "box of 35"))
        self.assertEqual(pack._compute_quantity(1, self.env.ref("uom.product_uom_unit")), 35)

    def test_a_piece_and_a_box_of_one_product_are_two_listings(self):
        self.rest.counts_in = "piece"
        sugar = self.make_product("SUGAR-1", barcode="6221031490019")
        self.read_there(
            listing("x", "8", barcode="6221031490019", unit_count=1),
            listing("SUGAR-1", "9", unit_count=12),
        )
        self.rest.action_link_sure()
        self.assertEqual(self.found("8").product_id | self.found("9").product_id, sugar)
        self.assertEqual({self.found("8").state, self.found("9").state}, {"linked"})


class TestCoverage(WorkbenchCase):
    """How far linking has come."""

    def test_listings_and_products_without_a_partner_are_counted_and_shown(self):
        sugar = self.make_product("SUGAR-1")
        self.read_there(listing("?", "8"), listing("??", "9"))
        self.assertEqual((self.rest.unlinked_count, self.rest.coverage), (2, 33))
        unlisted = self.env["product.product"].search(self.rest.action_view_unlisted()["domain"])
        self.assertIn(sugar, unlisted)
        self.assertNotIn(self.tea, unlisted)
        found = self.links.search(self.rest.action_view_unlinked()["domain"])
        self.assertEqual(found, self.found("8") | self.found("9"))

    def test_ordered_lines_are_covered_by_links_and_not_by_holds(self):
        self.assertEqual(self.cartona.ordered_coverage, 100)
        self.receive(self.cartona, sample("cartona/order_unknown_product"))
        self.cartona.invalidate_recordset()
        self.assertLess(self.cartona.ordered_coverage, 100)

    def test_a_name_alone_is_never_sure(self):
        with self.assertRaises(ValidationError):
            self.rest.link_confidence = 70
