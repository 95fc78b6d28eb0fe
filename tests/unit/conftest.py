"""Make the pure parts of the addon importable without Odoo."""

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

# The addon's own __init__ imports Odoo: a bare module in its place lets submodules be found.
bare = ModuleType("cartona_integration")
bare.__path__ = [str(ROOT / "cartona_integration")]
sys.modules["cartona_integration"] = bare
