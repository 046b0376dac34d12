"""Train a transducer checkpoint from a YAML config and NeMo manifests; a killed run resumes where it was.

Example:
    .venv/bin/python py/speech/train.py --config configs/demo-tdt.yaml \
        --train-manifest out/speech/train/espeak-ng/manifest.jsonl:1 recordings.jsonl:2 \
        --validation-manifest models/validation/manifest.jsonl \
        --work out/demo-tdt/train --output out/demo-tdt/train/demo-tdt.nemo
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.checkpoint.archive import unpack_nemo
from transducer.core.cli import InputError, log, replacing, run
from transducer.core.sources import Source
from transducer.train.run import build_trainer, claim, fit, load_config, parse_args, store_in_half, use_cpu_loss

if TYPE_CHECKING:  # NeMo and Lightning take 10 s to import, which --help should not
    import lightning.pytorch as pl
    from nemo.collections.asr.models import EncDecRNNTBPEModel

TOKENIZER_FILES = ("tokenizer.model", "tokenizer.vocab", "vocab.txt")


def main() -> int:
    """Train from the last checkpoint of the work folder, if any, to the last step, and write the .nemo file."""
    args = parse_args(__doc__)
    sources = [Source.parse(text) for text in args.train_manifest]
    config = load_config(args.config, args.steps)
    # Of several processes that train together, the first alone writes; each makes the same tokenizer for itself.
    rank = int(os.environ.get("SLURM_PROCID", 0))
    if not rank:
        claim(args.work, {**config, "sources": args.train_manifest})

    import lightning.pytorch as pl
    import torch
    from nemo.utils import logging
    from torch.utils.data import DataLoader

    from transducer.speech.augmentation import Augmentation
    from transducer.speech.training import Corpus, collate, convolve_channels_last, standardise_input
    from transducer.train.batches import LengthBatches

    logging.setLevel(logging.ERROR)
    pl.seed_everything(config.seed, verbose=False)
    torch.set_num_threads(torch.get_num_threads() if args.threads is None else args.threads)
    tokenizer = args.work / f"tokenizer{rank or ''}"
    if "from" in config.tokenizer:
        take_tokenizer(Path(config.tokenizer["from"]), tokenizer)
    else:
        train_tokenizer(sources, config, tokenizer)
    trainers = [build_trainer(config, steps, args.work / f"cycle{n}") for n, steps in enumerate(config.cycles)]
    ranks = trainers[0].global_rank, trainers[0].world_size
    model = build_model(config, tokenizer, trainers[0])
    fold = standardise_input(model.encoder.pre_encode.conv[0], **config.input) if "input" in config else None
    if not torch.cuda.is_available():
        convolve_channels_last(model.encoder.pre_encode.conv)
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    log.info("%s: %.2f M parameters, process %d of %d", args.config, parameters, ranks[0] + 1, ranks[1])

    rate, encode = config.model.sample_rate, partial(spell, model.tokenizer)
    augmentation = Augmentation(config.augmentation, rate, config.seed)
    corpus = Corpus(sources, rate, encode, augmentation)
    held_out = Corpus([Source(args.validation_manifest)], rate, encode)
    validation = DataLoader(held_out, batch_size=64, collate_fn=collate)
    # A GPU waits for speech where one process augments it; a CPU has no core to spare.
    workers = min(len(os.sched_getaffinity(0)), 12) if torch.cuda.is_available() else 0

    def loader(start: int, stop: int) -> DataLoader[Any]:
        batches = LengthBatches(corpus.samples, corpus.weights, config.batch_size, config.seed, start, stop, *ranks)
        return DataLoader(corpus, batch_sampler=batches, collate_fn=collate, num_workers=workers)

    fit(model, trainers, config.cycles, loader, validation)
    if rank:
        return 0
    if fold:
        fold()
    save(model, args.output)
    return 0


def take_tokenizer(model: Path, folder: Path) -> None:
    """Fill `folder` with NeMo's tokenizer files of an earlier model, whose predictor and joint know only its tokens."""
    if not model.is_file():
        raise InputError(f"{model}: this model, from which the config takes its tokenizer, does not exist; correct it.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        unpack_nemo(model, Path(temporary))
        for name in TOKENIZER_FILES:
            packed = next(Path(temporary).glob(f"*_{name}"), None)
            if packed is None:
                raise InputError(f"{model}: has no {name}; continue from a model of SentencePiece tokens.")
            packed.replace(folder / name)


def spell(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a transcript. Raises: InputError if the tokenizer lacks one of its letters."""
    ids: list[int] = tokenizer.text_to_ids(text)
    if tokenizer.tokenizer.unk_id() in ids:
        raise InputError(f"{text!r}: the tokenizer lacks a letter of this transcript; correct it or train a tokenizer.")
    return ids


def train_tokenizer(sources: list[Source], config: Any, folder: Path) -> None:
    """Train SentencePiece BPE on the training transcripts and fill `folder` with NeMo's tokenizer files."""
    import sentencepiece

    from transducer.speech.manifest import read_manifest

    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([entry["text"] for source in sources for entry in read_manifest(source.path)]),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=config.tokenizer.vocab_size,
        model_type="bpe",
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    pieces = (folder / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    names = [line.partition("\t")[0] for line in pieces]
    (folder / "vocab.txt").write_text("".join(f"{name}\n" for name in names[1:]), encoding="utf-8")


def build_model(config: Any, tokenizer: Path, trainer: "pl.Trainer") -> "EncDecRNNTBPEModel":
    """Return NeMo's model with a loss that needs no CUDA compiler."""
    from nemo.collections.asr.models import EncDecRNNTBPEModel
    from omegaconf import open_dict

    with open_dict(config):
        config.model.tokenizer = {"dir": str(tokenizer), "type": "bpe"}
    model = EncDecRNNTBPEModel(cfg=config.model, trainer=trainer)
    model.maybe_init_from_pretrained_checkpoint(config)
    use_cpu_loss(model)
    return model


def save(model: "EncDecRNNTBPEModel", output: Path) -> None:
    """Write the model as stock NeMo reads it, its matrices in half the size."""
    store_in_half(model)
    model.cfg.tokenizer.dir = None  # a folder of this machine; restoring takes the packed files
    with replacing(output) as tmp:
        model.save_to(str(tmp))


if __name__ == "__main__":
    sys.exit(run(main))
