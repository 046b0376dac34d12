"""Unpack a .nemo archive, or a .ckpt with its config beside it, into a folder from which other workers map the weights.

Example:
    .venv/bin/python py/checkpoint/unpack.py --model models/demo-tdt.nemo \
        --output out/demo-tdt/checkpoint/manifest.json
"""

import json
import shutil
import sys
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from transducer.checkpoint.checkpoint import CONFIG, WEIGHTS
from transducer.checkpoint.config import read_config, reading
from transducer.checkpoint.weights import load_weights, require_finite
from transducer.core.cli import InputError, existing, parser, replacing, run, sha256_of, write_json
from transducer.core.progress import progress

if TYPE_CHECKING:
    from tqdm import tqdm

# Where NeMo and Lightning leave the config of a .ckpt, in order of preference.
CONFIGS_BESIDE = ("{stem}.yaml", CONFIG, "hparams.yaml")

# A .nemo has some ten members, and weights hardly shrink when they are packed.
MAX_MEMBERS, MAX_GROWTH = 10_000, 20


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--model", type=Path, required=True, help="a .nemo or .ckpt file")
    args.add_argument("--output", type=Path, required=True, help="manifest.json, written last, in the folder to fill")
    options = args.parse_args()
    model: Path = existing(options.model, "give MODEL the path of a .nemo or .ckpt file")
    # The folder is replaced as a whole: file by file, a kill would leave a mix of two checkpoints.
    with replacing(options.output.parent) as folder, ThreadPoolExecutor() as pool:
        digest = pool.submit(sha256_of, model)
        folder.mkdir()
        (unpack_ckpt if model.suffix == ".ckpt" else unpack_nemo)(model, folder)
        config = read_config(folder / CONFIG, model.name)
        if not config["joint"].get("vocabulary"):
            fill_sizes(config, packed_tokenizer(config, folder), model.name)
        # What is vetted is what everything later reads, NeMo too.
        write_config(config, folder / CONFIG)
        require_finite(load_weights(folder / WEIGHTS, model.name), model.name)
        write_json(folder / options.output.name, manifest_of(folder, model, config, digest.result()))
    return 0


def unpack_nemo(archive: Path, folder: Path) -> None:
    """Write the archive's plain files into `folder`, flat or nested as they are packed.

    Raises: InputError for a file that is not an archive, is truncated, or has members that could escape the folder.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            members, total = [], 0
            for member in tar:
                members.append((safe_path(member, archive), member))
                total += member.size
                # Before the next header, to reach which this member would be decompressed.
                if len(members) > MAX_MEMBERS or total > MAX_GROWTH * archive.stat().st_size:
                    raise InputError(
                        f"{archive}: unpacks to {len(members):,} files of {total:,} bytes and more, as no model does; "
                        "do not trust this file."
                    )
            members = [(path, member) for path, member in members if not member.isdir()]
            with progress(total=total, unit="B", unit_scale=True, desc=archive.name, leave=False) as bar:
                for path, member in members:
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    content = tar.extractfile(member)
                    assert content is not None  # safe_path allows only regular files
                    with (folder / path).open("wb") as target:
                        copy(content, target, bar)
    except (tarfile.ReadError, EOFError, zlib.error):
        with archive.open("rb") as stream:
            head = stream.read(512)
        # The tar or gzip header, even if the rest is damaged.
        if b"ustar" in head or head.startswith(b"\x1f\x8b"):
            problem = "is truncated or damaged; copy or download it again"
        else:
            problem = "is not a .nemo archive (a tar file); give MODEL a checkpoint saved with NeMo's save_to"
        raise InputError(f"{archive} {problem}.") from None
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{archive} has no {name}; give MODEL a checkpoint saved with NeMo's save_to.")


def safe_path(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """Return the path of a member, after refusing anything but a plain file inside the folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{archive}: its member {member.name} points outside the archive; do not trust this file.")
    if not (member.isreg() or member.isdir()):
        raise InputError(f"{archive}: its member {member.name} is a link or device; do not trust this file.")
    return path


def copy(source: IO[bytes], target: IO[bytes], bar: "tqdm[Any]") -> None:
    while block := source.read(1 << 22):
        target.write(block)
        bar.update(len(block))


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
        joint["jointnet"]["encoder_hidden"] = config["encoder"]["d_model"]
        joint["jointnet"]["pred_hidden"] = decoder["prednet"]["pred_hidden"]


def manifest_of(folder: Path, model: Path, config: dict[str, Any], digest: str) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "source": model.name,
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
