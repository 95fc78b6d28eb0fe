from odoo.addons.cartona_integration.dialects import payload

from ..compat import SERIES
from .common import SAMPLES, MarketplaceCase, ok, sample

# Later series store prices as they come: nothing is left to round.
EXACT = SERIES >= 19
KEYS = ("TEA-25", "SUGAR-1", "SALT-500", "COLA-330", "479", "904#2", "1679#2", "MANGO-1")


class SamplesCase(MarketplaceCase):
    """Every sample order, from the message to the sale order; how a message arrives is the subclass's."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for key in KEYS:
            # A list price of its own: what the marketplace says must never be replaced by it.
            product = cls.make_product(key, list_price=999.0)
        # The one line whose seller's key the message does not tell.
        cls.make_link(cls.rest, product, "P-512")

    def figures(self, order):
        """Give {key: (quantity, price)} of an order's goods."""
        goods = order.order_line.filtered("product_id.cartona_id")
        return {line.product_id.cartona_id: (line.product_uom_qty, line.price_unit) for line in goods}


class CartonaSamples:
    """What becomes of Cartona's samples, whichever way they come."""

    def test_a_pending_order_is_confirmed_with_what_the_message_says(self):
        self.arrive("order_pending")
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual((order.state, order.amount_total, order.currency_id.name), ("sale", 860.0, "EGP"))
        self.assertEqual(self.figures(order), {"TEA-25": (2, 250), "SUGAR-1": (4, 90)})
        self.assertEqual((order.marketplace_order_number, order.client_order_ref), ("100245", "100245"))
        self.assertEqual((order.marketplace_status, order.delivered_by), ("pending", "seller"))
        self.assertEqual(str(order.commitment_date.date()), "2025-07-14")
        self.assertEqual(sum(order.picking_ids.move_ids.mapped("product_uom_qty")), 6)
        self.assertEqual(order.marketplace_sync_status, "pending")
        self.door.will("status", ok())
        self.run_job(self.cartona, "steps")
        self.assertEqual((order.marketplace_status, order.marketplace_sync_status), ("confirmed", "synced"))

    def test_a_pending_order_stays_a_quotation_where_the_account_says_so(self):
        self.cartona.order_policy = "draft"
        self.arrive("order_pending")
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual((order.state, order.amount_total), ("draft", 860.0))
        self.assertFalse(order.picking_ids)

    def test_the_customer_is_named_and_addressed_in_arabic(self):
        self.arrive("order_pending")
        partner = self.order(self.cartona, "kT3vQx9a").partner_id
        self.assertEqual(partner.name, "ماركت النور")
        self.assertEqual(partner.street, "١٢ شارع الجمهورية، سموحة، الإسكندرية")
        self.assertIn("بجوار الصيدلية", partner.comment)
        self.assertEqual(partner.cartona_id, "retailer_A01027")

    def test_an_edit_changes_the_lines_of_a_confirmed_order_and_leaves_a_note(self):
        self.arrive("order_pending")
        order = self.order(self.cartona, "kT3vQx9a")
        before = order.message_ids
        self.arrive("order_edited_back_to_pending")
        self.assertEqual(self.figures(order), {"TEA-25": (1, 250), "SUGAR-1": (5, 90), "SALT-500": (15, 5)})
        self.assertEqual((order.state, order.amount_total), ("sale", 775.0))
        messages = order.message_ids - before
        self.assertTrue(all(message.subtype_id.internal for message in messages))
        note = messages.filtered(lambda message: "The marketplace changed the order" in message.body)
        self.assertEqual(len(note), 1)
        self.assertIn("quantity 2 → 1", note.body)
        self.assertIn("ملح طعام", note.body)

    def test_a_line_that_is_gone_is_quantity_zero_on_a_confirmed_order(self):
        self.arrive("order_edited_back_to_pending")
        self.arrive("order_pending")
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual(self.figures(order)["SALT-500"], (0, 5))
        self.assertEqual(order.amount_total, 860.0)
        salt = order.picking_ids.move_ids.filtered(lambda move: move.product_id.cartona_id == "SALT-500")
        self.assertEqual(set(salt.mapped("state")) - {"cancel"}, set())

    def test_a_line_that_is_gone_is_removed_from_a_quotation(self):
        self.cartona.order_policy = "draft"
        self.arrive("order_edited_back_to_pending")
        self.arrive("order_pending")
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual(self.figures(order), {"TEA-25": (2, 250), "SUGAR-1": (4, 90)})
        self.assertEqual((order.state, order.amount_total), ("draft", 860.0))

    def test_while_the_retailer_edits_the_order_waits_unchanged(self):
        self.arrive("order_pending")
        self.arrive("order_editing")
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual((order.marketplace_status, order.state), ("held", "sale"))
        self.assertEqual(self.figures(order), {"TEA-25": (2, 250), "SUGAR-1": (4, 90)})

    def test_an_order_first_seen_while_edited_is_on_hold_until_the_next_message(self):
        self.arrive("order_editing")
        self.assertFalse(self.order(self.cartona, "kT3vQx9a"))
        held = self.events(self.cartona, "kT3vQx9a")
        self.assertEqual((held.state, held.hold_ids.kind), ("hold", "later"))
        self.arrive("order_edited_back_to_pending")
        self.assertEqual(self.order(self.cartona, "kT3vQx9a").amount_total, 775.0)
        self.assertEqual(held.state, "ignored")

    def test_a_cancellation_cancels_the_order_and_its_delivery(self):
        self.arrive("order_offer_two_lines")
        self.arrive("order_cancelled_by_retailer")
        order = self.order(self.cartona, "mB7wLz2c")
        self.assertEqual((order.state, order.marketplace_status), ("cancel", "cancelled"))
        self.assertEqual(order.marketplace_cancel_reason, "delayed_order")
        self.assertEqual(set(order.picking_ids.mapped("state")), {"cancel"})

    def test_an_order_first_seen_cancelled_is_kept_without_ever_moving_stock(self):
        self.arrive("order_cancelled_by_retailer")
        order = self.order(self.cartona, "mB7wLz2c")
        self.assertEqual((order.state, order.amount_total), ("cancel", 44.0))
        self.assertFalse(order.picking_ids)

    def test_an_offer_with_two_lines_of_one_product_keeps_both(self):
        self.arrive("order_offer_two_lines")
        order = self.order(self.cartona, "mB7wLz2c")
        self.assertEqual(order.order_line.mapped("product_id.cartona_id"), ["COLA-330"])
        self.assertEqual(
            [(line.product_uom_qty, line.price_unit) for line in order.order_line], [(2, 7), (3, 10)]
        )
        self.assertEqual(order.order_line.mapped("marketplace_line_id"), ["20100011", "20100012"])

    def test_an_order_the_marketplace_delivers_is_confirmed_and_says_so(self):
        self.cartona.order_policy = "draft"  # it is on its way: nobody is asked any more
        self.arrive("order_delivered_by_cartona")
        order = self.order(self.cartona, "sW1kHf6g")
        self.assertEqual((order.state, order.delivered_by), ("sale", "marketplace"))
        self.assertEqual((order.marketplace_status, order.marketplace_delivery_otp), ("shipped", "204816"))
        self.assertEqual(
            (order.order_line.marketplace_unit, order.order_line.marketplace_unit_count), ("box", 24)
        )
        self.assertEqual(order.order_line.product_uom_qty, 3)

    def test_credit_instalments_and_top_up_tell_who_owes_what(self):
        self.arrive("order_installment_credit_topup")
        order = self.order(self.cartona, "pR5nYd8e")
        self.assertEqual(order.amount_total, 3040.0)
        self.assertEqual(order.marketplace_to_collect, 100.0)
        self.assertEqual(order.marketplace_receivable, 3140.0)
        self.assertEqual(order.marketplace_payable, 100.0)

    def test_what_is_only_good_to_know_holds_no_order_up(self):
        told = {"delivery_day": "31/01/2026", "created_at": 1767323045, "delivered_by": "delivered_by_drone"}
        self.arrive("order_pending", **told, estimated_delivery_day=None)
        order = self.order(self.cartona, "kT3vQx9a")
        self.assertEqual((order.state, order.delivered_by, order.commitment_date), ("sale", False, False))
        [note] = [message.body for message in order.message_ids if "Not readable" in message.body]
        for words in ("31/01/2026", "1767323045", "delivered_by_drone"):
            self.assertIn(words, note)

    def test_an_order_with_nothing_but_the_needed_is_imported(self):
        self.arrive("order_sparse_nulls")
        order = self.order(self.cartona, "4471902836")
        self.assertEqual((order.state, order.amount_total), ("sale", 120.0))
        self.assertFalse(order.delivered_by or order.marketplace_order_number or order.commitment_date)
        self.assertEqual(order.partner_shipping_id, order.partner_id)

    def test_a_retailer_with_only_a_name_is_a_contact_of_its_own_per_order(self):
        self.arrive("order_sparse_nulls")
        self.arrive("order_sparse_nulls", hashed_id="another")
        orders = self.order(self.cartona, "4471902836") | self.order(self.cartona, "another")
        self.assertEqual(len(orders.partner_id), 2)
        self.assertEqual(set(orders.partner_id.mapped("name")), {"بقالة الأمل"})
        self.assertFalse(any(orders.partner_id.mapped("cartona_id")))

    def test_a_line_that_names_no_product_is_told_by_its_name(self):
        row = {"id": 1, "base_product_id": 5, "amount": 2, "selling_price": 10, "product_name": "شاي"}
        self.receive(
            self.cartona,
            {"hashed_id": "H1", "status": "pending", "total_price": 20, "order_details": [row]},
        )
        event = self.events(self.cartona, "H1")
        self.assertEqual(event.state, "hold")
        self.assertIn("شاي", event.reason)
        self.cartona.unknown_product_policy = "placeholder"
        self.run_job(self.cartona, "import")
        self.assertEqual(self.order(self.cartona, "H1").amount_total, 20)

    def test_an_unknown_product_holds_the_whole_order_and_leaves_nothing_behind(self):
        models = ("sale.order", "sale.order.line", "res.partner", "product.product", "mail.message")
        before = [self.env[model].with_context(active_test=False).search_count([]) for model in models]
        self.arrive("order_unknown_product")
        after = [self.env[model].with_context(active_test=False).search_count([]) for model in models]
        self.assertEqual(after, before)
        event = self.events(self.cartona, "uN0kPr0d")
        self.assertEqual(event.state, "hold")
        self.assertEqual(
            event.hold_ids.mapped(lambda hold: (hold.kind, hold.key)), [("product", "NOT-IN-ODOO")]
        )
        self.assertIn("NOT-IN-ODOO", event.reason)
        self.assertTrue(event.remedy)

    def test_an_order_on_hold_comes_in_by_itself_once_the_product_is_there(self):
        self.arrive("order_unknown_product")
        self.make_product("NOT-IN-ODOO")
        self.assertIn((self.cartona.id, "import"), self.wakeups)
        self.run_job(self.cartona, "import")
        self.assertEqual(self.order(self.cartona, "uN0kPr0d").amount_total, 500.0)
        self.assertEqual(self.events(self.cartona, "uN0kPr0d").state, "done")

    def test_no_sample_has_been_forgotten(self):
        names = {path.stem for path in (SAMPLES / "cartona").glob("order_*.json")}
        self.assertEqual(
            names,
            {
                "order_cancelled_by_retailer",
                "order_delivered_by_cartona",
                "order_edited_back_to_pending",
                "order_editing",
                "order_installment_credit_topup",
                "order_offer_two_lines",
                "order_pending",
                "order_sparse_nulls",
                "order_unknown_product",
            },
        )


class TestCartonaSamplesByWebhook(CartonaSamples, SamplesCase):
    def arrive(self, name, **changes):
        [row] = payload.loads(sample(f"cartona/{name}"))
        self.receive(self.cartona, payload.dumps([{**row, **changes}]).encode())


class TestCartonaSamplesByPull(CartonaSamples, SamplesCase):
    def arrive(self, name, **changes):
        [row] = payload.loads(sample(f"cartona/{name}"))
        self.pull(self.cartona, [{**row, **changes}])


class NeutralSamples:
    """What becomes of the neutral samples, whichever way they come."""

    def test_a_new_order_keeps_amounts_odoo_cannot_express_per_line(self):
        self.arrive("neutral_order_created")
        order = self.order(self.rest, "N-88123")
        self.assertEqual((order.state, order.amount_total, order.currency_id.name), ("sale", 1317.5, "EGP"))
        lines = {line.marketplace_line_id: line for line in order.order_line}
        self.assertEqual(
            {line_id: line.price_subtotal for line_id, line in lines.items()},
            {"1": 1050.0, "2:discount": -10.0, "shipping:0": 30.0}
            | ({"2": 247.5} if EXACT else {"2": 247.56, "rounding": -0.06}),
        )
        self.assertEqual(lines["shipping:0"].name, "توصيل")
        self.assertEqual(lines["2"].product_id.cartona_id, "MANGO-1")

    def test_times_with_an_offset_are_stored_in_utc(self):
        self.arrive("neutral_order_created")
        order = self.order(self.rest, "N-88123")
        self.assertEqual(str(order.date_order), "2026-11-12 10:15:00")
        self.assertEqual(str(order.marketplace_modified_at), "2026-11-12 10:15:05")

    def test_a_customer_id_is_the_accounts_own(self):
        self.arrive("neutral_order_created")
        order = self.order(self.rest, "N-88123")
        self.assertEqual(order.partner_id.cartona_id, "retailer_rest_test_C-1007")
        self.assertEqual(order.partner_shipping_id, order.partner_id)
        self.assertEqual(order.partner_id.country_id.code, "EG")

    def test_an_update_changes_quantity_and_keeps_one_rounding_line(self):
        self.arrive("neutral_order_created")
        self.arrive("neutral_order_updated")
        order = self.order(self.rest, "N-88123")
        self.assertEqual(order.amount_total, 1107.5)
        self.assertEqual(self.figures(order)["COLA-330"], (4, 210))
        rounding = order.order_line.filtered(lambda line: line.marketplace_line_id == "rounding")
        self.assertEqual(rounding.mapped("price_subtotal"), [] if EXACT else [-0.06])

    def test_an_update_on_a_quotation_keeps_one_rounding_line(self):
        self.rest.order_policy = "draft"
        self.arrive("neutral_order_created")
        self.arrive("neutral_order_updated")
        order = self.order(self.rest, "N-88123")
        rounding = order.order_line.filtered(lambda line: line.marketplace_line_id == "rounding")
        self.assertEqual((order.amount_total, len(rounding)), (1107.5, 0 if EXACT else 1))

    def test_a_cancellation_cancels(self):
        self.arrive("neutral_order_created")
        self.arrive("neutral_order_cancelled")
        order = self.order(self.rest, "N-88123")
        self.assertEqual((order.state, order.marketplace_cancel_reason), ("cancel", "customer"))

    def test_an_older_message_after_a_newer_one_changes_nothing(self):
        self.arrive("neutral_order_updated")
        self.arrive("neutral_order_created")
        order = self.order(self.rest, "N-88123")
        self.assertEqual(order.amount_total, 1107.5)
        self.assertEqual(self.events(self.rest, "N-88123").mapped("state"), ["done", "ignored"])

    def test_no_sample_has_been_forgotten(self):
        names = {path.stem for path in (SAMPLES / "rest").glob("neutral_order_*.json")}
        self.assertEqual(
            names,
            {f"neutral_order_{kind}" for kind in ("created", "updated", "cancelled", "status")},
        )


class TestNeutralSamplesByWebhook(NeutralSamples, SamplesCase):
    def arrive(self, name):
        self.receive(self.rest, sample(f"rest/{name}"))

    def test_a_status_alone_is_carried_into_the_order(self):
        self.rest.order_policy = "draft"
        self.arrive("neutral_order_created")
        self.arrive("neutral_order_status")
        order = self.order(self.rest, "N-88123")
        self.assertEqual((order.state, order.marketplace_status), ("sale", "delivered"))
        self.assertEqual(str(order.date_order), "2026-11-12 10:15:00")

    def test_a_status_before_its_order_waits_for_it(self):
        self.arrive("neutral_order_status")
        waiting = self.events(self.rest, "N-88123")
        self.assertEqual((waiting.state, waiting.hold_ids.kind), ("hold", "order"))
        self.arrive("neutral_order_created")
        self.run_job(self.rest, "import")
        self.assertEqual(waiting.state, "done")
        self.assertEqual(self.order(self.rest, "N-88123").marketplace_status, "delivered")

    def test_a_ping_leaves_nothing(self):
        self.arrive("neutral_ping")
        self.assertFalse(self.events(self.rest))


class TestNeutralSamplesByPull(NeutralSamples, SamplesCase):
    def arrive(self, name):
        order = payload.loads(sample(f"rest/{name}"))["data"]["order"]
        self.pull(self.rest, {"orders": [order], "next_page": None})
