from . import (
    base_partner_merge,
    marketplace_allocation_preview,
    marketplace_customer_chooser,
    marketplace_delivery_code,
    marketplace_fetch_order,
    marketplace_go_live,
    marketplace_ignore,
    marketplace_order_cancel,
    marketplace_order_file,
    marketplace_read_again,
    marketplace_rehearsal,
)
