"""Read a checkpoint's config and refuse anything but a supported transducer.

Example:
    config = read_config(Path("out/demo-tdt/checkpoint/model_config.yaml"), "demo-tdt.nemo")
    require_transducer(config, "demo-tdt.nemo")
"""

import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc
from yaml import YAMLError

from transducer.checkpoint.architecture import CLASSES, CTC_HEAD, SECTIONS, class_of
from transducer.checkpoint.limits import require_small
from transducer.core.cli import InputError

# The supported model classes, the only ones that are ever instantiated.
MODELS = (
    "EncDecRNNTModel",
    "EncDecRNNTBPEModel",
    "EncDecRNNTBPEModelWithPrompt",
    "EncDecRNNTBPEEOUModel",
    "EncDecMultiTalkerRNNTBPEModel",
    "EncDecHybridRNNTCTCModel",
    "EncDecHybridRNNTCTCBPEModel",
    "EncDecHybridRNNTCTCBPEModelWithPrompt",
    "EncDecHybridRNNTCTCBPEEOUModel",
)


# Parts of a config that graphs and metadata are made from.
NEEDED = {*CLASSES, "target", "tokenizer", "labels", "model_defaults", "loss", "decoding", "swipe"}


# Weights of a transducer checkpoint that no exported graph uses.
UNUSED = ("preprocessor", "ctc_decoder", "loss", "wer", "ctc_loss", "ctc_wer")


def read_config(path: Path, source: str) -> dict[str, Any]:
    """Return a model config with its interpolations resolved, after refusing anything that is not a NeMo transducer.

    Training files nest the model under `model` or `cfg`; the innermost is returned. What no graph needs, as data sets,
    is left out where it cannot be resolved; environment variables are never read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        require_small(text, source)
        node: Any = OmegaConf.create(text)
        while isinstance(node, DictConfig) and "encoder" not in node and ("model" in node or "cfg" in node):
            node = node.get("model") or node.get("cfg")
    except (OmegaConfBaseException, ValueError, RecursionError, YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: its config cannot be read ({reason}); save the model again.") from None
    if not isinstance(node, DictConfig):
        raise InputError(f"{source}: its config has no model; save the model again with NeMo.")
    config = {}
    with _no_environment():
        for key in node:
            try:
                value = node[key]
                config[str(key)] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            except (OmegaConfBaseException, ValueError) as error:
                if key in NEEDED:
                    reason = str(error).splitlines()[0]
                    raise InputError(
                        f"{source}: {key} of its config cannot be resolved ({reason}); correct it."
                    ) from None
    for key in NEEDED - {"target", "labels"}:
        if not isinstance(config.get(key) or {}, dict):
            raise InputError(f"{source}: {key} of its config is {config[key]!r:.80} where settings belong; correct it.")
    require_transducer(config, source)
    if isinstance(auxiliary := config.get("aux_ctc"), dict) and isinstance(auxiliary.get("decoder"), dict):
        config[CTC_HEAD] = auxiliary["decoder"]
    return config


@contextmanager
def _no_environment() -> Iterator[None]:
    """Have `${oc.env:NAME}` refused: a stranger's config has no business with the environment."""

    def refuse(name: str, *_: Any) -> None:
        raise ValueError(f"it asks for the environment variable {name}")

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn what a config of another form makes code raise into one sentence. Raises: InputError."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"{source}: its config lacks {error.args[0]}; save the model again with NeMo.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{source}: its config has a value of another kind ({error}); save the model again.") from None


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
    for section in SECTIONS:
        if not isinstance(config.get(section), dict):
            raise InputError(
                f"{source}: its config has no {section}, so it is not a transducer; bring an RNN-T or TDT."
            )
        class_of(config, section, source)


def _class_names(node: Any) -> typing.Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("_target_", "target", "cls") and isinstance(value, str):
                yield value
            yield from _class_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _class_names(value)
