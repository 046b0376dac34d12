"""The files of a training run, of any model: config, checkpoints, resumption.

Example:
    config = load_config(Path("configs/demo-swipe.yaml"), steps=None)
    last = fit(model, trainers, config.cycles, loader, validation)
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.core.cli import InputError, log, parser, replacing

if TYPE_CHECKING:  # NeMo and Lightning take 10 s to import, which --help should not
    import lightning.pytorch as pl
    from nemo.collections.asr.models import EncDecRNNTModel
    from torch.utils.data import DataLoader

# Steps between two reports of the loss.
LOG_EVERY = 100


def parse_args(doc: str | None) -> argparse.Namespace:
    """Return the command line of a speech training."""
    args = parser(doc)
    args.add_argument("--config", type=Path, required=True, help="training YAML")
    args.add_argument("--train-manifest", nargs="+", required=True, metavar="MANIFEST[:WEIGHT]")
    args.add_argument("--validation-manifest", type=Path, required=True)
    args.add_argument("--work", type=Path, required=True, help="folder of this run's checkpoints and logs")
    args.add_argument("--steps", type=int, help="train this many steps instead of the config's")
    args.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    args.add_argument("--output", type=Path, required=True, help="the .nemo file")
    return args.parse_args()


def load_config(path: Path, steps: int | None) -> Any:
    """Return the YAML at `path`, interpolations resolved; `steps`, if not None, replace its cycles by one.

    A config may name another in its folder as its `base` and hold only the differences.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        config: Any = OmegaConf.load(path)
        while base := config.pop("base", None):
            config = OmegaConf.merge(OmegaConf.load(path.with_name(base)), config)
        config = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: not a readable training config ({error}); see configs/demo-tdt.yaml.") from error
    if steps is not None:
        if steps < 1:
            raise InputError(f"--steps is {steps}; give 1 or more.")
        config.cycles = [steps]
    return config


def claim(work: Path, config: Any) -> None:
    """Record the config in the work folder, so that no run resumes from the checkpoint of another config."""
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(config)
    note = work / "config.yaml"
    if note.exists() and note.read_text(encoding="utf-8") != text:
        raise InputError(f"{work}: holds a run of another config; remove that folder or give another --work.")
    with replacing(note) as tmp:
        tmp.write_text(text, encoding="utf-8")


def build_trainer(config: Any, steps: int, work: Path) -> "pl.Trainer":
    """Return a Lightning trainer that keeps the last checkpoint and the one of the lowest WER.

    Started by `srun` as several tasks, it is one of as many processes that train together.
    """
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
    from lightning.pytorch.loggers import TensorBoardLogger

    class Progress(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.is_global_zero and trainer.global_step % LOG_EVERY == 0:
                loss = float(trainer.callback_metrics["train_loss"])
                log.info("step %d: loss %.3f, %s", trainer.global_step, loss, self._speed(trainer.global_step))

        def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            self._first, self._start = trainer.global_step, time.monotonic()

        def _speed(self, step: int) -> str:
            """Say how fast this cycle goes and when it will end, validation included."""
            speed = (step - self._first) / (time.monotonic() - self._start)
            end = time.localtime(time.time() + (steps - step) / speed)
            return f"{speed:.1f} steps/s, {steps} steps end at {time.strftime('%H:%M', end)}"

        def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            wer = float(trainer.callback_metrics["val_wer"])
            log.info("step %d: validation WER %.2f %%", trainer.global_step, 100 * wer)

    last = ModelCheckpoint(work, "last", every_n_train_steps=config.checkpoint_every, enable_version_counter=False)
    best = ModelCheckpoint(work, "best", monitor="val_wer", enable_version_counter=False)
    # Of the step, not of the allocation around it, in which make may have been started without srun.
    nodes, tasks = (int(os.environ.get(name, 1)) for name in ("SLURM_STEP_NUM_NODES", "SLURM_STEP_NUM_TASKS"))
    return pl.Trainer(
        max_steps=steps,
        default_root_dir=work,
        num_nodes=nodes,
        devices=tasks // nodes,
        strategy="ddp" if tasks > 1 else "auto",
        precision="bf16-mixed" if computes_in_bf16() else "32-true",
        logger=TensorBoardLogger(work, name="", version=""),
        callbacks=[last, best, Progress(), TQDMProgressBar(refresh_rate=20)],
        gradient_clip_val=1.0,
        val_check_interval=min(config.validate_every, steps),
        log_every_n_steps=LOG_EVERY,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def computes_in_bf16() -> bool:
    """Return whether the training device multiplies in bfloat16 at full speed, which halves the time of a step."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def store_in_half(model: "EncDecRNNTModel") -> None:
    """Store a trained model's matrices in fp16, half the size; NeMo and this project load them as fp32."""
    for module in (model.encoder, model.decoder, model.joint):
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.data = parameter.data.half()


def use_cpu_loss(model: "EncDecRNNTModel") -> None:
    """Replace NeMo's loss, which needs CUDA or is slow on a CPU, while the model trains."""
    from transducer.train.losses import RNNTLoss, TDTLoss

    blank = len(model.joint.vocabulary)
    tdt = model.cfg.loss.get("tdt_kwargs")
    model.loss = TDTLoss(blank, tdt.durations, tdt.sigma) if tdt else RNNTLoss(blank)
    model.joint.set_fuse_loss_wer(False)  # these losses take the whole joint tensor
    model.joint.log_softmax = False  # and normalize it themselves


def fit(
    model: "EncDecRNNTModel",
    trainers: "list[pl.Trainer]",
    cycles: list[int],
    loader: "Callable[[int, int], DataLoader[Any]]",
    validation: "DataLoader[Any]",
) -> Path:
    """Train from the last checkpoint of the work folder, if any, to the last step; return the last checkpoint.

    Each cycle repeats the schedule's warmup and decay from the weights of the one before. `loader` returns the
    batches from one step to another.
    """
    import torch

    start_time, offset = time.monotonic(), 0
    for trainer, steps in zip(trainers, cycles, strict=True):
        last = Path(trainer.default_root_dir) / "last.ckpt"
        start = last_step(last)
        model.set_trainer(trainer)
        if start < steps:
            log.info("training steps %d to %d", offset + start, offset + steps)
            trainer.fit(model, loader(offset + start, offset + steps), validation, ckpt_path=last if start else None)
            trainer.save_checkpoint(last)
        else:
            model.load_state_dict(torch.load(last, map_location="cpu", weights_only=False)["state_dict"])
        offset += steps
    log.info("trained in %.0f minutes", (time.monotonic() - start_time) / 60)
    return last


def last_step(checkpoint: Path) -> int:
    """Return the number of training steps of a checkpoint, 0 if it does not exist."""
    import torch

    return torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"] if checkpoint.exists() else 0
