"""Load a checkpoint's weights without running any of its code.

Example:
    weights = load_weights(Path("out/demo-tdt/checkpoint/model_weights.ckpt"), "demo-tdt.nemo")
"""

import collections
import pickle
import typing
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from transducer.checkpoint.config import MODULES, UNUSED
from transducer.core.cli import InputError

if typing.TYPE_CHECKING:
    import torch

ONE_RUN = "config and weights must come from one training run"


def load_weights(path: Path, source: str) -> "dict[str, torch.Tensor]":
    """Map the tensors of a .ckpt file by name, without running anything that it pickles.

    Accepts a bare state dict or a Lightning checkpoint (its `state_dict`), and takes off the prefixes
    that torch.compile and wrappers leave.
    """
    import torch

    # What NeMo's own Lightning checkpoints hold besides tensors; all of it inert containers.
    inert: list[Any] = [
        DictConfig, ListConfig, AnyNode, Metadata, ContainerMetadata,
        typing.Any, dict, list, int, collections.defaultdict, collections.OrderedDict,
    ]  # fmt: skip
    try:
        with torch.serialization.safe_globals(inert):
            content = torch.load(path, mmap=True, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        found = str(error).partition("GLOBAL ")[2].partition(" ")[0]
        what = f"code ({found})" if found else "something other than weights"
        raise InputError(
            f"{source}: its weights file pickles {what}, which is never run; save plain tensors with NeMo's save_to."
        ) from None
    except (RuntimeError, EOFError, ValueError):
        raise InputError(f"{source}: its weights file is damaged; copy or download it again.") from None
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not weights or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InputError(f"{source}: its weights file holds no tensors by name; save the model again with NeMo.")
    weights = {name.replace("_orig_mod.", ""): tensor for name, tensor in weights.items()}
    for wrapper in ("module.", "model."):
        if all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): tensor for name, tensor in weights.items()}
    strangers = sorted(name for name in weights if name.partition(".")[0] not in (*MODULES, *UNUSED))
    if strangers:
        raise InputError(f"{source}: the config has no place for the weight {strangers[0]}; {ONE_RUN}.")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
