"""Logs a run to Weights & Biases: online with an account, else offline into the run's folder.

Steps never go back there: those that a resumed run takes again are left out. Its own environment
variables hold (WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE, WANDB_API_KEY).
"""

import os

from tuillm.loggers.logger import LoggedRun, run_key, scalars
from tuillm.loggers.markup import preformatted
from tuillm.store.jsonl import MetricsRow, Sample
from tuillm.store.paths import ensure_dir

_PROJECT = "tuillm"


class WandbLogger:
    """Feeds one wandb run, which a later process takes up again by its id."""

    def __init__(self, run: LoggedRun, after: int) -> None:
        """Open the run at wandb; raises wandb's errors where it cannot be reached."""
        import wandb

        self._wandb, self._last = wandb, after
        online = os.environ.get("WANDB_MODE", "online") == "online" and _has_account()
        quiet = wandb.Settings(
            console="off", silent=True, save_code=False, x_disable_stats=not run.going
        )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            id=run_key(run),
            name=run.id,
            dir=str(ensure_dir(run.folder / "wandb").parent),
            mode="online" if online else "offline",
            resume="allow" if online else None,
            config=run.settings | {"forecast": run.forecast},
            settings=quiet,
        )
        self._run.define_metric("val/*", summary="min")
        self.hint = ""
        if online:
            self.where = str(self._run.url)
        else:
            self.where = os.path.dirname(self._run.dir)
            # each process that goes on with the run offline has a folder of its own
            self.hint = f"wandb sync {os.path.dirname(self.where)}/offline-run-*"

    def step(self, row: MetricsRow) -> None:
        """Log the figures, unless that step was logged."""
        if row["step"] > self._last:
            self._last = row["step"]
            self._run.log(scalars(row), step=row["step"])

    def sample(self, sample: Sample) -> None:
        """Log a text with the step it was drawn after, or the one that is logged last."""
        step = max(sample.step, self._last)
        self._run.log({"samples": self._wandb.Html(preformatted(sample.text))}, step=step)

    def rewind(self, step: int) -> None:
        """Leave it: its steps never go back."""

    def flush(self) -> None:
        """It sends by itself."""

    def finish(self, state: str) -> None:
        """Close the run, as failed where it failed."""
        self._run.summary["state"] = state
        self._run.finish(exit_code=0 if state in ("finished", "stopped") else 1)


def _has_account() -> bool:
    import wandb

    return bool(wandb.login(prompt=False, verify=False))  # type: ignore[call-arg, unused-ignore]
