import logging

from odoo import api, fields, models

from ..dialects.words import ORDERS
from .indexes import ensure_indexes
from .marketplace_mark import STOCK

_logger = logging.getLogger(__name__)


class MarketplaceEvent(models.Model):
    """What an order that is not here yet keeps back: the marketplace has sold it all the same."""

    _inherit = "marketplace.event"

    held_quantities = fields.Json(
        readonly=True,
        help="{product id: quantity} an order on hold wants of products we know: not for sale meanwhile.",
    )

    def init(self):
        super().init()
        ensure_indexes(
            self.env.cr,
            "CREATE INDEX marketplace_event_held"
            " ON marketplace_event (account_id) WHERE held_quantities IS NOT NULL",
        )

    def _wanted_quantities(self):
        """Give {product id: quantity} the order wants of products we know, as far as it can be read."""
        order = self._lenient_order()
        if not order:
            return {}
        return self.env["marketplace.order.processor"]._wanted_quantities(self.account_id, order)

    @api.model
    def _waiting_orders(self, account):
        """Give the newest message of each order that waits and has kept nothing back yet.

        An order that wants something else by now wants no more what an older message of it said.
        """
        domain = [*self._waiting_domain(account), ("topic", "=", ORDERS)]
        waiting = self.search(domain, order="id")
        newest = self.union(*{event.external_order_id: event for event in waiting}.values())
        for event in (waiting - newest).filtered("held_quantities"):
            event._keep_back({})
        return newest.filtered(lambda event: not event.held_quantities)

    def _keep_wanted(self):
        """Take what an order that is not here yet wants off what is offered, as far as it can be told."""
        _nothing, error = self._attempt(lambda: self._keep_back(self._wanted_quantities()))
        if error:
            _logger.error("%s %s: what it wants is not kept back", self._description, self.id, exc_info=error)

    def _keep_back(self, quantities):
        """Take what an order on hold wants off what is offered, or give it free again."""
        before = self.held_quantities or {}
        if quantities != before:
            products = self.env["product.product"].browse({int(key) for key in (*before, *quantities)})
            self.held_quantities = quantities or False
            self.env["marketplace.mark"].sudo()._note(STOCK, products)
