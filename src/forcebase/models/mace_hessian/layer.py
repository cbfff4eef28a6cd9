"""One message-passing layer of a MACE model, taken apart into maps whose derivatives are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from forcebase.models.mace_hessian.channel_map import ChannelMap, read_channel_map, to_channels
from forcebase.models.mace_hessian.product_polynomial import ProductPolynomial, product_polynomial

if TYPE_CHECKING:
    import torch

ADDITIVE = "RealAgnosticInteractionBlock"
RESIDUAL = "RealAgnosticResidualInteractionBlock"


@dataclass(frozen=True, eq=False)
class Layer:
    """h -> u -> messages -> A -> B -> h', in the names of Batatia et al. (2022).

    Attributes:
        interaction, product: MACE's own modules.
        up: features h of a sender to u.
        coupling: (components of a message, components of u, spherical harmonics); a message is
            m[c, q] = w[path of q, c] coupling[q, k, y] u[c, k] Y[y].
        paths: (components of a message,) the path, and so the radial weight, of each.
        mix: summed messages to A, by element.
        polynomial: A to B.
        out: B to its part of h'.
        skip: h to its part of h', by element; None without a residual connection.
    """

    interaction: Any
    product: Any
    up: ChannelMap
    coupling: torch.Tensor
    paths: torch.Tensor
    mix: dict[int, ChannelMap]
    polynomial: ProductPolynomial
    out: ChannelMap
    skip: dict[int, ChannelMap] | None

    def basis(self, messages: torch.Tensor, node_attrs: torch.Tensor) -> torch.Tensor:
        """Flat A of flat summed messages, by the model's own modules."""
        return _basis(self.interaction, messages, node_attrs)

    def message(
        self, network: Any, batch: dict[str, Any], edges: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Flat messages along edges (index, vectors, sent: flat u), by the model's own modules."""
        harmonics, weights = self._edge_parts(network, batch, edges)
        return self.interaction.conv_tp(edges["sent"], harmonics, weights)

    def operator(
        self, network: Any, batch: dict[str, Any], edges: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """The map from u to message of each edge: (n_edges, C, q, k)."""
        import torch

        harmonics, weights = self._edge_parts(network, batch, edges)
        radial = weights.reshape(len(weights), -1, self.out.n_channels)[:, self.paths]
        return torch.einsum("eqc,qky,ey->ecqk", radial, self.coupling, harmonics)

    def _edge_parts(
        self, network: Any, batch: dict[str, Any], edges: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        lengths = torch.linalg.norm(edges["vectors"], dim=-1, keepdim=True)
        features, cutoff = network.radial_embedding(
            lengths, batch["node_attrs"], edges["index"], network.atomic_numbers
        )
        weights = self.interaction.conv_tp_weights(features)
        if cutoff is not None:
            weights = weights * cutoff
        return network.spherical_harmonics(edges["vectors"]), weights


def read_layer(network: Any, index: int, elements: list[int]) -> Layer:
    """Take layer `index` apart, for the elements (indices of the one-hot encoding) present."""
    import torch

    interaction, product = network.interactions[index], network.products[index]
    like = torch.empty(0, dtype=torch.float64, device=network.r_max.device)
    one_hot = torch.eye(len(network.atomic_numbers), dtype=like.dtype, device=like.device)
    mid = interaction.conv_tp.irreps_out

    coupling, paths = _coupling(interaction, like)
    return Layer(
        interaction=interaction,
        product=product,
        up=read_channel_map(
            interaction.linear_up,
            interaction.linear_up.irreps_in,
            interaction.linear_up.irreps_out,
            like,
        ),
        coupling=coupling,
        paths=paths,
        mix={
            z: read_channel_map(
                partial(_mixed, interaction, one_hot[z]),
                mid,
                interaction.linear.irreps_out,
                like,
            )
            for z in elements
        },
        polynomial=product_polynomial(product, elements),
        out=read_channel_map(
            product.linear, product.linear.irreps_in, product.linear.irreps_out, like
        ),
        skip={
            z: read_channel_map(
                partial(_skipped, interaction, one_hot[z]),
                interaction.skip_tp.irreps_in1,
                interaction.skip_tp.irreps_out,
                like,
            )
            for z in elements
        }
        if type(interaction).__name__ == RESIDUAL and product.use_sc
        else None,
    )


def _mixed(interaction: Any, element: torch.Tensor, messages: torch.Tensor) -> torch.Tensor:
    return _basis(interaction, messages, element.expand(len(messages), -1))


def _skipped(interaction: Any, element: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    return interaction.skip_tp(features, element.expand(len(features), -1))


def _basis(interaction: Any, messages: torch.Tensor, node_attrs: torch.Tensor) -> torch.Tensor:
    mixed = interaction.linear(messages) / interaction.avg_num_neighbors
    if type(interaction).__name__ == ADDITIVE:
        return interaction.skip_tp(mixed, node_attrs)
    return mixed


def _coupling(interaction: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the Clebsch-Gordan coefficients off the convolution, by applying it to unit vectors."""
    import torch

    conv = interaction.conv_tp
    sent, harmonics = conv.irreps_in1, conv.irreps_in2
    channels = sent[0].mul
    unit_u = torch.eye(sum(ir.dim for _, ir in sent), dtype=like.dtype, device=like.device)
    unit_y = torch.eye(harmonics.dim, dtype=like.dtype, device=like.device)
    flat_u = torch.cat(
        [part.repeat(1, channels) for part in unit_u.split([ir.dim for _, ir in sent], dim=-1)],
        dim=-1,
    )
    n_u, n_y = len(unit_u), len(unit_y)
    rows_u = flat_u.repeat_interleave(n_y, dim=0)
    rows_y = unit_y.repeat(n_u, 1)
    n_paths = conv.weight_numel // channels
    total = like.new_zeros(n_u * n_y, sum(ir.dim for _, ir in conv.irreps_out))
    paths = torch.zeros(total.shape[-1], dtype=torch.long, device=like.device)
    for path in range(n_paths):
        weights = like.new_zeros(len(rows_u), n_paths, channels)
        weights[:, path] = 1
        answer = to_channels(conv(rows_u, rows_y, weights.flatten(1)), conv.irreps_out)[:, 0]
        total += answer
        paths[answer.any(dim=0)] = path
    return total.view(n_u, n_y, -1).permute(2, 0, 1).contiguous(), paths
