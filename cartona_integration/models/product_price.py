from odoo import api, fields, models

# What makes a product's price, as long as no other addon has a say in it.
PRICED_BY = {
    "product.product": ("_price_compute", "_get_attributes_extra_price", "_compute_product_lst_price"),
    "product.pricelist": ("_compute_price_rule",),
    "product.pricelist.item": ("_compute_price", "_compute_base_price"),
}
ODOOS_OWN = "odoo.addons.product."


class ProductProduct(models.Model):
    _inherit = "product.product"

    def _marketplace_prices(self, account, pack):
        """Give {product id: (price, id of the pricelist's rule or False)}, as Odoo's pricelists tell them.

        Where no rule applies the sales price is told without them: they look at products one by one, which
        takes longer than all other figures together.

        :param account: the products are its company's or nobody's; prices are in its currency, before taxes
        :param pack: the unit that is priced; empty: each product's own
        """
        company, now = account.company_id, fields.Datetime.now()
        # The pricelist as well: its company's rates count, whoever looks.
        products, pricelist = self.with_company(company), account.pricelist_id.with_company(company)
        if pricelist._get_applicable_rules(products, now) or not self._has_odoos_own_prices():
            currency = account.currency_id
            return pricelist._compute_price_rule(products, 1.0, uom=pack, currency=currency, date=now)
        return {
            product_id: (price, False) for product_id, price in products._sales_prices(account, pack, now)
        }

    @api.model
    def _has_odoos_own_prices(self):
        """Tell whether prices are made by Odoo's own methods, which the short way repeats."""
        return all(
            getattr(self.env.registry[model], method).__module__.startswith(ODOOS_OWN)
            for model, methods in PRICED_BY.items()
            for method in methods
        )

    def _sales_prices(self, account, pack, when):
        """Yield (product id, sales price) in an account's currency and unit."""
        company, rates = account.company_id, {}
        # What a variant costs more is the sum over its attributes; most products have none.
        are_varied = bool(self.product_template_attribute_value_ids)
        are_owned = bool(self.product_tmpl_id.company_id)
        for product in self:
            template = product.product_tmpl_id
            owner = are_owned and template.company_id
            if owner not in rates:
                # Whose currency a shared product's price is in, Odoo decides: it may be another company's.
                currency = template.browse(template.id).currency_id
                rates[owner] = currency._get_conversion_rate(currency, account.currency_id, company, when)
            varied = are_varied and product.product_template_attribute_value_ids
            price = (product.lst_price if varied else template.list_price) * rates[owner]
            yield product.id, template.uom_id._compute_price(price, pack) if pack else price
