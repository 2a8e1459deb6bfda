"""The training loss of a run in a few numbers."""

import math

import pytest

from tuillm.store.loss_sketch import PARTS, LossSketch


def test_each_part_has_the_mean_of_its_steps():
    sketch = LossSketch()
    for step in range(1, 241):
        sketch.add((step - 1) / 240, float(step))
    assert sketch.values == tuple(10 * part + 5.5 for part in range(PARTS))


def test_parts_without_a_step_keep_the_value_before():
    """Of a run with a few long steps."""
    sketch = LossSketch()
    sketch.add(0.0, 4.0)
    sketch.add(0.5, 2.0)
    assert sketch.values[: PARTS // 2] == (4.0,) * (PARTS // 2) and sketch.values[-1] == 2.0


def test_a_run_that_goes_back_draws_its_line_anew():
    """As after an extension or a rollback; what is no number is passed over."""
    sketch = LossSketch([float(part) for part in range(PARTS)])
    sketch.add(0.5, math.nan)
    assert len(sketch.values) == PARTS
    sketch.add(0.5, 12.0)
    assert len(sketch.values) == PARTS // 2 + 1
    assert sketch.values[-1] == pytest.approx(12.0)
