"""Where the time of a step goes: PyTorch's profiler over some steps of a run.

Knows torch.profiler and a folder to write to; takes no step itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.profiler import ProfilerAction, profile, schedule

from tuillm.errors import DiskError
from tuillm.store.files import new_file, write_text

TRACE, TABLE = "trace.json", "profile.txt"
# steps that are not looked at: the first ones compile and fill caches
_WARM = 3
_ROWS = 25


@contextmanager
def profiled(steps: int, folder: Path, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Yield what is to be called after each step; `steps` of them, after three, are profiled.

    Writes `trace.json`, which https://ui.perfetto.dev opens, and `profile.txt`, the operations that
    take longest, into the run's folder. With 0 steps nothing happens. A disk that refuses costs the
    profile alone.
    """
    if not steps:
        yield lambda: None
        return

    def ready(found: "profile") -> None:
        table = found.key_averages().table(
            sort_by="self_cpu_time_total", row_limit=_ROWS, max_name_column_width=50
        )
        try:
            with new_file(folder / TRACE) as path:
                found.export_chrome_trace(str(path))
            write_text(folder / TABLE, f"{steps} steps\n{table}\n")
        except DiskError as error:
            say(f"no profile: {error.message}")
            return
        say(f"profiled {steps} steps: {folder / TABLE}; {folder / TRACE} is for ui.perfetto.dev")

    plan = schedule(wait=_WARM - 1, warmup=1, active=steps, repeat=1)
    with profile(schedule=plan, on_trace_ready=ready, acc_events=True) as running:

        def after_step() -> None:
            # when it is over, stepping on would cost time
            if running.current_action is not ProfilerAction.NONE or running.step_num < _WARM:
                running.step()

        yield after_step
