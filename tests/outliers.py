"""Plant outlier channels in a checkpoint's encoder, as large trained models have them; what it computes stays.

Example:
    .venv/bin/python tests/outliers.py --model models/demo-tdt.nemo --strength hard --output /tmp/hard.nemo

The gain and shift of some channels of a norm are multiplied by a large number, and the columns of the matrices that
read the norm divided by the same. In fp32 nothing changes but the last digit; in int8, one scale for all channels
leaves the others next to nothing.
"""

import argparse
import io
import sys
import tarfile
from pathlib import Path

import torch

# Share of the channels of each norm, and the least and largest factor.
STRENGTHS = {"mild": (0.03, 20, 60), "middle": (0.045, 40, 120), "hard": (0.06, 60, 180)}
READERS = {
    "norm_feed_forward1": ["feed_forward1.linear1"],
    "norm_self_att": ["self_attn.linear_q", "self_attn.linear_k", "self_attn.linear_v"],
    "norm_conv": ["conv.pointwise_conv1"],
    "norm_feed_forward2": ["feed_forward2.linear1"],
}


def plant(weights: dict[str, torch.Tensor], strength: str) -> None:
    """Plant outliers in a state dict of a Conformer, in place."""
    share, low, high = STRENGTHS[strength]
    random = torch.Generator().manual_seed(1)
    for name in sorted(weights):
        layer, _, kind = name.removesuffix(".weight").rpartition(".")
        if kind not in READERS or not name.endswith(".weight"):
            continue
        width = len(weights[name])
        channels = torch.randperm(width, generator=random)[: max(round(share * width), 1)]
        factors = low + (high - low) * torch.rand(len(channels), generator=random)
        for part in ("weight", "bias"):
            weights[f"{layer}.{kind}.{part}"][channels] *= factors
        for reader in READERS[kind]:
            matrix = weights[f"{layer}.{reader}.weight"]
            matrix[:, channels] /= factors.reshape(-1, *[1] * (matrix.dim() - 2))


def rewrite(model: Path, output: Path, strength: str) -> None:
    """Write a .nemo whose weights have outliers; all else in the archive stays."""
    with tarfile.open(model) as source, tarfile.open(output, "w") as target:
        for member in source:
            content = source.extractfile(member)
            data = content.read() if content else b""
            if Path(member.name).name == "model_weights.ckpt":
                weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
                weights = {
                    name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()
                }
                plant(weights, strength)
                buffer = io.BytesIO()
                torch.save(weights, buffer)
                data = buffer.getvalue()
            member.size = len(data)
            target.addfile(member, io.BytesIO(data) if content else None)


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--model", type=Path, required=True)
    args.add_argument("--strength", choices=sorted(STRENGTHS), required=True)
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    rewrite(options.model, options.output, options.strength)
    return 0


if __name__ == "__main__":
    sys.exit(main())
