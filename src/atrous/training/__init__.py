"""Training: configuration, plan, step, checkpoints, the run from data to model folder."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.training.config import TrainConfig
    from atrous.training.plan import Plan
    from atrous.training.run import RunResult, fit
    from atrous.training.watch import Reporter, Silent

__all__ = ["Plan", "Reporter", "RunResult", "Silent", "TrainConfig", "fit"]

__getattr__ = lazy(
    __name__,
    {
        "Plan": "plan",
        "Reporter": "watch",
        "RunResult": "run",
        "Silent": "watch",
        "TrainConfig": "config",
        "fit": "run",
    },
)
