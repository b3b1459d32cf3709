"""Facts about the machine that results are reported with, and the files of results."""

import datetime
import json
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from keras_cct.files import replacing

CPU_INFO = Path("/proc/cpuinfo")
VECTOR_INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 and bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}
"""Instructions by their names in Linux, the fastest first."""

RESULTS = Path(__file__).parent / "results"


def cpu_name() -> str:
    """Returns the model name of the CPU and its fastest vector instructions, such as "AMD EPYC with AVX2"."""
    if not CPU_INFO.is_file():
        return platform.processor() or platform.machine()
    values = dict(re.findall(r"^(.+?)\s*: (.*)$", CPU_INFO.read_text(), re.MULTILINE))  # of the last core
    flags = values.get("flags", "").split()
    instructions = [name for flag, name in VECTOR_INSTRUCTIONS.items() if flag in flags]
    return " with ".join([values.get("model name", platform.machine()), *instructions[:1]])


def gpu_name() -> str | None:
    """Returns the name of the first NVIDIA GPU, such as "NVIDIA H100 PCIe", or None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    names = done.stdout.split("\n") if done.returncode == 0 else [""]
    return names[0].strip() or None


def computes_in_bfloat16() -> bool:
    """Returns whether the CPU has instructions for bfloat16 matrix products."""
    from keras_cct.training.devices import FAST_BFLOAT16

    return CPU_INFO.is_file() and any(flag in CPU_INFO.read_text().split() for flag in FAST_BFLOAT16)


def memory_bytes(field: str) -> int:
    """Returns a field of the memory use of this process: "VmRSS" for now, "VmHWM" for the most so far."""
    match = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise SystemExit("this benchmark reads /proc/self/status, which only Linux has.")
    return 1024 * int(match[1])


def write_results(folder: Path, name: str, results: dict[str, Any]) -> None:
    """Writes results, with CPU and date, to a JSON file named after a benchmark, the CPU and the date.

    Args:
        folder: The folder, which is created if it does not exist.
        name: First part of the file name; empty for all races.
        results: The results.
    """
    today = datetime.datetime.now(datetime.UTC).date()
    cpu = re.sub("[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    path = folder / f"{'-'.join(filter(None, (name, cpu, str(today))))}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"cpu": cpu_name(), "date": str(today), **results}, indent=2) + "\n")
    print(f"wrote {path}")
