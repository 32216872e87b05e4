"""A Ray cluster of two machines with a core each, both of which are this one."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--object-store-memory=78643200"]
ENV = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),  # of this cluster alone, and not one in the home folder
}


@contextmanager
def two_machines(log: Path) -> Iterator[str]:
    """Give the address of a cluster for the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = ["--head", f"--port={port}", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    machines = []
    with log.open("w") as stream, tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        env = {**ENV, "RAY_TMPDIR": folder}  # short, for its sockets; and the address that Ray notes is not found later
        try:
            for where in (head, [f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.1"]):
                words = [*RAY, *where, "--block"]
                machines.append(subprocess.Popen(words, env=env, stdout=stream, stderr=stream, start_new_session=True))
                _wait_for(port)
            yield f"127.0.0.1:{port}"
        finally:
            for machine in machines:
                os.killpg(machine.pid, signal.SIGKILL)  # what the machine has started with it
                machine.wait(60)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing answers at port {port}")
