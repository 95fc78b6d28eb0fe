from collections import defaultdict

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from .search import search_by

STATUSES = [("pending", "Waiting"), ("synced", "In step"), ("error", "Needs attention")]


class MarketplaceListedMixin(models.AbstractModel):
    """What a product's page tells of its listings. Computed from the links, never stored on products."""

    _name = "marketplace.listed.mixin"
    _description = "Listed on Marketplaces"

    #: from a link to the product
    _marketplace_of_link = "product_id"

    marketplace_sync_status = fields.Selection(
        STATUSES,
        string="Marketplace Sync",
        compute="_compute_marketplace_sync",
        search="_search_marketplace_sync_status",
        help="Whether every listing shows the price and the stock Odoo says. Empty: not listed anywhere.",
    )
    marketplace_sync_date = fields.Datetime(
        string="Last Marketplace Sync",
        compute="_compute_marketplace_sync",
        help="When a marketplace last took a price or a quantity of this product.",
    )
    marketplace_error_message = fields.Char(string="Marketplace Problem", compute="_compute_marketplace_sync")

    @api.depends("marketplace_link_ids.sync_status", "marketplace_link_ids.acknowledged_at")
    @api.depends_context("allowed_company_ids", "uid")
    def _compute_marketplace_sync(self):
        """Sum up the listings in the companies the user works in.

        Superuser: whoever sees the product may know, without seeing accounts.
        """
        found = self._marketplace_links(sudo=True)
        for product in self:
            links = found[product._origin.id]
            statuses = set(links.mapped("sync_status"))
            order = ("error", "pending", "synced")
            product.marketplace_sync_status = next((one for one in order if one in statuses), False)
            product.marketplace_sync_date = max(
                links.filtered("acknowledged_at").mapped("acknowledged_at"), default=False
            )
            product.marketplace_error_message = next(
                (f"{link.account_id.name}: {link.reason}" for link in links if link.reason), False
            )

    def _marketplace_links(self, sudo=False):
        """Give {product id: listings}, in the companies the user works in, of archived variants as well.

        Searched for, not read from the products: what a superuser reads of a field is in everybody's cache,
        and the page of a shared product would not open where another company lists it.
        """
        links, path = self.env["marketplace.product.link"].sudo(sudo), self._marketplace_of_link
        domain = [(path, "in", self.ids), ("account_id.company_id", "in", self.env.companies.ids)]
        found = links.search(domain).sudo().grouped(lambda link: link.mapped(path).id)
        return defaultdict(links.browse, {key: listed.sudo(sudo) for key, listed in found.items()})

    @api.model
    def _marketplace_listed(self, *domain):
        """Give the domain of products that have listings like these."""
        return ("marketplace_link_ids", "any", list(domain))

    def _search_marketplace_sync_status(self, operator, value):
        error, pending, synced = (
            self._marketplace_listed(("sync_status", "=", one)) for one in ("error", "pending", "synced")
        )
        domains = {
            "error": [error],
            "pending": ["&", pending, "!", error],
            "synced": ["&", synced, "&", "!", error, "!", pending],
            False: ["&", "!", synced, "&", "!", error, "!", pending],
        }
        return search_by(domains, operator, value)

    def action_marketplace_sync(self):
        """Send price and stock of the products' listings, also where they seem to be there already."""
        links = self.marketplace_link_ids
        if not links:
            raise UserError(
                _("No listing is known. Enter the products' marketplace key: listings with it are found.")
            )
        return links.action_sync()

    def action_marketplace_create_listings(self):
        """Create listings on the accounts whose marketplace allows it and that have none of the products."""
        return self._marketplace_variants()._create_marketplace_listings()

    def action_view_marketplace_history(self):
        """Open what the products' listings were sent."""
        return self.marketplace_link_ids.action_view_history()
