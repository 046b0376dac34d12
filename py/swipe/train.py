"""Train a swipe transducer from a YAML config and manifests of traces; a killed run resumes where it was.

Example:
    .venv/bin/python py/swipe/train.py --config configs/demo-swipe.yaml \
        --train-manifest out/swipe/train/manifest.jsonl \
        --validation-manifest models/swipe-validation/manifest.jsonl.gz \
        --work out/demo-swipe/train --output out/demo-swipe/train/demo-swipe.nemo
"""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError, log, replacing, run
from transducer.swipe.features import FRAME_SECONDS, feature_count
from transducer.swipe.keyboard import Layout, read_layout
from transducer.swipe.traces import read_traces
from transducer.swipe.vocabulary import read_vocabulary
from transducer.train.run import build_trainer, claim, fit, load_config, training_parser, use_cpu_loss

if TYPE_CHECKING:  # NeMo and Lightning take 10 s to import, which --help should not
    import lightning.pytorch as pl
    from nemo.collections.asr.models import EncDecRNNTModel

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Train from the last checkpoint of the work folder, if any, and write .nemo, .ckpt and the .ckpt's config."""
    options = training_parser(__doc__)
    options.add_argument("--teacher", type=Path, help="unpacked checkpoint to distil from")
    args = options.parse_args()
    config = load_config(args.config, args.steps)
    (layout, keyboard), labels = read_layout(ROOT / config.layout), read_vocabulary(ROOT / config.vocabulary)
    teacher = Checkpoint(args.teacher) if args.teacher else None
    if teacher and ("".join(teacher.labels), teacher.config["encoder"]["feat_in"]) != (labels, feature_count(layout)):
        raise InputError(f"{teacher.source}: has other labels or features than {args.config}; give another teacher.")
    claim(args.work, config)

    import lightning.pytorch as pl
    import torch
    from nemo.utils import logging
    from torch.utils.data import DataLoader

    from transducer.swipe.training import Augmentation, Distillation, SwipeCorpus, collate
    from transducer.train.batches import LengthBatches

    logging.setLevel(logging.ERROR)
    pl.seed_everything(config.seed, verbose=False)
    torch.set_num_threads(torch.get_num_threads() if args.threads is None else args.threads)
    corpus = SwipeCorpus(read_traces(args.train_manifest, labels), layout, labels, Augmentation(config.augmentation))
    held_out = SwipeCorpus(read_traces(args.validation_manifest, labels), layout, labels)
    weights = corpus.weights(config.inverse_frequency) if config.inverse_frequency else None
    trainers = [build_trainer(config, steps, args.work / f"cycle{n}") for n, steps in enumerate(config.cycles)]
    model = build_model(config, labels, layout, keyboard, trainers[0])
    if teacher or trainers[0].strategy.root_device.type == "cpu":
        use_cpu_loss(model)
    if teacher:
        model.loss = Distillation(model.loss, teacher, config.distillation_weight, model)
    log.info("%s: %.2f M parameters", args.config, sum(p.numel() for p in model.parameters()) / 1e6)

    def loader(start: int, stop: int) -> DataLoader[Any]:
        batches = LengthBatches(corpus.lengths, config.batch_size, config.seed, start, stop, weights)
        return DataLoader(corpus, batch_sampler=batches, collate_fn=collate)

    validation = DataLoader(held_out, batch_size=256, collate_fn=collate)
    last = fit(model, trainers, config.cycles, loader, validation)
    save(model, last, args.output)
    return 0


def build_model(
    config: Any, labels: str, layout: Layout, keyboard: dict[str, Any], trainer: "pl.Trainer"
) -> "EncDecRNNTModel":
    """Return NeMo's character model for a layout's features; its config says what they are made from."""
    from nemo.collections.asr.models import EncDecRNNTModel
    from omegaconf import open_dict

    with open_dict(config):
        config.model.labels = list(labels)
        config.model.encoder.feat_in = feature_count(layout)
        config.model.swipe = {"frame_seconds": FRAME_SECONDS, "layout": keyboard}
    return EncDecRNNTModel(cfg=config.model, trainer=trainer)


def save(model: "EncDecRNNTModel", last: Path, output: Path) -> None:
    """Write the model as stock NeMo reads it, and the last training checkpoint with the model's config."""
    from omegaconf import OmegaConf

    with replacing(output.with_suffix(".ckpt")) as tmp:
        shutil.copyfile(last, tmp)
    with replacing(output.with_suffix(".yaml")) as tmp:
        OmegaConf.save(model.cfg, tmp)
    with replacing(output) as tmp:
        model.save_to(str(tmp))


if __name__ == "__main__":
    sys.exit(run(main))
