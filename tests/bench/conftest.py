"""A server with the controllers to compare with, and the same database inside this process."""

from pathlib import Path
from statistics import median

import pytest

from ..system.conftest import open_shop, products, show, simulator  # noqa: F401
from ..system.harness import OdooServer
from .meter import Inside

ADDONS = Path(__file__).parent / "addons"


@pytest.fixture(scope="session")
def server():
    """A running server that also has the addon to compare with."""
    server = OdooServer()
    server.create()
    server.options = {
        "addons_path": f"{server.odoo.addons_path},{ADDONS}",
        "server_wide_modules": "base,web,queue_job,cartona_integration,bench_addon",
    }
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.drop()


@pytest.fixture(scope="session")
def inside():
    """Odoo inside this process, on a database of its own that no server works on."""
    inside = Inside()
    try:
        yield inside
    finally:
        inside.close()


@pytest.fixture
def figure(show):  # noqa: F811
    """Give a function that shows a figure with its goal and what it is made of.

    Nothing fails on a missed goal: a ratio on a shared machine is for people to judge.
    """

    def say(name, value, goal, made_of, at_least=False):
        good = value >= goal if at_least else value <= goal
        sign = "≥" if at_least else "≤"
        show(f"{'OK    ' if good else 'MISSED'} {name}: {value:.4g} (goal {sign} {goal:g}); {made_of}")

    return say


@pytest.fixture
def middle():
    """Give a function that measures functions in turns and gives {name: middle value of the runs}."""

    def measure(functions, runs=3):
        found = {name: [] for name in functions}
        for _run in range(runs):
            for name, function in functions.items():
                found[name].append(function())
        return {name: median(values) for name, values in found.items()}

    return measure
