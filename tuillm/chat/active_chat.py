"""One chat as its commands see it: the model, the session, the settings, and what is kept.

Knows models, sessions and the screen; which command does what stands elsewhere.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tuillm.chat.model_loader import Loader
from tuillm.chat.reply_notes import reply_notes
from tuillm.chat.terminal.ctrl_c import Interrupts, Stopped, Unread
from tuillm.chat.terminal.reply_keys import Change
from tuillm.chat.terminal.reply_thoughts import ReplyThoughts
from tuillm.chat.terminal.screen import Screen, Streamed
from tuillm.chat.terminal.status_line import Facts
from tuillm.config import SamplingConfig, build_sampling
from tuillm.config.sampling_profiles import profile_settings
from tuillm.errors import TuillmError, printable
from tuillm.store.chat_template import ChatMode, mode_of
from tuillm.store.model_sampling import model_sampling
from tuillm.store.registry import Model
from tuillm.store.sessions import SessionHead, save_session
from tuillm.store.usage import using

if TYPE_CHECKING:
    from tuillm.chat.conversation.session import Session
    from tuillm.generation import Sampler, Token


class Chat:
    """The state of a chat. `keep` says whether conversations are written down."""

    def __init__(
        self,
        model: Model,
        config: SamplingConfig,
        device: str,
        dtype: str,
        *,
        drafting: Model | None = None,
        context: int | None = None,
        keep: bool = True,
        system: str = "",
    ) -> None:
        """Open a chat with a model, which is loaded once `loader` is started.

        So is the smaller one that drafts for it, if there is one. `context` is how many tokens the
        model has in view, None as many as usual. `system` is the system text of
        new conversations.
        """
        self.screen = Screen()
        self.config = config
        self.keep = keep
        self.head: SessionHead | None = None
        self.device_dtype = (device, dtype)
        self._in_use = ExitStack()
        self._paused = self._refused = False
        self._session: Session | None = None
        self.listed: list[SessionHead] = []  # by /sessions, and not shown yet
        self._told_of: Sampler | None = None  # how precisely it computes
        self.model = model
        self.mode: ChatMode = mode_of(model)
        self.system = system
        self.thinking: bool | None = None  # what chat templates are told of it, None: nothing
        self.shows_thoughts = False
        self.drafting = drafting
        self._context = context
        self.loader = Loader(model, device, dtype, drafting, context)
        self._mark_use()

    def close(self) -> None:
        """Let go of the model."""
        self._in_use.close()

    # the model and the session

    @property
    def session(self) -> "Session":
        """The session; waits for the model the first time. Raises TuillmError when that fails."""
        if self._session is None:
            sampler = self.sampler
            from tuillm.chat.conversation.session import Session

            self._session = Session(sampler, self.config, self.mode)
            self._session.set_system(self.system)
            self._tell_thinking()
        return self._session

    @property
    def sampler(self) -> "Sampler":
        """The loaded model; waits for it, and raises Stopped when the person will not."""
        if not self.loader.done:
            self.screen.note(f"loading {self.model.name}")
        try:
            sampler = self.loader.sampler(self.interrupts.check)
        except Stopped:
            raise Stopped(
                f"stopped waiting for {self.model.name}, which loads on: ↑ brings your line back"
            ) from None
        chosen = self.device_dtype[1] == "auto" and sampler.precision != "float32"
        if chosen and sampler is not self._told_of:
            self.screen.note(f"{self.model.name} computes in {sampler.precision}")
        if sampler is not self._told_of and (cut := sampler.context.cut):
            self.screen.note(cut)
        self._told_of = sampler
        return sampler

    @property
    def interrupts(self) -> Interrupts:
        """Who hears Ctrl-C."""
        return self.screen.interrupts

    @property
    def open(self) -> bool:
        """Whether there is a session yet."""
        return self._session is not None

    @property
    def begun(self) -> bool:
        """Whether anything was said or replied that was not taken back."""
        session = self._session
        return session is not None and session.tree.spoken(session.tree.head) is not None

    @property
    def spoken(self) -> int | None:
        """The node that the conversation stands at, None at its start."""
        return None if self._session is None else self._session.tree.head

    def unanswered(self, before: int | None) -> bool:
        """Whether a person's text is the last one, and was not when the head was `before`."""
        head = None if self._session is None else self._session.tree.head_node
        return head is not None and head.who == "you" and head.id != before

    def use_session(self, session: "Session", head: "SessionHead | None") -> None:
        """Go on with another session."""
        self._session, self.head = session, head
        self.config, self.mode = session.config, session.mode
        self._tell_thinking()

    def use_model(self, model: Model) -> None:
        """Go on with another model: the text so far is the same, its tokens may be others'.

        When the model cannot be loaded the old one stays, and a TuillmError is raised.
        """
        from tuillm.chat.conversation.serialize import encode_anew
        from tuillm.chat.conversation.session import Session

        before, old = self._session, (self.model, self.loader, self.mode, self.drafting)
        self._take(model)
        try:
            sampler = self.sampler
        except BaseException as error:  # Ctrl-C, too
            self.model, self.loader, self.mode, self.drafting = old
            self._mark_use()
            if isinstance(error, Stopped):
                raise Stopped(f"stopped: {self.model.name} stays") from None
            raise
        self._take_settings(old[0])
        self._session = None
        if before is not None:
            tree = before.tree
            if before.sampler.tokenizer.sha256 != sampler.tokenizer.sha256:
                encode_anew(tree, sampler.tokenizer)
            self._session = Session(sampler, self.config, self.mode, tree)
            self._tell_thinking()

    def _take(self, model: Model) -> None:
        self.model, self.mode = model, mode_of(model)
        self.drafting = None  # its tokens are those of the model before
        most = model.shape.block_size if model.shape else None
        context = min(self._context, most) if self._context and most else None
        self.loader = Loader(model, *self.device_dtype, context=context)
        self._mark_use()

    def _take_settings(self, before: Model) -> None:
        """Let the settings that are those of the model before be those of this one."""
        old, new = (model_sampling(model.path) for model in (before, self.model))
        changed = {
            name: getattr(new, name)
            for name in profile_settings(new)
            if getattr(self.config, name) == getattr(old, name)
        }
        self.config = self.config.model_copy(update=changed)

    def _mark_use(self) -> None:
        self._in_use.close()
        for model in filter(None, (self.model, self.drafting)):
            self._in_use.enter_context(using(model.path, "chat"))

    # settings

    def set_config(self, config: SamplingConfig) -> None:
        """Speak with other settings from now on."""
        self.config = config
        if self._session is not None:
            self._session.config = config

    def set_mode(self, mode: ChatMode) -> None:
        """Take turns, or go on with one text."""
        self.mode = mode
        if self._session is not None:
            self._session.mode = mode
            self._tell_thinking()

    def set_thinking(self, thinking: bool) -> None:
        """Tell chat templates whether the model is to think before it answers."""
        self.thinking = thinking
        self._tell_thinking()

    def _tell_thinking(self) -> None:
        if self._session is not None and self._session.dialogue is not None:
            self._session.dialogue.thinking = self.thinking

    # replies

    def stream(self, tokens: "Iterator[Token]", known: int = 0) -> Streamed:
        """Show a reply, then what there is to say about it, and keep the conversation.

        The first `known` of the tokens were drawn before.
        """
        self._paused = False
        special = self.mode.special
        self.session.sampler.watch_reading(self.screen.show_reading)
        thoughts = ReplyThoughts(self.shows_thoughts, self.session.thinking_at) if special else None
        try:
            done = self.screen.stream(
                tokens,
                self.config,
                self.facts,
                self._changed,
                known=known,
                turns=self.mode.turns,
                thoughts=thoughts,
            )
        finally:  # when the window is closed, too
            self.keep_up()
        if done.stopped and not done.tokens:
            raise Unread("stopped before all was read: ↑ brings your line back")
        for words in reply_notes(self.session, done):
            self.screen.note(words)
        return done

    def facts(self) -> Facts:
        """What the line at the bottom tells."""
        pace = self.screen.pace
        used, size = 0, 0
        with suppress(TuillmError):  # what a chat template refuses is told when one goes on
            used, size = self._session.used if self._session is not None else (0, 0)
        busy = self.screen.reading if self.loader.done else "loading"
        return Facts(
            printable(self.model.name),
            self.config.temperature,
            self.config.top_k,
            pace.first,
            pace.per_second,
            used,
            size,
            "paused" if self._paused else busy,
        )

    def keep_up(self) -> None:
        """Write the conversation down, where conversations are kept."""
        if self.keep:
            self.save()

    def save(self) -> "SessionHead | None":
        """Write the conversation down; what goes wrong is told and spoils nothing.

        Returns None when there is nothing to write, or the disk refuses.
        """
        if self._session is None or self._session.tree.untouched:
            return None
        from tuillm.chat.conversation.serialize import to_saved

        before = self.head
        try:
            self.head = save_session(to_saved(self._session, self.model, before)).head
        except TuillmError as error:
            self.cannot_keep(error)
            return None
        if before is not None and before.id not in ("", self.head.id):
            self.screen.say(
                "warning",
                f"{before.id} was changed by another chat, and stays as "
                f"that left it: yours is kept as {self.head.id} from now on",
            )
        if self._refused:
            self._refused = False
            self.screen.note(f"the chat is kept again: {self.head.id}")
        return self.head

    def name_it(self, name: str) -> None:
        """Give the conversation a name, with which it is saved from now on."""
        self.head = replace(self.head or SessionHead(), name=name)

    def begin_anew(self) -> None:
        """Forget the text; the conversation that is kept stays as it is."""
        if self._session is not None:
            self._session.clear()
        self.head = None

    def cannot_keep(self, error: TuillmError) -> None:
        """Say that the chat is not kept, once until it is again; it goes on without."""
        if not self._refused:
            self.screen.say("warning", f"this chat is not kept: {error}")
        self._refused = True

    def _changed(self, change: Change) -> None:
        if change.setting == "paused":
            self._paused = bool(change.value)
        else:
            self.set_config(build_sampling({change.setting: change.value}, self.config))
