"""Packages for the decoders' tests.

Example:
    package = packaged(out, folder / "package", {"encoder.onnx": out / "onnx/encoder.onnx"})
"""

import shutil
import subprocess
from pathlib import Path

from conftest import ROOT
from golden import bigrams
from transducer.core.cli import sha256_of, write_json
from transducer.package.facts import read_facts, read_tokens
from transducer.package.runtime_meta import describe, describe_graphs
from transducer.swipe.lexicon import Lexicon, read_words
from transducer.swipe.trie import write_trie

WORDS = ROOT / "decoders/golden/words.txt.gz"
LEXICON = {"words": "words.txt", "trie": "trie.bin", "bigrams": "bigrams.bin"}
DECODING = {"beam": 16, "threshold": 10.0, "prior_weight": 0.5, "length_power": 0.0}


def packaged(out: Path, folder: Path, graphs: dict[str, Path], lexicon: bool = False) -> Path:
    """Return a folder in a package's layout with these graphs of a model."""
    (folder / "graphs").mkdir(parents=True)
    for name, path in graphs.items():
        shutil.copy(path, folder / "graphs" / name)
    tokens = read_tokens(out / "meta/tokens.txt")
    meta = describe(read_facts(out / "meta/model_meta.json"), tokens, DECODING)
    meta["graphs"] = describe_graphs([folder / "graphs" / name for name in graphs], root=folder)
    meta["lexicon"] = None
    if lexicon:
        words = folder / "words"
        words.write_bytes(subprocess.run(["gzip", "-dc", WORDS], check=True, capture_output=True).stdout)
        found = Lexicon(read_words(words), tokens[:-1])
        write_trie(found, folder / "lexicon/trie.bin")
        words.unlink()
        (folder / "lexicon/words.txt").write_text("".join(f"{word}\n" for word in found.words), encoding="utf-8")
        (folder / "lexicon/bigrams.bin").write_bytes(bigrams())
        meta["lexicon"] = {name: f"lexicon/{file}" for name, file in LEXICON.items()}
    write_json(folder / "meta/runtime_meta.json", meta)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = "".join(f"{sha256_of(path)}  {path.relative_to(folder)}\n" for path in files)
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return folder
