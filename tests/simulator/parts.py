"""What the control API and the shop both need: the parts of the application, accounts, and pushing."""

from flask import current_app

from . import cartona, rest
from .marketplace import find_order
from .state import Refusal

DIALECTS = {"cartona": cartona.CARTONA, "rest": rest.REST}
TOPICS = ("orders", "status")


def part(name):
    """Give a part of the application: state, faults or webhooks."""
    return current_app.extensions[name]


def account_of(code):
    """Find an account.

    :raise Refusal: there is none
    """
    account = part("state").accounts.get(code)
    if account is None:
        raise Refusal(404, "unknown_account", f"no account {code}")
    return account


def dialect_of(account):
    return DIALECTS[account.dialect]


def push_orders(account, wanted, topic="orders", envelope=None, **how):
    """Push orders named by id or given whole.

    :param bool envelope: the neutral one around each; None: as the account's webhook says
    :param how: what ``Webhooks.push`` takes
    """
    if account.webhook is None:
        raise Refusal(409, "webhook", f"account {account.code} has no webhook")
    if topic not in TOPICS:
        raise Refusal(400, "topic", f"topic: {' or '.join(TOPICS)}")
    wrapped = account.webhook.get("envelope", False) if envelope is None else envelope
    messages = [_message(account, row, topic, wrapped) for row in wanted]
    return part("webhooks").push(account, topic, messages, **how)


def _message(account, row, topic, wrapped):
    """Give (order id, body) of one order or status to push; what is no id is pushed as it is."""
    dialect = dialect_of(account)
    if not isinstance(row, str):
        return (row.get(dialect.order_id) if isinstance(row, dict) else None), row
    order = find_order([account], row)
    body = order.payload if topic == "orders" else dialect.status_message(order.payload)
    if wrapped:
        body = dialect.envelope(body, topic, part("state").number(), is_new=order.version == 1)
    return row, body
