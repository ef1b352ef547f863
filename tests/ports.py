"""Ports of this machine for servers that have to be told theirs."""

import random
import socket


def find_port() -> int:
    """Find a port that is free, below those that the system gives to others while a server starts."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:  # taken
                continue
        return port
