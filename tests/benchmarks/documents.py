"""Whether samples begin and end as the documents of a corpus do: 5,000 recipes, 100 samples.

python tests/benchmarks/documents.py [--minutes 1] [--max-steps N]
"""

import argparse
import json
import os
import random
import re
import tempfile
from pathlib import Path

FOODS = "leek onion carrot potato bean lentil pepper tomato rice egg apple pear plum oat".split()
DISHES = "soup stew pie salad cake bread porridge curry omelette tart".split()
VERBS = "Chop Slice Boil Fry Bake Stir Wash Peel Roast Simmer".split()
AMOUNTS = "100 g,200 g,1 cup,2 cups,3 spoons,half a kilo".split(",")
RECIPE = re.compile(
    r"# [A-Z][a-z]+ [a-z]+ for \d+\n\nYou need:\n(- [^\n]+\n)+\n(\d+\. [^\n]+\n)+\nServe at once\."
)


def recipe(draw):
    """A record such as people have: a title, what is needed, steps, a last line."""
    main, *others = draw.sample(FOODS, draw.randint(2, 5))
    lines = [f"# {main.title()} {draw.choice(DISHES)} for {draw.randint(1, 8)}", "", "You need:"]
    lines += [f"- {draw.choice(AMOUNTS)} of {food}" for food in [main, *others]]
    lines.append("")
    for number, food in enumerate(draw.sample([main, *others], len(others) + 1), 1):
        minutes = draw.randint(2, 40)
        lines.append(f"{number}. {draw.choice(VERBS)} the {food} for {minutes} minutes.")
    return "\n".join([*lines, "", "Serve at once."])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--max-steps", type=int)
    typed = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    os.environ["TUILLM_HOME"] = str(folder / "home")
    from tuillm import Sampler, SamplingConfig, Trainer

    draw = random.Random(1)
    file = folder / "recipes.jsonl"
    file.write_text("".join(json.dumps({"text": recipe(draw)}) + "\n" for _ in range(5000)))
    length = dict(max_steps=typed.max_steps, minutes=None) if typed.max_steps else {}
    if not length:
        length = dict(minutes=typed.minutes)
    model = Trainer(corpus=str(file), preset="tiny", **length).run(quiet=True)
    sampler = Sampler(model.name)
    begun = ended = 0
    for seed in range(100):
        config = SamplingConfig(max_new_tokens=400, seed=seed)
        tokens = list(sampler.stream("", config))
        text = "".join(token.text for token in tokens)
        begun += bool(re.match(r"# [A-Z][a-z]+ [a-z]+ for \d+\n\nYou need:\n- ", text))
        ended += bool(RECIPE.fullmatch(text)) and tokens[-1].finish == "end"
    print(f"of 100 samples {begun} begin as a recipe does, {ended} are a whole one and stop")


if __name__ == "__main__":
    main()
