"""Weights as integers: how a float matrix becomes blocks of small numbers, and back.

Layouts are those of ONNX Runtime's operators; the reference is their documentation
(docs/ContribOperators.md of ONNX Runtime: MatMulNBits).
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """A matrix (N outputs, K inputs) in blocks along K, each with one scale.

    A weight is ``(q - zero) * scale`` with ``zero = 2 ** (bits - 1)``.
    """

    packed: NDArray[np.uint8]
    """(N, blocks, block * bits / 8); 4-bit values two to a byte, the earlier in the low half."""
    scales: Float
    """(N, blocks)."""
    bits: int
    block: int
    inputs: int
    """K, before padding to whole blocks."""

    def dequantize(self) -> Float:
        """Return the matrix that the integers stand for, float32 (N, K)."""
        q = self.packed
        if self.bits == 4:
            q = np.stack([q & 15, q >> 4], axis=-1).reshape(*q.shape[:2], -1)
        zero = 1 << (self.bits - 1)
        values = (q.astype(np.float32) - zero) * self.scales[..., None]
        return np.ascontiguousarray(values.reshape(len(values), -1)[:, : self.inputs])


def block_size(inputs: int, wanted: int) -> int:
    """Return the largest power of two not above `wanted` or the input count, at least 16."""
    block = wanted
    while block > 16 and block > inputs:
        block //= 2
    return block


def quantize_blocks(weight: Float, bits: int, block: int) -> Blocks:
    """Round a matrix (N, K) to `bits`-bit integers in blocks of `block` inputs.

    8 bits: the largest magnitude of a block sets its scale. 4 bits: of several scales the one
    with the least squared error is taken, block by block; a block's outlier may then be clipped
    where that serves the other 63 weights better.
    """
    n, k = weight.shape
    count = -(-k // block)
    padded = np.zeros((n, count * block), np.float32)
    padded[:, :k] = weight
    blocks = padded.reshape(n, count, block)
    top = float((1 << (bits - 1)) - 1)
    # The signed value of largest magnitude is mapped to the grid's longer, negative end.
    index = np.abs(blocks).argmax(-1, keepdims=True)
    extreme = np.take_along_axis(blocks, index, -1)[..., 0]
    if bits == 8:
        scales = np.abs(extreme) / top
        q = _rounded(blocks, scales, top)
    else:
        q, scales = _least_error(blocks, extreme, top)
    stored: NDArray[np.uint8] = (q + (top + 1)).astype(np.uint8)
    if bits == 4:
        stored = np.bitwise_or(stored[..., 0::2], np.left_shift(stored[..., 1::2], np.uint8(4)))
    return Blocks(np.ascontiguousarray(stored), scales.astype(np.float32), bits, block, k)


def _rounded(blocks: Float, scales: Float, top: float) -> Float:
    # A block of denormals has a scale whose reciprocal overflows; it counts as zeros.
    usable = np.abs(scales) > _LEAST_SCALE
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=usable)
    q = np.rint(blocks * inverse[..., None])
    return np.clip(q, -(top + 1), top, out=q)


def _least_error(blocks: Float, extreme: Float, top: float) -> tuple[Float, Float]:
    best_error = np.full(extreme.shape, np.inf, np.float32)
    best_scale = np.zeros_like(extreme)
    # Scales are signed, so that the extreme value itself lands on -8 and costs nothing.
    for reach in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7):
        scale = extreme * (-reach / (top + 1))
        error = _rounded(blocks, scale, top)
        error *= scale[..., None]
        error -= blocks
        squared = np.einsum("nbk,nbk->nb", error, error)
        better = squared < best_error
        best_error = np.where(better, squared, best_error)
        best_scale = np.where(better, scale, best_scale)
    return _rounded(blocks, best_scale, top), best_scale


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
    activation = 3 * np.abs(gain) + np.abs(shift)
    weight = np.max([np.abs(w).max(0) for w in weights], axis=0)
    usable = (activation > 0) & (weight > 0)
    factor = np.ones_like(gain)
    np.divide(activation**strength, weight ** (1 - strength), out=factor, where=usable)
    # A power of two changes no mantissa, so that the move itself adds no rounding.
    factor = np.exp2(np.rint(np.log2(factor))).astype(np.float32)
    return gain / factor, shift / factor, [w * factor for w in weights]
