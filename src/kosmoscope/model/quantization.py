"""Weights as integers: how a float matrix becomes small numbers, and back.

Layouts are those of ONNX Runtime's operators; the reference is their documentation
(docs/ContribOperators.md of ONNX Runtime: MatMulNBits, MatMulIntegerToFloat).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Precision = Literal["fp32", "int8", "int4"]
_LEAST_SCALE = 1e-37
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int4")


@dataclass(frozen=True, slots=True)
class Blocks:
    """A matrix (N outputs, K inputs) of 4-bit integers in blocks along K, each with one scale.

    A weight is ``(q - 8) * scale``.
    """

    packed: NDArray[np.uint8]
    """(N, blocks, block / 2); two values to a byte, the earlier in the low half."""
    scales: Float
    """(N, blocks)."""
    block: int
    inputs: int
    """K, before padding to whole blocks."""

    def dequantize(self) -> Float:
        """Return the matrix that the integers stand for, float32 (N, K)."""
        q = np.stack([self.packed & 15, self.packed >> 4], axis=-1)
        values = (q.reshape(*q.shape[:2], -1).astype(np.float32) - 8) * self.scales[..., None]
        return np.ascontiguousarray(values.reshape(len(values), -1)[:, : self.inputs])


@dataclass(frozen=True, slots=True)
class Columns:
    """A matrix (N outputs, K inputs) as 8-bit integers with one scale for each output."""

    values: NDArray[np.int8]
    """(N, K)."""
    scales: Float
    """(N,)."""

    def dequantize(self) -> Float:
        """Return the matrix that the integers stand for, float32 (N, K)."""
        return self.values.astype(np.float32) * self.scales[:, None]


def quantize_columns(weight: Float) -> Columns:
    """Round a matrix (N, K) to 8-bit integers, one scale an output.

    Processors without VNNI multiply unsigned by signed bytes in pairs of neighbouring inputs and
    add each pair in 16 bits, which clip (vpmaddubsw). ``255 * (a + b)`` fits if no two weights of
    a pair add up to more than 128 in magnitude; so it is made here, and all sums are exact on
    every processor. Where a pair is too large at the finest scale that an output's largest weight
    allows, it is cut, or the scale made coarser, whichever has the least squared error.
    """
    n, k = weight.shape
    values = np.zeros((n, k + k % 2), np.int8)
    scales = np.zeros(n, np.float32)
    count = max(1, _CACHED // max(k, 1))
    for start in range(0, n, count):  # a part at a time stays in the processor's cache
        part = slice(start, start + count)
        rows = np.zeros((len(weight[part]), values.shape[1]), np.float32)
        rows[:, :k] = weight[part]
        finest = np.abs(rows).max(1) / 127
        usable = finest > _LEAST_SCALE
        # In steps of the finest scale, so that squares leave float32 at neither end.
        rows *= np.divide(1.0, finest, out=np.zeros_like(finest), where=usable)[:, None]
        coarser = _coarser(rows)
        rows *= (1 / coarser)[:, None]
        np.rint(rows, out=rows)
        values[part] = _fitting_pairs(rows)
        scales[part] = np.where(usable, finest * coarser, np.float32(1))
    return Columns(np.ascontiguousarray(values[:, :k]), scales)


_CACHED = 1 << 18
_PAIR = 128
# Up to half the finest scale's precision, where no pair can be too large any more.
_COARSER = np.array([1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.55, 1.75, 127 / 64], np.float32)


def _coarser(rows: Float) -> Float:
    """Return how much coarser each row's scale should be, (N,), for rows in steps of the finest."""
    n, k = rows.shape
    totals = np.abs(rows[:, 0::2] + rows[:, 1::2])
    row, pair = np.nonzero(totals > _PAIR)
    found = totals[row, pair]
    errors = []
    for factor in _COARSER:
        # Rounding costs a twelfth of a step squared, a cut of e half of e squared.
        cut = np.maximum(found - _PAIR * factor, 0) ** 2 / 2
        errors.append(np.bincount(row, cut, n) + k * float(factor) ** 2 / 12)
    best: Float = _COARSER[np.argmin(errors, axis=0)]
    return best


def _fitting_pairs(q: Float) -> Float:
    """Move pairs of neighbours towards zero until none adds up to more than 128."""
    first, second = q[:, 0::2], q[:, 1::2]
    row, pair = np.nonzero(np.abs(first + second) > _PAIR)
    total = first[row, pair] + second[row, pair]
    excess = total - np.copysign(_PAIR, total)
    half = np.trunc(excess / 2)
    first[row, pair] -= half
    second[row, pair] -= excess - half
    return q


def columns_of(rows: Iterable[Float]) -> Columns:
    """Round a matrix (N, K) that comes in blocks of its rows."""
    parts = [quantize_columns(block) for block in rows]
    return Columns(
        np.concatenate([p.values for p in parts]), np.concatenate([p.scales for p in parts])
    )


def block_size(inputs: int, wanted: int) -> int:
    """Return the largest power of two not above `wanted` or the input count, at least 16."""
    block = wanted
    while block > 16 and block > inputs:
        block //= 2
    return block


def quantize_blocks(weight: Float, block: int) -> Blocks:
    """Round a matrix (N, K) to 4-bit integers in blocks of `block` inputs.

    Of several scales the one with the least squared error is taken, block by block; a block's
    outlier may then be clipped where that serves the other 63 weights better.
    """
    n, k = weight.shape
    count = -(-k // block)
    padded = np.zeros((n, count * block), np.float32)
    padded[:, :k] = weight
    blocks = padded.reshape(n, count, block)
    # The signed value of largest magnitude is mapped to the grid's longer, negative end.
    index = np.abs(blocks).argmax(-1, keepdims=True)
    q, scales = _least_error(blocks, np.take_along_axis(blocks, index, -1)[..., 0])
    stored: NDArray[np.uint8] = (q + 8).astype(np.uint8)
    stored = np.bitwise_or(stored[..., 0::2], np.left_shift(stored[..., 1::2], np.uint8(4)))
    return Blocks(np.ascontiguousarray(stored), scales.astype(np.float32), block, k)


def _rounded(blocks: Float, scales: Float) -> Float:
    # A block of denormals has a scale whose reciprocal overflows; it counts as zeros.
    usable = np.abs(scales) > _LEAST_SCALE
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=usable)
    q = np.rint(blocks * inverse[..., None])
    return np.clip(q, -8, 7, out=q)


def _least_error(blocks: Float, extreme: Float) -> tuple[Float, Float]:
    best_error = np.full(extreme.shape, np.inf, np.float32)
    best_scale = np.zeros_like(extreme)
    # Scales are signed, so that the extreme value itself lands on -8 and costs nothing.
    for reach in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7):
        scale = extreme * (-reach / 8)
        error = _rounded(blocks, scale)
        error *= scale[..., None]
        error -= blocks
        squared = np.einsum("nbk,nbk->nb", error, error)
        better = squared < best_error
        best_error = np.where(better, squared, best_error)
        best_scale = np.where(better, scale, best_scale)
    return _rounded(blocks, best_scale), best_scale


def smooth(
    gain: Float, shift: Float, weights: Sequence[Float], strength: float = 0.5
) -> tuple[Float, Float, list[Float]]:
    """Move the spread of a layer norm's channels from the activations into the weights, exactly.

    A linear layer fed by ``norm(x) * gain + shift`` gives the same result when channel ``j`` of
    gain and shift is divided by ``s[j]`` and column ``j`` of the weights is multiplied by it.
    After the norm ``norm(x)`` has unit variance, so that ``3 |gain| + |shift|`` estimates a
    channel's reach without any calibration picture (SmoothQuant, arXiv:2211.10438, eq. 4, with
    this estimate in place of a measured maximum).

    Args:
        gain: float32 (K,), the norm's weight.
        shift: float32 (K,), the norm's bias.
        weights: matrices (N, K) fed by the norm.
        strength: 0 leaves the activations alone, 1 makes their channels equal.

    Returns:
        the new gain, shift and weights.
    """
    reach = np.max([np.abs(w).max(0) for w in weights], axis=0)
    factor = smoothing(gain, shift, reach, strength)
    return gain / factor, shift / factor, [w * factor for w in weights]


def smoothing(gain: Float, shift: Float, reach: Float, strength: float = 0.5) -> Float:
    """Return the channels' factors ``s`` of `smooth`, powers of two, float32 (K,).

    Args:
        gain, shift, strength: see `smooth`.
        reach: float32 (K,), the largest magnitude among the weights of each channel.
    """
    activation = 3 * np.abs(gain) + np.abs(shift)
    usable = (activation > 0) & (reach > 0)
    factor = np.ones_like(gain)
    np.divide(activation**strength, reach ** (1 - strength), out=factor, where=usable)
    # A power of two changes no mantissa, so that the move itself adds no rounding.
    result: Float = np.exp2(np.rint(np.log2(factor))).astype(np.float32)
    return result
