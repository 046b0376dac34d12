"""The README of a package for sherpa-onnx, for its offline or its online recognizer.

Example:
    (folder / "README.md").write_text(offline_readme(model), encoding="utf-8")
"""

from pathlib import Path

from transducer.package.facts import Model
from transducer.package.foreign import facts_text, frontend_of, headline
from transducer.package.sherpa import variants_text

# Tokens a frame that its greedy search gives at most.
MAX_TOKENS = {"tdt": 5, "rnnt": 10}
# Silence after a recording, in seconds above one chunk: labels come after the sound, and only full chunks are decoded.
TAIL = 0.5

OFFLINE = """{headline}

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
{hotwords}
## What differs from NeMo

sherpa-onnx computes features itself, and not quite as NeMo did for this model's training:

- mel filters end at 7600 Hz instead of {highfreq:.0f} Hz, unless the command line says `--high-freq={highfreq:.0f}`;
- frames are taken half a step (5 ms) later, with a Povey window instead of a Hann window;
- the signal is mirrored at its ends instead of padded with zeros, and pre-emphasised frame by frame;
- a power below 1.2e-7 is raised to that value, where NeMo adds 6e-8 to all.

Expect a few words to differ. Decoding is greedy with at most {max_tokens} tokens a frame (the checkpoint asks
for {max_symbols}).

{facts}"""

ONLINE = """# {name} for sherpa-onnx, streaming

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
stream.accept_waveform(sample_rate, samples)  # in pieces of any size
stream.accept_waveform(sample_rate, np.zeros(int({tail:g} * sample_rate), np.float32))
stream.input_finished()
while recognizer.is_ready(stream):
    recognizer.decode_stream(stream)
print(recognizer.get_result(stream))
```

{variants}
{hotwords}
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


# A model with another tokenizer gets no bpe.vocab, and so no hotwords.
HOTWORDS = """
## Hotwords

Phrases in a file, one a line, are heard more easily with

```
--decoding-method=modified_beam_search --hotwords-file=hotwords.txt --hotwords-score=0.3 \\
    --modeling-unit=bpe --bpe-vocab=bpe.vocab
```

Without the last two options English hotwords do nothing. Begin with a score of 0.3: with 2, a small TDT model heard
phrases that nobody had said.
"""


def offline_readme(model: Model, hotwords: bool) -> str:
    facts = model.facts
    return OFFLINE.format(
        headline=headline(model, "sherpa-onnx"),
        variants=variants_text(model),
        hotwords=HOTWORDS if hotwords else "",
        highfreq=frontend_of(facts)["highfreq"],
        max_tokens=MAX_TOKENS[facts["model_type"]],
        max_symbols=facts["max_symbols"],
        facts=facts_text(model),
    )


def online_readme(model: Model, hotwords: bool) -> str:
    facts, streaming = model.facts, model.facts["streaming"]
    return ONLINE.format(
        name=Path(model.source).stem,
        features=facts["dims"]["F"],
        tokens=facts["dims"]["V"] - 1,
        lookahead=streaming["lookahead_ms"],
        shift=streaming["shift_ms"],
        tail=round(streaming["shift_ms"] / 1000 + TAIL, 2),
        variants=variants_text(model),
        hotwords=HOTWORDS if hotwords else "",
        max_symbols=facts["max_symbols"],
        facts=facts_text(model),
    )
