"""A batch of structures through a MACE network."""

from __future__ import annotations

from forcebase.frames import Frames
from forcebase.models.boundaries import close_boundaries
from forcebase.models.mace_network import MaceNetwork
from forcebase.models.third_party.engine import Labels


def label_batch(frames: Frames, model: MaceNetwork) -> Labels:
    """Answer for all structures in one pass.

    Raises:
        ModelError: a direction that is not periodic with less vacuum than the cutoff.
    """
    from mace import data
    from mace.tools import torch_geometric, torch_tools
    from mace.tools.utils import AtomicNumberTable

    torch_tools.set_default_dtype(model.dtype)  # AtomicData is built in torch's default dtype
    table = AtomicNumberTable(list(model.numbers))
    heads = getattr(model.network, "heads", None) or ["Default"]
    graphs = [
        data.AtomicData.from_config(
            data.config_from_atoms(
                close_boundaries(atoms, model.r_max), head_name=model.head or heads[-1]
            ),
            z_table=table,
            cutoff=model.r_max,
            heads=heads,
        )
        for atoms in frames.atoms()
    ]
    loader = torch_geometric.dataloader.DataLoader(graphs, batch_size=len(graphs), shuffle=False)
    batch = next(iter(loader)).to(model.device)
    output = model.network(batch.to_dict(), compute_stress=True)
    stress = output["stress"].detach().cpu().numpy().astype(float)
    i, j = (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)
    return Labels(
        energies=output["energy"].detach().cpu().numpy().astype(float),
        forces=output["forces"].detach().cpu().numpy().astype(float),
        stresses=stress[:, i, j],
    )
