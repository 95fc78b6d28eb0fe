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
    kept = _placeholders(entry.msgstr), sorted(TAG.findall(entry.msgstr))
    wanted = _placeholders(entry.msgid), sorted(TAG.findall(entry.msgid))
    return None if kept == wanted else f"keeps {kept}, not {wanted}"


def _placeholders(text):
    """Give the placeholders: the nameless in their order, those with a name in any."""
    found = PLACEHOLDER.findall(text)
    return [part for part in found if "(" not in part], sorted(part for part in found if "(" in part)
