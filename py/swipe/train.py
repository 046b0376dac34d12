"""Train a swipe transducer from a YAML config and manifests of traces, on a CPU or a GPU; a killed run resumes.

Example:
    .venv/bin/python py/swipe/train.py --config configs/demo-swipe.yaml \
        --train-manifest out/swipe/train/manifest.jsonl.gz:2 out/swipe/dvorak.jsonl.gz:1:configs/layouts/dvorak.json \
        --validation-manifest models/swipe-validation/manifest.jsonl.gz --minutes 60 \
        --work out/demo-swipe/train --output out/demo-swipe/train/demo-swipe.nemo

A manifest may have a weight, and the layout on which it was swiped where that is not the config's.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.core.sources import Source
from transducer.swipe.features import FRAME_SECONDS, feature_count
from transducer.swipe.keyboard import Layout, layout_of, read_layout
from transducer.swipe.traces import read_traces
from transducer.swipe.vocabulary import read_vocabulary
from transducer.train.run import claim, load_config, store_in_half, use_cpu_loss

if TYPE_CHECKING:  # NeMo and Lightning take 10 s to import, which --help should not
    from nemo.collections.asr.models import EncDecRNNTModel

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Train from the last checkpoint of the work folder, if any, and write .nemo, .ckpt and the .ckpt's config."""
    args = parse_args()
    config = load_config(args.config, None)
    config.steps = args.steps or config.steps
    (layout, keyboard), labels = read_layout(ROOT / config.layout), read_vocabulary(ROOT / config.vocabulary)
    teacher = matching(args.teacher, labels, layout, args.config) if args.teacher else None
    start = matching(args.init, labels, layout, args.config) if args.init else None
    claim(args.work, {**config, "sources": args.train_manifest, "init": start and start.source})

    import torch
    from nemo.utils import logging

    from transducer.swipe.corpus import MixedBatches, TraceCorpus
    from transducer.swipe.distillation import Distillation
    from transducer.swipe.training import SwipeRun

    logging.setLevel(logging.ERROR)
    torch.manual_seed(config.seed)
    torch.set_num_threads(torch.get_num_threads() if args.threads is None else args.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sources = [Source.parse(text) for text in args.train_manifest]
    layouts = [read_layout(source.layout)[0] if source.layout else layout for source in sources]
    parts = [(read_traces(source.path, labels), keys) for source, keys in zip(sources, layouts, strict=True)]
    corpus = TraceCorpus(parts, labels, device, layout.keys)
    held_out = TraceCorpus([(read_traces(args.validation_manifest, labels), layout)], labels, device)
    weights = [source.weight for source in sources]
    power, tempo = config.inverse_frequency, config.augmentation.tempo
    batches = MixedBatches(corpus, weights, config.batch_size, config.seed, power, tempo)
    model = build_model(config, labels, layout, keyboard)
    if start:
        warm_start(model, start)
    use_cpu_loss(model)
    model = model.to(device)
    if teacher:
        model.loss = Distillation(model.loss, teacher, config.distillation_weight, model)
    log.info("%s: %.2f M parameters", args.config, sum(p.numel() for p in model.parameters()) / 1e6)
    training = SwipeRun(model, corpus, batches, config, args.minutes)
    last = args.work / "last.pt"
    training.resume(last)
    training.train(last)
    training.average()
    log.info("validation loss %.4f nats a swipe", training.validate(held_out))
    save(model.cpu(), args.output)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--config", type=Path, required=True, help="training YAML")
    args.add_argument("--train-manifest", nargs="+", required=True, metavar="MANIFEST[:WEIGHT[:LAYOUT]]")
    args.add_argument("--validation-manifest", type=Path, required=True)
    args.add_argument("--work", type=Path, required=True, help="folder of this run's checkpoint")
    end = args.add_mutually_exclusive_group()
    end.add_argument("--steps", type=int, help="train this many steps instead of the config's")
    end.add_argument("--minutes", type=float, help="train for so long; the learning rate follows")
    args.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    args.add_argument("--teacher", type=Path, help="unpacked checkpoint to distil from")
    args.add_argument("--init", type=Path, help="unpacked checkpoint to start from")
    args.add_argument("--output", type=Path, required=True, help="the .nemo file")
    options = args.parse_args()
    for name in ("steps", "minutes"):
        if (value := getattr(options, name)) is not None and not value > 0:
            raise InputError(f"--{name} is {value}; give more than 0.")
    return options


def matching(folder: Path, labels: str, layout: Layout, config: Path) -> Checkpoint:
    """Return a checkpoint of the same labels and features. Raises: InputError for another."""
    checkpoint = Checkpoint(folder)
    keys = ""
    if "swipe" in checkpoint.config:
        keys = layout_of(checkpoint.config["swipe"]["layout"], checkpoint.source).keys
    # Proximities to the same letters in another order are other features.
    if ("".join(checkpoint.labels), keys) != (labels, layout.keys):
        raise InputError(f"{checkpoint.source}: has other labels or features than {config}; give another checkpoint.")
    return checkpoint


def build_model(config: Any, labels: str, layout: Layout, keyboard: dict[str, Any]) -> "EncDecRNNTModel":
    """Return NeMo's character model for a layout's features; its config says what they are made from."""
    from nemo.collections.asr.models import EncDecRNNTModel
    from omegaconf import open_dict

    with open_dict(config):
        config.model.labels = list(labels)
        config.model.encoder.feat_in = feature_count(layout)
        config.model.swipe = {"frame_seconds": FRAME_SECONDS, "layout": keyboard}
    return EncDecRNNTModel(cfg=config.model)


def warm_start(model: "EncDecRNNTModel", checkpoint: Checkpoint) -> None:
    """Load a checkpoint's weights. Raises: InputError if the model has others, or of another shape."""
    state = model.state_dict()
    for name, tensor in state.items():
        weight = checkpoint.weights.get(name)
        if weight is None or weight.shape != tensor.shape:
            has = "no such weight" if weight is None else f"the shape {list(weight.shape)}"
            raise InputError(
                f"{checkpoint.source}: {name} has {has} where the config asks for {list(tensor.shape)}; start from a "
                "checkpoint of the same size."
            )
    model.load_state_dict({name: checkpoint.weights[name] for name in state})


def save(model: "EncDecRNNTModel", output: Path) -> None:
    """Write the model as stock NeMo reads it, and its weights as a .ckpt with the config beside it."""
    import torch
    from omegaconf import OmegaConf

    store_in_half(model)
    with replacing(output.with_suffix(".ckpt")) as tmp:
        torch.save({"state_dict": model.state_dict()}, tmp)
    with replacing(output.with_suffix(".yaml")) as tmp:
        OmegaConf.save(model.cfg, tmp)
    with replacing(output) as tmp:
        model.save_to(str(tmp))


if __name__ == "__main__":
    sys.exit(run(main))
