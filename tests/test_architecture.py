"""ARCHITECTURE.md says where things are; they are there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "ARCHITECTURE.md"
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
