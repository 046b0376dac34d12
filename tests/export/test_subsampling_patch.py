"""Subsampling in slices of the time: the same frames as NeMo's of the whole, whatever the lengths."""

from types import SimpleNamespace

import pytest
import torch

from transducer.export.subsampling_patch import lean_masks


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("kind", "factor"), [("dw_striding", 8), ("dw_striding", 2), ("striding", 4)])
def test_slices_equal_the_whole(kind: str, factor: int, causal: bool) -> None:
    from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling

    torch.manual_seed(1)
    module = ConvSubsampling(kind, factor, feat_in=16, feat_out=24, conv_channels=8, is_causal=causal).eval()
    encoder = SimpleNamespace(pre_encode=module, self_attention_model="rel_pos_local_attn")
    for frames in (1, 9, 64, 130, 701):
        x = torch.randn(3, frames, 16)
        lengths = torch.tensor([frames, max(1, frames - 5), frames // 3])
        with torch.inference_mode():
            whole, expected = module(x, lengths)
            with lean_masks(encoder):
                sliced, counts = module(x, lengths)
        assert torch.equal(counts, expected) and sliced.shape == whole.shape
        assert (sliced - whole).abs().max() < 1e-6, frames
