"""What each preset is said to take, beside the forecast of a run with that preset."""

import pytest

from tuillm.config import PRESETS, build_train
from tuillm.config.families import new_shape
from tuillm.store.workers.forecast_process import Forecast
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES
from tuillm.training.forecast.preset_estimates import preset_estimates
from tuillm.training.forecast.process import forecast


def by_name(estimates):
    return {each.name: each for each in estimates}


def test_without_a_text_a_book_is_assumed():
    """Sizes and memory for all that begin from scratch; a time where it is set in minutes."""
    found = by_name(preset_estimates(build_train({}), Forecast()))
    assert list(found) == [name for name in PRESETS if name != "finetune"]
    assert found["best"].seconds == 45 * 60 and found["medium"].seconds is None
    assert found["gpt2"].parameters == 124_439_808
    assert found["gpt2-xl"].memory > found["gpt2"].memory > found["tiny"].memory


@pytest.mark.parametrize("arch", ["llama", "qwen3"])
def test_they_are_of_the_blocks_that_were_chosen(arch):
    """All presets but the one without blocks have as many parameters as their models will."""
    found = by_name(preset_estimates(build_train({"arch": arch}), Forecast()))
    plain = by_name(preset_estimates(build_train({}), Forecast()))
    assert found["bigram"] == plain["bigram"]
    for name in ("tiny", "small", "gpt2"):
        config = build_train({"preset": name, "arch": arch})
        entries = GPT2_ENTRIES if config.tokenizer == "gpt2" else 2048
        shape = new_shape(config, entries, config.block_size)
        assert found[name].parameters == shape.parameter_count != plain[name].parameters


def test_memory_that_is_not_there():
    found = by_name(preset_estimates(build_train({}), Forecast(memory_available=10**9)))
    assert found["tiny"].fits and not found["gpt2-xl"].fits


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "bigram"])
def test_it_is_what_a_forecast_with_that_preset_tells(book, name):
    """Parameters and memory are the same, there is a time: the machine was measured."""
    *_, of_tiny = forecast(build_train({"corpus": str(book), "tokenizer": "char"}))
    *_, own = forecast(build_train({"corpus": str(book), "preset": name, "tokenizer": "char"}))
    found = by_name(of_tiny.presets)[name]
    assert found.seconds and own.seconds
    assert found.parameters == pytest.approx(own.parameters, rel=0.2)
    assert found.memory == pytest.approx(own.memory_needed, rel=0.2)


def test_a_run_from_a_model_has_its_shape(home, model):
    config = build_train({"init_from": model, "preset": "finetune"})
    assert preset_estimates(config, Forecast()) == ()
