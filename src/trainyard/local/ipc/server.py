"""The supervisor's side of the socket: commands that wake it, watch runs, or tell it to make way."""

from __future__ import annotations

import json
import os
import selectors
import socket
from collections.abc import Callable, Iterable
from typing import Any

from ...version import __version__
from ..home.home import Home
from . import protocol


class ClientConnection:
    """A connected command."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.rest = b""
        self.watches: set[str] = set()

    def say(self, message: dict[str, Any]) -> None:
        """Send, or give it up: a command that does not listen is not waited for."""
        try:
            self.connection.send(protocol.encode(message))
        except OSError:
            self.watches.clear()


class Server:
    """Listens for commands and hands what they say to `handle`."""

    def __init__(
        self,
        home: Home,
        selector: selectors.BaseSelector,
        handle: Callable[[ClientConnection, dict[str, Any]], None],
    ) -> None:
        self._home, self._path = home, ""
        self._selector, self._handle = selector, handle
        self._listener: socket.socket | None = None
        self._inode = 0
        self.clients: set[ClientConnection] = set()

    def open(self) -> None:
        """Listen; a socket that a dead supervisor left is replaced."""
        self._path = protocol.place_socket(self._home)
        if os.path.lexists(self._path):
            os.unlink(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self._path)
        os.chmod(self._path, 0o600)
        listener.listen(128)
        listener.setblocking(False)
        self._listener = listener
        self._inode = os.stat(self._path).st_ino
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def is_reachable(self) -> bool:
        """Whether the socket is still where commands look for it."""
        return self._is_there() and protocol.socket_path(self._home) == self._path

    def _is_there(self) -> bool:
        try:
            # A bound socket keeps its inode: the number is not used again meanwhile.
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Take no more commands and let those that are connected go."""
        if self._listener:
            self._selector.unregister(self._listener)
            # It is gone where the home was removed, and another's where that was made anew.
            if self._is_there():
                protocol.remove_socket(self._home, self._path)
            self._listener.close()
            self._listener = None
        for client in list(self.clients):
            self._drop(client)

    def notify(self, changes: Iterable[tuple[str, str]]) -> None:
        """Tell the watchers of each run its new state."""
        for run, state in changes:
            for client in self.clients:
                if run in client.watches:
                    client.say({"run": run, "state": state})

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        client = ClientConnection(connection)
        self.clients.add(client)
        client.say({"version": __version__, "pid": os.getpid()})
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: ClientConnection) -> None:
        if client not in self.clients:
            return
        try:
            received = client.connection.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received or len(client.rest) > 1 << 24:
            self._drop(client)
            return
        *lines, client.rest = (client.rest + received).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                self._drop(client)
                return
            self._handle(client, message)

    def _drop(self, client: ClientConnection) -> None:
        self.clients.discard(client)
        self._selector.unregister(client.connection)
        client.connection.close()
