"""What a run says of itself in `status.json`, checked on reading: any process may have written it.

Knows fields and their limits; knows neither folders nor processes.
"""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tuillm.errors import printable
from tuillm.urls import hide_secrets

State = Literal["queued", "preparing", "running", "paused", "finished", "stopped", "failed", "lost"]

ACTIVE: tuple[State, ...] = ("queued", "preparing", "running", "paused")
RESUMABLE: tuple[State, ...] = ("stopped", "failed", "lost")
# what a front end may print and calculate with, whatever stands in the file
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Figure = Annotated[
    float | None,
    BeforeValidator(
        lambda value: None if isinstance(value, float) and not math.isfinite(value) else value
    ),
]

_Known = Annotated[float, Field(allow_inf_nan=False, ge=-1e100, le=1e100)]
_MOST_PARTS = 100

# sentences that may quote a path or an address: they are written down as they may be shown
_Shown = Annotated[str, AfterValidator(lambda text: printable(hide_secrets(text)))]


class Status(BaseModel):
    """The contents of `status.json`. Times are seconds; `heartbeat`, `created` since 1970.

    `val_loss` and `bits_per_byte` are the best so far, `best_step` when that was; `notes`
    are sentences about what was decided for the person; `model` is the published name. `doing`
    says what a run in `preparing` is busy with, and how far it is; in `queued` what it waits for.
    `queue_position` is 1 for the queued run that starts next.
    `before_loss` and `before_bits_per_byte` are those of the model that the run started from.
    `ranks` are the processes that train together, on so many `nodes`; `slowest_rank` takes
    `slowest_share` times as long as they do on average.
    `loss_curve` is the mean training loss of each part of the run so far.
    `extended_steps` is by how much the run was extended beyond its settings, all in all;
    `control_read` up to which byte of `control` the worker has done what it was asked to.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    state: State = "preparing"
    doing: str = ""
    queue_position: _Count = 0
    pid: _Count = 0
    process_started: float = 0.0
    created: float = 0.0
    heartbeat: float = 0.0
    step: _Count = 0
    progress: float = 0.0
    epoch: float = 0.0
    elapsed: float = 0.0
    eta: _Figure = None
    extended_steps: _Count = 0
    control_read: _Count = 0
    train_loss: _Figure = None
    loss_curve: Annotated[tuple[_Known, ...], Field(max_length=_MOST_PARTS)] = ()
    tokens_per_sec: _Figure = None
    val_loss: _Figure = None
    bits_per_byte: _Figure = None
    best_step: _Count | None = None
    before_loss: _Figure = None
    before_bits_per_byte: _Figure = None
    parameters: _Count | None = None
    train_tokens: _Count | None = None
    val_tokens: _Count | None = None
    ranks: _Count = 1
    nodes: _Count = 1
    slowest_rank: _Count = 0
    slowest_share: _Figure = None
    device: str | None = None
    dtype: str | None = None
    notes: tuple[_Shown, ...] = ()
    model: str | None = None
    error: _Shown | None = None
    hint: _Shown | None = None
