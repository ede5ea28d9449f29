"""What a connection sends and takes, at a pace that people's connections have: who is slower is let go."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

GRACE, PACE = 15.0, 50_000  # seconds that a request may take to arrive, and bytes for which it is given one more
LINGER = 2.0  # seconds in which a peer may take its answer and go
AT_ONCE = 1 << 20  # bytes that are read at once, whatever is asked for


class Paced(io.RawIOBase):
    """Both directions of a connection, with an end in sight. TimeoutError for a peer that is too slow.

    A timeout of the socket would begin anew with each byte. `received`: bytes so far; `late`: whether time ran out.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.began = connection, time.monotonic()
        self.received, self.late = 0, False

    def readable(self) -> bool:
        """It reads."""
        return True

    def writable(self) -> bool:
        """It writes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Take what has come. TimeoutError where a request arrives more slowly than may be."""
        left = self.began + GRACE + self.received / PACE - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self.connection.settimeout(left)
            count = self.connection.recv_into(buffer)
        except TimeoutError:
            self.late = True
            raise
        self.received += count
        return count

    def write(self, data: Any) -> int:
        """Send all of it. TimeoutError where a peer takes it more slowly than may be."""
        size = memoryview(data).nbytes
        self.connection.settimeout(GRACE + size / PACE)
        self.connection.sendall(data)
        return size


class Reader(io.BufferedReader):
    """Gives of a request what has come: who asks for more waits for no more, and gets no buffer of that size."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Give up to `AT_ONCE` bytes, none at the end."""
        return self.read1(AT_ONCE if size is None or size < 0 else min(size, AT_ONCE))


def linger(connection: socket.socket) -> None:
    """End a connection whose answer is sent, once its peer has: closed earlier, what still comes would wipe it out."""
    until = time.monotonic() + LINGER
    try:
        connection.shutdown(socket.SHUT_WR)
        while (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(1 << 16):
                break
    except OSError:  # it has gone
        pass
    connection.close()
