"""Restore a whole model in stock NeMo, from a checkpoint that was vetted when it was unpacked.

Example:
    model = restore_model(Path("out/demo-tdt/checkpoint"))
    [hypothesis] = model.transcribe(["a.wav"])
"""

import logging
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import Checkpoint


def restore_model(folder: Path) -> Any:
    """Return NeMo's model (an ASRModel) of an unpacked checkpoint, on the CPU, in eval mode.

    Raises: InputError if the folder does not hold an unpacked checkpoint.
    """
    Checkpoint(folder)
    from nemo.collections.asr.models import ASRModel
    from nemo.core.connectors.save_restore_connector import SaveRestoreConnector
    from omegaconf import open_dict

    # A filter, because NeMo's transcribe() sets the level itself.
    logging.getLogger("nemo_logger").addFilter(lambda record: record.levelno >= logging.ERROR)
    connector = SaveRestoreConnector()
    connector.model_extracted_dir = str(folder)
    model = ASRModel.restore_from(str(folder), map_location="cpu", save_restore_connector=connector)
    model.eval()
    # transcribe() asks for this section, which a checkpoint need not have.
    with open_dict(model.cfg):
        model.cfg.setdefault("validation_ds", {})
    return model
