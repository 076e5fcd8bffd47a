"""The loss of a next token and its gradient at once, for vocabularies whose logits fit into no cache."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def by_pieces(logits: Tensor, targets: Tensor) -> Tensor:
    """The fast twin of `next_token_loss`: the logits are read once instead of six times, and of all that is as large
    as they are only their gradient is made."""
    return Surprise.apply(logits.flatten(0, 1), targets.flatten())


def can_be_by_pieces(logits: Tensor, targets: Tensor) -> bool:
    """Where there is a cache to stay in and a gradient to make, and no scale that it must wait for, as in fp16."""
    return (logits.device.type == "cpu" and logits.requires_grad and torch.is_grad_enabled()
            and logits.dtype in (torch.float32, torch.bfloat16))


class Surprise(torch.autograd.Function):
    """-sum ln softmax(l)_w / n for logits l, (place, vocab), and n targets w; those of -100 are left out."""
    piece = 1 << 18        # logits for each thread: one MiB in fp32

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
        kept, gradient, total = targets >= 0, torch.empty_like(logits), torch.zeros(())
        n, at_once = kept.sum().clamp(min=1), Surprise.piece * torch.get_num_threads()
        rows = max(1, at_once // max(1, logits.shape[-1]))
        for part, w, share, slope in zip(*(x.split(rows) for x in (logits, targets, kept / n, gradient)), strict=True):
            log_p = part.float().log_softmax(-1)
            total += F.nll_loss(log_p, w, reduction="sum")      # refuses what is no target
            p = log_p.exp_()
            p.scatter_add_(-1, w.clamp(min=0)[:, None], p.new_full((len(w), 1), -1.0))
            slope.copy_(p.mul_(share[:, None]))
        ctx.save_for_backward(logits, targets, gradient)
        return total / n

    @staticmethod
    def backward(ctx, along: Tensor) -> tuple[Tensor, None]:
        """(softmax(l) - 1 at the target) / n; by the line that is read, where it shall be differentiated again."""
        logits, targets, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            total = F.cross_entropy(logits.float(), targets, reduction="sum")
            gradient, = torch.autograd.grad(total / (targets >= 0).sum().clamp(min=1), logits, create_graph=True)
        return gradient if along == 1 else gradient * along, None
