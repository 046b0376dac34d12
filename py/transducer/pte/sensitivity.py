"""How much an encoder minds when its layers are computed in integers, and the smallest plan within a bound.

Example:
    sensitivity = Sensitivity(part.module, layers, utterances)
    plan, error = smallest(sensitivity, errors_alone(sensitivity, list(layers)), max_error=0.05)
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transducer.core.progress import progress
from transducer.pte.forms import FORMS

Plan = dict[str, str]
# Features [1,F,T] and their length [1].
Utterance = tuple[Tensor, Tensor]
# Utterances that sensitivity is measured on.
MEASURED = 12


class Sensitivity:
    """How far an encoder's output moves when its layers are computed in integers.

    Args:
        module: the encoder in fp32.
        layers: its linear layers by name, those that may be quantized.
        utterances: what it is measured on.
    """

    def __init__(self, module: nn.Module, layers: Mapping[str, nn.Linear], utterances: Sequence[Utterance]) -> None:
        self.module, self.layers, self.utterances = module, layers, utterances
        # The least and largest value of each layer's input and output.
        self.ranges: dict[str, list[tuple[float, float]]] = {}
        with self._hooked({name: self._observe(name) for name in layers}):
            self.expected = [self._run(utterance) for utterance in utterances]

    def error(self, plan: Mapping[str, str]) -> float:
        """Return the relative root mean square error of the output under a plan, forms by the names of layers."""
        originals = {name: self.layers[name].weight.data for name in plan}
        try:
            for name, form in plan.items():
                self.layers[name].weight.data = FORMS[form].rounded(originals[name])
            with self._hooked({name: self._round(name, form) for name, form in plan.items()}):
                outputs = [self._run(utterance) for utterance in self.utterances]
        finally:
            for name, weight in originals.items():
                self.layers[name].weight.data = weight
        wrong = sum(float((a - b).square().sum()) for a, b in zip(self.expected, outputs, strict=True))
        return (wrong / sum(float(a.square().sum()) for a in self.expected)) ** 0.5

    def forms(self, name: str) -> list[str]:
        """Return the forms that a layer can have."""
        return [form for form in FORMS if FORMS[form].fits(self.layers[name])]

    def _run(self, utterance: Utterance) -> Tensor:
        with torch.inference_mode():
            return self.module(*utterance)[0]

    @contextmanager
    def _hooked(self, changes: Mapping[str, Any]) -> Iterator[None]:
        """Let functions of a layer's input (0) or output (1) and which of them it is change these values."""
        handles = []
        for name, change in changes.items():
            layer = self.layers[name]
            handles.append(layer.register_forward_pre_hook(lambda _, args, change=change: (change(args[0], 0),)))
            handles.append(layer.register_forward_hook(lambda _, args, out, change=change: change(out, 1)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _observe(self, name: str) -> Any:
        ends = self.ranges.setdefault(name, [(0.0, 0.0), (0.0, 0.0)])

        def observe(x: Tensor, side: int) -> Tensor:
            low, high = ends[side]
            ends[side] = min(low, float(x.min())), max(high, float(x.max()))
            return x

        return observe

    def _round(self, name: str, form: str) -> Any:
        def in_static(x: Tensor, side: int) -> Tensor:
            low, high = self.ranges[name][side]
            return in_steps(x, torch.tensor(low), torch.tensor(high))

        def in_dynamic(x: Tensor, side: int) -> Tensor:
            if side == 1:
                return x
            return in_steps(x, x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0))

        return in_static if FORMS[form].static else in_dynamic


def in_steps(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return values rounded to one of 256 steps between two ends."""
    scale = ((high - low) / 255).clamp(min=2.0**-12)
    return ((x - low) / scale).round().clamp(0, 255) * scale + low


def measured_on(utterances: Sequence[Utterance]) -> Sequence[Utterance]:
    """Return those of the utterances of calibration that sensitivity is measured on, evenly chosen."""
    return utterances[:: -(-len(utterances) // MEASURED)]


def errors_alone(sensitivity: Sensitivity, names: Sequence[str]) -> list[dict[str, float]]:
    """Return the error with each of these layers alone in each form that it can have."""
    return [
        {form: sensitivity.error({name: form}) for form in sensitivity.forms(name)}
        for name in progress(names, desc="sensitivity", unit="layer", leave=False)
    ]


def smallest(sensitivity: Sensitivity, errors: Sequence[Mapping[str, float]], max_error: float) -> tuple[Plan, float]:
    """Return the smallest plan whose error is within a bound, and its error; the most exact where none is.

    errors: of every layer alone in each of its forms.

    A layer's harm in a form is the square of the error with that layer alone in it. At a price for a byte each layer
    has the form whose harm and price are least together; the price is the highest whose plan is within the bound.
    """
    layers = sensitivity.layers
    harms = {
        name: {form: error**2 for form, error in alone.items()} for name, alone in zip(layers, errors, strict=True)
    }
    sizes = {name: {form: FORMS[form].bytes(layers[name]) for form in harm} for name, harm in harms.items()}
    # Prices at which a layer goes from one form to a smaller one.
    prices = sorted(
        (harm[b] - harm[a]) / (sizes[name][a] - sizes[name][b])
        for name, harm in harms.items()
        for a in harm
        for b in harm
        if sizes[name][a] > sizes[name][b] and harm[b] > harm[a]
    )

    def cost(name: str, price: float, form: str) -> float:
        return harms[name][form] + price * sizes[name][form]

    def plan_at(place: int) -> Plan:
        price = prices[place - 1] * (1 + 1e-9) if place else 0.0
        return {name: min(harm, key=partial(cost, name, price)) for name, harm in harms.items()}

    low, high = 0, len(prices)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sensitivity.error(plan_at(middle)) <= max_error
        low, high = (middle, high) if fits else (low, middle - 1)
    plan = plan_at(low)
    return plan, sensitivity.error(plan)
