"""How a sender proves that a body is its own: an HMAC over the bytes as they came.

Everything here fails closed: whatever is missing, malformed or out of time proves nothing. Comparisons
take the same time whether they fail early or late.
"""

import base64
import hmac
import re
from dataclasses import dataclass

WINDOW = 300  # seconds a signed moment may lie from our clock, either way
MAX_HEADER = 4096  # characters
MAX_SIGNATURES = 10
MIN_KEY = 16  # bytes: a shorter key can be guessed

_ID = re.compile(r"[A-Za-z0-9_:-]{1,128}", re.ASCII)  # no dot: it would move the signed text's seams
_MOMENT = re.compile(r"[0-9]{1,12}", re.ASCII)


def is_proof(lead, window=WINDOW):
    """Tell whether a lead is that of a signed call, and a small one: a call cannot be repeated for ever.

    :param float window: seconds
    """
    return lead is not None and abs(lead) <= window


@dataclass(frozen=True)
class StandardWebhooks:
    """Standard Webhooks 1.0: id, moment and body are signed; several signatures may come at once.

    The id names the delivery for as long as the sender repeats it; the moment is that of the attempt.
    """

    def key(self, secret):
        """Give the bytes of a secret written ``whsec_<base64>``, the prefix and padding being optional.

        :raise ValueError: it is none, or too short
        """
        text = secret.removeprefix("whsec_").rstrip("=")
        return _long_enough(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))

    def is_presented(self, headers):
        """Tell whether the caller claims to have signed."""
        return "webhook-signature" in headers

    def delivery_id(self, headers):
        """Give the signed id of the delivery."""
        return headers["webhook-id"]

    def lead(self, headers, body, keys, now):
        """Tell by how many seconds the clock of who signed this very call is ahead of ours.

        See :func:`is_proof`.

        :param headers: mapping that ignores case
        :param bytes body: as it came
        :param keys: bytes of the keys that count
        :param float now: seconds since 1970
        :return: None where none of the keys signed it
        """
        delivery, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        given = _given(headers, "webhook-signature").split(" ")
        if not (_ID.fullmatch(delivery) and _MOMENT.fullmatch(moment)) or len(given) > MAX_SIGNATURES:
            return None
        content = f"{delivery}.{moment}.".encode() + body
        signatures = [signature.removeprefix("v1,") for signature in given if signature.startswith("v1,")]
        made = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
        return int(moment) - now if _meet(made, signatures) else None


@dataclass(frozen=True)
class HmacBody:
    """A signature over the body alone, in a header of the platform's choice.

    It tells no moment: a captured call can be repeated, and is then recognised as known.
    """

    header: str
    encoding: str = "hex"  # or base64
    algorithm: str = "sha256"
    prefix: str = ""  # such as sha256=

    def key(self, secret):
        """Give the bytes of a secret: its text as it is.

        :raise ValueError: it is too short
        """
        return _long_enough(secret.encode())

    def is_presented(self, headers):
        """Tell whether the caller claims to have signed."""
        return self.header in headers

    def delivery_id(self, headers):
        """Nothing but the body is signed."""
        return None

    def lead(self, headers, body, keys, _now):
        """Give 0 where one of the keys signed this body, as no moment is; see :class:`StandardWebhooks`."""
        given = _given(headers, self.header)
        if not given.startswith(self.prefix):
            return None
        given = given.removeprefix(self.prefix)
        if self.encoding == "hex":
            made = (hmac.digest(key, body, self.algorithm).hex() for key in keys)
            return 0 if _meet(made, [given.lower()]) else None
        made = (base64.b64encode(hmac.digest(key, body, self.algorithm)).decode() for key in keys)
        return 0 if _meet(made, [given]) else None


def _long_enough(key):
    if len(key) < MIN_KEY:
        raise ValueError(f"at least {MIN_KEY} bytes expected")
    return key


def _given(headers, name):
    """Give a header's text; one too long to be a signature counts as none."""
    text = headers.get(name, "").strip()
    return text if len(text) <= MAX_HEADER else ""


def _meet(made, given):
    """Tell whether one of the given texts is one of those made; all pairs are compared."""
    given = [text.encode() for text in given]
    return sum(hmac.compare_digest(text.encode(), other) for text in made for other in given) > 0
