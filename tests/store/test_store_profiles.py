"""Sampling profiles: those that come with tuillm, and a person's own by model."""

import json

import pytest

from tuillm.config import SamplingConfig, build_sampling
from tuillm.config.sampling_profiles import PROFILES, apply_profile, profile_of
from tuillm.errors import TuillmError, UsageError
from tuillm.store.user_profiles import profiles_of, remove_profile, save_profile


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profiles(name):
    """Each is valid, sets how tokens are chosen and nothing else, and is known again."""
    odd = build_sampling(
        {
            "temperature": 3,
            "top_k": 7,
            "top_p": 0.5,
            "min_p": 0.5,
            "repetition_penalty": 2,
            "seed": 4,
            "stop": "x",
            "max_new_tokens": 9,
        }
    )
    found = apply_profile(name, odd)
    assert profile_of(found) == name and PROFILES[name].help
    assert (found.seed, found.stop, found.max_new_tokens) == (4, ("x",), 9)
    assert found.model_copy(update={"stop": (), "seed": None, "max_new_tokens": 200}) == (
        apply_profile(name, SamplingConfig())
    )


def test_own_profiles_stay_with_their_model(home):
    """Saved for one model, there for that one only, in a file beside the models."""
    assert profiles_of("book") == {}
    save_profile("book", "calm", build_sampling({"temperature": 0.3, "seed": 5}))
    save_profile("book", "calm", build_sampling({"temperature": 0.2}))
    save_profile("other", "odd", build_sampling({"top_k": 2}))
    own = profiles_of("book")
    assert list(own) == ["calm"] and "seed" not in own["calm"]
    config = apply_profile("calm", SamplingConfig(), own)
    assert config == build_sampling({"temperature": 0.2}) and profile_of(config, own) == "calm"
    assert profile_of(config) == "" and (home / "profiles.json").is_file()
    remove_profile("book", "calm")
    assert profiles_of("book") == {} and list(profiles_of("other")) == ["odd"]


def test_names_are_checked():
    """Shipped names and odd ones are refused; an unknown one names the nearest."""
    for name in ("wild", "a b", ""):
        with pytest.raises(UsageError):
            save_profile("book", name, SamplingConfig())
    with pytest.raises(UsageError, match="did you mean 'balanced'"):
        apply_profile("balancd", SamplingConfig())
    with pytest.raises(TuillmError, match="no profile 'calm'"):
        remove_profile("book", "calm")


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"book": 5}', '{"book": {"calm": 5}}', '{"book": {"calm": {"top_k": -1}}}'],
)
def test_a_damaged_file(home, content):
    """Is told in one line and never written over."""
    home.mkdir()
    (home / "profiles.json").write_text(content)
    for call in (
        lambda: profiles_of("book"),
        lambda: save_profile("book", "calm", SamplingConfig()),
    ):
        with pytest.raises(TuillmError, match="profiles.json is damaged") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert (home / "profiles.json").read_text() == content
    if content.startswith('{"book'):
        save_profile("other", "calm", SamplingConfig())
        assert json.loads((home / "profiles.json").read_text())["book"]
