import pytest

import keras_cct
from keras_cct.cluster.settings import Cluster, find_cluster

SLURM = {
    "SLURM_JOB_ID": "4096",
    "SLURM_STEP_NODELIST": "node[001-002],other",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
}
KUBEFLOW = {"JAX_COORDINATOR_ADDRESS": "job-node-0-0.job:6666", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "1"}
KERAS = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:1234,10.0.0.2:2345",
    "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    "KERAS_DISTRIBUTION_PROCESS_ID": "0",
}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in (*SLURM, *OPEN_MPI, *KUBEFLOW, *KERAS):
        monkeypatch.delenv(name, raising=False)


def found(monkeypatch, variables: dict[str, str], **given) -> Cluster:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return find_cluster(**given)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (KUBEFLOW, ("job-node-0-0.job:6666", 4, 1)),
        (KERAS, ("10.0.0.1:1234", 2, 0)),
        (KUBEFLOW | KERAS, ("10.0.0.1:1234", 2, 0)),
    ],
)
def test_variables_of_keras_come_before_those_of_jax(monkeypatch, variables, expected):
    cluster = found(monkeypatch, variables)
    assert (cluster.coordinator, cluster.num_processes, cluster.process_id) == expected


def test_arguments_come_before_variables(monkeypatch):
    cluster = found(monkeypatch, KUBEFLOW, coordinator="10.0.0.9:80", process_id=2)
    assert (cluster.host, cluster.port, cluster.num_processes, cluster.process_id) == ("10.0.0.9", 80, 4, 2)


@pytest.mark.parametrize(
    ("variables", "host", "port", "process_id", "device_ids"),
    [(SLURM, "node001", 61440, 3, (1,)), (OPEN_MPI, "10.96.0.1", None, 2, (0,))],
)
def test_schedulers_are_detected_by_jax(monkeypatch, variables, host, port, process_id, device_ids):
    """Also a canary: JAX's detection is not a public function."""
    pytest.importorskip("jax")
    cluster = found(monkeypatch, variables)
    assert (cluster.host, cluster.num_processes, cluster.process_id) == (host, 4, process_id)
    assert port is None or cluster.port == port
    assert cluster.local_device_ids == device_ids


def test_an_unknown_cluster_is_refused_with_what_is_missing(monkeypatch):
    pytest.importorskip("jax")
    with pytest.raises(keras_cct.InputError, match="--num-processes, --process-id not set"):
        find_cluster("10.0.0.1:80")


def test_a_variable_that_is_no_number_is_named(monkeypatch):
    with pytest.raises(keras_cct.InputError, match="JAX_PROCESS_ID='one' is not an integer"):
        found(monkeypatch, KUBEFLOW | {"JAX_PROCESS_ID": "one"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"coordinator": "10.0.0.1"}, "coordinator must be HOST:PORT, .* got '10.0.0.1'"),
        ({"coordinator": "host:99999"}, "coordinator must be HOST:PORT"),
        ({"num_processes": 0}, "num_processes must be at least 1, got 0"),
        ({"process_id": 2}, "process_id must be from 0 to 1, as num_processes=2, got 2"),
        ({"process_id": -1}, "process_id must be from 0 to 1"),
        ({"init_timeout": 0}, "init_timeout must be a number of seconds above 0, got 0"),
        ({"stall_timeout": float("nan")}, "stall_timeout must be a number of seconds above 0, got nan"),
    ],
)
def test_invalid_values_are_refused(keys, message):
    with pytest.raises(keras_cct.InputError, match=message):
        Cluster(**({"coordinator": "host:80", "num_processes": 2, "process_id": 0} | keys))


def test_an_ipv6_address_has_brackets():
    assert Cluster("[::1]:80", 1, 0).host == "::1"
