"""Settings and forecasts as tables for tools that show Markdown or HTML. Knows no tool."""

import html
from collections.abc import Mapping


def markdown_table(values: Mapping[str, object]) -> str:
    """Return names and values as a table in Markdown; what is empty is left out."""
    rows = [f"| {name} | {_cell(value)} |" for name, value in values.items() if _is_said(value)]
    return "\n".join(["| name | value |", "|---|---|", *rows])


def preformatted(text: str) -> str:
    """Return a text as HTML that shows it as it is."""
    return f"<pre style='white-space: pre-wrap'>{html.escape(text)}</pre>"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _is_said(value: object) -> bool:
    return value is not None and value not in ("", (), [], {})
