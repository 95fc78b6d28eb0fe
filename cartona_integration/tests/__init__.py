from . import test_order_import
from . import test_samples
from . import test_processor
from . import test_customer
from . import test_product
from . import test_webhook
from . import test_account
from . import test_api
