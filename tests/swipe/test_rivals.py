"""Rivals of swipes: found by a real model, read from manifests, and trained against."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import DEMO, ROOT, ByKind, make, run_worker
from transducer.swipe.corpus import TraceCorpus
from transducer.swipe.keyboard import read_layout
from transducer.swipe.lexicon import log_prior
from transducer.swipe.rivals import ranking_loss
from transducer.swipe.traces import TraceError, open_text, parse_trace, read_traces, trace_line
from transducer.train.losses import rnnt_costs

LABELS = "abcdefghijklmnopqrstuvwxyz'"
TEST = DEMO / "swipe-test/manifest.jsonl.gz"
WORDS = ["this", "thus", "the", "these", "is", "it", "its", "tho", "hello", "help", "held", "world", "would", "word"]
LINE = '{"word": "it", "points": [{"x": 0.1, "y": 0.1, "t": 0}, {"x": 0.4, "y": 0.1, "t": 90}], "rivals": %s}'


@pytest.fixture(scope="module")
def corpus() -> TraceCorpus:
    """Return three swipes: two with rivals, the one between them without."""
    layout, _ = read_layout(ROOT / "configs/layouts/qwerty.json")
    traces = read_traces(TEST, LABELS)[:3]
    rivals: list[dict[str, float]] = [{"bar": 0.5, "barn": -1.0}, {}, {"it": 2.0}]
    lines = [
        parse_trace(trace_line(trace.word, trace.points, rivals=own), LABELS)
        for trace, own in zip(traces, rivals, strict=True)
    ]
    return TraceCorpus([(lines, layout)], LABELS, "cpu")


def test_the_loss_is_the_cross_entropy_among_a_word_and_its_rivals(corpus: TraceCorpus) -> None:
    rows = np.array([2, 1, 0])
    batch = corpus.batch(rows)
    assert batch.rivals is not None
    assert batch.rivals.owners.tolist() == [0, 2, 2]
    table = torch.randn(6, 16, len(LABELS) + 1, generator=torch.Generator().manual_seed(1))

    class Joint:
        def joint(self, f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
            return f[:, :, None, :1] * table[: f.shape[1], : g.shape[1]]

    class Whole:
        joint = Joint()

        def decoder(self, targets: torch.Tensor, target_length: torch.Tensor) -> tuple[torch.Tensor]:
            return (torch.zeros(len(targets), 1, targets.shape[1] + 1),)

    encoded, lengths = torch.rand(3, 4, 6) + 0.5, torch.tensor([6, 5, 4])
    found = ranking_loss(Whole(), encoded, lengths, batch)

    def log_prob(row: int, word: str) -> float:
        labels = torch.tensor([[LABELS.index(letter) for letter in word]])
        logits = encoded.transpose(1, 2)[row][None, :, None, :1] * table[:6, : len(word) + 1]
        own = rnnt_costs(logits, labels, lengths[row : row + 1], torch.tensor([len(word)]), blank=len(LABELS))
        return -float(own)

    expected = 0.0
    for row, rivals in ((0, {"it": 2.0}), (2, {"bar": 0.5, "barn": -1.0})):
        own = log_prob(row, corpus.words[rows[row]])
        scores = [0.0, *(log_prob(row, word) + advantage - own for word, advantage in rivals.items())]
        expected += np.log(np.exp(scores).sum())
    assert float(found) == pytest.approx(expected / 3, rel=1e-5)
    assert float(ranking_loss(Whole(), encoded[:1], lengths[:1], corpus.batch(np.array([1])))) == 0


def test_training_against_rivals_ranks_the_word_higher(built: ByKind) -> None:
    """A few steps on one batch lower the loss that is asked for, through every part of a real model."""
    from transducer.checkpoint.checkpoint import Checkpoint
    from transducer.swipe.batched_features import batched_features

    checkpoint = Checkpoint(built(str(DEMO / "demo-swipe.nemo")) / "checkpoint")
    layout, _ = read_layout(ROOT / "configs/layouts/qwerty.json")
    traces = [
        parse_trace(trace_line(trace.word, trace.points, rivals={"the": 9.0, "and": 9.0}), LABELS)
        for trace in read_traces(TEST, LABELS)
        if trace.word not in ("the", "and")
    ][:4]
    batch = TraceCorpus([(traces, layout)], LABELS, "cpu").batch(np.arange(4))

    class Parts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder, self.joint = map(checkpoint.build, ("encoder", "decoder", "joint"))
            self.joint.log_softmax = False

    model = Parts().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        features, frames = batched_features(batch)
        encoded, lengths = model.encoder(audio_signal=features, length=frames)
        loss = ranking_loss(model, encoded, lengths, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    assert all(any(p.grad is not None and p.grad.abs().sum() for p in part.parameters()) for part in model.children())


@pytest.mark.parametrize(
    ("rivals", "problem"),
    [
        ('["is"]', "its rivals are not words with numbers"),
        ('{"is": "x"}', "its rivals are not words with numbers"),
        ('{"is": NaN}', "numbers that are not finite"),
        ('{"it": 1}', "the word itself"),
        ('{"": 1}', "empty"),
    ],
)
def test_bad_rivals(rivals: str, problem: str) -> None:
    with pytest.raises(TraceError, match=problem):
        parse_trace(LINE % rivals, LABELS)


def test_rivals_that_the_model_cannot_spell_are_left_out() -> None:
    assert parse_trace(LINE % '{"is": 0.5, "ü": 1}', LABELS).rivals == {"is": 0.5}


def test_rivals_are_what_a_model_finds(built: ByKind, tmp_path: Path) -> None:
    out, manifest, output = (
        built(str(DEMO / "demo-swipe.nemo")),
        tmp_path / "some.jsonl.gz",
        tmp_path / "rivals.jsonl.gz",
    )
    traces = read_traces(TEST, LABELS)[:12]
    with open_text(manifest, "w") as stream:
        stream.writelines(trace_line(trace.word, trace.points) + "\n" for trace in traces)
    known = sorted({trace.word for trace in traces[1:]} | set(WORDS))
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("".join(f"{word}\n" for word in known))
    graphs = ("--encoder", out / "onnx/encoder.onnx", "--step", out / "onnx/rnnt_step.onnx")
    inputs = ("--meta", out / "meta/model_meta.json", "--lexicon", lexicon, "--manifest", manifest)
    assert run_worker("swipe/find_rivals", *graphs, *inputs, "--rivals", 2, "--output", output) == 0
    found = read_traces(output, LABELS)
    assert [trace.word for trace in found] == [trace.word for trace in traces]
    if traces[0].word not in known:
        assert found[0].rivals == {}
    prior = dict(zip(known, log_prior(np.arange(len(known))), strict=True))
    assert any(len(trace.rivals) == 2 for trace in found)
    for trace in found[1:]:
        assert trace.word not in trace.rivals and len(trace.rivals) <= 2
        for rival, advantage in trace.rivals.items():
            assert advantage == pytest.approx(0.5 * (prior[rival] - prior[trace.word]), abs=1e-4)
    again: Any = json.loads(next(iter(open_text(output))))
    assert set(again) == {"word", "points", "rivals"}


def test_rivals_are_sought_on_the_keyboard_of_the_swipes(tmp_path: Path) -> None:
    dvorak = "configs/layouts/dvorak.json"
    done = make(
        "-n", "swipe-rivals", "CONFIG=demo-swipe", f"RIVALS_OF={TEST}", f"LAYOUT={dvorak}", f"TRACES={tmp_path}"
    )
    command = done.stdout.replace("\\\n", "").partition("py/swipe/find_rivals.py")[2]
    assert f"--layout {dvorak} " in command.partition("--output")[0], done.stderr
