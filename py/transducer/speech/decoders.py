"""The graphs that turn encoder frames into labels: predictor and joint, both as one step, or a hybrid's CTC head.

Example:
    decoder, rows = open_decoder(meta, Path("out/demo-tdt/onnx"))
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transducer.decoding.ctc import CtcDecoder
from transducer.decoding.greedy import Decoder, StepDecoder
from transducer.runtime.loader import open_graph
from transducer.runtime.sessions import Session
from transducer.speech.meta import require_width


def open_decoder(
    meta: Mapping[str, Any],
    folder: Path,
    predictor: Path | None = None,
    joint: Path | None = None,
    step: Path | None = None,
    ctc: Path | None = None,
) -> tuple[Decoder | CtcDecoder, int | None]:
    """Return the decoder, and how many rows its graphs take at most; None if any number.

    Args:
        folder: of the graphs that are not given.

    Raises: InputError if a file is missing or its outputs are not those of model_meta.json.
    """
    if ctc or step:
        paths = [path for path in (ctc or step,) if path]
    else:
        paths = [predictor or folder / "predictor.onnx", joint or folder / "joint.onnx"]
    # One thread: these graphs are too small to share, and waking others takes longer than the work.
    sessions: list[Session] = [open_graph(path, 1) for path in paths]
    require_width(paths[-1], sessions[-1], meta["dims"]["V"], 0 if ctc else meta["dims"]["K"])
    limits = [graph.max_rows for graph in sessions if hasattr(graph, "max_rows")]
    decoder = CtcDecoder(meta, *sessions) if ctc else (StepDecoder if step else Decoder)(meta, *sessions)
    return decoder, min(limits, default=None)
