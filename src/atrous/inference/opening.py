"""From a model's name to a predictor, as the commands ask for it."""

from typing import Literal, Protocol

from atrous.inference.predictor import Predictor
from atrous.weights import load

__all__ = ["PredictorOptions", "open_predictor"]


class PredictorOptions(Protocol):
    """What the configurations of all predicting commands have in common."""

    @property
    def scales(self) -> tuple[float, ...]:
        """Factors on the image size."""

    @property
    def flip(self) -> bool:
        """Whether mirror images are averaged in."""

    @property
    def tile(self) -> int | None:
        """Side of the windows in pixels; None: automatic, 0: whole images."""

    @property
    def device(self) -> str:
        """auto, cpu or cuda."""

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """fp32 or bf16."""


def open_predictor(model: str, options: PredictorOptions) -> Predictor:
    """Load a model folder or a named model and make it a predictor.

    Raises:
        InputError: There is no such model, or an option is outside its range.
    """
    return Predictor(
        load(model),
        scales=options.scales,
        flip=options.flip,
        tile=options.tile,
        device=options.device,
        precision=options.precision,
    )
