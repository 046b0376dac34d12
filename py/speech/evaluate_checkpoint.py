"""Measure a checkpoint's WER and CER by NeMo's own decoding: restored, then transcribe(), nothing patched.

Example:
    .venv/bin/python py/speech/evaluate_checkpoint.py --checkpoint out/demo-tdt/checkpoint \
        --manifest models/validation/manifest.jsonl --output out/demo-tdt/checks/checkpoint.check.json
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.nemo_model import context_of, restore_model, set_attention_context
from transducer.core.checks import Check
from transducer.core.cli import InputError, log, parser, run
from transducer.speech.audio import read_audio
from transducer.speech.manifest import Utterance, read_lines, stretch


def main() -> int:
    """Transcribe the manifest's audio and write the figures with every hypothesis."""
    args = parse_args()
    manifest = Checkpoint(args.checkpoint).manifest
    model = restore_model(args.checkpoint)
    entries = readable(args.manifest, model.cfg.sample_rate)
    context = context_of(args.like) if args.like else args.att_context
    if context:
        set_attention_context(model, context)

    from nemo.collections.asr.metrics.wer import word_error_rate

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = [write_manifest(entries, Path(folder) / "manifest.json")]
        outputs = model.transcribe(files, batch_size=args.batch_size, num_workers=0, verbose=sys.stderr.isatty())
    seconds = time.monotonic() - began
    hypotheses, references = [output.text for output in outputs], [entry["text"] for entry in entries]
    figures = {
        "utterances": len(entries),
        "wer": round(word_error_rate(hypotheses, references), 6),
        "cer": round(word_error_rate(hypotheses, references, use_cer=True), 6),
    }
    facts = {
        "decoder": f"NeMo {type(model).__name__}.transcribe",
        "att_context": context,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(seconds, 1),
        "hypotheses": listed(entries, hypotheses),
    }
    check = Check(manifest["source"], manifest["sha256"], {}, args.manifest.name, accuracy=figures, facts=facts)
    check.judged(manifest["source"]).write(args.output)
    log.info("WER %.2f %%, CER %.2f %% on %d utterances", 100 * figures["wer"], 100 * figures["cer"], len(entries))
    return 0


def listed(entries: list[Utterance], hypotheses: list[str]) -> list[dict[str, Any]]:
    """Return a row for each utterance: its audio, offset, text and what was recognised."""
    return [
        {
            "audio": entry["audio_filepath"].name,
            "offset": stretch(entry).offset,
            "reference": entry["text"],
            "hypothesis": hypothesis,
        }
        for entry, hypothesis in zip(entries, hypotheses, strict=True)
    ]


def readable(manifest: Path, sample_rate: int) -> list[Utterance]:
    """Return the utterances that can be transcribed and tell of the others, at which NeMo would end."""
    entries, problems = read_lines(manifest)
    for entry in list(entries):
        try:
            path, offset, duration = stretch(entry)
            read_audio(path, sample_rate, offset, duration)
        except InputError as error:
            problems.append(error)
            entries.remove(entry)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if not entries:
        raise InputError(f"{manifest} has no utterance that can be transcribed; correct its lines.")
    return entries


def write_manifest(entries: list[Utterance], path: Path) -> str:
    """Write what NeMo is to transcribe, and return its path as transcribe() takes it."""
    rows = []
    for audio, offset, duration in map(stretch, entries):
        # NeMo reads a file to its end if it is shorter than its duration, and wants one.
        rows.append({"audio_filepath": str(audio.resolve()), "offset": offset, "duration": duration or 1e5, "text": ""})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    args.add_argument("--manifest", type=Path, required=True, help="NeMo manifest with audio and text")
    args.add_argument("--batch-size", type=int, default=16)
    args.add_argument(
        "--att-context", type=int, nargs=2, metavar=("LEFT", "RIGHT"), help="one of a streaming model's contexts"
    )
    args.add_argument("--like", type=Path, help="model_meta.json of a streaming encoder, to use its attention context")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    return args.parse_args()


if __name__ == "__main__":
    sys.exit(run(main))
