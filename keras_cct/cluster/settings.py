"""The processes that train together, from arguments, environment variables or the scheduler."""

import dataclasses
import os
import re

from keras_cct.errors import InputError, check_count, is_number

INIT_TIMEOUT, STALL_TIMEOUT = 120.0, 600.0

_VARIABLES = {
    "coordinator": ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS"),
    "num_processes": ("KERAS_DISTRIBUTION_NUM_PROCESSES", "JAX_NUM_PROCESSES"),
    "process_id": ("KERAS_DISTRIBUTION_PROCESS_ID", "JAX_PROCESS_ID"),
}
"""Environment variables of each value, first hit wins: those of Keras, then those that Kubeflow Trainer sets."""
_FLAGS = {"coordinator": "--coordinator", "num_processes": "--num-processes", "process_id": "--process-id"}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One of several processes that train a model together, each on its own devices.

    All processes run the same command. They must be able to read the same images, and to reach each other through the
    network; anyone who can connect to the coordinator's port can end the run, so the network must be trusted.

    Args:
        coordinator: Address HOST:PORT of process 0, which listens on this port.
        num_processes: Number of processes.
        process_id: Index of this process; only process 0 writes files.
        init_timeout: Seconds to wait for the other processes at the start.
        stall_timeout: Seconds without a step after which a process ends itself and the others.
        local_device_ids: Indices of the accelerators of this process; None for all of this host.

    Raises:
        InputError: A value is invalid or out of range.
    """

    coordinator: str
    num_processes: int
    process_id: int
    init_timeout: float = INIT_TIMEOUT
    stall_timeout: float = STALL_TIMEOUT
    local_device_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        match = re.fullmatch(r"(?:\[[^]]+\]|[^:\s]+):(\d{1,5})", str(self.coordinator))
        if match is None or not 0 < int(match[1]) < 2**16:
            raise InputError(f"coordinator must be HOST:PORT, such as 10.0.0.1:8476, got {self.coordinator!r}.")
        check_count("num_processes", self.num_processes)
        if type(self.process_id) is not int or not 0 <= self.process_id < self.num_processes:
            raise InputError(
                f"process_id must be from 0 to {self.num_processes - 1}, as num_processes={self.num_processes}, got "
                f"{self.process_id!r}."
            )
        for name in ("init_timeout", "stall_timeout"):
            seconds = getattr(self, name)
            if not is_number(seconds) or seconds <= 0:
                raise InputError(f"{name} must be a number of seconds above 0, got {seconds!r}.")

    @property
    def host(self) -> str:
        """Name or address of the host of process 0."""
        return self.coordinator.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port on which process 0 listens."""
        return int(self.coordinator.rpartition(":")[2])


def is_first_process(cluster: Cluster | None) -> bool:
    """Returns whether this process writes the files of a run: it is process 0, or the only one."""
    return cluster is None or cluster.process_id == 0


def find_cluster(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    init_timeout: float = INIT_TIMEOUT,
    stall_timeout: float = STALL_TIMEOUT,
) -> Cluster:
    """Returns the cluster of this process.

    What is not given comes from the variables `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `..._NUM_PROCESSES` and
    `..._PROCESS_ID`, then from `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`, then from what JAX
    detects: SLURM, Open MPI, Cloud TPU and Kubernetes.

    Args:
        coordinator: Address HOST:PORT of process 0.
        num_processes: Number of processes.
        process_id: Index of this process.
        init_timeout: Seconds to wait for the other processes at the start.
        stall_timeout: Seconds without a step after which a process ends itself and the others.

    Raises:
        InputError: A value is invalid, or cannot be found.
    """
    if coordinator is None:
        coordinator = _variable("coordinator")
        coordinator = coordinator and coordinator.split(",")[0].strip()
    num_processes = _integer("num_processes") if num_processes is None else num_processes
    process_id = _integer("process_id") if process_id is None else process_id
    device_ids = None
    if coordinator is None or num_processes is None or process_id is None:
        coordinator, num_processes, process_id, device_ids = _detect(
            coordinator, num_processes, process_id, init_timeout
        )
    if coordinator is None or num_processes is None or process_id is None:
        values = (coordinator, num_processes, process_id)
        missing = [flag for flag, value in zip(_FLAGS.values(), values, strict=True) if value is None]
        raise InputError(
            f"the cluster of this process is unknown: {', '.join(missing)} not set, and no SLURM, Open MPI, Cloud TPU "
            f"or Kubernetes found. Set them, or {', '.join(names[1] for names in _VARIABLES.values())}."
        )
    return Cluster(coordinator, num_processes, process_id, init_timeout, stall_timeout, device_ids)


def _variable(name: str) -> str | None:
    values = (os.environ.get(variable, "").strip() for variable in _VARIABLES[name])
    return next((value for value in values if value), None)


def _integer(name: str) -> int | None:
    value = _variable(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError as error:
        variable = next(each for each in _VARIABLES[name] if os.environ.get(each))
        raise InputError(f"{variable}={value!r} is not an integer. Set it to one, or pass {_FLAGS[name]}.") from error


def _detect(
    coordinator: str | None, num_processes: int | None, process_id: int | None, timeout: float
) -> tuple[str | None, int | None, int | None, tuple[int, ...] | None]:
    """Returns the values, completed by JAX's detection, and the ids of this process's accelerators if it knows them."""
    # JAX has no public function for this; `tests/cluster/test_settings.py` notices when it moves.
    from jax._src.clusters import ClusterEnv  # pyright: ignore[reportMissingImports] - optional

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(
            coordinator, num_processes, process_id, None, None, round(timeout)
        )
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise InputError(
            f"the scheduler's environment is incomplete: {error}. Pass {', '.join(_FLAGS.values())}."
        ) from error
    address, number, index, device_ids = found
    return address, number, index, None if device_ids is None else tuple(device_ids)
