"""The options of a command that transcribes, and the recognizer that they name.

Example:
    graph_arguments(args)
    recognizer = open_recognizer(args.parse_args())
"""

import argparse
from pathlib import Path

from transducer.core.cli import InputError
from transducer.decoding.phrases import WEIGHT
from transducer.speech.live import LiveRecognizer
from transducer.speech.recognizer import SEGMENT_SECONDS, Recognizer
from transducer.speech.steering import LM_WEIGHT, Steering
from transducer.speech.windows import Buffer

GRAPHS = ("frontend", "encoder", "predictor", "joint")


def graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a built model and the variants of its graphs."""
    parser.add_argument("--model", type=Path, required=True, help="the model's build folder, with onnx/ and meta/")
    for name in GRAPHS:
        parser.add_argument(f"--{name}", type=Path, help=f"{name} to use in place of the model's fp32 graph")
    parser.add_argument("--step", type=Path, help="rnnt_step to use in place of predictor and joint")
    parser.add_argument("--ctc", type=Path, help="a hybrid's CTC head to use in place of predictor and joint")
    steering = parser.add_argument_group("search; docs/decoding.md has it all")
    steering.add_argument("--beam", type=int, help="prefixes kept; 1 is the greedy search, the default unless steered")
    steering.add_argument(
        "--hotwords", type=Path, help="phrases to prefer, one a line, each with ` :WEIGHT` or without"
    )
    steering.add_argument("--hotwords-weight", type=float, default=WEIGHT, help="nats a letter of all other phrases")
    steering.add_argument("--token-lm", type=Path, help="n-gram model of tokens in ARPA format")
    steering.add_argument("--token-lm-weight", type=float, default=LM_WEIGHT, help="of its log probabilities")
    steering.add_argument("--scripts", default="", help="write in these only: Latin,Cyrillic,Greek,CJK")
    steering.add_argument("--language", help="write in the scripts of this one only, by its code: de")
    steering.add_argument("--prompt", help="what conditions the encoder, as de-DE; the model's default unless given")
    parser.add_argument("--stream", action="store_true", help="as streams, window by window, by a streaming encoder")
    parser.add_argument(
        "--buffer",
        type=float,
        nargs=3,
        metavar=("LEFT", "CHUNK", "RIGHT"),
        help="with --stream, by the offline encoder: seconds that it hears at a time, of which CHUNK are new",
    )
    parser.add_argument(
        "--segment-seconds",
        type=float,
        nargs=2,
        metavar=("SHORTEST", "LONGEST"),
        default=SEGMENT_SECONDS,
        help="a recording above the longest is cut in pauses, each piece at least as long as the shortest",
    )


def checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that transcribes a manifest by the checkpoint in NeMo."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    parser.add_argument("--manifest", type=Path, required=True, help="NeMo manifest with audio and text")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--att-context", type=int, nargs=2, metavar=("LEFT", "RIGHT"), help="one of a streaming model's contexts"
    )
    parser.add_argument("--prompt", help="what conditions the encoder, by its name; the model's default unless given")
    parser.add_argument("--ctc", action="store_true", help="decode by a hybrid's CTC head")
    parser.add_argument("--like", type=Path, help="model_meta.json of a streaming encoder, to use its context")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file")


def open_recognizer(options: argparse.Namespace) -> Recognizer:
    """Return the recognizer that graph_arguments name, a LiveRecognizer where they ask for streams."""
    graphs = {name: getattr(options, name) for name in GRAPHS}
    if options.stream:
        buffer = Buffer(*options.buffer) if options.buffer else None
        return LiveRecognizer(options.model, **graphs, ctc=options.ctc, steering=steering(options), buffer=buffer)
    if options.buffer:
        raise InputError("A buffer is for streams; set STREAM=1 too.")
    shortest, longest = options.segment_seconds
    if not (0 <= shortest <= longest and longest >= 2):
        raise InputError(
            f"The segment seconds {shortest:g} and {longest:g} are not a range; give two, the later at least 2."
        )
    segments = shortest, longest
    return Recognizer(
        options.model,
        **graphs,
        segment_seconds=segments,
        step=options.step,
        ctc=options.ctc,
        steering=steering(options),
    )


def steering(options: argparse.Namespace) -> Steering:
    """Return the search that graph_arguments describe."""
    for name in ("hotwords_weight", "token_lm_weight"):
        if not 0 < getattr(options, name) <= 100:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(options, name)}; give a number above 0.")
    return Steering(
        options.beam,
        options.hotwords,
        options.hotwords_weight,
        options.token_lm,
        options.token_lm_weight,
        tuple(filter(None, options.scripts.split(","))),
        options.language,
        options.prompt,
    )


def encoder_of(options: argparse.Namespace) -> Path:
    """Return the encoder that a command uses, the model's own unless an option names another."""
    name = f"encoder{'_streaming' if options.stream and not options.buffer else ''}.onnx"
    encoder: Path = options.encoder or options.model / "onnx" / name
    return encoder
