"""Which product a listing may be."""

import random
import time
from dataclasses import dataclass

import pytest

from cartona_integration.matching import Catalogue, Product, alikeness, normalised, words


@dataclass
class Listing:
    product_id: str | None = None
    key: str | None = None
    barcode: str | None = None
    name: str | None = None


def match(products, **listing):
    return Catalogue(products).match(Listing(**listing))


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("ab-00 42/x", "AB0042X"),
        ("0004711", "4711"),
        ("٤٧١١", "4711"),
        ("ＡＢ１２", "AB12"),
        ("a-1", ""),
        ("²²²²", "2222"),
        (None, ""),
    ],
)
def test_a_code_is_compared_without_signs_case_zeros_and_script(code, plain):
    assert normalised(code) == plain


def test_words_come_in_any_order():
    assert words("Tea, green 250g") == words("250 g GREEN tea") == ["250", "g", "green", "tea"]


def test_a_stronger_evidence_wins():
    products = [Product(1, key="A-100", barcode="622103"), Product(2, reference="A-100")]
    found = match(products, key="A-100", barcode="622103")
    assert (found.kind, found.products) == ("key", (1,))


def test_a_key_and_a_barcode_of_different_products_contradict_each_other():
    for one in (Product(1, key="A-100"), Product(1, reference="A-100")):
        found = match([one, Product(3, barcode="622103")], key="A-100", barcode="622103")
        assert (found.kind, found.products, found.confidence) == ("contradiction", (1, 3), 0)


def test_a_code_that_only_one_of_them_finds_contradicts_nothing():
    products = [Product(1, key="A-100"), Product(3, barcode="622103")]
    assert match(products, key="A-100", barcode="622104").products == (1,)
    assert match(products, key="A-101", barcode="622103").products == (3,)


def test_a_code_of_several_is_not_decided_by_their_names():
    products = [Product(1, reference="A", name="Green tea"), Product(2, reference="A", name="Rice")]
    assert match(products, key="A", name="Green tea").products == (1, 2)


def test_a_listings_key_may_be_a_barcode():
    assert match([Product(1, barcode="6221031490019")], key="6221031490019").kind == "barcode"


def test_names_alike_are_a_guess_and_never_more():
    found = match(
        [Product(1, name="Green Tea Sencha 250 g"), Product(2, name="Rice")], name="Sencha green tea 250g"
    )
    assert (found.products, found.confidence) == ((1,), 70)


def test_a_misspelt_arabic_name_is_found():
    found = match([Product(1, name="شاي أخضر سنشا 250 جرام")], name="شاي اخضر سنشا 250 جرام")
    assert found.products == (1,)


def test_two_names_as_alike_are_a_persons_case():
    products = [Product(1, name="Cola can 330 ml"), Product(2, name="Cola can 330 ml")]
    assert match(products, name="Cola can 330 ml").products == (1, 2)


def test_names_that_have_little_in_common_are_no_evidence():
    assert match([Product(1, name="Green tea Sencha")], name="Green paint for wood, 5 l") is None
    assert match([Product(1)], name=None) is None


def test_alikeness_is_full_for_the_same_words():
    assert alikeness(["a", "b"], ["a", "b"]) == 1


def test_a_large_catalogue_is_compared_in_seconds():
    draw = random.Random(7)
    vocabulary = ["".join(draw.choices("abcdefghijklmnop", k=6)) for _word in range(3000)]
    names = [" ".join(draw.choices(vocabulary, k=5)) + f" {n % 40} g" for n in range(5000)]
    catalogue = Catalogue(Product(n, name=name) for n, name in enumerate(names))
    started = time.process_time()
    for n in range(500):
        assert n in catalogue.match(Listing(name=names[n].replace("a", "b", 1))).products
    assert time.process_time() - started < 10
