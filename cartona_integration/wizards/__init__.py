from . import (
    marketplace_customer_chooser,
    marketplace_delivery_code,
    marketplace_fetch_order,
    marketplace_ignore,
    marketplace_order_cancel,
    marketplace_order_file,
    marketplace_rehearsal,
)
