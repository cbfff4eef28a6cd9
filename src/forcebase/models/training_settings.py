"""How MACE is trained: all that decides the weights, but for the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from monty.json import MSONable

from forcebase.bounds import SEED, Bounds, check_bounds, check_choice
from forcebase.errors import InputError
from forcebase.models.mace_options import WITH_STRESS, as_arguments, check_options

DType = Literal["float64", "float32"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class TrainingSettings(MSONable):
    """Hyperparameters, by the names of MACE's command line where it has one.

    With the `stress` loss each term is a mean square: energy per atom (eV/atom), forces
    (eV/angstrom) and stress (eV/angstrom^3), hence the unlike weights. Without a weight on the
    stress the model has no equation of state, and lattice constant and phonons are wrong.

    What is None is chosen by the cells and the machine before the training begins, see
    `forcebase.models.training_choice`; a model's record holds what was chosen.

    Attributes:
        num_channels: width of the messages.
        max_L: largest angular momentum of the messages.
        max_ell: largest angular momentum of the edges' spherical harmonics.
        correlation: body order of the products, less one.
        r_max: cutoff, angstrom.
        num_interactions: message-passing layers.
        epochs: passes over the train split; the weights kept are those with the least loss on
            the valid split, of an exponential moving average.
        eval_interval: the valid split is looked at every so many epochs or more often, the
            last epoch included.
        batch_size: configurations per step.
        lr: initial learning rate; each epoch multiplies it by `lr_gamma`.
        energy_weight, forces_weight, stress_weight: of the loss. A stress of weight 0, which is
            the choice where no cell has one, is left out of it.
        ema_decay: of the moving average of the weights.
        seed: of initial weights and of the order of batches.
        dtype: precision of the training; the model that comes of it is applied in float64.
        threads: 1 makes two runs give the same bits; 2 do not, nor does a GPU.
        device: where the training runs; the model that comes of it runs on any.
        further: more of MACE's settings, by the names of its command line: see
            `forcebase.models.mace_options`.

    Raises:
        InputError: a number is out of its range.
    """

    BOUNDS: ClassVar[dict[str, Bounds]] = {
        "num_channels": Bounds(1, 4096, whole=True),
        "max_L": Bounds(0, 4, whole=True),
        "max_ell": Bounds(0, 8, whole=True),
        "correlation": Bounds(1, 6, whole=True),
        "r_max": Bounds(0, 20, above=True),
        "num_interactions": Bounds(1, 10, whole=True),
        "epochs": Bounds(1, 1_000_000, whole=True),
        "eval_interval": Bounds(1, 1_000_000, whole=True),
        "batch_size": Bounds(1, 100_000, whole=True),
        "lr": Bounds(0, 10, above=True),
        "lr_gamma": Bounds(0, 1, above=True),
        "energy_weight": Bounds(0, 1_000_000_000),
        "forces_weight": Bounds(0, 1_000_000_000),
        "stress_weight": Bounds(0, 1_000_000_000),
        "ema_decay": Bounds(0, 0.999_999),
        "seed": SEED,
        "threads": Bounds(1, 1024, whole=True),
    }

    num_channels: int = 32
    max_L: int = 1
    max_ell: int = 3
    correlation: int = 2
    r_max: float = 5.0
    num_interactions: int = 2
    epochs: int = 170
    eval_interval: int = 3
    batch_size: int | None = None
    lr: float | None = None
    lr_gamma: float = 0.99
    energy_weight: float = 100.0
    forces_weight: float = 10.0
    stress_weight: float = 1000.0
    ema_decay: float = 0.99
    seed: int = 1
    dtype: DType | None = None
    threads: int | None = None
    device: Device | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> tuple[str, ...]:
        """Names of the settings that are still to be chosen."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is None)

    def __post_init__(self) -> None:
        check_bounds(self, self.BOUNDS)
        check_choice(self, "dtype", get_args(DType))
        check_choice(self, "device", get_args(Device))
        check_options(self.further)
        object.__setattr__(self, "further", dict(sorted(self.further.items())))

    def as_settings(self) -> dict[str, Any]:
        """Plain data, as models keep it."""
        found = asdict(self)
        if not self.further:
            del found["further"]
        return found

    def summary(self) -> str:
        """What decides how long it takes, in a line."""
        return summary(self.as_settings())

    def as_arguments(self) -> list[str]:
        """Arguments of `mace_run_train`, files and E0s apart.

        Raises:
            InputError: a setting is not chosen yet.
        """
        if self.open:
            raise InputError(
                f"Not chosen yet: {', '.join(self.open)}.", hint="`choose` does, by the cells."
            )
        same = ("num_channels", "max_L", "max_ell", "correlation", "r_max", "num_interactions")
        weights = ("energy_weight", "forces_weight", "stress_weight", "ema_decay", "lr", "seed")
        return [
            *(f"--{name}={getattr(self, name)}" for name in (*same, *weights, "batch_size")),
            f"--max_num_epochs={self.epochs}",
            f"--default_dtype={self.dtype}",
            f"--lr_scheduler_gamma={self.lr_gamma}",
            f"--device={self.device}",
            "--ema",
            "--amsgrad",
            f"--eval_interval={self._interval()}",
            "--valid_batch_size=8",
            "--error_table=PerAtomMAE",
            *as_arguments(self._all_options()),
        ]

    def _all_options(self) -> dict[str, Any]:
        """What `further` does not say of model, scheduler and loss, too."""
        loss = "stress" if self.stress_weight else "weighted"
        found = {"model": "MACE", "scheduler": "ExponentialLR", "loss": loss, **self.further}
        if found["loss"] in WITH_STRESS:
            found["compute_stress"] = "True"
        return found

    def _interval(self) -> int:
        """MACE looks at epochs 0, n, 2n, ...: the largest n that meets the last epoch."""
        last = self.epochs - 1
        return max(n for n in range(1, self.eval_interval + 1) if last % n == 0)


def summary(settings: Mapping[str, Any]) -> str:
    """The same of the settings that a model's record holds."""
    epochs, threads = (
        f"{settings[name]} {name[:-1]}" + ("s" if settings[name] != 1 else "")
        for name in ("epochs", "threads")
    )
    device = " on a GPU" if settings.get("device") == "cuda" else ""
    return f"{epochs}, batches of {settings['batch_size']}, {settings['dtype']}, {threads}{device}"


DEMO = TrainingSettings()
"""Minutes on two cores."""

FULL = TrainingSettings(
    num_channels=64,
    correlation=3,
    epochs=300,
    eval_interval=1,
    batch_size=2,
    lr=0.01,
    lr_gamma=0.995,
    dtype="float64",
)
"""An hour or more. A faster decay of the learning rate (0.98) was measured to be worse."""

QUICK = TrainingSettings(
    num_channels=8,
    max_L=0,
    max_ell=2,
    correlation=2,
    r_max=4.5,
    epochs=4,
    eval_interval=1,
    batch_size=1,
    lr=0.01,
    lr_gamma=0.995,
    dtype="float64",
    threads=1,
    device="cpu",
)
"""Seconds: a model that works and is no good, the same bits each time."""
