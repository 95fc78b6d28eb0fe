import random
from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo.exceptions import ValidationError
from odoo.tools import mute_logger

from ..compat import PHONES
from .test_processor import OrderCase

NILE = {"street": "1 Nile Street", "city": "Cairo", "country": "EG", "phone": "+20100"}
SEA = {"street": "2 Sea Street", "city": "Alexandria", "country": "EG", "phone": "+20111"}


class TestCustomer(OrderCase):
    """Who ordered: found by the marketplace's id only, made when new."""

    def partner(self, **values):
        return self.env["res.partner"].create({"name": "Somebody", **values})

    def test_an_id_of_the_platform_is_one_contact_for_all_accounts(self):
        second = self.make_account("cartona", code="second", supplier_code="2")
        row = {
            "status": "pending",
            "total_price": 20,
            "retailer": {"retailer_code": "A1", "retailer_name": "Shop"},
            "order_details": [{"id": 1, "internal_product_id": "TEA", "amount": 2, "selling_price": 10}],
        }
        self.receive(self.cartona, {**row, "hashed_id": "X1"})
        self.receive(second, {**row, "hashed_id": "X2"})
        partners = self.order(self.cartona, "X1").partner_id | self.order(second, "X2").partner_id
        self.assertEqual(partners.mapped("cartona_id"), ["retailer_A1"])

    def test_an_id_of_an_account_is_a_contact_per_account(self):
        second = self.make_account("rest", code="second")
        partners = self.send().partner_id | self.send(account=second).partner_id
        self.assertEqual(partners.mapped("cartona_id"), ["retailer_rest_test_C1", "retailer_second_C1"])

    def test_a_second_order_finds_the_contact_again_under_another_name(self):
        first = self.send().partner_id
        second = self.send(id="R2", customer={"id": "C1", "name": "Renamed Shop"}).partner_id
        self.assertEqual((first, second.name), (second, "Corner Shop"))

    def test_a_contact_of_the_company_is_used(self):
        known = self.partner(cartona_id="retailer_rest_test_C1", company_id=self.company.id)
        self.assertEqual(self.send().partner_id, known)

    def test_a_contact_all_companies_share_is_used(self):
        known = self.partner(cartona_id="retailer_rest_test_C1", company_id=False)
        self.assertEqual(self.send().partner_id, known)

    def test_a_contact_of_another_company_is_not(self):
        other = self.env["res.company"].create({"name": "Other company"})
        known = self.partner(cartona_id="retailer_rest_test_C1", company_id=other.id)
        partner = self.send().partner_id
        self.assertNotEqual(partner, known)
        self.assertEqual((partner.company_id, partner.cartona_id), (self.company, known.cartona_id))

    def test_an_archived_contact_is_used_again_instead_of_a_second_one(self):
        known = self.partner(cartona_id="retailer_rest_test_C1", active=False)
        self.assertEqual(self.send().partner_id, known)

    def test_two_contacts_with_one_id_hold_the_order(self):
        self.partner(cartona_id="retailer_rest_test_C1", company_id=self.company.id)
        self.partner(cartona_id="retailer_rest_test_C1", company_id=False)
        self.assertHeldWithNothingMade("Several contacts")

    def test_a_customer_is_never_found_by_name_phone_or_mail(self):
        likeness = {"name": "Corner Shop", "phone": "+20100", "email": "shop@example.com"}
        known = self.partner(**likeness, company_id=self.company.id)
        partner = self.send(customer={"id": "C1", **likeness}).partner_id
        self.assertNotEqual(partner, known)
        nameless = self.send(id="R2", customer=likeness).partner_id
        self.assertNotIn(nameless, known | partner)
        self.assertFalse(nameless.cartona_id)

    def test_a_customer_without_anything_is_named_after_its_order(self):
        partner = self.send(customer={}).partner_id
        self.assertIn("R1", partner.name)

    def test_a_new_customer_carries_what_the_message_tells(self):
        customer = {
            "id": "C1",
            "company": "Shop Ltd",
            "email": "a@example.com",
            "phone": "+20122",
            "vat": "T1",
        }
        partner = self.send(customer=customer, shipping=NILE).partner_id
        self.assertEqual(
            (partner.name, partner.is_company, partner.email, partner.phone, partner.vat),
            ("Shop Ltd", True, "a@example.com", "+20122", "T1"),
        )
        self.assertEqual(
            (partner.street, partner.city, partner.country_id.code), ("1 Nile Street", "Cairo", "EG")
        )

    def test_of_a_company_and_a_person_the_invoice_names_the_company(self):
        customer = {"id": "C1", "company": "Shop Ltd", "name": "Mona Adel"}
        partner = self.send(customer=customer).partner_id
        self.assertEqual((partner.name, partner.is_company), ("Shop Ltd", True))
        self.assertIn("Mona Adel", partner.comment)

    def test_a_second_number_is_kept(self):
        numbers = {"phone": "+20100", "phone2": "+20111"}
        partner = self.send(customer={"id": "C1", "name": "Corner Shop", **numbers}).partner_id
        told = [partner[name] for name in PHONES] + [partner.comment or ""]
        self.assertEqual(partner.phone, "+20100")
        self.assertIn("+20111", " ".join(told))
        only = self.send(id="R2", customer={"id": "C2", "name": "Other Shop", "phone2": "+20122"}).partner_id
        self.assertEqual(only.phone, "+20122")

    def test_names_longer_than_an_index_holds_are_cut(self):
        rng = random.Random(7)
        name, other = ("".join(chr(rng.randrange(0x621, 0x64A)) for _char in range(4000)) for _time in "ab")
        long = {"name": name, "company": other, "email": f"{name}@example.com", "vat": other}
        partner = self.send(customer={"id": "C1", **long}, shipping={**NILE, "name": other}).partner_id
        self.assertEqual((partner.name, partner.email, partner.vat), (other[:256], False, False))
        self.assertIn(name, partner.comment)
        order = self.send(id="R2", customer={"id": "C1", **long}, shipping={**SEA, "name": other})
        self.assertEqual((order.partner_id, order.partner_shipping_id.name), (partner, other[:256]))
        company = self.send(id="R3", customer={"id": "C3", "company": other}).partner_id
        self.assertEqual(company.name, other[:256])

    def test_a_tax_number_odoo_does_not_take_is_noted_instead(self):
        def check(partners):
            if any((partner.vat or "").startswith("WRONG") for partner in partners):
                raise ValidationError(partners[:1].vat)

        check._constrains = ("vat",)
        with patch.object(self.env.registry["res.partner"], "_constraint_methods", [check]):
            partner = self.send(customer={"id": "C1", "name": "Shop", "vat": "WRONG-1"}).partner_id
            good = self.send(id="R2", customer={"id": "C2", "name": "Shop", "vat": "RIGHT-1"}).partner_id
        self.assertEqual((partner.name, partner.vat, good.vat), ("Shop", False, "RIGHT-1"))
        self.assertIn("WRONG-1", partner.comment)
        self.assertFalse(good.comment)

    def test_a_note_of_an_address_is_text_whatever_stands_in_it(self):
        partner = self.send(shipping={**NILE, "note": "<b>3rd</b> floor & <img src=x>"}).partner_id
        self.assertIn("&lt;b&gt;3rd&lt;/b&gt; floor &amp;", partner.comment)
        self.assertNotIn("<img", partner.comment)

    def test_a_state_is_matched_by_its_name_and_else_kept_in_the_street(self):
        state = self.env["res.country.state"].search([("country_id.code", "=", "EG")], limit=1)
        known = self.send(shipping={**NILE, "state": state.name.upper()}).partner_id
        self.assertEqual((known.state_id, known.street2), (state, False))
        unknown = self.send(
            id="R2", customer={"id": "C2", "name": "B"}, shipping={**NILE, "state": "Nowhere"}
        ).partner_id
        self.assertEqual((unknown.state_id.id, unknown.street2), (False, "Nowhere"))

    def test_the_first_address_is_the_customers_own(self):
        order = self.send(shipping=NILE)
        self.assertEqual(order.partner_shipping_id, order.partner_id)

    def test_the_same_address_again_makes_no_second_one(self):
        self.send(shipping={**NILE, "note": "ring twice"})
        order = self.send(id="R2", shipping={**NILE, "note": "ring once"})
        self.assertEqual(order.partner_shipping_id, order.partner_id)
        self.assertFalse(order.partner_id.child_ids)

    def test_a_new_address_is_a_delivery_address_without_id(self):
        self.send(shipping=NILE)
        order = self.send(id="R2", shipping={**SEA, "name": "Branch"})
        address = order.partner_shipping_id
        self.assertEqual(
            (address.parent_id, address.type, address.name), (order.partner_id, "delivery", "Branch")
        )
        self.assertEqual((address.street, address.phone), ("2 Sea Street", "+20111"))
        self.assertFalse(address.cartona_id)
        self.assertEqual(order.partner_id.street, "1 Nile Street")

    def test_a_delivery_address_is_used_again(self):
        self.send(shipping=NILE)
        first = self.send(id="R2", shipping=SEA)
        second = self.send(id="R3", shipping=SEA)
        self.assertEqual(first.partner_shipping_id, second.partner_shipping_id)
        self.assertEqual(len(first.partner_id.child_ids), 1)

    def test_a_delivery_address_is_its_companys(self):
        self.send(shipping=NILE)
        self.assertEqual(self.send(id="R2", shipping=SEA).partner_shipping_id.company_id, self.company)

    def test_one_id_is_refused_twice_in_one_company(self):
        self.partner(cartona_id="retailer_1", company_id=self.company.id)
        with self.assertRaisesRegex(ValidationError, "retailer_1"):
            self.partner(cartona_id="retailer_1", company_id=self.company.id)

    def test_one_id_is_refused_twice_among_shared_contacts(self):
        self.partner(cartona_id="retailer_1", active=False)
        with self.assertRaisesRegex(ValidationError, "retailer_1"):
            self.partner(cartona_id="retailer_1")

    def test_an_id_another_contact_has_is_refused_when_it_is_entered(self):
        known, partner = self.partner(cartona_id="retailer_1", name="Known Shop"), self.partner()
        with self.assertRaisesRegex(ValidationError, known.name):
            partner.cartona_id = "retailer_1"

    def test_sharing_a_contact_whose_id_another_shared_one_has_is_refused(self):
        self.partner(cartona_id="retailer_1")
        partner = self.partner(cartona_id="retailer_1", company_id=self.company.id)
        with self.assertRaisesRegex(ValidationError, "retailer_1"):
            partner.company_id = False

    def test_a_contact_keeps_its_id_when_it_is_saved_again(self):
        partner = self.partner(cartona_id="retailer_1")
        partner.write({"cartona_id": "retailer_1", "company_id": False})
        self.assertEqual(partner.cartona_id, "retailer_1")

    def test_one_id_may_stand_in_two_companies(self):
        other = self.env["res.company"].create({"name": "Other company"})
        self.partner(cartona_id="retailer_1", company_id=self.company.id)
        self.partner(cartona_id="retailer_1", company_id=other.id)

    @mute_logger("odoo.sql_db")
    def test_the_database_refuses_one_id_twice(self):
        self.partner(cartona_id="retailer_1")
        second = self.partner()
        self.env.flush_all()
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.env.cr.execute("UPDATE res_partner SET cartona_id = 'retailer_1' WHERE id = %s", [second.id])

    def test_a_copied_contact_is_not_the_marketplaces(self):
        self.assertFalse(self.partner(cartona_id="retailer_1").copy().cartona_id)

    def test_any_number_of_contacts_have_no_id(self):
        self.assertFalse(any((self.partner() | self.partner(cartona_id=False)).mapped("cartona_id")))
