"""Greedy decoding by the CTC head of a hybrid model, for many streams at once.

Example:
    decoder = CtcDecoder(meta, open_graph(Path("ctc.onnx"), 1))
    hypotheses, state = decoder.decode(encoder_output, encoded_lengths)
    more, state = decoder.decode(next_encoder_output, next_lengths, state)  # the same streams go on

As NeMo's strategy `greedy_batch`: the best label of every frame, of which repetitions and blanks are left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from transducer.core.contracts import Floats
from transducer.decoding.greedy import DecoderState, Hypothesis, Integers, hypotheses
from transducer.runtime.sessions import Session


class CtcDecoder:
    """The CTC head of one model, in place of predictor and joint.

    Args:
        meta: the content of model_meta.json.
        head: a session of ctc.onnx.
    """

    def __init__(self, meta: Mapping[str, Any], head: Session) -> None:
        self.blank = int(meta["blank_id"])
        self._head = head

    def initial_state(self, batch: int) -> DecoderState:
        """Return the state of `batch` new streams: `g` is the label of each one's last frame, int64 [B].

        Its one `states` array, int64 [1, B], counts the frames up to that one, because others may be passed over.
        """
        none = np.zeros(batch, np.int64)
        return DecoderState(np.full(batch, self.blank, np.int64), (none[None],), none, none)

    def decode(
        self, encoder_output: Floats, encoded_lengths: Integers, state: DecoderState | None = None
    ) -> tuple[list[Hypothesis], DecoderState]:
        """Decode the next encoder frames of every stream, as greedy.Decoder does."""
        state = state or self.initial_state(len(encoded_lengths))
        (logprobs,) = self._head.run(None, {"encoder_output": encoder_output})
        labels = logprobs.argmax(2)
        # A label is said again only after a blank; frames that were passed over are blanks.
        last = np.where(state.states[0][0] == state.frames, state.g, self.blank)
        previous = np.concatenate([last[:, None], labels[:, :-1]], axis=1)
        within = np.arange(labels.shape[1]) < encoded_lengths[:, None]
        emissions = within & (labels != self.blank) & (labels != previous)
        rows, places = emissions.nonzero()
        tokens = labels[rows, places]
        confidences = np.exp(logprobs[rows, places, tokens])
        step = rows, places + state.frames[rows], tokens, np.zeros_like(tokens), confidences
        nonempty = encoded_lengths > 0
        final = labels[np.arange(len(labels)), np.maximum(encoded_lengths - 1, 0)]
        frames = state.frames + encoded_lengths
        until = np.where(nonempty, frames, state.states[0][0])
        return hypotheses([step], len(labels)), DecoderState(
            np.where(nonempty, final, state.g), (until[None],), state.skip, frames
        )
