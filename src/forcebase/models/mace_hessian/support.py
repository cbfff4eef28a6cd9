"""Whether a network is of the kind that can be taken apart."""

from __future__ import annotations

from typing import Any

from forcebase.models.mace_hessian.layer import ADDITIVE, RESIDUAL

NETWORKS = ("MACE", "ScaleShiftMACE")
INTERACTIONS = (ADDITIVE, RESIDUAL)


def obstacle(network: Any) -> str | None:
    """Say why a network cannot be taken apart; None means that it can."""
    kind = type(network).__name__
    if kind not in NETWORKS:
        return f"{kind} is no {' or '.join(NETWORKS)}"
    if hasattr(network, "joint_embedding"):
        return "it embeds more than the elements"
    for interaction, product in zip(network.interactions, network.products, strict=True):
        name = type(interaction).__name__
        if name not in INTERACTIONS:
            return f"{name} is no {' or '.join(INTERACTIONS)}"
        if type(product.symmetric_contractions).__name__ != "SymmetricContraction":
            return "its symmetric contraction is an accelerated one"
        if hasattr(interaction, "conv_fusion"):
            return "its convolution is an accelerated one"
        for irreps in (interaction.conv_tp.irreps_in1, interaction.conv_tp.irreps_out):
            if len({mul for mul, _ in irreps}) != 1:
                return f"{irreps} has unlike numbers of channels"
    return None
