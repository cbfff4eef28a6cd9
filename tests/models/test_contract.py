"""The contract: what keeps it passes, and each way to break it is found by its own check."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from forcebase.models.contract import CHECKS, DOUBLE, Case, check_model, energy_noise, of_calculator

ATOMS = bulk("Cu", cubic=True)
ATOMS.positions += np.random.default_rng(0).normal(scale=0.05, size=(4, 3))


class Broken(EMT):
    """EMT with one thing wrong."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"], self.results["forces"], self.results["stress"] = self.fault(
            self.atoms, *(np.copy(self.results[key]) for key in ("energy", "forces", "stress"))
        )
        self.results["free_energy"] = self.results["energy"]


FAULTS = {
    "energy is extensive": lambda a, e, f, s: (e + 0.01, f, s),
    "forces are the energy's gradient": lambda a, e, f, s: (e, 1.01 * f, s),
    "stress is the energy's derivative": lambda a, e, f, s: (e, f, s * [1, 1, 1, 1, 1, 1.01]),
    "turns with the structure": lambda a, e, f, s: (e + 1e-3 * a.cell.array[0, 1], f, s),
    "stays under translation": lambda a, e, f, s: (e + 1e-3 * a.positions[0, 0], f, s),
    "stays under permutation": lambda a, e, f, s: (e, f * np.arange(1, len(f) + 1)[:, None], s),
    "float64 is kept": lambda a, e, f, s: (float(np.float32(e + 100)), f, s),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_passes_for_a_sound_calculator(check):
    assert check(Case(of_calculator(EMT(), ["Cu"]), ATOMS)).passed


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(name):
    report = check_model(of_calculator(Broken(FAULTS[name]), ["Cu"]), ATOMS)
    assert not report.passed
    assert name in {finding.name for finding in report.findings if not finding.passed}


def test_answers_that_are_no_numbers_do_not_pass():
    broken = of_calculator(Broken(lambda a, e, f, s: (e, f * np.nan, s)), ["Cu"])
    failed = {finding.name for finding in check_model(broken, ATOMS).findings if not finding.passed}
    assert {"energy is extensive", "stays under permutation", "float64 is kept"} <= failed


def test_a_model_that_changes_between_loads_is_found():
    other = of_calculator(Broken(lambda a, e, f, s: (e, 1.1 * f, s)), ["Cu"])
    report = check_model(of_calculator(EMT(), ["Cu"]), ATOMS, reload=lambda: other)
    failed = [finding.name for finding in report.findings if not finding.passed]
    assert failed == ["same answers after store and reload"]


def test_a_mace_keeps_the_contract_and_its_report_is_plain(random_model):
    model = random_model()
    atoms = bulk("WSe", "cesiumchloride", a=3.2)
    report = check_model(model, atoms, reload=lambda: model)
    assert report.passed, report
    assert json.loads(json.dumps(report.as_dict()))["findings"][0]["passed"] is True


def test_noise_tells_float32_from_float64(random_model):
    atoms = bulk("WSe", "cesiumchloride", a=3.2)
    atoms = atoms.repeat((2, 2, 2))
    atoms.positions[0] += [0.1, 0.2, 0.3]
    assert energy_noise(random_model(), atoms) < DOUBLE / 10
    assert energy_noise(random_model("float32"), atoms) > DOUBLE
