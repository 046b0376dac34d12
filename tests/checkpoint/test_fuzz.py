"""Checkpoints with one random fault each: a right graph, or one sentence that names the file and nothing left."""

import copy
import io
import json
import random
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from checkpoint.test_hostile_files import in_config, in_weights, repack
from conftest import ROOT, ByKind, run_worker

Change = Callable[[dict[str, bytes]], None]
Fault = tuple[str, Callable[[Path, Path], None]]

VALUES: list[Any] = [
    None, True, -1, 0, 1, 3, 7, 0.5, -2.5, 10**7, 10**12, float("nan"), float("inf"), "", "x", "1e5", "null", "rel_pos",
    "${oc.env:HOME}", "${nothing.here}", "${now:%Y}", [], [1], [[]], ["a"], {}, {"x": 1}, [0] * 100,
]  # fmt: skip
DTYPES = [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.complex64]
SECONDS = 60


def settings(config: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all settings below a config, sections too."""
    found = [path] if path else []
    if isinstance(config, dict):
        for key, value in config.items():
            found += settings(value, (*path, key))
    return found


def at(config: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        config = config[key]
    return config


def config_fault(rng: random.Random) -> tuple[str, Change]:
    """Another value, no value, an unknown key, or a section in place of another."""
    kind, value = rng.choice(["value", "value", "value", "lost", "unknown", "swapped"]), rng.choice(VALUES)
    seed = rng.random()

    def edit(config: dict[str, Any]) -> None:
        choice = random.Random(seed)
        parts = [key for key in ("encoder", "decoder", "joint", "preprocessor", "tokenizer", "loss") if key in config]
        paths = [path for key in parts for path in settings(config[key], (key,))]
        path = choice.choice(paths)
        parent = at(config, path[:-1])
        if kind == "value":
            parent[path[-1]] = copy.deepcopy(value)
        elif kind == "lost":
            del parent[path[-1]]
        elif kind == "unknown":
            parent[f"{path[-1]}_new"] = copy.deepcopy(value)
        else:
            other = choice.choice(paths)
            parent[path[-1]] = copy.deepcopy(at(config, other))

    return f"config {kind} {value!r:.20}", in_config(edit)


def weights_fault(rng: random.Random) -> tuple[str, Change]:
    kind = rng.choice(
        ["lost", "renamed", "shape", "dtype", "all dtypes", "nan", "inf", "empty", "extra", "not a tensor"]
    )
    seed, dtype = rng.random(), rng.choice(DTYPES)

    def edit(weights: dict[str, Any]) -> None:
        name = random.Random(seed).choice(sorted(weights))
        tensor = weights[name]
        if kind == "lost":
            del weights[name]
        elif kind == "renamed":
            weights[f"{name}.x"] = weights.pop(name)
        elif kind == "shape":
            weights[name] = torch.zeros(3, 1, 2)
        elif kind == "dtype":
            weights[name] = tensor.to(dtype)
        elif kind == "all dtypes":
            weights.update({key: value.to(dtype) for key, value in weights.items() if value.is_floating_point()})
        elif kind in ("nan", "inf"):
            weights[name] = torch.full_like(tensor.float(), float(kind))
        elif kind == "empty":
            weights.clear()
        elif kind == "extra":
            weights["encoder.more"] = torch.zeros(2)
        else:
            weights[name] = [1, 2]

    return f"weights {kind} {dtype}", in_weights(edit)


def archive_fault(rng: random.Random) -> Fault:
    """Members that are lost, twice, outside, links, many, or cut; another container; a YAML bomb."""
    kind = rng.choice(["lost", "outside", "link", "many", "empty", "gzip", "garbage config", "bomb", "cycle", "deep"])
    name = rng.choice(["model_config.yaml", "model_weights.ckpt"])

    def make(source: Path, target: Path) -> None:
        def change(members: dict[str, bytes]) -> None:
            if kind == "lost":
                del members[name]
            elif kind == "outside":
                members["../../escaped"] = b"x"
            elif kind == "many":
                members.update({f"file{number}": b"" for number in range(11_000)})
            elif kind == "empty":
                members[name] = b""
            elif kind == "garbage config":
                members["model_config.yaml"] = rng.randbytes(2000)
            elif kind == "bomb":
                lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
                lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
                members["model_config.yaml"] += "\n".join(["", *lines, ""]).encode()
            elif kind == "cycle":
                members["model_config.yaml"] += b"\nmore: &more [*more]\n"
            elif kind == "deep":
                members["model_config.yaml"] += b"\nmore: " + b"[" * 5000 + b"]" * 5000

        repack(source, target, change)
        if kind == "link":
            with tarfile.open(target, "a") as tar:
                info = tarfile.TarInfo("link")
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
        elif kind == "gzip":
            plain = target.read_bytes()
            with tarfile.open(target, "w:gz") as tar:
                info = tarfile.TarInfo("zeros")
                info.size = 200_000_000
                tar.addfile(info, io.BytesIO(bytes(info.size)))
            assert len(target.read_bytes()) < len(plain)

    return f"archive {kind} {name}", make


def bytes_fault(rng: random.Random) -> Fault:
    kind, seed = rng.choice(["flips", "cut", "header", "zeros", "noise"]), rng.random()

    def make(source: Path, target: Path) -> None:
        choice, content = random.Random(seed), bytearray(source.read_bytes())
        if kind == "cut":
            del content[choice.randrange(len(content)) :]
        elif kind == "noise":
            content = bytearray(choice.randbytes(5000))
        else:
            end = 1024 if kind == "header" else len(content)
            for _ in range(choice.choice([1, 8, 200])):
                content[choice.randrange(end)] = 0 if kind == "zeros" else choice.randrange(256)
        target.write_bytes(content)

    return f"bytes {kind}", make


def fault(seed: int) -> Fault:
    rng = random.Random(seed)
    kind = rng.choice(["config", "config", "config", "weights", "archive", "bytes"])
    if kind in ("config", "weights"):
        label, change = (config_fault if kind == "config" else weights_fault)(rng)

        def make(source: Path, target: Path) -> None:
            repack(source, target, change)

        return label, make
    return archive_fault(rng) if kind == "archive" else bytes_fault(rng)


def build(model: Path, out: Path) -> int:
    """Run what a build of three graphs runs, until one worker fails."""
    steps: list[tuple[object, ...]] = [
        ("checkpoint/unpack", "--model", model, "--output", out / "checkpoint/manifest.json")
    ]
    for graph in ("encoder", "predictor", "joint"):
        given = ("--graph", graph, "--checkpoint", out / "checkpoint")
        steps.append(("export/export_graph", *given, "--output", out / f"{graph}.onnx"))
        steps.append(("export/check", *given, "--onnx", out / f"{graph}.onnx", "--output", out / f"{graph}.json"))
    for name, *arguments in steps:
        if code := run_worker(str(name), *arguments):
            return code
    return 0


def require_right_or_refused(seed: int, source: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label, make = fault(seed)
    model, out = folder / "model.nemo", folder / "out"
    make(source, model)
    capsys.readouterr()
    began = time.monotonic()
    code = build(model, out)
    assert time.monotonic() - began < SECONDS, (seed, label)
    written = capsys.readouterr().err
    assert code in (0, 2), (seed, label, written)
    if code == 2:
        sentences = [line for line in written.splitlines() if line.startswith("error: ")]
        assert len(sentences) == 1 and "model.nemo" in sentences[0] and "Traceback" not in written, (
            seed,
            label,
            written,
        )
        assert re.search(r"[.]$", sentences[0]), sentences
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in names if ".tmp" in name or name == "escaped"], (seed, label, names)
    if not (out / "checkpoint/manifest.json").exists():
        assert names == {"model.nemo"}, (seed, label, names)


@pytest.mark.parametrize("seed", range(40))
def test_a_fault_is_harmless_or_refused(
    seed: int, nemo_file: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_right_or_refused(seed, nemo_file("bpe-tdt"), tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40, 340))
def test_more_faults(seed: int, nemo_file: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = ("bpe-tdt", "bpe-rnnt", "char-rnnt", "hybrid-tdt", "cache-aware-rnnt")[seed % 5]
    require_right_or_refused(seed, nemo_file(kind), tmp_path, capsys)


# A process of its own stands between, as a child's peak begins at its parent's size.
MEASURING = """
import json, resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
print(json.dumps([code, time.monotonic() - began, peak]))
"""


def measured(*command: object) -> tuple[int, float, float, str]:
    """Return a command's exit status, seconds, peak memory in GB, and what it wrote to stderr."""
    measuring = [sys.executable, "-c", MEASURING, *map(str, command)]
    done = subprocess.run(measuring, cwd=ROOT, capture_output=True, text=True, check=True)
    return (*json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="module")
def imports() -> float:
    """Return the memory in GB that NeMo's import takes: with PyTorch for GPUs half as much again."""
    return measured(sys.executable, "-c", "import nemo.collections.asr")[2]


@pytest.mark.parametrize("kind", ["bomb", "gzip", "many", "layers"])
def test_what_is_refused_takes_little_memory_and_time(
    kind: str, imports: float, nemo_file: ByKind, tmp_path: Path
) -> None:
    model = tmp_path / "model.nemo"
    if kind == "layers":
        repack(nemo_file("bpe-tdt"), model, in_config(lambda config: config["encoder"].update(n_layers=10**7)))
    else:
        seeds = (seed for seed in range(10_000) if fault(seed)[0].startswith(f"archive {kind}"))
        fault(next(seeds))[1](nemo_file("bpe-tdt"), model)
    unpack = [sys.executable, "py/checkpoint/unpack.py", "--model", model, "--output", tmp_path / "c/manifest.json"]
    export = [sys.executable, "py/export/export_graph.py", "--graph", "encoder", "--checkpoint", tmp_path / "c"]
    for command in (unpack, [*export, "--output", tmp_path / "encoder.onnx"]):
        code, seconds, gigabytes, stderr = measured(*command)
        if code:
            break
    assert code == 2 and stderr.count("error: ") == 1, stderr
    # Only what fits the archive's rules gets as far as NeMo.
    assert seconds < SECONDS and gigabytes < (imports + 0.25 if kind == "layers" else 1)
