"""Load a checkpoint's weights without running any of its code.

Example:
    weights = load_weights(Path("out/demo-tdt/checkpoint/model_weights.ckpt"), "demo-tdt.nemo")
"""

import collections
import pickle
import typing
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from transducer.checkpoint.architecture import PROMPT_KERNEL, SECTIONS, SPEAKER_KERNELS
from transducer.checkpoint.config import UNUSED
from transducer.core.cli import InputError

if typing.TYPE_CHECKING:
    import torch

ONE_RUN = "config and weights must come from one training run"


# Modules whose objects hold data beside the tensors of a training checkpoint: an instance of Skipped takes their place.
INERT_MODULES = {"numpy", "pathlib", "datetime", "argparse", "decimal", "uuid", "omegaconf", "lightning",
                 "pytorch_lightning", "nemo"}  # fmt: skip


class Skipped:
    """Stands for a pickled object that nobody needs: it takes any arguments and state, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Skipped":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def load_weights(path: Path, source: str) -> "dict[str, torch.Tensor]":
    """Map the tensors of a .ckpt file by name, without running any code that it pickles.

    Accepts a bare state dict or a Lightning checkpoint (its `state_dict`), and removes the prefixes
    that torch.compile and wrappers add.
    """
    import torch

    # NeMo's own Lightning checkpoints hold these besides tensors; all are inert containers.
    inert: list[Any] = [
        DictConfig, ListConfig, AnyNode, Metadata, ContainerMetadata,
        typing.Any, dict, list, int, collections.defaultdict, collections.OrderedDict,
    ]  # fmt: skip
    while True:
        try:
            with torch.serialization.safe_globals(inert):
                # Only the newer of torch's two formats can be mapped.
                content = torch.load(path, mmap=is_zipfile(path), weights_only=True, map_location="cpu")
            break
        except pickle.UnpicklingError as error:
            name = str(error).partition("GLOBAL ")[2].partition(" ")[0]
            if name.partition(".")[0] in INERT_MODULES and (Skipped, name) not in inert:
                inert.append((Skipped, name))
                continue
            what = f"code ({name})" if name else "something other than weights"
            raise InputError(
                f"{source}: its weights file pickles {what}, which is never run; save plain tensors with NeMo's "
                "save_to."
            ) from None
        except Exception:  # whatever damaged bytes make the unpickler do
            raise InputError(f"{source}: its weights file is damaged; copy or download it again.") from None
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if (
        not isinstance(weights, dict)
        or not weights
        or not all(isinstance(value, torch.Tensor) for value in weights.values())
    ):
        raise InputError(f"{source}: its weights file has no tensors by name; save the model again with NeMo.")
    weights = {str(name).replace("_orig_mod.", ""): tensor for name, tensor in weights.items()}
    for wrapper in ("module.", "model."):
        if all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): tensor for name, tensor in weights.items()}
    known = (*SECTIONS, PROMPT_KERNEL, *SPEAKER_KERNELS, *UNUSED)
    strangers = sorted(name for name in weights if name.partition(".")[0] not in known)
    if strangers:
        raise InputError(f"{source}: the config has no place for the weight {strangers[0]}; {ONE_RUN}.")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def require_finite(weights: "dict[str, torch.Tensor]", source: str) -> None:
    """Raise InputError for weights of a training that diverged."""
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise InputError(f"{source}: the weight {name} has values that are not finite; save an earlier checkpoint.")
