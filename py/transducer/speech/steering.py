"""How a recognizer searches: greedily, or with a beam that phrases, a language model or a script steer.

Example:
    steering = Steering(beam=8, hotwords=Path("hotwords.txt"))
    search = steering.search(decoder, vocabulary)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import InputError
from transducer.core.contracts import Arrays, default_conditions
from transducer.decoding.beam_search import BeamSearch
from transducer.decoding.bias import Bias, Biases
from transducer.decoding.ctc import CtcDecoder
from transducer.decoding.greedy import Decoder
from transducer.decoding.language_model import LanguageModel
from transducer.decoding.languages import scripts_of_language
from transducer.decoding.phrases import WEIGHT, Phrases, read_phrases
from transducer.decoding.scripts import ScriptLock
from transducer.speech.transcript import Vocabulary

# Prefixes of each stream where something steers the search and the user names no beam.
BEAM = 8
LM_WEIGHT = 0.1


@dataclass(frozen=True)
class Steering:
    """What a user asks of the search.

    beam: prefixes kept of each stream; None is 1, the greedy search, or BEAM where something steers it
    hotwords: a text file of phrases; hotwords_weight: nats a letter of those without a weight of their own
    token_lm: an n-gram model of tokens in ARPA format, and the weight of its log probabilities
    scripts: of all that is written, as ScriptLock names them; language: its code, in place of its scripts
    prompt: what conditions the encoder, by its name; None is the model's default
    """

    beam: int | None = None
    hotwords: Path | None = None
    hotwords_weight: float = WEIGHT
    token_lm: Path | None = None
    token_lm_weight: float = LM_WEIGHT
    scripts: tuple[str, ...] = ()
    language: str | None = None
    prompt: str | None = None

    def conditions(self, meta: Mapping[str, Any]) -> Arrays:
        """Return what conditions the encoder as inputs [1,…] by their names, the prompt among them; mostly nothing.

        Raises: InputError for a prompt that the model does not know.
        """
        if not (prompts := meta.get("prompts")):
            if self.prompt:
                raise InputError(f"The prompt is {self.prompt!r}, but this model takes none; leave it out.")
            return default_conditions(meta, 1)
        name = self.prompt or prompts["default"]
        if name not in prompts["ids"]:
            raise InputError(f"The prompt is {name!r}; set it to one of the model's own, {', '.join(prompts['ids'])}.")
        return {"prompt": np.array([prompts["ids"][name]])}

    def search(self, decoder: Decoder | CtcDecoder, vocabulary: Vocabulary) -> BeamSearch | None:
        """Return the search, None for the greedy one.

        Raises: InputError for a beam below 1, files that do not fit the model, and a CTC head, which nothing steers.
        """
        if self.beam is not None and self.beam < 1:
            raise InputError(f"A beam of {self.beam} keeps nothing; give at least 1.")
        biases = self._biases(vocabulary)
        beam = self.beam or (BEAM if biases else 1)
        if beam == 1 and not biases:
            return None
        if isinstance(decoder, CtcDecoder):
            raise InputError("A CTC head is decoded greedily; leave out the beam and what steers it, or leave CTC out.")
        return BeamSearch(decoder, beam, biases[0] if len(biases) == 1 else Biases(biases) if biases else None)

    def _biases(self, vocabulary: Vocabulary) -> list[Bias]:
        biases: list[Bias] = []
        if self.hotwords:
            phrases = read_phrases(self.hotwords, vocabulary.spelt, self.hotwords_weight)
            biases.append(Phrases(phrases, vocabulary.spelt))
        if self.token_lm:
            biases.append(LanguageModel.read(self.token_lm, vocabulary.labels, self.token_lm_weight))
        scripts = [*self.scripts, *(scripts_of_language(self.language) if self.language else ())]
        if scripts:
            biases.append(ScriptLock(scripts, vocabulary.spelt))
        return biases


def repeated(conditions: Arrays, count: int) -> Arrays:
    """Return what conditions an encoder [1,…] for so many rows [B,…]."""
    return {name: np.repeat(array, count, axis=0) for name, array in conditions.items()}
