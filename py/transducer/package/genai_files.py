"""What ONNX Runtime GenAI reads beside a TDT model's graphs: its config, tokenizer, and a README for people.

Example:
    write_json(folder / "genai_config.json", genai_config(facts, frontend))

The keys are those of `parakeet_tdt` in ONNX Runtime GenAI 0.18.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from transducer.package.facts import Model
from transducer.package.foreign import SPACE, facts_text, headline

VERSION = "0.18.0"
# Audio is encoded in pieces of the first, each with so much heard before and after it.
CHUNK_SECONDS, LEFT_SECONDS, RIGHT_SECONDS = 20, 5, 5
# Tokens of one recording at most: some three hours of speech.
MOST_TOKENS = 1 << 17

README = """{headline}

```bash
pip install onnxruntime-genai=={version}
```

```python
import onnxruntime_genai as og

model = og.Model(".")
processor = model.create_multimodal_processor()
generator = og.Generator(model, og.GeneratorParams(model))
generator.set_inputs(processor("", audios=og.Audios.open("speech.wav")))
while not generator.is_done():
    generator.generate_next_token()
print(processor.decode(generator.get_sequence(0)).strip())
```

{variants}

## What differs from NeMo

- Recordings above {chunk} s are encoded in pieces of that, with {left} s before and {right} s after each.
- A blank of duration 0 takes the likeliest longer duration; NeMo moves on by one frame.
- At most {max_symbols} tokens a frame, as in NeMo.

{facts}"""


def genai_config(facts: Mapping[str, Any], frontend: Mapping[str, Any]) -> dict[str, Any]:
    """Return genai_config.json of a TDT model, by model_meta.json and its frontend with all defaults filled in."""
    dims, rate = facts["dims"], int(facts["sample_rate"])
    model = {
        "type": "parakeet_tdt",
        "vocab_size": dims["V"],
        "blank_id": facts["blank_id"],
        "eos_token_id": [facts["blank_id"]],
        "bos_token_id": facts["blank_id"],
        "pad_token_id": facts["blank_id"],
        "context_length": MOST_TOKENS,
        "sample_rate": rate,
        "num_mels": dims["F"],
        "fft_size": frontend["n_fft"],
        "hop_length": round(frontend["window_stride"] * rate),
        "win_length": round(frontend["window_size"] * rate),
        "preemph": frontend["preemph"],
        "log_eps": frontend["log_zero_guard_value"],
        # NeMo adds this to the standard deviation of each feature.
        "norm_eps": 1e-5,
        "subsampling_factor": facts["subsampling_factor"],
        "max_symbols_per_step": facts["max_symbols"],
        "chunk_samples": CHUNK_SECONDS * rate,
        "left_context_samples": LEFT_SECONDS * rate,
        "right_context_samples": RIGHT_SECONDS * rate,
        "tdt_durations": facts["durations"],
        "encoder": {
            "filename": "encoder.onnx",
            "hidden_size": dims["D"],
            "inputs": {"audio_features": "audio_features", "input_lengths": "input_lengths"},
            "outputs": {"encoder_outputs": "encoder_outputs", "output_lengths": "output_lengths"},
        },
        "decoder": {
            "filename": "decoder.onnx",
            "hidden_size": dims["H"],
            "num_hidden_layers": dims["L"],
            "session_options": {"provider_options": []},
            "inputs": {
                "targets": "targets",
                "targets_length": "targets_length",
                "lstm_hidden_state": "lstm_hidden_state",
                "lstm_cell_state": "lstm_cell_state",
            },
            "outputs": {
                "outputs": "outputs",
                "outputs_length": "outputs_length",
                "lstm_hidden_state": "lstm_hidden_state_out",
                "lstm_cell_state": "lstm_cell_state_out",
            },
        },
        "joiner": {
            "filename": "joiner.onnx",
            "inputs": {"encoder_outputs": "encoder_outputs", "decoder_outputs": "decoder_outputs"},
            "outputs": {"logits": "outputs"},
        },
    }
    search = {"max_length": MOST_TOKENS, "num_beams": 1, "num_return_sequences": 1, "do_sample": False}
    return {"model": model, "search": search}


def tokenizer(tokens: Sequence[str]) -> dict[str, Any]:
    """Return tokenizer.json, by which ids become text again; nothing is encoded with it."""
    spelt = [SPACE if token == " " else token for token in tokens]
    space = {"replacement": SPACE, "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", **space},
        "post_processor": None,
        "decoder": {"type": "Metaspace", **space},
        "model": {
            "type": "Unigram",
            "unk_id": spelt.index("<unk>") if "<unk>" in spelt else 0,
            "vocab": [[token, -float(number)] for number, token in enumerate(spelt)],
        },
    }


def tokenizer_config(tokens: Sequence[str]) -> dict[str, Any]:
    """Return tokenizer_config.json: a class that reads a Unigram model."""
    return {"tokenizer_class": "T5Tokenizer", "unk_token": "<unk>", "eos_token": tokens[-1], "pad_token": tokens[-1]}


def readme(model: Model) -> str:
    others = [variant for variant in model.variants if variant]
    names = ", ".join(
        f"`encoder.{variant}.onnx`, `decoder.{variant}.onnx`, `joiner.{variant}.onnx`" for variant in others
    )
    variants = f"The graphs are fp32. For others set `filename` in genai_config.json: {names}." if others else ""
    return README.format(
        headline=headline(model, "ONNX Runtime GenAI"),
        version=VERSION,
        variants=variants or "The graphs are fp32.",
        chunk=CHUNK_SECONDS,
        left=LEFT_SECONDS,
        right=RIGHT_SECONDS,
        max_symbols=model.facts["max_symbols"],
        facts=facts_text(model),
    )
