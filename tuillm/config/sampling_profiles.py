"""Sampling profiles: settings that go together, under one name. Knows no model and no file."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuillm.config.fields import settings_of
from tuillm.config.resolve import build_sampling
from tuillm.config.sampling_config import SamplingConfig
from tuillm.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Profile:
    """How the next token is chosen: the settings of the group `sampling`, and one sentence."""

    help: str
    settings: dict[str, object]


_NEUTRAL = {
    setting.name: setting.default
    for setting in settings_of(SamplingConfig)
    if setting.group == "sampling"
}

PROFILES = {
    "greedy": Profile("always the likeliest token", _NEUTRAL | {"temperature": 0.0}),
    "balanced": Profile("the settings as they come", _NEUTRAL),
    "wild": Profile(
        "anything that is not absurd", _NEUTRAL | {"temperature": 1.4, "top_k": 0, "min_p": 0.02}
    ),
}


def profile_settings(config: SamplingConfig) -> dict[str, object]:
    """Return what a profile keeps of a config."""
    return {name: getattr(config, name) for name in _NEUTRAL}


def apply_profile(
    name: str, config: SamplingConfig, own: Mapping[str, Mapping[str, object]] | None = None
) -> SamplingConfig:
    """Return `config` with the settings of a profile, one of `own` or a shipped one.

    Raises UsageError for an unknown name, naming the nearest, and for settings out of range.
    """
    known = {key: profile.settings for key, profile in PROFILES.items()} | dict(own or {})
    if name not in known:
        raise UsageError(
            f"there is no profile {name!r}",
            did_you_mean(name, known, "there are: " + ", ".join(known)),
        )
    return build_sampling(known[name], config)


def profile_of(
    config: SamplingConfig, own: Mapping[str, Mapping[str, object]] | None = None
) -> str:
    """Return the name of the profile a config has the settings of, or ''."""
    settings = profile_settings(config)
    known = dict(own or {}) | {key: profile.settings for key, profile in PROFILES.items()}
    return next((name for name, values in known.items() if settings == _NEUTRAL | dict(values)), "")
