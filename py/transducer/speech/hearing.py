"""A manifest's utterances, heard by a built model's graphs.

Example:
    texts, problems = hear(recognizer, utterances)
"""

from collections.abc import Sequence

from transducer.core.cli import InputError, log
from transducer.core.progress import progress
from transducer.speech.manifest import Utterance, stretch
from transducer.speech.recognizer import Recognizer


def hear(recognizer: Recognizer, utterances: Sequence[Utterance]) -> tuple[list[str | None], list[InputError]]:
    """Return the text of each utterance, None for one that cannot be heard, and what is wrong with those."""
    texts: list[str | None] = []
    problems = []
    stretches = list(map(stretch, utterances))
    total = round(sum(part.duration or 0.0 for part in stretches))
    with progress(total=total, unit="s", desc="evaluate") as bar:
        for result in recognizer.transcribe_files(stretches, bar.update):
            if isinstance(result, InputError):
                problems.append(result)
            texts.append(None if isinstance(result, InputError) else result.text)
    log.info(", ".join(f"{part} {spent:.2f} s" for part, spent in recognizer.seconds.items()))
    return texts, problems
