"""Which product a listing may be: pure comparison, without Odoo and without the network."""

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from difflib import SequenceMatcher

#: how sure each kind of evidence makes, in per cent, the strongest first
CONFIDENCE = {
    "listing_id": 98,
    "key": 97,
    "barcode": 95,
    "reference": 90,
    "normalised": 80,
    # Both number their goods from 1: that a code of ours is also the id of some listing is likely by chance.
    "own_id": 75,
    "name": 70,
    # Whichever is right, a person has to say so.
    "contradiction": 0,
}
# Names less alike are no evidence.
ALIKE = 0.72
# Of two names this close to each other nobody can tell which one is meant.
CLEAR = 0.03
# Words that so many products have tell nothing; comparing all of them would take for ever.
COMMON = 200
CANDIDATES = 60
# Shorter codes are the same by chance once their signs and leading zeros are gone.
MIN_NORMALISED = 4


@dataclass(frozen=True)
class Product:
    """What is compared of a product."""

    id: int
    key: str | None = None
    reference: str | None = None
    barcode: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Match:
    """The products one kind of evidence finds; several are a person's case.

    ``told`` is what they have in common with the listing: a code, or how alike the names are, in per cent.
    """

    kind: str
    products: tuple[int, ...]
    told: str
    confidence: int


def normalised(code):
    """Give a code without signs, spaces, case and leading zeros; digits of any script are plain ones.

    :return: "" where too little is left to tell products apart
    """
    text = unicodedata.normalize("NFKC", code or "").upper()
    kept = "".join(
        str(unicodedata.digit(char)) if char.isdigit() else char for char in text if char.isalnum()
    ).lstrip("0")
    return kept if len(kept) >= MIN_NORMALISED else ""


def words(name):
    """Give the words of a name, in order of the alphabet: sellers write the same ones in any order."""
    text = unicodedata.normalize("NFKC", name or "").lower()
    return sorted(set(re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+", text)))


def alikeness(one, other):
    """Tell how alike two lists of words are, 0 to 1."""
    matcher = SequenceMatcher(None, " ".join(one), " ".join(other), autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() >= ALIKE else 0.0


class Catalogue:
    """Products a listing may be, indexed by all they are known by."""

    def __init__(self, products):
        self.codes = {kind: defaultdict(set) for kind in ("key", "barcode", "reference", "normalised")}
        self.names, self.by_word = {}, defaultdict(list)
        for product in products:
            self._add(product)

    def _add(self, product):
        for kind in ("key", "barcode", "reference"):
            if code := getattr(product, kind):
                self.codes[kind][code].add(product.id)
                if short := normalised(code):
                    self.codes["normalised"][short].add(product.id)
        self.names[product.id] = words(product.name)
        for word in self.names[product.id]:
            self.by_word[word].append(product.id)

    def match(self, listing):
        """Give the strongest evidence for a listing, or None.

        A code several products have ends the search: weaker evidence must not decide what stronger one left
        open.

        :param listing: with ``product_id`` (the marketplace's), ``key``, ``barcode`` and ``name``
        """
        if match := self._contradiction(listing):
            return match
        for kind, indexes, codes in (
            ("key", ("key",), (listing.key,)),
            ("barcode", ("barcode",), (listing.barcode, listing.key)),
            ("reference", ("reference",), (listing.key,)),
            ("normalised", ("normalised",), (normalised(listing.key), normalised(listing.barcode))),
            ("own_id", ("key", "reference"), (listing.product_id,)),
        ):
            if match := self._by_code(kind, indexes, codes):
                return match
        return self._by_name(listing.name)

    def _contradiction(self, listing):
        """Find the products of a listing whose key is one product's and whose barcode another's."""
        named = self._by_code("key", ("key",), (listing.key,)) or self._by_code(
            "reference", ("reference",), (listing.key,)
        )
        marked = self._by_code("barcode", ("barcode",), (listing.barcode,))
        if not (named and marked) or set(named.products) & set(marked.products):
            return None
        kind, told = "contradiction", f"{named.told}, {marked.told}"
        return Match(kind, (*named.products, *marked.products), told, CONFIDENCE[kind])

    def _by_code(self, kind, indexes, codes):
        for code in filter(None, codes):
            found = set().union(*(self.codes[index].get(code, ()) for index in indexes))
            if found:
                return Match(kind, tuple(sorted(found)), code, CONFIDENCE[kind])

    def _by_name(self, name):
        """Find the product whose name is the most alike, among those with a rare word in common."""
        wanted = words(name)
        rated = sorted(
            ((alikeness(wanted, self.names[other]), other) for other in self._sharing(wanted)), reverse=True
        )
        if not rated or rated[0][0] < ALIKE:
            return None
        best = rated[0][0]
        found = tuple(sorted(other for ratio, other in rated if ratio > best - CLEAR))
        return Match("name", found, f"{100 * best:.0f}", int(CONFIDENCE["name"] * best))

    def _sharing(self, wanted):
        shared = Counter()
        for word in wanted:
            holders = self.by_word.get(word, ())
            if len(holders) <= COMMON:
                shared.update(holders)
        return [other for other, _count in shared.most_common(CANDIDATES)]
