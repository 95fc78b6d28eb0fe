from ..system.conftest import open_shop, products, server, show, simulator  # noqa: F401
