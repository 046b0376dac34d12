"""Package a model for one target: graphs that passed their checks, metadata, a lexicon where bundled, and a manifest.

Example:
    .venv/bin/python py/package/bundle.py --name demo-swipe --kind bundled --target web \
        --runtime-meta out/demo-swipe/meta/runtime_meta.json --meta out/demo-swipe/meta/model_meta.json \
        --checks out/demo-swipe/checks --trie out/demo-swipe/lexicon/trie.bin \
        --graphs encoder.onnx=out/demo-swipe/onnx/encoder.onnx rnnt_step.onnx=out/demo-swipe/onnx/rnnt_step.onnx \
        --output out/demo-swipe/package/bundled/web/SHA256SUMS
"""

import argparse
import json
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transducer.core.checks import Check, passed_check
from transducer.core.cli import InputError, existing, parser, run, write_json
from transducer.core.digests import Digests
from transducer.core.onnx_files import load_graph, metadata, sidecars_of
from transducer.package.facts import read_facts, read_tokens
from transducer.package.folder import MANIFEST, SUMS, copy, files_in, new_package
from transducer.package.readme import readme
from transducer.package.runtime_meta import describe_graphs
from transducer.package.sbom import UNKNOWN_LICENCE, Part, bill_of_materials
from transducer.swipe.bigrams import Bigrams
from transducer.swipe.keyboard import read_layout
from transducer.swipe.lexicon import read_words

FORMAT = 1
SBOM = "sbom.cdx.json"
RUNTIME_META = "meta/runtime_meta.json"
LEXICON = {"trie": "lexicon/trie.bin", "words": "lexicon/words.txt"}
BIGRAMS = "lexicon/bigrams.bin"
# Keyboards are this project's own files.
LAYOUT_LICENCE = "Apache-2.0"
# What ran the graphs when they were checked.
RUNTIMES = {".onnx": "onnxruntime", ".ort": "onnxruntime", ".pte": "executorch"}


@dataclass(frozen=True)
class File:
    """A file to be copied into a package: from where, what for, under which licence, and its check."""

    source: Path
    role: str
    licence: str
    check: Check | None = None


class Contents(dict[str, File]):
    """Files by their path in the package."""

    def add(self, path: str, file: File) -> None:
        """Add a file. Raises: InputError for a path that another file has, or differs from by case only."""
        for other, entry in self.items():
            if other.casefold() == path.casefold() and entry.source != file.source:
                raise InputError(f"{file.source} and {entry.source} would both be {path} in the package; rename one.")
        self[path] = file


def main() -> int:
    options = parse_args()
    meta = read_facts(options.runtime_meta)
    digests = Digests()
    contents = gather(options, meta, digests)
    with new_package(options.output, digests) as folder:
        for path, file in contents.items():
            copy(file.source, folder / path, digests)
        graphs = [folder / path for path, file in contents.items() if file.role == "graph"]
        meta["graphs"] = describe_graphs(graphs, folder, digests)
        meta["lexicon"] = LEXICON | ({"bigrams": BIGRAMS} if options.bigrams else {}) if options.trie else None
        write_json(folder / RUNTIME_META, meta)
        manifest = describe(options, meta, contents)
        text = readme(manifest, meta)
        (folder / "README.md").write_text(text, encoding="utf-8")
        entries = list_files(options, folder, contents, digests)
        parts = [Part(entry["path"], entry["sha256"], entry["licence"], entry["role"]) for entry in entries]
        whole = Part(manifest["name"], meta["source"]["sha256"], options.licence, "package")
        write_json(folder / SBOM, bill_of_materials(whole, parts, manifest["versions"]))
        write_json(folder / MANIFEST, manifest | {"files": list_files(options, folder, contents, digests)})
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--name", required=True, help="of the model")
    args.add_argument("--kind", choices=("dynamic", "bundled"), required=True)
    args.add_argument("--target", choices=("web", "android", "desktop", "server"), required=True)
    args.add_argument("--runtime-meta", type=Path, required=True, help="runtime_meta.json")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json, its tokens.txt in the same folder")
    args.add_argument("--checks", type=Path, required=True, help="folder of the checks that the graphs passed")
    args.add_argument("--graphs", nargs="+", required=True, metavar="NAME=FILE", help="names in the package, and files")
    args.add_argument("--trie", type=Path, help="trie.bin, with words.txt beside it")
    args.add_argument("--bigrams", type=Path, help="bigrams.bin of the same words")
    args.add_argument("--layouts", type=Path, nargs="*", default=[], help="keyboards to swipe on")
    args.add_argument("--assets", type=Path, nargs="*", default=[], help="files and folders of the app's own")
    args.add_argument("--licence", default=UNKNOWN_LICENCE, help="of the model: an SPDX id or expression")
    args.add_argument("--lexicon-licence", default=UNKNOWN_LICENCE, help="of the word list")
    args.add_argument("--lexicon-credit", default="", help="whom the word list's licence asks to name")
    args.add_argument("--command", default="", help="the command to record in the manifest")
    args.add_argument("--output", type=Path, required=True, help=f"{SUMS}, written last, in the folder to replace")
    return args.parse_args()


def gather(options: argparse.Namespace, meta: dict[str, Any], digests: Digests) -> Contents:
    """Return what is to be copied. Raises: InputError for what is missing, unchecked, stale or of another model."""
    contents = Contents()
    for item in options.graphs:
        name, _, file = item.partition("=")
        source = Path(file)
        check = passed_check(source, options.checks, digests)
        require_origin(source, meta)
        contents.add(f"graphs/{name}", File(source, "graph", options.licence, check))
        for sidecar in sidecars_of(source):
            contents.add(f"graphs/{sidecar.name}", File(sidecar, "weights", options.licence, check))
        if source.suffix == ".pte":
            about = source.with_suffix(".json")
            contents.add(f"graphs/{Path(name).with_suffix('.json')}", File(about, "graph metadata", options.licence))
    facts: Path = options.meta
    tokens, tokenizer = facts.with_name("tokens.txt"), facts.with_name("tokenizer.model")
    if read_facts(facts)["source"] != meta["source"] or read_tokens(tokens) != meta["tokens"]:
        raise InputError(f"{options.runtime_meta} is of another model than {facts}; run `make runtime-meta` again.")
    for path in (facts, tokens, tokenizer):
        if path.exists() or path != tokenizer:
            contents.add(f"meta/{path.name}", File(path, path.stem.replace("_", " "), options.licence))
    if options.trie:
        contents.add(LEXICON["trie"], File(options.trie, "trie", options.lexicon_licence))
        contents.add(LEXICON["words"], File(options.trie.with_name("words.txt"), "lexicon", options.lexicon_licence))
    if options.trie and options.bigrams:
        Bigrams.read(options.bigrams, read_words(options.trie.with_name("words.txt")))
        contents.add(BIGRAMS, File(options.bigrams, "bigrams", UNKNOWN_LICENCE))
    for layout in options.layouts:
        read_layout(layout)
        contents.add(f"layouts/{layout.name}", File(layout, "layout", LAYOUT_LICENCE))
    for asset in options.assets:
        existing(asset, "correct BUNDLE_ASSETS")
        for path in [asset / path for path in files_in(asset)] if asset.is_dir() else [asset]:
            contents.add(f"assets/{path.relative_to(asset.parent).as_posix()}", File(path, "asset", UNKNOWN_LICENCE))
    return contents


def require_origin(graph: Path, meta: dict[str, Any]) -> None:
    """Refuse a graph that was made from another checkpoint; an .ort file does not say what it was made from."""
    if graph.suffix == ".onnx":
        source = json.loads(metadata(load_graph(graph))["source"])
    elif graph.suffix == ".pte":
        source = read_facts(graph.with_suffix(".json"))["facts"]["source"]
    else:
        return
    if source != meta["source"]:
        raise InputError(
            f"{graph} was made from {source['file']} ({source['sha256'][:12]}) and the metadata from "
            f"{meta['source']['file']} ({meta['source']['sha256'][:12]}); build both from one checkpoint."
        )


def describe(options: argparse.Namespace, meta: dict[str, Any], contents: Contents) -> dict[str, Any]:
    """Return the manifest but for its files."""
    ran = {RUNTIMES[file.source.suffix] for file in contents.values() if file.role == "graph"}
    return {
        "format": FORMAT,
        "name": f"{options.name}-{options.kind}-{options.target}",
        "kind": options.kind,
        "target": options.target,
        "task": meta["task"],
        "command": options.command,
        "checkpoint": meta["source"],
        "licences": {"model": options.licence, **({"lexicon": options.lexicon_licence} if options.trie else {})},
        "credits": options.lexicon_credit,
        "versions": {**meta["versions"], **{name: version(name) for name in sorted({"onnx", *ran})}},
    }


def list_files(options: argparse.Namespace, folder: Path, contents: Contents, digests: Digests) -> list[dict[str, Any]]:
    """Return an entry for each file there is so far; those that were written here have no source."""
    roles = {"README.md": "readme", RUNTIME_META: "runtime meta", SBOM: "bill of materials"}
    entries = []
    for path in files_in(folder):
        entry = {"path": path, "bytes": (folder / path).stat().st_size, "sha256": digests.of(folder / path)}
        if path in roles:
            entries.append(entry | {"role": roles[path], "licence": options.licence, "source": None, "check": None})
            continue
        file = contents[path]
        check = file.check.summary() if file.check else None
        source = named(file.source, options.checks.parent)
        entries.append(entry | {"role": file.role, "licence": file.licence, "source": source, "check": check})
    return entries


def named(source: Path, model: Path) -> str:
    """Return what a manifest calls a source: its path in the folder of the build that has the checks, or its name."""
    return source.relative_to(model).as_posix() if source.is_relative_to(model) else source.name


if __name__ == "__main__":
    sys.exit(run(main))
