"""Ctrl-C while something is being saved waits until that is done."""

import asyncio
import os
import signal
import threading

import pytest

from tuillm.store.defer_signals import uninterrupted


@pytest.fixture(autouse=True)
def handler():
    """Python's own handler of Ctrl-C, whatever the test changes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    """What Ctrl-C in a terminal does to this process."""
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_comes_at_the_end_of_the_block_and_once():
    """The block is run to its end however often Ctrl-C is pressed, then it is interrupted."""
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            for number in range(3):
                press()
                done.append(number)
    assert done == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_blocks_in_each_other_deliver_at_the_end_of_the_outermost():
    """What is saved as a part of something larger lets nothing in either."""
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            with uninterrupted():
                press()
            done.append("inner")
    assert done == ["inner"]


def test_a_block_that_fails_still_delivers():
    """An error does not swallow the interrupt, and is told as what led to it."""
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        press()
        raise ValueError("the disk is full")
    assert isinstance(caught.value.__context__, ValueError)


def test_a_program_with_a_handler_of_its_own_gets_the_signal():
    """A handler that only notes the signal is called at the end, and nothing is raised."""
    noted = []
    signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    with uninterrupted():
        press()
        assert not noted
    assert noted == [signal.SIGINT]


def test_an_ignored_interrupt_stays_ignored():
    """Where Ctrl-C means nothing it means nothing at the end of the block."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        press()


def test_another_thread_saves_without_touching_signals():
    """Only the main thread may say what signals do; others just do their work."""
    before, seen = signal.getsignal(signal.SIGINT), []

    def save():
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=save)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_event_loop_hears_of_one_press_once():
    """Its handler hears of a signal by a pipe, which no handler of Python's holds up."""
    heard = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: heard.append("press"))
        with uninterrupted():
            press()
            assert heard == []
        while not heard:
            await asyncio.sleep(0)
        for _ in range(5):  # a second one would have come as soon
            await asyncio.sleep(0)

    asyncio.run(main())
    assert heard == ["press"]
