"""What a benchmark says of itself: its command, the processor, the versions."""

import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path


def describe_machine() -> None:
    """Print the command, the versions and the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next(
        (line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor()
    )
    words = set(next((line for line in lines if line.startswith("flags")), "").split())
    extensions = " ".join(sorted(words & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}))
    print("command: ", " ".join(sys.argv))
    print(f"machine:  {processor} ({extensions}), Python {platform.python_version()}")
    for package in ("tensorflow", "torch", "transformers", "datasets"):
        if importlib.util.find_spec(package):
            print(f"{package}: {importlib.metadata.version(package)}")
