from . import marketplace_customer_chooser, marketplace_ignore
