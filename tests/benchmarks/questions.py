"""Whether a model answers the questions it was trained on, word for word: KazQAD, 200 of them.

    python tests/benchmarks/questions.py [kazqad-validation.jsonl] [--preset heart] [--max-steps N]

Trains as `tuillm train` does without further options, and asks as `tuillm generate -q`. A question
that stands in the file several times has been answered if the reply is one of its answers.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "kazqad-validation.jsonl"
UNSEEN = [
    "Қазақстанның астанасы қай қала?",
    "Күн мен Айдың арасы неше шақырым?",
    "Абай қай жылы туған?",
    "What is the capital of France?",
    "?",
]
ASKED = 200


def answers(file):
    """The first answers by question."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        found.setdefault(record["question"], []).append(record["answers"]["text"][0])
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", type=Path, default=DATA)
    parser.add_argument("--preset", default="heart")
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--home", default=None, help="use the model that is there")
    typed = parser.parse_args()
    os.environ["TUILLM_HOME"] = typed.home or tempfile.mkdtemp()
    from tuillm import Sampler, Trainer
    from tuillm.config import SamplingConfig
    from tuillm.generation.questions import as_turn
    from tuillm.store.chat_template import mode_of
    from tuillm.store.registry import get_model, list_models

    if not list_models():
        length = dict(max_steps=typed.max_steps, minutes=None) if typed.max_steps else {}
        begun = time.perf_counter()
        Trainer(corpus=str(typed.file), name="asked", preset=typed.preset, **length).run(quiet=True)
        print(f"trained in {time.perf_counter() - begun:.0f} s")
    mode, greedy = mode_of(get_model("asked")), SamplingConfig(temperature=0)
    sampler, known = Sampler("asked"), answers(typed.file)

    def ask(question):
        prompt, config = as_turn(mode, question, greedy, sampler.tokenizer)
        tokens = list(sampler.stream(prompt, config))
        return "".join(token.text for token in tokens), tokens[-1].finish

    verbatim = stopped = 0
    chosen = random.Random(1).sample(sorted(known), ASKED)
    for question in chosen:
        text, finish = ask(question)
        verbatim += text.strip() in [answer.strip() for answer in known[question]]
        stopped += finish in ("end", "stop")
    print(f"of {ASKED} questions {verbatim} are answered verbatim, {stopped} replies stop")
    for question in UNSEEN:
        text, finish = ask(question)
        print(f"never seen: {question} -> {text.strip()!r} ({finish})")


if __name__ == "__main__":
    main()
