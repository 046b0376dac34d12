"""Unpack a checkpoint of any form into a folder from which other workers map the weights.

It may be a .nemo archive, one unpacked before, a .ckpt with its config beside it, or a Hugging Face folder.

Example:
    .venv/bin/python py/checkpoint/unpack.py --model models/demo-tdt.nemo \
        --output out/demo-tdt/checkpoint/manifest.json
"""

import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from transducer.checkpoint.architecture import sizes
from transducer.checkpoint.archive import unpack_nemo
from transducer.checkpoint.checkpoint import CONFIG, WEIGHTS
from transducer.checkpoint.config import read_config, reading
from transducer.checkpoint.huggingface import is_huggingface, read_huggingface
from transducer.checkpoint.settings import limit_attention
from transducer.checkpoint.weights import load_weights, require_finite
from transducer.core.cli import InputError, existing, parser, replacing, run, sha256_of, write_json

# Where NeMo and Lightning leave the config of a .ckpt, in order of preference.
CONFIGS_BESIDE = ("{stem}.yaml", CONFIG, "hparams.yaml")


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--model", type=Path, required=True, help="a .nemo or .ckpt file, or a folder")
    args.add_argument("--att-context", metavar="LEFT,RIGHT", help="encoder frames that a frame attends to, not all")
    args.add_argument("--output", type=Path, required=True, help="manifest.json, written last, in the folder to fill")
    options = args.parse_args()
    model: Path = existing(options.model, "give MODEL the path of a .nemo or .ckpt file, or of a folder")
    # The folder is replaced as a whole: file by file, a kill would leave a mix of two checkpoints.
    with replacing(options.output.parent) as folder, ThreadPoolExecutor() as pool:
        digest = pool.submit(digest_of, model)
        folder.mkdir()
        source = name_of(model)
        unpacker_of(model)(model, folder)
        config = read_config(folder / CONFIG, source)
        if not config["joint"].get("vocabulary"):
            fill_sizes(config, packed_tokenizer(config, folder), source)
        if options.att_context:
            limit_attention(config["encoder"], options.att_context, source)
        # What is vetted is what everything later reads, NeMo too.
        write_config(config, folder / CONFIG)
        require_finite(load_weights(folder / WEIGHTS, source), source)
        write_json(folder / options.output.name, manifest_of(folder, source, config, digest.result()))
    return 0


def unpacker_of(model: Path) -> Callable[[Path, Path], None]:
    """Return the function that unpacks a checkpoint of this form. Raises: InputError for a folder of something else."""
    if not model.is_dir():
        return unpack_ckpt if model.suffix == ".ckpt" else unpack_nemo
    if is_huggingface(model):
        return unpack_huggingface
    if (model / CONFIG).is_file():
        return copy_unpacked
    raise InputError(
        f"{model} is a folder with neither config.json (Hugging Face's) nor {CONFIG} (an unpacked .nemo); give MODEL a "
        "checkpoint."
    )


def name_of(model: Path) -> str:
    """Return what a checkpoint is called: its file or folder, or the model whose snapshot a hub's cache holds."""
    cached = [part for part in model.absolute().parts if part.startswith("models--")]
    return cached[-1].rpartition("--")[2] if cached and model.is_dir() else model.absolute().name


def digest_of(model: Path) -> str:
    """Return the SHA-256 of a file, or that of the lines which sha256sum prints for a folder's files."""
    if not model.is_dir():
        return sha256_of(model)
    files = sorted(filter(Path.is_file, model.iterdir()))
    if is_huggingface(model):
        files = [path for path in files if path.suffix in (".json", ".safetensors")]
    return sha256("".join(f"{sha256_of(path)}  {path.name}\n" for path in files).encode()).hexdigest()


def unpack_huggingface(model: Path, folder: Path) -> None:
    """Write a Hugging Face folder's model as NeMo would have saved it."""
    import torch

    config, weights, tokenizer = read_huggingface(model)
    (folder / "tokenizer.model").write_bytes(tokenizer)
    fill_sizes(config, folder / "tokenizer.model", name_of(model))
    # NeMo asks for this list too.
    (folder / "vocab.txt").write_text(
        "".join(f"{label}\n" for label in config["joint"]["vocabulary"]), encoding="utf-8"
    )
    torch.save(weights, folder / WEIGHTS)
    write_config(config, folder / CONFIG)


def copy_unpacked(model: Path, folder: Path) -> None:
    """Copy the files of an archive that was unpacked before, links followed as a hub's cache needs it."""
    for name in (CONFIG, WEIGHTS):
        if not (model / name).is_file():
            raise InputError(f"{model} has no {name}; give MODEL a checkpoint saved with NeMo's save_to.")
    for path in sorted(filter(Path.is_file, model.iterdir())):
        shutil.copyfile(path, folder / path.name)


def unpack_ckpt(checkpoint: Path, folder: Path) -> None:
    """Convert a Lightning .ckpt, its config and its tokenizer to the layout of an unpacked .nemo.

    The config of a training run lacks the sizes that NeMo sets when it builds the model; they are set here.
    """
    import torch

    beside = [checkpoint.with_name(name.format(stem=checkpoint.stem)) for name in CONFIGS_BESIDE]
    config_path = next((path for path in beside if path.is_file()), None)
    if config_path is None:
        names = " or ".join(path.name for path in beside)
        raise InputError(f"{checkpoint} has no config beside it; put its model config there as {names}.")
    config = read_config(config_path, config_path.name)
    weights = load_weights(checkpoint, checkpoint.name)
    tokenizer = find_tokenizer(config, config_path.parent)
    if tokenizer:
        shutil.copyfile(tokenizer, folder / "tokenizer.model")
        config["tokenizer"] |= {"model_path": "nemo:tokenizer.model"}
    fill_sizes(config, tokenizer, config_path.name)
    # Only the weights are kept: a training checkpoint carries optimizer states several times their size.
    torch.save(weights, folder / WEIGHTS)
    write_config(config, folder / CONFIG)


def write_config(config: dict[str, Any], path: Path) -> None:
    """Write a config as JSON, which is YAML with all strings in quotes: '1e5', 'on' and '~' stay labels."""
    path.write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")


def find_tokenizer(config: dict[str, Any], place: Path) -> Path | None:
    """Return the SentencePiece model that a config names, also searched beside the config."""
    tokenizer = config.get("tokenizer")
    if not tokenizer:
        return None
    names = [str(tokenizer[key]) for key in ("model_path", "dir") if tokenizer.get(key)]
    for name in [name.removeprefix("nemo:") for name in names] + ["."]:
        for path in (place / name, place / name / "tokenizer.model", place / Path(name).name):
            if path.is_file():
                return path
    return None


def packed_tokenizer(config: dict[str, Any], folder: Path) -> Path | None:
    """Return the SentencePiece model that lies in an unpacked archive; a name outside it is not followed."""
    name = Path(str((config.get("tokenizer") or {}).get("model_path") or "").removeprefix("nemo:")).name
    return folder / name if name and (folder / name).is_file() else None


def fill_sizes(config: dict[str, Any], tokenizer: Path | None, source: str) -> None:
    """Set the vocabulary and layer sizes in a config as NeMo does when it builds the model."""
    joint, decoder = config["joint"], config["decoder"]
    if not joint.get("vocabulary"):
        if tokenizer:
            from sentencepiece import SentencePieceProcessor

            pieces = SentencePieceProcessor(model_file=str(tokenizer))
            joint["vocabulary"] = [pieces.id_to_piece(i) for i in range(pieces.vocab_size())]
        elif config.get("labels"):
            joint["vocabulary"] = list(config["labels"])
        else:
            raise InputError(f"{source} names neither labels nor an existing tokenizer; put tokenizer.model beside it.")
    with reading(source):
        decoder["vocab_size"] = joint["num_classes"] = len(joint["vocabulary"])
        dims = sizes(config, source)
        joint["jointnet"] |= {"encoder_hidden": dims["D"], "pred_hidden": dims["H"]}


def manifest_of(folder: Path, source: str, config: dict[str, Any], digest: str) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "source": source,
        "sha256": digest,
        "model_class": str(config.get("target", "")).rpartition(".")[2] or guess_class(config),
        "files": {str(path.relative_to(folder)): path.stat().st_size for path in files},
    }


def guess_class(config: dict[str, Any]) -> str:
    """Return the model class of a training config, which does not name it."""
    kind = "HybridRNNTCTC" if "aux_ctc" in config else "RNNT"
    return f"EncDec{kind}{'BPE' if config.get('tokenizer') else ''}Model"


if __name__ == "__main__":
    sys.exit(run(main))
