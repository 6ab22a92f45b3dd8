"""Parameters of one group for all seeds, and Adam as TensorFlow does it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.behaviors.api import OptimizerSettings

BETAS = (0.9, 0.999)
ALIGNMENT = 16  # floats, so that every parameter begins on a cache line, where convolution libraries are faster


class Group:
    """Parameters, gradients and Adam's moments of one group for all seeds, each one buffer [S, P].

    settings  None for a slow copy, which has no loss
    """

    def __init__(self, module: nn.Module, num_seeds: int, device: torch.device, settings: OptimizerSettings | None):
        self.settings = settings
        self.layout: dict[str, tuple[int, torch.Size]] = {}
        size = 0
        for name, parameter in module.named_parameters():
            self.layout[name] = (size, parameter.shape)
            size += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        self.values = torch.zeros(num_seeds, size, device=device)
        if settings is not None:
            self.gradient, self.scratch = torch.zeros_like(self.values), torch.zeros_like(self.values)
            self.mean, self.square = torch.zeros_like(self.values), torch.zeros_like(self.values)

    @property
    def trained(self) -> bool:
        return self.settings is not None

    @property
    def kept(self) -> dict[str, Tensor]:
        """The buffers that an update changes and a later one reads, for checkpoints."""
        return {"values": self.values, **({"mean": self.mean, "square": self.square} if self.trained else {})}

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """name -> [S, *shape] (or [*shape] from one row), sharing memory with the buffer."""
        lead = buffer.shape[:-1]
        return {
            name: buffer[..., start : start + shape.numel()].view(*lead, *shape) for name, (start, shape) in self.layout.items()
        }

    def gradient_norm(self) -> Tensor:
        """[S]. Exact to 1e-7 on a CPU, where `vector_norm` of five million numbers is 1e-4 to 8e-4 too small."""
        return torch.square(self.gradient, out=self.scratch).sum(1).sqrt()

    def descend(self, alive: Tensor, norm: Tensor, step: Tensor) -> None:
        """One step of Adam for the seeds in `alive`, after clipping; `norm` [S] is that of the gradient.

        As in Keras, epsilon is added to √v before its bias correction.
        """
        assert self.settings is not None
        scale = self.settings.clip_norm / norm.clamp_min(self.settings.clip_norm)
        if self.values.device.type == "cpu":
            self._descend_in_one_pass(self.settings, alive, scale, float(step))
            return
        first, second = BETAS
        # A fill, not a product with 0, because the gradient of a diverged seed is not finite.
        self.gradient.mul_(scale[:, None]).masked_fill_(~alive[:, None], 0.0)
        self.mean.lerp_(self.gradient, 1.0 - first)
        self.square.mul_(second).addcmul_(self.gradient, self.gradient, value=1.0 - second)
        rate = self.settings.learning_rate * (1.0 - second**step).sqrt() / (1.0 - first**step)
        torch.sqrt(self.square, out=self.scratch).add_(self.settings.epsilon)
        torch.div(self.mean, self.scratch, out=self.scratch)
        if self.settings.weight_decay:
            self.values.mul_((1.0 - self.settings.weight_decay * alive)[:, None])
        self.values.addcmul_(self.scratch, -(rate * alive)[:, None])

    def _descend_in_one_pass(self, settings: OptimizerSettings, alive: Tensor, scale: Tensor, step: float) -> None:
        """The same on a CPU with torch's fused Adam, because every pass over the buffers costs time.

        Fused Adam adds epsilon after the bias correction of √v, so it gets Keras' epsilon divided by the correction.
        """
        first, second = BETAS
        rows = alive.nonzero().flatten().tolist()
        if (scale < 1.0).any():
            self.gradient.mul_(scale[:, None])
        if settings.weight_decay:
            self.values.mul_((1.0 - settings.weight_decay * alive)[:, None])
        if not rows:
            return
        values, gradients, means, squares = (
            [buffer[row] for row in rows] for buffer in (self.values, self.gradient, self.mean, self.square)
        )
        torch._fused_adam_(
            values,
            gradients,
            means,
            squares,
            [],
            [torch.tensor(step) for _ in rows],
            lr=settings.learning_rate,
            beta1=first,
            beta2=second,
            weight_decay=0.0,
            eps=settings.epsilon / (1.0 - second**step) ** 0.5,
            amsgrad=False,
            maximize=False,
        )
