import pytest

from ..system.conftest import open_shop, products, server, show, simulator  # noqa: F401
from .common import SEED, sizes


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Say at each failure how to have it again."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        chosen = " ".join(f"{name}={value}" for name, value in {"SEED": SEED, **sizes}.items())
        command = f"{chosen} STAGE=faults ARGS='-k {item.originalname}' python3 tools/run_tests.py"
        report.sections.append(("Again, with the server's log in build/<series>/faults/odoo.log", command))
