"""Beam search over a lexicon against exhaustive search, with random models of every kind of alignment."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transducer.core.cli import InputError
from transducer.swipe.beam_search import BeamSearch, parse_threshold
from transducer.swipe.lexicon import ROOT, Lexicon, log_prior, read_words
from transducer.swipe.steps import graph_step, module_step
from transducer.train.losses import RNNTLoss

LABELS = "abc"
WORDS = ["a", "ab", "abc", "b", "ba", "cab", "cc", "bac"]
BLANK = len(LABELS)
LAYERS, WIDTH, SIZE = 2, 5, 4
EXHAUSTIVE: dict[str, Any] = {"beam": 1000, "max_symbols": 10}


class RandomModel:
    """A step whose logits depend on the frame and on all labels before, through states, like a transducer's."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self._recurrent = rng.normal(size=(WIDTH, WIDTH)).astype(np.float32)
        self._embedding = rng.normal(size=(BLANK + 1, WIDTH)).astype(np.float32)
        self._out = rng.normal(size=(WIDTH + SIZE, BLANK + 1)).astype(np.float32) * 1.5
        self.frames = rng.normal(size=(5, SIZE)).astype(np.float32)
        self.batches: list[int] = []

    def step(self, frame: Any, label: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        self.batches.append(len(label))
        after = np.tanh(h[0] @ self._recurrent + self._embedding[label])
        h_out = np.stack([after, np.tanh(after + h[1])])
        c_out = np.stack([after + c[0], c[1] - after])
        return np.concatenate([h_out[1] + 0.1 * c_out[0], frame], axis=1) @ self._out, h_out, c_out

    def log_prob(self, word: str) -> float:
        """Return the log probability of a word over all its alignments, by the training loss's recursion."""
        state = np.zeros((2, LAYERS, 1, WIDTH), np.float32)
        logits = []
        for label in [BLANK, *(LABELS.index(letter) for letter in word)]:
            rows = [self.step(frame[None], np.array([label]), *state) for frame in self.frames]
            logits.append(np.stack([row[0][0] for row in rows]))
            state = np.stack(rows[0][1:])
        lattice = torch.from_numpy(np.stack(logits, axis=1))[None]
        targets = torch.tensor([[LABELS.index(letter) for letter in word]])
        lengths = torch.tensor([len(self.frames)]), torch.tensor([len(word)])
        return -float(RNNTLoss(BLANK)(lattice, targets, *lengths))


def search(words: list[str] = WORDS, **options: Any) -> BeamSearch:
    return BeamSearch(Lexicon(words, LABELS), BLANK, (LAYERS, WIDTH), **options)


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_every_word_with_its_exact_probability(seed: int) -> None:
    model = RandomModel(seed)
    found = search(**EXHAUSTIVE).decode(model.frames, model.step, len(WORDS))
    expected = {word: model.log_prob(word) for word in WORDS}
    assert [candidate.word for candidate in found] == sorted(WORDS, key=lambda word: -expected[word])
    for candidate in found:
        assert candidate.log_prob == pytest.approx(expected[candidate.word], abs=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_prior_and_length_change_the_order_as_they_say(seed: int) -> None:
    model = RandomModel(seed)
    found = search(prior_weight=0.7, length_power=0.5, **EXHAUSTIVE).decode(model.frames, model.step, len(WORDS))
    prior = dict(zip(WORDS, log_prior(np.arange(len(WORDS))), strict=True))
    expected = {word: model.log_prob(word) / len(word) ** 0.5 + 0.7 * prior[word] for word in WORDS}
    assert [candidate.word for candidate in found] == sorted(WORDS, key=lambda word: -expected[word])
    assert found[0].score == pytest.approx(max(expected.values()), abs=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_a_narrow_beam_never_claims_more_than_there_is_and_batches_its_steps(seed: int) -> None:
    model = RandomModel(seed)
    found = search(beam=4).decode(model.frames, model.step, 4)
    assert found
    for candidate in found:
        assert candidate.log_prob <= model.log_prob(candidate.word) + 1e-4
    model.batches.clear()
    search(beam=4).decode(model.frames, model.step, 4)
    assert max(model.batches) == 4
    assert len(model.batches) < 5 * 5


def plain_search(model: RandomModel, beam: int, weight: float, threshold: float) -> dict[str, float]:
    """Return the log probability of the words in a narrow beam, prefix by prefix and every letter of each tried."""
    prior = dict(zip(WORDS, log_prior(np.arange(len(WORDS))), strict=True))

    def rank(prefix: str, score: float) -> float:
        return score + weight * max(prior[word] for word in WORDS if word.startswith(prefix))

    def best(prefixes: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(prefixes.items(), key=lambda item: -rank(item[0], item[1][0]))[:beam])

    def ranks(prefixes: dict[str, Any]) -> list[float]:
        return [rank(prefix, score) for prefix, (score, *_) in prefixes.items()]

    left: dict[str, Any] = {"": (0.0, *np.zeros((2, LAYERS, 1, WIDTH), np.float32))}
    for frame in model.frames:
        active, left = left, {}
        while active:
            grown = {}
            for prefix, (score, h, c) in active.items():
                label = LABELS.index(prefix[-1]) if prefix else BLANK
                logits, *states = model.step(frame[None], np.array([label]), h, c)
                log_probs = torch.from_numpy(logits[0]).double().log_softmax(0).numpy()
                before = left[prefix][0] if prefix in left else -np.inf
                left[prefix] = (np.logaddexp(before, score + log_probs[BLANK]), h, c)
                for letter, log_prob in zip(LABELS, log_probs, strict=False):
                    if any(word.startswith(prefix + letter) for word in WORDS):
                        grown[prefix + letter] = (score + log_prob, *states)
            left = best(left)
            worst = max(ranks(left)) - threshold
            left = {prefix: found for prefix, found in left.items() if rank(prefix, found[0]) >= worst}
            worst = min(ranks(left)) if len(left) == beam else worst
            active = {prefix: found for prefix, found in best(grown).items() if rank(prefix, found[0]) > worst}
    return {prefix: score for prefix, (score, *_) in left.items() if prefix in WORDS}


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize(
    ("beam", "threshold"), [(1, np.inf), (2, np.inf), (3, np.inf), (5, np.inf), (5, 2.0), (9, 4.0)]
)
def test_a_narrow_beam_finds_what_a_plain_search_finds(beam: int, threshold: float, weight: float) -> None:
    for model in map(RandomModel, range(20)):
        narrow = search(beam=beam, threshold=threshold, prior_weight=weight)
        found = narrow.decode(model.frames, model.step, len(WORDS))
        expected = plain_search(model, beam, weight, threshold)
        assert {candidate.word: candidate.log_prob for candidate in found} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("beam", "threshold"), [(2, np.inf), (5, 2.0), (1000, np.inf)])
def test_swipes_that_share_steps_find_what_each_finds_alone(beam: int, threshold: float) -> None:
    model, rng = RandomModel(5), np.random.default_rng(1)
    swipes = [rng.normal(size=(length, SIZE)).astype(np.float32) for length in (4, 0, 7, 1, 4, 2)]
    narrow = search(beam=beam, threshold=threshold, prior_weight=0.7)
    alone = [narrow.decode(frames, model.step, 3) for frames in swipes]
    calls = len(model.batches)
    model.batches.clear()
    for found, expected in zip(narrow.decode_all(swipes, model.step, 3), alone, strict=True):
        assert [one.word for one in found] == [one.word for one in expected]
        assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-5)
    assert [len(some) > 0 for some in alone] == [True, False, True, True, True, True]
    assert len(model.batches) < calls / 2


def test_a_threshold_saves_steps_and_keeps_the_best() -> None:
    sizes = {threshold: [0, 0] for threshold in (np.inf, 3.0, 0.0)}
    for model in map(RandomModel, range(20)):
        for threshold, size in sizes.items():
            model.batches.clear()
            found = search(threshold=threshold, **EXHAUSTIVE).decode(model.frames, model.step, len(WORDS))
            size[0] += sum(model.batches)
            size[1] += len(found)
    assert sizes[np.inf][0] > sizes[3.0][0] > sizes[0.0][0]
    assert sizes[np.inf][1] == 20 * len(WORDS) > sizes[3.0][1] > sizes[0.0][1]
    assert parse_threshold("inf") == np.inf and parse_threshold("0") == 0
    for text in ("-1", "nan"):
        with pytest.raises(InputError, match=f"BEAM_THRESHOLD={text} keeps no prefix"):
            parse_threshold(text)


def test_blank_is_the_last_label() -> None:
    model = RandomModel(3)
    with pytest.raises(ValueError, match="blank is 0"):
        BeamSearch(Lexicon(WORDS, LABELS), 0, (LAYERS, WIDTH))

    def swapped(frame: Any, label: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        logits, *states = model.step(frame, label, h, c)
        return np.roll(logits, 1, axis=1), *states

    right = search(**EXHAUSTIVE).decode(model.frames, model.step, len(WORDS))
    wrong = search(**EXHAUSTIVE).decode(model.frames, swapped, len(WORDS))
    assert {c.word: round(c.log_prob, 3) for c in right} != {c.word: round(c.log_prob, 3) for c in wrong}


def test_the_trie_spells_its_words_and_leaves_out_what_labels_cannot_spell(log_messages: list[str]) -> None:
    lexicon = Lexicon(["b", "ab", "b", "a-b", "abc"], LABELS)
    assert lexicon.words == ["b", "ab", "abc"]
    assert any("left out 1 words" in message for message in log_messages)
    for index, word in enumerate(lexicon.words):
        node = ROOT
        for letter in word:
            node = lexicon.children[node, LABELS.index(letter)]
            assert lexicon.ahead[node] >= lexicon.prior[index]
        assert lexicon.word[node] == index
    assert (lexicon.word >= 0).sum() == 3


def test_an_empty_list_is_told_in_one_sentence(tmp_path: Path) -> None:
    from transducer.core.cli import InputError

    (tmp_path / "words.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.txt: the word list is empty; .*\.$"):
        read_words(tmp_path / "words.txt")


def test_nemo_modules_and_an_exported_step_find_the_same_words(tmp_path: Path) -> None:
    """The lattice of NeMo's own decoder and joint gives the probabilities, as in training."""
    from nemo.collections.asr.modules import RNNTDecoder, RNNTJoint

    from transducer.runtime.sessions import open_session

    torch.manual_seed(0)
    decoder = RNNTDecoder({"pred_hidden": WIDTH, "pred_rnn_layers": LAYERS}, vocab_size=BLANK).eval()
    net = {"encoder_hidden": SIZE, "pred_hidden": WIDTH, "joint_hidden": 8, "activation": "relu"}
    joint = RNNTJoint(net, num_classes=BLANK, vocabulary=list(LABELS), log_softmax=False, fuse_loss_wer=False).eval()
    for parameter in [*decoder.parameters(), *joint.parameters()]:
        torch.nn.init.normal_(parameter, std=0.7).requires_grad_(False)
    decoder.prediction["embed"].weight[BLANK] = 0.0  # as NeMo keeps it: the blank stands for the beginning

    class Step(torch.nn.Module):
        def forward(self, encoder_frame: Any, y: Any, h: Any, c: Any) -> Any:
            g, (h_out, c_out) = decoder.predict(y[:, None], state=(h, c), add_sos=False)
            return joint.joint(encoder_frame[:, None], g)[:, 0, 0], h_out, c_out

    frames = torch.randn(4, SIZE)
    state = torch.zeros(LAYERS, 2, WIDTH)
    names = ["encoder_frame", "y", "h", "c"]
    torch.onnx.export(
        Step(),
        (frames[:2], torch.tensor([BLANK, 0]), state, state),
        tmp_path / "rnnt_step.onnx",
        input_names=names,
        output_names=["logits", "h_out", "c_out"],
        dynamic_axes={"encoder_frame": {0: "B"}, "y": {0: "B"}, "h": {1: "B"}, "c": {1: "B"}},
        dynamo=False,
    )
    by_modules = search(**EXHAUSTIVE).decode(frames.numpy(), module_step(decoder, joint), 8)
    session = open_session(tmp_path / "rnnt_step.onnx")
    by_graph = search(**EXHAUSTIVE).decode(frames.numpy(), graph_step(session), 8)
    assert [c.word for c in by_modules] == [c.word for c in by_graph]
    for ours, graphs in zip(by_modules, by_graph, strict=True):
        targets = torch.tensor([[LABELS.index(letter) for letter in ours.word]])
        length = torch.tensor([len(ours.word)])
        with torch.inference_mode():
            predicted, _, _ = decoder(targets=targets, target_length=length)
            lattice = joint.joint(frames[None], predicted.transpose(1, 2))
            expected = -float(RNNTLoss(BLANK)(lattice, targets, torch.tensor([4]), length))
        assert ours.log_prob == pytest.approx(expected, abs=1e-4)
        assert graphs.log_prob == pytest.approx(expected, abs=1e-4)
