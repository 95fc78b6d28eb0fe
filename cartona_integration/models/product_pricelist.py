from datetime import timedelta

from odoo import api, fields, models

from .marketplace_mark import PRICE

# Where a rule applies -> the field that says to what.
APPLIED_ON = {
    "0_product_variant": "product_id",
    "1_product": "product_tmpl_id",
    "2_product_category": "categ_id",
}
# A rule ends after this second: its last one still counts.
AFTER_END = timedelta(seconds=1)
# Boundaries are looked at again so much later: a scheduled action may come late.
LATE = timedelta(hours=2)


class ProductPricelist(models.Model):
    _inherit = "product.pricelist"

    def write(self, vals):
        """Note that all prices change with the currency. Superuser: whoever edits it need not see marks."""
        res = super().write(vals)
        if "currency_id" in vals and self.env["marketplace.config"]._has_active_account():
            accounts = self._marketplace_accounts()
            accounts._forget_acknowledged()
            self.env["marketplace.mark"].sudo()._note(PRICE, accounts)
        return res

    def _marketplace_accounts(self):
        """Give the accounts whose prices or floors these pricelists decide, also as a base of theirs.

        Superuser: whoever edits a pricelist need not see accounts, nor other companies' ones.
        """
        pricelists, items = self, self.env["product.pricelist.item"].sudo()
        while True:
            based = items.search([("base", "=", "pricelist"), ("base_pricelist_id", "in", pricelists.ids)])
            if based.pricelist_id <= pricelists:
                break
            pricelists |= based.pricelist_id
        accounts = self.env["marketplace.config"].sudo()
        return accounts.search(
            [
                ("state", "!=", "draft"),
                "|",
                ("pricelist_id", "in", pricelists.ids),
                ("floor_pricelist_id", "in", pricelists.ids),
            ]
        )


class ProductPricelistItem(models.Model):
    _inherit = "product.pricelist.item"

    @api.model_create_multi
    def create(self, vals_list):
        items = super().create(vals_list)
        items._note_marketplace_prices()
        return items

    def write(self, vals):
        self._note_marketplace_prices()
        res = super().write(vals)
        self._note_marketplace_prices()
        return res

    def unlink(self):
        self._note_marketplace_prices()
        return super().unlink()

    def _note_marketplace_prices(self):
        """Note what the rules price on marketplaces, and have it noted again when they begin and end.

        A rule for a product, a product's variants or a category concerns these; any other all listings of
        the accounts whose pricelist it reaches. Superuser: whoever edits a rule need not see marks.
        """
        if not self.env["marketplace.config"]._has_active_account():
            return
        accounts = self.pricelist_id._marketplace_accounts()
        if not accounts:
            return
        marks = self.env["marketplace.mark"].sudo()
        for applied_on, items in self.grouped("applied_on").items():
            field = APPLIED_ON.get(applied_on)
            marks._note(PRICE, items[field] if field else items.pricelist_id._marketplace_accounts())
        self._trigger_marketplace_boundaries()

    def _trigger_marketplace_boundaries(self):
        now = fields.Datetime.now()
        starts = {item.date_start for item in self if item.date_start}
        ends = {item.date_end + AFTER_END for item in self if item.date_end}
        moments = [moment for moment in starts | ends if moment > now]
        if moments:
            self.env.ref("cartona_integration.cron_dated_prices").sudo()._trigger(at=moments)

    @api.model
    def _cron_marketplace_dated_prices(self):
        """Note what rules price that began or ended since the last run."""
        now = fields.Datetime.now()
        passed = [
            "|",
            "&",
            ("date_start", ">", now - LATE),
            ("date_start", "<=", now),
            "&",
            ("date_end", ">", now - LATE),
            ("date_end", "<=", now),
        ]
        self.search(passed)._note_marketplace_prices()
        self._await_marketplace_boundaries(now)

    def _await_marketplace_boundaries(self, now):
        """Come again for what begins or ends soon: also rules that no account had a use for when made."""
        soon = [
            "|",
            "&",
            ("date_start", ">", now),
            ("date_start", "<=", now + LATE),
            "&",
            ("date_end", ">=", now),
            ("date_end", "<=", now + LATE),
        ]
        items = self.search(soon).filtered(lambda item: item.pricelist_id._marketplace_accounts())
        items._trigger_marketplace_boundaries()
