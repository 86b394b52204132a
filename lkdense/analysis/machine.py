"""The machine that a measurement ran on: the device, its threads and the version of PyTorch."""

import platform
from pathlib import Path

import torch


def machine(device: torch.device | str | None = None) -> str:
    """Return the device and the version of PyTorch in a few words, such as ``AMD EPYC, 2 threads, torch 2.13.0``.

    Args:
        device: the device that computes; by default the GPU, if there is one.
    """
    return f'{device_name(device)}, torch {torch.__version__}'


def device_name(device: torch.device | str | None = None) -> str:
    """Return the name of a GPU, or the name of the processor and the number of threads that PyTorch uses."""
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'

    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{_processor_name()}, {torch.get_num_threads()} threads'


def _processor_name() -> str:
    listing = Path('/proc/cpuinfo')
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]

    return names[0] if names else platform.processor() or 'a CPU'
