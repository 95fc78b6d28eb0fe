"""The door on a real server: signed calls, secrets that change under traffic, a token with two accounts."""

import base64
import hmac
import json
import time

import requests

from .conftest import link_sample, sample
from .harness import wait_for


def signed(secret, data, delivery, moment=None):
    """Give the headers of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    moment = str(moment or int(time.time()))
    made = hmac.digest(key, f"{delivery}.{moment}.".encode() + data, "sha256")
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def post(shop, data, secret, delivery, moment=None):
    return requests.post(shop.address, data=data, headers=signed(secret, data, delivery, moment), timeout=30)


def new_secret(shop):
    """Have a new signing secret made, as a manager does."""
    action = shop.server.rpc("marketplace.config", "action_rotate_webhook_secret", [shop.account])
    return action["params"]["message"]


def test_signed_orders_come_in_while_the_secret_changes_and_nothing_else_does(open_shop, products):
    open_shop("cartona")  # its currency is the sample's, and becomes active with it
    shop = open_shop("rest", order_policy="draft")
    link_sample(shop)
    shop.server.rpc("marketplace.config", "write", [shop.account], {"webhook_token": False})
    old = new_secret(shop)
    data = json.dumps(sample("rest/neutral_order_created"), ensure_ascii=False).encode()
    for _time in range(3):
        assert post(shop, data, old, "msg_1").status_code == 200
    assert shop.events("delivery_id") == [("msg_1:N-88123",)]
    new = new_secret(shop)
    strangers = [
        post(shop, data + b" ", new, "msg_2", moment=time.time() // 1 - 400),
        post(shop, data, "whsec_" + base64.b64encode(b"x" * 32).decode(), "msg_2"),
        requests.post(shop.address, data=data, headers=signed(old, data + b" ", "msg_2"), timeout=30),
        requests.post(
            shop.address,
            data=data,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {shop.hook}"},
            timeout=30,
        ),
    ]
    assert {(answer.status_code, answer.text) for answer in strangers} == {(401, '{"error": "unauthorized"}')}
    for number, secret in enumerate((old, new), start=2):
        assert post(shop, data, secret, f"msg_{number}").json() == {"accepted": 0, "duplicate": 1}
    shop.server.rpc("marketplace.config", "action_drop_previous_webhook_secret", [shop.account])
    assert post(shop, data, old, "msg_4").status_code == 401
    assert post(shop, data, new, "msg_4").status_code == 200
    wait_for(shop.orders, 15, "the order is imported")
    assert len(shop.events()) == 1
    for secret in (old, new):
        assert secret not in shop.server.log_text()
        assert secret.removeprefix("whsec_") not in shop.server.log_text()


def calls(shops, operation):
    """Give the calls of one kind the marketplace saw from any of the accounts."""
    simulator = shops[0].simulator
    found = {}
    for shop in shops:
        for call in simulator.control("GET", "calls", account=shop.code, operation=operation):
            found[call["id"]] = call
    return list(found.values())


def test_two_accounts_of_one_token_share_its_list(open_shop, products):
    token = "token-of-two-accounts-0123456789"
    first = open_shop("cartona", token=token, supplier_code="1", auto_pull_orders=False)
    second = open_shop("cartona", token=token, supplier_code="2", auto_pull_orders=False)
    shops = [first, second]
    [order] = sample("cartona/order_pending")
    for shop, code in zip(shops, ("1", "2"), strict=True):
        shop.post("orders", [order | {"hashed_id": f"group{code}", "supplier_code": code}])
    second.pull()
    for shop, code in zip(shops, ("1", "2"), strict=True):
        wait_for(shop.orders, 15, f"the order of account {code}")
        assert shop.orders() == [(f"group{code}",)]
    wait_for(
        lambda: (
            {row["hashed_id"] for call in calls(shops, "acknowledge") for row in call["body"]}
            >= {"group1", "group2"}
        ),
        15,
        "both are acknowledged",
    )
    # What we approve comes back as a change: several messages, but each order at its own account only.
    assert [set(shop.events("external_order_id")) for shop in shops] == [{("group1",)}, {("group2",)}]


def test_an_order_for_a_code_nobody_has_waits_for_the_account_that_gets_it(open_shop, products):
    token = "token-of-a-third-account-0123456789"
    first = open_shop("cartona", token=token, supplier_code="1", auto_pull_orders=False)
    [order] = sample("cartona/order_pending")
    first.post("orders", [order | {"hashed_id": "group3", "supplier_code": "3"}])
    first.pull()
    wait_for(lambda: first.events() == [("hold",)], 15, "the order is held")
    third = open_shop("cartona", token=token, supplier_code="3", auto_pull_orders=False)
    wait_for(third.orders, 15, "the order goes to the account with its code")
    assert not first.orders()
    assert first.events() == [("ignored",)]
