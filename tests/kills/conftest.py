from ..system.conftest import open_shop, products, server, show, simulator  # noqa: F401
from ..system.test_statuses import open_orders  # noqa: F401
