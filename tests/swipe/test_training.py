"""Swipe training: what it saves loads strictly everywhere, a teacher teaches, and a killed run goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from conftest import ROOT, make, make_project, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import layout_of, read_layout
from transducer.swipe.traces import read_traces

LABELS = "abcdefghijklmnopqrstuvwxyz'"
QWERTY = ROOT / "configs/layouts/qwerty.json"
STEPS = 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a manifest, and a very small model that was trained on it for a moment."""
    folder = tmp_path_factory.mktemp("swipe")
    config: Any = OmegaConf.load(ROOT / "configs/demo-swipe.yaml")
    config.batch_size = 8
    config.steps = STEPS
    config.model.encoder.n_layers = 1
    config.model.encoder.d_model = config.model.model_defaults.enc_hidden = 32
    OmegaConf.save(config, folder / "small.yaml")
    synthesis = ("--split", "test", "--count", 40, "--layout", QWERTY, "--output", folder / "m.jsonl")
    assert run_worker("swipe/synthesize", *synthesis) == 0
    train(folder, "small", "tiny")
    return folder


def train(folder: Path, config: str, name: str, *more: object) -> None:
    manifests = ("--train-manifest", folder / "m.jsonl", "--validation-manifest", folder / "m.jsonl")
    places = ("--work", folder / f"{name}-work", "--output", folder / f"{name}.nemo")
    assert run_worker("swipe/train", "--config", folder / f"{config}.yaml", *manifests, *places, *more) == 0


def unpacked(model: Path) -> Checkpoint:
    folder = model.with_name(f"{model.name}-unpacked")
    if not folder.exists():
        assert run_worker("checkpoint/unpack", "--model", model, "--output", folder / "manifest.json") == 0
    return Checkpoint(folder)


def test_nemo_and_ckpt_load_strictly_and_are_the_same_model(trained: Path) -> None:
    packed, lightning = unpacked(trained / "tiny.nemo"), unpacked(trained / "tiny.ckpt")
    for section in ("encoder", "decoder", "joint"):
        ours, theirs = packed.build(section).state_dict(), lightning.build(section).state_dict()
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), name
    facts = describe(packed)
    assert "".join(packed.labels) == LABELS
    assert facts["blank_id"] == len(LABELS) == facts["dims"]["V"] - 1
    assert facts["dims"]["F"] == 38
    assert facts["subsampling_factor"] == 2
    assert facts["swipe"]["layout"] == json.loads(QWERTY.read_text(encoding="utf-8"))


def test_stock_nemo_restores_the_model_and_encodes_features_alike(trained: Path) -> None:
    from nemo.collections.asr.models import EncDecRNNTModel

    from transducer.export.modules import load_module

    checkpoint = unpacked(trained / "tiny.nemo")
    layout = layout_of(checkpoint.config["swipe"]["layout"], "tiny.nemo")
    traces = read_traces(trained / "m.jsonl", LABELS)[:3]
    features = [torch.from_numpy(swipe_features(trace.points, layout)) for trace in traces]
    lengths = torch.tensor([len(frames) for frames in features])
    batch = torch.nn.utils.rnn.pad_sequence(features, batch_first=True).transpose(1, 2)
    model = EncDecRNNTModel.restore_from(str(trained / "tiny.nemo"), map_location="cpu", strict=True).eval()
    with torch.inference_mode():
        expected, expected_lengths = model(processed_signal=batch, processed_signal_length=lengths)
        found, found_lengths = load_module("encoder", checkpoint)(batch, lengths)
    assert torch.equal(found_lengths, expected_lengths)
    torch.testing.assert_close(found, expected)


def test_evaluation_reports_each_kind_of_word(trained: Path) -> None:
    checkpoint = unpacked(trained / "tiny.nemo")
    traces = read_traces(trained / "m.jsonl", LABELS)
    words = list(dict.fromkeys(trace.word for trace in traces[1:]))
    (trained / "words.txt").write_text("\n".join(words), encoding="utf-8")
    inputs = ("--checkpoint", checkpoint.folder, "--manifest", trained / "m.jsonl", "--lexicon", trained / "words.txt")
    output = trained / "swipe.check.json"
    assert run_worker("swipe/evaluate_checkpoint", *inputs, "--beam", 4, "--output", output) == 0
    report = json.loads(output.read_text(encoding="utf-8"))
    assert [report["accuracy"][name]["traces"] for name in ("all", "seen", "novel")] == [40, 30, 10]
    figures = report["accuracy"]
    for name in ("all", "seen", "novel"):
        assert 0 <= figures[name]["top1"] <= figures[name]["top3"] <= figures[name]["top5"] <= 100
    assert len(report["facts"]["errors"]) == round(40 * (1 - figures["all"]["top1"] / 100))
    output.unlink()
    assert run_worker("swipe/evaluate_checkpoint", *inputs, "--beam", 4, "--min-top1", 99, "--output", output) == 1
    assert not output.exists()


def test_a_teacher_equal_to_the_student_adds_nothing_and_another_does(trained: Path) -> None:
    from nemo.collections.asr.models import EncDecRNNTModel

    from transducer.swipe.batched_features import batched_features
    from transducer.swipe.corpus import TraceCorpus
    from transducer.swipe.distillation import Distillation
    from transducer.train.losses import RNNTLoss
    from transducer.train.run import use_cpu_loss

    checkpoint = unpacked(trained / "tiny.nemo")
    student = EncDecRNNTModel.restore_from(str(trained / "tiny.nemo"), map_location="cpu").eval()
    use_cpu_loss(student)
    loss = Distillation(RNNTLoss(len(LABELS)), checkpoint, 1.0, student)
    corpus = TraceCorpus([(read_traces(trained / "m.jsonl", LABELS), read_layout(QWERTY)[0])], LABELS, "cpu")
    batch = corpus.batch(np.arange(4))
    features, lengths = batched_features(batch)

    def value(teaching: bool) -> float:
        loss.train(teaching)
        with torch.no_grad():
            encoded, frames = student(processed_signal=features, processed_signal_length=lengths)
            predicted, _, _ = student.decoder(targets=batch.labels, target_length=batch.label_lengths)
            joint = student.joint(encoder_outputs=encoded, decoder_outputs=predicted)
            return float(loss(joint, batch.labels, frames, batch.label_lengths))

    assert value(True) == pytest.approx(value(False), abs=1e-4)
    with torch.no_grad():
        for parameter in student.joint.parameters():
            parameter.mul_(1.5)
    assert value(True) > value(False) + 0.1
    assert not any("teacher" in name for name in student.state_dict())


def test_the_experimental_config_trains_with_a_teacher_and_refuses_a_foreign_one(trained: Path, capsys: Any) -> None:
    config: Any = OmegaConf.load(ROOT / "configs/demo-swipe-experimental.yaml")
    config.base = "small.yaml"
    OmegaConf.save(config, trained / "experimental.yaml")
    teacher = unpacked(trained / "tiny.nemo").folder
    train(trained, "experimental", "experimental", "--teacher", teacher)
    assert unpacked(trained / "experimental.nemo").weights.keys() == unpacked(trained / "tiny.nemo").weights.keys()
    foreign = trained / "foreign"
    shutil.copytree(teacher, foreign)
    config = OmegaConf.load(foreign / "model_config.yaml")
    config.joint.vocabulary = ["a", "b"]
    OmegaConf.save(config, foreign / "model_config.yaml")
    manifests = ("--train-manifest", trained / "m.jsonl", "--validation-manifest", trained / "m.jsonl")
    places = ("--work", trained / "f", "--output", trained / "f.nemo", "--teacher", foreign)
    assert run_worker("swipe/train", "--config", trained / "small.yaml", *manifests, *places) == 2
    assert "has other labels or features" in capsys.readouterr().err


def training(trained: Path, **changes: Any) -> Any:
    """Return a run on the small manifest that has not begun, with fp32 steps, which repeat exactly."""
    from swipe.train import build_model
    from transducer.swipe.corpus import MixedBatches, TraceCorpus
    from transducer.swipe.training import SwipeRun
    from transducer.train.run import load_config, use_cpu_loss

    config = load_config(trained / "small.yaml", None)
    config.merge_with(changes)
    layout, content = read_layout(QWERTY)
    torch.manual_seed(config.seed)
    model = build_model(config, LABELS, layout, content)
    use_cpu_loss(model)
    corpus = TraceCorpus([(read_traces(trained / "m.jsonl", LABELS), layout)], LABELS, "cpu")
    batches = MixedBatches(corpus, [1.0], config.batch_size, config.seed)
    run = SwipeRun(model, corpus, batches, config)
    run._bf16 = False
    return run


def test_a_resumed_run_ends_like_one_that_never_stopped(trained: Path, tmp_path: Path) -> None:
    whole = training(trained, steps=4)
    whole.train(tmp_path / "whole.pt")
    half = training(trained, steps=4, checkpoint_every=2)
    save, saved = half.save, []

    def save_and_stop(path: Path) -> None:
        save(path)
        saved.append(half.step)
        raise KeyboardInterrupt

    half.save = save_and_stop
    with pytest.raises(KeyboardInterrupt):
        half.train(tmp_path / "half.pt")
    assert saved == [2]
    rest = training(trained, steps=4)
    rest.resume(tmp_path / "half.pt")
    assert rest.step == 2
    rest.train(tmp_path / "half.pt")
    for run in (whole, rest):
        run.average()
    for (name, ours), theirs in zip(rest.parts.state_dict().items(), whole.parts.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_training_learns_and_its_average_is_better_than_its_last_step(trained: Path, tmp_path: Path) -> None:
    run = training(trained, steps=60, batch_size=16, average=0.9)
    corpus = run._corpus
    before = run.validate(corpus)
    run.train(tmp_path / "last.pt")
    last = run.validate(corpus)
    run.average()
    assert run.validate(corpus) < 0.75 * before
    assert last < 0.75 * before


def test_the_schedule_follows_steps_or_minutes(trained: Path) -> None:
    run = training(trained, steps=100)
    rates = []
    for run.step in range(101):
        rates.append(run._learning_rate())
    top = run._config.optimizer.lr
    assert max(rates) > 0.95 * top
    assert rates[0] == rates[-1] == run._config.optimizer.min_lr
    assert rates.index(max(rates)) == 5
    assert sorted(rates[5:], reverse=True) == rates[5:]
    run._minutes, run.step, run.seconds = 2.0, 7, 60.0
    assert run.progress == 0.5


def test_a_warm_start_takes_the_weights_and_refuses_another_shape(trained: Path, capsys: Any) -> None:
    config: Any = OmegaConf.load(trained / "small.yaml")
    config.optimizer.lr = config.optimizer.min_lr = 1e-9
    OmegaConf.save(config, trained / "still.yaml")
    start = unpacked(trained / "tiny.nemo")
    train(trained, "still", "still", "--init", start.folder, "--minutes", 1e-4)
    weights = unpacked(trained / "still.nemo").weights
    for name, tensor in start.weights.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(weights[name], tensor, atol=1e-3, rtol=1e-3)
    config.model.encoder.d_model = config.model.model_defaults.enc_hidden = 48
    OmegaConf.save(config, trained / "wide.yaml")
    manifests = ("--train-manifest", trained / "m.jsonl", "--validation-manifest", trained / "m.jsonl")
    places = ("--work", trained / "wide", "--output", trained / "wide.nemo", "--init", start.folder)
    capsys.readouterr()
    assert run_worker("swipe/train", "--config", trained / "wide.yaml", *manifests, *places) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "tiny.nemo" in message
    assert "start from a checkpoint of the same size" in message


def test_a_run_of_other_sources_does_not_resume(trained: Path, capsys: Any) -> None:
    shutil.copy(trained / "m.jsonl", trained / "other.jsonl")
    manifests = ("--train-manifest", trained / "other.jsonl", "--validation-manifest", trained / "m.jsonl")
    places = ("--work", trained / "tiny-work", "--output", trained / "again.nemo")
    assert run_worker("swipe/train", "--config", trained / "small.yaml", *manifests, *places) == 2
    assert "holds a run of another config" in capsys.readouterr().err


@pytest.mark.slow
def test_training_by_make_survives_a_kill(tmp_path: Path) -> None:
    """`make train STEPS=20` is killed after its first checkpoint, and goes on from there to a loadable model."""
    project = make_project(tmp_path)
    shutil.copytree(ROOT / "models/swipe-validation", project / "models/swipe-validation")
    config = project / "configs/demo-swipe.yaml"
    config.write_text(config.read_text("utf-8").replace("checkpoint_every: 200", "checkpoint_every: 5"), "utf-8")
    command = ["make", f"PYTHON={sys.executable}", "CONFIG=demo-swipe", "STEPS=20", "train"]
    last = project / "out/demo-swipe/train/last.pt"
    with subprocess.Popen(command, cwd=project, start_new_session=True, stderr=subprocess.DEVNULL) as running:
        while not last.exists() and running.poll() is None:
            time.sleep(0.2)
        os.killpg(running.pid, signal.SIGKILL)
    assert torch.load(last, weights_only=True)["step"] < 20
    done = make("CONFIG=demo-swipe", "STEPS=20", "V=1", "train", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "training from step 5 on" in done.stderr or "training from step 10 on" in done.stderr
    unpacked(project / "out/demo-swipe/train/demo-swipe.nemo").build("encoder")
    unpacked(project / "out/demo-swipe/train/demo-swipe.ckpt").build("encoder")
