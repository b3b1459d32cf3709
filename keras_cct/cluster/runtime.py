"""JAX's runtime of several processes, for the time of a run."""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping

from keras_cct.cluster.link import Link, connect
from keras_cct.cluster.settings import Cluster
from keras_cct.errors import InputError

log = logging.getLogger(__name__)

HEARTBEAT_TIMEOUT, SHUTDOWN_TIMEOUT = 100, 60
SECONDS_FOR_LOSS = 10.0
UNEXPECTED = "an unexpected error, which its log shows."


@contextlib.contextmanager
def joined(cluster: Cluster, facts: Mapping[str, str], hint: str = "") -> Iterator[Link]:
    """Joins a cluster for the block: connects its processes, and starts JAX's runtime of several processes.

    When the block ends without an error, or with `SystemExit`, all processes wait for each other.

    Args:
        cluster: The cluster.
        facts: Values that must be equal in all processes, by name.
        hint: What to do when another process ends, for the message.

    Raises:
        InputError: The processes cannot be connected, a value differs, or JAX has used its devices before.
    """
    link = connect(cluster, facts, hint)
    problem, owns_runtime = UNEXPECTED, False
    try:
        owns_runtime = _start_runtime(cluster)
        yield link
        problem = ""
    except SystemExit:
        problem = ""
        raise
    except (InputError, KeyboardInterrupt) as error:
        problem = str(error) or "interrupted."
        raise
    finally:
        if not problem:
            _end_together(link, owns_runtime)
        elif problem == UNEXPECTED:
            # A lost process fails collective operations, too. The link then ends this process, with a better message.
            time.sleep(SECONDS_FOR_LOSS)
        link.leave(problem)


def _start_runtime(cluster: Cluster) -> bool:
    """Starts JAX's runtime; returns False if a launcher such as Ray has started it already."""
    import jax  # pyright: ignore[reportMissingImports] - optional

    log.info("process %d of %d; process 0 is at %s", cluster.process_id, cluster.num_processes, cluster.coordinator)
    if jax.distributed.is_initialized():
        found = jax.process_index(), jax.process_count()
        if found != (cluster.process_id, cluster.num_processes):
            raise InputError(
                f"JAX runs as process {found[0]} of {found[1]}, the cluster has process {cluster.process_id} of "
                f"{cluster.num_processes}. Make them equal."
            )
        return False
    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.num_processes,
            cluster.process_id,
            cluster.local_device_ids,
            initialization_timeout=round(cluster.init_timeout),
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=SHUTDOWN_TIMEOUT,
        )
    except RuntimeError as error:
        raise InputError(
            f"JAX cannot start on {cluster.num_processes} processes: {error}. Start training before any other "
            f"computation, once per process."
        ) from error
    return True


def _end_together(link: Link, ends_runtime: bool) -> None:
    import jax  # pyright: ignore[reportMissingImports] - optional

    link.wait("end")
    if ends_runtime:
        jax.distributed.shutdown()
