"""Makes orders that could be real; the shops and people do not exist."""

import random
import string
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from .state import stamp

SHOPS = (
    "سوبر ماركت الياسمين", "ماركت النور", "بقالة الأمل", "سوبر ماركت الفتح", "هايبر البركة",
    "بقالة الحاج محمود", "ماركت المدينة", "سوبر ماركت الصفا", "أسواق الرحاب", "بقالة أم كريم",
    "ماركت الزهراء", "تموينات السلام",
)  # fmt: skip
STREETS = ("شارع الجمهورية", "شارع البحر", "شارع النصر", "شارع المحطة", "شارع سعد زغلول", "شارع الجلاء")
CITIES = ("طنطا", "المنصورة", "الإسكندرية", "الزقازيق", "أسيوط", "دمنهور")
LANDMARKS = ("بجوار الصيدلية", "أمام المدرسة", "خلف الجامع", "")
NOTES = (None, None, None, "اتصل قبل الوصول", "التسليم قبل الظهر")
CAIRO = ZoneInfo("Africa/Cairo")
MAX_LINES = 4
MAX_AMOUNT = 12


def retailer(number):
    """Give a made-up retailer: a number's is the same every time, as one who comes back is.

    :param int number: from 1
    """
    own = random.Random(number)
    return {
        "number": number,
        "name": own.choice(SHOPS) if number > len(SHOPS) else SHOPS[number - 1],
        "phone": f"+2010{number:08d}",
        "street": f"{own.randint(1, 90)} {own.choice(STREETS)}",
        "city": own.choice(CITIES),
        "landmark": own.choice(LANDMARKS),
    }


class Factory:
    """Makes orders of a few retailers who come back.

    :param products: list of {key, price, name?}
    :param int retailers: how many different ones
    :param float offers: share of lines, 0 to 1, that an offer splits into two of the same product
    :param seed: anything; the same one gives the same baskets, ids differ all the same
    """

    def __init__(self, state, account, products=(), retailers=8, offers=0, seed=None):
        self._state, self._account, self._products = state, account, products
        self._offers = offers
        self._random = random.Random(seed)
        self._retailers = [retailer(number) for number in range(1, retailers + 1)]

    def make(self, basket=None, buyer=None):
        """Make one order in the account's dialect.

        :param basket: list of (product, amount, price of one unit); None: a plausible one
        :param buyer: what :func:`retailer` gives; None: any
        """
        return MAKERS[self._account.dialect](self, basket or self._basket(), buyer or self._buyer())

    def _buyer(self):
        return self._pick(self._retailers)

    def _pick(self, values):
        return self._random.choice(values)

    def _basket(self):
        """Give (product, amount, price of one unit) per line."""
        count = min(len(self._products), self._random.randint(1, MAX_LINES))
        lines = []
        for product in self._random.sample(self._products, count):
            price, amount = Decimal(str(product["price"])), self._random.randint(1, MAX_AMOUNT)
            lines.append((product, amount, price))
            if self._random.random() < self._offers:
                reduced = (price * Decimal("0.9")).quantize(Decimal("0.01"))
                lines.append((product, self._random.randint(1, 3), reduced))
        return lines

    def _id(self):
        letters = "".join(self._random.choices(string.ascii_letters + string.digits, k=4))
        return f"{letters}{self._state.number()}"

    def cartona(self, basket, buyer):
        moment = self._state.now()
        total = sum((price * amount for _product, amount, price in basket), Decimal(0))
        return {
            "hashed_id": self._id(),
            "receipt_id": str(100_000 + self._state.number()),
            "supplier_code": self._account.supplier_code,
            "status": "pending",
            **CREATED_AT[self._account.options["created_at"]](moment),
            "edited_by_admin": False,
            "delivered_by": "delivered_by_supplier",
            "delivery_day": None,
            "estimated_delivery_day": _day(moment),
            "retailer_preferred_delivery_date": None,
            "pickup_date": None,
            "pickup_otp": None,
            "cancellation_reason": "",
            "return_reason": None,
            "applied_supplier_rebate": 0,
            "cartona_credit": 0,
            "installment_cost": 0,
            "wallet_top_up": 0,
            "distribution_route_code": "001#033",
            "note_message": self._pick(NOTES),
            "total_price": float(total),
            "retailer": {
                "retailer_name": buyer["name"],
                "retailer_code": f"A{10_000 + buyer['number']}",
                "retailer_number": buyer["phone"],
                "retailer_number2": None,
                "retailer_address": f"{buyer['street']}، {buyer['city']}",
                "address_notes": buyer["landmark"],
            },
            "order_details": [self._cartona_line(*line) for line in basket],
        }

    def _cartona_line(self, product, amount, price):
        return {
            "id": 20_000_000 + self._state.number(),
            "supplier_product_id": product.get("id"),
            "internal_product_id": product["key"],
            "base_product_id": product.get("base_product_id"),
            "unit": product.get("unit", "piece"),
            "unit_count": product.get("unit_count", 1),
            "product_name": product.get("name", product["key"]),
            "amount": amount,
            "selling_price": float(price),
            "applied_supplier_discount": 0,
            "applied_cartona_discount": 0,
            "comment": None,
        }

    def rest(self, basket, buyer):
        number, moment = str(self._state.number()), self._state.now()
        total = sum((price * amount for _product, amount, price in basket), Decimal(0))
        contact = {"name": buyer["name"], "phone": buyer["phone"]}
        return {
            "id": f"N-{self._id()}",
            "number": number,
            "status": "pending",
            "placed_at": stamp(moment),
            "modified_at": stamp(moment),
            "currency": basket[0][0].get("currency", "EGP"),
            "prices_include_tax": True,
            "total": format(total, ".2f"),
            "delivered_by": "seller",
            "delivery_date": _day(moment),
            "note": self._pick(NOTES),
            "customer": {"id": f"C-{buyer['number']}", **contact, "language": "ar"},
            "shipping": {
                **contact,
                "street": buyer["street"],
                "city": buyer["city"],
                "country": "EG",
                "note": buyer["landmark"] or None,
            },
            "lines": [self._rest_line(index, *line) for index, line in enumerate(basket, 1)],
            "charges": [],
        }

    def _rest_line(self, index, product, amount, price):
        return {
            "id": str(index),
            "product_id": product.get("id"),
            "sku": product["key"],
            "name": product.get("name", product["key"]),
            "quantity": str(amount),
            "unit_price": str(price),
            "discount": "0.00",
            "taxes": [],
        }


MAKERS = {"cartona": Factory.cartona, "rest": Factory.rest}

# how Cartona's created_at is written is not known: see the option of that name
CREATED_AT = {
    "utc": lambda moment: {"created_at": stamp(moment)},
    "local": lambda moment: {"created_at": f"{moment.astimezone(CAIRO):%Y-%m-%d %H:%M:%S}"},
    "absent": lambda moment: {},
}


def _day(moment):
    """Give the second day from now, a date as text."""
    local: datetime = moment.astimezone(CAIRO) + timedelta(days=2)
    return local.date().isoformat()
