"""What was given and does nothing here: told before the first step instead of being passed over."""

from torch.nn.modules.batchnorm import _BatchNorm

from atrous.models import SegmentationModel
from atrous.training.config import TrainConfig
from atrous.training.plan import Plan

__all__ = ["ignored_notes"]

NO_ENCODER = "the network has no encoder"
NO_NORMS = "the network has no batch norm"


def ignored_notes(config: TrainConfig, plan: Plan, model: SegmentationModel) -> list[str]:
    """Return a line for each option that the optimizer, the network or the length makes idle.

    Args:
        config: What was asked for.
        plan: What that means here.
        model: The network.
    """
    has_encoder = bool(model.encoders)
    has_norms = any(isinstance(module, _BatchNorm) for module in model.modules())
    validations = -(-plan.iterations // plan.val_every)
    momentum = config.momentum if config.momentum != TrainConfig.momentum else None
    norm = config.norm if config.norm not in ("auto", "train") else None
    cases = (
        ("momentum", momentum, config.optimizer != "sgd", f"{config.optimizer} has none"),
        ("lr-factors encoder", config.lr_factors.get("encoder"), not has_encoder, NO_ENCODER),
        ("freeze-encoder", config.freeze_encoder, not has_encoder, NO_ENCODER),
        ("freeze-epochs", config.freeze_epochs, not has_encoder, NO_ENCODER),
        ("norm", norm, not has_norms, NO_NORMS),
        ("norm-momentum", config.norm_momentum, not has_norms, NO_NORMS),
        ("warmup", config.warmup or None, config.warmup >= plan.iterations,
         f"{plan.iterations} iterations end before the full rate"),
        ("val-every", config.val_every, (config.val_every or 0) > plan.iterations,
         f"{plan.iterations} iterations end before; the last one is validated"),
        ("patience", config.patience, (config.patience or 0) + 1 >= validations,
         f"{validations} validations are too few to stop early"),
    )  # fmt: skip
    return [
        f"Idle     --{name} {value}: {why}"
        for name, value, is_idle, why in cases
        if is_idle and value is not None
    ]
