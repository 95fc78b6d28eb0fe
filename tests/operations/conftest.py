import os

import pytest

from ..system.conftest import open_shop, products, server, show, simulator  # noqa: F401
from .test_lifecycle import Database, databases

# Odoo's own, which the addon does not need and gets along with.
COMPANIONS = "mrp,stock_picking_batch,stock_dropshipping"


@pytest.fixture(scope="session")
def companions():
    """A database in which these are installed beside the addon: once, as that takes a minute."""
    database = Database(os.environ["HARNESS_TEMPLATE"], "companions")
    database.modules("-i", COMPANIONS)
    yield database
    databases.drop(database.odoo, database.name)
