"""The work of one reply: on how many threads, before what else on this machine, how fast.

In tuillm's own programs training waits while a reply is generated, and kernels are measured again
where replies are far slower than they were. A library changes nothing of a process that is not
ours. Knows models and seconds; knows no text.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from tuillm.generation import kernel_refresh
from tuillm.generation.thread_count import choose_for, is_ours
from tuillm.model import Decoder, NativeGPT
from tuillm.store.workers.reply_activity import ActiveReply, active_reply


class ReplyWork:
    """What was computed for a reply so far: `tokens` in `seconds`, without the prompt."""

    def __init__(self, model: Decoder, reply: ActiveReply | None) -> None:
        self._model, self._reply = model, reply
        self.tokens, self.seconds = 0, 0.0

    @contextmanager
    def step(self, plain: bool = True) -> Iterator[None]:
        """The model computes the next token in the block; only `plain` steps are judged by.

        Those of several rows, and those that read a whole context again, take longer.
        """
        if self._reply is not None:
            self._reply.go_on()
        begun = time.perf_counter()
        with self.computing():
            yield
        if plain:
            self.seconds += time.perf_counter() - begun
            self.tokens += 1

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Something is computed in the block.

        The native library has threads of its own: PyTorch's, which wait by spinning, would take
        the processors from them.
        """
        before = torch.get_num_threads()
        if not is_ours() or not isinstance(self._model, NativeGPT) or before == 1:
            yield
            return
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def reply_work(model: Decoder) -> Iterator[ReplyWork]:
    """Prepare for a reply of a model, in the thread that computes it; look back when it is over."""
    threads = choose_for(model)
    if isinstance(model, NativeGPT):
        model.run_threads = threads
    elif threads and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    with active_reply() if is_ours() else nullcontext() as reply:
        work = ReplyWork(model, reply)
        yield work
    if work.tokens:
        kernel_refresh.decoded(model, work.tokens, work.seconds)
