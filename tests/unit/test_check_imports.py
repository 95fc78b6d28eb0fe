"""The design's import rules: every planted breach is found, what is allowed is not."""

import check_imports
import pytest

ROUTE = "controllers/marketplace_webhook.py"
EVENT = "models/marketplace_event.py"
CATCH_ALL = "try:\n    pass\nexcept Exception:\n    raise\n"


@pytest.fixture
def breaches(tmp_path):
    """Give a function that plants code in a place of an addon and lists the breaches there."""

    def planted(place, code):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        return [line.removeprefix(f"{path}:") for line in check_imports.breaches(tmp_path)]

    return planted


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("dialects/shop.py", "import odoo"),
        ("dialects/shop.py", "from odoo.tools import float_round"),
        ("dialects/shop.py", "import requests"),
        ("dialects/shop.py", "from ..models import marketplace_config"),
        ("dialects/shop.py", "def parse():\n    import requests.adapters"),
        ("models/marketplace_config.py", "import requests"),
        ("models/product_product.py", "from requests import Session"),
        ("models/product_product.py", "import json"),
        ("models/res_partner.py", "import json"),
        ("models/sale_order.py", "from ..dialects import payload"),
        ("models/stock_move.py", "from json import loads"),
        ("models/marketplace_order_processor.py", "from .. import dialects"),
        ("models/marketplace_order_processor.py", "from ..dialects import cartona"),
        ("models/marketplace_order_processor.py", "from ..dialects.base import Dialect"),
        ("models/marketplace_order_changes.py", "from ..dialects.rest import Rest"),
        ("models/marketplace_order_processor.py", "import json"),
        (ROUTE, "from ..dialects import base"),
        (ROUTE, "from odoo.addons import base\nimport socket"),
        (ROUTE, "import cartona_integration.dialects"),
    ],
)
def test_an_import_the_place_must_not_have_is_a_breach(breaches, place, code):
    assert len(breaches(place, code)) == 1


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("connections.py", "import requests\nfrom .exceptions import ForbiddenTarget"),
        (
            "models/marketplace_order_processor.py",
            "from ..dialects import words\nfrom ..dialects.words import Order",
        ),
        ("dialects/shop.py", "import json\nfrom ..exceptions import Refused\nfrom . import base"),
        ("models/marketplace_config.py", "from .. import dialects\nimport requests_of_ours"),
        (ROUTE, "import json\nfrom ..exceptions import PayloadError"),
        ("tests/test_api.py", "import requests\nfrom ..dialects import cartona"),
    ],
)
def test_an_import_the_place_may_have_is_none(breaches, place, code):
    assert breaches(place, code) == []


@pytest.mark.parametrize(
    "code",
    [
        'if account.dialect == "cartona": pass',
        'if "rest" != dialect: pass',
        'if account.dialect in ("cartona", "rest"): pass',
        'if dialect.code == "cartona": pass',
        'if values["dialect"] == "cartona": pass',
        'match account.dialect:\n    case "cartona": pass',
    ],
)
def test_comparing_a_dialect_with_a_name_is_a_breach(breaches, code):
    assert breaches(EVENT, code) == ["1: compares a dialect with a name: ask the dialect instead"]


@pytest.mark.parametrize(
    "code",
    [
        'if account.state == "live": pass',
        "if account.dialect == other.dialect: pass",
        "if account.dialect in DIALECTS: pass",
        'if old["dialect"] != new["dialect"]: pass',
        'if "dialect" in values: pass',
    ],
)
def test_other_comparisons_are_none(breaches, code):
    assert breaches(EVENT, code) == []


@pytest.mark.parametrize("code", ["self.env.cr.commit()", "cr.commit()", "end = self._cr.commit"])
def test_a_commit_is_a_breach(breaches, code):
    assert breaches("models/marketplace_traffic.py", code) == [
        "1: commits: transactions end where Odoo ends them"
    ]


def test_only_the_helper_opens_cursors(breaches):
    code = "with self.env.registry.cursor() as cr: pass"
    assert breaches("models/marketplace_traffic.py", code) == []
    assert len(breaches(EVENT, code)) == 1


@pytest.mark.parametrize("caught", ["", " Exception", " BaseException as error", " (KeyError, Exception)"])
def test_catching_anything_is_a_breach(breaches, caught):
    code = f"try:\n    pass\nexcept{caught}:\n    raise\n"
    assert breaches("models/marketplace_config.py", code) == [
        "3: catches anything 1 times, allowed are 0: name what can happen"
    ]


def test_one_broad_except_is_allowed_where_a_row_ends(breaches):
    assert breaches(EVENT, CATCH_ALL) == []
    assert len(breaches(EVENT, CATCH_ALL * 2)) == 1


def test_named_exceptions_are_none(breaches):
    assert breaches(ROUTE, "try:\n    pass\nexcept (KeyError, ValueError):\n    raise\n") == []


def test_this_addon_keeps_the_rules():
    assert list(check_imports.breaches(check_imports.ADDON)) == []


def test_the_command_fails_and_names_the_place(tmp_path, capsys):
    (tmp_path / "code.py").write_text("\nimport requests\n")
    assert check_imports.main(tmp_path) == 1
    assert f"{tmp_path / 'code.py'}:2: imports requests" in capsys.readouterr().out
