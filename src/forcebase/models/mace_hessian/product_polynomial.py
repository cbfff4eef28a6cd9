"""MACE's symmetric contraction as what it is: for each channel, a polynomial in its own basis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class ProductPolynomial:
    """B[c, M] = sum over degrees v of T_v[M, m1 ... mv, c] A[c, m1] ... A[c, mv].

    Equation 10 of Batatia et al., NeurIPS 35, 11423 (2022), with the weights multiplied in.

    Attributes:
        coefficients: element index -> for degree 1, 2, ... a tensor (M, m, ..., m, C), symmetric
            in all m.
    """

    coefficients: dict[int, list[torch.Tensor]]

    def gradient(self, basis: torch.Tensor, elements: torch.Tensor) -> torch.Tensor:
        """Give dB/dA: (n, C, M, m), for A of (n, C, m)."""
        import torch

        def of_element(terms: list[torch.Tensor], a: torch.Tensor) -> torch.Tensor:
            first = torch.einsum("Mmc->cMm", terms[0]).expand(len(a), -1, -1, -1)
            return first + sum(
                degree * _contract(term, a, degree - 1)
                for degree, term in enumerate(terms[1:], start=2)
            )

        return self._by_element(of_element, basis, elements)

    def curvature(
        self, basis: torch.Tensor, elements: torch.Tensor, adjoints: torch.Tensor
    ) -> torch.Tensor:
        """Give sum over M of adjoint[n, C, M] d2B/dA dA: (n, C, m, m)."""
        import torch

        def of_element(
            terms: list[torch.Tensor], a: torch.Tensor, adjoint: torch.Tensor
        ) -> torch.Tensor:
            found = a.new_zeros(*a.shape, a.shape[-1])
            for degree, term in enumerate(terms[1:], start=2):
                second = _contract(term, a, degree - 2) if degree > 2 else term
                equation = "ncMij,ncM->ncij" if degree > 2 else "Mijc,ncM->ncij"
                found = found + degree * (degree - 1) * torch.einsum(equation, second, adjoint)
            return found

        return self._by_element(of_element, basis, elements, adjoints)

    def _by_element(
        self, function: Any, basis: torch.Tensor, elements: torch.Tensor, *others: torch.Tensor
    ) -> torch.Tensor:
        found = None
        for element in elements.unique().tolist():
            rows = (elements == element).nonzero().squeeze(1)
            part = function(self.coefficients[element], basis[rows], *(o[rows] for o in others))
            if found is None:
                found = part.new_empty(len(basis), *part.shape[1:])
            found[rows] = part
        return found


def product_polynomial(block: Any, elements: list[int]) -> ProductPolynomial:
    """Read the polynomial off an `EquivariantProductBasisBlock`, for these element indices."""
    import torch

    agnostic = getattr(block, "use_agnostic_product", False)
    coefficients: dict[int, list[torch.Tensor]] = {}
    for element in elements:
        row = 0 if agnostic else element
        parts = [_tensors(c, row) for c in block.symmetric_contractions.contractions]
        coefficients[element] = [torch.cat(same) for same in zip(*parts, strict=True)]
    return ProductPolynomial(coefficients)


def _tensors(contraction: Any, element: int) -> list[torch.Tensor]:
    import torch

    found = []
    for degree in range(1, contraction.correlation + 1):
        if degree == contraction.correlation:
            weights = contraction.weights_max
        else:
            weights = contraction.weights[contraction.correlation - degree - 1]
        coupling = contraction.U_tensors(degree)
        if coupling.dim() == degree + 1:  # a scalar has no axis of its own components
            coupling = coupling.unsqueeze(0)
        tensor = torch.tensordot(coupling, weights[element].detach(), dims=1)
        axes = range(1, degree + 1)
        orders = list(permutations(axes))
        found.append(sum(tensor.permute(0, *o, degree + 1) for o in orders) / len(orders))
    return found


def _contract(term: torch.Tensor, basis: torch.Tensor, times: int) -> torch.Tensor:
    """Contract `times` axes of (M, m, ..., m, C) with (n, C, m): (n, C, M, m, ...)."""
    import torch

    found = torch.einsum("M...mc,ncm->ncM...", term, basis)
    for _ in range(times - 1):
        found = torch.einsum("ncM...m,ncm->ncM...", found, basis)
    return found
