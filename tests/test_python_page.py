"""The code on docs/python.md runs, one block after the other, as a reader would paste it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_code_of_the_page_is_python():
    """Each block for itself."""
    assert len(BLOCKS) > 5
    for block in BLOCKS:
        compile(block, str(PAGE), "exec")


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, home, book_text, trained_folders):
    """With the files it names, and a small model called gpt2; runs end after three steps."""
    for name in ("book.txt", "letters.txt", "one.txt", "two.txt"):
        (tmp_path / name).write_text(book_text[:20_000], encoding="utf-8")
    for number, name in enumerate(("one.jsonl", "two.jsonl")):
        rows = [{"question": f"{n}?", "answer": f"{n + number}."} for n in range(30)]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    shutil.copytree(trained_folders["bpe"], home / "models" / "gpt2")
    code = "\n".join(BLOCKS).replace("Trainer(", "Trainer(max_steps=3, ")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    models = {path.name for path in (home / "models").iterdir()}
    assert models >= {"kafka", "both", "letters", "letters-gpt2", "post", "counting", "questions"}
