"""Package a streaming RNN-T model's graphs as a folder that sherpa-onnx's online recognizer loads as it is.

Example:
    .venv/bin/python py/package/for_sherpa_onnx_online.py \
        --graphs out/demo-streaming/onnx/{encoder_streaming,predictor,joint}.onnx \
        --meta out/demo-streaming/meta/model_meta.json --tokens out/demo-streaming/meta/tokens.txt \
        --output out/demo-streaming/package/sherpa-onnx/SHA256SUMS
"""

import sys
from pathlib import Path

from transducer.core.cli import InputError, run
from transducer.core.onnx_files import load_graph
from transducer.package.facts import Model
from transducer.package.foreign import facts_text, package_worker, require_supported, write_tokens
from transducer.package.graphs import predictor_with_lengths, write_graph
from transducer.package.sherpa import GUARD, file_name, online_encoder, variants_text

# It normalises each window by itself, which no model was trained for; its mel filters end where these models' do.
ONLINE_FRONTEND: dict[str, list[object]] = {
    "normalize": [""],
    "highfreq": [8000],
    "log_zero_guard_type": ["add"],
    "log_zero_guard_value": [GUARD],
}
# Silence after a recording, in seconds above one chunk: labels come after the sound, and only full chunks are decoded.
TAIL = 0.5

README = """# {name} for sherpa-onnx, streaming

RNN-T speech recognition, {features} features, {tokens} tokens, look-ahead {lookahead:g} ms. From inside this folder:

```bash
sherpa-onnx --encoder=encoder.onnx --decoder=decoder.onnx --joiner=joiner.onnx --tokens=tokens.txt speech.wav
```

or, after `pip install sherpa-onnx soundfile`:

```python
import numpy as np
import sherpa_onnx
import soundfile

recognizer = sherpa_onnx.OnlineRecognizer.from_transducer(
    encoder="encoder.onnx", decoder="decoder.onnx", joiner="joiner.onnx", tokens="tokens.txt"
)
samples, sample_rate = soundfile.read("speech.wav", dtype="float32")
stream = recognizer.create_stream()
stream.accept_waveform(16000, np.zeros(80, np.float32))  # feature frames where NeMo has them
stream.accept_waveform(sample_rate, samples)  # in pieces of any size, as they come
stream.accept_waveform(sample_rate, np.zeros(int({tail:g} * sample_rate), np.float32))
stream.input_finished()
while recognizer.is_ready(stream):
    recognizer.decode_stream(stream)
print(recognizer.get_result(stream))
```

{variants}

## What to know

- sherpa-onnx decodes full chunks of {shift:g} ms only, so {tail:g} s of silence after a recording brings out its end.
- Its feature frames lie half a step (5 ms) later than NeMo's; 80 zeros before the samples put them where they were in
  training. Without them a few words may differ.
- sherpa-onnx raises a power below 1.2e-7 to that value, where NeMo adds 6e-8 to all; `encoder.onnx` undoes this
  but for such faint sounds, which it takes for silence.
- Decoding is greedy with at most 10 tokens a frame (the checkpoint asks for {max_symbols}).
- The frames before a chunk that the encoder needs again are carried in the last of the layers of
  `cache_last_channel`, so a stream's first word is not cut.

{facts}"""


def main() -> int:
    return package_worker(__doc__, fill, ("encoder_streaming", "predictor", "joint"))


def fill(model: Model, folder: Path) -> None:
    """Write the package's files, or refuse a model that sherpa-onnx would read wrongly."""
    if model.facts["model_type"] != "rnnt":
        raise InputError(
            f"{model.source}: it is a TDT model, and sherpa-onnx streams RNN-T only; build it without STREAMING=1 for "
            "the offline package, or stream it by the ONNX graphs instead."
        )
    require_supported(model, "sherpa-onnx", ONLINE_FRONTEND)
    for (role, variant), source in sorted(model.graphs.items()):
        if role == "encoder_streaming":
            graph = online_encoder(model, load_graph(source))
        else:
            graph = predictor_with_lengths(source) if role == "predictor" else load_graph(source)
        write_graph(graph, source, folder / file_name(role, variant))
    write_tokens(model, folder / "tokens.txt")
    (folder / "README.md").write_text(readme(model), encoding="utf-8")


def readme(model: Model) -> str:
    facts, streaming = model.facts, model.facts["streaming"]
    return README.format(
        name=Path(model.source).stem,
        features=facts["dims"]["F"],
        tokens=facts["dims"]["V"] - 1,
        lookahead=streaming["lookahead_ms"],
        shift=streaming["shift_ms"],
        tail=round(streaming["shift_ms"] / 1000 + TAIL, 2),
        variants=variants_text(model),
        max_symbols=facts["max_symbols"],
        facts=facts_text(model),
    )


if __name__ == "__main__":
    sys.exit(run(main))
