"""What the Hugging Face hub answers, or does not, in words: what to do next, what to try again.

Knows its error codes and the exceptions of its library; asks nothing itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tuillm.errors import TuillmError, one_line, shorten
from tuillm.store.hub.hub_names import Source
from tuillm.store.retry import TransientError, retry_after
from tuillm.urls import hide_secrets, public_url

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_BUSY = (408, 429, 500, 502, 503, 504)
TOKENS_PAGE = "https://huggingface.co/settings/tokens"


def host() -> str:
    """The hub's host: huggingface.co, or that of HF_ENDPOINT."""
    from huggingface_hub import constants

    return urlsplit(public_url(constants.ENDPOINT)).netloc or public_url(constants.ENDPOINT)


def request_errors() -> type[Exception]:
    """What the hub library's HTTP client raises when a request fails.

    `huggingface_hub` has changed that client twice, so it is looked up.
    """
    from huggingface_hub.utils import get_session

    found: type[Exception] = import_module(
        type(get_session()).__module__.partition(".")[0]
    ).RequestError
    return found


@contextmanager
def hub_errors(source: Source) -> Iterator[None]:
    """Turn what the hub answers, or does not, into TuillmError or TransientError."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled:
        raise TuillmError(
            f"{source} has to be fetched, and HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
        ) from None
    except HfHubHTTPError as error:
        raise _refusal(error, source) from None
    except request_errors() as error:
        raise _unreachable(error) from None
    except HFValidationError:
        raise TuillmError(f"{source.repo!r} is no name of the hub", "ORG/NAME") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TuillmError(
            f"{host()} does not answer as the Hugging Face hub does", "is HF_ENDPOINT right?"
        ) from None


@contextmanager
def push_errors(repo: str) -> Iterator[None]:
    """Turn what the hub answers to who writes there into TuillmError."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled:
        raise TuillmError(
            f"{repo} cannot be pushed: HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
        ) from None
    except HfHubHTTPError as error:
        raise _push_refusal(error, repo) from None
    except request_errors() as error:
        raise _unreachable(error) from None
    except HFValidationError:
        raise TuillmError(f"{repo!r} is no name of the hub", "ORG/NAME") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if "metadata in README.md" in str(error):
            told = one_line(str(error).partition("\n")[2])
            raise TuillmError(
                f"{host()} does not take the README.md: {shorten(told)}", "mend its first lines"
            ) from None
        if "LFS batch API" in str(error):
            raise TuillmError(
                f"{host()} does not take the weights: {shorten(one_line(str(error)))}"
            ) from None
        raise TuillmError(
            f"{host()} does not answer as the Hugging Face hub does", "is HF_ENDPOINT right?"
        ) from None


def _push_refusal(error: "HfHubHTTPError", repo: str) -> TuillmError:
    """Put an error answer to who writes into words."""
    status = error.response.status_code
    if status in _BUSY:
        return TuillmError(f"{host()} is busy (it answered {status})", "push again later")
    known = {
        401: (f"{host()} does not take your token", f"make one that may write: {TOKENS_PAGE}"),
        403: (
            f"your token does not let you write to {repo}",
            f"one that may write there: {TOKENS_PAGE}",
        ),
        404: (
            f"{host()} has no {repo} that you may write to",
            "is ORG your name there, or an organization of yours?",
        ),
        409: (f"{repo} is being changed by somebody else", "push again"),
        412: (f"{repo} was changed by somebody else meanwhile", "push again"),
        413: (f"{host()} does not take a file so large", "push a model of fewer bytes"),
    }
    words, hint = known.get(status, (f"{host()} answered {status} for {repo}", "push again later"))
    reason = shorten(one_line(error.server_message or ""))
    if reason and status not in (401, 404, 409, 412):  # which say all there is
        words += f": {reason}"
    return TuillmError(words, hint)


def _unreachable(error: Exception) -> TuillmError:
    """Say why no connection to the hub came about."""
    kind = type(error).__name__
    if "Timeout" in kind:
        return TuillmError(f"{host()} does not answer", "try again")
    if kind in ("UnsupportedProtocol", "InvalidURL"):
        return TuillmError(
            f"HF_ENDPOINT is no http address: {hide_secrets(str(error))}", "unset it"
        )
    return TuillmError(
        f"{host()} cannot be reached: {hide_secrets(str(error)) or kind}",
        "connect to the network and try again",
    )


def _refusal(error: "HfHubHTTPError", source: Source) -> TuillmError | TransientError:
    """Put an error answer into words: what it means here, rather than its number."""
    status = error.response.status_code
    code = error.response.headers.get("X-Error-Code", "")
    if status in _BUSY:
        wait = retry_after(error.response.headers)
        reason = "asks for patience" if status == 429 else f"is busy (it answered {status})"
        return TransientError(f"{host()} {reason}", wait)
    if code == "GatedRepo":
        return TuillmError(
            f"{source.repo} is gated: its licence has to be accepted first",
            f"accept it at https://{host()}/{source.repo}, then set HF_TOKEN or: hf auth login",
        )
    if code == "RevisionNotFound":
        return TuillmError(
            f"{source.repo} has no revision {source.revision or 'main'!r}",
            "name a branch, a tag or a commit",
        )
    if code == "EntryNotFound":
        return TuillmError(
            f"{source.repo} does not have that file any more",
            f"start anew: tuillm pull {source} --discard",
        )
    if "Invalid credentials" in error.response.headers.get("X-Error-Message", ""):
        return TuillmError(f"{host()} does not take your token", "hf auth login, or set HF_TOKEN")
    if status in (401, 404):
        return TuillmError(
            f"{host()} has no model {source.repo!r} that you may see",
            "check the spelling; for a private one: hf auth login",
        )
    if status == 403:
        return TuillmError(
            f"{host()} does not let you fetch {source.repo}",
            "does your token allow it? hf auth login",
        )
    return TuillmError(f"{host()} answered {status} for {source.repo}", "try again later")
