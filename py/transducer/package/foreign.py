"""What the packages for other runtimes share: adapted graphs, weights beside them, refusals, a README and SHA256SUMS.

Example:
    model = Model.load([Path("out/demo-tdt/onnx/encoder.onnx")], Path("model_meta.json"), Path("tokens.txt"))
    with new_package(Path("out/demo-tdt/package/onnx-asr/SHA256SUMS")) as folder:
        write_graph(load_graph(model.graph("encoder")), model.graph("encoder"), folder / "encoder-model.onnx")
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from transducer.core.cli import InputError, existing, parser
from transducer.core.onnx_files import external_files, save_graph
from transducer.package.folder import SUMS, copy, new_package

ROLES = ("encoder", "predictor", "joint")
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


@dataclass(frozen=True)
class Model:
    """A built model: graphs by role and variant ("" for fp32), model_meta.json, and its tokens, blank last."""

    graphs: Mapping[tuple[str, str], Path]
    facts: Mapping[str, Any]
    tokens: Sequence[str]

    @classmethod
    def load(cls, graphs: Sequence[Path], meta: Path, tokens: Path, roles: Sequence[str] = ROLES) -> "Model":
        """Read a model from files named as they are built: ROLE.onnx or ROLE.VARIANT.onnx, and "token id" lines."""
        found = {}
        for path in graphs:
            role, _, variant = existing(path, "build the graph first").stem.partition(".")
            found[role, variant] = path
        for role in roles:
            if (role, "") not in found:
                raise InputError(f"No {role}.onnx is among the graphs; build it with `make onnx` and name it.")
        return cls(found, read_facts(meta), read_tokens(tokens))

    @property
    def source(self) -> str:
        return str(self.facts["source"]["file"])

    @property
    def variants(self) -> list[str]:
        """Variants of any graph in order, fp32 ("") first."""
        return sorted({variant for _, variant in self.graphs})

    def graph(self, role: str, variant: str = "") -> Path:
        """Return the graph of a role in a variant, or in fp32 where the variant was not built for it."""
        return self.graphs.get((role, variant), self.graphs[role, ""])


def read_facts(meta: Path) -> dict[str, Any]:
    """Return the content of model_meta.json."""
    facts: dict[str, Any] = json.loads(existing(meta, "run `make meta` first").read_text(encoding="utf-8"))
    return facts


def read_tokens(path: Path) -> list[str]:
    """Return the tokens of "token id" lines, in order of their ids."""
    lines = existing(path, "run `make meta` first").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [line.rpartition(" ")[0] for line in lines]


def package_worker(doc: str | None, fill: Callable[[Model, Path], None], roles: Sequence[str] = ROLES) -> int:
    """Run the command line that all package workers share: `fill` writes the files of a package into a folder."""
    args = parser(doc)
    args.add_argument("--graphs", type=Path, nargs="+", required=True, help=f"{', '.join(roles)}, any variants")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json")
    args.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    args.add_argument("--output", type=Path, required=True, help=f"{SUMS}, written last, in the folder to replace")
    options = args.parse_args()
    model = Model.load(options.graphs, options.meta, options.tokens, roles)
    with new_package(options.output) as folder:
        fill(model, folder)
    return 0


def require_supported(model: Model, runtime: str, frontend: Mapping[str, Sequence[Any]]) -> None:
    """Refuse a model that a runtime would read wrongly.

    `frontend` lists the values that it follows for settings of NeMo's frontend, besides COMMON_FRONTEND.
    """
    require_dynamic(model)
    require_durations(model, runtime)
    require_frontend(model, runtime, {**COMMON_FRONTEND, **frontend})
    require_tokens(model, runtime)


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
    found = frontend_of(model.facts)
    for setting, values in supported.items():
        if found[setting] not in values:
            known = " or ".join(repr(value) for value in values)
            raise InputError(
                f"{model.source}: it was trained on features with {setting} {found[setting]!r}, and {runtime} computes "
                f"them with {known} only; use the ONNX graphs with the model's own frontend instead."
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


def write_graph(model: onnx.ModelProto, source: Path, target: Path) -> None:
    """Write a graph made from `source`, and its sidecar, if any, as TARGET.data beside it."""
    for sidecar in external_files(model):
        copy(source.parent / sidecar, target.with_name(f"{target.name}.data"))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = f"{target.name}.data"
    save_graph(model, target)


def expose(model: onnx.ModelProto, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Rename a graph's inputs and outputs, and put both in the order given."""
    names = {**inputs, **outputs}
    graph = model.graph
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for values, order in ((graph.input, inputs), (graph.output, outputs)):
        by_name = {value.name: value for value in values}
        kept = [by_name[name] for name in order]
        for value in kept:
            value.name = names[value.name]
        del values[:]
        values.extend(kept)


def predictor_with_lengths(path: Path) -> onnx.ModelProto:
    """Return the predictor with the inputs of NeMo's own export, which these runtimes feed.

    In: targets int32 [B,U], target_length int32 [B], h and c [L,B,H]; out: g [B,H,U], prednet_lengths (the
    lengths, passed through), h_out, c_out.
    """
    model = onnx.load_model(path)
    graph = model.graph
    tokens = next(value for value in graph.input if value.name == "y")
    axes = [axis.dim_param or axis.dim_value for axis in tokens.type.tensor_type.shape.dim]
    graph.input.remove(tokens)
    graph.input.extend(
        [
            helper.make_tensor_value_info("targets", TensorProto.INT32, axes),
            helper.make_tensor_value_info("target_length", TensorProto.INT32, axes[:1]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("prednet_lengths", TensorProto.INT32, axes[:1]))
    graph.node.insert(0, helper.make_node("Cast", ["targets"], ["y"], name="/targets/Cast", to=TensorProto.INT64))
    graph.node.append(helper.make_node("Identity", ["target_length"], ["prednet_lengths"], name="/lengths/Identity"))
    order = ("targets", "target_length", "h", "c"), ("g", "prednet_lengths", "h_out", "c_out")
    expose(model, *({name: name for name in names} for names in order))
    return model


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
