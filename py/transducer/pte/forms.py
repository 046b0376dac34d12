"""The forms in which XNNPACK computes a linear layer in integers, and what each makes of weights and activations.

Example:
    form = FORMS[INT4_BLOCK]
    quantizer.set_module_name("layers.0.attention.query", form.settings())
    layer.weight.data, saved = form.rounded(layer.weight.data), form.bytes(layer)

Weight-only forms are not among them. XNNPACK has them, but ExecuTorch's partitioner takes quantized weights only where
the input is quantized too; it would leave the layer to the portable kernels, which convert the weights to float again
at each call and keep four bits in a byte.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from transducer.core.cli import quiet_stderr

INT8_STATIC, INT8, INT4_STATIC, INT4, INT4_BLOCK = "int8-static", "int8", "int4-static", "int4", "int4-block"
# The least scale of weights. XNNPACK's quantizer takes 2^-12, above the scales of many a channel.
LEAST_SCALE = 2.0**-18


@dataclass(frozen=True)
class Form:
    """Weights of `bits` bits, a scale for each output channel, or for each `block` inputs of it.

    Activations are int8: by ranges found in calibration (`static`), the output's too, or by each row's own range.
    """

    bits: int
    static: bool = False
    block: int = 0

    def fits(self, layer: nn.Linear) -> bool:
        return not self.block or layer.in_features % self.block == 0

    def bytes(self, layer: nn.Linear) -> int:
        """Return what a layer's weights and scales take: float32 for channels, bfloat16 for blocks."""
        values = layer.weight.numel()
        return values * self.bits // 8 + (values // self.block * 2 if self.block else layer.out_features * 4)

    def rounded(self, weight: Tensor) -> Tensor:
        """Return weights [out, in] as this form has them."""
        low, high = self._ends()
        blocks = weight.view(weight.size(0), -1, self.block or weight.size(1))
        scale = (blocks.abs().amax(dim=2, keepdim=True) * 2 / (high - low)).clamp(min=LEAST_SCALE)
        return ((blocks / scale).round().clamp(low, high) * scale).view_as(weight)

    def settings(self) -> Any:
        """Return the configuration of XNNPACK's quantizer."""
        with quiet_stderr():
            from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import get_symmetric_quantization_config
            from torchao.quantization.granularity import PerGroup
            from torchao.quantization.pt2e._affine_quantization import AffineQuantizedMinMaxObserver
            from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver
            from torchao.quantization.quant_primitives import MappingType

        low, high = self._ends()
        config = get_symmetric_quantization_config(
            is_per_channel=True, is_dynamic=not self.static, weight_qmin=low, weight_qmax=high
        )
        observer = PerChannelMinMaxObserver.with_args(eps=LEAST_SCALE)
        if self.block:
            observer = AffineQuantizedMinMaxObserver.with_args(
                mapping_type=MappingType.SYMMETRIC,
                target_dtype=torch.int8,
                granularity=PerGroup(self.block),
                quant_min=low,
                quant_max=high,
                eps=LEAST_SCALE,
                scale_dtype=torch.float32,
                zero_point_dtype=torch.int32,
            )
        return replace(config, weight=replace(config.weight, observer_or_fake_quant_ctr=observer))

    def _ends(self) -> tuple[int, int]:
        return (-8, 7) if self.bits == 4 else (-127, 127)


# XNNPACK's blocks are multiples of 32 inputs, with four bits and dynamic activations only.
FORMS = {
    INT8_STATIC: Form(8, static=True),
    INT8: Form(8),
    INT4_STATIC: Form(4, static=True),
    INT4: Form(4),
    INT4_BLOCK: Form(4, block=32),
}
