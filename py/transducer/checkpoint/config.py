"""Read a checkpoint's config and refuse anything but a supported transducer.

Example:
    config = read_config(Path("out/demo-tdt/checkpoint/model_config.yaml"), "demo-tdt.nemo")
    require_transducer(config, "demo-tdt.nemo")
"""

import typing
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transducer.core.cli import InputError

if typing.TYPE_CHECKING:
    pass


# The supported model classes, the only ones that are ever instantiated.
MODELS = ("EncDecRNNTModel", "EncDecRNNTBPEModel", "EncDecHybridRNNTCTCModel", "EncDecHybridRNNTCTCBPEModel")


MODULES = {"encoder": "ConformerEncoder", "decoder": "RNNTDecoder", "joint": "RNNTJoint"}


FRONTEND = {"preprocessor": "AudioToMelSpectrogramPreprocessor"}


# Weights of a transducer checkpoint that no exported graph uses.
UNUSED = ("preprocessor", "ctc_decoder", "loss", "wer", "ctc_loss", "ctc_wer")


def read_config(path: Path, source: str) -> dict[str, Any]:
    """Return a model config with its interpolations resolved, after refusing anything that is not a NeMo transducer.

    Training files nest the model under `model` or `cfg`; the innermost is returned.
    """
    try:
        root = OmegaConf.load(path)
        content = OmegaConf.to_container(root, resolve=True)
    except (OmegaConfBaseException, ValueError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: its config cannot be read ({reason}); save the model again.") from None
    except Exception as error:  # PyYAML's errors share no public base with OmegaConf's
        if not type(error).__module__.startswith("yaml"):
            raise
        raise InputError(f"{source}: its config is not YAML; save the model again with NeMo.") from None
    while isinstance(content, dict) and "encoder" not in content and ("model" in content or "cfg" in content):
        content = content.get("model") or content.get("cfg")
    if not isinstance(content, dict):
        raise InputError(f"{source}: its config has no model; save the model again with NeMo.")
    config = {str(key): value for key, value in content.items()}
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
            raise InputError(
                f"{source}: its config has no {section}, so it is not a transducer; bring an RNN-T or TDT."
            )
        require_class(config, section, supported, source)


def require_class(config: dict[str, Any], section: str, supported: str, source: str) -> None:
    """Refuse a section of a config that is not of the one class supported there."""
    name = str((config.get(section) or {}).get("_target_", "")).rpartition(".")[2]
    if name != supported:
        raise InputError(f"{source}: its {section} is a {name or 'nameless class'}; only {supported} can be exported.")


def _class_names(node: Any) -> typing.Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("_target_", "target", "cls") and isinstance(value, str):
                yield value
            yield from _class_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _class_names(value)
