from collections import defaultdict
from functools import partial

from odoo import SUPERUSER_ID, api, fields, models

from .indexes import ensure_indexes
from .product_kit import WITH_KITS

PRICE = "price"
STOCK = "stock"
# A marketplace counts its own orders down, and some cancelled ones up again: whatever it acknowledged last,
# it shows another stock now, so ours is sent once more.
RECOUNT = "recount"

# What a change was noted for -> the condition that finds its links.
REACH = {
    "product.product": "link.product_id = ANY(%(ids)s)",
    "product.template": (
        "link.product_id IN (SELECT id FROM product_product WHERE product_tmpl_id = ANY(%(ids)s))"
    ),
    "product.category": """link.product_id IN (
        SELECT product.id FROM product_category above
          JOIN product_category category ON category.parent_path LIKE above.parent_path || '%%'
          JOIN product_template template ON template.categ_id = category.id
          JOIN product_product product ON product.product_tmpl_id = template.id
         WHERE above.id = ANY(%(ids)s))""",
    "marketplace.product.link": "link.id = ANY(%(ids)s)",
    "marketplace.config": "link.account_id = ANY(%(ids)s)",
}
# What is taken behind all else: prices, and what somebody asked for of everything. Behind a full sending, or
# new prices of everything, what is sold out would be sold on for minutes.
IS_LATER = "kind = 'price' OR cause NOT IN ('change', 'again')"
# What a change was noted for -> why its listings are sent; see the history's causes.
CAUSES = {"marketplace.config": "rules", "marketplace.product.link": "listing"}
# Kind -> the account's switch that lets changes of it go out by themselves.
SWITCHES = {PRICE: "auto_sync_prices", STOCK: "auto_sync_stock", RECOUNT: "auto_sync_stock"}


def kinds_of(offer):
    """Give the kinds of figures a ProductUpdate carries."""
    figures = {PRICE: offer.price, STOCK: offer.unlimited}
    return {kind for kind, figure in figures.items() if figure is not None}


class MarketplaceMark(models.Model):
    """The outbox of prices and stock: "this listing may show something old". No values, no state.

    Rows are inserted by whoever changes something and deleted by the one pusher of the account; they are
    never updated, so a business transaction cannot meet another one on them. For the same reason the ids
    are plain numbers: the check of a foreign key would lock a row the pusher writes.
    """

    _name = "marketplace.mark"
    _description = "Marketplace Mark"
    _log_access = False

    account_id = fields.Integer(required=True)
    link_id = fields.Integer(required=True)
    kind = fields.Selection([(PRICE, "Price"), (STOCK, "Stock"), (RECOUNT, "Recount")], required=True)
    cause = fields.Char(help="Why: one of the causes of the history.")

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            # A full sending takes its marks batch by batch, and none of them may walk all that is left;
            # whatever PostgreSQL believes of a table that fills and empties, these are its only ways.
            f"CREATE INDEX marketplace_mark_turn ON marketplace_mark (account_id, ({IS_LATER}), id)",
            "CREATE INDEX marketplace_mark_link ON marketplace_mark (link_id)",
        )

    # -- collecting ---------------------------------------------------------------------------

    @api.model
    def _note(self, kind, records):
        """Remember until the next flush that listings of these records may have to change.

        Costs nothing where no account is active.

        :param str kind: PRICE, STOCK or RECOUNT
        :param records: of one of the models of REACH
        """
        if not records or not self.env["marketplace.config"]._has_active_account():
            return
        precommit = self.env.cr.precommit
        noted = precommit.data.get("marketplace.marks")
        if noted is None:
            noted = precommit.data["marketplace.marks"] = defaultdict(set)
            precommit.add(partial(self._insert_noted, self.env.cr))
        noted[kind, records._name].update(records.ids)

    @staticmethod
    def _insert_noted(cr):
        """Insert marks for what was noted; runs at every flush: commit, and both ends of a savepoint.

        Superuser without the caller's context: a change counts for every company's accounts. Nothing is
        remembered between two runs: a savepoint that is rolled back takes its marks along.
        """
        noted = cr.precommit.data.pop("marketplace.marks", {})
        marks = api.Environment(cr, SUPERUSER_ID, {})["marketplace.mark"]
        for (kind, model), ids in noted.items():
            marks._insert(kind, model, ids)

    @api.model
    def _insert(self, kind, model, ids, asked=False, cause=None):
        """Insert a mark for every linked listing of the records, and wake the pushers.

        A paused account's marks wait for its activation.

        :param str model: one of REACH
        :param bool asked: somebody asked for it: the accounts' switches do not count
        :param str cause: why, see the history; as a rule it follows from the model
        """
        switch = "" if asked else f"AND account.{SWITCHES[kind]}"
        reach = REACH[model]
        if kind != PRICE and model == "product.product" and self.env[model]._knows_kits():
            reach = f"link.product_id IN ({WITH_KITS})"
        accounts = self.env["marketplace.config"]
        # The links by themselves first: PostgreSQL, which knows nothing of new ones, takes those that are
        # linked for one in thousands, and looks at all of them for each product.
        self.env.cr.execute(
            f"""
            WITH reached AS MATERIALIZED (
                SELECT link.id, link.account_id, link.state, link.is_paused
                  FROM marketplace_product_link link
                 WHERE {reach}
            ), marked AS (
                INSERT INTO marketplace_mark (account_id, link_id, kind, cause)
                SELECT link.account_id, link.id, %(kind)s, %(cause)s
                  FROM reached link
                  JOIN marketplace_config account ON account.id = link.account_id
                 WHERE link.state = 'linked' AND NOT coalesce(link.is_paused, false)
                   AND account.active AND account.state != 'draft' {switch}
             RETURNING account_id
            )
            SELECT id FROM marketplace_config
             WHERE id IN (SELECT account_id FROM marked) AND state = ANY(%(working)s)
             ORDER BY id
            """,
            {
                "kind": kind,
                "cause": cause or ("asked" if asked else CAUSES.get(model, "change")),
                "ids": list(ids),
                "working": list(accounts.WORKING_STATES),
            },
        )
        accounts.browse([account_id for [account_id] in self.env.cr.fetchall()])._wake("push")

    @api.model
    def _insert_both(self, records, asked=False, cause=None):
        """Mark the records' listings for price and stock."""
        if not records:
            return
        # The links' own rows are read by SQL.
        self.env.flush_all()
        for kind in (PRICE, STOCK):
            self._insert(kind, records._name, records.ids, asked, cause)

    # -- taking -------------------------------------------------------------------------------

    @api.model
    def _take(self, account, limit):
        """Delete the marks of the links whose turn it is; stock that moved goes before all else.

        :return: {link id: set of (kind, cause)}; what is committed later is taken later
        """
        # Two statements, and one snapshot for both: joined in one, PostgreSQL may compare each with each.
        self.env.cr.execute(
            "DELETE FROM marketplace_mark WHERE link_id = ANY(%s) RETURNING link_id, kind, cause",
            [self._next_links(account, limit)],
        )
        marks = defaultdict(set)
        for link_id, kind, cause in self.env.cr.fetchall():
            marks[link_id].add((kind, cause))
        return dict(marks)

    @api.model
    def _next_links(self, account, limit):
        """Give the ids of so many links, those that wait longest first; read few more marks than theirs."""
        window = 2 * limit
        while True:
            self.env.cr.execute(
                "SELECT link_id FROM marketplace_mark WHERE account_id = %s"
                f" ORDER BY ({IS_LATER}), id LIMIT %s",
                [account.id, window],
            )
            links = list(dict.fromkeys(link_id for [link_id] in self.env.cr.fetchall()))
            if len(links) >= limit or self.env.cr.rowcount < window:
                return links[:limit]
            window *= 4

    @api.model
    def _put_back(self, account, kinds, cause="again"):
        """Insert marks again that were taken but not delivered.

        :param dict kinds: {link id: kinds}
        :param str cause: why, see the history
        """
        for kind in (PRICE, STOCK):
            links = [link_id for link_id, marked in kinds.items() if kind in marked]
            if links:
                self.env.cr.execute(
                    "INSERT INTO marketplace_mark (account_id, link_id, kind, cause)"
                    " SELECT %s, link_id, %s, %s FROM unnest(%s) AS link_id",
                    [account.id, kind, cause, links],
                )

    @api.model
    def _marked(self, links=None):
        """Give the ids of links for which something waits to be sent.

        :param links: of these only; of all when None
        """
        query = "SELECT DISTINCT link_id FROM marketplace_mark"
        if links is not None:
            query += " WHERE link_id = ANY(%s)"
        self.env.cr.execute(query, None if links is None else [links.ids])
        return {link_id for [link_id] in self.env.cr.fetchall()}

    @api.model
    def _has_waiting(self, account):
        self.env.cr.execute("SELECT 1 FROM marketplace_mark WHERE account_id = %s LIMIT 1", [account.id])
        return bool(self.env.cr.rowcount)
