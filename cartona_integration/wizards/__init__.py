from . import marketplace_fetch_order, marketplace_order_file, marketplace_rehearsal
