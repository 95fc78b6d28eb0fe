"""What a translation must keep of its term. Without Odoo, so that tools/translations.py asks the same."""

import re

# 100 % is no placeholder, nor is %) or the end; a tag is also retailer_<id>, which people write as it is.
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sdgfir%]")
TAG = re.compile(r"</?\w[^<>]*>")


def problem(entry):
    """Tell what is wrong with an entry of a translation; None for a good one."""
    if not entry.msgstr:
        return "missing"
    if entry.fuzzy:
        return "fuzzy"
    if _kept(entry.msgid) != _kept(entry.msgstr):
        return "other placeholders or tags"


def _kept(text):
    """Give what must be there again: nameless placeholders in their order, the rest in any."""
    found = PLACEHOLDER.findall(text)
    named = [part for part in found if "(" in part]
    return [part for part in found if "(" not in part], sorted(named + TAG.findall(text))
