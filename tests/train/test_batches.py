"""Batches of recordings, and the tokens of a model that training goes on from.

Example:
    .venv/bin/python -m pytest tests/train/test_batches.py
"""

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from conftest import ROOT, run_worker
from transducer.core.sources import Source
from transducer.speech.augmentation import Augmentation
from transducer.speech.training import Corpus, collate
from transducer.train.batches import LengthBatches

MANIFEST = ROOT / "models/validation/manifest.jsonl"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """The validation set as the demo's training would hear it."""
    config = OmegaConf.load(ROOT / "configs/demo-tdt.yaml").augmentation
    return Corpus([Source(MANIFEST)], 16_000, lambda text: [len(text)], Augmentation(config, 16_000, seed=1))


def batches(corpus: Corpus, start: int, stop: int) -> list[list[tuple[int, int, int]]]:
    """Batches of 16 from one step to another."""
    return list(LengthBatches(corpus.samples, corpus.weights, batch_size=16, seed=1, start=start, stop=stop))


def test_a_batch_is_of_recordings_of_one_length_after_augmentation(corpus: Corpus) -> None:
    padding = []
    for batch in batches(corpus, 60, 90):  # an epoch in which recordings hold several utterances
        waves, lengths, _, _ = collate([corpus[index] for index in batch])
        padding.append(1 - lengths.sum().item() / waves.numel())
        assert [corpus.samples(index) for index in batch] == pytest.approx(lengths.tolist(), abs=3)
    assert np.mean(padding) < 0.15


def test_a_resumed_run_goes_on_with_the_same_batches(corpus: Corpus) -> None:
    assert batches(corpus, 0, 50)[31:] == batches(corpus, 31, 50)


def test_processes_that_train_together_share_an_epoch(corpus: Corpus) -> None:
    alone = batches(corpus, 0, 80)
    shares = [
        list(LengthBatches(corpus.samples, corpus.weights, batch_size=16, seed=1, start=0, stop=20, rank=rank, ranks=4))
        for rank in range(4)
    ]
    assert [share[step] for step in range(20) for share in shares] == alone


def test_utterances_come_by_weight(corpus: Corpus) -> None:
    weights = np.arange(len(corpus)) / np.arange(len(corpus)).sum()
    drawn = LengthBatches(corpus.samples, weights, batch_size=16, seed=1, start=0, stop=600)
    counts = np.bincount([member for batch in drawn for member, _, _ in batch], minlength=len(corpus))
    assert counts[0] == 0 and counts[240:].sum() / counts.sum() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("text", "model", "sentence"),
    [
        ("öl", "models/demo-tdt.nemo", "lacks a letter"),
        ("go", "models/none.nemo", "does not exist"),
        ("go", "models/demo-swipe.nemo", "has no tokenizer.model"),
    ],
)
def test_tokens_of_an_earlier_model_must_spell_the_transcripts(
    text: str, model: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = json.loads(MANIFEST.read_text().splitlines()[0])
    entry |= {"audio_filepath": str(MANIFEST.parent / entry["audio_filepath"]), "text": text}
    manifest, config = tmp_path / "manifest.jsonl", tmp_path / "config.yaml"
    manifest.write_text(json.dumps(entry) + "\n")
    content = OmegaConf.load(ROOT / "configs/demo-tdt.yaml")
    content.tokenizer["from"] = str(ROOT / model)
    content.init_from_nemo_model.earlier.path = str(ROOT / "models/demo-tdt.nemo")
    OmegaConf.save(content, config)
    done = run_worker(
        "speech/train", "--config", config, "--train-manifest", manifest, "--validation-manifest", MANIFEST,
        "--work", tmp_path / "work", "--steps", 1, "--output", tmp_path / "new.nemo",
    )  # fmt: skip
    assert done == 2 and sentence in capsys.readouterr().err
    assert not (tmp_path / "new.nemo").exists()
