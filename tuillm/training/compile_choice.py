"""Whether the steps of a run are compiled: as set, or where that pays within the time left.

Knows the seconds of steps, and what computes them; takes none. Rank 0 decides for all ranks.
"""

from statistics import median

from tuillm.errors import TuillmError
from tuillm.training.compiled_step import CompiledBlocks
from tuillm.training.compiler_check import missing_compiler
from tuillm.training.trainer_state import CompilingState

# seconds that must be left for it to be tried: on GPUs a compilation takes half a minute and
# saves a quarter of each step at best; on CPUs it saves nothing mostly, and the attempt is to take
# less than a hundredth of the run
_LEFT = {"cpu": 3600.0}
_LEFT_ON_GPU = 120.0
# steps of each kind to compare, as many as take so many seconds; the first ones fill caches
_FEWEST, _MOST, _SECONDS, _WARM = 3, 10, 20.0, 2
# compiled steps must take less than this share of the time of eager ones
_GAIN = 0.97


class CompileChoice:
    """Decides before each step whether it is compiled.

    With `auto` eager steps are timed first; then compiled and eager ones in turn, so that what
    else the machine does counts for both. The time is the run's own: all of them are its steps.
    """

    def __init__(self, wanted: str, device: str, blocks: CompiledBlocks, excluded: str) -> None:
        """`wanted` is auto, on or off; `excluded` is why this model cannot be compiled, or ""."""
        self._wanted, self._device = wanted, device
        self._blocks, self._excluded = blocks, excluded
        self._eager: list[float] = []
        self._compiled: list[float] = []
        self._seconds, self._typical = 0.0, 0.0  # that compiling has taken; that a step takes
        self._graphs, self._count = 0, _FEWEST
        self._trying = False
        self._decided: CompilingState = {}
        self._over = wanted == "off"
        self.words = ""
        if wanted == "on":
            self._turn_on()

    def after_step(self, seconds: float, left: float | None) -> None:
        """Take note of a step of so many seconds, and decide about the next one.

        `left` is how many seconds the run has left, None where nobody knows. Raises TuillmError
        where it was set on and has failed.
        """
        if self._blocks.failure:
            self._failed()
        elif self._trying:
            self._compare(seconds)
        elif not self._over:
            self._eager = [*self._eager[-_MOST - _WARM :], seconds]
            if len(self._eager) >= _WARM + self._enough and (left or 0.0) > self._least:
                self._count, self._typical = self._enough, median(self._eager[_WARM:])
                self._eager.clear()  # what was measured before belongs to another time
                self._trying = self._turn_on()

    def state(self) -> CompilingState:
        """What a checkpoint keeps: what was decided, not what was measured so far."""
        return self._decided

    def load_state(self, numbers: CompilingState) -> None:
        """Go on from a checkpoint: compute as before, where this machine has a compiler."""
        if self._wanted != "auto" or "compiled" not in numbers or self._blocks.failure:
            return
        self._trying, self._over = False, True
        self._decided = {
            "compiled": numbers["compiled"],
            "times": numbers.get("times", 1.0),
            "compile_seconds": numbers.get("compile_seconds", 0.0),
        }
        self._blocks.on = False
        if not numbers["compiled"] or self._turn_on():
            self.words = self._outcome()

    def _turn_on(self) -> bool:
        """Let the next steps be compiled; where that cannot be, say why."""
        self._over = True
        if reason := self._excluded or missing_compiler(self._device):
            self.words = f"not compiled: {reason}"
            return False
        self._blocks.on, self._graphs = True, self._blocks.graphs
        return True

    def _compare(self, seconds: float) -> None:
        """Count a step for its kind; after enough of both, decide."""
        blocks = self._blocks
        if not blocks.on:
            self._eager.append(seconds)
        elif blocks.graphs > self._graphs:
            self._seconds += max(seconds - self._typical, 0.0)
            self._graphs = blocks.graphs
            return  # the next one is compiled, too
        else:
            self._compiled.append(seconds)
        if len(self._compiled) > self._count and len(self._eager) >= self._count:
            self._decide()
        else:
            blocks.on = not blocks.on

    def _decide(self) -> None:
        times = median(self._eager) / median(self._compiled[1:])
        self._trying, self._blocks.on = False, times > 1 / _GAIN
        self._decided = {
            "compiled": self._blocks.on,
            "times": times,
            "compile_seconds": self._seconds,
        }
        self.words = self._outcome()

    def _outcome(self) -> str:
        known = self._decided
        taken, times = known["compile_seconds"], known["times"]
        if known["compiled"]:
            return f"compiled: {times:.2f} times as fast, after {taken:.0f} s of compiling"
        return (
            f"not compiled: tried for {taken:.0f} s, and compiled steps were {times:.2f} times as "
            "fast as eager ones"
        )

    def _failed(self) -> None:
        if self._wanted == "on":
            raise TuillmError(
                f"the step could not be compiled: {self._blocks.failure}",
                "leave out --compile on: --compile auto goes on without",
            )
        self._trying, self._over, self._decided = False, True, {}
        self.words = f"not compiled: {self._blocks.failure}"

    @property
    def _least(self) -> float:
        return _LEFT.get(self._device, _LEFT_ON_GPU)

    @property
    def _enough(self) -> int:
        """How many steps tell how fast they are."""
        return min(max(int(_SECONDS / median(self._eager)), _FEWEST), _MOST)
