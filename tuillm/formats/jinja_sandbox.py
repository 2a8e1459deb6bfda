"""Jinja's sandbox, made narrower: what chat templates need, each step within a budget.

Jinja's own keeps a program away from Python's insides; it lets it loop for hours and fill the
memory. Here loops, calls, filters and operators ask a `Budget`, and filters and methods that can
make much of little are not there, or are measured before. Knows Jinja; knows no conversation.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_indent
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from tuillm.formats.jinja_budget import Budget

# what a template's `{% generation %}` puts before and behind what is said in it
AROUND = ("_before_generation", "_behind_generation")

_FILTERS = (
    "abs capitalize count d default dictsort e escape first float groupby int items last length "
    "list lower map max min reject rejectattr reverse safe select selectattr sort string title "
    "trim truncate unique upper"
).split()
_METHODS = {
    str: frozenset(
        "capitalize count endswith find format index isalnum isalpha isdigit islower isnumeric "
        "isspace isupper join lower lstrip partition removeprefix removesuffix replace rfind "
        "rpartition rsplit rstrip split splitlines startswith strip title upper".split()
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    int: frozenset(),
    float: frozenset(),
}
_GLOBALS = ("range", "dict", "namespace", "cycler", "joiner")
# a width of thousands, one that is given, or one within another
_WIDE = re.compile(r"\d{4}|%[^a-zA-Z%]*\*|:[^}]*\{")
_MOST_DECIMALS, _WIDEST_INDENT = 20, 100
_LARGEST_BASE, _LARGEST_POWER = 10**6, 64
_Node = TypeVar("_Node", bound=nodes.Node)


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """An environment whose templates are compiled and run inside `with budget(...)`."""

    intercepted_binops = frozenset(["//", "%", "+", "*", "-", "/", "**"])

    def __init__(self) -> None:
        self._local = threading.local()
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, loopcontrols],
            finalize=self._text,
        )
        own = {"join": self._join, "replace": self._replace, "sum": self._sum}
        own |= {"round": self._round, "indent": self._indent, "format": self._printf}
        usual = {name: self.filters[name] for name in _FILTERS}
        self.filters = {name: self._guarded(run) for name, run in (usual | own).items()}
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.concat = self._concat  # type: ignore[method-assign]

    @contextmanager
    def budget(self, characters: int = 0) -> Iterator[Budget]:
        """What is done in the block is bounded, by how many characters come in."""
        self._local.budget = budget = Budget(characters)
        try:
            yield budget
        finally:
            del self._local.budget

    @property
    def _budget(self) -> Budget:
        budget: Budget = self._local.budget
        return budget

    def guarded_tree(self, source: str) -> nodes.Template:
        """Return a template as a tree, in which loops and what makes values ask the budget."""
        tree: nodes.Template = _Guard().visit(self.parse(source))
        return tree

    def add_filter(self, name: str, run: Callable[..., object]) -> None:
        """Add a filter of a chat template's own."""
        self.filters[name] = self._guarded(run)

    # called by what `_Guard` puts in

    def tick(self) -> str:
        """Count a round of a loop."""
        self._budget.tick()
        return ""

    def bounded(self, value: object) -> object:
        """Return a list or a dictionary that was written out, if it is of a fair size."""
        return self._budget.bounded(value)

    def joined(self, *values: object) -> str:
        """Return what `~` makes of values."""
        return self._join(values)

    # what Jinja asks for

    def call(self, context: Context, run: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._budget.tick()
        owner, name = getattr(run, "__self__", None), getattr(run, "__name__", "")
        if owner is self:  # what `_Guard` has put in
            return run(*args)
        if isinstance(owner, str) and name == "replace":
            return self._replace(owner, *args)
        if isinstance(owner, str) and name == "join":
            (values,) = args
            return self._join(values, owner)
        return self._budget.bounded(super().call(context, run, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget = self._budget
        budget.tick()
        if operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(times, int) and isinstance(many, str | list | tuple):
                    size = len(many) if isinstance(many, str) else budget.weigh(many)
                    budget.afford(size * max(times, 0))
        elif operator == "**" and not (abs(left) <= _LARGEST_BASE and abs(right) <= _LARGEST_POWER):
            raise SecurityError("it computes with numbers that no conversation has")
        elif operator == "%" and isinstance(left, str):
            _refuse_wide(left)
        return budget.bounded(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        allowed = next((names for kind, names in _METHODS.items() if isinstance(obj, kind)), None)
        return super().is_safe_attribute(obj, attr, value) and (allowed is None or attr in allowed)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        run = super().wrap_str_format(value)
        if run is not None:
            _refuse_wide(value.__self__)
            if value.__name__ != "format":
                raise SecurityError("it formats what no template needs to")
        return run

    # filters that could make much of little

    def _guarded(self, run: Callable[..., object]) -> Callable[..., object]:
        @wraps(run)  # with how Jinja is to call it
        def guarded(*args: object, **kwargs: object) -> object:
            self._budget.tick()
            return self._budget.bounded(run(*args, **kwargs))

        return guarded

    def _text(self, value: object) -> str:
        return self._budget.text(value)

    def _concat(self, pieces: Iterable[str]) -> str:
        found, size = [], 0
        for piece in pieces:
            size += len(piece)
            self._budget.afford(size)
            found.append(piece)
        self._budget.spend(size)
        return "".join(found)

    def _join(self, values: Iterable[object], d: str = "", attribute: object = None) -> str:
        if attribute is not None:
            raise SecurityError("it joins attributes; map(attribute=...) before does the same")
        budget, texts, size = self._budget, [], 0
        between = budget.text(d)
        for value in values:
            budget.tick()
            text = value if type(value) is str else budget.text(value)
            size += len(text) + len(between)
            budget.afford(size)
            texts.append(text)
        budget.spend(size)
        return between.join(texts)

    def _replace(self, s: object, old: object, new: object, count: int | None = -1) -> str:
        text, before, after = map(self._text, (s, old, new))
        times = text.count(before) if before else len(text) + 1
        self._budget.afford(len(text) + times * max(len(after) - len(before), 0))
        return text.replace(before, after, -1 if count is None else count)

    def _sum(self, values: Iterable[object], attribute: object = None, start: object = 0) -> object:
        if attribute is not None or not isinstance(start, int | float):
            raise SecurityError("it adds up what are no numbers")
        total = start
        for value in values:
            self._budget.tick()
            if not isinstance(value, int | float):
                raise SecurityError("it adds up what are no numbers")
            total += value
        return total

    def _round(self, value: float, precision: int = 0, method: str = "common") -> object:
        if method != "common" or abs(precision) > _MOST_DECIMALS:
            raise SecurityError("it rounds as no template needs to")
        return round(value, precision)

    def _indent(
        self, s: object, width: int | str = 4, first: bool = False, blank: bool = False
    ) -> str:
        text = self._text(s)
        before = width if isinstance(width, str) else " " * min(width, _WIDEST_INDENT + 1)
        if len(before) > _WIDEST_INDENT:
            raise SecurityError("it indents further than a line has")
        self._budget.afford(len(text) + (text.count("\n") + 1) * len(before))
        return do_indent(text, width, first, blank)

    def _printf(self, value: object, *args: object, **kwargs: object) -> str:
        form = self._text(value)
        _refuse_wide(form)
        return form % (kwargs or args)


class _Guard(NodeTransformer):
    """Puts the questions to the budget into a template's tree."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.body.insert(0, _like(node, nodes.ExprStmt(_ask("tick", []))))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _like(node, _ask("joined", node.nodes))

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        return self._container(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        return self._container(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        return self._container(node) if node.ctx == "load" else node

    def _container(self, node: nodes.Expr) -> nodes.Expr:
        self.generic_visit(node)
        return _like(node, _ask("bounded", [node]))


class _Generation(Extension):
    """`{% generation %}` marks what an assistant says: two variables are put around it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        said = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        before, behind = (nodes.Output([nodes.Name(name, "load")]) for name in AROUND)
        return [before, *said, behind]


def _ask(name: str, values: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), values, [], None, None)


def _like(node: nodes.Node, other: _Node) -> _Node:
    """Return another node for the place, line and environment of a node."""
    other.set_lineno(node.lineno, override=True)
    if node.environment is not None:
        other.set_environment(node.environment)
    return other


def _refuse_wide(form: str) -> None:
    if _WIDE.search(form):
        raise SecurityError("it pads texts further than a line has")
