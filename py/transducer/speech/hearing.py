"""Audio files and a manifest's utterances, heard by a built model's graphs.

Example:
    texts, problems = hear(recognizer, utterances)
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from transducer.core.cli import InputError, log
from transducer.core.progress import progress
from transducer.speech.audio import Stretch, Wave, read_audio
from transducer.speech.manifest import Utterance, stretch
from transducer.speech.recognizer import Recognizer
from transducer.speech.transcript import Transcript

# Audio held in memory at once, for pieces of similar length to be found in it.
GROUP_SECONDS = 1800.0


def hear(recognizer: Recognizer, utterances: Sequence[Utterance]) -> tuple[list[str | None], list[InputError]]:
    """Return the text of each utterance, None for one that cannot be heard, and what is wrong with those."""
    texts: list[str | None] = []
    problems = []
    stretches = list(map(stretch, utterances))
    total = round(sum(part.duration or 0.0 for part in stretches))
    with progress(total=total, unit="s", desc="evaluate") as bar:
        for result in hear_files(recognizer, stretches, bar.update):
            if isinstance(result, InputError):
                problems.append(result)
            texts.append(None if isinstance(result, InputError) else result.text)
    log.info(", ".join(f"{part} {spent:.2f} s" for part, spent in recognizer.seconds.items()))
    return texts, problems


def hear_files(
    recognizer: Recognizer, stretches: Iterable[Stretch], progress: Callable[[float], object] = lambda seconds: None
) -> Iterator[Transcript | InputError]:
    """Read and transcribe audio files, or parts of them, of any length and number, some minutes at a time.

    Yields, for each in order, its transcript, or what is wrong with it.
    """
    waiting: list[Wave | InputError] = []
    seconds = 0.0
    for path, offset, duration in stretches:
        try:
            wave = read_audio(path, recognizer.sample_rate, offset, duration)
            waiting.append(wave)
            seconds += len(wave) / recognizer.sample_rate
        except InputError as error:
            waiting.append(error)
        if seconds > GROUP_SECONDS:
            yield from _hear_waiting(recognizer, waiting, progress)
            waiting, seconds = [], 0.0
    yield from _hear_waiting(recognizer, waiting, progress)


def _hear_waiting(
    recognizer: Recognizer, waiting: Sequence[Wave | InputError], progress: Callable[[float], object]
) -> Iterator[Transcript | InputError]:
    waves = [wave for wave in waiting if not isinstance(wave, InputError)]
    transcripts = iter(recognizer.transcribe(waves, progress))
    return (result if isinstance(result, InputError) else next(transcripts) for result in waiting)
