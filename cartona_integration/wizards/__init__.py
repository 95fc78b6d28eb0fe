from . import (
    marketplace_allocation_preview,
    marketplace_customer_chooser,
    marketplace_fetch_order,
    marketplace_go_live,
    marketplace_ignore,
    marketplace_order_file,
    marketplace_rehearsal,
)
