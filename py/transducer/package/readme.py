"""The README of a package: what is in it, how to run it on its target, where it comes from.

Example:
    (folder / "README.md").write_text(readme(manifest, meta), encoding="utf-8")
"""

from collections.abc import Mapping
from typing import Any

TARGETS = {
    "web": "browsers (onnxruntime-web)",
    "android": "Android (ExecuTorch, or ONNX Runtime)",
    "desktop": "desktops (ONNX Runtime)",
    "server": "servers (ONNX Runtime)",
}

PAGE = """# {name}

{kind} {task} model for {target}: {summary}.

{run}

{lexicon}

## Files

| | |
|---|---|
| `graphs/` | {graphs} |
| `meta/runtime_meta.json` | all that a decoder needs: tokens, blank, dims, features, graphs and their hashes |
| `meta/model_meta.json`, `tokens.txt`{tokenizer} | inputs and outputs of the fp32 graphs; "token id" lines |
{layouts}| `manifest.json` | every file: role, size, SHA-256, licence, what it was made from and what its check found |
| `SHA256SUMS`, `sbom.cdx.json` | checksums; a bill of materials (CycloneDX) |

`sha256sum --check SHA256SUMS` verifies the files, `make verify-package DIR=...` of transducer-export also that there
has no others.

## Source

- checkpoint: `{file}`, sha256 `{sha256}`
- made by `{command}` with transducer-export {version}, NeMo {nemo}, PyTorch {torch}; every graph was compared with
  PyTorch or with the graph that it was made from, as `manifest.json` says
- licence: {licence}
"""

SPEECH_PYTHON = """In Python, from inside this folder, after `pip install numpy onnxruntime soundfile`, on a mono
recording at {rate} Hz:

```python
import json

import numpy as np
import onnxruntime
import soundfile

meta = json.load(open("meta/runtime_meta.json", encoding="utf-8"))
graphs = {{
    role: onnxruntime.InferenceSession(min(meta["graphs"][role].items())[1]["file"])
    for role in ("frontend", "encoder", "rnnt_step")
}}
dims, durations, blank = meta["dims"], meta["durations"], meta["blank_id"]
samples, rate = soundfile.read("speech.wav", dtype="float32")
features, length = graphs["frontend"].run(None, {{"waveform": samples[None], "length": np.array([len(samples)])}})
frames, length = graphs["encoder"].run(None, {{"audio_signal": features, "length": length}})
h = c = np.zeros((dims["L"], 1, dims["H"]), np.float32)
label, found, frame, here = blank, [], 0, 0
while frame < length[0]:
    inputs = {{"encoder_frame": frames[:, :, frame], "y": np.array([label]), "h": h, "c": c}}
    logits, h_out, c_out = graphs["rnnt_step"].run(None, inputs)
    token = int(logits[0, : dims["V"]].argmax())
    skip = durations[int(logits[0, dims["V"] :].argmax())] if durations else int(token == blank)
    if token != blank:
        found.append(token)
        label, h, c, here = token, h_out, c_out, here + 1
    if skip == 0 and (token == blank or here == meta["max_symbols"]):
        skip = 1
    here = 0 if skip else here
    frame += skip
print("".join(meta["tokens"][token] for token in found).replace("\\N{{LOWER ONE EIGHTH BLOCK}}", " ").strip())
```

Cut recordings of more than half a minute in pauses."""

SPEECH_WEB = """With the TypeScript decoder (`decoders/typescript` of transducer-export) and onnxruntime-web:

```ts
import * as ort from "onnxruntime-web";
import {{ SpeechDecoder, filesAt, onnxRuntime }} from "transducer-decoder";

const decoder = await SpeechDecoder.open(filesAt("{name}/"), onnxRuntime(ort));
const {{ text }} = await decoder.transcribe(samples); // Float32Array, mono, {rate} Hz
```"""

SWIPE_TYPESCRIPT = """With the TypeScript decoder (`decoders/typescript` of transducer-export) and {runtime}:

```ts
{imports}

const decoder = await SwipeDecoder.open({files}, onnxRuntime(ort){words});
const {{ words }} = await decoder.decode(points); // {{ x, y, t }}: 0 to 1 of the letter area, milliseconds
```"""
WEB_IMPORTS = """import * as ort from "onnxruntime-web";
import { SwipeDecoder, filesAt, onnxRuntime } from "transducer-decoder";"""
NODE_IMPORTS = """import * as ort from "onnxruntime-node";
import { SwipeDecoder, onnxRuntime } from "transducer-decoder";
import { filesIn } from "transducer-decoder/node";"""

SWIPE_ANDROID = """With the Kotlin decoder (`decoders/kotlin` of transducer-export), the folder being among the app's
files:

```kotlin
val files = SwipePackage(File(context.filesDir, "{name}"))
val lexicon = files.lexicon(){words}
SwipeDecoder(files.meta, lexicon, ExecuTorchModel.open(files, "xnnpack.pte")).use {{ decoder ->
    val words = decoder.decode(points) // x and y from 0 to 1 of the letter area, t in milliseconds
}}
```

`ExecuTorchModel.open(files, "int8.pte")` takes the smaller encoder, `OnnxRuntimeModel.open(files, "int8.ort")` that for
ONNX Runtime."""

SPEECH_ANDROID = """With the Kotlin decoder (`decoders/kotlin` of transducer-export), the folder being among the app's
files:

```kotlin
val files = SpeechPackage(File(context.filesDir, "{name}"))
SpeechDecoder(files.meta, ExecuTorchSpeechModel.open(files, "xnnpack.pte")).use {{ decoder ->
    println(decoder.transcribe(samples).text) // floats at files.meta.sampleRate
}}
```

`ExecuTorchSpeechModel.open(files, "int8.pte")` takes the smaller encoder, and
`OnnxRuntimeSpeechModel.open(files, "int8.ort")` that for ONNX Runtime. Without the decoder, `meta/model_meta.json`
tells the inputs and outputs of frontend, encoder and rnnt_step, and `docs/export.md` of transducer-export how to
decode with them."""


def readme(manifest: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Return a package's README from its manifest, which needs no files yet, and its runtime_meta.json."""
    graphs = sorted(
        entry["file"].removeprefix("graphs/") for role in meta["graphs"].values() for entry in role.values()
    )
    versions, source = manifest["versions"], manifest["checkpoint"]
    return PAGE.format(
        name=manifest["name"],
        kind=meta["model_type"].upper().replace("RNNT", "RNN-T"),
        task=manifest["task"],
        target=TARGETS[manifest["target"]],
        summary=f"{meta['dims']['F']} features, {meta['dims']['V'] - 1} tokens",
        run=f"## Run it\n\n{how_to_run(manifest, meta)}",
        lexicon=about_lexicon(meta),
        graphs=", ".join(f"`{name}`" for name in graphs),
        layouts="| `layouts/` | keyboards that the model can be swiped on |\n" if meta["task"] == "swipe" else "",
        tokenizer=", `tokenizer.model`" if meta.get("tokenizer") == "bpe" else "",
        file=source["file"],
        sha256=source["sha256"],
        command=manifest["command"],
        version=versions["transducer-export"],
        nemo=versions["nemo"],
        torch=versions["torch"],
        licence="; ".join(
            [*(f"{of}: {licence}" for of, licence in manifest["licences"].items()), manifest["credits"]]
        ).removesuffix("; "),
    )


def how_to_run(manifest: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    name, target = manifest["name"], manifest["target"]
    if meta["task"] == "speech":
        if target == "android":
            return SPEECH_ANDROID.format(name=name)
        python = SPEECH_PYTHON.format(rate=meta["sample_rate"])
        return f"{SPEECH_WEB.format(name=name, rate=meta['sample_rate'])}\n\n{python}" if target == "web" else python
    if target == "android":
        return SWIPE_ANDROID.format(name=name, words="" if meta["lexicon"] else '.apply { add("hello") }')
    web = target == "web"
    return SWIPE_TYPESCRIPT.format(
        runtime="onnxruntime-web" if web else "onnxruntime-node",
        imports=WEB_IMPORTS if web else NODE_IMPORTS,
        files=f'filesAt("{name}/")' if web else f'filesIn("{name}")',
        words="" if meta["lexicon"] else ', { words: ["the", "of"] }',
    )


def about_lexicon(meta: Mapping[str, Any]) -> str:
    if meta["lexicon"]:
        return (
            "`lexicon/words.txt` has the words, the most frequent first, and `lexicon/trie.bin` the same as a trie, "
            "with the log prior of each. Words can be added at run time."
        )
    if meta["task"] == "swipe":
        return (
            "A lexicon is not in it: the app brings its words, the most frequent first, and may add more at run time."
        )
    return "Speech is decoded without a lexicon."
