"""The ranges that activations have on real speech or swipes, for static quantization.

Example:
    limits = activation_limits(Path("out/demo-tdt/onnx/encoder.onnx"), names, inputs, "Percentile")
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import helper
from onnxruntime import InferenceSession

from transducer.core.cli import InputError
from transducer.core.contracts import Arrays
from transducer.core.onnx_files import load_graph
from transducer.core.progress import progress

METHODS = ("Error", "MinMax", "Entropy", "Percentile")
# Of the values of an activation, those that Percentile keeps within the limit.
PERCENTILE = 99.99
BINS = 2048
# int8 has as many magnitudes.
LEVELS = 128


def activation_limits(
    path: Path, importance: Mapping[str, NDArray[np.float32]], inputs: Iterable[Arrays], method: str
) -> dict[str, float]:
    """Run a graph and return for each named tensor the magnitude that int8's largest value should stand for.

    Error takes the one with the least error of what is computed from the tensor, to which a channel adds by its
    `importance` (broadcast to the tensor); MinMax the largest seen, Percentile the one that PERCENTILE of the values
    stay within, and Entropy the one that loses least information (the smallest divergence between the values and their
    quantized form).
    """
    histograms = {name: Histogram() for name in importance}
    for name, values in observations(path, list(importance), inputs):
        histograms[name].add(values, importance[name] if method == "Error" else np.ones(1, np.float32))
    return {name: getattr(histogram, method.lower())() for name, histogram in histograms.items()}


def channel_maxima(path: Path, names: Sequence[str], inputs: Iterable[Arrays]) -> dict[str, NDArray[np.float32]]:
    """Run a graph and return for each named tensor [..., C] the largest magnitude of each channel, [C]."""
    maxima: dict[str, NDArray[np.float32]] = {}
    for name, values in observations(path, names, inputs):
        largest = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0, initial=0.0)
        maxima[name] = np.maximum(maxima.get(name, 0.0), largest)
    return maxima


def observations(path: Path, names: Sequence[str], inputs: Iterable[Arrays]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Run a graph on inputs and yield each named tensor of each run. Raises: InputError for one that is not finite."""
    session = observed_session(path, names)
    input_names = [value.name for value in session.get_inputs()]
    for arrays in progress(inputs, desc="calibrate", unit="batch", leave=False):
        run = dict(zip(input_names, arrays.values(), strict=True))
        for name, values in zip(names, session.run(names, run), strict=True):
            if not np.isfinite(values).all():
                raise InputError(f"{path}: {name} is not finite on the calibration data; leave out what is not speech.")
            yield name, values


def observed_session(path: Path, names: Sequence[str]) -> InferenceSession:
    """Open a graph with inner tensors among its outputs; weights in a sidecar stay there."""
    model = load_graph(path)
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent.resolve()))
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Histogram:
    """Counts of magnitudes, or sums of their weights, in BINS equal bins up to a limit that doubles as needed."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS)
        self.limit = 0.0
        self.largest = 0.0

    def add(self, values: NDArray[Any], weights: NDArray[np.float32]) -> None:
        magnitudes = np.abs(values.ravel())
        largest = float(magnitudes.max(initial=0.0))
        self.largest = max(self.largest, largest)
        if self.limit == 0:
            self.limit = largest
        while self.limit and largest > self.limit:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2)])
            self.limit *= 2
        if self.limit:
            each = np.broadcast_to(weights, values.shape).ravel()
            self.counts += np.histogram(magnitudes, bins=BINS, range=(0, self.limit), weights=each)[0]

    def error(self) -> float:
        """The limit with the least squared error: of rounding within it, a twelfth of a step's square, and beyond."""
        middles = (np.arange(BINS) + 0.5) * self.limit / BINS
        # Sums over the bins beyond each limit of counts, of counts by magnitude and by its square.
        beyond = [np.append(np.cumsum((self.counts * middles**power)[::-1])[::-1], 0)[1:] for power in range(3)]
        limits = np.arange(1, BINS + 1) * self.limit / BINS
        clipped = beyond[2] - 2 * limits * beyond[1] + limits**2 * beyond[0]
        rounded = (limits / (LEVELS - 1)) ** 2 / 12 * (self.counts.sum() - beyond[0])
        return float(min(limits[int(np.argmin(clipped + rounded))], self.largest))

    def minmax(self) -> float:
        return self.largest

    def percentile(self) -> float:
        share = np.cumsum(self.counts) / max(self.counts.sum(), 1)
        return min((int(np.searchsorted(share, PERCENTILE / 100)) + 1) * self.limit / BINS, self.largest)

    def entropy(self) -> float:
        """TensorRT's choice: the threshold with the smallest Kullback-Leibler divergence."""
        divergences = {bins: self._divergence(bins) for bins in range(LEVELS, BINS + 1, LEVELS // 8)}
        return min(min(divergences, key=lambda bins: divergences[bins]) * self.limit / BINS, self.largest)

    def _divergence(self, bins: int) -> float:
        """Return that of the counts clipped at so many bins from the same merged to LEVELS."""
        counts = self.counts[:bins].copy()
        groups = np.arange(bins) * LEVELS // bins
        seen = counts > 0
        share = np.bincount(groups, counts, LEVELS) / np.maximum(np.bincount(groups, seen, LEVELS), 1)
        merged = np.where(seen, share[groups], 0)
        clipped = counts.copy()
        clipped[-1] += self.counts[bins:].sum()
        present = clipped > 0
        # Where clipping fills a bin that merging leaves empty, a trifle stands for the impossible.
        p, q = clipped[present] / clipped.sum(), np.maximum(merged[present] / max(merged.sum(), 1), 1e-9)
        return float((p * np.log(p / q)).sum())
