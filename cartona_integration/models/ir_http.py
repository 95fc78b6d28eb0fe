from odoo import api, models
from odoo.http import request

from ..controllers.marketplace_webhook import MachineDispatcher


class IrHttp(models.AbstractModel):
    """Leaves out what is done for people before and after a call: language, website, campaigns.

    It is more than an eighth of what a webhook call costs, with a website installed still more, and senders
    never stop.
    """

    _inherit = "ir.http"

    @classmethod
    def _authenticate(cls, endpoint):
        if isinstance(request.dispatcher, MachineDispatcher):
            # Nobody, whatever session is shown; English, whatever is asked for: it need not be installed.
            request.env = api.Environment(request.env.cr, None, {"lang": "en_US"})
            cls._auth_method_none()
        else:
            super()._authenticate(endpoint)

    @classmethod
    def _pre_dispatch(cls, rule, args):
        if isinstance(request.dispatcher, MachineDispatcher):
            request.dispatcher.pre_dispatch(rule, args)
        else:
            super()._pre_dispatch(rule, args)

    @classmethod
    def _post_dispatch(cls, response):
        if isinstance(request.dispatcher, MachineDispatcher):
            request.dispatcher.post_dispatch(response)
        else:
            super()._post_dispatch(response)
