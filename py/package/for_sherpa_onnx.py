"""Package a model's graphs as a folder that sherpa-onnx's offline recognizer loads as it is.

Example:
    .venv/bin/python py/package/for_sherpa_onnx.py --graphs out/demo-tdt/onnx/{encoder,predictor,joint}.onnx \
        --meta out/demo-tdt/meta/model_meta.json --tokens out/demo-tdt/meta/tokens.txt \
        --output out/demo-tdt/package/sherpa-onnx/SHA256SUMS
"""

import sys
from pathlib import Path

from transducer.core.cli import run
from transducer.core.onnx_files import load_graph, set_metadata
from transducer.package.facts import Model
from transducer.package.foreign import (
    facts_text,
    frontend_of,
    headline,
    package_worker,
    require_supported,
    write_tokens,
)
from transducer.package.graphs import predictor_with_lengths, write_graph
from transducer.package.sherpa import FRONTEND, encoder_props, file_name, variants_text

MAX_TOKENS = {"tdt": 5, "rnnt": 10}

README = """{headline}

```bash
sherpa-onnx-offline --encoder=encoder.onnx --decoder=decoder.onnx --joiner=joiner.onnx --tokens=tokens.txt \\
    --model-type=nemo_transducer --high-freq=8000 speech.wav
```

or, after `pip install sherpa-onnx soundfile`:

```python
import sherpa_onnx
import soundfile

recognizer = sherpa_onnx.OfflineRecognizer.from_transducer(
    encoder="encoder.onnx",
    decoder="decoder.onnx",
    joiner="joiner.onnx",
    tokens="tokens.txt",
    model_type="nemo_transducer",
)
samples, sample_rate = soundfile.read("speech.wav", dtype="float32")
stream = recognizer.create_stream()
stream.accept_waveform(sample_rate, samples)
recognizer.decode_stream(stream)
print(stream.result.text)
```

{variants}

## What differs from NeMo

sherpa-onnx computes features itself, and not quite as NeMo did for this model's training:

- mel filters end at 7600 Hz instead of {highfreq:.0f} Hz, unless the command line says `--high-freq={highfreq:.0f}`;
- frames are taken half a step (5 ms) later, with a Povey window instead of a Hann window;
- the signal is mirrored at its ends instead of padded with zeros, and pre-emphasised frame by frame;
- a power below 1.2e-7 is raised to that value, where NeMo adds 6e-8 to all.

Expect a few words to differ. Decoding is greedy with at most {max_tokens} tokens a frame (the checkpoint asks
for {max_symbols}).

{facts}"""


def main() -> int:
    return package_worker(__doc__, fill)


def fill(model: Model, folder: Path) -> None:
    """Write the package's files, or refuse a model that sherpa-onnx would read wrongly."""
    require_supported(model, "sherpa-onnx", FRONTEND)
    for (role, variant), source in sorted(model.graphs.items()):
        graph = predictor_with_lengths(source) if role == "predictor" else load_graph(source)
        if role == "encoder":
            set_metadata(graph, encoder_props(model))
        write_graph(graph, source, folder / file_name(role, variant))
    write_tokens(model, folder / "tokens.txt")
    (folder / "README.md").write_text(readme(model), encoding="utf-8")


def readme(model: Model) -> str:
    facts = model.facts
    return README.format(
        headline=headline(model, "sherpa-onnx"),
        variants=variants_text(model),
        highfreq=frontend_of(facts)["highfreq"],
        max_tokens=MAX_TOKENS[facts["model_type"]],
        max_symbols=facts["max_symbols"],
        facts=facts_text(model),
    )


if __name__ == "__main__":
    sys.exit(run(main))
