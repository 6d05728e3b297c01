"""What follows the network, as one OpenVINO model: a few times as fast as torch.

OpenVINO turns the whole chain from logits to bytes into a few loops that keep their
numbers in registers. The same as :class:`napari_unetseg.models.summary.TorchSummary`
for a single pass, but for the last digit.

::

    logits of a slab ── softmax ──┬─ consensus ──▶ labels, probability
    (head x class, n)             └─ raters ──┬──▶ probability by raters
                                              └──▶ total, rater disagreement
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.rater_probability import RATER_STEPS
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.models.summary import SLAB_VOXELS, Outputs, blank
from napari_unetseg.models.uncertainty import APART

if TYPE_CHECKING:
    from torch import Tensor

# log(1 + x) for x from 0 to 1, to 1e-7: Chebyshev interpolation, powers rising.
_LOG_1P = (
    Chebyshev.interpolate(np.log1p, 8, domain=[0, 1]).convert(kind=Polynomial).coef
)


class OpenVinoSummary:
    """Sums up a single pass.

    Parameters
    ----------
    compiled
        The model from :func:`summary_model`, compiled.
    outputs, inner
        As :meth:`napari_unetseg.models.backends.runner.Runner.summary` takes them; rows
        are at most as long as a slab.
    """

    def __init__(self, compiled: Any, outputs: Outputs, inner: Box) -> None:
        self._compiled, self._outputs, self._inner = compiled, outputs, inner
        self._sheet = blank(outputs, inner)
        self._is_finite = True

    def add(self, logits: Tensor) -> None:
        """Take the logits (1, heads x classes, z, y, x) of the pass."""
        # By numpy: torch's threads would still wait for more while OpenVINO works.
        wanted = logits[0].numpy()[(slice(None), *self._inner.slices)]
        slab = np.zeros((len(wanted), SLAB_VOXELS), np.float32)
        flat = [image.reshape(-1, self._inner.n_voxels) for image in self._images]
        at = 0
        for boxes in slabs_of_rows(self._inner.shape, SLAB_VOXELS):
            n = 0
            for box in boxes:
                part = slab[:, n : n + box.n_voxels].reshape(-1, *box.shape)
                part[...] = wanted[(slice(None), *box.slices)]
                n += box.n_voxels
            answer = self._compiled([slab], share_inputs=True, share_outputs=True)
            for number, image in enumerate(flat):
                image[:, at : at + n] = answer[number][:, :n]
            self._is_finite &= bool(np.isfinite(answer[len(flat)]))
            at += n

    def result(self) -> BlockPrediction | None:
        """Return labels, probabilities and maps; None if there were NaN."""
        return self._sheet if self._is_finite else None

    @property
    def _images(self) -> list[np.ndarray]:
        """What is written, in the order of the model's results."""
        sheet = self._sheet
        maps = [sheet.maps[name] for name in self._outputs.map_names]
        raters = [] if sheet.rater_probability is None else [sheet.rater_probability]
        return [sheet.labels, sheet.probability, *maps, *raters]


def slabs_of_rows(shape: Zyx, n_voxels: int) -> Iterator[list[Box]]:
    """Yield boxes that follow each other in C order, a slab of whole rows at a time.

    ::

        plane 0   a a a a        a slab ends anywhere in a plane, so that all but the
                  a a a b        last are full
        plane 1   b b b b
    """
    depth, height, width = shape
    step = n_voxels // width
    for first in range(0, depth * height, step):
        row, end = first, min(first + step, depth * height)
        boxes = []
        while row < end:
            z, y = divmod(row, height)
            if y == 0 and end - row >= height:
                planes = (end - row) // height
                boxes.append(Box((z, 0, 0), (z + planes, height, width)))
            else:
                stop = min(height, y + end - row)
                boxes.append(Box((z, y, 0), (z + 1, stop, width)))
            row += boxes[-1].n_voxels // width
        yield boxes


def summary_model(openvino: Any, outputs: Outputs) -> Any:
    """Return an OpenVINO model from logits (heads x classes, n) to bytes (any, n).

    Its results are labels, probability, the maps, probability by raters if there are
    any, and last a number that is NaN if any logit is.
    """
    graph = _Graph(openvino)
    op, n_classes = graph.op, outputs.n_classes
    n_heads = 1 + outputs.n_raters
    logits = op.parameter([n_heads * n_classes, SLAB_VOXELS], np.float32)
    channels = op.split(logits, np.int64(0), n_heads * n_classes).outputs()
    heads = [
        graph.log_softmax(channels[i * n_classes : (i + 1) * n_classes])
        for i in range(n_heads)
    ]
    consensus = graph.exp(heads[0])
    raters = heads[1:] or heads
    by_rater = [consensus] if len(heads) == 1 else [graph.exp(head) for head in raters]
    entropies = [graph.entropy(*pair) for pair in zip(by_rater, raters, strict=True)]
    mean = [graph.mean(classes) for classes in zip(*by_rater, strict=True)]
    log_mean = [graph.log_mean(classes) for classes in zip(*raters, strict=True)]
    total = graph.entropy(mean, log_mean)
    maps = {TOTAL_UNCERTAINTY: total}
    if outputs.n_raters:
        agreed = op.multiply(graph.mean(entropies), graph.number(1 - APART))
        maps[RATER_DISAGREEMENT] = op.subtract(total, agreed)
    results = [
        graph.label(consensus),
        graph.joined([graph.bytes_of(p) for p in consensus[1:]]),
        *(graph.bytes_of(maps[name]) for name in outputs.map_names),
    ]
    if outputs.n_raters:
        classes = [p for of_rater in by_rater for p in of_rater[1:]]
        results.append(graph.joined([graph.bytes_of(p, RATER_STEPS) for p in classes]))
    results.append(op.reduce_sum(logits, np.asarray([0, 1]), keep_dims=False))
    return openvino.Model([op.result(r) for r in results], [logits], "summary")


class _Graph:
    """Pieces of the model; all values are nodes of shape (1, n)."""

    def __init__(self, openvino: Any) -> None:
        self.op: Any = openvino.opset13

    def number(self, value: float) -> Any:
        return self.op.constant(np.float32(value))

    def sum(self, values: list[Any]) -> Any:
        return reduce(self.op.add, values)

    def mean(self, values: Any) -> Any:
        listed = list(values)
        if len(listed) == 1:
            return listed[0]
        return self.op.multiply(self.sum(listed), self.number(1 / len(listed)))

    def add_exp(self, first: Any, second: Any) -> Any:
        """Return log(exp(first) + exp(second)).

        OpenVINO computes logarithms number by number, and softplus in a loop of its
        own. A polynomial stays in the registers with what is before and after it.
        """
        op = self.op
        difference = op.subtract(second, first)
        power = op.exp(op.negative(op.abs(difference)))
        more = self.number(_LOG_1P[-1])
        for coefficient in _LOG_1P[-2::-1]:
            more = op.add(op.multiply(more, power), self.number(coefficient))
        return op.add(op.maximum(first, second), more)

    def log_softmax(self, logits: list[Any]) -> list[Any]:
        """Return the logarithms of the probabilities."""
        whole = reduce(self.add_exp, logits)
        return [self.op.subtract(logit, whole) for logit in logits]

    def exp(self, logs: list[Any]) -> list[Any]:
        return [self.op.exp(log) for log in logs]

    def log_mean(self, logs: Any) -> Any:
        """Return the logarithm of the mean of what these are the logarithms of."""
        listed = list(logs)
        if len(listed) == 1:
            return listed[0]
        total = reduce(self.add_exp, listed)
        return self.op.subtract(total, self.number(math.log(len(listed))))

    def entropy(self, probability: list[Any], logs: list[Any]) -> Any:
        """Return the entropy, divided by its largest possible value."""
        pairs = zip(probability, logs, strict=True)
        scale = self.number(-1 / math.log(len(probability)))
        return self.op.multiply(self.sum([self.op.multiply(*p) for p in pairs]), scale)

    def label(self, probability: list[Any]) -> Any:
        """Return the class of the largest probability, the first of equals."""
        op = self.op
        best, label = probability[0], op.multiply(probability[0], self.number(0))
        for number, p in enumerate(probability[1:], start=1):
            label = op.select(op.greater(p, best), self.number(number), label)
            best = op.maximum(best, p)
        return op.convert(label, np.uint8)

    def bytes_of(self, values: Any, steps: int = 255) -> Any:
        """Return values between 0 and 1 as 0 to 255, in so many steps."""
        op = self.op
        scaled = op.multiply(op.clamp(values, 0.0, 1.0), self.number(steps))
        whole = op.round(scaled)
        if steps != 255:
            whole = op.multiply(whole, self.number(255 // steps))
        return op.convert(whole, np.uint8)

    def joined(self, values: list[Any]) -> Any:
        return values[0] if len(values) == 1 else self.op.concat(values, 0)
