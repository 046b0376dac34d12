"""How large a stranger's config may be, before anything is made of it.

Example:
    require_small(path.read_text(encoding="utf-8"), "demo-tdt.nemo")
    require_sizes("encoder", config["encoder"], weights, "demo-tdt.nemo")

A few bytes of YAML can stand for billions of nodes, and one number for a model that no machine holds.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from transducer.core.cli import InputError

# Characters of a config, and nodes with aliases written out; a vocabulary of 100,000 pieces takes a tenth of either.
MAX_CHARACTERS = 16 << 20
MAX_NODES = 1_000_000
# Settings that count or measure something; the largest in use are a few thousand.
MAX_NUMBER = 1_000_000
# A table of positions is made of so many rows before any is used.
MAX_POSITIONS = 100_000
# Settings that are an axis of some weight, so that none is larger than the longest axis.
AXES = {
    "feat_in",
    "d_model",
    "subsampling_conv_channels",
    "pred_hidden",
    "joint_hidden",
    "encoder_hidden",
    "vocab_size",
    "proj_size",
    "rnn_hidden_size",
    "filters",
    "kernel",
}
# Settings that count layers, and how the weights of one are named.
LAYERS = {
    "n_layers": (r"layers\.(\d+)\.", r"layers\.(\d+)\.weight_ih_l0$"),
    "pred_rnn_layers": (r"prediction\.dec_rnn\.lstm\.weight_ih_l(\d+)$",),
    "context_size": (r"prediction\.embeds\.(\d+)\.",),
}
# Settings that count what has weights of its own, so that none is larger than the number of weights.
COUNTS = {"repeat"}
# Settings whose default is -1.
UNSET_IF_NEGATIVE = {"subsampling_conv_channels", "rnn_hidden_size", "proj_size"}


def require_small(text: str, source: str) -> None:
    """Raise InputError for a YAML text that is huge, or would be with its aliases written out."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{source}: its config has {len(text):,} characters, which no model's has; do not trust it.")
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        nodes = _count(root, {})
    except RecursionError:
        raise InputError(f"{source}: its config is nested without end, which no model's is; do not trust it.") from None
    except yaml.YAMLError:
        raise InputError(f"{source}: its config is not YAML; save the model again with NeMo.") from None
    if nodes > MAX_NODES:
        raise InputError(f"{source}: its config's aliases stand for {nodes:,} nodes; do not trust this file.")


def _count(node: Any, seen: dict[int, int]) -> int:
    """Return the nodes below one with aliases written out. Raises: RecursionError for one that holds itself."""
    if id(node) in seen:
        if not seen[id(node)]:
            raise RecursionError
        return seen[id(node)]
    seen[id(node)] = 0
    below: Any = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    seen[id(node)] = 1 + sum(_count(part, seen) for part in below)
    return seen[id(node)]


def require_sizes(section: str, settings: Mapping[str, Any], weights: Mapping[str, Any], source: str) -> None:
    """Raise InputError for settings of a size that the section's weights rule out, before a module is built.

    Args:
        weights: the section's tensors, names without the section.
    """
    longest = max((max(tensor.shape, default=1) for tensor in weights.values()), default=0)
    if any(".embeds." in name for name in weights):
        longest *= 2  # a stateless predictor's width is shared out, half of it or more to the last token
    for name, value in _numbers(settings):
        key = name.rpartition(".")[2]
        problem = ""
        if value < 0 and key in (AXES | LAYERS.keys() | COUNTS) - UNSET_IF_NEGATIVE:
            problem = "which is negative"
        elif abs(value) > MAX_NUMBER:
            problem = "which no model has"
        elif key == "pos_emb_max_len" and value > MAX_POSITIONS:
            problem = f"where {MAX_POSITIONS} is the most"
        elif key in AXES and value > longest:
            problem = f"where the longest axis of its weights is {longest}"
        elif key in COUNTS and value > len(weights):
            problem = f"where it has {len(weights)} weights"
        elif key in LAYERS and value not in (counts := [len(_layers(pattern, weights)) for pattern in LAYERS[key]]):
            # A class without such layers does not read the setting.
            problem = f"where its weights are of {max(counts)} layers" if any(counts) or value > len(weights) else ""
        if problem:
            raise InputError(f"{source}: {section}.{name} is {value}, {problem}; correct its config.")


def _layers(pattern: str, weights: Mapping[str, Any]) -> set[str]:
    return {match[1] for name in weights if (match := re.search(pattern, name))}


def _numbers(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield the numbers among settings and below, with their dotted names; those of a list have the list's."""
    pairs = [(key, one) for key, value in settings.items() for one in (value if isinstance(value, list) else [value])]
    for key, value in pairs:
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", value
