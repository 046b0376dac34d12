"""The README of a package for onnx-asr, and what parakeet-rs and parakeet.js make of the same folder.

Example:
    (folder / "README.md").write_text(readme(model), encoding="utf-8")
"""

from transducer.package.facts import Model
from transducer.package.foreign import facts_text, headline

# The sizes that parakeet-rs has in its code for TDT models.
PARAKEET_RS = {"features": 128, "LSTM layers": 2, "predictor width": 640, "subsampling factor": 8}
# And those that parakeet.js 1.4.4 has in its code.
PARAKEET_JS = {"LSTM layers": 2, "predictor width": 640, "subsampling factor": 8}
PARAKEET_JS_USE = """The same files, served beside the page (run with parakeet.js 1.4.4):

```js
import {{ ParakeetModel }} from "parakeet.js";

const model = await ParakeetModel.fromUrls({{
  encoderUrl: "/model/encoder-model{suffix}.onnx",
  decoderUrl: "/model/decoder_joint-model{suffix}.onnx",
  tokenizerUrl: "/model/vocab.txt",
  nMels: {features},
  backend: "wasm",
}});
console.log((await model.transcribe(samples, 16000)).utterance_text);
```

A graph whose weights lie beside it needs `encoderDataUrl` and `filenames` too."""

README = """{headline}

```bash
pip install 'onnx-asr[cpu]'
onnx-asr {model_type} --model_path . speech.wav
```

```python
import onnx_asr

model = onnx_asr.load_model("{model_type}", path=".")
print(model.recognize("speech.wav"))
```

{variants}

## What differs from NeMo

- Nothing in the features, to rounding, nor in the greedy search, at most {max_symbols} tokens a frame.
- A space before a punctuation mark or an apostrophe is dropped from the text.

## parakeet-rs

{parakeet_rs}

## parakeet.js

{parakeet_js}

{facts}"""


def model_type(model: Model) -> str:
    return f"nemo-conformer-{model.facts['model_type']}"


def readme(model: Model) -> str:
    facts = model.facts
    others = [variant for variant in model.variants if variant]
    if others:
        choices = ", ".join(f'`quantization="{variant}"` (on the command line `-q {variant}`)' for variant in others)
        variants = f"The folder holds fp32 graphs and these variants, chosen by the argument: {choices}."
    else:
        variants = "The graphs are fp32."
    return README.format(
        headline=headline(model, "onnx-asr"),
        model_type=model_type(model),
        variants=variants,
        max_symbols=facts["max_symbols"],
        parakeet_rs=parakeet_rs_text(model),
        parakeet_js=parakeet_js_text(model),
        facts=facts_text(model),
    )


def parakeet_rs_text(model: Model) -> str:
    """Say in one paragraph whether parakeet-rs takes the folder."""
    if reasons := mismatches(model, PARAKEET_RS):
        return f"parakeet-rs does not take this model: it expects {', '.join(reasons)}."
    return '`ParakeetTDT::from_pretrained("PATH/TO/THIS/FOLDER", None)` of parakeet-rs takes the same files.'


def parakeet_js_text(model: Model) -> str:
    """Say in one paragraph whether parakeet.js takes the folder."""
    if reasons := mismatches(model, PARAKEET_JS):
        return f"parakeet.js does not take this model: it expects {', '.join(reasons)}."
    suffix = f".{model.variants[-1]}" if model.variants[-1] else ""
    return PARAKEET_JS_USE.format(suffix=suffix, features=model.facts["dims"]["F"])


def mismatches(model: Model, sizes: dict[str, int]) -> list[str]:
    """Return what a runtime for TDT models of fixed sizes expects that the model has not."""
    facts, dims = model.facts, model.facts["dims"]
    own = {
        "features": dims["F"],
        "LSTM layers": dims["L"],
        "predictor width": dims["H"],
        "subsampling factor": facts["subsampling_factor"],
    }
    reasons = [f"{key} {size} (here {own[key]})" for key, size in sizes.items() if size != own[key]]
    return ["a TDT model (here RNN-T)", *reasons] if facts["model_type"] != "tdt" else reasons
