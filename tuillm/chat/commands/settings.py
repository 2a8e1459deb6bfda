"""The commands that say how the model speaks: settings, profiles, modes, models, colours."""

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.roles import system, tell_unread_system
from tuillm.config import SamplingConfig, Setting, build_sampling, settings_of
from tuillm.config.fields import with_escapes
from tuillm.config.sampling_profiles import PROFILES, apply_profile, profile_of, profile_settings
from tuillm.config.suggestions import meant_name, pointer
from tuillm.errors import UsageError
from tuillm.store.chat_template import choose_mode
from tuillm.store.model_sampling import GENERATION_CONFIG, folder_sampling, model_sampling
from tuillm.store.run_checkpoints import resolve_model
from tuillm.store.user_profiles import profiles_of, remove_profile, save_profile
from tuillm.theme import choose_theme, list_themes, load_theme
from tuillm.units import count, figure

# the profile of what a model's folder tells of
_MADE = "model"
# what the settings of other programs are where ours is no setting of a reply
_BESIDE = {
    "num_samples": "/retry N",
    "prompt": "what you type: the model goes on with it",
    "stats": "the line below the text",
    "model": "/model NAME",
    "dtype": "--dtype of tuillm chat NAME",
    "device": "--device of tuillm chat NAME",
    "draft": "--draft of tuillm chat NAME",
    "context": "--context of tuillm chat NAME",
}


def set_(chat: Chat, rest: str) -> None:
    """`/set temperature 0.7`, `/set stop "\\n\\n" "THE END"`, `/set profile wild`, `/set top_k`."""
    name, value = _name_and_value(rest)
    known = {each.name: each for each in settings_of(SamplingConfig)}
    if name == "system":  # as in ollama
        system(chat, value.strip())
        return
    if name == "profile":
        chat.set_config(apply_profile(value.strip(), chat.config, _profiles(chat)))
        chat.screen.note(f"it speaks {value.strip()} now: {_spoken(chat.config)}")
        return
    if name in known and not value.strip():
        about = [known[name].help, known[name].range]
        chat.screen.note(
            f"{name} is {_words(known[name], chat.config)}: " + "; ".join(filter(None, about))
        )
        return
    chat.set_config(apply_set(rest, chat.config))
    chat.screen.note(f"{name} is {_words(known[name], chat.config)}")


def apply_set(rest: str, config: SamplingConfig) -> SamplingConfig:
    """Return `config` changed by the words of a /set; raises UsageError when they do not fit."""
    name, value = _name_and_value(rest)
    known = [setting.name for setting in settings_of(SamplingConfig)]
    names = ", ".join(known)
    if name and name not in known:
        hint = pointer(name, {each: each for each in known} | _BESIDE)
        raise UsageError(f"there is no setting {name!r}", hint or names)
    if not name or not value.strip():
        raise UsageError("/set wants a name and a value, as in /set temperature 0.7", names)
    return build_sampling({name: _value(name, value.strip())}, config)


def _name_and_value(rest: str) -> tuple[str, str]:
    """Split the words of a /set, `temp 0.7` or ollama's `parameter temp 0.7`, the name as ours."""
    name, _, value = rest.removeprefix("parameter ").strip().partition(" ")
    known = [setting.name for setting in settings_of(SamplingConfig)]
    return meant_name(name, [*known, "profile"]) or name, value


def show(chat: Chat, rest: str) -> None:
    """`/show`: what the model is, the settings, the profiles."""
    card, config = chat.model.card, chat.config
    about = [
        (
            chat.model.name,
            f"{count(card.parameters)} parameters, "
            f"{figure(card.bits_per_byte)} bits/byte, {card.origin}"
            + (f" from {card.parent}" if card.parent else ""),
        ),
        ("mode", chat.mode.name),
    ]
    if chat.open:
        sampler = chat.sampler
        about += [("precision", sampler.precision), ("drafts", sampler.speculation.words)]
        about += [("kernel", sampler.kernel)] if sampler.kernel else []
        about += [("context", sampler.context.words)]
    made = folder_sampling(chat.model.path)
    rows = [
        (setting.name, _words(setting, config), setting.help + _origin(setting.name, config, made))
        for setting in settings_of(SamplingConfig)
    ]
    own = _profiles(chat)
    name = profile_of(config, own)
    profiles = [
        (each, ("now: " if each == name else "") + profile.help)
        for each, profile in PROFILES.items()
    ]
    profiles += [
        (each, ("now: " if each == name else "") + ("its makers'" if each == _MADE else "yours"))
        for each in own
    ]
    chat.screen.table(about)
    chat.screen.table(rows)
    chat.screen.note("profiles, for /set profile")
    chat.screen.table(profiles)


def profile(chat: Chat, rest: str) -> None:
    """`/profile save NAME` keeps how the model speaks now; `/profile rm NAME` forgets it."""
    verb, _, name = rest.partition(" ")
    if verb not in ("save", "rm") or not name.strip():
        raise UsageError(
            "/profile wants save or rm, and a name",
            "as in /profile save quiet; /show lists them, /set profile NAME takes one",
        )
    if verb == "save":
        save_profile(chat.model.name, name.strip(), chat.config)
        chat.screen.note(f"kept for {chat.model.name}: /set profile {name.strip()}")
    else:
        remove_profile(chat.model.name, name.strip())
        chat.screen.note(f"the profile {name.strip()} is gone")


def mode(chat: Chat, rest: str) -> None:
    """`/mode chat` takes turns by a template, `/mode completion` goes on with one text."""
    chat.set_mode(choose_mode(rest, chat.model))
    chat.screen.note(describe_mode(chat))
    tell_unread_system(chat)


def describe(chat: Chat) -> None:
    """Say how the model takes what one types, and which settings are its makers'."""
    chat.screen.note(describe_mode(chat))
    if told := describe_sampling(chat):
        chat.screen.note(told)


def describe_sampling(chat: Chat) -> str:
    """The line that says which settings come from the model's folder, or ''."""
    made = folder_sampling(chat.model.path)
    held = [name for name in made if getattr(chat.config, name) == made[name]]
    known = {each.name: each for each in settings_of(SamplingConfig)}
    told = ", ".join(f"{name} {_words(known[name], chat.config)}" for name in held)
    return f"{told}: as its {GENERATION_CONFIG} says" if told else ""


def _origin(name: str, config: SamplingConfig, made: dict[str, object]) -> str:
    held = name in made and made[name] == getattr(config, name)
    return f" ({GENERATION_CONFIG})" if held else ""


def _profiles(chat: Chat) -> dict[str, dict[str, object]]:
    """The person's own profiles for a model, and that of its makers."""
    found: dict[str, dict[str, object]] = {}
    if folder_sampling(chat.model.path):
        found[_MADE] = profile_settings(model_sampling(chat.model.path))
    return found | profiles_of(chat.model.name)


def describe_mode(chat: Chat) -> str:
    """The lines that say how the model takes what one types, and why not by its template."""
    problem = chat.mode.problem
    return _described(chat) + (f"\n{problem}; it is not used" if problem else "")


def _described(chat: Chat) -> str:
    if not chat.mode.turns:
        return f"{chat.model.name} continues your text. /help explains, Ctrl-D leaves."
    made = (
        "answers you"
        if chat.mode.special or chat.model.card.mode == "qa" or chat.model.card.template
        else ("takes turns with you, though it was not made for it: /mode completion goes back")
    )
    return f"{chat.model.name} {made}. /help explains, Ctrl-D leaves."


def model(chat: Chat, rest: str) -> None:
    """`/model NAME`: the text so far stays, another model goes on with it."""
    if not rest:
        raise UsageError("/model wants the name of a model", "tuillm list shows them")
    drafted = chat.drafting
    chat.use_model(resolve_model(rest))
    if drafted is not None:
        chat.screen.note(f"{drafted.name} does not draft for it: tuillm chat NAME --draft MODEL")
    describe(chat)
    tell_unread_system(chat)


def theme(chat: Chat, rest: str) -> None:
    """`/theme NAME`: other colours from now on, kept."""
    if not rest:
        names = ", ".join(theme.name for theme in list_themes()[0])
        raise UsageError("/theme wants a name", names)
    chosen = load_theme(rest)
    chat.screen.use_theme(chosen)
    choose_theme(rest)
    chat.screen.note(f"{chosen.name}: {chosen.about}" if chosen.about else chosen.name)


def _spoken(config: SamplingConfig) -> str:
    named = [each for each in settings_of(SamplingConfig) if each.group == "sampling"]
    return ", ".join(f"{each.name} {_words(each, config)}" for each in named)


def _words(setting: Setting, config: SamplingConfig) -> str:
    value = getattr(config, setting.name)
    return value if isinstance(value, str) else setting.words(value)


def _value(name: str, value: str) -> object:
    """The typed words as the setting takes them: several stop strings may each be in quotes."""
    if value.lower() in ("none", "auto", "off") and name in ("seed", "stop"):
        return None if name == "seed" else ()
    return _quoted(value) if name == "stop" else value


def _quoted(value: str) -> list[str]:
    """Split '"a b" "c"' into its texts; without quotes all of it is one. \\n is a line end."""
    parts, rest = [], value
    while rest[:1] in ("'", '"') and (end := rest.find(rest[0], 1)) > 0:
        parts.append(rest[1:end])
        rest = rest[end + 1 :].lstrip()
    texts = parts if parts and not rest else [value]
    return list(map(with_escapes, texts))
