from . import (
    test_access,
    test_account,
    test_api,
    test_customer,
    test_hooks,
    test_inbox,
    test_order_import,
    test_processor,
    test_product,
    test_samples,
    test_traffic,
    test_webhook,
)
