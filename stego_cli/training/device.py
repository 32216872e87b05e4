"""From the name of a device to the device."""

from __future__ import annotations

import torch

from stego_cli.errors import UsageError, setting
from stego_cli.training.ranks import own_gpu


def torch_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the first GPU (under torchrun this process's), else the CPU.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device(own_gpu())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"{name} cannot be used: {str(error).splitlines()[0]}",
            f"Give {setting('device', 'cpu')} or {setting('device', 'auto')}.",
            field="device",
        ) from error
    return device
