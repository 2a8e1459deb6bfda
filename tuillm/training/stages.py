"""Which model of a run is trained when: its teachers one after the other, then the one it is for.

A run without teachers has a single stage, as long as itself. Knows numbers only.
"""

from tuillm.config import TrainConfig
from tuillm.training.trainer_state import StagesState

# of the run, what all teachers take together; and the learning rates of who learns from them, who
# begins as one of them: measured on tinyshakespeare with three teachers of `tiny`'s shape, 2.07
# bits/byte each and 2.013 together: 2.021 after half as many steps as a teacher took, from new
# weights NEW after as many
TEACHING = 0.65
_TAUGHT_RATE = 0.5


def taught_step(config: TrainConfig) -> float:
    """How many times as long a step takes that learns from teachers: each of them goes forward."""
    return 1 + config.teachers / 3


class Stages:
    """The stages of one run: `number` counts from 0, `first_step` is the step it began after.

    A stage ends with a step, whose metrics know it, not at some moment of the clock behind it.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._teachers, self._seed = config.teachers, config.seed
        self.number, self.first_step = 0, 0
        self.ended = False  # whether a step was measured at which the stage was over

    @property
    def learns_from_teachers(self) -> bool:
        """Whether the teachers are done."""
        return 0 < self._teachers == self.number

    @property
    def seed(self) -> int:
        """The seed of this stage's weights and batches."""
        return (self._seed + self.number) % 2**63

    def progress(self, of_run: float) -> float:
        """How much of the stage is over, 0 to 1, where `of_run` of the run is."""
        begin, end = self._begin(self.number), self._begin(self.number + 1)
        return min(max((of_run - begin) / (end - begin), 0.0), 1.0)

    @property
    def lr_scale(self) -> float:
        """What the learning rates of the schedule are multiplied by in this stage."""
        return _TAUGHT_RATE if self.learns_from_teachers else 1.0

    def over(self, of_run: float) -> bool:
        """Whether the next stage is to begin."""
        return self.number < self._teachers and self.progress(of_run) >= 1

    def enter(self, number: int, step: int) -> None:
        """Begin a stage after `step` steps of the run."""
        self.number, self.first_step, self.ended = number, step, False

    @property
    def words(self) -> str:
        """What is trained now, "" where there is only one thing to train."""
        if not self._teachers:
            return ""
        if self.learns_from_teachers:
            return f"learns from {self._teachers} teachers"
        return f"teacher {self.number + 1} of {self._teachers}"

    def state(self) -> StagesState:
        """What a checkpoint keeps."""
        return {
            "stage": self.number,
            "stage_first_step": self.first_step,
            "stage_ended": self.ended,
        }

    def _begin(self, number: int) -> float:
        """How much of the run is over where a stage begins; 1 behind the last one."""
        if number > self._teachers:
            return 1.0
        return TEACHING * number / self._teachers if number else 0.0
