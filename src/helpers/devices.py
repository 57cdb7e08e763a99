"""Devices: which one is meant, what it is called, what memory it has, and how to wait for it."""

import ctypes
import gc
import sys

import torch
from torch import Tensor


def as_device(name: str) -> torch.device:
    """The device of that name; raises ValueError for one that is unknown or not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"Device {name!r} is unknown; expected cpu, cuda or cuda:0.") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"Device {name!r} is not supported; expected cpu, cuda, cuda:0 or mps.")
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        raise ValueError(f"Device {name!r} is not there; run on the CPU (--device cpu).")
    return device


def describe(device: torch.device) -> str:
    """The device in words, as a provenance has it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}" if device.type == "cpu" else "MPS"


def double(values: Tensor) -> Tensor:
    """The values in float64, on their device where it has such numbers: Apple's GPUs have none."""
    return values.cpu().double() if values.device.type == "mps" else values.double()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Most memory held so far, in MB: of the GPU where the work was there, else of this process.

    0 where the system does not tell.
    """
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def out_of_memory(error: BaseException | None) -> bool:
    """Is it this that the error, or one that it hides, complains of?

    On a GPU torch has a type of its own for it, but libraries below say it in words, as torch
    itself does on a CPU.
    """
    words = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if any(word in str(error) for word in words):
            return True
        error = error.__context__
    return False


def free_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def keep_memory(device: torch.device) -> None:
    """Keep freed memory in this process for the next step, where the C library is glibc.

    It otherwise returns every large tensor to the system, whose fresh pages cost nearly half of a
    convolutional network's training time on a CPU (measured: 3,500 against 6,300 images/s).
    """
    if device.type != "cpu" or sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 2**27)
