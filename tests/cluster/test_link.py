"""Connections over loopback, between threads of one process instead of processes."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import keras_cct
from keras_cct.cluster import link as link_module
from keras_cct.cluster.callbacks import Watchdog
from keras_cct.cluster.link import Link, connect
from keras_cct.cluster.settings import Cluster


@pytest.fixture(autouse=True)
def endings(monkeypatch) -> dict[int, str]:
    """The problem with which each process would have ended, by its index."""
    problems: dict[int, str] = {}
    monkeypatch.setattr(Link, "_end", lambda self, problem: problems.setdefault(self.cluster.process_id, problem))
    return problems


@pytest.fixture
def port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


def connecting(port: int, count: int, facts=None, indices=None, timeout: float = 20.0) -> list[Future]:
    """Connects processes in threads; `facts` and `indices` may differ between them."""
    pool = ThreadPoolExecutor(count)
    clusters = [Cluster(f"127.0.0.1:{port}", count, index, timeout) for index in indices or range(count)]
    facts = facts or [{}] * len(clusters)
    return [pool.submit(connect, cluster, each) for cluster, each in zip(clusters, facts, strict=True)]


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_processes_connect_wait_for_each_other_and_leave(port, endings):
    links = [future.result(30) for future in connecting(port, 3)]
    passed = []

    def work(link: Link) -> None:
        link.wait("first")
        passed.append(link.cluster.process_id)

    others = [threading.Thread(target=work, args=(link,)) for link in links[1:]]
    for thread in others:
        thread.start()
    time.sleep(0.1)
    assert passed == []
    links[0].wait("first")
    for thread in others:
        thread.join(20)
    assert sorted(passed) == [1, 2]
    for link in links:
        link.leave()
    time.sleep(0.1)
    assert endings == {}


def test_facts_that_differ_are_refused_in_all_processes(port, endings):
    for future in connecting(
        port, 3, [{"lr": "1", "jax": "0.9"}, {"lr": "1", "jax": "0.9"}, {"lr": "2", "jax": "0.9"}]
    ):
        with pytest.raises(keras_cct.InputError, match=r"process 2 on 127\.0\.0\.1 has lr=2, process 0 has 1"):
            future.result(30)
    assert endings == {}


def test_missing_processes_are_named_with_the_address(port):
    first, second = connecting(port, 4, indices=[0, 2], timeout=1.0)
    for future in (first, second):
        with pytest.raises(
            keras_cct.InputError, match=f"processes 1, 3 of 4 did not connect to coordinator='127.0.0.1:{port}'"
        ):
            future.result(30)


def test_a_missing_first_process_is_named_with_the_address(port):
    (future,) = connecting(port, 2, indices=[1], facts=[{}], timeout=0.5)
    with pytest.raises(keras_cct.InputError, match=f"cannot connect to process 0 at coordinator='127.0.0.1:{port}'"):
        future.result(30)


def test_a_port_in_use_is_refused(port):
    with contextlib.closing(socket.create_server(("127.0.0.1", port))):
        (future,) = connecting(port, 2, indices=[0], facts=[{}])
        with pytest.raises(keras_cct.InputError, match=f"cannot listen on port {port} .*: Address already in use"):
            future.result(30)


def test_an_index_is_given_once(port):
    for future in connecting(port, 3, indices=[0, 1, 1]):
        with pytest.raises(keras_cct.InputError, match="two processes have process_id=1"):
            future.result(30)


def test_connections_that_say_nothing_sensible_are_ignored(port, monkeypatch):
    monkeypatch.setattr(link_module, "SECONDS_FOR_HELLO", 0.2)
    (first,) = connecting(port, 2, indices=[0], facts=[{}])
    for content in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"process_id": "1"}\n', b"\xff\n", b""):
        wait_for(lambda: _can_connect(port, content))  # noqa: B023 # called at once
    (second,) = connecting(port, 2, indices=[1], facts=[{}])
    assert first.result(30).is_first
    assert not second.result(30).is_first


def test_another_program_at_the_address_is_wrong_input_and_not_a_lost_process():
    with socket.create_server(("127.0.0.1", 0)) as other_program:
        program = (
            "from keras_cct.cluster.link import connect; from keras_cct.cluster.settings import Cluster; "
            f"connect(Cluster('127.0.0.1:{other_program.getsockname()[1]}', 2, 1), {{}}, 'Resume it.')"
        )
        process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
        connected, _ = other_program.accept()
        connected.close()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors == ("process 1 ends: process 0 on 127.0.0.1 has ended, or is another program. Check the address.\n")


def _can_connect(port: int, content: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(content)
            return True
    except OSError:
        return False


@pytest.mark.parametrize("lost", [0, 1])
def test_all_processes_end_if_one_is_lost(port, endings, lost):
    links = [future.result(30) for future in connecting(port, 3)]
    for connection in links[lost]._peers.values():
        links[lost]._is_leaving = True
        connection.close()
    others = {0, 1, 2} - {lost}
    wait_for(lambda: set(endings) >= others)
    for index in others:
        assert f"process {lost} on 127.0.0.1 was lost" in endings[index]


@pytest.mark.parametrize("failed", [0, 2])
def test_all_processes_end_with_the_message_of_the_one_that_failed(port, endings, failed, monkeypatch):
    monkeypatch.setattr(link_module, "SECONDS_TO_FAIL_TOO", 0.1)
    links = [future.result(30) for future in connecting(port, 3)]
    links[failed].leave("the disk is full.")
    others = {0, 1, 2} - {failed}
    wait_for(lambda: set(endings) >= others)
    assert all(f"process {failed} on 127.0.0.1 ended: the disk is full." in endings[index] for index in others)


def test_processes_that_fail_for_the_same_reason_end_by_themselves(port, endings, monkeypatch):
    monkeypatch.setattr(link_module, "SECONDS_TO_FAIL_TOO", 0.5)
    first, second = [future.result(30) for future in connecting(port, 2)]
    second.leave("the loss is NaN.")
    time.sleep(0.1)
    first.leave("the loss is NaN.")
    time.sleep(1)
    assert endings == {}


def test_a_watchdog_ends_a_block_without_progress():
    stalled = threading.Event()
    with Watchdog(0.2, stalled.set) as watchdog:
        for _ in range(8):
            time.sleep(0.05)
            watchdog.on_train_batch_end(0)
        assert not stalled.is_set()
        assert stalled.wait(20)
    with Watchdog(0.2, stalled.clear):
        pass
    time.sleep(0.4)
    assert stalled.is_set()
