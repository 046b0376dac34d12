"""Give every swipe of a manifest its rivals: other words that a swipe model finds in it, to train against.

Example:
    .venv/bin/python py/swipe/find_rivals.py --encoder out/demo-swipe/onnx/encoder.onnx \
        --step out/demo-swipe/onnx/rnnt_step.onnx --meta out/demo-swipe/meta/model_meta.json \
        --lexicon out/demo-swipe/lexicons/lexicon_full.txt --manifest out/swipe/how-we-swipe/train.jsonl.gz \
        --output out/swipe/rivals.jsonl.gz

With each rival goes what the decoder adds to its log probability beyond what it adds to the word's, which is the
difference of their priors times their weight. A word that the lexicon lacks gets none, as it could not win.
"""

import sys
from pathlib import Path

from transducer.core.cli import log, parser, replacing, run
from transducer.core.shards import read_shards
from transducer.swipe.recognition import decode_traces, graph_arguments, inputs_of, search_arguments
from transducer.swipe.traces import open_text, trace_line


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    search_arguments(args)
    args.add_argument("--rivals", type=int, default=4, help="of a swipe, at most")
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what decode_shard.py decoded")
    args.add_argument("--output", type=Path, required=True, help="the manifest with rivals, .jsonl or .jsonl.gz")
    options = args.parse_args()
    traces, layout, search = inputs_of(options)
    if options.heard:
        candidates = read_shards(options.heard, len(traces))
    else:
        candidates = decode_traces(options.encoder, options.step, traces, layout, search)
    prior = dict(zip(search.lexicon.words, search.lexicon.prior.tolist(), strict=True))
    with replacing(options.output) as tmp, open_text(tmp, "w") as stream:
        for trace, words in zip(traces, candidates, strict=True):
            own = prior.get(trace.word)
            rivals = {
                word: round(options.prior_weight * (prior[word] - own), 4)
                for word in [word for word in words if word != trace.word][: options.rivals]
                if own is not None
            }
            more = {"novel": True} if trace.novel else {}
            stream.write(trace_line(trace.word, trace.points, **more, rivals=rivals) + "\n")
    right = sum(words[:1] == [trace.word] for trace, words in zip(traces, candidates, strict=True))
    log.info("%d of %d swipes are read right already", right, len(traces))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
