"""An n-gram model for the decoders' tests of speech.

Example:
    arpa = token_lm(model, tmp_path)
"""

import json
from pathlib import Path

from conftest import DEMO, run_worker


def token_lm(model: Path, folder: Path) -> Path:
    """Write the ARPA file of a model's tokens, of the validation set's sentences, as `make token-lm` does."""
    lines = (DEMO / "validation/manifest.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "sentences.txt").write_text("".join(f"{json.loads(line)['text']}\n" for line in lines), encoding="utf-8")
    arguments = ("--text", folder / "sentences.txt", "--meta", model / "meta", "--output", folder / "lm.arpa")
    assert run_worker("decoding/token_lm", *arguments) == 0
    return folder / "lm.arpa"
