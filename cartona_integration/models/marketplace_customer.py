import re
from collections import defaultdict
from contextlib import suppress

from markupsafe import Markup

from odoo import _, models
from odoo.exceptions import ValidationError
from odoo.tools import email_normalize, plaintext2html

from ..compat import PHONES
from ..dialects.words import ACCOUNT, Address
from ..exceptions import Hold
from .marketplace_order_processor import QUIET
from .res_partner import international

# The contact's fields each kind of key is looked up in.
KEY_FIELDS = {
    "phone": ("marketplace_phone", "marketplace_phone2"),
    "email": ("email_normalized",),
    "vat": ("vat",),
}
# Characters of what Odoo indexes of a contact. An index row holds 2,700 bytes, and the name of an address its
# customer's as well.
MAX_NAME = 256


class MarketplaceConfig(models.Model):
    """How an account's customers are told apart: by the ids the marketplace gives them."""

    _inherit = "marketplace.config"

    def _customer_key(self, customer):
        """Give the ``cartona_id`` of a customer in its space, or None for one the marketplace gives no id.

        :param Customer customer: as the dialect read it
        """
        if not customer.id:
            return None
        return f"{self._customer_space(customer)}{customer.id}"

    def _customer_space(self, customer):
        """Give what the ids of customers begin with that are numbered together with this one."""
        return f"retailer_{self.code}_" if customer.space == ACCOUNT else "retailer_"


class MarketplaceOrderProcessor(models.AbstractModel):
    """Finds who ordered and where to deliver, or makes them; for all orders of a batch at once."""

    _inherit = "marketplace.order.processor"

    # -- who ----------------------------------------------------------------------------------

    def _find_customers(self, account, plans, chosen, holds):
        """Find the plans' customers: by the marketplace's id, else by the account's one exact key.

        Never by name. Who is not found stays empty.

        :param dict chosen: {order id: the contact a person chose}
        :param Holds holds: collects the orders with several candidates
        """
        known, alike = self._find_candidates(account, [plan.order for plan in plans])
        named = {}
        for plan in plans:
            with holds.of(plan.order):
                plan.partner = chosen.get(plan.order.id) or self._pick_customer(
                    account, plan.order, known, alike, named
                )
                key = account._customer_key(plan.order.customer)
                if plan.partner and key:
                    named.setdefault(plan.partner, key)

    def _find_candidates(self, account, orders):
        """Look for the contacts that may be the orders' customers.

        :return: ({the marketplace's id: contacts}, {value of the account's key: contacts})
        """
        keys = {account._customer_key(order.customer) for order in orders}
        known = self.env["res.partner"]._find_marketplace_customers(keys, account.company_id)
        return known, self._find_alike(account, {self._strong_key(account, order) for order in orders})

    def _clear_customers(self, account, orders):
        """Give what orders are held by, see :meth:`_check_single`, whose customer is clear by now."""
        known, alike = self._find_candidates(account, orders)
        clear = []
        for order in orders:
            with suppress(Hold):
                self._pick_customer(account, order, known, alike, {})
                clear.append(account._customer_key(order.customer) or order.id)
        return clear

    def _pick_customer(self, account, order, known, alike, named):
        """Give an order's customer.

        :param dict named: {contact: the marketplace's id an order before this one gives it}
        """
        key = account._customer_key(order.customer)
        if found := known[key]:
            self._check_single(found, key, _("Several contacts are marketplace customer %s.", key))
            return found
        value = self._strong_key(account, order)
        # Another id in the same numbering: the marketplace knows that it is somebody else.
        space = account._customer_space(order.customer)
        found = alike[value].filtered(
            lambda partner: (
                not (
                    key
                    and (own := partner.cartona_id or named.get(partner))
                    and own != key
                    and own.startswith(space)
                )
            )
        )
        self._check_single(found, key or order.id, _("Several contacts may be the customer: %s", value))
        return found

    def _check_single(self, partners, key, reason):
        if len(partners) > 1:
            raise Hold(
                reason, _("Choose the contact; the order is then imported by itself."), [("customer", key)]
            )

    def _strong_key(self, account, order):
        """Give the value of the account's exact key in an order, comparable with what contacts store."""
        customer = order.customer
        if account.customer_key == "phone":
            country = order.shipping and order.shipping.country
            country = country or account.country_id.code or account.company_id.country_id.code
            return international(customer.phone, country) or international(customer.phone2, country)
        if account.customer_key == "email":
            return email_normalize(customer.email or "") or None
        if account.customer_key == "vat":
            number = self._vat(customer) or ""
            return number if len(number) > 1 else None  # "/" says, in Odoo too, that there is none
        return None

    @staticmethod
    def _vat(customer):
        """Give the tax number as it is stored and compared: without spaces."""
        return re.sub(r"\s", "", customer.vat or "") or None

    def _find_alike(self, account, values):
        """Give {value of the account's key: contacts of the company, or shared, that have it}."""
        partners = self.env["res.partner"]
        alike, wanted = defaultdict(partners.browse), [value for value in values if value]
        for field in KEY_FIELDS.get(account.customer_key, ()) if wanted else ():
            domain = [
                (field, "in", wanted),
                ("parent_id", "=", False),
                ("company_id", "in", (False, account.company_id.id)),
            ]
            for value, found in partners.search(domain).grouped(field).items():
                alike[value] |= found
        return alike

    @staticmethod
    def _identity(account, key, value, order):
        """Tell which new orders of a batch are one customer's; without any key each is its own."""
        return key or (value and (account.customer_key, value)) or ("order", order.id)

    # -- making them --------------------------------------------------------------------------

    def _create_partners(self, account, plans):
        """Make the customers and delivery addresses that are new, each kind with one insert."""
        places = self._find_places(account, [plan.order.shipping for plan in plans])
        self._create_customers(account, plans, places)
        self._name_customers(account, plans)
        self._create_addresses(account, plans, places)

    def _create_customers(self, account, plans, places):
        news, strangers = {}, [plan for plan in plans if not plan.partner]
        keys = {
            plan.order.id: (account._customer_key(plan.order.customer), self._strong_key(account, plan.order))
            for plan in strangers
        }
        owners = defaultdict(set)
        for key, value in keys.values():
            owners[value] |= {key} - {None}
        for plan in strangers:
            key, value = keys[plan.order.id]
            if not key and value and len(owners[value]) == 1:
                [key] = owners[value]  # who has no id in this message has one in another
            news.setdefault(self._identity(account, key, value, plan.order), []).append(plan)
        values = [
            self._prepare_customer(account, self._telling(account, same), places) for same in news.values()
        ]
        partners = self._quiet_partners().create(values)
        for same, partner in zip(news.values(), partners, strict=True):
            for plan in same:
                plan.partner = partner

    @staticmethod
    def _telling(account, plans):
        """Give the order that tells most of the customer of several: its id."""
        return next((plan for plan in plans if account._customer_key(plan.order.customer)), plans[0]).order

    def _name_customers(self, account, plans):
        """Give contacts that were found by another key the marketplace's id: it finds them from now on."""
        for plan in plans:
            key = account._customer_key(plan.order.customer)
            if key and not plan.partner.cartona_id:
                plan.partner.with_context(**QUIET).cartona_id = key

    def _prepare_customer(self, account, order, places):
        customer = order.customer
        name = customer.company or customer.name or _("Customer of order %s", order.id)
        numbers = [number for number in dict.fromkeys((customer.phone, customer.phone2)) if number]
        values = {
            "cartona_id": account._customer_key(customer),
            "company_id": account.company_id.id,
            "name": name[:MAX_NAME],
            "is_company": bool(customer.company),
            "email": customer.email,
            "vat": self._vat(customer),
            "customer_rank": 1,
            **dict(zip(PHONES, numbers, strict=False)),
            **self._prepare_language(account, customer),
            **self._prepare_address(account, order.shipping or Address(), places),
        }
        if customer.company and customer.name:
            values["comment"] = self._noted(values, "name", customer.name)
        for number in numbers[len(PHONES) :]:
            values["comment"] = self._noted(values, "phone", number)
        for field in ("email", "vat"):
            if values[field] and not self._is_storable(values, field):
                values["comment"] = self._noted(values, field, values[field])
                values[field] = False
        return values

    def _is_storable(self, values, field):
        """Tell whether Odoo, with what is installed to check it, takes a new contact's value.

        Half an address or number would be somebody else's: what is too long is not cut.
        """
        if len(values[field]) > MAX_NAME:
            return False
        try:
            self.env["res.partner"].new(values)._validate_fields([field])
        except ValidationError:
            return False
        return True

    def _noted(self, values, field, value):
        """Give a contact's note with what the marketplace told and Odoo has no place for."""
        label = self.env["res.partner"]._fields[field]._description_string(self.env)
        told = _("%(field)s as the marketplace tells it: %(value)s", field=label, value=value)
        return (values["comment"] or Markup()) + plaintext2html(told)

    def _quiet_partners(self):
        """Give the model without the job's language: it is that of who reads its reasons."""
        return self.env["res.partner"].with_context(**QUIET, lang=None)

    def _prepare_language(self, account, customer):
        """Choose among the installed languages: the customer's, else the account's, else Odoo's default."""
        wanted = (customer.language or "").replace("-", "_").lower()
        for code, _name in wanted and self.env["res.lang"].get_installed():
            if code.lower() == wanted or code.lower().split("_")[0] == wanted.split("_")[0]:
                return {"lang": code}
        return {"lang": account.customer_lang} if account.customer_lang else {}

    # -- where to deliver ---------------------------------------------------------------------

    def _create_addresses(self, account, plans, places):
        """Set where to deliver: the customer, or one of its delivery addresses, made when it is new.

        Orders keep the address they have: a contact's address is never changed.
        """
        news, values = {}, []
        for plan in plans:
            address = self._prepare_address(account, plan.order.shipping or Address(), places)
            plan.delivery = self._known_address(plan, address)
            place = (plan.partner, tuple((name, address[name]) for name in address if name != "comment"))
            if not plan.delivery and place not in news:
                news[place] = len(values)
                values.append(self._prepare_delivery(plan, address))
            if not plan.delivery:
                plan.delivery = news[place]
        made = self._quiet_partners().create(values)
        for plan in plans:
            if isinstance(plan.delivery, int):
                plan.delivery = made[plan.delivery]

    def _known_address(self, plan, address):
        """Give the customer or a delivery address of it that is at this place; none for a new place."""
        if not plan.order.shipping or not self._has_place(plan.order.shipping):
            return plan.partner
        children = plan.partner.child_ids.filtered(lambda child: child.type == "delivery")
        for known in plan.partner | children:
            if self._is_at(known, address):
                return known
        return self.env["res.partner"]

    def _has_place(self, address):
        names = ("street", "street2", "city", "zip", "state", "country", "note")
        return any(getattr(address, name) for name in names)

    def _prepare_delivery(self, plan, address):
        shipping = plan.order.shipping
        return {
            "parent_id": plan.partner.id,
            "company_id": plan.partner.company_id.id,
            "type": "delivery",
            "name": (shipping.name or plan.partner.name)[:MAX_NAME],
            "phone": shipping.phone or plan.order.customer.phone,
            **address,
        }

    def _is_at(self, partner, address):
        """Tell whether a contact has this address. Its note does not count: Odoo stores it as HTML."""
        known = partner._convert_to_write({name: partner[name] for name in address if name != "comment"})
        return all((known[name] or False) == (address[name] or False) for name in known)

    def _find_places(self, account, addresses):
        """Look countries and states up for all addresses at once.

        :return: ({code: country}, {(country, state's name in small letters): state})
        """
        told = [address for address in addresses if address]
        codes = {address.country for address in told if address.country}
        countries = self.env["res.country"].search([("code", "in", list(codes))])
        states = (countries | account.country_id).state_ids if any(it.state for it in told) else ()
        return (
            {country.code: country for country in countries},
            {(state.country_id, state.name.lower()): state for state in states},
        )

    def _prepare_address(self, account, address, places):
        countries, states = places
        country = countries.get(address.country, self.env["res.country"])
        if not address.country:
            country = account.country_id
        state = states.get((country, (address.state or "").lower()), self.env["res.country.state"])
        if not address.state and country == account.country_id:
            state = account.state_id
        return {
            "street": address.street,
            "street2": address.street2 or (address.state if not state else False),
            "city": address.city,
            "zip": address.zip,
            "state_id": state.id,
            "country_id": country.id,
            "comment": plaintext2html(address.note) if address.note else False,
        }
