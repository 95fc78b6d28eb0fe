"""Check who may know what in the addon: the table of the design.

Each breach is told as ``file:line: what``; exit code 1.
"""

import ast
import sys
from fnmatch import fnmatch
from pathlib import Path

ADDON = Path(__file__).resolve().parents[1] / "cartona_integration"
DIALECTS, WORDS = "cartona_integration.dialects", "cartona_integration.dialects.words"
MODELS, CONTROLLERS = "cartona_integration.models", "cartona_integration.controllers"

# (place, what it never imports, what of that it may)
NEVER = [
    ("dialects/*", ("odoo", "psycopg2", MODELS, CONTROLLERS), ()),
    ("controllers/*", (DIALECTS, MODELS, "psycopg2"), ()),
    ("models/marketplace_order_*", (DIALECTS, "json"), (WORDS,)),
    ("models/product_*", (DIALECTS, "json"), (WORDS,)),
    ("models/res_partner*", (DIALECTS, "json"), (WORDS,)),
    ("models/sale_order*", (DIALECTS, "json"), (WORDS,)),
    ("models/stock_*", (DIALECTS, "json"), (WORDS,)),
]
NETWORK = ("requests", "urllib.request", "urllib3", "httpx", "http.client.HTTPConnection", "socket")
NETWORK_DOOR = "connections.py"
# Places that may catch anything (one per direction, at the row's savepoint), and how often.
BROAD_EXCEPTS = {
    "models/marketplace_event.py": 1,
    "models/marketplace_order_step.py": 1,
    "models/marketplace_product_offer.py": 1,
}
# Places that may open a cursor of their own.
OWN_CURSORS = {"models/marketplace_traffic.py"}


def imported(tree, place):
    """Yield (line, dotted name) of everything a file imports; relative names made absolute."""
    package = ["cartona_integration", *place.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def is_of(name, modules):
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


def check_imports(tree, place):
    """Yield the imports this place must not have."""
    for line, name in imported(tree, place):
        if place != NETWORK_DOOR and is_of(name, NETWORK):
            yield line, f"imports {name}: only {NETWORK_DOOR} talks to the network"
        for pattern, never, allowed in NEVER:
            if fnmatch(place, pattern) and is_of(name, never) and not is_of(name, allowed):
                yield line, f"imports {name}: {pattern} must not know it"


def check_calls(tree, place):
    """Yield commits, and cursors opened outside their one helper."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "commit":
            yield node.lineno, "commits: transactions end where Odoo ends them"
        called = getattr(node, "func", None)
        if isinstance(called, ast.Attribute) and called.attr == "cursor" and place not in OWN_CURSORS:
            yield node.lineno, f"opens a cursor: only {', '.join(sorted(OWN_CURSORS))} may"


def check_dialects(tree, _place):
    """Yield comparisons of a dialect with a name: what differs belongs into the dialect."""
    for node in ast.walk(tree):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            parts = [node.subject, *(case.pattern for case in node.cases)]
        if any(map(names_dialect, parts)) and any(map(holds_text, parts)):
            yield node.lineno, "compares a dialect with a name: ask the dialect instead"


def names_dialect(node):
    return any(
        "dialect" in (getattr(part, "id", None), getattr(part, "attr", None), subscript(part))
        for part in ast.walk(node)
    )


def subscript(node):
    return getattr(node.slice, "value", None) if isinstance(node, ast.Subscript) else None


def holds_text(node):
    """Tell whether a text stands here as a value, not as a key: ``values["dialect"]`` is none."""
    if isinstance(node, ast.Subscript | ast.Call):
        return False
    return isinstance(getattr(node, "value", None), str) or any(map(holds_text, ast.iter_child_nodes(node)))


def check_excepts(tree, place):
    """Yield handlers that catch anything beyond what this place is allowed."""
    broad = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and is_broad(node)]
    allowed = BROAD_EXCEPTS.get(place, 0)
    if len(broad) > allowed:
        yield broad[-1], f"catches anything {len(broad)} times, allowed are {allowed}: name what can happen"


def is_broad(handler):
    caught = getattr(handler.type, "elts", [handler.type])
    return any(node is None or getattr(node, "id", "") in ("Exception", "BaseException") for node in caught)


def breaches(folder):
    """Yield "file:line: what" for every breach in an addon's folder; its tests may know everything."""
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder).as_posix()
        if place.startswith("tests/"):
            continue
        tree = ast.parse(path.read_text())
        for check in (check_imports, check_calls, check_dialects, check_excepts):
            yield from (f"{path}:{line}: {what}" for line, what in check(tree, place))


def main(folder=ADDON):
    found = list(breaches(Path(folder)))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
