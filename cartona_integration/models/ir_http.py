from odoo import models
from odoo.http import request

from ..controllers.marketplace_webhook import MachineDispatcher


class IrHttp(models.AbstractModel):
    """Leaves out what is done for people before and after a call: language, website, campaigns.

    It is an eighth of what a webhook call costs, more with a website installed, and senders never stop.
    """

    _inherit = "ir.http"

    @classmethod
    def _pre_dispatch(cls, rule, args):
        if isinstance(request.dispatcher, MachineDispatcher):
            request.dispatcher.pre_dispatch(rule, args)
            request.update_context(lang="en_US")  # whatever the caller asks for: it need not be installed
        else:
            super()._pre_dispatch(rule, args)

    @classmethod
    def _post_dispatch(cls, response):
        if isinstance(request.dispatcher, MachineDispatcher):
            request.dispatcher.post_dispatch(response)
        else:
            super()._post_dispatch(response)
