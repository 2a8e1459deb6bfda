"""Waiting for what another process does."""

import time


def until(condition, seconds=60, tell=lambda: ""):
    """Return as soon as the condition holds; fail with what `tell` says when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, tell()
        time.sleep(0.02)
