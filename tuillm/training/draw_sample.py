"""What a run writes by itself to show how it learns: always from the same prompt and seed.

Knows the parts of a run; does not know when a sample is due.
"""

from tuillm.config import SamplingConfig
from tuillm.training.hardware import autocast
from tuillm.training.setup import Setup


def draw_sample(setup: Setup, length: int, seed: int) -> str:
    """Return `length` tokens of text that continue the run's prompt, "" for none."""
    if not length:
        return ""
    config = SamplingConfig(max_new_tokens=length, seed=seed, lookup="off")
    was_training = setup.model.training  # it may be asked for in the middle of an evaluation
    setup.model.eval()
    setup.sampler.context.truncate(0)
    with autocast(setup.device, setup.eval_dtype):
        prompt = setup.sample_prompt
        text = "".join(token.text for token in setup.sampler.stream(prompt, config))
        if not isinstance(prompt, str):  # an answer is nothing without its question
            text = f"{setup.tokens.tokenizer.decode(prompt).strip()}\n→ {text.strip()}"
    setup.model.train(was_training)
    return text
