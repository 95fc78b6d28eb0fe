"""What can go wrong between a marketplace and us, as classes the code decides by.

None of these texts may hold a secret or a customer's data: they end in logs, on screens and in
job rows.
"""

from contextlib import contextmanager


def _lt(text):
    """Mark a text for the catalogues: it is translated where a person reads it.

    Odoo's own mark needs Odoo, which the dialects do without.
    """
    return text


class MarketplaceError(Exception):
    """Base of everything a marketplace or its messages can make us raise."""


class Unavailable(MarketplaceError):
    """The marketplace did not give a usable answer: the same call may succeed later.

    :param reason: one line for people
    :param retry_after: seconds the marketplace asked us to wait, or None
    """

    def __init__(self, reason, retry_after=None):
        super().__init__(reason)
        self.retry_after = retry_after


class AnswerTooLarge(Unavailable):
    """The answer is larger, or nested deeper, than what is read of one: it was not."""


class TooManyCalls(Unavailable):
    """The account called too often: none of its calls is welcome for a while, whatever it is about."""


class ForbiddenTarget(MarketplaceError):
    """An address leads into a network that is not public: nothing was connected to."""


class Refused(MarketplaceError):
    """The marketplace understood the call and said no: repeating it unchanged is pointless.

    :param reason: the marketplace's own words, cut and cleaned
    :param code: the marketplace's error code or the HTTP status, as text
    """

    def __init__(self, reason, code=None):
        super().__init__(reason)
        self.code = code


class CredentialsRefused(Refused):
    """The marketplace does not accept our credentials: nothing works until they are changed."""


class PayloadError(MarketplaceError):
    """A message does not have the shape its dialect promises.

    :param path: where, in the message's own words, such as ``order_details[0].amount``
    :param expected: what should stand there, such as ``a number``, marked for translation
    :param found: a short, printable form of what stands there
    :param limit: what takes the place of ``%s`` in ``expected``
    """

    def __init__(self, path, expected, found=None, limit=None):
        self.path, self.expected, self.found, self.limit = path, expected, found, limit
        wanted = expected if limit is None else expected % limit
        super().__init__(f"{path}: {wanted} expected, found {found}")


class Hold(Exception):
    """An order that is understood but cannot be imported before somebody, or a message, helps.

    :param reason: one translated line: what is wrong
    :param remedy: one translated line: what to do
    :param keys: iterable of (kind, key), a product's also with its listing's id: what is missing; the event
        resumes when it appears
    """

    def __init__(self, reason, remedy=None, keys=()):
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.keys = tuple(keys)


class NotYet(Hold):
    """An order the account does not want yet: it waits, which is no error and needs nobody.

    :param until: when to look again (naive UTC); a newer message of the order is looked at in any case
    """

    def __init__(self, reason, until):
        super().__init__(reason)
        self.until = until


class Unwanted(Hold):
    """An order the account does not want at all: it is ignored, with the reason."""


class Holds(Exception):
    """Orders of a batch that cannot be imported, each with its own :class:`Hold`; the others can."""

    def __init__(self):
        super().__init__()
        self.by_order = {}

    @contextmanager
    def of(self, order):
        """Collect what holds one order up."""
        try:
            yield
        except Hold as hold:
            self.by_order[order.id] = hold

    def under(self, names):
        """Give the same holds under other names.

        :param dict names: {order id: name}
        """
        renamed = Holds()
        renamed.by_order = {names[order_id]: hold for order_id, hold in self.by_order.items()}
        return renamed

    def check(self):
        """Raise when something was collected."""
        if self.by_order:
            raise self
