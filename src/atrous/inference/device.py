"""Which device a prediction runs on."""

import torch

from atrous.errors import InputError

__all__ = ["open_device"]


def open_device(name: str | torch.device) -> torch.device:
    """Return a device that works here.

    Args:
        name: "cpu", "cuda", "cuda:1", ..., or "auto", a GPU where there is one.

    Raises:
        InputError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        meant = "use cpu or auto"
        if str(name).lower() in ("gpu", "0"):
            meant = "did you mean cuda? auto takes the GPU if there is one, else the CPU"
        raise InputError(f"device {str(name)!r} is not usable here; {meant}") from error
    return device
