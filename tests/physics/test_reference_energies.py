import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcebase.errors import InputError
from forcebase.physics.reference_energies import count_elements, fit_e0s, residual_energies


def columns(cells: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(cells), np.repeat(np.arange(len(cells)), [len(c) for c in cells])


def test_counts_atoms_by_element_and_structure():
    numbers, owners = columns([[74, 34, 34], [34], [74, 74]])
    symbols, counts = count_elements(numbers, owners, 3)
    assert symbols == ["Se", "W"]
    assert counts.tolist() == [[2, 1], [1, 0], [0, 2]]


@given(e_w=st.floats(-3000, 3000), e_se=st.floats(-3000, 3000))
def test_recovers_the_e0s_that_made_the_energies(e_w, e_se):
    numbers, owners = columns([[74, 34, 34], [74, 34], [74, 34, 34, 34, 34]])
    energies = np.array([e_w + 2 * e_se, e_w + e_se, e_w + 4 * e_se])
    e0s = fit_e0s(numbers, owners, energies)
    assert e0s == pytest.approx({"W": e_w, "Se": e_se}, abs=1e-8)
    np.testing.assert_allclose(residual_energies(numbers, owners, energies, e0s), 0, atol=1e-8)


def test_one_composition_fixes_the_sum_and_the_smallest_norm_fixes_the_parts():
    numbers, owners = columns([[74, 34, 34]] * 4)
    e0s = fit_e0s(numbers, owners, np.full(4, -20.0))
    # The solution of smallest norm is along the counts: (1, 2) * -20 / 5.
    assert e0s == pytest.approx({"W": -4.0, "Se": -8.0})


def test_e0s_of_another_method_leave_an_error_that_depends_on_composition():
    numbers, owners = columns([[74, 34, 34], [74, 34]])
    energies = np.array([-20.0, -13.0])
    shifted = energies + np.array([3 * 100.0, 2 * 100.0])
    wrong = residual_energies(numbers, owners, shifted, fit_e0s(numbers, owners, energies))
    np.testing.assert_allclose(wrong, [300.0, 200.0])


def test_refuses_energies_that_are_not_finite_and_elements_without_e0():
    numbers, owners = columns([[74, 34, 34], [74, 34]])
    with pytest.raises(InputError, match="finite"):
        fit_e0s(numbers, owners, np.array([-20.0, np.nan]))
    with pytest.raises(InputError, match=r"\(E0\) for Se"):
        residual_energies(numbers, owners, np.array([-20.0, -13.0]), {"W": -5.0})
