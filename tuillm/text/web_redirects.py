"""Where a server may send us on to: another http(s) address, and from outside never inside.

A person may name an address of this machine or this network. A server out there may not send us to
one: what answers there trusts whoever asks from inside. The address that was really connected to
counts, looked at before anything is asked, so that a name which leads elsewhere the second time it
is looked up (DNS rebinding) gains nothing. Behind a proxy that looks names up itself, only
addresses that are plain numbers, and `localhost`, are recognised. Knows no answers.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tuillm.errors import TuillmError
from tuillm.urls import is_url

Refuse = Callable[[str], TuillmError]
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class GuardedSession(requests.Session):
    """A session for one address; `refuse` makes the error for a reason."""

    def __init__(self, refuse: Refuse) -> None:
        super().__init__()
        self._refuse = refuse
        self._outside = self._sent_on = self._connected = False
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self.check_peer))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer sends us; raises what `refuse` gives for where we do not go."""
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        address = urljoin(resp.url, target)
        if not is_url(address):
            resp.close()
            scheme = urlsplit(address).scheme[:20]
            raise self._refuse(f"the server sends us on to what is no http address ({scheme}:)")
        if not self._connected:  # but to a proxy
            self._outside = self._outside or not is_inside(urlsplit(resp.url).hostname or "")
        self._sent_on = True
        if self._outside and is_inside(urlsplit(address).hostname or ""):
            resp.close()
            raise self._inside()
        return target

    def check_peer(self, host: str) -> None:
        """Take note of whom a connection goes to; raises for one inside that we were sent to."""
        self._connected = True
        if not is_inside(host):
            self._outside = True
        elif self._outside and self._sent_on:
            raise self._inside()

    def _inside(self) -> TuillmError:
        return self._refuse("the server sends us on to an address inside this machine or network")


def is_inside(host: str) -> bool:
    """Whether a host is this machine or in a network of its own; a name but `localhost` is not."""
    host = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(_as_number(host))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            address = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
        else:
            address = address.ipv4_mapped or address.sixtofour or address
    return not address.is_global or address.is_multicast


def _as_number(host: str) -> str:
    """Return `127.1` and `0x7f000001`, which systems take for addresses, in their usual form."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return host


class _Adapter(HTTPAdapter):
    """Connects through connections that say whom they go to."""

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        # proxies have a manager of their own: to them one always may connect
        self.poolmanager.pool_classes_by_scheme = _pools(self._check)


def _pools(check: Callable[[str], None]) -> dict[str, type[HTTPConnectionPool]]:
    def checked(connection: socket.socket) -> socket.socket:
        try:
            check(str(connection.getpeername()[0]))
        except BaseException:
            connection.close()
            raise
        return connection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return checked(super()._new_conn())

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return checked(super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
