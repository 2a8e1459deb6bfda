# the commands of every day; `just` alone lists them

default:
    @just --list

# install in the environment that is active
setup:
    pip install -e '.[dev]'

# format and check
check:
    ruff format .
    ruff check .
    mypy

# the everyday tests
test *arguments:
    pytest -n auto {{arguments}}

# the slow tests
slow *arguments:
    pytest -n auto -m slow {{arguments}}

# what the workflow runs: a fresh environment, the README's commands, all checks
ci:
    .ci/run

# draw the captures of the dashboard again
captures:
    python tests/dashboard/capture.py

# make docs/modules.md anew: what each module is for
modules:
    TUILLM_WRITE=1 pytest tests/test_architecture.py
