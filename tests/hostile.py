"""A home full of what nobody means well with: names, cards and figures that act on a terminal.

    home = hostile_home(path, folder)     # `folder` is a real model, which is copied
    acts(raw)                             # what of it a terminal would have obeyed

Names stand on the disk as a person could put them there by hand: any bytes but `/` and NUL.
"""

import json
import os
import re
import shutil
import time
from pathlib import Path

# every sequence carries this number, so that it is told from those that the program itself sends
MARK = "31337"
EVIL = (
    f"\x1b[{MARK}mred\x1b]52;c;MzEzMzc=\x07clip\x1bP{MARK}\x1b\\\x9b{MARK}mblink"
    f"\x90{MARK}\x9c\u202eback\u2066to\u200ffront\u2028line\x08\x7f\x0bend"
)
NAMES: tuple[bytes, ...] = (
    EVIL.encode(),
    b"raw\x9b31337m\x1b[31337m\xff",
    b"caf\xe9",
    b"new\nline",
    b"tab\there",
    b"back\r\x1b[31337A",
    b"x" * 250,
    "漢".encode() * 80,
    b"[]] [b",
    b"[red]mark[@click=x]",
    b"-rf",
    b"--json",
    b" blank ",
    b"'quoted\"",
    b"back\\slash",
    b"$(reboot)",
    b"%s{}{0}",
    b"\n",
)
# JSON as Python and JavaScript write it, and as nobody should
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e300",
    "9" * 300,
    "-1",
    "1e-320",
    "0.5",
    '"many"',
    "[1]",
    "{}",
    "null",
    "true",
)
_ACTS = re.compile(
    rb"\x1b\[[0-9;?]*31337|\x1b\]52|\x1bP31337|=\x07|\x08|\x7f|\x0b"  # never our own
    rb"|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xd8\x9c"
)


def acts(raw: bytes) -> list[bytes]:
    """What stands in an output that a terminal obeys and that came out of the data."""
    found = [match[0] for match in _ACTS.finditer(raw)]
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        found.append(raw[error.start : error.start + 1])
    return found


def hostile_home(home: Path, folder: Path) -> Path:
    """Fill an empty home with models, runs, pulls and conversations; return it."""
    for number, name in enumerate(NAMES):
        model = shutil.copytree(folder, _beside(home, "models", name))
        _write(model / "tuillm.json", _card(number))
        _run(_beside(home, "runs", name), number)
        _pull(_beside(home, "pulls", name), number)
        _conversation(_beside(home, "chats", name[:240] + b".json"))
    for number, value in enumerate(NUMBERS):
        model = shutil.copytree(folder, _beside(home, "models", b"number-%d" % number))
        _write(model / "tuillm.json", _figures(value))
        _write(model / "config.json", _figures(value))
        _run(_beside(home, "runs", b"number-%d" % number), number, value)
        _pull(_beside(home, "pulls", b"number-%d" % number), number, value)
    shutil.copytree(folder, home / "models" / "demo")
    _damage(home)
    return home


def text_of(name: bytes) -> str:
    """A name as Python hands it on."""
    return os.fsdecode(name)


def _beside(home: Path, part: str, name: bytes) -> Path:
    (home / part).mkdir(parents=True, exist_ok=True)
    return home / part / text_of(name)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogatepass")


def _card(number: int) -> str:
    """A card whose every text is evil."""
    texts = (
        "parent",
        "source",
        "revision",
        "run",
        "corpus",
        "corpus_sha256",
        "lora",
        "tokenizer",
        "template",
        "tuillm_version",
    )
    card = {name: f"{name} {EVIL}\nsecond \ud800 [/] [b]" for name in texts}
    card["run"] = text_of(NAMES[number % 3])
    origin = ("trained", "fine-tuned", "pulled", "imported")[number % 4]
    return json.dumps(
        card
        | {
            "origin": origin,
            "stop": [EVIL, "\ud800"],
            "parameters": 10**20,
            "val_loss": 2.5,
            "bits_per_byte": 1.5,
            "created": time.time(),
        }
    )


def _figures(value: str) -> str:
    names = (
        "corpus_bytes",
        "parameters",
        "steps",
        "val_loss",
        "bits_per_byte",
        "created",
        "n_layer",
        "n_head",
        "n_embd",
        "n_positions",
        "vocab_size",
        "layer_norm_epsilon",
    )
    return "{" + ", ".join(f'"{name}": {value}' for name in names) + "}"


def _run(path: Path, number: int, value: str = "") -> None:
    path.mkdir(parents=True)
    evil = {
        "error": f"error {EVIL}\n[/]",
        "hint": EVIL,
        "model": f"model {EVIL}",
        "device": EVIL,
        "dtype": EVIL,
        "notes": [f"note {EVIL}\ntwo", "[/b] \ud800"],
    }
    state = ("finished", "stopped", "failed", "running", "lost")[number % 5]
    status = {
        "state": state,
        "step": 7,
        "progress": 0.5,
        "created": time.time(),
        "pid": 2**30,
        "val_loss": 2.0,
        "best_step": 3,
        "parameters": 1000,
    } | evil
    text = json.dumps(status)
    numbers = (
        "step",
        "progress",
        "epoch",
        "elapsed",
        "eta",
        "train_loss",
        "tokens_per_sec",
        "val_loss",
        "bits_per_byte",
        "best_step",
        "before_loss",
        "before_bits_per_byte",
        "parameters",
        "train_tokens",
        "val_tokens",
        "created",
        "heartbeat",
    )
    if value:
        # one at a time: a whole status of wrong kinds is refused as damaged, and nothing is drawn
        one = numbers[number % len(numbers)]
        text = text[:-1] + f', "{one}": {value}' + "}"
    _write(path / "status.json", text)
    _write(
        path / "run.json",
        json.dumps(
            {
                "corpus": [f"/books/{EVIL}\ud800.txt"],
                "preset": "nano",
                "name": "book",
                "sample_prompt": EVIL,
                "init_from": f"parent {EVIL}",
            }
        ),
    )
    rows = ['{"step": 1, "train_loss": 5.0, "elapsed": 1.0, "tokens_per_sec": 9.0, "eta": 1.0}']
    for each in NUMBERS:
        rows.append(
            "{"
            + ", ".join(
                f'"{name}": {each}'
                for name in (
                    "step",
                    "train_loss",
                    "val_loss",
                    "bits_per_byte",
                    "lr",
                    "grad_norm",
                    "elapsed",
                    "tokens_per_sec",
                    "mfu",
                    "epoch",
                    "eta",
                    "progress",
                )
            )
            + "}"
        )
        rows.append('{"step": 2, "train_loss": ' + each + "}")
    rows += [
        '{"resumed": "x"}',
        "[]",
        "7",
        f'{{"step": 3, "train_loss": 4.0, "val_loss": 4.1, "note": {json.dumps(EVIL)}}}',
    ]
    _write(path / "metrics.jsonl", "\n".join(rows) + "\n")
    samples = [
        {"step": 1, "text": EVIL},
        {"step": EVIL, "text": 7},
        {"text": None},
        {"step": 2, "text": f"{EVIL}\n\ud800 [/] [b]x"},
    ]
    _write(path / "samples.jsonl", "".join(json.dumps(row) + "\n" for row in samples))
    _write(path / "log.txt", f"log {EVIL}\n[/] [b]\n")


def _pull(path: Path, number: int, value: str = "") -> None:
    path.mkdir(parents=True)
    state = ("fetching", "verifying", "cancelled", "failed", "lost")[number % 5]
    status = {
        "state": state,
        "repo": f"org/{EVIL}",
        "revision": EVIL,
        "commit": EVIL,
        "name": f"pull {EVIL}",
        "note": EVIL,
        "error": f"error {EVIL}\n[/]",
        "hint": EVIL,
        "done": 5,
        "total": 10,
        "pid": 2**30,
        "files": {EVIL: [1, 2]},
    }
    text = json.dumps(status)
    if value:
        one = ("done", "total", "rate", "eta", "created")[number % 5]
        text = text[:-1] + f', "{one}": {value}' + "}"
    _write(path / "status.json", text)
    _write(path / "model.safetensors.partial", "x")


def _conversation(path: Path) -> None:
    head = {"model": EVIL, "title": f"title {EVIL}", "nodes": 2, "mode": EVIL, "updated": 1e18}
    _write(path, json.dumps({"session": head, "settings": {}, "tree": {}}))


def _damage(home: Path) -> None:
    """What is no JSON, or not of a model or a run; and names of themes and keys."""
    for part, file in (
        ("models", "tuillm.json"),
        ("models", "config.json"),
        ("runs", "status.json"),
        ("runs", "run.json"),
        ("pulls", "status.json"),
    ):
        for number, text in enumerate(
            (
                f'{{"{EVIL}": ',
                "[" * 100_000,
                "",
                f'"{EVIL}"',
                "\0",
                json.dumps({"origin": EVIL, "state": EVIL, "preset": EVIL, EVIL: EVIL}),
            )
        ):
            folder = home / part / f"damaged-{file.partition('.')[0]}-{number}\x1b[{MARK}m"
            folder.mkdir(parents=True)
            (folder / file).write_text(text)
    themes = home / "config" / "themes"
    themes.mkdir(parents=True)
    (themes / f"{EVIL}.toml").write_text("dark = 1")
    (themes / "wrong.toml").write_text(f'about = """{EVIL[:8].encode("unicode_escape").decode()}')
    (themes / text_of(b"caf\xe9.toml")).mkdir()
    (home / "config" / "keymap.toml").write_text(f'"{MARK}" = "{MARK}"\nx = ["\\u001b[{MARK}m"]\n')
