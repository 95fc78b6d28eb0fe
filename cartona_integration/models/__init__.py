from . import (
    marketplace_api,
    marketplace_config,
    marketplace_event,
    marketplace_order_changes,
    marketplace_order_processor,
    marketplace_sync_log,
    marketplace_sync_state,
    marketplace_traffic,
    product_product,
    product_template,
    res_partner,
    sale_order,
)
