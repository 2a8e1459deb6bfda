"""ARCHITECTURE.md says where things are; they are there."""

import ast
import os
import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "ARCHITECTURE.md"
PACKAGE = PAGE.parent / "tuillm"
PLACES = re.findall(r"\| `([a-z_.]+):(\w+)` \|", PAGE.read_text(encoding="utf-8"))


def test_there_are_places():
    """The table is read as it is written."""
    assert len(PLACES) > 20


@pytest.mark.parametrize("module, name", PLACES)
def test_each_named_place_is_there(module, name):
    """The module exists and has what the page says it has."""
    assert hasattr(import_module(f"tuillm.{module}"), name)


def test_the_packages_are_those_of_the_table():
    """Every package of ours is in the table of layers."""
    import tuillm

    root = Path(tuillm.__file__).parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    table = PAGE.read_text(encoding="utf-8")
    assert packages and all(f"`{name}`" in table for name in packages)


def modules_page():
    """The page of all modules, from the first sentence of each docstring."""
    lines = [
        "# Modules",
        "",
        "What each module is for: the first sentence of its docstring. Made by `just modules`.",
    ]
    package = None
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.parent, path.name)):
        if path.stem == "__main__":
            continue
        if path.parent != package:
            package = path.parent
            name = ".".join(package.relative_to(PACKAGE.parent).parts)
            lines += ["", f"## {name}", ""]
        whole = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        text = " ".join(whole.split("\n\n")[0].split())
        if path.stem == "__init__":
            lines += [text, ""]
        else:
            lines.append(f"- `{path.stem}`: {text}")
    return "\n".join(lines) + "\n"


def test_the_page_of_modules_is_what_the_modules_say():
    """It is made anew with each change, by `just modules`."""
    page = PACKAGE.parent / "docs" / "modules.md"
    if os.environ.get("TUILLM_WRITE"):
        page.write_text(modules_page(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == modules_page(), "just modules"
