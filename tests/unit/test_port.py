"""The port to later series: each rule, and the reading for names that are gone."""

from pathlib import Path

import port
import pytest
from lxml import etree

ROOT = Path(__file__).parents[2]
MANIFEST = '{\n    "name": "Trial",\n    "version": "17.0.1.0.0",\n}\n'


@pytest.fixture
def trial(tmp_path):
    """Give a function that ports an addon of these files: (its folder, problems as "file:line: what")."""

    def ported(series, **files):
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        for name, text in {"__manifest___py": MANIFEST, **files}.items():
            stem, _, suffix = name.rpartition("_")
            (source / f"{stem}.{suffix}").write_text(text)
        port.port(source, target, series)
        return target, [f"{path.name}:{line}: {what}" for path, line, what in port.lint(target, series)]

    return ported


def view(arch):
    """An addon's file with a view whose arch starts on the third line."""
    head = "<?xml version='1.0' encoding='utf-8'?>\n<odoo><record id='v' model='ir.ui.view'>"
    return f"{head}\n<field name='arch' type='xml'>{arch}</field></record></odoo>"


def canonical(xml):
    return etree.canonicalize(etree.fromstring(xml.encode()), strip_text=True)


XML_RULES = [
    (18, view("<tree><field name='name'/></tree>"), view("<list><field name='name'/></list>")),
    (
        18,
        view("<form><field name='x'><tree/></field></form>"),
        view("<form><field name='x'><list/></field></form>"),
    ),
    (18, view("<xpath expr='//tree/field'/>"), view("<xpath expr='//list/field'/>")),
    (
        18,
        view("<xpath expr='//*[self::tree or self::list]'/>"),
        view("<xpath expr='//*[self::tree or self::list]'/>"),
    ),
    (
        18,
        "<odoo><record id='a' model='x'><field name='view_mode'>tree,form</field></record></odoo>",
        "<odoo><record id='a' model='x'><field name='view_mode'>list,form</field></record></odoo>",
    ),
    (
        18,
        view("<form><div class='oe_chatter'><field name='message_ids'/></div><p/></form>"),
        view("<form><chatter/><p/></form>"),
    ),
    (18, view("<t t-name='kanban-box'><div/></t>"), view("<t t-name='card'><div/></t>")),
    (
        18,
        "<odoo><record id='c' model='ir.cron'><field name='numbercall'>-1</field>"
        "<field name='doall' eval='False'/><field name='name'>C</field></record></odoo>",
        "<odoo><record id='c' model='ir.cron'><field name='name'>C</field></record></odoo>",
    ),
    (
        18,
        "<odoo><record id='p' model='x'><field name='detailed_type'>service</field></record></odoo>",
        "<odoo><record id='p' model='x'><field name='type'>service</field></record></odoo>",
    ),
    (
        18,
        "<odoo><record id='p' model='x'><field name='detailed_type'>product</field></record></odoo>",
        "<odoo><record id='p' model='x'><field name='is_storable' eval='True'/>"
        "<field name='type'>consu</field></record></odoo>",
    ),
    (
        19,
        "<odoo>"
        "<record id='module_category_m' model='ir.module.category'><field name='name'>M</field></record>"
        "<record id='g' model='res.groups'><field name='category_id' ref='module_category_m'/>"
        "<field name='users' eval='[]'/></record></odoo>",
        "<odoo>"
        "<record id='module_category_m' model='ir.module.category'><field name='name'>M</field></record>"
        "<record id='privilege_m' model='res.groups.privilege'><field name='name'>M</field>"
        "<field name='category_id' ref='module_category_m'/></record>"
        "<record id='g' model='res.groups'><field name='privilege_id' ref='privilege_m'/>"
        "<field name='user_ids' eval='[]'/></record></odoo>",
    ),
    (
        19,
        view("<search><group expand='0' string='By'><filter name='f'/></group></search>"),
        view("<search><group><filter name='f'/></group></search>"),
    ),
]


@pytest.mark.parametrize(("series", "before", "after"), XML_RULES)
def test_a_rule_changes_what_its_series_calls_otherwise(trial, series, before, after):
    target, problems = trial(series, views_xml=before)
    assert canonical((target / "views.xml").read_text()) == canonical(after)
    assert problems == []


def test_eighteen_keeps_what_only_nineteen_renamed(trial):
    search = view("<search><group expand='0'><filter name='f'/></group></search>")
    target, problems = trial(18, views_xml=search)
    assert canonical((target / "views.xml").read_text()) == canonical(search)
    assert problems == []


def test_the_version_gets_the_series(trial):
    target, _problems = trial(19)
    assert '"version": "19.0.1.0.0"' in (target / "__manifest__.py").read_text()


def test_a_version_of_another_series_is_refused(trial):
    with pytest.raises(SystemExit, match="starts with 17.0"):
        trial(19, __manifest___py='{"name": "Trial", "version": "1.0"}')


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("class A:\n    _sql_constraints = []", "code.py:2: _sql_constraints"),
        ("def total(line):\n    return line.tax_id", "code.py:2: tax_id"),
        ("\nNAMES = ['order_line.tax_id']", "code.py:2: tax_id"),
        ("\nvalues = {'product_uom': 1}", "code.py:2: product_uom"),
        ("\nvalues = dict(detailed_type='product')", "code.py:2: detailed_type"),
        ("\nfrom odoo.osv import expression", "code.py:2: osv"),
        ("\nrecord.read_group([], [], [])", "code.py:2: read_group"),
        ("\naction = {'view_mode': 'tree,form'}", "code.py:2: tree"),
        ("\nvalues = {'price_include': True}", "code.py:2: price_include"),
        ("\ndigits = get('Product Unit of Measure')", "code.py:2: Product Unit of Measure"),
    ],
)
def test_a_gone_name_in_python_is_told_with_its_line(trial, code, what):
    assert trial(19, code_py=code)[1] == [what]


def test_comments_other_words_and_marked_lines_are_no_gone_names(trial):
    code = "# tax_id\nproduct_uom_qty = 'the tax_id of it'\nmove.product_uom  # port: same, a stock move's\n"
    code += "tree = tax.price_include\n"
    assert trial(19, code_py=code)[1] == []


def test_compat_and_dialects_may_know_any_name(trial):
    assert trial(19, compat_py="SOL_TAXES = 'tax_id'")[1] == []


@pytest.mark.parametrize(
    ("xml", "what"),
    [
        (
            view("<form>\n<div class='oe_chatter wide'/></form>"),
            "views.xml:4: <div> {'class': 'oe_chatter wide'}",
        ),
        (
            view("<form>\n<div class='oe_chatter'><field name='message_ids' options='{}'/></div></form>"),
            "views.xml:4: <div> {'class': 'oe_chatter'}",
        ),
        (view("<t\nt-name='kanban-menu'/>"), "views.xml:3: <t> {'t-name': 'kanban-menu'}"),
        (view("<form>\n<field name='tax_id'/></form>"), "views.xml:4: tax_id"),
        (view("<xpath expr=\"//field[@name='product_uom']\"/>"), "views.xml:3: product_uom"),
        (view("<xpath expr='descendant::tree'/>"), "views.xml:3: tree"),
    ],
)
def test_what_no_rule_knows_is_told_with_its_line(trial, xml, what):
    assert trial(19, views_xml=xml)[1] == [what]


@pytest.mark.parametrize(
    "line", ["isCheck: true,", 'extra_trigger: ".o_form"', 'this.rpc = useService("rpc");']
)
def test_a_gone_name_in_javascript_is_told(trial, line):
    assert len(trial(18, tour_js=f"// a tour\n{line}\n")[1]) == 1


def test_this_addon_ports_without_a_gone_name(tmp_path):
    assert port.main(ROOT / "cartona_integration", tmp_path / "ported", "19.0") == 0


def test_the_command_fails_and_names_the_place(tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    (source / "__manifest__.py").write_text(MANIFEST)
    (source / "model.py").write_text("tax = line.tax_id\n")
    assert port.main(source, tmp_path / "target", "19.0") == 1
    assert f"{tmp_path / 'target' / 'model.py'}:1: Odoo 19.0 has no tax_id" in capsys.readouterr().out


def test_a_folder_that_is_no_addon_is_not_replaced(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(SystemExit, match="no addon"):
        port.main(ROOT / "cartona_integration", tmp_path, "19.0")
    assert (tmp_path / "precious").exists()


def test_a_series_without_rules_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="none of"):
        port.main(ROOT / "cartona_integration", tmp_path / "ported", "17.0")
