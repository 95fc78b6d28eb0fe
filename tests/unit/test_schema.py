"""The published schema of the neutral format and the parser say the same."""

import json
from pathlib import Path

import jsonschema
import pytest

from cartona_integration.dialects import payload, rest, words
from cartona_integration.exceptions import PayloadError

ADDON = Path(__file__).parents[2] / "cartona_integration"
SCHEMA = json.loads((ADDON / "static/schema/neutral_order.schema.json").read_text("utf-8"))
SAMPLES = ADDON / "tests" / "samples" / "rest"
MESSAGES = sorted(path.stem for path in SAMPLES.glob("neutral_*.json") if "batch" not in path.stem)
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
ORDER_SCHEMA = SCHEMA["$defs"]["order"]["properties"]
LINE_SCHEMA = ORDER_SCHEMA["lines"]["items"]


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_promises_no_address():
    assert SCHEMA["$id"].startswith("urn:")


@pytest.mark.parametrize("name", MESSAGES)
def test_a_sample_message_follows_the_schema(name):
    VALIDATOR.validate(sample(name))


@pytest.mark.parametrize(
    "table, schema",
    [
        (rest.ORDER, SCHEMA["$defs"]["order"]),
        (rest.LINE, LINE_SCHEMA),
        (rest.CHARGE, ORDER_SCHEMA["charges"]["items"]),
        (rest.TAX, LINE_SCHEMA["properties"]["taxes"]["items"]),
        (rest.CUSTOMER, ORDER_SCHEMA["customer"]),
        (rest.ADDRESS, ORDER_SCHEMA["shipping"]),
        (rest.STATUS_CHANGE, SCHEMA["allOf"][1]["then"]["properties"]["data"]),
    ],
    ids=["order", "line", "charge", "tax", "customer", "address", "status"],
)
def test_schema_and_parser_require_the_same(table, schema):
    required = {field.path for field in table.values() if field.required}
    assert required == set(schema.get("required", ()))


@pytest.mark.parametrize(
    "table, schema",
    [
        (rest.ORDER, ORDER_SCHEMA),
        (rest.LINE, LINE_SCHEMA["properties"]),
        (rest.CHARGE, ORDER_SCHEMA["charges"]["items"]["properties"]),
        (rest.CUSTOMER, ORDER_SCHEMA["customer"]["properties"]),
        (rest.ADDRESS, ORDER_SCHEMA["shipping"]["properties"]),
    ],
    ids=["order", "line", "charge", "customer", "address"],
)
def test_the_parser_reads_nothing_the_schema_does_not_tell(table, schema):
    assert {field.path for field in table.values()} <= set(schema)


def test_schema_and_parser_know_the_same_words():
    assert SCHEMA["$defs"]["status"]["enum"] == list(words.STATUSES)
    assert set(ORDER_SCHEMA["charges"]["items"]["properties"]["kind"]["enum"]) == set(rest.CHARGES)
    assert set(ORDER_SCHEMA["delivered_by"]["enum"]) - {None} == set(rest.DELIVERED_BY)


def test_schema_and_parser_want_the_same_names_of_a_product():
    named = {name for way in LINE_SCHEMA["anyOf"] for name in way["required"]}
    data = sample("neutral_order_created")["data"]["order"]
    for line in data["lines"]:
        for name in named:
            line.pop(name, None)
    with pytest.raises(PayloadError, match=r"lines\[0\]"):
        rest.Rest().parse_order(payload.loads(json.dumps(data).encode()))


@pytest.mark.parametrize("name", [*SCHEMA["$defs"]["order"]["required"]])
def test_what_the_schema_refuses_to_miss_the_parser_does_too(name):
    message = sample("neutral_order_created")
    del message["data"]["order"][name]
    assert not VALIDATOR.is_valid(message)
    with pytest.raises(PayloadError) as caught:
        rest.Rest().parse_order(payload.loads(json.dumps(message["data"]["order"]).encode()))
    assert caught.value.path == name


def test_the_order_in_the_readme_is_one():
    text = (ADDON.parent / "README.md").read_text("utf-8")
    order = json.loads(text.split("```json\n")[1].split("```")[0])
    VALIDATOR.evolve(schema={"$ref": "#/$defs/order", "$defs": SCHEMA["$defs"]}).validate(order)
    found = rest.Rest().parse_order(order)
    assert sum(line.amount for line in found.lines) + found.charges[0].amount == found.total
