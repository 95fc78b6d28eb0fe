"""Connections to marketplaces: what of ``requests`` and ``urllib3`` is not safe enough is mended here."""

import io
import os
import socket
import threading
import time
from http.client import HTTPResponse
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from .exceptions import ForbiddenTarget

# What a call may raise that has nothing to do with us; requests' own errors are OSErrors.
TROUBLE = (OSError, HTTPError)
# A variable of the server's environment, out of reach of whoever may edit accounts: for simulators.
ALLOW_PRIVATE_TARGETS = "MARKETPLACE_ALLOW_PRIVATE_TARGETS"
UNICAST = IPv6Network("2000::/3")
# Of the protocols themselves (RFC 6890); Python's table did not always hold all of it.
PROTOCOLS = IPv4Network("192.0.0.0/24")
# IPv6 addresses that mean the IPv4 address in their last 32 bits (RFC 6052).
TRANSLATED = IPv6Network("64:ff9b::/96")

_local = threading.local()


def may_be_private():
    """Tell whether marketplaces of this machine and its networks may be called."""
    return bool(os.environ.get(ALLOW_PRIVATE_TARGETS))


def is_public(text):
    """Tell whether an IP address is one of the public internet, whichever way it is written."""
    address = ip_address(text)
    if address.version == 4:
        return address.is_global and not address.is_multicast and address not in PROTOCOLS
    inner = address.ipv4_mapped or address.sixtofour
    if address in TRANSLATED:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner:
        return is_public(str(inner))
    return address in UNICAST and address.is_global


def public_addresses(name, port):
    """Look a host up.

    :param str name: a name, or an address in any notation the system knows
    :return: list of its IP addresses
    :raise OSError: there is none
    :raise ForbiddenTarget: one of them leads into a network that is not public
    """
    try:
        found = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("no name of a host") from None
    addresses = list(dict.fromkeys(info[4][0] for info in found))
    if not may_be_private() and not all(map(is_public, addresses)):
        raise ForbiddenTarget
    return addresses


class TimedSocket(io.RawIOBase):
    """Reads a socket until a moment: its own timeout begins anew with every byte a server drips."""

    def __init__(self, raw, sock):
        self.raw, self.sock, self.patience = raw, sock, sock.gettimeout()
        self.deadline = self.patience and time.monotonic() + self.patience

    def readable(self):
        """Tell that it can be read."""
        return True

    def readinto(self, buffer):
        """Read what is there.

        :raise TimeoutError: the moment has come
        """
        if self.deadline:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer takes too long")
            self.sock.settimeout(left)
        return self.raw.readinto(buffer)

    def close(self):
        """End this answer; the connection may go on with another."""
        if not self.closed and self.sock.fileno() >= 0:
            self.sock.settimeout(self.patience)
        self.raw.close()
        super().close()


class TimedResponse(HTTPResponse):
    """An answer that has to be complete, headers and all, within the connection's timeout."""

    def __init__(self, sock, *args, **kwargs):
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(TimedSocket(self.fp.detach(), sock))


class ToPublicAddresses:
    """Connects to what was looked up and checked: a name may mean another address a moment later."""

    def _new_conn(self):
        name, problem = self._dns_host, None
        try:
            for address in public_addresses(name, self.port):
                self._dns_host = address
                try:
                    return super()._new_conn()
                except HTTPError as error:
                    problem = error
        finally:
            self._dns_host = name  # certificates are made out to names
        raise problem


class Connection(ToPublicAddresses, HTTPConnectionPool.ConnectionCls):
    response_class = TimedResponse


class SecureConnection(ToPublicAddresses, HTTPSConnectionPool.ConnectionCls):
    response_class = TimedResponse


class ConnectionPool(HTTPConnectionPool):
    ConnectionCls = Connection


class SecureConnectionPool(HTTPSConnectionPool):
    ConnectionCls = SecureConnection


class Transport(HTTPAdapter):
    """Keeps connections open and makes calls over them.

    Without a session of ``requests``: none of what that adds may happen here, be it redirects, cookies or
    what the environment says of proxies and passwords.
    """

    def init_poolmanager(self, *args, **kwargs):
        """Make the pools that hold our own kind of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": ConnectionPool, "https": SecureConnectionPool}

    def call(self, method, url, *, timeout, query=(), headers=None, body=None):
        """Make one call.

        :param timeout: seconds to wait for a connection, and for the whole answer
        :param query: pairs of name and value
        :param bytes body: what is sent
        :return: the answer, whose body is not read yet; who asked closes it
        :raise ForbiddenTarget: the address is not public
        :raise: one of TROUBLE
        """
        # Without an auth of ours, a password in the address would take the place of our headers.
        request = requests.Request(method, url, headers=headers, data=body, params=query, auth=_unchanged)
        return self.send(request.prepare(), stream=True, timeout=timeout, verify=True)


def _unchanged(request):
    return request


def transport_of(account):
    """Give this thread's connections of an account."""
    transports = _local.__dict__.setdefault("transports", {})
    key = (account.env.cr.dbname, account.id)
    if key not in transports:
        transports[key] = Transport()
    return transports[key]
