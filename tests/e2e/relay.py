"""A TCP relay that can misbehave: it delays, swallows, half-closes, cuts and refuses.

`Relay(target)` listens on a free port of 127.0.0.1 and joins each connection to the target. The kinds
of fault act on open connections and, until `heal`, on new ones.
"""

import select
import socket
import struct
import threading
import time

_CHUNK = 65536
_TICK = 0.02
_STUCK_SECONDS = 30  # a peer that takes nothing for so long has its connection reset
TO_TARGET, TO_CLIENT = "to target", "to client"


def split_address(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


class _Pipe:
    """The two sockets of one relayed connection. The threads that copy close them, the last one out."""

    def __init__(self, client, target):
        self.client = client
        self.target = target
        self.ended = False
        self._reset = False
        self._copying = 2
        self._lock = threading.Lock()

    def sockets(self, direction):
        return (self.client, self.target) if direction == TO_TARGET else (self.target, self.client)

    def end(self, reset):
        with self._lock:
            self._reset |= reset
            self.ended = True

    def leave(self):
        """Says that one direction is copied no longer; returns whether that closed the pipe."""
        with self._lock:
            self._copying -= 1
            if self._copying:
                return False
        for end in (self.client, self.target):
            if self._reset:  # linger 0: the peer sees a reset, as from a machine that lost the connection
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        return True


class Relay:
    def __init__(self, target):
        self._target = split_address(target)
        self._lock = threading.Lock()
        self._pipes = set()
        self._swallow = set()
        self._delay = 0.0
        self._refuse = False
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def delay(self, seconds):
        """Every piece waits this long before it goes on, in both directions."""
        self._delay = seconds

    def swallow(self, *directions):
        """Bytes of these directions (none = both) are read and dropped; connections stay open."""
        self._swallow = set(directions or (TO_TARGET, TO_CLIENT))

    def half_close(self, direction):
        """Ends one direction of all open connections in good order; the other stays open."""
        for pipe in self._open_pipes():
            try:
                pipe.sockets(direction)[1].shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def cut(self, reset=True):
        """Ends all open connections, by a reset or in good order; new ones are served."""
        pipes = self._open_pipes()
        for pipe in pipes:
            pipe.end(reset)
        while any(pipe in self._open_pipes() for pipe in pipes):
            time.sleep(_TICK)

    def refuse(self):
        """Cuts all connections and resets new ones at once."""
        self._refuse = True
        self.cut()

    def heal(self):
        """New bytes and new connections pass; what was swallowed is gone, so broken streams are cut."""
        broken = bool(self._swallow)
        self._swallow, self._delay, self._refuse = set(), 0.0, False
        if broken:
            self.cut()

    def close(self):
        # A close alone does not wake the thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _open_pipes(self):
        with self._lock:
            return list(self._pipes)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            self.connections += 1
            try:
                target = socket.create_connection(self._target, timeout=5)
            except OSError:
                client.close()
                continue
            pipe = _Pipe(client, target)
            if self._refuse:
                pipe.end(reset=True)
            for end in (client, target):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(_STUCK_SECONDS)
            with self._lock:
                self._pipes.add(pipe)
            for direction in (TO_TARGET, TO_CLIENT):
                threading.Thread(target=self._copy, args=(pipe, direction), daemon=True).start()

    def _copy(self, pipe, direction):
        source, sink = pipe.sockets(direction)
        try:
            while not pipe.ended:
                if not select.select([source], [], [], _TICK)[0]:
                    continue
                data = source.recv(_CHUNK)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    break
                if self._delay:
                    time.sleep(self._delay)
                if direction not in self._swallow:
                    sink.sendall(data)
        except OSError:
            pipe.end(reset=True)
        if pipe.leave():
            with self._lock:
                self._pipes.discard(pipe)
