"""Read an unpacked transducer checkpoint and build single modules of it, without trusting its content.

Example:
    checkpoint = Checkpoint(Path("out/demo-tdt/checkpoint"))
    encoder = checkpoint.build("encoder")
"""

import json
import typing
from functools import cached_property
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError

if typing.TYPE_CHECKING:
    import torch
from transducer.checkpoint.architecture import CTC_HEAD, PROMPT_KERNEL, SECTIONS, class_of, sizes, speaker_kernels
from transducer.checkpoint.config import read_config
from transducer.checkpoint.limits import require_sizes
from transducer.checkpoint.settings import construct, require_exportable
from transducer.checkpoint.weights import ONE_RUN, load_weights

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
MANIFEST = "manifest.json"
NO_CTC_HEAD = "it has no CTC head, as hybrid models do; leave CTC out"


class Checkpoint:
    """An unpacked checkpoint: its resolved config, and its weights mapped from disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{folder} does not hold an unpacked checkpoint; run `make checkpoint` first.") from None
        self.source = str(self.manifest["source"])
        self.config = read_config(folder / CONFIG, self.source)

    @property
    def labels(self) -> list[str]:
        """Tokens in order of their IDs, without blank."""
        return [str(label) for label in self.config["joint"]["vocabulary"]]

    @property
    def durations(self) -> list[int]:
        """TDT durations in encoder frames, in order of the joint's last outputs; empty for other models."""
        return [] if self._multi_blank() else self._durations("durations", "tdt_kwargs", "tdt_durations")

    @property
    def big_blank_durations(self) -> list[int]:
        """Encoder frames that each big blank of a multi-blank model passes over; empty for other models."""
        return self._durations("big_blank_durations", "multiblank_rnnt_kwargs") if self._multi_blank() else []

    def _multi_blank(self) -> bool:
        loss, decoding = self.config.get("loss") or {}, self.config.get("decoding") or {}
        return "multiblank" in (decoding.get("model_type"), str(loss.get("loss_name")).partition("_")[0])

    def _durations(self, name: str, loss: str, default: str = "") -> list[int]:
        """Return the frames that each of the joint's last outputs stands for, from where a config may list them."""
        count = int(self.config["joint"].get("num_extra_outputs") or 0)
        places = (
            (self.config.get("model_defaults") or {}).get(default),
            ((self.config.get("loss") or {}).get(loss) or {}).get(name),
            (self.config.get("decoding") or {}).get(name),
        )
        durations = [int(duration) for duration in next(filter(None, places), [])] if count else []
        if len(durations) != count:
            raise InputError(
                f"{self.source}: the joint has {count} duration outputs but the config lists {len(durations)} "
                f"durations; name them in loss.{loss}.{name} of its config."
            )
        return durations

    @cached_property
    def weights(self) -> "dict[str, torch.Tensor]":
        """All tensors by name: fp32 ones mapped from disk rather than read, others converted to fp32."""
        return load_weights(self.folder / WEIGHTS, self.source)

    @property
    def prompt_weights(self) -> "dict[str, torch.Tensor]":
        """The weights that condition encoder frames on a prompt, by their names in NeMo's prompt_kernel.

        Raises: InputError if one is missing or of another shape.
        """
        dims = sizes(self.config, self.source)
        if "P" not in dims:
            return {}
        width, hidden = dims["D"], 2 * dims["D"]
        shapes = {"0.weight": [hidden, width + dims["P"]], "0.bias": [hidden], "2.weight": [width, hidden],
                  "2.bias": [width]}  # fmt: skip
        tensors = self._of_shapes({f"{PROMPT_KERNEL}.{name}": shape for name, shape in shapes.items()})
        return {name.removeprefix(f"{PROMPT_KERNEL}."): tensor for name, tensor in tensors.items()}

    @property
    def speaker_weights(self) -> "dict[str, torch.Tensor]":
        """The weights of NeMo's spk_kernels and bg_spk_kernels by name; of a model without them nothing.

        Raises: InputError if one is missing or of another shape.
        """
        kernels = speaker_kernels(self.config)
        width = int(self.config["encoder"]["d_model"]) if kernels else 0
        shapes = {"0.weight": [width, width], "0.bias": [width], "3.weight": [width, width], "3.bias": [width]}
        return self._of_shapes(
            {
                f"{role}.{layer}.{name}": shape
                for role, layers in kernels.items()
                for layer in layers
                for name, shape in shapes.items()
            }
        )

    def _of_shapes(self, shapes: dict[str, list[int]]) -> "dict[str, torch.Tensor]":
        """Return the weights of these names. Raises: InputError if one is missing or of another shape."""
        for name, shape in shapes.items():
            tensor = self.weights.get(name)
            if tensor is None or list(tensor.shape) != shape:
                problem = "is missing" if tensor is None else f"has shape {list(tensor.shape)} where {shape} belongs"
                raise InputError(f"{self.source}: the weight {name} {problem}; {ONE_RUN}.")
        return {name: self.weights[name] for name in shapes}

    def build(self, section: str) -> Any:
        """Build a section in eval mode with exactly the checkpoint's weights: one of architecture.CLASSES.

        The weights stay mapped: only touched pages use memory. A preprocessor, whose
        weights follow from its config, may have none.
        Raises: InputError if a weight is missing, left over or of another shape.
        """
        from nemo.collections.asr import modules
        from nemo.utils import logging as nemo_logging

        nemo_logging.setLevel(nemo_logging.ERROR)
        if section == CTC_HEAD and section not in self.config:
            raise InputError(f"{self.source}: {NO_CTC_HEAD}.")
        kind = class_of(self.config, section, self.source)
        settings = self._settings(section)
        prefix = f"{section}."
        weights = {k.removeprefix(prefix): v for k, v in self.weights.items() if k.startswith(prefix)}
        if settings.get("subsampling_conv_chunking_factor", 1) != 1:
            # It cuts the input to save memory, which a graph cannot; the result is the same.
            settings["subsampling_conv_chunking_factor"] = 1
        if section in SECTIONS:
            require_sizes(section, settings, weights, self.source)
            require_exportable(section, kind, settings, self.source)
        with _skip_init():
            module = construct(getattr(modules, kind), settings, section, self.source)
        if weights or section in (*SECTIONS, CTC_HEAD):
            self._require_match(section, module.state_dict(), weights)
            module.load_state_dict(weights, strict=True, assign=True)
        return module.eval().requires_grad_(False)

    def _settings(self, section: str) -> dict[str, Any]:
        if section == CTC_HEAD:
            # Its config says nothing of its own: it reads the encoder's frames and writes the joint's labels.
            width = sizes(self.config, self.source)["D"]
            return {"feat_in": width, "num_classes": len(self.labels), "vocabulary": self.labels}
        return {key: value for key, value in self.config[section].items() if key != "_target_"}

    def _require_match(
        self, section: str, expected: "dict[str, torch.Tensor]", weights: "dict[str, torch.Tensor]"
    ) -> None:
        for name in sorted(expected.keys() | weights.keys()):
            if name not in weights:
                problem = f"the weight {section}.{name} is missing"
            elif name not in expected:
                problem = f"the config has no place for the weight {section}.{name}"
            elif weights[name].shape != expected[name].shape:
                expected_shape, shape = list(expected[name].shape), list(weights[name].shape)
                problem = f"the weight {section}.{name} has shape {shape} where the config asks for {expected_shape}"
            elif weights[name].is_floating_point() != expected[name].is_floating_point():
                problem = f"the weight {section}.{name} is of {weights[name].dtype}, which its layer is not"
            else:
                continue
            raise InputError(f"{self.source}: {problem}; {ONE_RUN}.")


def _skip_init() -> Any:
    """Return a context in which layers are not initialized, because every weight is loaded afterwards.

    Unlike initialized pages, untouched pages cost neither time nor memory.
    """
    from torch.overrides import TorchFunctionMode

    class SkipInit(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if getattr(func, "__module__", None) == "torch.nn.init":
                return kwargs["tensor"] if "tensor" in kwargs else args[0]
            return func(*args, **kwargs)

    return SkipInit()
