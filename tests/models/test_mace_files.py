"""Files that are not a model of MACE are told what they are, and which file is needed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from e3nn.util import jit
from mace.calculators.lammps_mliap_mace import LAMMPS_MLIAP_MACE
from mace.modules import AtomicDipolesMACE

from forcebase.errors import ModelError
from forcebase.models.mace_conversion import convert_file
from forcebase.models.mace_files import what_it_is

GIVEN = Path(__file__).parents[1] / "data" / "models"


def saved(given) -> bytes:
    buffer = io.BytesIO()
    torch.save(given, buffer)
    return buffer.getvalue()


@pytest.fixture
def files(random_network):
    """Real files of every kind, by what is said of them."""
    network = random_network("float64")
    state = network.state_dict()
    scripted = io.BytesIO()
    torch.jit.save(jit.compile(random_network("float64")), scripted)
    return {
        "It is a checkpoint of epoch 3": (GIVEN / "checkpoint.pt").read_bytes(),
        "It is a model compiled by TorchScript, exported for LAMMPS": (
            GIVEN / "lammps.pt"
        ).read_bytes(),
        "It is a model exported for LAMMPS": saved(LAMMPS_MLIAP_MACE(network)),
        f"It is a state dict, {len(state)} tensors by name": saved(state),
        "It is a checkpoint: the numbers": saved({"state_dict": state}),
        "It is a network compiled by TorchScript, ScaleShiftMACE": scripted.getvalue(),
        "holds a network under 'model'": saved({"model": network, "epoch": 3}),
        "It holds 2 networks": saved([network, network]),
    }


def test_each_is_named_with_the_file_that_is_needed(files, tmp_path) -> None:
    """Asked in this process, which these files do nothing to."""
    for words, data in files.items():
        (tmp_path / "given").write_bytes(data)
        with pytest.raises(ModelError) as caught:
            convert_file(tmp_path / "given", tmp_path / "target")
        assert words in caught.value.message
        assert "NAME.model, which MACE's training writes" in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.message.endswith(".")
        assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "given", [{}, {"a": 1}, {"model": 3}, [], [1], "text", None, AtomicDipolesMACE]
)
def test_of_what_is_not_known_nothing_is_said(given) -> None:
    assert what_it_is(given) == ""
