"""What the packages for other runtimes share: adapted graphs, weights beside them, refusals, a README and SHA256SUMS.

Example:
    model = Model.load([Path("out/demo-tdt/onnx/encoder.onnx")], Path("model_meta.json"), Path("tokens.txt"))
    with new_package(Path("out/demo-tdt/package/onnx-asr/SHA256SUMS")) as folder:
        write_graph(load_graph(model.graph("encoder")), model.graph("encoder"), folder / "encoder-model.onnx")
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transducer.checkpoint.architecture import peculiarity
from transducer.core.cli import InputError, parser
from transducer.package.facts import ROLES, Model
from transducer.package.folder import SUMS, new_package

# The settings of NeMo's frontend that all runtimes here follow, and the values that they follow.
COMMON_FRONTEND: Mapping[str, Sequence[Any]] = {
    "sample_rate": [16000],
    "window_size": [0.025],
    "window_stride": [0.01],
    "window": ["hann"],
    "n_fft": [512],
    "preemph": [0.97],
    "lowfreq": [0],
    "log": [True],
    "mag_power": [2.0],
    "mel_norm": ["slaney"],
}
# How SentencePiece writes a space; both runtimes read it so, and neither reads a bare space in every place.
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def package_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the command line that the workers of all these packages share."""
    args = parser(doc)
    args.add_argument("--graphs", type=Path, nargs="+", required=True, help=f"{', '.join(ROLES)}, any variants")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json")
    args.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    args.add_argument("--output", type=Path, required=True, help=f"{SUMS}, written last, in the folder to replace")
    return args


def write_package(doc: str | None, fill: Callable[[Model, Path], None]) -> int:
    """Run a worker that makes one of these packages: read its command line, and have `fill` write into a new folder."""
    options = package_parser(doc).parse_args()
    model = Model.load(options.graphs, options.meta, options.tokens)
    with new_package(options.output) as folder:
        fill(model, folder)
    return 0


def require_supported(model: Model, runtime: str, frontend: Mapping[str, Sequence[Any]]) -> None:
    """Refuse a model that a runtime would read wrongly.

    `frontend` lists the values that it follows for settings of NeMo's frontend, besides COMMON_FRONTEND.
    """
    require_plain(model.facts, model.source, runtime)
    require_dynamic(model)
    require_durations(model, runtime)
    require_frontend(model, runtime, {**COMMON_FRONTEND, **frontend})
    require_tokens(model, runtime)


def require_plain(facts: Mapping[str, Any], source: str, runtime: str) -> None:
    """Refuse a model of an architecture that a runtime does not know."""
    if what := peculiarity(facts):
        raise InputError(f"{source} has {what}, which {runtime} cannot run; use the ONNX graphs.")


def headline(model: Model, runtime: str) -> str:
    """Return what a package's README opens with, in Markdown."""
    kind, dims = "TDT" if model.facts["durations"] else "RNN-T", model.facts["dims"]
    return (
        f"# {Path(model.source).stem} for {runtime}\n\n"
        f"{kind} speech recognition, {dims['F']} features, {dims['V'] - 1} tokens. From inside this folder:"
    )


def require_dynamic(model: Model) -> None:
    """Refuse graphs built for one input size: the runtimes here give them audio of any length."""
    for role in sorted({role for role, _ in model.graphs}):
        axes = model.facts["graphs"][role]["inputs"][0]["shape"]
        if isinstance(axes[0], int):
            raise InputError(f"{model.source}: {role}.onnx takes the shape {axes} only; build it without FIXED=1.")


def require_durations(model: Model, runtime: str) -> None:
    """Refuse a TDT model whose durations are not 0, 1, 2 …: the runtimes here take a duration's index for its value.

    So do onnx-asr 0.12 (`_decode` of its TDT class), sherpa-onnx 2.0 (`DecodeOneTDT`) and parakeet-rs
    (`greedy_decode`), with any number of durations.
    """
    durations = model.facts["durations"]
    if durations != list(range(len(durations))):
        raise InputError(
            f"{model.source}: its durations are {durations}, and {runtime} takes the index of a duration for its "
            f"value, right for {list(range(len(durations)))} only; use a runtime that reads model_meta.json instead."
        )


def require_frontend(model: Model, runtime: str, supported: Mapping[str, Sequence[Any]]) -> None:
    """Refuse a model trained on features that a runtime does not compute, naming the first such setting.

    `supported` lists, for settings of NeMo's frontend and for sample_rate, the values that the runtime follows.
    """
    settings = frontend_of(model.facts)
    for setting, values in supported.items():
        if settings[setting] not in values:
            known = " or ".join(repr(value) for value in values)
            raise InputError(
                f"{model.source}: it was trained on features with {setting} {settings[setting]!r}, and {runtime} "
                f"computes them with {known} only; use the ONNX graphs with the model's own frontend instead."
            )


def frontend_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frontend's settings with NeMo's derived defaults filled in, and normalize "" for none."""
    settings, rate = dict(facts["frontend"]), int(facts["sample_rate"])
    window = round(settings["window_size"] * rate)
    settings["sample_rate"] = rate
    settings["n_fft"] = settings["n_fft"] or 1 << (window - 1).bit_length()
    settings["highfreq"] = settings["highfreq"] or rate / 2
    if settings["normalize"] in (None, False, "NA"):
        settings["normalize"] = ""
    return settings


def require_tokens(model: Model, runtime: str) -> None:
    """Refuse tokens that lines of "token id" cannot hold, or that are not joined to text by SentencePiece's rule."""
    if model.facts["tokenizer"] == "wpe":
        raise InputError(
            f"{model.source}: its tokens are word pieces, and {runtime} joins SentencePiece or character tokens only; "
            "use the ONNX graphs with the model's own tokenizer instead."
        )
    for token in model.tokens:
        if token != " " and any(space in token for space in " \t\n\v\f\r"):
            raise InputError(
                f"{model.source}: its token {token!r} has white space, which {runtime}'s vocabulary file cannot hold; "
                "use the ONNX graphs with the model's own tokenizer instead."
            )


def write_tokens(model: Model, path: Path) -> None:
    """Write "token id" lines, a space token as SentencePiece writes it."""
    lines = [f"{SPACE if token == ' ' else token} {number}\n" for number, token in enumerate(model.tokens)]
    path.write_text("".join(lines), encoding="utf-8")


def facts_text(model: Model) -> str:
    """Return the README's section on where a model comes from, in Markdown."""
    versions, source = model.facts["versions"], model.facts["source"]
    return (
        f"## Source\n\n"
        f"- checkpoint: `{source['file']}` ({model.facts['model_class']}), sha256 `{source['sha256']}`\n"
        f"- licence: that of the checkpoint; the conversion adds no terms\n"
        f"- made with transducer-export {versions['transducer-export']}, NeMo {versions['nemo']}, "
        f"PyTorch {versions['torch']}\n"
        f"- every graph was compared with PyTorch before it was packaged; `sha256sum -c {SUMS}` verifies the files\n"
    )
