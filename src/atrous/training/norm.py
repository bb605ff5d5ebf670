"""Batch norm while a run trains: learnt, or kept as the start has it.

Batch statistics of a few images are noise. DeepLab v3 measured it on VOC: with batch norm trained
a batch of 16 scores 77.2, of 8 75.8, of 4 only 64.4 (Table 9), and with its statistics fixed 76.0
(Table 8). So "auto" trains batch norm where at least 8 images are normalised together and keeps the
filled encoder's as it came where they are fewer; an encoder that began at random has nothing to
keep. Images are normalised together within one micro-batch, on GPUs across all processes too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from atrous.errors import InputError
from atrous.models import SegmentationModel
from atrous.training.adversary_options import AdversaryOptions
from atrous.training.config import NormPolicy, TrainConfig
from atrous.training.plan import Plan

__all__ = [
    "FEWEST_IMAGES",
    "check_norms",
    "held_norms",
    "hold_norms",
    "norm_notes",
    "pick_norm",
    "statistics_kept",
]

FEWEST_IMAGES = 8
"""Images whose statistics are worth learning from (DeepLab v3, Tables 8 and 9)."""

LARGEST_INITIAL_SHARE = 0.05
"""Of what batch norm began with, in the statistics that the finished model normalises with."""


def pick_norm(asked: NormPolicy, model: SegmentationModel, *, together: int) -> NormPolicy:
    """Return `asked`, or for "auto" what suits so many images.

    Args:
        asked: The configuration's.
        model: The network, as it begins.
        together: Images that are normalised together.
    """
    if asked != "auto":
        return asked
    is_kept = together < FEWEST_IMAGES and _has_statistics(model)
    return "fixed_encoder" if is_kept else "train"


def hold_norms(
    model: SegmentationModel, policy: NormPolicy, momentum: float | None
) -> list[nn.Module]:
    """Set up batch norm for training; return the layers to be kept in eval mode.

    - train: batch statistics, which also move the running ones.
    - fixed_encoder: the encoder normalises with its running statistics, which stay; scale and
      shift learn.
    - fixed: so does every layer (DeepLab v3's second phase, RefineNet).
    - frozen: scale and shift stay too (DeepLab v2's release).

    Args:
        model: Its norms are changed in place.
        policy: One of the above; "auto" is "train".
        momentum: Of the running statistics, torch's way: 0.1 is a decay of 0.9; None: as built.
    """
    norms = _norms(model)
    for norm in norms:
        norm.momentum = norm.momentum if momentum is None else momentum
        if policy == "frozen":
            norm.requires_grad_(False)
    return held_norms(model, policy)


def held_norms(model: SegmentationModel, policy: NormPolicy) -> list[nn.Module]:
    """Return the layers to be kept in eval mode; others once Lightning has synchronised them."""
    if policy in ("auto", "train"):
        return []
    return list(_norms(model, of_encoder=policy == "fixed_encoder"))


@contextmanager
def statistics_kept(model: SegmentationModel, is_wanted: bool = True) -> Iterator[None]:
    """Let layers that normalise with the batch's statistics leave their running ones as they are.

    Args:
        model: In training mode or not; what it computes is the same.
        is_wanted: Do nothing if not.
    """
    tracking = [norm for norm in _norms(model) if norm.track_running_stats and is_wanted]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True


def check_norms(plan: Plan) -> None:
    """Refuse what would let processes that normalise together wait for each other forever.

    Raises:
        InputError: Some processes cut their share into more micro-batches than others.
    """
    least, most = plan.batch_size // plan.processes, -(-plan.batch_size // plan.processes)
    cuts = {-(-share // plan.micro_batch) for share in (least, most)}
    if plan.synchronises_norms and len(cuts) > 1:
        raise InputError(
            f"--batch-size {plan.batch_size} over {plan.processes} GPUs gives {least} or {most} "
            f"images each, in {min(cuts)} or {max(cuts)} micro-batches of {plan.micro_batch}, but "
            "batch norm needs as many on each; take a multiple of "
            f"{plan.processes}, such as --batch-size {most * plan.processes}"
        )


def norm_notes(config: TrainConfig, plan: Plan, model: SegmentationModel) -> list[str]:
    """Return lines about statistics that will be noise, or that of the start.

    Args:
        config: What was asked for.
        plan: What that means here.
        model: The network, as it begins.
    """
    notes, together = [], plan.normalised_together
    held = held_norms(model, plan.norm)
    if empty := sum(not _is_filled(norm) for norm in held):
        remedy = "--norm train" if empty == len(held) else "--norm fixed_encoder"
        notes.append(
            f"Norm     {empty} of the {len(held)} batch norms that are kept have seen no image and "
            f"normalise nothing; better: {remedy}, or begin with a trained model (--weights)"
        )
    if not _norms(model) or plan.norm not in ("train", "fixed_encoder"):
        return notes
    is_the_papers = config.recipe is not None and together == plan.batch_size
    if config.norm == "train" and together < FEWEST_IMAGES and not is_the_papers:
        remedy = "--norm fixed_encoder, or " if _has_statistics(model) else ""
        notes.append(
            f"Norm     batch norm sees {together} images at a time, whose statistics are noise; "
            f"better: {remedy}{FEWEST_IMAGES} at once (--batch-size, --micro-batch)"
        )
    momentum = config.norm_momentum
    share = -(-plan.batch_size // plan.processes)
    steps = _own_steps(config, plan)
    updates = steps * -(-share // plan.micro_batch)
    if momentum is not None and (left := (1 - momentum) ** updates) > LARGEST_INITIAL_SHARE:
        faster = 0.01 if 0.99**updates <= LARGEST_INITIAL_SHARE else 0.1
        notes.append(
            f"Norm     with momentum {momentum:g} and {steps} iterations of the network {left:.0%} "
            f"of the statistics are still those of the start; better: --norm-momentum {faster:g}"
        )
    return notes


def _own_steps(config: TrainConfig, plan: Plan) -> int:
    """Return in how many steps of a run statistics move: not in an adversary's."""
    if config.adversary == "none":
        return plan.iterations
    return AdversaryOptions.of(config.adversary_options).own_steps(plan.iterations)


def _has_statistics(model: SegmentationModel) -> bool:
    """Return whether the encoder's norms have seen images: a VGG-16 without norms fills none."""
    return any(_is_filled(norm) for norm in _norms(model, of_encoder=True))


def _is_filled(norm: nn.Module) -> bool:
    return isinstance(mean := getattr(norm, "running_mean", None), Tensor) and bool(mean.any())


def _norms(model: SegmentationModel, *, of_encoder: bool = False) -> list[_BatchNorm]:
    parts = model.encoders if of_encoder else (model,)
    found = [m for part in parts for m in part.modules()]
    return [module for module in found if isinstance(module, _BatchNorm)]
