from ..system.conftest import open_shop, products, server, simulator  # noqa: F401
