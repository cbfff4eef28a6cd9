import numpy as np
import pytest
from ase.build import bulk

from forcebase.curation.given_e0s import checked_e0s
from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames


@pytest.fixture
def members() -> Frames:
    """Salt and a supercell with a substitution, bound by 3 eV/atom beside E0s of -10 and -20."""
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    other = salt.copy()
    other.symbols[0] = "Cl"
    energies = [4 * -10 + 4 * -20 - 24.0, 3 * -10 + 5 * -20 - 24.0]
    return Frames.from_atoms(
        [salt, other],
        ids=["a", "b"],
        methods=["m" * 64] * 2,
        energies=energies,
        forces=[np.zeros((8, 3))] * 2,
    )


def test_e0s_that_fit_are_taken(members):
    assert checked_e0s(members, {"Na": -10, "Cl": -20}) == {"Na": -10.0, "Cl": -20.0}
    assert checked_e0s(members, {"Na": -10, "Cl": -20}, "m" * 64)


def test_e0s_of_another_method_are_refused_though_they_would_fit(members):
    with pytest.raises(MixedMethodsError, match=f"method {'n' * 10}, the labels to {'m' * 10}"):
        checked_e0s(members, {"Na": -10, "Cl": -20}, "n" * 64)


def test_a_lacking_element_is_named(members):
    with pytest.raises(InputError, match=r"No reference energy.*Na"):
        checked_e0s(members, {"Cl": -20})


@pytest.mark.parametrize(
    ("e0s", "median"),
    [
        ({"Na": -4400.0, "Cl": -12500.0}, r"\+8\d\d\d\.\d\d"),  # all electrons
        ({"Na": 90.0, "Cl": -20.0}, r"-4\d\.\d\d"),
        ({"Na": float("nan"), "Cl": -20.0}, "nan"),
    ],
)
def test_absurd_e0s_are_refused_with_numbers(members, e0s, median):
    with pytest.raises(InputError, match=median) as error:
        checked_e0s(members, e0s)
    assert "fitted" in error.value.message
