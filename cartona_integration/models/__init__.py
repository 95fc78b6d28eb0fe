from . import (
    marketplace_config,
    marketplace_traffic,
    marketplace_api,
    marketplace_sync_state,
    marketplace_sync_log,
    marketplace_event,
    marketplace_order_processor,
    product_template,
    product_product,
    res_partner,
    sale_order,
)
