"""At which addresses the viewer is served, and who may have it: the names it is asked for under, where a request comes
from, and the token.
"""

import errno
import hmac
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.http11 import Request

_LOCAL = ("127.0.0.1", "localhost", "::1")
_NAME = re.compile(
    r"((?P<scheme>https?)://)?(?P<netloc>(\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(:[0-9]{1,5})?)"
)


class Access:
    """Where it is served, and who may have it.

    Args:
      host: an address of this machine, or its name.
      port: 0: any that is free.
      allowed: more names that it may be asked for under, as ``host``, ``host:port`` or ``https://host``: those of
        proxies.

    Attributes:
      addresses: that the host stands for.
      token: what everybody has to show; None: no other machine can reach it, and nothing is asked.

    Raises:
      ValueError: a host or name that is none.
      OSError: it cannot be served there.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, allowed: Iterable[str] = ()):
        self.host, self.port = host[1:-1] if host[:1] + host[-1:] == "[]" else host, port
        self.addresses = _free(_addresses(self.host), port, self.host)
        local = all(ipaddress.ip_address(address).is_loopback for address in self.addresses)
        self.token = None if local else secrets.token_urlsafe(24)
        # Under other names it could be asked for by a page whose name now means this machine.
        self._names = {*_LOCAL, self.host.lower(), *self.addresses, *(() if local else _own_names())}
        self._allowed: set[str] = set()
        for name in allowed:
            self._allow(name)

    def _allow(self, name: str) -> None:
        found = _NAME.fullmatch(name.lower().rstrip("/"))
        if found is None:
            raise ValueError(f"--allow-origin {name!r}: must be a name as host, host:port or https://host")
        self._names.add(_host(found))
        own = {"https": ":443", "http": ":80"}.get(found["scheme"])  # which browsers leave out
        self._allowed.add(found[0].removesuffix(own) if own else found[0])
        if not found["scheme"]:
            for scheme, port in (("https", ":443"), ("http", ":80")):
                if found[0].endswith(port):
                    self._allowed.add(f"{scheme}://{found[0].removesuffix(port)}")

    def urls(self, port: int) -> list[str]:
        """Addresses for a browser."""
        hosts = [self.host]
        if (address := ipaddress.ip_address(self.addresses[0])).is_unspecified:
            hosts = [socket.gethostname(), "127.0.0.1" if address.version == 4 else "::1"]
        query = "" if self.token is None else f"/?token={self.token}"
        return [f"http://{f'[{host}]' if ':' in host else host}:{port}{query}" for host in hosts]

    def cookie(self, port: int) -> str:
        """Keeps the token in the browser, for the pages of this server alone."""
        return f"{_cookie_name(port)}={self.token}; HttpOnly; SameSite=Strict"

    def refusal(self, request: Request, port: int) -> tuple[HTTPStatus, str] | None:
        """Why a request is not answered; None: it is."""
        hosts, origins = (request.headers.get_all(name) for name in ("Host", "Origin"))
        host = _NAME.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        if host is None or host["scheme"] or len(origins) > 1:
            return HTTPStatus.BAD_REQUEST, "A request has one Host, and at most one Origin.\n"
        if not self._is_known(_host(host)):
            told = "This server is not known under that name. nmmo-jax watch --allow-origin NAME: it is.\n"
            return HTTPStatus.FORBIDDEN, told
        if origins and not self._may_ask(origins[0].lower(), host["netloc"]):
            told = "Other sites may not look on. nmmo-jax watch --allow-origin NAME: that one may.\n"
            return HTTPStatus.FORBIDDEN, told
        if self.token is not None and not (self.shown(request) or self._kept(request, port)):
            return HTTPStatus.FORBIDDEN, "Open the address that nmmo-jax watch has printed, with its token.\n"
        return None

    def shown(self, request: Request) -> bool:
        """Whether the token is in the address that is asked for."""
        return self._is_token(parse_qs(request.path.partition("?")[2]).get("token", ()))

    def _kept(self, request: Request, port: int) -> bool:
        parts = [part.strip().partition("=") for line in request.headers.get_all("Cookie") for part in line.split(";")]
        return self._is_token(value for name, _, value in parts if name == _cookie_name(port))

    def _is_token(self, given: Iterable[str]) -> bool:
        token = (self.token or "").encode()
        return bool(token) and any(hmac.compare_digest(one.encode(), token) for one in given)

    def _is_known(self, host: str) -> bool:
        return host in self._names or (self.token is not None and _is_address(host))

    def _may_ask(self, origin: str, netloc: str) -> bool:
        found = _NAME.fullmatch(origin)
        if found is None or not found["scheme"]:
            return False
        return found["netloc"] == netloc or not self._allowed.isdisjoint((origin, found["netloc"], _host(found)))


def _addresses(host: str) -> list[str]:
    if not host:
        raise ValueError("--host '': must be an address of this machine, or its name")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"--host {host}: {getattr(error, 'strerror', None) or 'no such name'}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _free(addresses: list[str], port: int, host: str) -> list[str]:
    """Those of the addresses that this machine has."""
    own, missing = [], None
    for address in addresses:
        try:
            socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
            own.append(address)
        except OSError as error:
            missing = OSError(f"--host {host}{f' --port {port}' if port else ''}: {os.strerror(error.errno or 0)}")
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise missing from None
    if missing is not None and not own:
        raise missing
    return own


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0]}


def _host(found: re.Match[str]) -> str:
    return found["ipv6"] or found["name"]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _cookie_name(port: int) -> str:
    return f"nmmo-jax-{port}"  # cookies are the same for all ports of a machine
