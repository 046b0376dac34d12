"""Restore a whole model in stock NeMo, from a checkpoint that was vetted when it was unpacked.

Example:
    model = restore_model(Path("out/demo-tdt/checkpoint"))
    [hypothesis] = model.transcribe(["a.wav"])
"""

import json
import logging
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import NO_CTC_HEAD, Checkpoint
from transducer.core.cli import InputError, existing


def restore_model(folder: Path, ctc: bool = False) -> Any:
    """Return NeMo's model (an ASRModel) of an unpacked checkpoint, on the CPU, in eval mode.

    ctc: whether it decodes by its CTC head, as a hybrid can.

    Raises: InputError if the folder does not hold an unpacked checkpoint, or that has no such head.
    """
    source = Checkpoint(folder).source
    from nemo.collections.asr.models import ASRModel
    from nemo.core.connectors.save_restore_connector import SaveRestoreConnector
    from omegaconf import open_dict

    # A filter, because NeMo's transcribe() sets the level itself.
    logging.getLogger("nemo_logger").addFilter(lambda record: record.levelno >= logging.ERROR)
    connector = SaveRestoreConnector()
    connector.model_extracted_dir = str(folder)
    model = ASRModel.restore_from(str(folder), map_location="cpu", save_restore_connector=connector)
    model.eval()
    if hasattr(model, "set_speaker_targets"):
        _hear_one_speaker(model)
    if ctc:
        if not hasattr(model, "ctc_decoder"):
            raise InputError(f"{source}: {NO_CTC_HEAD}.")
        model.change_decoding_strategy(decoder_type="ctc", verbose=False)
    # transcribe() asks for this section, which a checkpoint need not have.
    with open_dict(model.cfg):
        model.cfg.setdefault("validation_ds", {})
    return model


def _hear_one_speaker(model: Any) -> None:
    """Let a multi-talker model transcribe what one speaker says alone; else it asks for who speaks in every file."""
    import torch
    from nemo.collections.asr.models import EncDecRNNTBPEModel
    from nemo.collections.asr.parts.mixins.multitalker_asr_mixins import SpeakerKernelMixin

    model.__class__ = type("OneSpeaker", (EncDecRNNTBPEModel, SpeakerKernelMixin), {})
    model.set_speaker_targets(torch.ones(1, 1), torch.zeros(1, 1))


def use_attention_context(model: Any, context: list[int] | None, like: Path | None) -> list[int] | None:
    """Let the model attend as given, or as the streaming encoder of the model_meta.json `like`; return the context."""
    context = context_of(like) if like else context
    if context:
        set_attention_context(model, context)
    return context


def context_of(meta: Path) -> list[int] | None:
    """Return the attention context of the streaming encoder that model_meta.json describes, if it attends to any."""
    facts = json.loads(existing(meta, "build the streaming encoder first").read_text(encoding="utf-8"))
    if "streaming" not in facts:
        raise InputError(f"{meta} describes no streaming encoder; build the model with STREAMING=1.")
    context: list[int] | None = facts["streaming"].get("att_context_size")
    return context


def set_attention_context(model: Any, context: list[int]) -> None:
    """Choose one of the attention contexts that the model was trained with."""
    known = [list(known) for known in getattr(model.encoder, "att_context_size_all", [])]
    if context not in known:
        raise InputError(f"--att-context {context} is not among the model's own, {known}; choose one of those.")
    model.encoder.set_default_att_context_size(context)
