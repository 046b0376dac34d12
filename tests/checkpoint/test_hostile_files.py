"""Bad input gets one sentence that names the file and what to do, exit code 2, and leaves no product behind."""

import copy
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from conftest import ROOT, ByKind, make, make_project, run_worker
from transducer.checkpoint.checkpoint import Checkpoint

Capture = pytest.CaptureFixture[str]
Change = Callable[[dict[str, bytes]], None]


def repack(source: Path, target: Path, change: Change) -> Path:
    """Copy a .nemo archive with its members changed by name."""
    with tarfile.open(source) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    members = {name.removeprefix("./"): content for name, content in members.items()}
    change(members)
    with tarfile.open(target, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def in_config(edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(members: dict[str, bytes]) -> None:
        config = yaml.safe_load(members["model_config.yaml"])
        edit(config)
        members["model_config.yaml"] = yaml.safe_dump(config, allow_unicode=True).encode()

    return change


def in_weights(edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(members: dict[str, bytes]) -> None:
        weights = torch.load(io.BytesIO(members["model_weights.ckpt"]), weights_only=True)
        edit(weights)
        stream = io.BytesIO()
        torch.save(weights, stream)
        members["model_weights.ckpt"] = stream.getvalue()

    return change


def products(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def unpack(model: Path, out: Path) -> int:
    return run_worker("checkpoint/unpack", "--model", model, "--output", out / "checkpoint/manifest.json")


def refusal(capsys: Capture, worker: str, *arguments: object) -> str:
    """Run a worker that must refuse its input, and return the one sentence it tells."""
    capsys.readouterr()
    assert run_worker(worker, *arguments) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("error: ") and sentence.endswith(".\n") and sentence.count("\n") == 1, sentence
    return sentence


def refused(capsys: Capture, model: Path, out: Path) -> str:
    """Unpack a checkpoint that must be refused and leave nothing behind, and return the sentence."""
    sentence = refusal(capsys, "checkpoint/unpack", "--model", model, "--output", out / "checkpoint/manifest.json")
    assert products(out) == []
    return sentence


class Gadget:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch stolen",)


def set_target(name: str) -> Change:
    return in_config(lambda config: config.update(target=f"nemo.collections.asr.models.{name}"))


def set_class(section: str, name: str) -> Change:
    return in_config(lambda config: config[section].update(_target_=name))


def without(name: str) -> Change:
    def change(members: dict[str, bytes]) -> None:
        del members[name]

    return change


def no_joint(config: dict[str, Any]) -> None:
    del config["joint"]


REFUSED_AT_UNPACKING: dict[str, tuple[Change, str]] = {
    "a class outside NeMo": (set_class("encoder", "os.system"), "os.system"),
    "a model class outside NeMo": (in_config(lambda config: config.update(target="evil.Model")), "evil.Model"),
    "a CTC model": (set_target("EncDecCTCModel"), "EncDecCTCModel"),
    "a speaker model": (set_target("EncDecSpeakerLabelModel"), "EncDecSpeakerLabelModel"),
    "no joint": (in_config(no_joint), "no joint"),
    "another encoder": (set_class("encoder", "nemo.collections.asr.modules.ECAPAEncoder"), "ECAPAEncoder"),
    "no config": (without("model_config.yaml"), "model_config.yaml"),
    "no weights": (without("model_weights.ckpt"), "model_weights.ckpt"),
    "damaged weights": (lambda members: members.update({"model_weights.ckpt": b"PK\x03\x04 no more"}), "damaged"),
    "pickled code": (in_weights(lambda weights: weights.update(gadget=Gadget())), "never run"),
    "a foreign weight": (in_weights(lambda weights: weights.update({"speaker.w": torch.zeros(1)})), "speaker.w"),
}


@pytest.mark.parametrize("case", REFUSED_AT_UNPACKING)
def test_refused_at_unpacking(case: str, nemo_file: ByKind, tmp_path: Path, capsys: Capture) -> None:
    change, named = REFUSED_AT_UNPACKING[case]
    bad = repack(nemo_file("bpe-tdt"), tmp_path / "bad.nemo", change)
    sentence = refused(capsys, bad, tmp_path / "out")
    assert named in sentence and "bad.nemo" in sentence and not Path("stolen").exists()


def test_a_missing_file_through_make(tmp_path: Path) -> None:
    done = make("all", f"MODEL={tmp_path}/none.nemo", f"OUT={tmp_path}/out")
    assert done.returncode == 2
    assert "none.nemo does not exist; give MODEL the path of a .nemo or .ckpt file, or of a folder." in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out/checkpoint").exists()


@pytest.mark.parametrize("content", [b"", b"not a tar at all", b"\x1f\x8b\x08 half a gzip"])
def test_not_a_tar(content: bytes, tmp_path: Path, capsys: Capture) -> None:
    bad = tmp_path / "bad.nemo"
    bad.write_bytes(content)
    assert "bad.nemo" in refused(capsys, bad, tmp_path / "out")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_tar(share: float, nemo_file: ByKind, tmp_path: Path, capsys: Capture) -> None:
    whole, bad = nemo_file("bpe-tdt").read_bytes(), tmp_path / "bad.nemo"
    bad.write_bytes(whole[: int(len(whole) * share)])
    assert "truncated" in refused(capsys, bad, tmp_path / "out")


@pytest.mark.parametrize("kind", ["parent", "absolute", "symlink", "hardlink", "device"])
def test_members_that_could_escape(kind: str, tmp_path: Path, capsys: Capture) -> None:
    bad = tmp_path / "bad.nemo"
    names = {"parent": "../escaped", "absolute": "/tmp/escaped"}
    types = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
    with tarfile.open(bad, "w") as tar:
        member = tarfile.TarInfo(names.get(kind, "model_config.yaml"))
        member.type, member.linkname = types.get(kind, tarfile.REGTYPE), "/etc/passwd" if kind in types else ""
        tar.addfile(member)
    assert "do not trust" in refused(capsys, bad, tmp_path / "out")
    assert not (tmp_path.parent / "escaped").exists()


def rename(weights: dict[str, Any]) -> None:
    weights["joint.enc.weights"] = weights.pop("joint.enc.weight")


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "missing": (lambda w: w.pop("joint.enc.weight"), "the weight joint.enc.weight is missing"),
    "extra": (lambda w: w.update({"joint.enc.gain": torch.zeros(3)}), "no place for the weight joint.enc.gain"),
    "shape": (lambda w: w.update({"joint.enc.weight": torch.zeros(3, 3)}), "joint.enc.weight has shape [3, 3]"),
    "renamed": (rename, "joint.enc.weight"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_weights_that_do_not_fit(case: str, nemo_file: ByKind, tmp_path: Path, capsys: Capture) -> None:
    change, named = MISFITS[case]
    bad = repack(nemo_file("bpe-tdt"), tmp_path / "bad.nemo", in_weights(change))
    assert unpack(bad, tmp_path / "out") == 0
    output = tmp_path / "out/onnx/joint.raw.onnx"
    sentence = refusal(
        capsys,
        "export/export_graph",
        "--graph",
        "joint",
        "--checkpoint",
        tmp_path / "out/checkpoint",
        "--output",
        output,
    )
    assert "bad.nemo" in sentence and named in sentence
    assert not (tmp_path / "out/onnx").exists()


def test_ckpt_with_its_config_beside_it(nemo_file: ByKind, tmp_path: Path) -> None:
    """A Lightning checkpoint, with compiled-module prefixes and NeMo's own hyperparameters, gives the same module."""
    from omegaconf import OmegaConf

    assert unpack(nemo_file("bpe-tdt"), tmp_path / "nemo") == 0
    reference = Checkpoint(tmp_path / "nemo/checkpoint")
    config = copy.deepcopy(reference.config)
    tokenizer = next((tmp_path / "nemo/checkpoint").glob("*tokenizer.model"))
    (tmp_path / "tokenizer.model").write_bytes(tokenizer.read_bytes())
    config["tokenizer"] = {"dir": ".", "type": "bpe"}
    del config["target"], config["joint"]["vocabulary"], config["joint"]["num_classes"], config["decoder"]["vocab_size"]
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"name": "run", "model": config}, allow_unicode=True))
    weights = {f"_orig_mod.{name}": tensor.clone() for name, tensor in reference.weights.items()}
    torch.save({"state_dict": weights, "hyper_parameters": OmegaConf.create({"cfg": config})}, tmp_path / "run.ckpt")

    assert unpack(tmp_path / "run.ckpt", tmp_path / "out") == 0
    found = Checkpoint(tmp_path / "out/checkpoint")
    assert found.labels == reference.labels and found.manifest["model_class"] == "EncDecRNNTBPEModel"
    expected = reference.build("joint").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.build("joint").state_dict().items())


def test_ckpt_without_config(tmp_path: Path, capsys: Capture) -> None:
    torch.save({"state_dict": {"joint.enc.weight": torch.zeros(1)}}, tmp_path / "run.ckpt")
    assert "run.yaml" in refused(capsys, tmp_path / "run.ckpt", tmp_path / "out")


def test_ckpt_with_pickled_code(nemo_file: ByKind, tmp_path: Path, capsys: Capture) -> None:
    torch.save({"state_dict": {}, "callbacks": Gadget()}, tmp_path / "run.ckpt")
    with tarfile.open(nemo_file("bpe-tdt")) as tar:
        (tmp_path / "run.yaml").write_bytes(tar.extractfile("./model_config.yaml").read())  # type: ignore[union-attr]
    assert "never run" in refused(capsys, tmp_path / "run.ckpt", tmp_path / "out")
    assert not Path("stolen").exists()


def test_unknown_config() -> None:
    done = make("all", "CONFIG=no-such")
    assert done.returncode == 2 and "configs/no-such.mk does not exist: set CONFIG to one of demo-" in done.stderr


def test_spaces_in_paths(tmp_path: Path) -> None:
    for flag in ("MODEL=my model.nemo", "OUT=my out"):
        done = make("all", flag)
        assert done.returncode == 2 and "without spaces" in done.stderr
    (tmp_path / "my project").mkdir()
    done = make("help", cwd=make_project(tmp_path / "my project"))
    assert done.returncode == 2 and "spaces in its path" in done.stderr


def test_make_older_than_4_3() -> None:
    """Make's own variable stands in for an old Make, which is not to be had; the guard reads nothing else."""
    done = make("help", ".FEATURES=target-specific order-only", "MAKE_VERSION=4.2.1")
    assert done.returncode == 2 and "GNU Make 4.2.1 is too old: install 4.3 or newer" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """Return a file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], check=True)
    return place


def test_disk_full(small_disk: Path, nemo_file: ByKind, capsys: Capture) -> None:
    try:
        sentence = refused(capsys, nemo_file("bpe-tdt"), small_disk / "out")
        assert "No space left" in sentence and "free some space" in sentence
    finally:
        subprocess.run(["umount", small_disk], check=True)


def test_output_not_writable(small_disk: Path, nemo_file: ByKind) -> None:
    try:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        done = make("all", f"MODEL={nemo_file('bpe-tdt')}", f"OUT={small_disk}/out")
        assert done.returncode == 2 and "point OUT at a folder that you may write to" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", small_disk], check=True)


def test_no_python(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    done = subprocess.run(
        ["make", "setup", "BASE_PYTHON=python9.9"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "python9.9 is not installed" in done.stderr


@pytest.mark.parametrize("minor", [10, 14])
def test_a_python_of_another_version(minor: int, tmp_path: Path) -> None:
    """By an interpreter that says so of itself: not every version can be had on every machine."""
    other = tmp_path / f"python3.{minor}"
    pretence = f"import sys; sys.version_info = (3, {minor}, 2); exec(sys.argv[1])"
    other.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.{minor}.2" && exit\n'
        f'[ "$1" = -c ] && exec {sys.executable} -c "{pretence}" "$2"\nexec {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    other.chmod(0o755)
    command = [ROOT / "scripts/make_venv.sh", other, tmp_path / ".venv", ROOT / "py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"is Python 3.{minor}.2; install Python 3.11 to 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(("missing", "taken"), [([], "python3.13"), (["python3.13"], "python3.12")])
def test_the_newest_python_that_runs_is_taken(missing: list[str], taken: str, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        script = "#!/bin/sh\nexit 127\n" if name in missing else f"#!/bin/sh\necho {name}\n"
        (tmp_path / name).write_text(script, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment.pop("BASE_PYTHON", None)  # which another Python than the newest is tested by
    done = make("--eval=show:;@echo $(BASE_PYTHON)", "show", cwd=folder, env=environment)
    assert done.stdout.strip() == taken


def test_pytorch_comes_first_from_its_own_index(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    command = ["make", "--dry-run", "V=1", "setup", "TORCH_INDEX=https://example.org/cpu?a=1&b"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    torch, rest = (line for line in done.stdout.splitlines() if "pip install" in line)
    assert re.search(r"--index-url 'https://example.org/cpu\?a=1&b' torch==[\d.]+$", torch)
    assert "--requirement requirements.txt" in rest


def test_workers_explain_themselves() -> None:
    workers = sorted(path for path in (ROOT / "py").glob("*/*.py") if path.parent.name != "transducer")
    assert len(workers) > 40
    for worker in workers:
        done = subprocess.run([sys.executable, worker, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "usage:" in done.stdout, worker
