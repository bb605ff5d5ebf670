"""What a run must pass before any of the data is read: a misspelt name is told at once."""

import torch

from atrous.errors import InputError
from atrous.models import MODELS, default_encoder
from atrous.training.config import TrainConfig
from atrous.training.losses import Border, parse_loss
from atrous.training.losses.loss import PixelLoss
from atrous.training.phases import earlier_phases
from atrous.training.recipes import runs_of
from atrous.training.run_folder import check_out, resumed
from atrous.weights import check_model, check_start, find_start, gives_auxiliary_scores

__all__ = ["pick_device", "preflight", "weights_source"]


def preflight(config: TrainConfig) -> TrainConfig:
    """Return the configuration of the run: as given, or as the run to go on with has it.

    A recipe is filled in; of several phases all are looked at, and the last one's is returned.
    Costs milliseconds once torch is loaded; reading the data may cost minutes.

    Raises:
        InputError: The run folder is taken or is no run, it was begun with other options, there
            is no such network, encoder, option, loss, file of weights or device, or they do not go
            together, or an auxiliary loss is weighed that the network does not have.
    """
    if config.resume:
        config = resumed(config)
        _check(config, is_first=config.resume is None or not earlier_phases(config.resume))
        return config
    if config.out:
        check_out(config.out)
    phases = runs_of(config).phases
    for phase in phases:
        _check(phase, is_first=phase is phases[0])
    return phases[-1]


def _check(config: TrainConfig, *, is_first: bool = True) -> None:
    """Refuse names and options that do not go together; a later phase has its own weights."""
    pick_device(config.device)
    _check_loss(config)
    if config.adversary_options and config.adversary == "none":  # a recipe may have filled it in
        raise InputError("--adversary-options need an --adversary, such as small_fov")
    has_weights = config.resume is not None and (config.resume / "last.ckpt").exists()
    is_needed = config.weights != "auto" and not has_weights and is_first  # auto may end as none
    source = weights_source(config) if is_needed else None
    from_model = source is not None and find_start(source) is not None
    spec = check_model(
        config.model,
        encoder_name=config.encoder,
        encoder_weights=None if from_model else source,
        options=config.options,
    )
    if from_model:
        check_start(spec, config.weights)
    if config.auxiliary_weight is not None and not gives_auxiliary_scores(spec):
        raise InputError(
            f"--auxiliary-weight is {config.auxiliary_weight:g}, but {spec.architecture} with "
            "these options has no auxiliary scores; leave it out"
        )


def _check_loss(config: TrainConfig) -> None:
    loss = parse_loss(config.loss)
    if config.patch_sampling < 1 and any(isinstance(term, Border) for _, term in loss.terms):
        raise InputError(
            f"--patch-sampling {config.patch_sampling:g} hides cells that the distances of --loss "
            "border are measured to; leave one of the two out"
        )
    is_summed = any(isinstance(term, PixelLoss) for _, term in loss.terms)
    has_no_rate = config.lr is None and config.optimizer == "sgd"  # adamw divides by the gradient
    if is_summed and has_no_rate and config.loss_divisor == "images":
        raise InputError(
            "--loss-divisor images sums the loss over pixels, and no default rate suits a sum; "
            "give --lr, such as 1e-10 (FCN's)"
        )


def weights_source(config: TrainConfig) -> str | None:
    """Return what is begun with: "imagenet", a file, a model's folder, or None: random weights.

    Raises:
        WeightsUnreachable: A model on the hub is asked for, and the hub does not answer.
    """
    known = config.model in MODELS
    names_encoder = config.encoder or (known and default_encoder(config.model, config.options))
    if config.weights == "none" or (config.weights == "auto" and not names_encoder):
        return None
    if config.weights in ("auto", "imagenet"):
        return "imagenet"
    return str(find_start(config.weights) or config.weights)


def pick_device(asked: str) -> str:
    """Return "cpu" or "cuda".

    Raises:
        InputError: A GPU is asked for and there is none.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU here; leave --device out")
    return asked
