"""Facts about the CPU that results are reported with."""

import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """Returns the model name of the CPU, such as "AMD EPYC"."""
    if CPU_INFO.is_file():  # Linux
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def computes_in_bfloat16() -> bool:
    """Returns whether the CPU has instructions for bfloat16 matrix products."""
    from keras_cct.training.devices import FAST_BFLOAT16

    return CPU_INFO.is_file() and any(flag in CPU_INFO.read_text().split() for flag in FAST_BFLOAT16)
