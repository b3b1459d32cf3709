"""The flags of `keras_cct train` that choose the backend and the processes."""

import argparse
import logging
import os
import sys
from typing import Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.cluster.settings import INIT_TIMEOUT, STALL_TIMEOUT, Cluster, find_cluster
from keras_cct.errors import InputError

BACKENDS = ("tensorflow", "jax", "torch")
VALUES = ("coordinator", "num_processes", "process_id", "init_timeout", "stall_timeout")


def add_cluster_flags(group: Any) -> None:
    """Adds the flags to a group of a parser."""
    group.add_argument(
        "--backend", choices=BACKENDS, help="Keras backend (default: KERAS_BACKEND, or what Keras is configured for)"
    )
    group.add_argument(
        "--distributed",
        action="store_true",
        help="train in several processes on one or many hosts, with the JAX backend; what the flags below leave out "
        "comes from KERAS_DISTRIBUTION_* or JAX_* variables, SLURM, Open MPI, Cloud TPU or Kubernetes",
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0 (default: detected)")
    group.add_argument("--num-processes", type=int, metavar="INT", help="number of processes (default: detected)")
    group.add_argument("--process-id", type=int, metavar="INT", help="index of this process (default: detected)")
    for flag, seconds, purpose in (
        ("--init-timeout", INIT_TIMEOUT, "how long to wait for the other processes at the start"),
        ("--stall-timeout", STALL_TIMEOUT, "time without a step after which all processes end"),
    ):
        group.add_argument(flag, type=float, metavar="SECONDS", help=f"{purpose} (default: {seconds:g})")


def choose_backend(options: argparse.Namespace) -> None:
    """Selects the backend of `--backend` before Keras is imported.

    Raises:
        InputError: Keras is imported already, with another backend.
    """
    if options.backend is None:
        return
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() != options.backend:
        raise InputError(
            f"--backend {options.backend!r} comes too late: Keras is imported with {keras.backend.backend()!r}. "
            f"Set KERAS_BACKEND={options.backend}."
        )
    os.environ["KERAS_BACKEND"] = options.backend


def cluster_of(options: argparse.Namespace) -> Cluster | None:
    """Returns the cluster that the flags and the environment describe; None without `--distributed`.

    Processes other than the first one log warnings only.

    Raises:
        InputError: A flag is given without `--distributed`, the backend is not JAX, or a value is invalid or cannot be
            found.
    """
    given = {name: getattr(options, name) for name in VALUES if getattr(options, name) is not None}
    if not options.distributed:
        if given:
            flag = next(iter(given)).replace("_", "-")
            raise InputError(f"--{flag} has no effect without --distributed. Add it, or leave --{flag} out.")
        return None
    load_frameworks()
    from keras_cct.training.processes import check_backend

    check_backend()
    cluster = find_cluster(**given)
    if cluster.process_id:
        logging.getLogger("keras_cct").setLevel(logging.WARNING)
    return cluster
