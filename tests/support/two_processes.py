"""A test file run as two processes that torch.distributed joins, as torchrun starts them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.processes import PATIENCE

ROOT = Path(__file__).parents[2]


def free_ports(count: int) -> list[str]:
    """Return ports of this machine that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


def run_twice(script: str, *arguments: object) -> None:
    """Run `script` as the ranks 0 and 1, which may meet at MASTER_PORT; each must end without an error."""
    (port,) = free_ports(1)
    env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, *map(str, arguments)]
    started = [subprocess.Popen(command, env={**env, "RANK": str(rank)}) for rank in range(2)]
    try:
        assert [process.wait(timeout=PATIENCE) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
