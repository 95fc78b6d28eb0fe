"""Signatures of webhooks, against vectors that were computed elsewhere."""

import base64
import hmac
import json
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict

from cartona_integration.dialects.signature import HmacBody, StandardWebhooks, is_proof

VECTORS = json.loads(Path(__file__).with_name("webhook_vectors.json").read_text())
# The example of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
MOMENT = 1614265330
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(MOMENT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD = StandardWebhooks()


def proves(headers=None, body=BODY, secrets=(SECRET,), now=MOMENT, **changed):
    headers = {**HEADERS, **(headers or {}), **{name.replace("_", "-"): changed[name] for name in changed}}
    headers = CaseInsensitiveDict({name: value for name, value in headers.items() if value is not None})
    return is_proof(STANDARD.lead(headers, body, [STANDARD.key(secret) for secret in secrets], now))


def signed(delivery=HEADERS["webhook-id"], moment=str(MOMENT), body=BODY):
    """Sign whatever it is, as a careless sender would."""
    content = f"{delivery}.{moment}.".encode() + body
    made = base64.b64encode(hmac.digest(STANDARD.key(SECRET), content, "sha256")).decode()
    return {"webhook-id": delivery, "webhook-timestamp": moment, "webhook-signature": f"v1,{made}"}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_vectors_of_the_contract(case):
    keys = [STANDARD.key(secret) for secret in case["secrets"]]
    headers = CaseInsensitiveDict(case["headers"])
    assert is_proof(STANDARD.lead(headers, VECTORS["body"].encode(), keys, VECTORS["now"])) is case["valid"]


def test_the_specifications_own_example():
    assert proves()


def test_the_secret_may_come_without_prefix_and_padding():
    for secret in (SECRET.removeprefix("whsec_"), base64.b64encode(b"k" * 32).decode().rstrip("=")):
        assert STANDARD.key(secret)
    assert proves(secrets=[SECRET.removeprefix("whsec_")])


NO_SECRETS = ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", "كلمة", "whsec_=="]


@pytest.mark.parametrize("secret", [*NO_SECRETS, SECRET + "!", SECRET[:20] + " " + SECRET[20:]])
def test_what_is_no_secret_is_none(secret):
    with pytest.raises(ValueError):
        STANDARD.key(secret)


def test_each_changed_byte_of_the_body_breaks_the_proof():
    for place in range(len(BODY)):
        assert not proves(body=BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :])
    assert not proves(body=BODY + b" ")
    assert not proves(body=b'{"test":2432232314}')


def test_each_changed_character_of_a_header_breaks_the_proof():
    for name, text in HEADERS.items():
        for place in range(len(text)):
            other = "1" if text[place] != "1" else "2"
            assert not proves({name: text[:place] + other + text[place + 1 :]}), (name, place)


@pytest.mark.parametrize(("away", "valid"), [(-301, 0), (-300, 1), (0, 1), (300, 1), (301, 0)])
def test_a_moment_five_minutes_away_is_the_last_that_counts(away, valid):
    assert proves(now=MOMENT + away) is bool(valid)


@pytest.mark.parametrize(
    "moment", ["nan", "inf", "1e9", "-5", "1614265330.0", "", " 1614265330", "١٦١٤٢٦٥٣٣٠"]
)
def test_a_moment_is_digits_only_however_well_it_is_signed(moment):
    assert not proves(signed(moment=moment))


@pytest.mark.parametrize("delivery", ["", "a.b", "a b", "a\n", "é", "x" * 129, "../a"])
def test_an_id_that_could_be_read_in_two_ways_is_none_however_well_it_is_signed(delivery):
    assert not proves(signed(delivery=delivery))


@pytest.mark.parametrize("name", HEADERS)
def test_a_missing_header_proves_nothing(name):
    assert not proves({name: None})


GOOD = HEADERS["webhook-signature"]


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v1",
        "v1,",
        GOOD.removeprefix("v1,"),
        GOOD.replace("v1", "v2"),
        GOOD.replace("v1", "v1a"),
        GOOD.replace(",", ",,"),
        GOOD.rstrip("="),
        f"{GOOD},{GOOD}",
        "v1,é",
        "v1,\xff",
        " ".join(["v1,AAAA"] * 10 + [GOOD]),
        "v1," + "A" * 100_000,
        "v1," + "A" * 5_000 + " " + GOOD,
        " ".join(["v1,A"] * 100_000),
    ],
    ids=lambda text: text[:24],
)
def test_a_malformed_signature_proves_nothing(signature):
    assert not proves(webhook_signature=signature)


def test_the_right_one_of_up_to_ten_signatures_is_enough():
    assert proves(webhook_signature=" ".join(["v1,AAAA"] * 4 + [GOOD] + ["v2,BBBB"] * 5))


def test_without_a_key_nothing_is_proven():
    assert not proves(secrets=[])


KEY = HmacBody("X").key("a-secret-of-sixteen-and-more")
HEX = hmac.new(KEY, BODY, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("form", "given"),
    [
        (HmacBody("X-Signature"), HEX),
        (HmacBody("X-Signature"), HEX.upper()),
        (HmacBody("X-Signature", "base64"), base64.b64encode(bytes.fromhex(HEX)).decode()),
        (HmacBody("X-Signature", prefix="sha256="), f"sha256={HEX}"),
        (HmacBody("X-Signature", algorithm="sha512"), hmac.new(KEY, BODY, "sha512").hexdigest()),
    ],
)
def test_a_signature_over_the_body_alone_is_written_as_its_platform_does(form, given):
    headers = CaseInsensitiveDict({"x-signature": given})
    assert form.is_presented(headers)
    assert is_proof(form.lead(headers, BODY, [b"another key, tried first", KEY], 0))
    assert not is_proof(form.lead(headers, BODY + b" ", [KEY], 0))
    assert not is_proof(form.lead(headers, BODY, [b"another key"], 0))
    assert not is_proof(form.lead(headers, BODY, [], 0))
    assert form.delivery_id(headers) is None


@pytest.mark.parametrize(
    "given", ["", HEX[:-1], f"sha256={HEX}", HEX + "0", "é", "A" * 100_000, f"{HEX},{HEX}"]
)
def test_what_is_not_that_signature_proves_nothing(given):
    form = HmacBody("X-Signature")
    assert not is_proof(form.lead(CaseInsensitiveDict({"X-Signature": given}), BODY, [KEY], 0))
    assert not is_proof(form.lead(CaseInsensitiveDict(), BODY, [KEY], 0))


def test_a_short_secret_is_refused_there_too():
    with pytest.raises(ValueError):
        HmacBody("X").key("short")
