"""Write the addon for a later series of Odoo: ``port.py SOURCE DESTINATION SERIES``.

The source is idiomatic 17.0. What differs in Python lives in the addon's ``compat.py``; views and data are
changed by the rules below. Then the result is read for names the series no longer has: many of them install
without a word and break in the browser. Each is told as ``file:line``; exit code 1.
"""

import ast
import re
import shutil
import sys
from pathlib import Path

from lxml import etree

SERIES = ("18.0", "19.0")
RULES = []
# Names of Python and of fields, by the series that lost them. ``# port: same`` on a line says that it means
# another.
GONE = {
    18: {"detailed_type", "doall", "name_get", "numbercall", "reversal_move_id", "user_has_groups"},
    19: {
        "_cr", "_sql_constraints", "_uid", "groups_id", "mobile", "move_ids_without_package", "osv",
        "product_uom", "read_group", "tax_id",
    },
}  # fmt: skip
# Wrong as a text only: a view's kind, a field that is read but no longer written, the name of a precision.
GONE_TEXT = {
    18: {"tree", "price_include"},
    19: {"Product Unit of Measure"},
}
GONE_SCRIPT = {
    18: [
        r"test:\s*true",
        r"\bisCheck\b",
        r"\bextra_trigger\b",
        r"\bin_modal\b",
        r"useService\(.(rpc|user).\)",
    ],
    19: [r"\.readGroup\("],
}
CHATTER = {"message_follower_ids", "activity_ids", "message_ids"}
GONE_XPATH = {
    18: [
        "//tree",
        "//*[contains(@class, 'oe_chatter')]",
        "//*[@t-name='kanban-box' or @t-name='kanban-menu']",
    ],
    19: ["//search//group[@expand or @string]", "//record[@model='res.groups']/field[@name='category_id']"],
}
# Where XML names fields and elements of the views it changes.
NAMING = "//field/@name | //xpath/@expr | //label/@for | //record/field[@name='view_mode']/text()"


def rule(series):
    """Register a rule that changes an XML file for this series and later ones."""

    def register(function):
        RULES.append((series, function))
        return function

    return register


@rule(18)
def rename_tree(root):
    """``<tree>`` became ``<list>``: the element, the way to it, the mode of an action."""
    for node in root.iter("tree"):
        node.tag = "list"
    for node in root.iterfind(".//*[@expr]"):
        node.set("expr", re.sub(r"(?<=/)tree\b", "list", node.get("expr")))
    for node in root.iterfind(".//field[@name='view_mode']"):
        node.text = re.sub(r"\btree\b", "list", node.text)


@rule(18)
def rename_chatter(root):
    """The chatter became an element of its own."""
    for node in root.xpath("//div[@class='oe_chatter']"):
        # With options on a field it would lose them: left for the reading below.
        if all(set(field.attrib) == {"name"} and field.get("name") in CHATTER for field in node):
            tail = node.tail
            node.clear()
            node.tag, node.tail = "chatter", tail


@rule(18)
def rename_kanban_card(root):
    for node in root.iterfind(".//t[@t-name='kanban-box']"):
        node.set("t-name", "card")


@rule(18)
def drop_cron_fields(root):
    """Scheduled actions run for ever, and never catch up."""
    for node in root.xpath("//record[@model='ir.cron']/field[@name='numbercall' or @name='doall']"):
        remove(node)


@rule(18)
def split_product_type(root):
    """``detailed_type`` became ``type``, and ``is_storable`` for goods whose stock is counted."""
    for node in root.xpath("//record/field[@name='detailed_type']"):
        node.set("name", "type")
        if node.text == "product":
            node.text = "consu"
            add_before(node, "field", name="is_storable", eval="True")


@rule(19)
def add_privileges(root):
    """Groups hang on a privilege, which hangs on the category."""
    for category in root.xpath("//record[@model='ir.module.category']"):
        privilege = etree.Element("record", id=privilege_of(category.get("id")), model="res.groups.privilege")
        etree.SubElement(privilege, "field", name="name").text = category.findtext("field[@name='name']")
        etree.SubElement(privilege, "field", name="category_id", ref=category.get("id"))
        privilege.tail = category.tail
        category.addnext(privilege)
    for node in root.xpath("//record[@model='res.groups']/field[@name='category_id']"):
        node.set("name", "privilege_id")
        node.set("ref", privilege_of(node.get("ref")))


@rule(19)
def rename_group_fields(root):
    for old, new in (("groups_id", "group_ids"), ("users", "user_ids")):
        for node in root.xpath(f"//record/field[@name='{old}']"):
            node.set("name", new)


@rule(19)
def strip_search_groups(root):
    for node in root.xpath("//search//group"):
        for name in ("expand", "string"):
            node.attrib.pop(name, None)


def privilege_of(category):
    return category.replace("module_category_", "privilege_")


def add_before(node, tag, **attributes):
    new = etree.Element(tag, attributes)
    new.tail = node.getprevious().tail if node.getprevious() is not None else node.getparent().text
    node.addprevious(new)


def remove(node):
    """Remove a node with the white space after it."""
    node.getparent().remove(node)


def port(source, target, series):
    """Write the addon for a series.

    :param int series: the major number
    """
    if target.exists():
        if not (target / "__manifest__.py").exists():
            raise SystemExit(f"{target} is there and is no addon: not replaced")
        shutil.rmtree(target)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted(target.rglob("*.xml")):
        tree = etree.parse(path)
        for since, change in RULES:
            if since <= series:
                change(tree.getroot())
        tree.write(path, encoding="utf-8", xml_declaration=True)
    for path in target.glob("static/tests/tours/*.js"):
        path.write_text(re.sub(r"^\s*test: true,\n", "", path.read_text(), flags=re.M))
    # Odoo leaves an addon of another series out with no more than a line in its log.
    manifest = target / "__manifest__.py"
    text, count = re.subn(r'("version": ")17\.0\.', rf"\g<1>{series}.0.", manifest.read_text())
    if count != 1:
        raise SystemExit(f"{manifest}: one version that starts with 17.0. is expected")
    manifest.write_text(text)


def lint(target, series):
    """Yield (path, line, what) for what this series no longer has."""
    names = gone_by(GONE, series)
    readers = {".py": lint_python, ".xml": lint_xml, ".js": lint_script}
    for path in sorted(target.rglob("*")):
        # Dialects know other systems' names, not Odoo's; compat knows both.
        if path.suffix in readers and path.name != "compat.py" and path.parent.name != "dialects":
            for line, what in readers[path.suffix](path, names, series):
                yield path, line, what


def gone_by(table, series):
    return set().union(*(gone for since, gone in table.items() if since <= series))


def lint_python(path, names, series):
    """Find gone names in code and in texts that are nothing but names: ``"order_line.tax_id"``."""
    source = path.read_text()
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        texts = [value for value in vars(node).values() if isinstance(value, str)]
        wrong = names | gone_by(GONE_TEXT, series) if isinstance(node, ast.Constant) else names
        found = wrong & {name for text in texts for name in re.split(r"[.,]", text)}
        if found and "# port: same" not in lines[node.lineno - 1]:
            yield node.lineno, found.pop()


def lint_xml(path, names, series):
    root = etree.parse(path).getroot()
    for since, expressions in GONE_XPATH.items():
        for node in root.xpath(" | ".join(expressions)) if since <= series else ():
            yield node.sourceline, f"<{node.tag}> {dict(node.attrib)}"
    for text in root.xpath(NAMING):
        words = set(re.findall(r"\w+", text))
        # *[self::tree or self::list] means whichever is there.
        found = (names | {"tree"}) & words if "self::list" not in text else None
        if found:
            yield text.getparent().sourceline, found.pop()


def lint_script(path, _names, series):
    patterns = [pattern for since, gone in GONE_SCRIPT.items() if since <= series for pattern in gone]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for pattern in patterns:
            if found := re.search(pattern, line):
                yield number, found[0]


def main(source, target, series):
    if series not in SERIES:
        raise SystemExit(f"{series} is none of {', '.join(SERIES)}")
    target, major = Path(target), int(series.split(".")[0])
    port(Path(source), target, major)
    problems = list(lint(target, major))
    for path, line, what in problems:
        print(f"{path}:{line}: Odoo {series} has no {what}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
