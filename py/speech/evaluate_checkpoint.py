"""Measure a checkpoint's WER and CER by NeMo's own decoding: restored, then transcribe(), nothing patched.

Example:
    .venv/bin/python py/speech/evaluate_checkpoint.py --checkpoint out/demo-tdt/checkpoint \
        --manifest models/validation/manifest.jsonl --output out/demo-tdt/checks/checkpoint.check.json
"""

import sys
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.nemo_model import restore_model, use_attention_context
from transducer.core.checks import Check
from transducer.core.cli import InputError, log, parser, run
from transducer.core.shards import read_shards
from transducer.speech.command_line import checkpoint_arguments
from transducer.speech.manifest import Utterance, read_lines, stretch
from transducer.speech.nemo_hearing import hear_by_nemo


def main() -> int:
    """Transcribe the manifest's audio, unless its parts were, and write the figures with every hypothesis."""
    args = parser(__doc__)
    checkpoint_arguments(args)
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what transcribe_shard_by_nemo.py heard")
    options = args.parse_args()
    manifest = Checkpoint(options.checkpoint).manifest
    model = restore_model(options.checkpoint, options.ctc)
    context = use_attention_context(model, options.att_context, options.like)
    utterances, problems = read_lines(options.manifest)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if options.heard:
        texts = read_shards(options.heard, len(utterances))
    else:
        texts = hear_by_nemo(model, utterances, options.batch_size, options.prompt)
    pairs = [(utterance, text) for utterance, text in zip(utterances, texts, strict=True) if text is not None]
    if not pairs:
        raise InputError(f"{options.manifest} has no utterance that can be transcribed; correct its lines.")

    from nemo.collections.asr.metrics.wer import word_error_rate

    hypotheses, references = [text for _, text in pairs], [utterance["text"] for utterance, _ in pairs]
    figures = {
        "utterances": len(pairs),
        "wer": round(word_error_rate(hypotheses, references), 6),
        "cer": round(word_error_rate(hypotheses, references, use_cer=True), 6),
    }
    facts = {
        "decoder": f"NeMo {type(model).__name__}.transcribe",
        "att_context": context,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "hypotheses": [listed(utterance, text) for utterance, text in pairs],
    }
    check = Check(manifest["source"], manifest["sha256"], {}, options.manifest.name, accuracy=figures, facts=facts)
    check.judged(manifest["source"]).write(options.output)
    log.info("WER %.2f %%, CER %.2f %% on %d utterances", 100 * figures["wer"], 100 * figures["cer"], len(pairs))
    return 0


def listed(utterance: Utterance, hypothesis: str) -> dict[str, Any]:
    """Return an utterance's audio, offset and text, and what was recognised."""
    return {
        "audio": utterance["audio_filepath"].name,
        "offset": stretch(utterance).offset,
        "reference": utterance["text"],
        "hypothesis": hypothesis,
    }


if __name__ == "__main__":
    sys.exit(run(main))
