from unittest.mock import patch

from psycopg2 import IntegrityError
from psycopg2.errors import SerializationFailure

from odoo.exceptions import ValidationError
from odoo.tests import Form, new_test_user
from odoo.tools import mute_logger

from .common import ListedCase

MANAGER = "cartona_integration.group_marketplace_manager,base.group_user,base.group_no_one"


class TestDoubles(ListedCase):
    """A listing belongs to one product, a product in one unit to one listing; people are told in words."""

    def setUp(self):
        super().setUp()
        self.sugar = self.make_product("SUGAR-1", name="Sugar")
        self.tea.name = "Black tea"
        self.links = self.env["marketplace.product.link"]

    def assertSays(self, *words, values=None, link=None):
        with self.assertRaises(ValidationError) as caught, self.cr.savepoint():
            link.write(values) if link else self.links.create({"account_id": self.rest.id, **values})
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_a_listing_that_is_linked_names_its_product_and_account(self):
        self.assertSays(
            "R1", "Black tea", "rest_test", values={"product_id": self.sugar.id, "external_id": "R1"}
        )

    def test_a_product_that_is_linked_names_its_listing_and_account(self):
        self.assertSays(
            "R1", "Black tea", "rest_test", values={"product_id": self.tea.id, "external_id": "R2"}
        )

    def test_changing_a_link_into_a_double_is_told_too(self):
        link = self.make_link(self.rest, self.sugar, "R2")
        self.assertSays("R1", "Black tea", values={"external_id": "R1"}, link=link)
        self.assertSays("R1", "Black tea", values={"product_id": self.tea.id}, link=link)

    def test_a_key_that_is_looked_for_is_told(self):
        self.links.create({"account_id": self.rest.id, "product_id": self.sugar.id, "key": "K"})
        other = self.make_product(False)
        self.assertSays("K", "Sugar", values={"product_id": other.id, "key": "K"})

    def test_saving_a_link_unchanged_is_no_double(self):
        self.on_rest.write({"external_id": "R1", "product_id": self.tea.id, "key": "TEA-25"})

    def test_another_account_or_another_unit_is_no_double(self):
        self.links.create({"account_id": self.cartona.id, "product_id": self.sugar.id, "external_id": "R1"})
        dozen = self.env.ref("uom.product_uom_dozen")
        self.links.create(
            {
                "account_id": self.rest.id,
                "product_id": self.tea.id,
                "external_id": "R12",
                "pack_uom_id": dozen.id,
            }
        )

    def test_the_database_itself_refuses_what_nobody_saw_coming(self):
        for column, value in (("external_id", "R1"), ("product_id", self.tea.id)):
            link = self.make_link(self.rest, self.sugar, "R2")
            query = f"UPDATE marketplace_product_link SET {column} = %s WHERE id = %s"
            with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
                self.env.flush_all()
                self.cr.execute(query, [value, link.id])
            link.unlink()

    def test_a_manager_is_told_in_the_form(self):
        manager = new_test_user(self.env, "linker", groups=MANAGER)
        form = Form(self.links.with_user(manager))
        form.account_id, form.product_id, form.external_id = self.rest, self.sugar, "R1"
        with self.assertRaisesRegex(ValidationError, "Black tea"):
            form.save()


class TestFile(ListedCase):
    """Links in Odoo's own export and import."""

    FIELDS = ("account_id", "product_id/.id", "pack_uom_id", "key", "external_id")

    def setUp(self):
        super().setUp()
        self.manager = new_test_user(self.env, "importer", groups=f"{MANAGER},base.group_allow_export")
        self.links = self.env["marketplace.product.link"].with_user(self.manager)
        self.sugar = self.make_product(False, name="Sugar")

    def load(self, *rows):
        return self.links.load(list(self.FIELDS), [list(row) for row in rows])

    def test_links_are_read_from_a_file_and_looked_for(self):
        done = self.load(["rest_test", str(self.sugar.id), "", "S-1", "9"])
        link = self.links.browse(done["ids"])
        self.assertEqual(
            (link.account_id, link.product_id, link.key, link.external_id, link.state),
            (self.rest, self.sugar, "S-1", "9", "proposed"),
        )
        self.assertIn((self.rest.id, "listings"), self.wakeups)

    def test_a_conflict_with_a_job_is_no_fault_of_the_file(self):
        lost = SerializationFailure("could not serialize access")
        with (
            patch.object(type(self.links), "_take_over", side_effect=lost),
            self.assertRaises(SerializationFailure),
        ):
            self.load(["rest_test", str(self.sugar.id), "", "S-1", "9"])

    def test_packs_are_read_by_name(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        done = self.load(["rest_test", str(self.tea.id), dozen.name, "T-12", "12"])
        self.assertEqual(
            self.links.browse(done["ids"]).pack_uom_id,
            dozen,
            done["messages"],
        )

    def test_what_is_exported_can_be_imported_again(self):
        rows = self.on_rest.with_user(self.manager).export_data(["id", *self.FIELDS])["datas"]
        rows[0][4] = "T-NEW"
        done = self.links.load(["id", *self.FIELDS], [[cell or "" for cell in row] for row in rows])
        self.assertEqual((done["ids"], done["messages"]), (self.on_rest.ids, []))
        self.assertEqual(self.on_rest.key, "T-NEW")

    def test_a_file_that_changes_nothing_leaves_listings_linked(self):
        self.rest.new_links_wait = True
        rows = self.on_rest.with_user(self.manager).export_data(["id", *self.FIELDS])["datas"]
        done = self.links.load(["id", *self.FIELDS], [[cell or "" for cell in row] for row in rows])
        self.assertEqual((done["ids"], done["messages"]), (self.on_rest.ids, []))
        self.assertEqual((self.on_rest.state, self.on_rest.is_paused), ("linked", False))

    def test_a_double_in_the_file_is_told_in_words_and_nothing_is_imported(self):
        other = self.make_product(False, name="Salt")
        for rows in (
            [["rest_test", str(self.sugar.id), "", "", "R1"]],
            [["rest_test", str(self.sugar.id), "", "", "9"], ["rest_test", str(other.id), "", "", "9"]],
        ):
            done = self.load(*rows)
            self.assertFalse(done["ids"])
            self.assertTrue(done["messages"])
            for message in done["messages"]:
                self.assertIn("rest_test", message["message"])
