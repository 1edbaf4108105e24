"""Which devices the models run on."""

import torch

from service_kit.server import StartError


def find_devices(wanted: str) -> list[torch.device]:
    """Finds devices and tries each.

    Args:
        wanted: "auto" (every GPU there is, else the processor), "cuda" (every GPU), or names
            with commas between them, such as "cuda:0,cuda:2". A processor named twice runs two
            copies of each model.

    Raises:
        StartError: One cannot be used.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            wanted = "cuda"
        else:
            wanted = "mps" if torch.backends.mps.is_available() else "cpu"
    names = [name.strip() for name in wanted.split(",")]
    if names == ["cuda"]:
        names = [f"cuda:{number}" for number in range(torch.cuda.device_count())] or names
    return list(map(_device, names))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise StartError(f"the device {name!r} cannot be used: {error}") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise StartError(f"the device {name!r} is of no known kind: cuda, mps and cpu are")
    return device
