"""The options of a command that transcribes, and the recognizer that they name.

Example:
    graph_arguments(args)
    recognizer = open_recognizer(args.parse_args())
"""

import argparse
from pathlib import Path

from transducer.core.cli import InputError
from transducer.speech.live import LiveRecognizer
from transducer.speech.recognizer import SEGMENT_SECONDS, Recognizer

GRAPHS = ("frontend", "encoder", "predictor", "joint")


def graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a built model and the variants of its graphs."""
    parser.add_argument("--model", type=Path, required=True, help="the model's build folder, with onnx/ and meta/")
    for name in GRAPHS:
        parser.add_argument(f"--{name}", type=Path, help=f"{name} to use in place of the model's fp32 graph")
    parser.add_argument("--step", type=Path, help="rnnt_step to use in place of predictor and joint")
    parser.add_argument(
        "--segment-seconds",
        type=float,
        nargs=2,
        metavar=("SHORTEST", "LONGEST"),
        default=SEGMENT_SECONDS,
        help="a recording above the longest is cut in pauses, each piece at least as long as the shortest",
    )


def open_recognizer(options: argparse.Namespace) -> Recognizer:
    """Return the recognizer that graph_arguments name."""
    shortest, longest = options.segment_seconds
    if not (0 <= shortest <= longest and longest >= 2):
        raise InputError(
            f"The segment seconds {shortest:g} and {longest:g} are not a range; give two, the later at least 2."
        )
    graphs = {name: getattr(options, name) for name in GRAPHS}
    return Recognizer(options.model, **graphs, segment_seconds=(shortest, longest), step=options.step)


def open_live_recognizer(options: argparse.Namespace) -> LiveRecognizer:
    """Return the live recognizer that graph_arguments name."""
    return LiveRecognizer(options.model, **{name: getattr(options, name) for name in GRAPHS})
