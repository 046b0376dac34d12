"""Train a transducer checkpoint from a YAML config and NeMo manifests; a killed run resumes where it was.

Example:
    .venv/bin/python py/train_transducer.py --config configs/demo-tdt.yaml \
        --train-manifest out/speech/train/manifest.jsonl --validation-manifest models/validation/manifest.jsonl \
        --work out/demo-tdt/train --output out/demo-tdt/train/demo-tdt.nemo
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.cli import InputError, log, parser, replacing, run

if TYPE_CHECKING:  # NeMo and Lightning take 10 s to import, which --help should not
    import lightning.pytorch as pl
    from nemo.collections.asr.models import EncDecRNNTBPEModel


def main() -> int:
    """Train from the last checkpoint of the work folder, if any, to the last step, and write the .nemo file."""
    args = parse_args()
    config = load_config(args.config, args.steps)
    claim(args.work, config)

    import lightning.pytorch as pl
    import torch
    from nemo.utils import logging
    from torch.utils.data import DataLoader

    from transducer.training import Augmentation, Corpus, LengthBatches, collate, standardise_input

    logging.setLevel(logging.ERROR)
    pl.seed_everything(config.seed, verbose=False)
    torch.set_num_threads(torch.get_num_threads() if args.threads is None else args.threads)
    tokenizer = train_tokenizer(args.train_manifest, config, args.work / "tokenizer")
    trainers = [build_trainer(config, steps, args.work / f"cycle{n}") for n, steps in enumerate(config.cycles)]
    model = build_model(config, tokenizer, trainers[0])
    fold = standardise_input(model.encoder.pre_encode.conv[0], **config.input) if "input" in config else None
    log.info("%s: %.2f M parameters", args.config, sum(p.numel() for p in model.parameters()) / 1e6)

    rate, encode = config.model.sample_rate, model.tokenizer.text_to_ids
    augmentation = Augmentation(config.augmentation, rate, config.seed)
    corpus = Corpus(args.train_manifest, rate, encode, augmentation)
    validation = DataLoader(Corpus(args.validation_manifest, rate, encode), batch_size=64, collate_fn=collate)

    began, done = time.monotonic(), 0
    for trainer, steps in zip(trainers, config.cycles, strict=True):
        # Each cycle warms up and cools down anew, from the weights that the one before left.
        last = Path(trainer.default_root_dir) / "last.ckpt"
        start = last_step(last)
        model.set_trainer(trainer)
        if start < steps:
            log.info("training steps %d to %d", done + start, done + steps)
            batches = LengthBatches(corpus.lengths, config.batch_size, config.seed, done + start, done + steps)
            training = DataLoader(corpus, batch_sampler=batches, collate_fn=collate)
            trainer.fit(model, training, validation, ckpt_path=last if start else None)
        else:
            model.load_state_dict(torch.load(last, map_location="cpu", weights_only=False)["state_dict"])
        done += steps
    if fold:
        fold()
    save(model, args.output)
    log.info("%s: trained in %.0f minutes", args.output, (time.monotonic() - began) / 60)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--config", type=Path, required=True, help="training YAML")
    args.add_argument("--train-manifest", type=Path, required=True)
    args.add_argument("--validation-manifest", type=Path, required=True)
    args.add_argument("--work", type=Path, required=True, help="folder of this run's checkpoints and logs")
    args.add_argument("--steps", type=int, help="train this many steps instead of the config's")
    args.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    args.add_argument("--output", type=Path, required=True, help="the .nemo file")
    return args.parse_args()


def load_config(path: Path, steps: int | None) -> Any:
    """Return the YAML at `path`, interpolations resolved; `steps`, if given, are one cycle in place of its own."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        config = OmegaConf.create(OmegaConf.to_container(OmegaConf.load(path), resolve=True))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: not a readable training config ({error}); see configs/demo-tdt.yaml.") from error
    if steps is not None:
        if steps < 1:
            raise InputError(f"--steps is {steps}; give 1 or more.")
        config.cycles = [steps]
    return config


def claim(work: Path, config: Any) -> None:
    """Note the config in the work folder, so that no run resumes from the checkpoint of another config."""
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(config)
    note = work / "config.yaml"
    if note.exists() and note.read_text(encoding="utf-8") != text:
        raise InputError(f"{work}: holds a run of another config; remove that folder or give another --work.")
    with replacing(note) as tmp:
        tmp.write_text(text, encoding="utf-8")


def train_tokenizer(manifest: Path, config: Any, folder: Path) -> Path:
    """Train SentencePiece BPE on the training transcripts and return the folder of NeMo's tokenizer files."""
    import sentencepiece

    from transducer.manifest import read_manifest

    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([entry["text"] for entry in read_manifest(manifest)]),
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
    return folder


def build_trainer(config: Any, steps: int, work: Path) -> "pl.Trainer":
    """Return a Lightning trainer that keeps the last checkpoint and the one of the lowest WER."""
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
    from lightning.pytorch.loggers import TensorBoardLogger

    class LogWER(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            wer = float(trainer.callback_metrics["val_wer"])
            log.info("step %d: validation WER %.2f %%", trainer.global_step, 100 * wer)

    last = ModelCheckpoint(work, "last", every_n_train_steps=config.checkpoint_every, enable_version_counter=False)
    best = ModelCheckpoint(work, "best", monitor="val_wer", enable_version_counter=False)
    return pl.Trainer(
        max_steps=steps,
        default_root_dir=work,
        devices=1,
        logger=TensorBoardLogger(work, name="", version=""),
        callbacks=[last, best, LogWER(), TQDMProgressBar(refresh_rate=20)],
        gradient_clip_val=1.0,
        val_check_interval=min(config.validate_every, steps),
        log_every_n_steps=100,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def build_model(config: Any, tokenizer: Path, trainer: "pl.Trainer") -> "EncDecRNNTBPEModel":
    """Return NeMo's model; on a CPU its loss, which needs CUDA or is slow there, is replaced while training."""
    from nemo.collections.asr.models import EncDecRNNTBPEModel
    from omegaconf import open_dict

    with open_dict(config):
        config.model.tokenizer = {"dir": str(tokenizer), "type": "bpe"}
    model = EncDecRNNTBPEModel(cfg=config.model, trainer=trainer)
    model.maybe_init_from_pretrained_checkpoint(config)
    if trainer.strategy.root_device.type == "cpu":
        from transducer.losses import RNNTLoss, TDTLoss

        blank = len(model.joint.vocabulary)
        tdt = config.model.loss.get("tdt_kwargs")
        model.loss = TDTLoss(blank, tdt.durations, tdt.sigma) if tdt else RNNTLoss(blank)
        model.joint.set_fuse_loss_wer(False)  # these losses take the whole joint tensor
        model.joint.log_softmax = False  # and normalise it themselves
    return model


def last_step(checkpoint: Path) -> int:
    """Return the number of steps that the checkpoint has seen, 0 if there is none."""
    import torch

    return torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"] if checkpoint.exists() else 0


def save(model: "EncDecRNNTBPEModel", output: Path) -> None:
    """Write the model as stock NeMo reads it."""
    model.cfg.tokenizer.dir = None  # a folder of this machine; restoring takes the packed files
    with replacing(output) as tmp:
        model.save_to(str(tmp))


if __name__ == "__main__":
    sys.exit(run(main))
