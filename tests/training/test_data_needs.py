"""Whether a text is enough for a model, in numbers and in words, before a run starts."""

from dataclasses import replace

import pytest

from tuillm.config import build_train
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.forecast.data_needs import overfits_after, with_data_needs
from tuillm.training.forecast.run_time import with_speed
from tuillm.training.forecast.static import look
from tuillm.training.stages import TEACHING

KNOWN = Forecast(
    train_tokens=1_000_000, val_tokens=100_000, parameters=1_000_000, dropout=0.0, epochs=3.0
)
TINY = build_train({"preset": "tiny", "token_dropout": 0.0})


@pytest.mark.parametrize(
    "known, words",
    [
        ({}, "tokens per parameter: 1, enough to learn from"),
        (dict(parameters=40_000), "tokens per parameter: 25, all that a model of this size"),
        (dict(parameters=10_000_000), "tokens per parameter: 0.1, little for a model"),
        ({}, "seen 3 times, each nearly as good as new text"),
        (dict(epochs=9.0), "seen 9 times, of which the first 4 teach most"),
        (dict(epochs=40.0), "seen 40 times: after about 16 little more is learned"),
        (dict(epochs=0.25), "only 25% of it is seen"),
        (dict(epochs=40.0, parameters=2_000_000), "seen 40 times, and after about 10 it overfits"),
    ],
)
def test_words_name_the_numbers(known, words):
    assert words in with_data_needs(TINY, replace(KNOWN, **known)).enough


def test_only_what_is_learned_counts():
    """Of conversations whose prompts are masked half as much teaches half as much."""
    seen = with_data_needs(TINY, replace(KNOWN, learned_share=0.5))
    assert seen.tokens_per_parameter == 0.5


def test_dropout_lets_a_text_be_seen_more_often():
    """Less so the more parameters there are for each token."""
    crowded = replace(KNOWN, parameters=30_000_000)
    dropped = overfits_after(TINY, replace(crowded, dropout=0.3))
    assert overfits_after(TINY, crowded) == 10
    assert dropped == 70
    assert 10 < overfits_after(TINY, replace(crowded, dropout=0.3, parameters=10**8)) < dropped
    assert overfits_after(TINY, replace(KNOWN, parameters=999_999)) is None
    noisy = TINY.model_copy(update={"token_dropout": 0.1})
    assert overfits_after(noisy, crowded) == 30


@pytest.mark.parametrize(
    "length", [{"minutes": 10.0}, {"max_steps": 1000, "minutes": None}], ids=str
)
def test_teachers_share_a_run(length):
    """Steps that learn from them take longer; what a text is seen is seen by one of the models."""
    seen = replace(KNOWN, tokens_per_step=1000, steps_per_epoch=10.0)
    alone = build_train({"preset": "nano", "max_steps": None, "sample_tokens": 0} | length)
    taught = alone.model_copy(update={"teachers": 3})
    one, several = (with_speed(config, seen, 0.5, 0.0) for config in (alone, taught))
    teaching, taught_steps = TEACHING, 1 - TEACHING
    if alone.minutes:
        assert one.steps == 1200 and several.seconds == one.seconds == 600
        # each step takes twice as long, so they are half as many
        assert several.steps == int(teaching * 1200 + taught_steps * 1200 / 2)
        assert several.epochs == pytest.approx(max(teaching / 3, taught_steps / 2) * 120, rel=1e-3)
    else:
        assert one.seconds == 500
        assert several.seconds == pytest.approx(1000 * (teaching * 0.5 + taught_steps * 1.0))
        assert several.epochs == pytest.approx(max(teaching / 3, taught_steps) * 100)


def test_nothing_is_judged_where_a_text_is_meant_to_be_learned_by_heart_or_a_model_goes_on():
    heart = with_data_needs(build_train({"preset": "heart"}), replace(KNOWN, val_tokens=0))
    assert heart.enough.endswith("seen 3 times, to be learned by heart")
    assert heart.overfits_after is None
    tuned = build_train({"preset": "finetune", "init_from": "gpt2"}, {})
    assert with_data_needs(tuned, KNOWN).tokens_per_parameter is None


def test_a_look_knows_documents_and_masked_share(tmp_path):
    """Questions are read and not learned: most of these records are questions."""
    source = tmp_path / "asked.jsonl"
    long = "why is the sky so blue in the evening over the sea, and not at noon over the land"
    rows = [f'{{"question": "{n} {long}?", "answer": "because {n}"}}\n' for n in range(60)]
    source.write_text("".join(rows))
    seen = look(build_train({"corpus": (str(source),), "preset": "nano"}))
    assert seen.documents == 60
    assert 0.1 < seen.learned_share < 0.5
    assert seen.tokens_per_parameter == pytest.approx(
        seen.train_tokens * seen.learned_share / seen.parameters
    )
    plain = tmp_path / "plain.txt"
    plain.write_text((long + ".\n") * 60)
    assert look(build_train({"corpus": (str(plain),), "preset": "nano"})).learned_share == 1
