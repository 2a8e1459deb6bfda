"""What the environment says of the network: the hub's address, proxies, certificates, time-outs.

Libraries meet what is wrong with them in their own ways, some while they are imported. Here it is
one line that names the variable. Knows variables and files; asks no network.
"""

import os
import ssl
from collections.abc import Iterable
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from tuillm.errors import TuillmError
from tuillm.urls import public_url

_TIMEOUTS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
_MOST_SECONDS = 86_400


def check_for_hub() -> None:
    """Raise TuillmError for what `huggingface_hub` and its HTTP client stumble over.

    The client makes a connection of every proxy that is named, wanted or not.
    """
    _check_endpoint()
    for name in _TIMEOUTS:
        _check_timeout(name)
    if "*" not in {host.strip() for host in _value(*_names("no_proxy")).split(",")}:
        _check_proxies(("http", "https", "all"), "socksio")
    _check_certificates("SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR")


def check_for_download(url: str) -> None:
    """Raise TuillmError for what `requests` stumbles over when it fetches this address."""
    parts = urlsplit(url)
    if not proxy_bypass_environment(parts.netloc.rpartition("@")[2]):
        one = parts.scheme.lower()
        _check_proxies((one if _value(*_names(f"{one}_proxy")) else "all",), "socks")
    if parts.scheme.lower() == "https":
        bundle = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "CURL_CA_BUNDLE"
        _check_certificates(bundle)


def _check_endpoint() -> None:
    endpoint = os.environ.get("HF_ENDPOINT", "")
    try:
        urlsplit(endpoint).port  # noqa: B018
    except ValueError:
        raise TuillmError(
            f"HF_ENDPOINT is no http address: {public_url(endpoint)!r}", "unset it"
        ) from None


def _check_timeout(name: str) -> None:
    value = os.environ.get(name)
    if value is None:
        return
    try:
        if 0 <= int(value) <= _MOST_SECONDS:  # 0 is the library's own choice
            return
    except ValueError:
        pass
    raise TuillmError(f"{name} cannot be {value[:40]!r}: it is a number of seconds", "unset it")


def _check_proxies(kinds: Iterable[str], package: str) -> None:
    """Look at the proxies for these schemes; `package` is what SOCKS needs."""
    for kind in kinds:
        name = next((name for name in _names(f"{kind}_proxy") if os.environ.get(name)), "")
        value = os.environ.get(name, "")
        address = value if "://" in value else f"http://{value}"
        shown = public_url(address) if "://" in value else public_url(address)[len("http://") :]
        try:
            parts = urlsplit(address)
            usable = not value or bool(parts.hostname and (parts.port or True))
        except ValueError:
            usable = False
        if not usable:
            raise TuillmError(
                f"{name} is no address of a proxy: {shown!r}",
                f"unset {name}, or set it to http://HOST:PORT",
            )
        scheme = parts.scheme.lower()
        if scheme.startswith("socks"):
            if find_spec(package) is None:
                wanted = {"socks": "PySocks"}.get(package, package)
                raise TuillmError(
                    f"{name} is a SOCKS proxy ({shown}), for which the package {wanted} is missing",
                    f"pip install {wanted}, or unset {name}",
                )
        elif scheme not in ("http", "https"):
            raise TuillmError(
                f"{name} is no address of a proxy: {shown!r}",
                f"unset {name}, or set it to http://HOST:PORT",
            )


def _check_certificates(name: str) -> None:
    """Look at the file or folder of certificates that a variable names, if it is set."""
    path = os.environ.get(name)
    if not path:
        return
    try:
        os.stat(path)
        if os.path.isdir(path):
            ssl.create_default_context(capath=path)
        else:
            ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise TuillmError(
            f"{name} names a file without certificates: {path}",
            f"unset {name}, or name a file in PEM format",
        ) from None
    except OSError as error:
        raise TuillmError(
            f"{name} names certificates that cannot be read: {path}: {error.strerror or error}",
            f"unset {name}, or name a file that is there",
        ) from None


def _names(name: str) -> tuple[str, str]:
    """A variable as libraries look for it: the small letters first."""
    return name, name.upper()


def _value(*names: str) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")
