"""The Hugging Face hub: which files a model there has, how long they are, and their checksums.

Asks through `huggingface_hub`, so its settings count: HF_ENDPOINT, HF_TOKEN and the token of
`hf auth login`, HF_HUB_OFFLINE, HF_HOME with its cache. Knows neither pulls nor the registry, and
puts whatever goes wrong into one line. `huggingface_hub` is imported when it is needed.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tuillm.errors import TuillmError, one_line
from tuillm.formats.bounded_read import (
    CONFIG_BYTES,
    INDEX_BYTES,
    MB,
    TOKENIZER_CONFIG_BYTES,
    VOCABULARY_BYTES,
)
from tuillm.formats.jinja_chat import TEMPLATE_FILE
from tuillm.formats.safetensors_index import INDEX, numbered_shards
from tuillm.store.card import CARD
from tuillm.store.hub.hub_errors import host, hub_errors
from tuillm.store.hub.hub_names import Source
from tuillm.store.network import check_for_hub
from tuillm.store.registry import WEIGHTS

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo
    from huggingface_hub.hf_api import RepoSibling

CONFIG = "config.json"
# small ones first: what cannot work is known before the weights are fetched
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    "tokenizer_config.json",
    TEMPLATE_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    CARD,
)
_LONGEST = {
    CONFIG: CONFIG_BYTES,
    "generation_config.json": CONFIG_BYTES,
    "tokenizer_config.json": TOKENIZER_CONFIG_BYTES,
    "special_tokens_map.json": TOKENIZER_CONFIG_BYTES,
    "added_tokens.json": VOCABULARY_BYTES,
    "tokenizer.json": VOCABULARY_BYTES,
    "vocab.json": VOCABULARY_BYTES,
    "merges.txt": VOCABULARY_BYTES,
    TEMPLATE_FILE: CONFIG_BYTES,
    INDEX: INDEX_BYTES,
    CARD: CONFIG_BYTES,
}
_LONGEST_LISTING = 16 * MB
_LONGEST_LICENCE = 40
_TIMEOUT = 10.0


@dataclass(frozen=True)
class HubFile:
    """One file: its length in bytes and its sha256, or git's sha1 where the hub keeps it in git."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Plan:
    """What has to be fetched: the needed files of a repository at one commit.

    `licence` is what its page says, as the hub spells it; '' where it says nothing.
    """

    repo: str
    commit: str
    files: tuple[HubFile, ...]
    licence: str = ""

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files)

    @property
    def weights(self) -> tuple[HubFile, ...]:
        """The files of the weights: one, or its parts."""
        return tuple(file for file in self.files if is_weights(file.name))

    def url(self, file: HubFile) -> str:
        """The address of a file, which never changes what it stands for."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repo, file.name, revision=self.commit)

    def cached(self, file: HubFile) -> Path | None:
        """Where Hugging Face's own cache holds this very file, if it does."""
        path = _in_cache(self.repo, file.name, self.commit)
        return path if path and path.stat().st_size == file.size else None


def look_up(source: Source) -> Plan:
    """Return what a pull of `source` has to fetch, by the hub's own metadata.

    Offline it is what Hugging Face's cache holds, if that is a whole model. Raises TuillmError for
    a model that is not there, not for everybody, or has no weights that tuillm reads;
    TransientError when the hub is busy.
    """
    check_settings()
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE and (plan := _cached_plan(source)):
        return plan
    with hub_errors(source):
        info = _metadata(source)
        siblings = {each.rfilename: each for each in info.siblings or ()}
        _refuse_unreadable(source, siblings.keys())
        files = tuple(_hub_file(siblings[name]) for name in _wanted(source, siblings.keys()))
        _refuse_too_large(source, files)
        if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
            raise TuillmError(f"{host()} does not tell the commit of {source}")
    return Plan(source.repo, str(info.sha), files, _licence(info))


def repository_of(source: Source) -> "ModelInfo | None":
    """Return what the hub tells of a repository, None where there is none that one may see.

    Raises what the hub's library raises where it cannot be asked.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return _metadata(source)
    except RepositoryNotFoundError as error:
        if "Invalid credentials" in error.response.headers.get("X-Error-Message", ""):
            raise
        return None


def is_weights(name: str) -> bool:
    """Whether a file of a plan holds weights."""
    return name.endswith(".safetensors")


def _wanted(source: Source, names: Set[str]) -> list[str]:
    """The files of a repository that a model is made of: small ones first, then the weights."""
    small = [name for name in SMALL_FILES if name in names]
    if WEIGHTS in names:
        return [*small, WEIGHTS]
    return [*small, INDEX, *numbered_shards(names, source.repo)]


def _licence(info: "ModelInfo") -> str:
    """The licence that a repository names, as the hub spells it, '' where there is none."""
    named = [tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")]
    told = named[0] if named else ""
    if told == "other" and info.card_data is not None:
        told = str(info.card_data.get("license_name") or told)
    return one_line(told)[:_LONGEST_LICENCE]


def _metadata(source: Source) -> "ModelInfo":
    """Return what the hub tells of a repository, as `HfApi.model_info` does, but bounded."""
    from huggingface_hub import ModelInfo, constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = f"{constants.ENDPOINT}/api/models/{source.repo}"
    url += f"/revision/{quote(source.revision, safe='')}" if source.revision else ""
    headers = build_hf_headers(library_name="tuillm") | {"Accept-Encoding": "identity"}
    with get_session().stream(
        "GET", url, headers=headers, params={"blobs": True}, timeout=_TIMEOUT
    ) as response:
        content = bounded_body(response, _LONGEST_LISTING)
        hf_raise_for_status(response)
    if content is None:
        raise TuillmError(
            f"what {host()} tells of {source} is too large: over "
            f"{_LONGEST_LISTING:,} bytes, or compressed"
        )
    return ModelInfo(**json.loads(content))


def bounded_body(response: Any, most: int) -> bytes | None:
    """Return the body of an answer that is still streamed, None where it is longer than `most`.

    It was asked for as it is; one that comes compressed, whatever it would become, is not read.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    content, whole = bytearray(), encoding in ("", "identity")
    for piece in response.iter_raw() if whole else ():
        content += piece
        if whole := len(content) <= most:
            continue
        break
    # the hub's library reads on what an error says
    response._content = bytes(content) if whole else b""
    return bytes(content) if whole else None


def _refuse_too_large(source: Source, files: Iterable[HubFile]) -> None:
    """Raise TuillmError for a small file that is none: all but the weights are read at once."""
    for file in files:
        if file.size > (most := _LONGEST.get(file.name, sys.maxsize)):
            raise TuillmError(
                f"{file.name} of {source} is too large: {file.size:,} bytes, where "
                f"{most:,} are the most there can be"
            )


def check_settings() -> None:
    """Raise TuillmError for settings that the hub's library stumbles over.

    They are the address, the token, proxies, certificates and time-outs.
    """
    check_for_hub()
    from huggingface_hub import get_token

    if not ((token := get_token() or "").isascii() and token.isprintable()):
        raise TuillmError(
            "your token of the hub has characters that no token has",
            "hf auth login, or set HF_TOKEN",
        )


def _refuse_unreadable(source: Source, names: Set[str]) -> None:
    """Say what a repository with files of these names lacks to be a model that tuillm reads."""
    if CONFIG not in names:
        raise TuillmError(f"{source.repo} is no model of transformers: it has no config.json")
    if WEIGHTS not in names and INDEX not in names:
        others = [name for name in sorted(names) if name.endswith((".bin", ".h5", ".msgpack"))]
        have = f"only {others[0]}, which tuillm does not open" if others else "no weights at all"
        raise TuillmError(
            f"{source.repo} has no model.safetensors: {have}",
            "somebody may have converted it: look for another repository",
        )
    if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
        raise TuillmError(
            f"{source.repo} has no tokenizer that tuillm reads",
            "it needs a tokenizer.json, or vocab.json and merges.txt",
        )


def _hub_file(sibling: "RepoSibling") -> HubFile:
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    size = sibling.lfs.size if sibling.lfs else sibling.size
    digest = digest or ""
    hashed = re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", digest)
    if type(size) is not int or size < 0 or not hashed:
        raise TuillmError(
            f"{host()} does not tell length and checksum of {sibling.rfilename}",
            "is HF_ENDPOINT a mirror that leaves them out?",
        )
    return HubFile(sibling.rfilename, size, digest)


def _cached_plan(source: Source) -> Plan | None:
    """Return the plan of a model that lies in Hugging Face's cache, where nothing can be asked.

    The cache names its blobs by their checksums, so that a copy can be checked all the same.
    """
    config = _in_cache(source.repo, CONFIG, source.revision or "main")
    if config is None:
        return None
    names = {path.name for path in config.parent.iterdir() if path.is_file()}
    _refuse_unreadable(source, names)
    blobs = {name: Path(os.path.realpath(config.parent / name)) for name in _wanted(source, names)}
    if not all(re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", blob.name) for blob in blobs.values()):
        return None
    files = tuple(HubFile(name, blob.stat().st_size, blob.name) for name, blob in blobs.items())
    _refuse_too_large(source, files)
    return Plan(source.repo, config.parent.name, files)


def _in_cache(repo: str, name: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repo, name, revision=revision)
    return Path(path) if isinstance(path, str) else None
