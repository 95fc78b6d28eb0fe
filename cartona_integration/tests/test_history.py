from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user

from ..dialects.words import Answer
from ..exceptions import Unavailable
from ..models import marketplace_product_history
from .common import ListedCase, ok, taken

USER = "cartona_integration.group_marketplace_user,base.group_user"


class TestHistory(ListedCase):
    """What a listing was sent, when, why, and what the marketplace said."""

    def setUp(self):
        super().setUp()
        self.settle()
        self.history.search([]).unlink()

    @property
    def history(self):
        return self.env["marketplace.product.history"]

    def told(self, *names):
        """Give values of what the listing on rest was sent, oldest first."""
        self.env.invalidate_all()
        rows = self.history.search([("link_id", "=", self.on_rest.id)], order="id")
        return [tuple(row[name] for name in names) for row in rows]

    def test_a_price_is_kept_with_its_time_and_what_became_of_it(self):
        self.tea.list_price = 120
        self.push()
        self.assertEqual(
            self.told("figures", "price", "cause", "outcome"), [("price", 120, "change", "taken")]
        )
        [(sent_at,)] = self.told("sent_at")
        self.assertLess(fields.Datetime.now() - sent_at, timedelta(minutes=1))

    def test_stock_is_kept_also_when_there_is_none_left(self):
        self.move_in(self.tea, -10)
        self.push()
        self.assertEqual(self.told("figures", "quantity", "cause"), [("stock", 0, "change")])

    def test_nothing_is_kept_of_what_is_not_sent(self):
        self.mark_all()
        self.push()
        self.tea.list_price = 120
        self.rest.state = "shadow"
        self.push()
        self.assertFalse(self.told("figures"))

    def test_a_refusal_is_kept_with_the_marketplaces_words(self):
        self.tea.list_price = 120
        self.push(lambda request: taken(request, refuse={"R1"}))
        self.assertEqual(self.told("outcome", "answer"), [("refused", "Not this one")])

    def test_trouble_and_the_sending_after_it_are_two_rows(self):
        self.tea.list_price = 120
        self.push(Unavailable("No answer"))
        self.rest._state("push").paused_until = fields.Datetime.now() - timedelta(seconds=1)
        self.push()
        self.assertEqual(
            self.told("outcome", "cause", "answer"),
            [("lost", "change", "No answer"), ("taken", "again", False)],
        )

    def test_a_row_without_a_word_has_no_answer(self):
        self.tea.list_price = 120
        self.push(lambda request: taken(request, silent={"R1"}))
        self.assertEqual(self.told("outcome"), [("lost",)])

    def test_what_a_job_that_died_sent_is_known_and_gets_no_later_answer(self):
        self.tea.list_price = 120
        self.cr.flush()
        self.rest.with_user(self.rest.user_id)._committed("_claim_offers")  # and dies
        self.assertEqual(self.told("outcome"), [("sent",)])
        self.tea.list_price = 130
        self.push()
        self.assertEqual(self.told("price", "outcome"), [(120, "lost"), (130, "taken")])

    def test_each_reason_is_told(self):
        self.on_rest.action_sync()
        self.push()
        self.rest.stock_maximum = 4
        self.push()
        self.run_job(self.rest, "check")
        self.cr.execute(
            "UPDATE product_template SET list_price = 7 WHERE id = %s", self.tea.product_tmpl_id.ids
        )
        self.env.invalidate_all()
        self.run_job(self.rest, "check")
        self.push()
        self.on_rest.product_id = self.make_product("SUGAR-1", list_price=5)
        self.push()
        self.assertEqual(self.told("cause"), [("asked",), ("rules",), ("found",), ("listing",)])

    def test_an_order_that_counts_the_marketplace_down_is_a_reason(self):
        self.env["marketplace.mark"]._note("recount", self.tea)
        self.push()
        self.assertEqual(self.told("cause", "figures"), [("order", "stock")])

    def test_old_rows_are_forgotten_whatever_their_number(self):
        self.tea.list_price = 120
        self.push()
        self.tea.list_price = 130
        self.push()
        old = fields.Datetime.now() - timedelta(days=marketplace_product_history.RETENTION_DAYS + 1)
        self.history.search([("price", "=", 120), ("link_id", "=", self.on_rest.id)]).sent_at = old
        self.env.flush_all()
        self.history._gc_old_rows()
        self.assertEqual(self.told("price"), [(130,)])

    def test_it_costs_two_statements_a_batch(self):
        for number in range(20):
            self.make_link(self.rest, self.make_product(f"P{number}", list_price=10), f"P{number}")
        seen = []
        execute = type(self.cr).execute

        def note(cr, query, *args, **kwargs):
            if "marketplace_product_history" in str(query):
                seen.append(query)
            return execute(cr, query, *args, **kwargs)

        self.mark_all()
        with patch.object(type(self.cr), "execute", note):
            self.push()
        self.assertEqual(len(seen), 2)

    def test_people_open_it_from_the_listing_and_the_product_and_strangers_do_not(self):
        self.tea.list_price = 120
        self.push()
        user = new_test_user(self.env, "reader", groups=USER)
        for action in (
            self.on_rest.with_user(user).action_view_history(),
            self.tea.with_user(user).action_view_marketplace_history(),
            self.tea.product_tmpl_id.with_user(user).action_view_marketplace_history(),
        ):
            self.assertIn(120, self.history.with_user(user).search(action["domain"]).mapped("price"))
        stranger = new_test_user(self.env, "stranger", groups="base.group_user")
        with self.assertRaises(AccessError):
            self.history.with_user(stranger).search([])
        company = self.env["res.company"].create({"name": "Company B"})
        neighbour = new_test_user(self.env, "neighbour", groups=USER, company_id=company.id)
        neighbour.company_ids = company
        self.assertFalse(self.history.with_user(neighbour).search([]))
        with self.assertRaises(AccessError):
            self.history.with_user(user).search([]).write({"price": 1})


class TestCutOff(ListedCase):
    """Everything refused for one reason is no fault of the listings."""

    def setUp(self):
        super().setUp()
        for number in range(15):
            self.make_link(self.rest, self.make_product(f"P{number}", list_price=10), f"P{number}")
        self.mark_all()

    @property
    def state(self):
        return self.rest._state("push")

    def refuse_all(self, request):
        return taken(request, refuse={row["id"] for row in request.body["items"]})

    def pass_time(self):
        self.state.paused_until = fields.Datetime.now() - timedelta(seconds=1)

    def reasons(self):
        self.env.invalidate_all()
        return [reason for reason in self.rest.link_ids.mapped("reason") if reason]

    def calls(self):
        return [len(request.body["items"]) for request in self.door.asked("update_products")]

    def test_it_pauses_says_why_and_blames_no_listing(self):
        self.push(self.refuse_all)
        self.assertIn("Not this one", self.state.pause_reason)
        self.assertTrue(self.state._is_paused())
        self.assertFalse(self.reasons())
        self.assertEqual(len({link for link, _kind in self.marks(self.rest)}), 16)

    def test_one_listing_is_tried_and_when_it_is_taken_the_rest_follows(self):
        self.push(self.refuse_all)
        self.pass_time()
        self.push()
        self.assertEqual(self.calls(), [16, 1, 15])
        self.assertFalse(self.marks(self.rest))
        self.assertEqual((self.state.failures, self.state.pause_reason), (0, False))

    def test_while_the_one_is_refused_the_rest_is_not_sent_and_the_pause_grows(self):
        self.push(self.refuse_all)
        pauses = []
        for _time in range(3):
            self.pass_time()
            self.push(self.refuse_all)
            pauses.append(self.state.paused_until)
        self.assertEqual(self.calls(), [16, 1, 1, 1])
        self.assertEqual(pauses, sorted(pauses))
        self.assertFalse(self.reasons())

    def test_in_the_end_it_is_believed_and_each_listing_says_so(self):
        for _time in range(6):
            self.push(self.refuse_all)
            self.pass_time()
        self.assertEqual(len(self.reasons()), 16)
        self.assertFalse(self.marks(self.rest))

    def test_few_refusals_or_several_reasons_are_the_listings_own(self):
        def no_two_alike(request):
            answer = self.refuse_all(request)
            for number, row in enumerate(answer.data["results"]):
                row["message"] = f"No {number}"
            return answer

        self.push(no_two_alike)
        self.assertEqual((len(self.reasons()), self.state._is_paused()), (16, False))

    def test_one_that_is_taken_shows_that_it_is_about_the_others(self):
        refused = {f"P{number}" for number in range(15)}
        self.push(lambda request: taken(request, refuse=refused))
        self.assertEqual((len(self.reasons()), self.state._is_paused()), (15, False))

    def test_a_batch_refused_as_a_whole_is_not_halved_to_the_end(self):
        self.push(Answer(422, {"error": {"message": "Closed"}}))
        self.assertLess(len(self.door.requests), 30)
        self.assertIn("Closed", self.state.pause_reason)
        self.assertFalse(self.reasons())

    def test_after_an_outage_one_listing_is_tried_first_too(self):
        self.push(ok(None, 503))
        self.pass_time()
        self.push(ok(None, 503))
        self.pass_time()
        self.push()
        self.assertEqual(self.calls(), [16, 1, 1, 15])
        self.assertFalse(self.marks(self.rest))

    def test_a_bad_listing_that_is_tried_first_does_not_stop_the_others(self):
        self.push(ok(None, 503))
        self.pass_time()
        first = self.on_rest.external_id

        def refuse_it(request):
            return taken(request, refuse={request.body["items"][0]["id"]} if self.calls()[1:] == [1] else ())

        self.push(refuse_it)
        self.assertEqual(self.calls(), [16, 1, 15])
        self.assertEqual(len(self.reasons()), 1, first)
