from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from .test_link import LinkCase, listing


class GoingLiveCase(LinkCase):
    """The rest account in shadow, its listing read and computed."""

    def setUp(self):
        super().setUp()
        self.rest.action_shadow()
        self.sugar = self.make_product(False, list_price=7)
        self.on_sugar = self.make_link(self.rest, self.sugar, "R2")

    def compare(self, *rows):
        self.read_all(*(rows or self.there()))
        self.run_job(self.rest, "push")

    def there(self):
        return (
            listing("TEA-25", "R1", price="90.00", stock="10"),
            listing("SUGAR", "R2", price="1.00", stock="25"),
        )

    def preview(self, links=None):
        action = (links or self.rest).action_go_live()
        return self.env["marketplace.go.live"].browse(action["res_id"])


class TestShadow(GoingLiveCase):
    """Shadow computes everything and sends nothing."""

    def test_figures_are_computed_and_shown_and_nothing_is_sent(self):
        self.compare()
        self.assertEqual((self.on_rest.computed_price, self.on_rest.computed_quantity), (100, 10))
        self.assertFalse(self.door.asked("update_products"))
        self.assertFalse(self.on_rest.sent_at)

    def test_an_account_without_a_token_does_not_start(self):
        account = self.env["marketplace.config"].create(
            {"name": "New", "code": "new", "dialect": "rest", "api_base_url": "https://marketplace.test"}
        )
        with self.assertRaises(UserError):
            account.action_shadow()
        with self.assertRaises(UserError):
            account.action_go_live()


class TestPreview(GoingLiveCase):
    """Going live shows what would change, and asks."""

    def test_prices_and_quantities_stand_side_by_side_the_biggest_difference_first(self):
        self.compare()
        preview = self.preview()
        self.assertEqual((preview.reprices, preview.recounts, preview.empties), (2, 1, 1))
        first = preview.reprices_ids[0]
        self.assertEqual((first.link_id, first.observed_price, first.computed_price), (self.on_sugar, 1, 7))
        self.assertEqual(preview.reprices_ids[1].link_id, self.on_rest)

    def test_what_would_go_to_zero_is_listed(self):
        self.compare()
        zero = self.preview().empties_ids
        self.assertEqual((zero.link_id, zero.observed_quantity), (self.on_sugar, 25))

    def test_nothing_happens_before_it_is_confirmed(self):
        self.compare()
        self.preview()
        self.assertEqual(self.rest.state, "shadow")
        self.run_job(self.rest, "push")
        self.assertFalse(self.door.asked("update_products"))

    def test_confirmed_it_sends_what_was_shown(self):
        self.compare()
        self.preview().action_confirm()
        self.assertEqual(self.rest.state, "live")
        self.push()
        self.assertEqual(
            {(row["id"], row["price"], row.get("stock")) for row in self.sent()},
            {("R1", "100.00", "10"), ("R2", "7.00", "0")},
        )

    def test_what_was_not_compared_needs_a_word(self):
        preview = self.preview()
        self.assertEqual(preview.unknown_count, 2)
        self.assertTrue(preview.is_unread)
        self.rest._state("listings")._succeed()
        preview = self.preview()
        with self.assertRaisesRegex(UserError, "not compared"):
            preview.action_confirm()
        preview.is_understood = True
        preview.action_confirm()
        self.assertEqual(self.rest.state, "live")

    def test_listings_that_were_never_read_need_a_word(self):
        (self.on_rest | self.on_sugar).unlink()
        preview = self.preview()
        self.assertEqual((preview.unknown_count, preview.is_unread), (0, True))
        with self.assertRaisesRegex(UserError, "not read"):
            preview.action_confirm()
        self.compare()
        self.assertFalse(self.preview().is_unread)

    def test_a_held_price_is_no_change_and_counted_apart(self):
        self.rest.price_floor = "cost"
        self.sugar.standard_price = 50
        self.compare()
        preview = self.preview()
        self.assertEqual((preview.reprices, preview.waiting_count), (1, 1))

    def test_an_account_that_sends_no_prices_would_change_none(self):
        self.compare()
        self.rest.auto_sync_prices = False
        self.assertEqual(self.preview().reprices, 0)

    def test_a_stopped_listing_is_no_part_of_it_unless_it_is_chosen(self):
        self.compare()
        self.on_sugar.is_paused = True
        preview = self.preview()
        self.assertEqual((preview.link_count, preview.unknown_count, preview.reprices), (1, 0, 1))
        chosen = self.preview(self.on_sugar)
        self.assertEqual((chosen.link_count, chosen.unknown_count, chosen.reprices), (1, 0, 1))

    def test_only_managers_go_live(self):
        user = new_test_user(self.env, "clerk", groups="cartona_integration.group_marketplace_user")
        with self.assertRaises(AccessError):
            self.rest.with_user(user).action_go_live()


class TestSelection(GoingLiveCase):
    """An account may start with some listings."""

    def start(self):
        self.compare()
        preview = self.preview(self.on_rest)
        self.assertEqual((preview.link_count, preview.empties), (1, 0))
        preview.action_confirm()

    def test_only_the_chosen_ones_are_sent_for(self):
        self.start()
        self.push()
        self.assertEqual({row["id"] for row in self.sent()}, {"R1"})
        self.assertTrue(self.on_sugar.is_paused)

    def test_a_new_link_waits_too(self):
        self.start()
        self.make_product("SALT-1", list_price=3)
        self.read_all(*self.there(), listing("SALT-1", "R3"))
        link = self.links.search([("external_id", "=", "R3")])
        self.assertEqual((link.state, link.is_paused), ("linked", True))

    def test_one_that_was_gone_for_a_while_goes_on(self):
        self.start()
        self.push()
        self.on_rest._go()
        self.read_all(*self.there())
        self.assertEqual((self.on_rest.state, self.on_rest.is_paused), ("linked", False))
        self.on_rest.external_id = "R9"
        self.read_all(listing("TEA-25", "R9"))
        self.assertEqual((self.on_rest.state, self.on_rest.is_paused), ("linked", True))

    def test_more_are_let_go_later(self):
        self.start()
        self.on_sugar.action_start_sending()
        self.push()
        self.assertIn("R2", {row["id"] for row in self.sent()})
        self.on_sugar.action_stop_sending()
        self.sugar.list_price = 9
        self.drop_marks()
        self.assertFalse(self.marks(self.rest))

    def test_what_is_stopped_is_told_and_waits_for_nothing(self):
        self.start()
        self.push()
        [waiting, synced, idle] = [("sync_status", "=", one) for one in ("pending", "synced", False)]
        self.assertEqual((self.on_rest.sync_status, self.on_sugar.sync_status), ("synced", False))
        self.assertEqual(self.rest.stopped_count, 1)
        action = self.rest.action_view_stopped()
        self.assertIn("search_default_paused", action["context"])
        self.on_rest.action_stop_sending()
        self.assertEqual(self.on_rest.sync_status, False)
        both = self.on_rest | self.on_sugar
        mine = [("id", "in", both.ids)]
        found = [self.links.search([*mine, term]) for term in (waiting, synced, idle)]
        self.assertEqual(found, [self.links, self.links, both])

    def test_going_live_with_all_the_rest_says_what_stays_stopped_and_that_new_ones_wait(self):
        self.start()
        self.rest.action_pause()
        preview = self.preview()
        self.assertEqual((preview.stopped_count, preview.new_links_wait), (1, True))
        preview.new_links_wait = False
        preview.action_confirm()
        self.assertFalse(self.rest.new_links_wait)

    def test_on_a_live_account_the_others_go_on(self):
        self.compare()
        self.preview().action_confirm()
        self.on_rest.action_stop_sending()
        self.preview(self.on_rest).action_confirm()
        self.assertFalse(self.on_rest.is_paused)
        self.assertFalse(self.on_sugar.is_paused)
        self.assertFalse(self.rest.new_links_wait)

    def test_listings_of_two_accounts_are_refused(self):
        with self.assertRaises(UserError):
            (self.on_rest | self.on_cartona).action_go_live()
