import ast
from pathlib import Path

import polib

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools.translate import TranslationImporter, TranslationModuleReader

from .catalogue import problem
from .common import MarketplaceCase, sample

ADDON = "cartona_integration"
FOLDER = Path(__file__).parent.parent
ARABIC = FOLDER / "i18n" / "ar.po"


def terms_of_code():
    """Read the texts in ``_()`` of our source.

    Not left to Odoo's exporter: on 17.0 it skips a file with an f-string inside ``_()``, on 19.0 it also
    takes strings beside ``_()``.
    """
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("_", "_lt")
            ):
                yield from (text.value for text in node.args[:1] if isinstance(text, ast.Constant))


@tagged("post_install", "-at_install")
class TestTranslations(MarketplaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.arabic = {entry.msgid: entry.msgstr for entry in polib.pofile(str(ARABIC))}

    def terms_of_records(self):
        """Read what Odoo exports: labels and helps, selections, views, menus, records."""
        reader = TranslationModuleReader(self.env.cr, modules=[ADDON])
        return {source for _module, kind, _name, _id, source, *_more in reader if kind != "code"}

    def test_every_text_of_the_addon_is_in_arabic(self):
        terms = self.terms_of_records() | set(terms_of_code())
        self.assertGreater(len(terms), 500)
        missing = sorted(term for term in terms if not self.arabic.get(term))
        self.assertFalse(missing, "run make translations and translate these in i18n/ar.po")

    def test_every_translation_keeps_the_placeholders_and_tags_of_its_term(self):
        wrong = {entry.msgid: problem(entry) for entry in polib.pofile(str(ARABIC)) if problem(entry)}
        self.assertFalse(wrong)

    def test_a_lost_placeholder_or_tag_is_a_problem(self):
        for term, text in (
            ("%s of %s", "%s"),
            ("%(one)s and %(two)s", "%(one)s و %(tow)s"),
            ("%d MiB at %s", "%s %d"),
            ("%g %%", "%g"),
            ("<b>Order</b>", "الطلب"),
            ("Order", ""),
        ):
            with self.subTest(term):
                self.assertTrue(problem(polib.POEntry(msgid=term, msgstr=text)))

    def test_named_placeholders_may_change_their_order(self):
        entry = polib.POEntry(msgid="%(one)s of %(two)s", msgstr="%(two)s منها %(one)s")
        self.assertIsNone(problem(entry))

    def speak_arabic(self):
        self.env["res.lang"]._activate_lang("ar_001")
        importer = TranslationImporter(self.env.cr, verbose=False)
        importer.load_file(str(ARABIC), "ar_001")
        importer.save(overwrite=True)

    def test_an_arab_reads_screens_and_messages_in_arabic(self):
        self.speak_arabic()
        account = self.rest.with_context(lang="ar_001")
        dashboard = self.env.ref(f"{ADDON}.view_marketplace_dashboard")
        self.assertIn("تحتاج إلى اهتمام", account.get_view(dashboard.id, "kanban")["arch"])
        self.assertEqual(account.fields_get(["state"])["state"]["string"], "الوضع")
        self.assertIn("rest_test · استيراد الطلبات", account.sync_state_ids.mapped("display_name"))
        account.action_pause()
        with self.assertRaisesRegex(UserError, "ابدأ الحساب أولًا"):
            account.action_pull_orders()

    def test_an_arab_reads_the_marketplaces_words_in_arabic(self):
        self.speak_arabic()
        product = self.make_product("TEA-25")
        line = {"id": 1, "internal_product_id": product.cartona_id, "amount": 1, "selling_price": 10}
        told = {
            "hashed_id": "N1",
            "total_price": 10,
            "order_details": [line],
            "status": "assigned_to_salesman",
        }
        self.receive(self.cartona, told)
        self.receive(self.cartona, told | {"hashed_id": "N2", "status": "teleported"})
        events = self.events(self.cartona).with_context(lang="ar_001")
        self.assertEqual(events.mapped("status_label"), ["تم الشحن", "teleported"])
        self.assertEqual(events.search([("status", "=", "shipped")]).external_order_id, "N1")
        order = self.order(self.cartona, "N1").with_context(lang="ar_001")
        order.marketplace_cancel_reason = "out_of_stock"
        self.assertEqual(
            order.marketplace_cancel_label,
            dict(order.marketplace_config_id._cancel_reasons())["out_of_stock"],
        )
        self.assertNotEqual(order.marketplace_cancel_label, "Out of stock")
        order._enqueue_status("cancelled")
        self.assertEqual(order.marketplace_step_ids.cancel_label, order.marketplace_cancel_label)
        order.marketplace_cancel_reason = "Agreed by telephone"
        self.assertFalse(order.marketplace_cancel_label, "it is shown as it is")

    def test_an_arab_reads_in_arabic_what_is_wrong_with_a_message(self):
        self.speak_arabic()
        self.cartona.responsible_id.lang = "ar_001"
        line = {"id": 1, "internal_product_id": "A", "amount": 1, "selling_price": 10}
        for number, (changes, found) in enumerate((
            ({"order_details": 5}, "order_details: المتوقع قائمة، والموجود 5"),
            ({"order_details": [line | {"amount": 10**20}]}, "عدد لا تزيد أرقامه على 15"),
            ({"order_details": [line | {"amount": None}]}, "والموجود لا شيء"),
        )):  # fmt: skip
            told = {
                "hashed_id": f"N{number}",
                "total_price": 10,
                "order_details": [line],
                "status": "pending",
            }
            self.receive(self.cartona, told | changes, run=False)
            self.cartona._speaking()._as_actor()._job_import()
            self.assertIn(found, self.events(self.cartona)[-1:].reason)

    def test_an_activity_speaks_the_language_of_the_person_it_asks(self):
        self.speak_arabic()
        self.rest.responsible_id.lang = "ar_001"
        self.rest._as_actor()._ask_for_help("statuses", "Order 1")
        self.assertEqual(self.rest.activity_ids.summary, "تعذر إرسال حالات")

    def test_a_job_gives_reasons_in_the_language_of_the_person_who_reads_them(self):
        self.speak_arabic()
        self.rest.responsible_id.lang = "ar_001"
        self.receive(self.rest, sample("rest/neutral_order_created"), run=False)
        jobs = self.env["queue.job"].search([])
        self.rest._add_job("import")
        (self.env["queue.job"].search([]) - jobs).records._job_import()
        self.assertIn("منتج غير معروف", self.events(self.rest).reason)

    def test_a_customer_does_not_speak_the_language_of_that_person(self):
        self.speak_arabic()
        self.make_product("TEA-25")
        account = self.rest.with_context(lang="ar_001")._as_actor()
        line = {"id": "1", "sku": "TEA-25", "quantity": 1, "unit_price": 10}
        told = {
            "id": "N1",
            "status": "pending",
            "total": 10,
            "lines": [line],
            "customer": {"id": "C", "name": "A"},
        }
        self.receive(self.rest, told, run=False)
        account._job_import()
        customer = self.order(self.rest, "N1").partner_id
        self.assertNotEqual(customer.lang, "ar_001")

    def test_a_job_names_statuses_in_its_language(self):
        self.speak_arabic()
        step = self.env["marketplace.order.step"].create(
            {"account_id": self.rest.id, "external_order_id": "N-1", "status": "shipped"}
        )
        step.with_context(lang="ar_001")._disagree("cancelled")
        self.assertIn("”تم الإلغاء“", step.reason)
        self.assertEqual(step.with_context(lang="ar_001").display_name, "N-1: تم الشحن")
