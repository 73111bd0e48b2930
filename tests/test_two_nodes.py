"""Two nodes on one machine: each in a network of its own where that is allowed, or on loopback."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from launches import ROOT, environment, free_port, launch
from tiny_runs import settings_in

ZERO_3 = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0}}
# A pair of virtual network cards, joined by a cable; the addresses are those of examples.
CABLE = (
    "netns add {a}",
    "netns add {b}",
    "-n {a} link add eth0 type veth peer name eth0 netns {b}",
    "-n {a} addr add 192.0.2.1/24 dev eth0",
    "-n {b} addr add 192.0.2.2/24 dev eth0",
    "-n {a} link set eth0 up",
    "-n {b} link set eth0 up",
    "-n {a} link set lo up",
    "-n {b} link set lo up",
)


class Node(NamedTuple):
    """A place to run commands: what each begins with, and the network card to talk over."""

    enter: Sequence[str]
    address: str
    interface: str


class Workspace(NamedTuple):
    """A settings file over a tiny model and dataset, and where runs of it go."""

    path: Path
    settings: Path

    def flags(self, name: str, *more: str) -> list[str]:
        return ["ds_finetune.py", f"--config-file={self.settings}", f"--name={name}", *more]

    def adapter(self, name: str) -> bytes:
        return (self.path / "checkpoints" / name / "final/adapter.safetensors").read_bytes()

    def losses(self, name: str) -> list[float]:
        lines = (self.path / "logs" / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    names = {side: f"fc-{os.getpid()}-{side}" for side in "ab"}
    try:
        if cabled(names):
            yield [
                Node(["ip", "netns", "exec", names[side]], f"192.0.2.{number}", "eth0")
                for number, side in enumerate("ab", 1)
            ]
        else:
            yield [Node([], "127.0.0.1", "lo")] * 2
    finally:
        if shutil.which("ip"):
            for name in names.values():
                subprocess.run(["ip", "netns", "del", name], capture_output=True)


def cabled(names: dict[str, str]) -> bool:
    """Make the two namespaces; return whether this machine allows it (root, iproute2)."""
    if shutil.which("ip") is None:
        return False
    words = (["ip", *line.format(**names).split()] for line in CABLE)
    return all(subprocess.run(word, capture_output=True).returncode == 0 for word in words)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    path = tmp_path_factory.mktemp("nodes")
    file = path / "settings.json"
    file.write_text(settings_in(path)(deepspeed_config=ZERO_3).model_dump_json())
    return Workspace(path, file)


@pytest.fixture(scope="module")
def alone(workspace: Workspace) -> None:
    """The same run as two ranks of one node."""
    ended = launch(2, *workspace.flags("alone"))
    assert (ended.returncode, ended.stderr) == (0, "")


def start(nodes: list[Node], commands: list[list[str]]) -> list[subprocess.Popen[str]]:
    """Start one command on each node."""
    return [
        subprocess.Popen(
            [*node.enter, *command],
            cwd=ROOT,
            env=environment(GLOO_SOCKET_IFNAME=node.interface),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node, command in zip(nodes, commands, strict=True)
    ]


def ends(jobs: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Wait for both; return each one's exit code and what it wrote to stderr."""
    try:
        errors = [job.communicate(timeout=100)[1] for job in jobs]
        return [(job.returncode, error) for job, error in zip(jobs, errors, strict=True)]
    finally:
        for job in jobs:
            end_with_children(job)


def end_with_children(job: subprocess.Popen[str]) -> None:
    """Kill a launcher and its ranks, which would otherwise run on."""
    if job.poll() is None:
        for process in [*psutil.Process(job.pid).children(recursive=True), job]:
            process.kill()


def deepspeed_on_each(nodes: list[Node], folder: Path) -> list[list[str]]:
    hosts = folder / "hosts"
    hosts.write_text("node-a slots=1\nnode-b slots=1\n")
    master = [f"--master_addr={nodes[0].address}", f"--master_port={free_port()}"]
    begin = ["deepspeed", f"--hostfile={hosts}", "--no_ssh", *master]
    return [[*begin, f"--node_rank={rank}"] for rank in (0, 1)]


def torchrun_on_each(nodes: list[Node], folder: Path) -> list[list[str]]:
    master = [f"--master_addr={nodes[0].address}", f"--master_port={free_port()}"]
    begin = ["torchrun", "--nnodes=2", "--nproc_per_node=1", *master]
    return [[*begin, f"--node_rank={rank}"] for rank in (0, 1)]


@pytest.mark.long
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "launcher",
    [deepspeed_on_each, torchrun_on_each],
    ids=["deepspeed", "torchrun"],
)
def test_two_nodes_train_the_same_adapter_as_one_node(
    launcher, nodes: list[Node], workspace: Workspace
):
    name = launcher.__name__
    commands = [[*begin, *workspace.flags(name)] for begin in launcher(nodes, workspace.path)]
    assert [code for code, _ in ends(start(nodes, commands))] == [0, 0]
    assert workspace.losses(name) == workspace.losses("alone")
    assert workspace.adapter(name) == workspace.adapter("alone")


@pytest.mark.long
def test_a_lone_node_reports_the_address_it_waited_at(nodes: list[Node], workspace: Workspace):
    begin = deepspeed_on_each(nodes, workspace.path)[1]
    command = [*nodes[1].enter, *begin, *workspace.flags("alone_again")]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(GLOO_SOCKET_IFNAME=nodes[1].interface, DEEPSPEED_TIMEOUT="1"),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode != 0
    [said] = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert said.startswith("error: rank 1 on ") and f"at {nodes[0].address}:" in said


@pytest.mark.long
def test_a_rank_dying_on_one_node_ends_both_nodes(nodes: list[Node], workspace: Workspace):
    flags = workspace.flags("killed", "--training.epochs=500", "--training.max_steps=3000")
    commands = [[*begin, *flags] for begin in deepspeed_on_each(nodes, workspace.path)]
    jobs = start(nodes, commands)
    try:
        wait_for(workspace.path / "checkpoints/killed/step-000004", jobs[0])
        rank_of(jobs[1]).kill()
        killed = time.monotonic()
        (code, said), (other, _) = ends(jobs)
    finally:
        for job in jobs:
            end_with_children(job)
    assert time.monotonic() - killed < 60
    assert code != 0 and other != 0
    assert [line for line in said.splitlines() if line.startswith("error: ")]


def wait_for(path: Path, job: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 100
    while not path.exists():
        assert job.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def rank_of(launcher: subprocess.Popen[str]) -> psutil.Process:
    """Return the process that trains under a node's launcher."""
    [rank] = [
        process
        for process in psutil.Process(launcher.pid).children(recursive=True)
        if {"ds_finetune.py", "--local_rank=0"} <= set(process.cmdline())
    ]
    return rank
