from odoo import models


class MergePartnerAutomatic(models.TransientModel):
    _inherit = "base.partner.merge.automatic.wizard"

    def _update_values(self, src_partners, dst_partner):
        """Hand the marketplace's id over: no two contacts have one, and the merged ones are still there.

        Superuser: a merged contact may be out of the user's sight, as Odoo's wizard sees it.
        """
        customers = src_partners.sudo().filtered("cartona_id")
        key = dst_partner.sudo().cartona_id or customers[:1].cartona_id
        customers.cartona_id = False
        super()._update_values(src_partners, dst_partner)
        if key:
            dst_partner.sudo().cartona_id = key
