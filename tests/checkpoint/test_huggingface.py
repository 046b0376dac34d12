"""Folders of transformers give the same model as transformers runs, and as the .nemo of the same weights."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

import huggingface as hf
from conftest import DEMO, ByKind, run_worker
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.checkpoint.nemo_model import restore_model
from transducer.speech.audio import read_audio
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

Capture = pytest.CaptureFixture[str]
VALIDATION = DEMO / "validation/manifest.jsonl"


def unpack(model: Path, folder: Path) -> Path:
    assert run_worker("checkpoint/unpack", "--model", model, "--output", folder / "manifest.json") == 0
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, unpacked."""
    return unpack(DEMO / "demo-tdt.nemo", tmp_path_factory.mktemp("demo") / "checkpoint")


@pytest.fixture(scope="session")
def models(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Models of transformers by kind, random but for demo-tdt, each with its folder."""
    tokenizer, root = demo / Checkpoint(demo).config["tokenizer"]["model_path"].removeprefix("nemo:"), {}
    for kind in hf.CONFIGS:
        model = hf.model_of(kind, len(Checkpoint(demo).labels) + 1)
        root[kind] = model, hf.write_folder(model, tokenizer, tmp_path_factory.mktemp("hf") / f"{kind}-0.6b")
    model = hf.demo_model(Checkpoint(demo))
    root["demo-tdt"] = (
        model,
        hf.write_folder(model, tokenizer, tmp_path_factory.mktemp("hf") / "demo-tdt-of-transformers"),
    )
    return root


@pytest.mark.parametrize("kind", hf.CONFIGS)
def test_graphs_agree_with_transformers(models: dict[str, tuple[Any, Path]], built: ByKind, kind: str) -> None:
    """Encoder, predictor and joint, for two recordings of unequal length."""
    model, folder = models[kind]
    out = built(str(folder))
    mask = torch.arange(403)[None] < torch.tensor([[403], [260]])
    features = torch.randn(2, 403, 80) * mask[:, :, None]  # as the extractor fills recordings up
    with torch.inference_mode():
        encoded = model.encoder(features, attention_mask=mask)
        states, prompts = encoded.last_hidden_state, {}
        if kind == "nemotron3_5_asr":
            prompts = {"prompt": np.array([1, 5])}
            chosen = torch.nn.functional.one_hot(torch.from_numpy(prompts["prompt"]), model.config.num_prompts)
            spread = chosen[:, None].expand(-1, states.size(1), -1)
            states = model.prompt_projector(torch.cat([states, spread.to(states.dtype)], dim=-1))
        tokens = torch.tensor([[model.config.blank_token_id, 5, 9, 3]])
        predicted = model.decoder(tokens)
        joined = model.joint(
            encoder_hidden_states=model.encoder_projector(states[:1])[:, :, None],
            decoder_hidden_states=predicted[:, None],
        )
    encode, predict, join = (
        ort.InferenceSession(out / f"onnx/{name}.onnx") for name in ("encoder", "predictor", "joint")
    )
    frames, lengths = encode.run(
        None, {"audio_signal": features.mT.numpy(), "length": mask.sum(1).to(torch.int64).numpy(), **prompts}
    )
    assert lengths.tolist() == encoded.attention_mask.sum(1).tolist()
    for row, length in enumerate(lengths):
        expected = states[row, :length].T.numpy()
        np.testing.assert_allclose(frames[row, :, :length], expected, atol=1e-4)
    start = [np.zeros((1, 1, 24), np.float32)] * 2
    names = [entry.name for entry in predict.get_inputs()]
    embeddings = predict.run(None, dict(zip(names, [tokens.numpy(), *start], strict=True)))[0]
    names = [entry.name for entry in join.get_inputs()]
    logits = join.run(None, dict(zip(names, [frames[:1], embeddings], strict=True)))[0]
    np.testing.assert_allclose(logits, joined.numpy(), atol=1e-4)


def test_nemo_restores_a_folder(models: dict[str, tuple[Any, Path]], built: ByKind) -> None:
    """Word error rates beside NeMo's own decoding are thus had of folders too."""
    out = built(str(models["demo-tdt"][1]))
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in read_manifest(VALIDATION)[:4]]
    expected = [found.text for found in restore_model(out / "checkpoint").transcribe(waves, verbose=False)]
    assert [found.text for found in Recognizer(out).transcribe(waves)] == expected


@pytest.mark.parametrize("kind", [*hf.CONFIGS, "demo-tdt"])
def test_transcripts_are_those_of_generate(models: dict[str, tuple[Any, Path]], built: ByKind, kind: str) -> None:
    import transformers

    model, folder = models[kind]
    recognizer = Recognizer(built(str(folder)))
    family = "NemotronAsrStreaming" if kind.startswith("nemotron") else "Parakeet"
    extract = getattr(transformers, f"{family}FeatureExtractor").from_pretrained(folder)
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in read_manifest(VALIDATION)[:12]]
    heard = 0
    for wave in waves:
        features = extract(wave, sampling_rate=16000, return_tensors="pt")
        with torch.inference_mode():
            sequence = model.generate(**features).sequences[0].tolist()
        skipped = (model.config.blank_token_id, model.config.pad_token_id)
        expected = [token for token in sequence if token not in skipped]
        [hypothesis] = recognizer.recognize(*recognizer.features([wave]))
        assert [token for token in hypothesis.tokens if token not in skipped] == expected
        heard += len(expected)
        # Ten tokens a frame would be the bound of both, not what they heard.
        assert 0 < len(expected) < 9 * int(features["attention_mask"].sum()) // 8
    assert heard > 4 * len(waves)


def test_demo_is_the_same_in_both_forms(models: dict[str, tuple[Any, Path]], demo: Path, tmp_path: Path) -> None:
    mine, theirs = Checkpoint(demo), Checkpoint(unpack(models["demo-tdt"][1], tmp_path / "checkpoint"))
    assert theirs.labels == mine.labels
    different = {"source", "model_class"}
    facts = [{k: v for k, v in describe(one).items() if k not in different} for one in (mine, theirs)]
    assert facts[0] == facts[1]
    for name in ("window", "fb"):
        buffers = [one.weights[f"preprocessor.featurizer.{name}"] for one in (mine, theirs)]
        torch.testing.assert_close(*buffers)
    for section in ("encoder", "decoder", "joint"):
        ours, other = mine.build(section).state_dict(), theirs.build(section).state_dict()
        # A joint without dropout has one layer less before its last.
        pairs = zip(ours.values(), other.values(), strict=True)
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_tokenizer_cuts_as_the_original_does(models: dict[str, tuple[Any, Path]], demo: Path, tmp_path: Path) -> None:
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer

    folder = models["demo-tdt"][1]
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = SentencePieceProcessor(model_file=str(unpack(folder, tmp_path / "checkpoint") / "tokenizer.model"))
    texts = [entry["text"] for entry in read_manifest(VALIDATION)[:100]]
    assert [ours.encode(text) for text in texts] == [theirs.encode(text).ids for text in texts]
    assert [ours.decode(ours.encode(text)) for text in texts] == texts


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_shards_of_half_precision(models: dict[str, tuple[Any, Path]], tmp_path: Path, dtype: torch.dtype) -> None:
    model, folder = models["parakeet_tdt"]
    sharded = shutil.copytree(folder, tmp_path / "models--someone--sharded" / "snapshots" / "0123abcd")
    (sharded / "model.safetensors").unlink()
    copy.deepcopy(model).to(dtype).save_pretrained(sharded, max_shard_size="50KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    checkpoint = Checkpoint(unpack(sharded, tmp_path / "checkpoint"))
    assert checkpoint.source == "sharded"
    expected = model.state_dict()["joint.head.weight"].to(dtype).float()
    assert torch.equal(checkpoint.build("joint").state_dict()["joint_net.2.weight"], expected)


def test_biases_of_attention_or_convolution_alone(models: dict[str, tuple[Any, Path]], tmp_path: Path) -> None:
    """parakeet_rnnt here has biases in attention alone, and NeMo one setting for both."""
    encoder = Checkpoint(unpack(models["parakeet_rnnt"][1], tmp_path / "checkpoint")).build("encoder")
    assert encoder.layers[0].conv.pointwise_conv1.bias.abs().max() == 0
    assert encoder.layers[0].self_attn.linear_q.bias.abs().max() > 0


def damaged(folder: Path, file: str) -> None:
    path = folder / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: hf.edit(f / "config.json", auto_map={"AutoModel": "evil.Model"}), "never run"),
        (lambda f: hf.edit(f / "config.json", model_type="parakeet_ctc"), "CTC"),
        (lambda f: hf.edit(f / "config.json", model_type="nemotron3_5_asr"), "prompt_intermediate_size"),
        (lambda f: hf.edit(f / "config.json", model_type="whisper"), "whisper"),
        (lambda f: hf.edit(f / "config.json", vocab_size="two"), "vocab_size"),
        (lambda f: hf.edit(f / "config.json", decoder_hidden_size=-1), "below 1"),
        (lambda f: hf.edit(f / "config.json", hidden_act="gelu"), "hidden_act"),
        (lambda f: hf.edit(f / "config.json", blank_token_id=0), "blank"),
        (lambda f: damaged(f, "config.json"), "config.json is damaged"),
        (lambda f: damaged(f, "tokenizer.json"), "tokenizer.json is damaged"),
        (lambda f: damaged(f, "model.safetensors"), "model.safetensors is damaged"),
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "preprocessor_config.json"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "safetensors"),
        (lambda f: hf.edit(f / "tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": []}), "token"),
        (lambda f: (f / "config.json").unlink(), "neither config.json"),
    ],
)  # fmt: skip
def test_bad_folders(
    models: dict[str, tuple[Any, Path]], tmp_path: Path, capsys: Capture, change: Any, words: str
) -> None:
    folder = shutil.copytree(models["parakeet_tdt"][1], tmp_path / "model")
    change(folder)
    output = tmp_path / "out/checkpoint/manifest.json"
    assert run_worker("checkpoint/unpack", "--model", folder, "--output", output) == 2
    error = capsys.readouterr().err
    assert words in error
    assert str(folder) in error
    assert "Traceback" not in error
    assert not output.parent.exists()


def test_index_stays_in_its_folder(models: dict[str, tuple[Any, Path]], tmp_path: Path, capsys: Capture) -> None:
    folder = shutil.copytree(models["parakeet_tdt"][1], tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')
    assert run_worker("checkpoint/unpack", "--model", folder, "--output", tmp_path / "checkpoint/manifest.json") == 2
    assert "of its own folder" in capsys.readouterr().err


def test_unpacked_folder(demo: Path, tmp_path: Path) -> None:
    """A .nemo that somebody unpacked is a checkpoint too."""
    again = Checkpoint(unpack(demo, tmp_path / "again"))
    assert again.labels == Checkpoint(demo).labels
    assert torch.equal(again.weights["joint.pred.weight"], Checkpoint(demo).weights["joint.pred.weight"])
