"""Write the addon for a later Odoo series, and name what that series no longer has.

``port.py SRC DEST SERIES`` copies the addon, whose source is written for 17.0, and changes views, data, tours and the
manifest. Python is only read: its differences live in ``compat.py``. Exit code 1 when the source uses names the series
lacks, each as ``file:line``: many of them install without a word and break in the browser.
"""

import ast
import re
import shutil
import sys
from pathlib import Path

from lxml import etree

SOURCE_SERIES = "17.0"
SERIES = {"18.0": 18, "19.0": 19}
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.pyc")
# What knows the spellings of all series, and what spells the names of foreign systems.
NOT_LINTED = ("compat.py", "dialects/")

# Name: (the first series without it, what to write instead).
IN_PYTHON = {
    "_sql_constraints": (19, "a unique index in init(); 19 makes no constraint and says nothing"),
    "user_has_groups": (18, "has_group"),
    "groups_id": (19, "compat.USER_GROUPS, or has_group"),
    "tax_id": (19, "compat.SOL_TAXES"),
    "product_uom": (19, "compat.SOL_UOM"),
    "detailed_type": (18, "compat.STORABLE or compat.SERVICE"),
    "move_ids_without_package": (19, "move_ids"),
    "mobile": (19, "phone"),
    "numbercall": (18, "nothing; crons run for ever"),
    "doall": (18, "nothing"),
    "read_group": (19, "_read_group"),
    "odoo.osv": (19, "domains as lists"),
    "_cr": (19, "env.cr"),
    "_uid": (19, "env.uid"),
}
IN_PYTHON_STRINGS = {
    **IN_PYTHON,
    "tree": (18, "list"),
    "tree_view_ref": (18, "list_view_ref"),
    "price_include": (18, "compat.TAX_INCLUDED or compat.TAX_EXCLUDED; the field is computed"),
}
IN_XML = {
    "tree": (18, "an xpath anchored on a field, or *[self::tree or self::list]"),
    "tree_view_ref": (18, "list_view_ref"),
    "oe_chatter": (18, 'exactly <div class="oe_chatter"> with its three fields'),
    "kanban-box": (18, "it as the t-name of a t only"),
    "kanban-menu": (18, "plain fields"),
    "detailed_type": (18, "product, consu or service as the field's text"),
    "groups_id": (19, "groups on the node"),
    "tax_id": (19, "an anchor both series have"),
    "product_uom": (19, "an anchor both series have"),
    "move_ids_without_package": (19, "move_ids"),
    "mobile": (19, "phone"),
}
IN_SCRIPTS = {
    "isCheck": (18, "run: () => {}"),
    "extra_trigger": (18, "a step of its own"),
    "in_modal": (18, "the whole selector"),
    'useService("rpc")': (18, "orm.call"),
    'useService("user")': (18, "user of @web/core/user"),
    "orm.readGroup": (19, "orm.call"),
}
CHATTER = {"message_follower_ids", "activity_ids", "message_ids"}
CODE_FIELDS = {"domain", "context", "domain_force", "code"}
FOR_PEOPLE = {"string", "help", "placeholder", "confirm", "title", "sum"}


def port(src, dest, series):
    """Write an addon for another series.

    :param Path dest: replaced when it is an addon
    :return: list of problems: ``file:line: text``, with file and line of the source
    """
    if dest.exists():
        if not (dest / "__manifest__.py").exists():
            raise SystemExit(f"{dest} is there and is no addon: not replaced")
        shutil.rmtree(dest)
    shutil.copytree(src, dest, ignore=LEFT_BEHIND)
    problems = []
    for path in sorted(dest.rglob("*.*")):
        name = path.relative_to(dest).as_posix()
        rule = RULES.get(path.name) or RULES.get(path.suffix)
        if rule and not name.startswith(NOT_LINTED):
            problems += [f"{src / name}:{line}: {text}" for line, text in rule(path, SERIES[series])]
    return problems


def gone(table, names, target):
    """Yield what to say about each name the target series no longer has."""
    for name in names:
        since, instead = table.get(name, (target + 1, ""))
        if since <= target:
            yield f"{name} is gone in {since}.0: write {instead}"


# -- manifest, Python, tours ------------------------------------------------------------------


def port_manifest(path, target):
    """Change the version: an addon of another series is skipped, with a line in the log only."""
    pattern = rf'("version": "){re.escape(SOURCE_SERIES)}\.'
    text, count = re.subn(pattern, rf"\g<1>{target}.0.", path.read_text())
    path.write_text(text)
    return [] if count else [(1, f'no "version": "{SOURCE_SERIES}.…" to change')]


def lint_python(path, target):
    for node in ast.walk(ast.parse(path.read_text())):
        table = IN_PYTHON_STRINGS if isinstance(node, ast.Constant) else IN_PYTHON
        for text in gone(table, names_in(node), target):
            yield node.lineno, text
        if isinstance(node, ast.keyword) and node.arg == "type" and getattr(node.value, "value", "") == "json":
            yield node.lineno, 'type="json" is gone in 19.0: write type="http"'


def names_in(node):
    """Give the names a node of the syntax tree uses; of a string the parts of ``a.b`` and ``a,b``."""
    if isinstance(node, ast.Constant):
        is_name = isinstance(node.value, str) and re.fullmatch(r"[\w.,]+", node.value)
        return re.split(r"[.,]", node.value) if is_name else []
    if isinstance(node, ast.ImportFrom):
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [getattr(node, kind, None) for kind in ("attr", "id", "arg", "name") if hasattr(node, "lineno")]


def port_script(path, target):
    """Take ``test: true`` out of tours, and lint them."""
    source = path.read_text()
    path.write_text(re.sub(r"^[ \t]*test: true,[ \t]*\n|\btest: true,[ \t]*", "", source, flags=re.M))
    for number, line in enumerate(source.splitlines(), 1):
        for text in gone(IN_SCRIPTS, [name for name in IN_SCRIPTS if name in line], target):
            yield number, text


# -- views and data ---------------------------------------------------------------------------


def port_xml(path, target):
    """Apply the rules to a data file, then lint what they left."""
    tree = etree.parse(str(path))
    root = tree.getroot()
    if root.tag != "odoo":  # a template of the web client
        return
    for rule in (port_lists, port_chatter, port_kanban, port_crons, port_products):
        rule(root)
    if target >= 19:
        port_groups(root)
        port_search(root)
        yield from lint_categories(root)
    for node in root.iter(etree.Element):
        for text in gone(IN_XML, words_of(node), target):
            yield node.sourceline, text
    tree.write(str(path), encoding="utf-8", xml_declaration=True)


def words_of(node):
    """Give the words of a node that are code: its tag, its attributes, and the text of a domain or the like."""
    texts = [value for name, value in node.attrib.items() if name not in FOR_PEOPLE]
    if node.get("name") in CODE_FIELDS:
        texts.append(node.text or "")
    return {node.tag, *(word for text in texts for word in re.findall(r"(?<!self::)[\w-]+", text))}


def port_lists(root):
    """tree becomes list: the tag, the step of a path, the kind of view."""
    for node in root.iter("tree"):
        node.tag = "list"
    for node in root.iterfind(".//xpath[@expr]"):
        node.set("expr", re.sub(r"(?<=/)tree(?![\w-])", "list", node.get("expr")))
    for node in root.iterfind(".//field[@name='view_mode']"):
        node.text = re.sub(r"\btree\b", "list", node.text or "")
    for node in root.iterfind(".//field[@mode]"):
        node.set("mode", re.sub(r"\btree\b", "list", node.get("mode")))


def port_chatter(root):
    for node in root.findall(".//div[@class='oe_chatter']"):
        if {child.get("name") for child in node} == CHATTER:
            replace(node, etree.Element("chatter"))


def port_kanban(root):
    for node in root.iterfind(".//t[@t-name='kanban-box']"):
        node.set("t-name", "card")


def port_crons(root):
    for node in root.xpath(".//record[@model='ir.cron']/field[@name='numbercall' or @name='doall']"):
        replace(node)


def port_products(root):
    """detailed_type becomes type, with is_storable for what has stock."""
    for node in root.findall(".//record/field[@name='detailed_type']"):
        kind = (node.text or "").strip()
        if kind in ("product", "consu", "service"):
            storable = [etree.Element("field", name="is_storable", eval="True")] if kind == "product" else []
            field = etree.Element("field", name="type")
            field.text = "service" if kind == "service" else "consu"
            replace(node, field, *storable)


def port_groups(root):
    """Put a privilege between a category and its groups; rename the links between users and groups."""
    for category in root.findall(".//record[@model='ir.module.category']"):
        identity = category.get("id")
        privilege = etree.Element("record", id=f"{identity}_privilege", model="res.groups.privilege")
        etree.SubElement(privilege, "field", name="name").text = category.findtext("field[@name='name']")
        etree.SubElement(privilege, "field", name="category_id", ref=identity)
        etree.indent(privilege, "    ", level=1)
        category.addnext(privilege)
        privilege.tail = category.tail
        for node in root.iterfind(f".//record[@model='res.groups']/field[@ref='{identity}']"):
            node.set("name", "privilege_id")
            node.set("ref", f"{identity}_privilege")
    for node in root.iterfind(".//record[@model='res.groups']/field[@name='users']"):
        node.set("name", "user_ids")
    for node in root.iterfind(".//record/field[@name='groups_id']"):
        node.set("name", "group_ids")


def lint_categories(root):
    for node in root.iterfind(".//record[@model='res.groups']/field[@name='category_id']"):
        yield node.sourceline, "category_id is gone in 19.0: write a category of its own in the same file"


def port_search(root):
    for node in root.iterfind(".//search//group"):
        for name in ("expand", "string"):
            node.attrib.pop(name, None)


def replace(node, *others):
    """Put other elements, or none, in a node's place, each followed by the white space that followed the node."""
    for other in reversed(others):
        node.addnext(other)
        other.tail = node.tail
    if not others and node.getprevious() is not None:
        node.getprevious().tail = node.tail
    node.getparent().remove(node)


RULES = {"__manifest__.py": port_manifest, ".py": lint_python, ".js": port_script, ".xml": port_xml}


def main(arguments):
    if len(arguments) != 3 or arguments[2] not in SERIES:
        raise SystemExit(f"usage: port.py SRC DEST {'|'.join(SERIES)}")
    problems = port(Path(arguments[0]), Path(arguments[1]), arguments[2])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
