"""Read an unpacked transducer checkpoint and build single modules of it, trusting nothing it says.

Example:
    checkpoint = Checkpoint(Path("out/demo-tdt/checkpoint"))
    encoder = checkpoint.build("encoder")
"""

import collections
import json
import pickle
import typing
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode

from transducer.core.cli import InputError

if typing.TYPE_CHECKING:
    import torch

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
MANIFEST = "manifest.json"

# The model classes that have what is exported, and the only classes that are ever instantiated.
MODELS = ("EncDecRNNTModel", "EncDecRNNTBPEModel", "EncDecHybridRNNTCTCModel", "EncDecHybridRNNTCTCBPEModel")
MODULES = {"encoder": "ConformerEncoder", "decoder": "RNNTDecoder", "joint": "RNNTJoint"}
FRONTEND = {"preprocessor": "AudioToMelSpectrogramPreprocessor"}
# Weights that belong to a transducer checkpoint and that no exported graph uses.
UNUSED = ("preprocessor", "ctc_decoder", "loss", "wer", "ctc_loss", "ctc_wer")

ONE_RUN = "config and weights must come from one training run"


class Checkpoint:
    """An unpacked checkpoint: its resolved config, and its weights mapped from disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{folder} holds no unpacked checkpoint; run `make checkpoint` first.") from None
        self.source = str(self.manifest["source"])
        self.config = read_config(folder / CONFIG, self.source)

    @property
    def labels(self) -> list[str]:
        """Tokens in order of their ids, blank not among them."""
        return [str(label) for label in self.config["joint"]["vocabulary"]]

    @property
    def durations(self) -> list[int]:
        """TDT durations in encoder frames, in order of the joint's last outputs; empty for plain RNN-T."""
        count = int(self.config["joint"].get("num_extra_outputs") or 0)
        places = (
            (self.config.get("model_defaults") or {}).get("tdt_durations"),
            ((self.config.get("loss") or {}).get("tdt_kwargs") or {}).get("durations"),
            (self.config.get("decoding") or {}).get("durations"),
        )
        found = [int(duration) for duration in next(filter(None, places), [])] if count else []
        if len(found) != count:
            raise InputError(
                f"{self.source}: the joint has {count} duration outputs but the config lists {len(found)} durations; "
                "name them in loss.tdt_kwargs.durations of its config."
            )
        return found

    @cached_property
    def weights(self) -> "dict[str, torch.Tensor]":
        """All tensors by name, mapped from disk rather than read."""
        return load_weights(self.folder / WEIGHTS, self.source)

    def build(self, section: str) -> Any:
        """Build the encoder, decoder, joint or preprocessor in eval mode with exactly its own weights.

        The weights stay mapped: only the pages that are touched count as memory. A preprocessor, whose
        weights follow from its config, may come without any.
        Raises: InputError if a weight is missing, left over or of another shape.
        """
        from nemo.collections.asr import modules
        from nemo.utils import logging as nemo_logging

        nemo_logging.setLevel(nemo_logging.ERROR)
        kind = (MODULES | FRONTEND)[section]
        require_class(self.config, section, kind, self.source)
        settings = {key: value for key, value in self.config[section].items() if key != "_target_"}
        with _skipped_init():
            module = getattr(modules, kind)(**settings)
        prefix = f"{section}."
        weights = {k.removeprefix(prefix): v for k, v in self.weights.items() if k.startswith(prefix)}
        if weights or section not in FRONTEND:
            self._require_match(section, module.state_dict(), weights)
            module.load_state_dict(weights, strict=True, assign=True)
        return module.eval().requires_grad_(False)

    def _require_match(
        self, section: str, expected: "dict[str, torch.Tensor]", found: "dict[str, torch.Tensor]"
    ) -> None:
        for name in sorted(expected.keys() | found.keys()):
            if name not in found:
                problem = f"the weight {section}.{name} is missing"
            elif name not in expected:
                problem = f"the config has no place for the weight {section}.{name}"
            elif found[name].shape != expected[name].shape:
                asked, given = list(expected[name].shape), list(found[name].shape)
                problem = f"the weight {section}.{name} has shape {given} where the config asks for {asked}"
            else:
                continue
            raise InputError(f"{self.source}: {problem}; {ONE_RUN}.")


def read_config(path: Path, source: str) -> dict[str, Any]:
    """Return a model config with its interpolations resolved, after refusing what is no NeMo transducer.

    Training files nest the model under `model` or `cfg`; the innermost is returned.
    """
    try:
        root = OmegaConf.load(path)
        resolved = OmegaConf.to_container(root, resolve=True)
    except (OmegaConfBaseException, ValueError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: its config cannot be read ({reason}); save the model again.") from None
    except Exception as error:  # PyYAML's errors share no public base with OmegaConf's
        if not type(error).__module__.startswith("yaml"):
            raise
        raise InputError(f"{source}: its config is not YAML; save the model again with NeMo.") from None
    while isinstance(resolved, dict) and "encoder" not in resolved and ("model" in resolved or "cfg" in resolved):
        resolved = resolved.get("model") or resolved.get("cfg")
    if not isinstance(resolved, dict):
        raise InputError(f"{source}: its config holds no model; save the model again with NeMo.")
    config = {str(key): value for key, value in resolved.items()}
    require_transducer(config, source)
    return config


def require_transducer(config: dict[str, Any], source: str) -> None:
    """Refuse a config that names classes outside NeMo, or that is not a transducer this project exports."""
    for name in _class_names(config):
        if not name.startswith("nemo."):
            raise InputError(
                f"{source}: its config names the class {name}, which is not NeMo's; only NeMo's own are ever run."
            )
    model = str(config.get("target", "")).rpartition(".")[2]
    if model and model not in MODELS:
        raise InputError(f"{source}: {model} is not supported; bring a transducer of one of {', '.join(MODELS)}.")
    for section, supported in MODULES.items():
        if not isinstance(config.get(section), dict):
            raise InputError(f"{source}: its config has no {section}, so it is no transducer; bring an RNN-T or TDT.")
        require_class(config, section, supported, source)


def require_class(config: dict[str, Any], section: str, supported: str, source: str) -> None:
    """Refuse a section of a config that is not of the one class supported there."""
    name = str((config.get(section) or {}).get("_target_", "")).rpartition(".")[2]
    if name != supported:
        raise InputError(
            f"{source}: its {section} is a {name or 'nameless class'}; {supported} is what can be exported."
        )


def _class_names(node: Any) -> typing.Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("_target_", "target", "cls") and isinstance(value, str):
                yield value
            yield from _class_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _class_names(value)


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
    return weights


def _skipped_init() -> Any:
    """Return a context in which new layers keep whatever memory held: every weight is loaded afterwards.

    Untouched pages cost neither time nor memory, which a random start would.
    """
    from torch.overrides import TorchFunctionMode

    class SkippedInit(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if getattr(func, "__module__", None) == "torch.nn.init":
                return kwargs["tensor"] if "tensor" in kwargs else args[0]
            return func(*args, **kwargs)

    return SkippedInit()
