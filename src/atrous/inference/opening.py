"""From a model's name to a predictor, as the commands ask for it."""

from typing import Literal, Protocol

from atrous.inference.config import CRFChoice
from atrous.inference.crf_settings import open_crf
from atrous.inference.predictor import Predictor
from atrous.inference.uncertainty import Uncertainty
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
    def crf(self) -> CRFChoice | None:
        """Which dense CRF sharpens, None for none."""

    @property
    def device(self) -> str:
        """auto, cpu or cuda."""

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """fp32 or bf16."""


def open_predictor(
    model: str, options: PredictorOptions, *, uncertainty: Uncertainty | None = None
) -> Predictor:
    """Load a model folder or a named model and make it a predictor.

    Raises:
        InputError: There is no such model, an option is outside its range, or the model
            holds no CRF that was asked for.
    """
    network = load(model)
    return Predictor(
        network,
        scales=options.scales,
        flip=options.flip,
        tile=options.tile,
        crf=None if options.crf is None else open_crf(options.crf, network),
        uncertainty=uncertainty,
        device=options.device,
        precision=options.precision,
    )
