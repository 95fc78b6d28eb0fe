"""Indexes that Odoo's fields cannot declare."""

import re

from odoo.tools.sql import index_exists


def ensure_indexes(cr, *statements):
    """Create indexes that do not exist yet.

    ``IF NOT EXISTS`` locks the table against whoever writes before it looks: an upgrade while orders come
    in ended in a deadlock.

    :param str statements: ``CREATE [UNIQUE] INDEX name ON …``
    """
    for statement in statements:
        [name] = re.findall(r"INDEX (\w+) ON", statement)
        if not index_exists(cr, name):
            cr.execute(statement)
