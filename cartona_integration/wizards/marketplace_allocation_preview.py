from collections import defaultdict

from odoo import _, api, fields, models

from ..models.marketplace_allocation import RULES

TRIED = 300
SHOWN = 25


class MarketplaceAllocationPreview(models.TransientModel):
    """Tries stock rules on real products before they count."""

    _name = "marketplace.allocation.preview"
    _description = "Try Stock Rules"

    account_id = fields.Many2one("marketplace.config", required=True, ondelete="cascade")
    company_id = fields.Many2one(related="account_id.company_id")
    target = fields.Selection(
        [("account", "All products"), ("category", "A category"), ("product", "A product")],
        default="account",
        required=True,
    )
    categ_id = fields.Many2one("product.category", string="Category", ondelete="cascade")
    product_tmpl_id = fields.Many2one("product.template", string="Product", ondelete="cascade")
    stock_buffer = fields.Float(string="Safety Stock")
    stock_percentage = fields.Float(string="Share of Stock", default=100)
    stock_maximum = fields.Float(string="At Most")
    stock_minimum = fields.Float(string="Sold Out Below")
    last_units = fields.Float(
        string="Only Here When Few",
        help="When at most so many are free, only this account offers them. It counts for all its products.",
    )
    preview = fields.Html(compute="_compute_preview", sanitize=False)  # our template, which escapes all

    @api.onchange("account_id", "target", "categ_id", "product_tmpl_id")
    def _onchange_target(self):
        """Start from the rules that count now."""
        rule = self._rule() or self.account_id
        for name in RULES:
            self[name] = rule[name]
        self.last_units = self.account_id.last_units

    @api.depends("account_id", "target", "categ_id", "product_tmpl_id", "last_units", *RULES)
    def _compute_preview(self):
        for wizard in self:
            rows = wizard._rows() if wizard.account_id else []
            told = _(
                "%(changed)d of %(tried)d products that were tried would show another quantity, "
                "%(zero)d of them 0.",
                changed=sum(row["now"] != row["then"] for row in rows),
                tried=len(rows),
                zero=sum(bool(row["now"] and not row["then"]) for row in rows),
            )
            others = sum(bool(row["elsewhere"]) for row in rows)
            elsewhere = others and _("Other accounts would show another quantity of %d of them.", others)
            values = {"rows": rows[:SHOWN], "told": told, "elsewhere": elsewhere}
            wizard.preview = self.env["ir.qweb"]._render("cartona_integration.allocation_preview", values)

    def _rows(self):
        """Give what would be offered of linked products: what would sell out, then the biggest changes."""
        account, supposed = self.account_id, self._supposed()
        products = self._products()
        free = products._marketplace_free(account)
        now, then = account._left_for(free), account._left_for(free, supposed)
        elsewhere = self._changes_elsewhere(products, supposed)
        rows = [
            self._row(account, product, now[product.id], then[product.id])
            | {"free": free[product.id], "elsewhere": elsewhere[product]}
            for product in products
            if product.id in free
        ]
        return sorted(
            rows,
            key=lambda row: (
                not (row["now"] and not row["then"]),
                -abs(row["then"] - row["now"]),
                -len(row["elsewhere"]),
            ),
        )

    def _supposed(self):
        """Give who would keep how many last units, where that is tried."""
        return {self.account_id.id: self.last_units} if self.target == "account" else {}

    def _row(self, account, product, now, then):
        counted = account._rule_of(product)
        mine = self._counts_for(product, counted)
        return {
            "name": product.display_name,
            "now": account._offered(now, *account._limits(counted)),
            "then": account._offered(then, *account._limits(self if mine else counted)),
            "unit": product.uom_id.name,
        }

    def _changes_elsewhere(self, products, supposed):
        """Give {product: texts} of what other accounts of the same stock would offer from then on.

        Of another company's account only that there is one.
        """
        changes = defaultdict(list)
        for other in self.account_id._sharing_accounts([("state", "=", "live")]) if supposed else ():
            listed = [
                ("account_id", "=", other.id),
                ("state", "=", "linked"),
                ("product_id", "in", products.ids),
            ]
            sold = other.link_ids.search(listed).product_id
            free = sold._marketplace_free(other)
            now, then = other._left_for(free), other._left_for(free, supposed)
            for product in sold:
                if now.get(product.id) != then.get(product.id):
                    limits = other._limits(other._rule_of(product))
                    changes[product].append(
                        self._tell_other(
                            other, *(other._offered(left[product.id], *limits) for left in (now, then))
                        )
                    )
        return changes

    def _tell_other(self, account, now, then):
        if account.company_id not in self.env.companies:
            return _("another company's account")
        return _("%(account)s: %(now)g → %(then)g", account=account.name, now=now, then=then)

    def _counts_for(self, product, counted):
        """Tell whether the rule that is tried would count for a product, rather than a narrower one."""
        if self.target == "product":
            return product.product_tmpl_id == self.product_tmpl_id._origin
        if counted._name == self.account_id._name:
            return True
        if self.target == "account" or counted.product_tmpl_id:
            return False
        return (self.categ_id.parent_path or "").startswith(counted.categ_id.parent_path or "")

    def _products(self):
        """Give storable linked products the rule would be for; the first some hundred of them."""
        domain = [
            ("account_id", "=", self.account_id.id),
            ("state", "=", "linked"),
            ("product_id.type", "!=", "service"),
        ]
        if self.target == "category":
            domain.append(("product_id.categ_id", "child_of", self.categ_id.id))
        if self.target == "product":
            domain.append(("product_id.product_tmpl_id", "=", self.product_tmpl_id.id))
        return self.env["marketplace.product.link"].search(domain, limit=TRIED, order="id").product_id

    def _rule(self):
        """Give the rule that is there already for the target."""
        if self.target == "account":
            return self.account_id
        name = "categ_id" if self.target == "category" else "product_tmpl_id"
        return self.account_id.allocation_ids.filtered(
            lambda rule: self[name] and rule[name] == self[name]._origin
        )

    def action_apply(self):
        """Let the rules count; quantities go out within seconds."""
        values = {name: self[name] for name in RULES}
        if self.target == "account":
            values["last_units"] = self.last_units
        rule = self._rule()
        if rule:
            rule.write(values)
        else:
            self.env["marketplace.allocation"].create(
                {
                    "account_id": self.account_id.id,
                    "categ_id": self.target == "category" and self.categ_id.id,
                    "product_tmpl_id": self.target == "product" and self.product_tmpl_id.id,
                    **values,
                }
            )
        return self.account_id._notify(
            _("It counts now"), _("Quantities are sent within seconds."), "success"
        )
