"""The training step: scores, their loss without void, one optimizer step a batch.

One protocol for every network, so that they can be compared; it is DeepLab v3's (Sec. 4.1: SGD,
momentum 0.9, poly decay of power 0.9, batch 16, random scale and flip).

Departures from the papers:
- Loss: cross entropy, the mean over the labelled pixels of a batch, unless `loss` says otherwise
  (`losses/`; U-Net's is `border`). FCN sums over pixels. Classes weigh the same unless
  `class_weights` is given (its rules: `class_weights.py`). Auxiliary scores count as much as each
  network says (`auxiliary_weights`), unless `auxiliary_weight` is given.
- Learning rate: from `config.py`, one for all layers. DeepLab v3 starts at 0.007; FCN keeps a
  constant rate, and like U-Net momentum 0.99 with a batch of one. Nearly all give biases twice the
  rate, DeepLab v1 and v2 ten times the rate to new layers.
- Weight decay: 1e-4 with SGD (as DeepLab v3 on ResNets; its MobileNetV2 takes 4e-5, FCN 5e-4), on
  every weight of two or more dimensions. Depthwise kernels are among them, which the v3+ release
  spares; biases and norms are not, which PSPNet's training code decays.
- Augmentation: `JointTransform` for all. FCN takes whole images unchanged; U-Net's elastic
  deformation (Sec. 3.1) is off unless `elastic` is given.
"""

from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import Tensor

from atrous.models import SegmentationModel
from atrous.ops import normalise
from atrous.training.losses import Targets, parse_loss
from atrous.training.precision import keep_dilated_depthwise_exact

__all__ = ["SegmentationTask", "poly_decay"]


class SegmentationTask(lightning.LightningModule):
    """Train a network on batches of (images, labels); a batch is one optimizer step.

    A batch is cut into micro-batches whose gradients add up. What a loss is divided by is counted
    over the *whole* batch, so the cut changes memory, not the result (but for the batch statistics
    of batch norm).

    Args:
        model: The network; its `normalization` is applied here, on the device.
        optimizer: "sgd" (momentum 0.9) or "adamw".
        lr: Learning rate of the first step.
        weight_decay: Applied to weights of two or more dimensions, not to biases and norms.
        iterations: Steps in all; the learning rate reaches 0 there.
        micro_batch: Images whose activations are held at once.
        seed: Randomness of a step (dropout) is seeded by this and the step's number.
        class_weights: What a pixel of each class counts; None: all the same. The loss is divided
            by the weights of the labelled pixels instead of their number.
        loss: Which loss, as `--loss` takes it.
    """

    class_weights: Tensor

    def __init__(  # noqa: PLR0913 - what a step is made of
        self,
        model: SegmentationModel,
        *,
        optimizer: str,
        lr: float,
        weight_decay: float,
        iterations: int,
        micro_batch: int,
        seed: int = 0,
        class_weights: Sequence[float] | None = None,
        loss: str = "cross_entropy",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        keep_dilated_depthwise_exact(model)
        self.optimizer_name = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.iterations = iterations
        self.micro_batch = micro_batch
        self.seed = seed
        self.loss = parse_loss(loss)
        weights = torch.ones(len(model.label_set)) if class_weights is None else class_weights
        self.register_buffer("class_weights", torch.as_tensor(weights), persistent=False)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Take one optimizer step; return the batch's loss."""
        images, labels = batch
        step = self.global_step
        torch.manual_seed((self.seed << 32) + step)
        optimizer = self.optimizers()
        assert isinstance(optimizer, lightning.pytorch.core.optimizer.LightningOptimizer)
        for group in optimizer.param_groups:
            group["lr"] = self.lr * poly_decay(step, self.iterations)
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        divisors = self.loss.divisors(self._targets(labels))
        for start in range(0, len(images), self.micro_batch):
            part = slice(start, start + self.micro_batch)
            loss = self.loss_share(images[part], labels[part], divisors)
            self.manual_backward(loss)
            total += loss.detach()
        optimizer.step()
        return total

    def loss_share(self, images: Tensor, labels: Tensor, divisors: Tensor | None = None) -> Tensor:
        """Return what a micro-batch contributes to the loss of its batch.

        Args:
            images: (N, C, H, W), not normalised.
            labels: (N, H, W).
            divisors: Those of the whole batch; None: these images are all of it.
        """
        targets = self._targets(labels)
        if divisors is None:
            divisors = self.loss.divisors(targets)
        x = normalise(images, self.model.normalization)
        x = x.contiguous(memory_format=torch.channels_last)
        scores = self.model.score(x)
        loss = self.loss.share(scores.main, targets, divisors)
        shares = self.model.auxiliary_weights(len(scores.auxiliary))
        for share, auxiliary in zip(shares, scores.auxiliary, strict=True):
            loss = loss + share * self.loss.share(auxiliary, targets, divisors)
        return loss

    def _targets(self, labels: Tensor) -> Targets:
        return Targets(
            labels,
            self.class_weights,
            ignore_index=self.model.label_set.ignore_index,
            align_corners=self.model.align_corners,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the normalisation, which a trained model may have brought: no weight holds it."""
        checkpoint["normalization"] = self.model.normalization.to_json()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer with its two groups: decayed weights, everything else."""
        decayed = [p for p in self.model.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.model.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        if self.optimizer_name == "adamw":
            return torch.optim.AdamW(groups, lr=self.lr)
        return torch.optim.SGD(groups, lr=self.lr, momentum=0.9)


def poly_decay(step: int, steps: int, power: float = 0.9) -> float:
    """Factor of the learning rate at `step` of `steps` (DeepLab v2, Sec. 4.1).

    Example:
        >>> poly_decay(0, 100), round(poly_decay(50, 100), 4), poly_decay(100, 100)
        (1.0, 0.5359, 0.0)
    """
    return float(max(0.0, 1 - step / steps) ** power)
