from odoo import _, api, fields, models
from odoo.exceptions import ValidationError

from .marketplace_mark import STOCK


class MarketplaceConfig(models.Model):
    """Which rule counts for a product, and who gets the last units when several accounts sell one stock."""

    _inherit = "marketplace.config"

    allocation_ids = fields.One2many("marketplace.allocation", "account_id", string="Stock Rules")
    last_units = fields.Float(
        string="Only Here When Few",
        help="When at most so many of a product are free, only this account offers them: other live accounts "
        "that sell from the same warehouse show 0. 0: shared to the last unit.",
    )

    @api.constrains("last_units")
    def _check_last_units(self):
        if any(account.last_units < 0 for account in self):
            raise ValidationError(_("Limits of stock and prices cannot be negative."))

    def write(self, vals):
        if "stock_warehouse_ids" in vals:
            self.filtered("last_units").sudo()._note_last_units()
        res = super().write(vals)
        if {"last_units", "state", "active", "stock_warehouse_ids"} & set(vals):
            keepers = self if "last_units" in vals else self.filtered("last_units")
            keepers.sudo()._note_last_units()
        return res

    def _note_last_units(self):
        """Have the quantities of accounts computed anew that leave, or left, their last units to these.

        Superuser: another company's account may sell from the same warehouse.
        """
        others = self.search([("state", "in", self.WORKING_STATES), ("id", "not in", self.ids)])
        sharing = others.filtered(lambda other: other.stock_warehouse_ids & self.stock_warehouse_ids)
        self.env["marketplace.mark"]._note(STOCK, sharing)

    def _rule_of(self, product):
        """Give the record whose limits count: the product's rule, its nearest category's, the account."""
        rules = self.allocation_ids
        if not rules:
            return self
        own = rules.filtered(lambda rule: rule.product_tmpl_id == product.product_tmpl_id)
        if own:
            return own
        by_category = {rule.categ_id.id: rule for rule in rules if rule.categ_id}
        path = [int(part) for part in (product.categ_id.parent_path or "").split("/") if part]
        return next((by_category[categ_id] for categ_id in reversed(path) if categ_id in by_category), self)

    def _left_for(self, free, supposed=None):
        """Take from free quantities the last units that another account keeps for itself.

        :param dict free: {product id: free quantity}
        :param dict supposed: {account id: last units}, see :meth:`_kept_by_others`
        :return: the same, with 0 for what others keep
        """
        kept = self._kept_by_others(list(free), supposed)
        return {
            key: 0.0 if key in kept and quantity <= kept[key] else quantity for key, quantity in free.items()
        }

    def _sharing_accounts(self, domain):
        """Give the other accounts that sell from the same warehouses.

        Superuser: another company's account may sell from the same warehouse.
        """
        shared = [("id", "!=", self.id), ("stock_warehouse_ids", "in", self.stock_warehouse_ids.ids)]
        return self.sudo().search([*shared, *domain])

    def _kept_by_others(self, product_ids, supposed=None):
        """Give {product id: the most units another account keeps}; of two the larger figure wins.

        :param dict supposed: {account id: last units} of accounts as if they were live with these
        """
        supposed = supposed or {}
        keep = ["|", ("id", "in", list(supposed)), "&", ("state", "=", "live"), ("last_units", ">", 0)]
        wanted = {rival: supposed.get(rival.id, rival.last_units) for rival in self._sharing_accounts(keep)}
        own = supposed.get(self.id, self.last_units)
        rivals = self.browse().union(
            *[rival for rival, units in wanted.items() if units and (units, -rival.id) > (own, -self.id)]
        )
        if not rivals:
            return {}
        groups = (
            self.env["marketplace.product.link"]
            .sudo()
            ._read_group(
                [
                    ("account_id", "in", rivals.ids),
                    ("product_id", "in", product_ids),
                    ("state", "=", "linked"),
                    ("is_paused", "=", False),
                ],
                ["product_id", "account_id"],
            )
        )
        kept = {}
        for product, account in groups:
            kept[product.id] = max(kept.get(product.id, 0.0), wanted[account])
        return kept
