"""Linear maps that mix channels and leave the components of an irrep alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """By Schur's lemma all that an equivariant linear map can be.

    Attributes:
        blocks: (components in, components out, matrix (C_out, C_in)).
        n_channels, n_components: of what comes out.
    """

    blocks: list[tuple[slice, slice, torch.Tensor]]
    n_channels: int
    n_components: int

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Map (C_in, components in, columns) to (C_out, components out, columns)."""
        columns = x.shape[-1]
        out = x.new_zeros(self.n_channels, self.n_components, columns)
        for source, target, matrix in self.blocks:
            part = matrix.to(x.dtype) @ x[:, source].reshape(len(x), -1)
            out[:, target] += part.view(self.n_channels, -1, columns)
        return out


def to_channels(x: torch.Tensor, irreps: Any) -> torch.Tensor:
    """Turn e3nn's flat (..., dim) into (..., channels, components)."""
    import torch

    blocks = [
        x[..., where].reshape(*x.shape[:-1], mul, ir.dim)
        for (mul, ir), where in zip(irreps, irreps.slices(), strict=True)
    ]
    return torch.cat(blocks, dim=-1)


def read_channel_map(
    function: Callable[[torch.Tensor], torch.Tensor],
    irreps_in: Any,
    irreps_out: Any,
    like: torch.Tensor,
) -> ChannelMap:
    """Read a map off a function of flat features, by applying it to unit vectors.

    Args:
        function: equivariant and linear, (rows, dim in) to (rows, dim out).
        irreps_in, irreps_out: e3nn's, each with the same number of channels in all blocks.
        like: a tensor with the dtype and device to use.
    """
    import torch

    channels = irreps_in[0].mul
    starts = [
        (where.start, ir.dim) for (_, ir), where in zip(irreps_in, irreps_in.slices(), strict=True)
    ]
    units = like.new_zeros(len(starts) * channels, irreps_in.dim)
    for block, (start, dim) in enumerate(starts):
        rows = torch.arange(channels)
        units[block * channels + rows, start + rows * dim] = 1
    answers = to_channels(function(units).detach(), irreps_out)
    blocks = []
    into = _component_slices(irreps_out)
    for block, ((_, ir_in), source) in enumerate(
        zip(irreps_in, _component_slices(irreps_in), strict=True)
    ):
        rows = answers[block * channels : (block + 1) * channels]
        for (_, ir_out), target in zip(irreps_out, into, strict=True):
            matrix = rows[:, :, target.start].T.contiguous()
            if ir_in == ir_out and matrix.any():
                blocks.append((source, target, matrix))
    return ChannelMap(blocks, irreps_out[0].mul, into[-1].stop)


def _component_slices(irreps: Any) -> list[slice]:
    found, start = [], 0
    for _, ir in irreps:
        found.append(slice(start, start + ir.dim))
        start += ir.dim
    return found
