"""The house stands as it was drawn: who imports whom, and what a start costs."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tuillm

PACKAGE = Path(tuillm.__file__).parent

# package -> what of tuillm it may import, besides itself
ALLOWED = {
    "errors": set(),
    "units": set(),
    # what a person types or sees, on every layer: paths and addresses
    "user_paths": {"errors"},
    "urls": set(),
    # files and JSON of others: read with a bound, nothing in them executed
    "formats": {"errors"},
    "plotting": {"errors"},
    # the streams and the terminal that the shell gives us; all front ends go through it
    "terminal": {"errors"},
    "config": {"errors"},
    "store": {"errors", "units", "config"},
    "theme": {"errors", "store.files", "store.paths"},
    # how what is counted of a text is told; the record of it is with `store`'s workers
    "text_report": {"errors", "units", "store"},
    "text": {"errors", "units", "config", "store"},
    # what a run is logged to reads the files of its folder alone
    "loggers": {"errors", "store"},
    # C code, compiled on this machine; nothing of PyTorch
    "native": {
        "errors",
        "store.files",
        "store.locks",
        "store.paths",
        "store.processor",
        "store.workers.processes",
    },
    # which kernel is fastest here is remembered in the cache
    "model": {
        "errors",
        "units",
        "config",
        "native",
        "store.files",
        "store.locks",
        "store.paths",
        "store.processor",
        "store.temp_files",
        "store.workers.processes",
        "store.workers.reply_activity",
    },
    # Sampler takes a name of the registry, so generation may ask the store for its folder
    "generation": {"errors", "units", "config", "store", "text", "model", "native"},
    # it refuses a logger that is not installed, and starts the process that logs
    "training": {
        "errors",
        "units",
        "config",
        "store",
        "text",
        "model",
        "generation",
        "loggers.available",
    },
    # all that is measured, as a chat, a training run and `tuillm prepare` do it, and the formats
    # in which other programs get the same model
    "bench": {
        "errors",
        "config",
        "store",
        "text",
        "model",
        "native",
        "generation",
        "training",
        "convert.transformers_model",
        "convert.gguf_export",
        "convert.gguf_tensors",
    },
    "chat": {
        "errors",
        "units",
        "config",
        "store",
        "text",
        "model",
        "generation",
        "theme",
        "terminal",
    },
    # what ollama is told of a model is how the chat would talk to it
    # a model is compared with transformers as it writes: verify
    "convert": {"errors", "config", "store", "text", "model", "generation"},
    # before a run starts or is taken up again its text is looked at, which takes no torch
    "dashboard": {
        "errors",
        "units",
        "config",
        "store",
        "theme",
        "terminal",
        "plotting",
        "text_report",
        "loggers",
        "training.resume",
        "training.start_checks",
        # what was measured, read without measuring
        "bench.bench_history",
        "bench.bench_record",
        # a conversation, read without a model
        "chat.conversation.export_text",
        "chat.conversation.speaker_turns",
        "chat.conversation.tree",
    },
    "cli": {
        "errors",
        "config",
        "store",
        "text",
        "text_report",
        "loggers",
        "bench",
        "native",
        "model",
        "generation",
        "training",
        "chat",
        "convert",
        "dashboard",
        "theme",
        "units",
        "terminal",
        "plotting",
    },
}
# modules that are started as processes of their own by a layer that may not import them
STARTED = {
    ("native", "model.check_native"),
    ("store", "training.worker"),
    ("store", "training.forecast.process"),
    ("store", "training.device_probe"),
    ("store", "text.statistics.explore_worker"),
}
# front ends may show the same thing under the same name
FRONT_ENDS = {"cli", "chat", "dashboard"}
HEAVY = {"gguf", "torch", "transformers", "tiktoken", "textual", "prompt_toolkit"}


def _imports(tree: ast.AST) -> list[str]:
    """Full names of what a piece of code imports."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _for_types(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, which runs nothing."""
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_each_module_imports_only_what_its_layer_may(path):
    """The import table of the design holds for every module, lazy imports included."""
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer in ("__init__", "__main__"):
        return
    for name in _imports(ast.parse(path.read_text(encoding="utf-8"))):
        if not name.startswith("tuillm.") or name == "tuillm.__version__":
            continue
        target = name.removeprefix("tuillm.")
        allowed = ALLOWED[layer] | {layer, "user_paths", "urls", "formats"}
        assert any(target == one or target.startswith(one + ".") for one in allowed), (
            f"{layer} may not import {name}"
        )


def _needs(path):
    """The modules of ours that a module imports, types apart."""

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if not _for_types(child):
                yield from (
                    _imports(ast.Module([child], []))
                    if isinstance(child, ast.Import | ast.ImportFrom)
                    else walk(child)
                )

    for name in walk(ast.parse(path.read_text(encoding="utf-8"))):
        inside = PACKAGE.joinpath(*name.split(".")[1:])
        for target in (inside.with_suffix(".py"), inside.parent.with_suffix(".py")):
            if name.startswith("tuillm.") and target.is_file() and target != path:
                yield target
                break


def test_imports_go_in_no_circle():
    """But for the dashboard's keys, which are those of all its screens."""
    keymap = PACKAGE / "dashboard" / "keymap.py"
    graph = {path: {*_needs(path)} for path in PACKAGE.rglob("*.py") if path != keymap}
    assert len([*graphlib.TopologicalSorter(graph).static_order()]) >= len(graph)


def test_modules_named_in_strings_are_declared():
    """A call upwards through `python -m` is a call: the table says which there are."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if layer == "__init__":  # the homes of the public names, which are imported
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.value if isinstance(node, ast.Constant) else ""
            if isinstance(name, str) and re.fullmatch(r"tuillm(\.[a-z_]+)+", name):
                target = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
                allowed = ALLOWED.get(layer, ())
                if target.exists() and name.split(".")[1] not in (layer, *allowed):
                    found.add((layer, name.removeprefix("tuillm.")))
    assert found == STARTED


def test_a_module_is_known_by_its_name():
    """No two have the same one, unless they are one thing in two front ends."""
    places = {}
    for path in PACKAGE.rglob("*.py"):
        if path.stem not in ("__init__", "__main__"):
            places.setdefault(path.stem, []).append(path.relative_to(PACKAGE).parts[0])
    for name, layers in places.items():
        assert len(layers) == 1 or set(layers) <= FRONT_ENDS and len({*layers}) == len(layers), name


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda path: path.name)
def test_command_modules_import_heavy_libraries_only_when_called(path):
    """No verb costs torch, textual or prompt-toolkit before it is asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [
        name
        for node in tree.body
        for name in _imports(node)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) and not _for_types(node)
    ]
    assert not {name.split(".")[0] for name in top} & HEAVY
    heavy_layers = (
        "tuillm.model",
        "tuillm.generation",
        "tuillm.training",
        "tuillm.chat",
        "tuillm.convert",
    )
    assert not [name for name in top if name.startswith(heavy_layers)]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["list"], ["runs"]])
def test_the_command_line_starts_without_torch(arguments):
    """Help and the registry verbs load neither torch nor transformers nor tiktoken."""
    code = (
        "import sys; from tuillm.cli.main import main\n"
        f"sys.argv = ['tuillm', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(sorted({'torch', 'transformers', 'tiktoken', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


_VISIT = """
import asyncio, sys
from pathlib import Path
import tuillm.dashboard.app as module

first = set()

class Watched(module.Dashboard):
    CSS_PATH = Path(module.__file__).with_name("dashboard.tcss")

    def _load_rest(self):  # what the first frame can do without
        first.update(sys.modules)
        super()._load_rest()

async def visit():
    async with Watched().run_test(size=(120, 40)) as pilot:
        app = pilot.app
        while not app.has_snapshot:
            await pilot.pause(0.01)
        await pilot.press("1", "b")
        while not app.screen.query("BenchBars") or not app.screen.has_class("-nothing"):
            await pilot.pause(0.01)
        await pilot.press("escape", "2", "ctrl+l")
        app.screen.query_one("#field-corpus Input").value = BOOK
        await pilot.press("ctrl+e")
        while not app.screen.query("ExplorePanel"):
            await pilot.pause(0.01)
        await pilot.press("escape", "escape", "3")
        app.open_run("salt-road-3")
        while not app.screen.query("Chart") or not app.screen.query_one("Chart")._ready():
            await pilot.pause(0.01)
        await pilot.press("tab", "tab", "tab", "question_mark", "escape", "escape", "ctrl+p")

asyncio.run(visit())
print(sorted({"pydantic", "numpy"} & first))
heavy = {"torch", "transformers", "tiktoken", "tokenizers", "pyarrow", "regex"}
print(sorted(heavy & set(sys.modules)))
"""


def test_the_dashboard_draws_its_first_frame_without_what_it_does_not_need(home):
    """Visited all over it loads no torch, and before the first frame neither pydantic nor numpy.

    Each of these two costs a hundred of the 400 ms that the first frame may take.
    """
    from dashboard.furnished import furnish

    from tuillm.store.paths import demo_book

    furnish(home)
    done = subprocess.run(
        [sys.executable, "-c", _VISIT.replace("BOOK", repr(str(demo_book())))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["[]", "[]"], done.stderr


def test_importing_the_package_costs_nothing():
    """`import tuillm` loads none of the libraries behind it."""
    code = (
        "import tuillm, sys\n"
        "print(sorted({'torch', 'transformers', 'tiktoken', 'pydantic', 'click'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_the_classes_in_use():
    """`from tuillm import Trainer, Sampler` gives the very classes of worker and chat."""
    import tuillm.generation
    import tuillm.training

    assert tuillm.Trainer is tuillm.training.Trainer
    assert tuillm.Sampler is tuillm.generation.Sampler
    assert tuillm.TrainConfig.__module__ == "tuillm.config.train_config"
    assert all(getattr(tuillm, name) for name in tuillm.__all__)


def test_looking_at_a_text_from_python_loads_no_torch(home):
    """`tuillm.explore` counts without it."""
    code = (
        "import sys, tuillm\n"
        "corpus = tuillm.read_corpus(texts=[tuillm.demo_book().read_text()[:9000]])\n"
        "assert tuillm.explore(corpus).size.words\n"
        "print({'torch', 'transformers', 'textual', 'click'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_each_module_opens_with_what_it_does(path):
    """Every module has a docstring, and none has grown past 350 lines."""
    content = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(content))
    assert content.count("\n") <= 350
