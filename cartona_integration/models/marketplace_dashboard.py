from odoo import api, fields, models


class MarketplaceConfig(models.Model):
    """What the dashboard tells of an account. Counts over indexed columns, never over the log."""

    _inherit = "marketplace.config"

    link_count = fields.Integer(string="Listings", compute="_compute_link_counts")
    synced_link_count = fields.Integer(string="Listings in Step", compute="_compute_link_counts")
    problem_link_count = fields.Integer(string="Listings with Problems", compute="_compute_link_counts")
    order_count = fields.Integer(string="Orders Imported", compute="_compute_order_counts")
    recent_order_count = fields.Integer(string="Orders of the Last 24 Hours", compute="_compute_order_counts")
    waiting_count = fields.Integer(
        string="Waiting",
        compute="_compute_waiting_count",
        help="Messages to import, figures and statuses to send.",
    )
    problem_count = fields.Integer(
        string="Needs Attention",
        compute="_compute_problem_count",
        help="Messages, statuses and listings a person has to look at.",
    )
    problem_step_count = fields.Integer(string="Not Sent", compute="_compute_problem_count")
    last_push = fields.Datetime(string="Prices and Stock Sent", compute="_compute_last_runs")
    last_import = fields.Datetime(string="Orders Imported At", compute="_compute_last_runs")
    last_listing_read = fields.Datetime(string="Listings Read", compute="_compute_last_runs")
    pause_reason = fields.Char(compute="_compute_pause_reason")

    def _compute_link_counts(self):
        counts = {
            name: self._count("marketplace.product.link", domain)
            for name, domain in (
                ("link_count", [("state", "=", "linked")]),
                ("synced_link_count", [("sync_status", "=", "synced")]),
                ("problem_link_count", [("reason", "!=", False)]),
            )
        }
        for account in self:
            for name, found in counts.items():
                account[name] = found.get(account.id, 0)

    def _compute_order_counts(self):
        day_ago = fields.Datetime.subtract(fields.Datetime.now(), days=1)
        # Superuser: a marketplace user need not be a salesperson; it is a count of the account they see.
        orders = self.sudo()._count("sale.order", [], "marketplace_config_id")
        recent = self.sudo()._count("sale.order", [("create_date", ">", day_ago)], "marketplace_config_id")
        for account in self:
            account.order_count = orders.get(account.id, 0)
            account.recent_order_count = recent.get(account.id, 0)

    @api.depends("waiting_event_count")
    def _compute_waiting_count(self):
        # Superuser: nobody reads marks, they are only counted.
        marks = self.sudo()._count("marketplace.mark", [])
        steps = self._count("marketplace.order.step", [("state", "=", "new")])
        for account in self:
            out = marks.get(account.id, 0) + steps.get(account.id, 0)
            account.waiting_count = account.waiting_event_count + out

    @api.depends("problem_event_count", "problem_link_count")
    def _compute_problem_count(self):
        steps = self._count("marketplace.order.step", [("state", "=", "failed")])
        for account in self:
            account.problem_step_count = steps.get(account.id, 0)
            account.problem_count = (
                account.problem_event_count + account.problem_link_count + account.problem_step_count
            )

    def _compute_last_runs(self):
        for account in self:
            account.last_import = account._state("import").last_run
            account.last_push = account._state("push").last_run
            account.last_listing_read = account._state("listings").last_run

    @api.depends("sync_state_ids.pause_reason")
    def _compute_pause_reason(self):
        for account in self:
            paused = account.sync_state_ids.filtered(lambda state: state._is_paused())
            account.pause_reason = paused[:1].pause_reason

    def _count(self, model, domain, field="account_id"):
        """Give {account id: number of records}."""
        groups = self.env[model]._read_group([*domain, (field, "in", self.ids)], [field], ["__count"])
        return {getattr(account, "id", account): count for account, count in groups}

    def action_open_account(self):
        """Open the account's settings."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
        }

    def action_view_problems(self):
        """Open what a person has to look at first: messages, then statuses, then listings."""
        self.ensure_one()
        if self.problem_step_count and not self.problem_event_count:
            return self.action_view_problem_steps()
        if self.problem_link_count and not self.problem_event_count:
            return self._view_with("action_marketplace_link", "account_id", "problems")
        return self._view_with("action_marketplace_event", "account_id", "problems")

    def action_view_problem_steps(self):
        """Open statuses and changes that a person has to look at."""
        return self._view_with("action_marketplace_order_step", "account_id", "problems")

    def action_view_blockages(self):
        """Open what is missing, with the orders it blocks."""
        return self._view_with("action_marketplace_blockage", "account_id")

    def action_view_log(self):
        """Open the account's log."""
        return self._view_with("action_marketplace_sync_log", "account_id")

    def action_view_jobs(self):
        """Open the account's jobs that failed."""
        action = self.env["ir.actions.act_window"]._for_xml_id("queue_job.action_queue_job")
        domain = [("model_name", "=", self._name), ("state", "=", "failed")]
        return {**action, "domain": domain, "context": {}}

    def _view_with(self, action, field, search_filter=None):
        """Open an action on the accounts' records.

        :param str search_filter: name of a filter of its search view, switched on
        """
        found = self.env["ir.actions.act_window"]._for_xml_id(f"cartona_integration.{action}")
        context = {f"search_default_{search_filter}": 1} if search_filter else {}
        return {**found, "domain": [(field, "in", self.ids)], "context": context}
