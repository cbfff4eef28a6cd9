from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pymatgen.core import Structure

from forcebase.errors import ModelError
from forcebase.models.golden_probe import check_probe, make_probe


def test_a_probe_survives_json_and_finds_the_model_unchanged(unit_cells, model) -> None:
    layer = replace(unit_cells, pbc=unit_cells.pbc & [True, True, False])
    probe = json.loads(json.dumps(make_probe(layer, model)))
    assert check_probe(probe, model) < 1e-10
    assert Structure.from_dict(probe["structure"]).pbc == (True, True, False)
    # Jobs receive it decoded.
    assert check_probe({**probe, "structure": Structure.from_dict(probe["structure"])}, model) == (
        check_probe(probe, model)
    )


def test_a_model_that_drifted_is_noticed(unit_cells, model) -> None:
    probe = make_probe(unit_cells, model)
    network = copy.deepcopy(model.network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 + 1e-6)
    with pytest.raises(ModelError, match="no longer gives the answers") as caught:
        check_probe(probe, replace(model, network=network))
    assert 1e-8 < caught.value.evidence["deviation"] < 1e-2


@pytest.mark.parametrize("key", ["energy", "forces", "stress"])
@pytest.mark.parametrize("answer", [1e-6, float("nan")])
def test_an_altered_probe_is_noticed(unit_cells, model, key, answer) -> None:
    probe = make_probe(unit_cells, model)
    altered = np.array(probe[key])
    altered.flat[-1] += answer
    with pytest.raises(ModelError, match="no longer gives the answers"):
        check_probe({**probe, key: altered.tolist()}, model)


def test_a_probe_of_another_structure_is_noticed(unit_cells, model) -> None:
    first, second = (make_probe(unit_cells.take([i]), model) for i in (0, 1))
    with pytest.raises(ModelError, match="no longer gives the answers"):
        check_probe({**first, "structure": second["structure"]}, model)
    with pytest.raises(ModelError, match="no longer gives the answers"):
        check_probe({**first, "forces": first["forces"][:2]}, model)
