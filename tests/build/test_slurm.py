"""Builds and evaluations on a real Slurm of two nodes, both on this machine, one of which dies.

Example:
    .venv/bin/python -m pytest tests/build/test_slurm.py

Needs Debian's packages slurm-wlm and munge, and root, as a Slurm daemon does.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from conftest import ROOT, few_utterances, make, run_worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("slurmctld") and shutil.which("munged")) or os.geteuid() != 0,
        reason="slurm-wlm and munge are not installed, or this is not root",
    ),
]

CONFIG = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort=17017
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdTimeout=10
MpiDefault=none
SwitchType=switch/none
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17101 CPUs=2 RealMemory=16000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17102 CPUs=2 RealMemory=16000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


class Cluster:
    """The daemons of one cluster: munged, slurmctld, and a slurmd for each node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        for name in ("controller", "n1", "n2"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(CONFIG.format(folder=folder))
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        names = {"key-file": key.name, "socket": "munge.sock", "pid-file": "munge.pid", "log-file": "munge.log"}
        options = [f"--{option}={folder / name}" for option, name in names.items()]
        subprocess.run(["munged", "--force", f"--seed-file={folder / 'munge.seed'}", *options], check=True)
        self.start("slurmctld")
        for node in ("n1", "n2"):
            self.start("slurmd", "-N", node)
        for _ in range(50):
            if self.states() == ["idle", "idle"]:
                return
            time.sleep(0.2)
        raise AssertionError((folder / "controller.log").read_text())

    def start(self, *command: str) -> None:
        """Start a daemon, which goes into the background by itself."""
        subprocess.run(command, check=True, env=self.environment)

    def kill(self, name: str) -> None:
        """Kill a daemon by the name of its PID file."""
        file = self.folder / f"{name}.pid"
        if file.exists():
            os.kill(int(file.read_text()), signal.SIGKILL)
            file.unlink()

    def states(self) -> list[str]:
        """Return the state of each node."""
        done = subprocess.run(["sinfo", "-Nho", "%T"], env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.split()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # A socket's name is short.
    with tempfile.TemporaryDirectory(prefix="slurm", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        started = Cluster(Path(folder))
        yield started
        for name in ("n1", "n2", "controller", "munge"):
            started.kill(name)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few_utterances(tmp_path_factory.mktemp("manifest") / "manifest.jsonl", 12)


def goal(out: Path, manifest: Path) -> tuple[str, ...]:
    return ("evaluate", f"OUT={out}", f"VALIDATION={manifest}", "MAX_WER_DELTA=100")


CHECKS = ("checkpoint.check.json", "wer.fp32.check.json")


def test_a_build_on_two_nodes_of_which_one_dies(cluster: Cluster, manifest: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    done = make(*goal(alone, manifest))
    assert done.returncode == 0, done.stderr

    on_slurm = (f"PYTHON={sys.executable}", *goal(shared, manifest), "CLUSTER=slurm", "SHARDS=4")
    log = tmp_path / "make.log"
    with log.open("w") as stream, subprocess.Popen(
        ["make", "-j4", *on_slurm], cwd=ROOT, env=cluster.environment, stdout=stream, stderr=stream
    ) as building:  # fmt: skip
        for _ in range(1800):
            if building.poll() is not None or "EXPORT" in log.read_text():
                break
            time.sleep(0.1)
        assert cluster.states().count("idle") < 2, "steps run on the nodes"
        cluster.kill("n2")
        building.wait(timeout=540)
    again = make("-j4", *on_slurm, env=cluster.environment)
    assert again.returncode == 0, again.stderr + log.read_text()
    for name in CHECKS:
        assert (shared / "checks" / name).read_bytes() == (alone / "checks" / name).read_bytes(), name
    assert not list(shared.rglob("*.tmp*"))


def test_a_controller_that_is_started_again(cluster: Cluster, manifest: Path, tmp_path: Path) -> None:
    on_slurm = (*goal(tmp_path / "out", manifest), "CLUSTER=slurm")
    cluster.kill("controller")
    environment = cluster.environment | {"SLURM_MSG_TIMEOUT": "2"}
    process = subprocess.Popen(
        ["make", f"PYTHON={sys.executable}", *on_slurm, "predictor.onnx"], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    time.sleep(3)
    cluster.start("slurmctld")
    output, _ = process.communicate(timeout=540)
    if process.returncode:  # it gave up before the controller was back: nothing wrong is left
        done = make(*on_slurm, env=cluster.environment)
        assert done.returncode == 0, output + done.stderr
    assert (tmp_path / "out/onnx/predictor.onnx").exists()


def test_speech_is_trained_on_two_nodes(cluster: Cluster, manifest: Path, tmp_path: Path) -> None:
    """Two processes, a node each, that share their gradients: each hears other batches, and one model comes of it."""
    slurm = ("CLUSTER=slurm", "TRAIN_NODES=2", "TRAIN_GPUS=", "TRAIN_CORES=1", "TRAIN_MEMORY=4G")
    environment = cluster.environment | {"MASTER_ADDR": "127.0.0.1"}  # these nodes have names that nobody resolves
    weights = []
    for name, where in (("one", ()), ("two", slurm)):
        out = tmp_path / name
        data = (f"OUT={out}", f"TRAIN_MANIFEST={manifest}", f"VALIDATION={manifest}", "STEPS=20", "V=1")
        done = make("train", *data, *where, env=environment)
        assert done.returncode == 0, done.stderr
        for process in (1, 2) if where else (1,):
            assert f"process {process} of {2 if where else 1}" in done.stderr + done.stdout
        unpacked = out / "new/manifest.json"
        assert run_worker("checkpoint/unpack", "--model", out / "train/demo-tdt.nemo", "--output", unpacked) == 0
        trained = torch.load(unpacked.with_name("model_weights.ckpt"), map_location="cpu", weights_only=True)
        weights.append(trained["joint.pred.weight"])
    assert not torch.equal(*weights), "two nodes hear twice as much as one"
