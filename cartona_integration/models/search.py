"""How computed selections are searched."""


def search_by(domains, operator, value):
    """Give the domain of a search on a computed selection or boolean.

    17 passes ``=`` and ``!=`` with a text or a boolean, 19 ``in`` and ``not in`` with a set.

    :param dict domains: {value of the field: domain, in one term by its own operators}
    """
    wanted = [value] if isinstance(value, bool | str) else list(value or [False])
    found = [domains[one] for one in wanted if one in domains] or [[("id", "=", False)]]
    domain = ["|"] * (len(found) - 1) + [term for one in found for term in one]
    return domain if operator in ("=", "in") else ["!", *domain]
