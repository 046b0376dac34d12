"""Swipe training: what it saves loads strictly everywhere, a teacher teaches, and a killed run goes on."""

import json
import os
import re
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
from transducer.core.cli import InputError
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import layout_of, read_layout
from transducer.swipe.traces import Trace, read_traces

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
    corpus = TraceCorpus(read_traces(trained / "m.jsonl", LABELS), read_layout(QWERTY)[0], LABELS, "cpu")
    batch = corpus.batch(np.arange(4))
    labels, label_lengths = batch.labels, batch.label_lengths
    features, lengths = batched_features(batch.places, batch.seconds, corpus.centres, corpus.size)

    def value(teaching: bool) -> float:
        loss.train(teaching)
        with torch.no_grad():
            encoded, frames = student(processed_signal=features, processed_signal_length=lengths)
            predicted, _, _ = student.decoder(targets=labels, target_length=label_lengths)
            joint = student.joint(encoder_outputs=encoded, decoder_outputs=predicted)
            return float(loss(joint, labels, frames, label_lengths))

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


def corpus_of(words: tuple[str, ...], layout: Path = QWERTY, slots: str | None = None) -> Any:
    from transducer.swipe.corpus import TraceCorpus

    points = np.array([[0.1, 0.2, 0.0], [0.7, 0.9, 400.0]])
    return TraceCorpus([Trace(word, points) for word in words], read_layout(layout)[0], LABELS, "cpu", slots)


def test_inverse_frequency_gives_every_word_its_share() -> None:
    corpus = corpus_of(("ab", "ab", "ab", "cd"))
    assert corpus.shares(1.0).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert corpus.shares(0.0).tolist() == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("manifest", ["swipe-validation", "swipe-test"])
def test_batched_features_are_those_of_the_specification(manifest: str) -> None:
    from transducer.swipe.batched_features import batched_features
    from transducer.swipe.corpus import TraceCorpus

    layout, _ = read_layout(QWERTY)
    traces = read_traces(ROOT / f"models/{manifest}/manifest.jsonl.gz", LABELS)[:300]
    # Points at one and the same time, a trace of one point, and one of a moment.
    twice = traces[0].points.repeat(2, axis=0)
    twice[1::2, 0] = 1 - twice[1::2, 0]
    odd = [twice, traces[1].points[:1], np.array([[0.1, 0.2, 5.0], [0.3, 0.4, 6.0]])]
    traces += [Trace("odd", points) for points in odd]
    corpus = TraceCorpus(traces, layout, LABELS, "cpu")
    batch = corpus.batch(np.arange(len(traces)))
    features, frames = batched_features(batch.places, batch.seconds, corpus.centres, corpus.size)
    for trace, row, count in zip(traces, features, frames.tolist(), strict=True):
        expected = swipe_features(trace.points, layout)
        assert count == len(expected)
        np.testing.assert_allclose(row[:, :count].T, expected, atol=1e-4)
        assert not row[:, count:].any()


def test_features_of_another_layout_fill_the_slots_of_the_models_own() -> None:
    """A letter's proximity stays at its place, wherever its key lies."""
    slots = read_layout(QWERTY)[0].keys
    azerty = corpus_of(("ab",), ROOT / "configs/layouts/azerty.json", slots)
    layout = read_layout(ROOT / "configs/layouts/azerty.json")[0]
    assert azerty.centres[slots.index("a")].tolist() == layout.centres_of("a")[0].tolist()
    with pytest.raises(InputError, match="has no key"):
        corpus_of(("ab",), QWERTY, "ab\u00e9")


def test_augmentation_keeps_words_and_changes_paths_by_what_the_config_says() -> None:
    from transducer.swipe.augmentation import augment

    config: Any = OmegaConf.load(ROOT / "configs/demo-swipe.yaml").augmentation
    corpus = corpus_of(("ab",) * 64)
    batch = corpus.batch(np.arange(64))
    still = OmegaConf.create(dict.fromkeys(config, 0.0) | {"interval": [0.01, 0.01]})
    same = augment(batch, still, corpus.size, torch.Generator().manual_seed(1))
    torch.testing.assert_close(same.places[:, -1], batch.places[:, -1])
    torch.testing.assert_close(same.seconds[:, -1], batch.seconds[:, -1])
    changed = augment(batch, config, corpus.size, torch.Generator().manual_seed(1))
    assert torch.equal(changed.labels, batch.labels)
    assert (changed.seconds.diff(dim=1) >= 0).all() and (changed.places.std(dim=0) > 0.005).all()
    again = augment(batch, config, corpus.size, torch.Generator().manual_seed(1))
    assert torch.equal(changed.places, again.places)


def test_batches_depend_on_seed_and_step_and_follow_the_weights() -> None:
    from transducer.swipe.corpus import POOL, MixedBatches

    corpora = [corpus_of(("ab", "cd", "ef")), corpus_of(("gh",) * 5)]
    batches = MixedBatches(corpora, [3.0, 1.0], batch_size=4, seed=1)
    drawn = [batches.at(step) for step in range(40 * POOL)]
    assert sum(source == 0 for source, _ in drawn) / len(drawn) == pytest.approx(0.75, abs=0.03)
    source, rows = MixedBatches(corpora, [3.0, 1.0], batch_size=4, seed=1).at(77)
    assert source == drawn[77][0] and rows.tolist() == drawn[77][1].tolist()


@pytest.mark.parametrize("text", ["m.jsonl:x", "m.jsonl:0", "m.jsonl:-1", "m.jsonl:nan", ":2", "m.jsonl:1:l.json:2"])
def test_a_source_that_is_not_one_is_refused(text: str) -> None:
    from transducer.swipe.corpus import Source

    with pytest.raises(InputError, match="not MANIFEST:WEIGHT"):
        Source.parse(text)


def test_a_run_starts_from_other_weights_of_the_same_shape_only(trained: Path, capsys: Any) -> None:
    init = unpacked(trained / "tiny.nemo").folder
    train(trained, "small", "warm", "--init", init)
    config: Any = OmegaConf.load(trained / "small.yaml")
    config.model.encoder.d_model = config.model.model_defaults.enc_hidden = 64
    OmegaConf.save(config, trained / "wide.yaml")
    manifests = ("--train-manifest", trained / "m.jsonl", "--validation-manifest", trained / "m.jsonl")
    places = ("--work", trained / "w", "--output", trained / "w.nemo", "--init", init)
    assert run_worker("swipe/train", "--config", trained / "wide.yaml", *manifests, *places) == 2
    assert "start from a checkpoint of the same size" in capsys.readouterr().err
    assert not (trained / "w.nemo").exists()


def test_a_run_in_two_parts_is_the_run_in_one(trained: Path) -> None:
    """A run that was stopped at step 2 and resumed ends with the weights of one that was not."""
    config: Any = OmegaConf.load(trained / "small.yaml")
    config.checkpoint_every = 2
    OmegaConf.save(config, trained / "often.yaml")
    train(trained, "often", "whole", "--threads", 1)
    half = trained / "parts-work"
    shutil.copytree(trained / "whole-work", half)
    state = torch.load(half / "last.pt", weights_only=True)
    assert state["step"] == STEPS
    (half / "last.pt").unlink()
    train(trained, "often", "parts", "--threads", 1)
    whole, parts = unpacked(trained / "whole.nemo").weights, unpacked(trained / "parts.nemo").weights
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, atol=1e-3, rtol=0)


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
    assert re.search(r"training from step (5|10|15) on cpu", done.stderr)
    unpacked(project / "out/demo-swipe/train/demo-swipe.nemo").build("encoder")
    unpacked(project / "out/demo-swipe/train/demo-swipe.ckpt").build("encoder")
