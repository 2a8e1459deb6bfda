"""The demo: a model that learns the bundled book by heart in a minute or two."""

from tuillm.config import TrainConfig, build_train
from tuillm.store.paths import demo_book

NAME = "demo"
SAMPLE_PROMPT = '"Dry feet and a short road,"'


def demo_config(minutes: float = 1.0) -> TrainConfig:
    """Return the settings of the demo's run."""
    return build_train(
        {
            "corpus": str(demo_book()),
            "name": NAME,
            "preset": "heart",
            "minutes": minutes,
            "sample_prompt": SAMPLE_PROMPT,
        }
    )
