# SPDX-License-Identifier: Apache-2.0
"""Where the server is: unix:///path, tcp://host:port or tls://host:port, and what gRPC makes of it."""
from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from typing import Optional
from urllib.parse import quote

import grpc

from .errors import InvalidRequest

DEFAULT = "tcp://127.0.0.1:7420"
DEFAULT_PORT = 7420
PATH_MAX = 107  # bytes of a unix socket's path

_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:/@\s]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Address:
    url: str
    target: str  # for gRPC
    is_tls: bool


def _refuse(url: str, why: str) -> InvalidRequest:
    return InvalidRequest(f'server address "{url:.100}": {why}')


def _network(url: str, authority: str, is_tls: bool) -> Address:
    match = _AUTHORITY.fullmatch(authority)
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise _refuse(url, "expected HOST:PORT, with an IPv6 address in brackets")
    host = f"[{match['v6']}]" if match["v6"] else match["name"]
    return Address(url, f"dns:///{host}:{port}", is_tls)


def parse(url: Optional[str]) -> Address:
    """None: $HOLDFAST_SERVER, else the default."""
    text = url or os.environ.get("HOLDFAST_SERVER") or DEFAULT
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("unix", "tcp", "tls"):
        raise _refuse(text, "it must start with unix://, tcp:// or tls://")
    if scheme != "unix":
        return _network(text, rest, scheme == "tls")
    if not 2 <= len(os.fsencode(rest)) <= PATH_MAX or not rest.startswith("/") or "\0" in rest:
        raise _refuse(text, f"after unix:// comes an absolute path of at most {PATH_MAX} bytes")
    return Address(text, "unix://" + quote(rest), False)


def _read(path: Optional[str]) -> Optional[bytes]:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from error


def credentials(
    address: Address, ca_file: Optional[str], cert_file: Optional[str], key_file: Optional[str]
) -> Optional[grpc.ChannelCredentials]:
    """None: plain. Files are PEM; without `ca_file` the system's authorities are trusted."""
    if not address.is_tls:
        if ca_file or cert_file or key_file:
            raise _refuse(address.url, "certificates are given, but it is not tls://")
        return None
    if bool(cert_file) != bool(key_file):
        raise InvalidRequest("cert_file and key_file: one needs the other")
    roots = _read(ca_file or ssl.get_default_verify_paths().cafile)
    return grpc.ssl_channel_credentials(roots, _read(key_file), _read(cert_file))
