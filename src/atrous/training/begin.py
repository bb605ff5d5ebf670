"""The network that a run begins with: at random, on an encoder's weights, or on a trained model."""

import torch

from atrous.data import DataSpec
from atrous.models import SegmentationModel
from atrous.training.config import TrainConfig
from atrous.training.preflight import weights_source
from atrous.training.watch import Reporter
from atrous.weights import (
    WeightsUnreachable,
    create_model,
    find_start,
    read_model_config,
    start_from,
)

__all__ = ["seeded_model"]


def seeded_model(
    config: TrainConfig, spec: DataSpec, reporter: Reporter
) -> tuple[SegmentationModel, str | None]:
    """Build the network for the data, filled as `config.weights` says.

    Returns:
        The network, and what filled it: "imagenet", a file, a model folder, or None.
    """
    source = weights_source(config)
    if source is not None and find_start(source):
        model = _seeded(config, spec, None)
        _begin_with(model, config, spec, reporter)
        return model, source
    try:
        return _seeded(config, spec, source), source
    except WeightsUnreachable as error:
        if config.weights != "auto":
            raise
        cause = str(error).partition(";")[0]  # what follows advises those who insisted on them
        reporter.note(
            f"Weights  from scratch: {cause}; connect or give --weights FILE to do better"
        )
        return _seeded(config, spec, None), None


def _seeded(config: TrainConfig, spec: DataSpec, encoder_weights: str | None) -> SegmentationModel:
    """Build the network, and tell it all that the configuration and the data say of it."""
    torch.manual_seed(config.seed)
    model = create_model(
        config.model,
        encoder_name=config.encoder,
        encoder_weights=encoder_weights,
        in_channels=spec.channels,
        classes=len(spec.label_set),
        **config.options,
    )
    model.label_set = spec.label_set
    model.normalization = model.normalization.with_white_at(spec.white)
    model.tile = config.tile
    if config.input_scale is not None:
        model.input_scale = config.input_scale
    if config.auxiliary_weight is not None:
        for network in (m for m in model.modules() if isinstance(m, SegmentationModel)):
            network.auxiliary_weight = config.auxiliary_weight
    return model


def _begin_with(
    model: SegmentationModel, config: TrainConfig, spec: DataSpec, reporter: Reporter
) -> None:
    """Fill `model` with the trained one, and say what it brings along and what it does not."""
    name = config.weights
    if not start_from(model, name):
        reporter.note(f"Weights  {name}, but the scores: it names other classes")
    trained = read_model_config(name)
    if trained.normalization.white != spec.white:
        here, there = (_in_words(white) for white in (spec.white, trained.normalization.white))
        reporter.note(
            f"White    {here} here, {there} for {name}: the normalisation is moved from there"
        )
    if config.input_scale is None and trained.input_scale != 1:
        model.input_scale = trained.input_scale
        reporter.note(
            f"Scale    {trained.input_scale:g}, at which {name} sees images; "
            "to train at another: --input-scale"
        )


def _in_words(white: float) -> str:
    return "the files' largest value" if white == 1 else f"{round(65_535 * white):,}"
