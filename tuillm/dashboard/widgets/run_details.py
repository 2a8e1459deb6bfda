"""What is known about one run: how far it is, what went wrong, its settings, its writing."""

from rich.text import Text

from tuillm.config import PRESETS, TrainConfig, settings_of
from tuillm.dashboard.widgets.details import Details, Part
from tuillm.dashboard.widgets.fact_table import Fact, facts, heading
from tuillm.loggers.log_run import progress_of
from tuillm.store.jsonl import newest_sample
from tuillm.store.run_status import ACTIVE, RESUMABLE, Status
from tuillm.store.snapshot import RunEntry
from tuillm.units import age, count, duration, figure, percent
from tuillm.urls import public_url

_SAMPLE = 600


class RunDetails(Details[RunEntry]):
    """The details pane of the table of runs."""

    HELP = "How far the run is, its settings beside those of its preset, and its newest sample."

    def title(self, entry: RunEntry) -> str:
        return entry.id

    def parts(self, entry: RunEntry, colors: dict[str, str]) -> list[Part]:
        status = entry.status
        parts: list[Part] = []
        if status.error:
            hint = status.hint or ("R takes it up again" if status.state in RESUMABLE else "")
            text = f"{status.error}\n{hint}\n"
            parts.append(Text(text, style=colors["error"]))
        parts += [facts(_progress(status) + _loggers(entry), colors)]
        if status.notes:
            notes = "".join(f"· {note}\n" for note in status.notes)
            parts.append(Text(notes, style=colors.get("muted", "")))
        if sample := newest_sample(entry.run.samples):
            text = sample.text.strip()[:_SAMPLE]
            title = f"What it wrote at step {sample.step:,}"
            parts += [heading(title, colors), Text(f"{text}\n", style="italic")]
        if entry.config:
            parts += [heading("Settings", colors), facts(chosen_settings(entry.config), colors)]
        return parts


def chosen_settings(config: TrainConfig) -> list[Fact]:
    """The text, the preset, and every setting that is not what the preset says."""
    preset = PRESETS[config.preset].settings if config.preset in PRESETS else {}
    rows = [("text", " ".join(map(public_url, config.corpus))), ("preset", config.preset)]
    for setting in settings_of(TrainConfig):
        value = getattr(config, setting.name)
        usual = preset.get(setting.name, setting.default)
        if setting.name not in ("corpus", "preset") and value != usual:
            rows.append((setting.name, setting.words(value)))
    return rows


def _loggers(entry: RunEntry) -> list[Fact]:
    """Where the run is logged to as well, or why it is not."""
    names = entry.config.log_to if entry.config else ()
    known = progress_of(entry.run)
    return [
        (name, known[name].error or known[name].where)
        for name in dict.fromkeys((*names, *known))
        if name in known
    ]


def _progress(status: Status) -> list[Fact]:
    left = f", {duration(status.eta)} left" if status.eta else ""
    held_out = "validation loss" if status.val_tokens != 0 else "loss on its text"
    best = (
        f"{figure(status.val_loss)} nats/token at step {status.best_step:,}"
        if (status.val_loss is not None and status.best_step is not None)
        else ""
    )
    before = (
        f"{figure(status.before_loss)} nats/token, "
        f"{figure(status.before_bits_per_byte)} bits per byte"
        if status.before_loss
        else ""
    )
    return [
        ("state", status.state),
        ("done", f"{percent(status.progress)}{left}"),
        ("step", f"{status.step:,}  (epoch {status.epoch:.1f})"),
        ("time", duration(status.elapsed)),
        (held_out, best),
        ("bits per byte", figure(status.bits_per_byte) if status.bits_per_byte else ""),
        ("before", before),
        (
            "speed" if status.state in ACTIVE else "last speed",
            f"{count(status.tokens_per_sec)} tokens/s" if status.tokens_per_sec else "",
        ),
        ("parameters", f"{status.parameters:,}" if status.parameters else ""),
        ("device", f"{status.device} {status.dtype}" if status.device else ""),
        ("ranks", ranks_words(status)),
        ("model", status.model or ""),
        ("started", age(status.created)),
    ]


def ranks_words(status: Status) -> str:
    """How many processes train together, and which of them is the slowest; "" for one alone."""
    if status.ranks < 2:
        return ""
    nodes = f" on {status.nodes} machines" if status.nodes > 1 else ""
    share = status.slowest_share
    slowest = f", slowest {status.slowest_rank} ({share:.2f} of the mean)" if share else ""
    return f"{status.ranks}{nodes}{slowest}"
