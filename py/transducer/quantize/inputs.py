"""What graphs are given on real speech or swipes, to calibrate them by.

Example:
    batches = speech_batches(manifest, frontend, count=16, size=8, sample_rate=16000)
    inputs = step_inputs(encoder, rnnt_step, batches)
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession

from transducer.core.cli import InputError, existing
from transducer.core.contracts import GRAPHS, Arrays, Batches, default_conditions
from transducer.core.onnx_files import load_graph, metadata
from transducer.decoding.greedy import DECODING_FACTS, StepDecoder
from transducer.export.streaming import Streaming
from transducer.runtime.parity import carried
from transducer.runtime.sessions import Value, open_session
from transducer.speech.batches import speech_batches
from transducer.swipe.batches import trace_batches
from transducer.swipe.facts import Facts

# What can be calibrated.
CALIBRATED = ("encoder", "encoder_streaming", "predictor", "joint", "rnnt_step")


def calibration_arguments(args: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options that say which graph it is, and on what it is calibrated."""
    args.add_argument("--graph", choices=CALIBRATED, required=True)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--frontend", type=Path, help="frontend.onnx, which makes the features of speech")
    for name in ("encoder", "rnnt_step", "predictor"):
        flag = f"--{name.replace('_', '-')}"
        args.add_argument(flag, type=Path, help=f"fp32 {name}, to decode with; for what is not an encoder")
    args.add_argument("--manifest", type=Path, required=required, help="NeMo manifest of speech, or manifest of swipes")
    args.add_argument("--batches", type=int, default=16)
    args.add_argument("--batch-size", type=int, default=8)


def calibration_inputs(options: argparse.Namespace) -> Iterator[Arrays]:
    """Return what the graph is given when the batches that the options ask for are encoded, streamed or decoded."""
    facts = data_facts(options.input)
    source, count, size = str(options.input), options.batches, options.batch_size
    batches = calibration_batches(facts, source, options.manifest, options.frontend, count, size)
    if options.graph == "encoder":
        return encoder_inputs(batches, metadata(load_graph(options.input)))
    if options.graph == "encoder_streaming":
        return window_inputs(open_session(options.input, optimize=False), batches)
    steps = step_inputs(_other_graph(options, "encoder"), _other_graph(options, "rnnt_step"), batches)
    return steps if options.graph == "rnnt_step" else joint_inputs(_other_graph(options, "predictor"), steps)


def data_facts(path: Path) -> dict[str, Any]:
    """Return what a graph's metadata says of the data that its model is for."""
    facts = metadata(load_graph(path))
    return {key: json.loads(facts[key]) for key in ("swipe", "sample_rate") if key in facts}


def _other_graph(options: argparse.Namespace, name: str) -> InferenceSession:
    """Open a graph that the calibrated one decodes with."""
    path: Path | None = options.input if name == options.graph else getattr(options, name)
    if path is None:
        raise InputError(f"{options.input} is calibrated while decoding, which takes the fp32 {name} too; name it.")
    return open_session(existing(path, f"run `make {name}.onnx` first"))


def calibration_batches(
    facts: Mapping[str, Any], source: str, manifest: Path, frontend: Path | None, count: int, size: int
) -> Batches:
    """Return features [B,F,T] and lengths [B] of `count` batches of the kind that the model was trained on.

    `facts` are a checkpoint's; `frontend` is the graph that makes the features of speech. Raises: InputError if it is
    missing, or the manifest has too few usable entries.
    """
    if "swipe" in facts:
        return trace_batches(manifest, Facts(facts, source).layout, count, size)
    if not frontend:
        raise InputError(f"{source}: a model of speech needs its frontend; name it by --frontend.")
    session = open_session(existing(frontend, "run `make frontend.onnx` first"))
    return speech_batches(manifest, session, count, size, int(facts["sample_rate"]))


def encoder_inputs(batches: Batches, facts: Mapping[str, Any]) -> Iterator[Arrays]:
    """Yield batches as the inputs of an encoder of these facts."""
    for batch in batches:
        yield {**dict(zip(GRAPHS["encoder"].inputs, batch, strict=True)), **default_conditions(facts, len(batch[1]))}


def window_inputs(session: InferenceSession, batches: Batches) -> Iterator[Arrays]:
    """Yield the inputs of every step of a streaming encoder over batches of features, caches fed back."""
    facts = session.get_modelmeta().custom_metadata_map
    streaming = Streaming.from_facts(json.loads(facts["streaming"]))
    names = [value.name for value in session.get_outputs()]
    for features, lengths in batches:
        caches = streaming.initial_state(len(lengths))
        rows = [[window for window, _ in streaming.windows(row)] for row in features]
        for step, signal in enumerate(zip(*rows, strict=True)):
            left = lengths + streaming.padding_frames - step * streaming.shift_frames
            inputs = {
                "audio_signal": np.stack(signal),
                "length": np.clip(left, 0, streaming.window_frames),
                **caches,
                **default_conditions(facts, len(lengths)),
            }
            yield inputs
            caches = carried(dict(zip(names, session.run(None, inputs), strict=True)))


def step_inputs(encoder: InferenceSession, step: InferenceSession, batches: Batches) -> Iterator[Arrays]:
    """Yield the inputs of every rnnt_step call of greedy decoding, in which streams that have ended take no part."""
    facts = step.get_modelmeta().custom_metadata_map
    meta = {key: json.loads(facts[key]) for key in DECODING_FACTS if key in facts}
    recorder = Recorder(step)
    decoder = StepDecoder(meta, recorder)
    names = [value.name for value in encoder.get_inputs()]
    for batch in batches:
        arrays = [*batch, *default_conditions(facts, len(batch[1])).values()]
        decoder.decode(*encoder.run(None, dict(zip(names, arrays, strict=True))))
        yield from recorder.inputs
        recorder.inputs.clear()


class Recorder:
    """A session that remembers the inputs of each run."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self.inputs: list[Arrays] = []

    def get_inputs(self) -> Sequence[Value]:
        return list(self._session.get_inputs())

    def get_outputs(self) -> Sequence[Value]:
        return list(self._session.get_outputs())

    def run(self, names: Sequence[str] | None, feeds: Arrays) -> list[Any]:
        self.inputs.append({name: array.copy() for name, array in feeds.items()})
        return list(self._session.run(names, feeds))


def joint_inputs(predictor: InferenceSession, steps: Iterable[Arrays]) -> Iterator[Arrays]:
    """Yield the inputs of the joint for the inputs of rnnt_step."""
    for step in steps:
        states = {name: array for name, array in step.items() if name not in ("encoder_frame", "y")}
        g, *_ = predictor.run(None, {"y": step["y"][:, None], **states})
        yield {"encoder_output": step["encoder_frame"][:, :, None], "predictor_output": g}
