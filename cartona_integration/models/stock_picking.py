from odoo import fields, models


class StockPicking(models.Model):
    _inherit = "stock.picking"

    marketplace_config_id = fields.Many2one(
        related="sale_id.marketplace_config_id", string="Marketplace Account"
    )
    marketplace_order_number = fields.Char(
        related="sale_id.marketplace_order_number", string="Marketplace Order"
    )
    marketplace_sync_status = fields.Selection(
        related="sale_id.marketplace_sync_status", string="Marketplace Sync"
    )
