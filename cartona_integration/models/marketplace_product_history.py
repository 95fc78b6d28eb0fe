from datetime import timedelta

from odoo import api, fields, models

from .indexes import ensure_indexes
from .marketplace_mark import RECOUNT

RETENTION_DAYS = 90
DELETED_AT_ONCE = 100_000
# Why something was sent; of several reasons the first one here is told.
CAUSES = [
    ("approved", "A person approved the price"),
    ("asked", "Asked for by hand"),
    ("order", "An order came in or was cancelled"),
    ("change", "Changed in Odoo"),
    ("rules", "The account's rules or pricelist changed"),
    ("listing", "The listing or its product changed"),
    ("found", "Found by comparing"),
    ("read", "Found by comparing"),  # all that was read is compared: of most of it nothing is sent
    ("again", "Sent again after trouble"),
    ("late", "Once more: an earlier call had no answer"),
]


class MarketplaceProductHistory(models.Model):
    """What a listing was sent, when, why, and what the marketplace said.

    Written by the pusher only, one statement per batch before the call and one after it: what has no answer
    was sent by a job that died.
    """

    _name = "marketplace.product.history"
    _description = "Marketplace Figures Sent"
    _order = "id desc"
    _log_access = False

    link_id = fields.Many2one(
        "marketplace.product.link",
        string="Listing",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    account_id = fields.Many2one(related="link_id.account_id")
    product_id = fields.Many2one(related="link_id.product_id")
    sent_at = fields.Datetime(required=True, readonly=True)
    cause = fields.Selection(CAUSES, string="Why", readonly=True)
    figures = fields.Selection(
        [("price", "Price"), ("stock", "Stock"), ("both", "Price and stock")],
        string="What",
        required=True,
        readonly=True,
    )
    price = fields.Float(readonly=True)
    quantity = fields.Float(readonly=True)
    unlimited = fields.Boolean(string="Never Sells Out", readonly=True)
    outcome = fields.Selection(
        [("sent", "No answer yet"), ("taken", "Taken"), ("refused", "Refused"), ("lost", "No answer")],
        required=True,
        readonly=True,
    )
    answer = fields.Char(readonly=True, help="The marketplace's words, where it did not take the figures.")

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE INDEX marketplace_product_history_open"
            " ON marketplace_product_history (link_id) WHERE outcome = 'sent'",
            "CREATE INDEX marketplace_product_history_sent_at ON marketplace_product_history (sent_at)",
        )

    @api.model
    def _cause_of(self, marks):
        """Give the cause that is told of several marks.

        :param marks: set of (kind, cause)
        """
        causes = {"order" if kind == RECOUNT else cause for kind, cause in marks}
        return next((cause for cause, _label in CAUSES if cause in causes), None)

    @api.model
    def _note_sent(self, offers, marks):
        """Keep what is about to be sent; what was sent before and has no answer gets none any more.

        :param dict offers: {link id: ProductUpdate}
        :param dict marks: {link id: set of (kind, cause)}
        """
        if not offers:
            return
        rows = [
            (link_id, *self._values(offer), self._cause_of(marks[link_id]))
            for link_id, offer in offers.items()
        ]
        self.env.cr.execute(
            """
            WITH unanswered AS (
                UPDATE marketplace_product_history SET outcome = 'lost'
                 WHERE link_id = ANY(%s) AND outcome = 'sent'
            )
            INSERT INTO marketplace_product_history
                   (link_id, figures, price, quantity, unlimited, cause, sent_at, outcome)
            SELECT sent.*, now() AT TIME ZONE 'UTC', 'sent'
              FROM unnest(%s, %s, %s::float[], %s::float[], %s::bool[], %s::text[]) AS sent
            """,
            [list(offers), *[list(column) for column in zip(*rows, strict=True)]],
        )

    def _values(self, offer):
        """Give what of an offer is kept: which figures, price, quantity, unlimited."""
        has_price, has_stock = offer.price is not None, offer.unlimited is not None
        figures = "both" if has_price and has_stock else "price" if has_price else "stock"
        price = float(offer.price) if has_price else None
        return figures, price, float(offer.quantity or 0) if has_stock else None, offer.unlimited

    @api.model
    def _note_answers(self, results):
        """Keep what the marketplace said.

        :param dict results: {link id: ItemResult}
        """
        if not results:
            return
        outcomes = {True: "taken", False: "refused", None: "lost"}
        rows = [
            (link_id, outcomes[result.ok], None if result.ok else result.reason)
            for link_id, result in results.items()
        ]
        self.env.cr.execute(
            """
            UPDATE marketplace_product_history history
               SET outcome = answered.outcome, answer = answered.answer
              FROM unnest(%s, %s, %s::text[]) AS answered (link_id, outcome, answer)
             WHERE history.link_id = answered.link_id AND history.outcome = 'sent'
            """,
            [list(column) for column in zip(*rows, strict=True)],
        )

    @api.autovacuum
    def _gc_old_rows(self):
        """Forget what is old. Plain SQL: there may be as many rows as changes in a day."""
        limit = fields.Datetime.now() - timedelta(days=RETENTION_DAYS)
        self.env.cr.execute(
            "DELETE FROM marketplace_product_history WHERE id IN ("
            " SELECT id FROM marketplace_product_history WHERE sent_at < %s ORDER BY sent_at LIMIT %s)",
            [limit, DELETED_AT_ONCE],
        )
        self.invalidate_model()
