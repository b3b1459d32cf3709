"""Connections between process 0 and all others, over which they compare inputs and notice when one of them ends.

JAX has a service of its own for this, but it aborts a process with a stack trace when another one is missing, and
notices a killed process only after many seconds. Messages are lines of JSON.
"""

import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from keras_cct.cluster.settings import Cluster, is_first_process
from keras_cct.errors import InputError, one_line

EXIT_LOST = 75
"""Exit code of a process that ends because another one did: EX_TEMPFAIL, "try again later"."""
EXIT_REFUSED = 2
"""Exit code of wrong input: trying again will not help."""

MAX_LINE, MAX_LISTED = 2**20, 8
SECONDS_BETWEEN_TRIES, SECONDS_FOR_HELLO, SECONDS_TO_FAIL_TOO = 0.2, 5.0, 5.0
KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""After 15 s of silence and 3 unanswered probes, 5 s apart, a host has crashed. A killed process needs no probe."""

Message = dict[str, Any]


class Connection:
    """A connection to one process.

    Args:
        connected: The connected socket.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEP_ALIVE.items():
            if hasattr(socket, option):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._socket = connected
        self._file = connected.makefile("rb")
        self._sending = threading.Lock()
        self.received: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.has_left = False

    def send(self, message: Message) -> None:
        """Sends a message. A broken connection is ignored; the thread that reads from it notices it."""
        with contextlib.suppress(OSError), self._sending:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def read(self) -> Message | None:
        """Returns the next message; None if the other process has gone or does not send messages."""
        try:
            line = self._file.readline(MAX_LINE)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def set_timeout(self, seconds: float | None) -> None:
        """Sets how long `read` waits; None for no limit."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Closes the connection, also for a thread that reads from it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()


class Link:
    """This process's connections: of process 0 to all others, of any other to process 0.

    If another process ends without `leave`, or leaves with an error, this process prints why and ends with exit code
    75, whatever it does at that moment: the main thread may wait in a collective operation that never ends. Before all
    have connected, it ends with exit code 2 and without the hint.

    Args:
        cluster: The cluster.
        peers: The connection to each process, by its index.
        names: "process 1 on HOST" for each of them.
        hint: What to do after a failure, for the message.
    """

    def __init__(self, cluster: Cluster, peers: Mapping[int, Connection], names: Mapping[int, str], hint: str) -> None:
        self.cluster = cluster
        self.hint = hint
        self._peers = dict(peers)
        self._names = dict(names)
        self._is_leaving = False
        self._has_started = False
        for index, peer in self._peers.items():
            peer.set_timeout(None)
            threading.Thread(target=self._listen, args=(index, peer), daemon=True).start()

    @property
    def is_first(self) -> bool:
        """Whether this is process 0."""
        return is_first_process(self.cluster)

    def agree(self, topic: str, facts: Mapping[str, str]) -> None:
        """Waits for all processes and compares their facts with those of process 0.

        Args:
            topic: What the facts are about, the same in all processes.
            facts: Values by name.

        Raises:
            InputError: A value differs; raised in all processes, with both values.
        """
        message = {"topic": topic, "facts": dict(facts)}
        if self.is_first:
            replies = {index: peer.received.get() for index, peer in self._peers.items()}
            problems = (_difference(message, reply, self._names[index]) for index, reply in replies.items())
            problem = next(filter(None, problems), "")
            self._is_leaving = bool(problem)
            for peer in self._peers.values():
                peer.send({"topic": topic, "problem": problem})
        else:
            (peer,) = self._peers.values()
            peer.send(message)
            problem = str(peer.received.get().get("problem", ""))
        if problem:
            raise InputError(problem)
        self._has_started = True

    def wait(self, topic: str) -> None:
        """Waits for all processes."""
        self.agree(topic, {})

    def leave(self, problem: str = "") -> None:
        """Tells the other processes that this one ends. With a problem, they end as well."""
        self._is_leaving = True
        for peer in self._peers.values():
            peer.send({"leave": one_line(problem)})

    def end_all(self, problem: str) -> None:
        """Ends all processes: prints the problem and ends this one with exit code 75."""
        self.leave(problem)
        self._end(problem)

    def _listen(self, index: int, peer: Connection) -> None:
        with contextlib.closing(peer):
            self._handle_messages(index, peer)

    def _handle_messages(self, index: int, peer: Connection) -> None:
        while True:
            message = peer.read()
            if message is None:
                break
            if "leave" not in message:
                self._is_leaving |= bool(message.get("problem"))
                peer.received.put(message)
                continue
            peer.has_left = True
            if message["leave"]:
                # What failed there, e.g. a loss that is NaN in all processes, mostly fails here as well.
                time.sleep(SECONDS_TO_FAIL_TOO)
                self._note_failure(f"{self._names[index]} ended: {message['leave']}")
            return
        if self._has_started:
            self._note_failure(f"{self._names[index]} was lost: it was killed, or its host cannot be reached any more.")
        else:
            self._note_failure(f"{self._names[index]} has ended, or is another program. Check the address.")

    def _note_failure(self, problem: str) -> None:
        if self._is_leaving:
            return
        for peer in self._peers.values():
            if self.is_first and not peer.has_left:
                peer.send({"leave": problem})
        self._end(problem)

    def _end(self, problem: str) -> None:
        hint = self.hint if self._has_started else ""
        line = one_line(f"process {self.cluster.process_id} ends: {problem} {hint}".rstrip())
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())
        os._exit(EXIT_LOST if self._has_started else EXIT_REFUSED)


def connect(cluster: Cluster, facts: Mapping[str, str], hint: str = "") -> Link:
    """Waits for all processes of a cluster, and compares their facts with those of process 0.

    Args:
        cluster: The cluster.
        facts: Values that must be equal, by name.
        hint: What to do when another process ends, for the message.

    Raises:
        InputError: The port of process 0 is in use, processes are missing after `init_timeout`, two processes have the
            same index, or a value differs.
    """
    facts = {"num_processes": str(cluster.num_processes), **facts}
    link = _listen_for_all(cluster, hint) if is_first_process(cluster) else _connect_to_first(cluster, hint)
    try:
        link.agree("start", facts)
    except InputError:
        link.leave()
        raise
    return link


def _listen_for_all(cluster: Cluster, hint: str) -> Link:
    try:
        listener = _listener(cluster.port)
    except OSError as error:
        raise InputError(
            f"process 0 cannot listen on port {cluster.port} of coordinator={cluster.coordinator!r}: "
            f"{os.strerror(error.errno or 0)}. Choose another port in all processes, and start only "
            f"one with process_id=0."
        ) from error
    peers: dict[int, Connection] = {}
    names: dict[int, str] = {}
    deadline = time.monotonic() + cluster.init_timeout
    with listener:
        while len(peers) < cluster.num_processes - 1:
            try:
                listener.settimeout(max(deadline - time.monotonic(), 0.01))
                connected, address = listener.accept()
            except TimeoutError as error:
                problem = (
                    f"{_missing(cluster, peers)} did not connect to coordinator={cluster.coordinator!r} within "
                    f"{cluster.init_timeout:g} s. Start all with the same address, and check that the port is open."
                )
                raise _refused(problem, peers.values()) from error
            peer = Connection(connected)
            peer.set_timeout(SECONDS_FOR_HELLO)
            index = (peer.read() or {}).get("process_id")
            if type(index) is not int:
                peer.close()  # a port scanner, or a health check
                continue
            problem = _joining_problem(cluster, index, peers)
            if problem:
                raise _refused(problem, [peer, *peers.values()])
            peers[index], names[index] = peer, f"process {index} on {address[0].removeprefix('::ffff:')}"
    return Link(cluster, peers, names, hint)


def _refused(problem: str, peers: Iterable[Connection]) -> InputError:
    for peer in peers:
        peer.send({"problem": problem})
        peer.close()
    return InputError(problem)


def _joining_problem(cluster: Cluster, index: int, peers: Mapping[int, Connection]) -> str:
    if not 0 < index < cluster.num_processes:
        return (
            f"a process has process_id={index}, but process 0 has num_processes={cluster.num_processes}. Start all "
            f"with the same number."
        )
    if index in peers:
        return f"two processes have process_id={index}. Give each its own, from 0 to {cluster.num_processes - 1}."
    return ""


def _listener(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _connect_to_first(cluster: Cluster, hint: str) -> Link:
    deadline = time.monotonic() + cluster.init_timeout
    while True:
        try:
            remaining = max(deadline - time.monotonic(), SECONDS_BETWEEN_TRIES)
            connected = socket.create_connection((cluster.host, cluster.port), timeout=remaining)
            break
        except OSError as error:
            if time.monotonic() + SECONDS_BETWEEN_TRIES >= deadline:
                raise InputError(
                    f"process {cluster.process_id} cannot connect to process 0 at coordinator={cluster.coordinator!r} "
                    f"within {cluster.init_timeout:g} s: {error.strerror or error}. Start process 0, and check the "
                    f"address and that its port is open."
                ) from error
            time.sleep(SECONDS_BETWEEN_TRIES)
    peer = Connection(connected)
    peer.send({"process_id": cluster.process_id})
    return Link(cluster, {0: peer}, {0: f"process 0 on {cluster.host}"}, hint)


def _difference(ours: Message, theirs: Message, name: str) -> str:
    """Returns how what another process has sent differs from what process 0 has; empty if it does not."""
    if theirs.get("topic") != ours["topic"]:
        return f"{name} is at {theirs.get('topic')!r}, process 0 at {ours['topic']!r}. Run the same command everywhere."
    facts = theirs.get("facts")
    facts = facts if isinstance(facts, dict) else {}
    for key in sorted(ours["facts"].keys() | facts.keys()):
        first, other = ours["facts"].get(key, "missing"), facts.get(key, "missing")
        if first != other:
            return f"{name} has {key}={other}, process 0 has {first}. Make them equal."
    return ""


def _missing(cluster: Cluster, peers: Mapping[int, Connection]) -> str:
    missing = [str(index) for index in range(1, cluster.num_processes) if index not in peers]
    listed = ", ".join(missing[:MAX_LISTED]) + (", ..." if len(missing) > MAX_LISTED else "")
    return f"process{'es' * (len(missing) > 1)} {listed} of {cluster.num_processes}"
