"""Stack the parts into a model: tokens in, a score for every possible next token out."""
from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from minillm.cache import KVCache, LayerCache
from minillm.config import CHOICES, ModelConfig
from minillm.layers import POSITIONS
from minillm.layers.accounts import label
from minillm.layers.attention import rope_of
from minillm.layers.linear import ATTENTIONS
from minillm.layers.mlp import MLPS
from minillm.layers.moe import Mixture
from minillm.layers.norm import NORMS, Softcap
from minillm.layers.position import ADDED, RoPE
from minillm.layers.residual import RESIDUALS


class PreBlock(nn.Module):
    r"""Normalise what goes into each part; the residual stream itself stays untouched.  Radford et al. 2019.

    $$ x \leftarrow x + \mathrm{attention}(\mathrm{norm}_1(x)), \qquad
       x \leftarrow x + \mathrm{mlp}(\mathrm{norm}_2(x)) $$
    """
    label = "norms before each part"
    norms = ("attention_norm", "mlp_norm")

    def __init__(self, config: ModelConfig, layer: int = 0, *, rope: RoPE | None = None):
        super().__init__()
        c = config.resolve()
        self.attention = ATTENTIONS[c.attention_of(layer)](c, layer, rope=rope)
        self.mlp = Mixture(c) if c.is_mixture(layer) else MLPS[c.mlp](c.d_model, c.d_ff, bias=c.is_biased("mlp"))
        self.dropout = nn.Dropout(c.dropout)
        for name in self.norms:
            self.add_module(name, NORMS[c.norm](c.d_model, eps=c.norm_eps, weight=c.norm_weight))

    def forward(self, x: Float[Tensor, "batch seq d_model"], cache: LayerCache | None = None
                ) -> Float[Tensor, "batch seq d_model"]:
        x = x + self.dropout(self.attention(self.attention_norm(x), cache))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class PostBlock(PreBlock):
    r"""Normalise the sum, as the first transformer did.  Vaswani et al. 2017, arXiv:1706.03762.

    $$ x \leftarrow \mathrm{norm}_1(x + \mathrm{attention}(x)), \qquad
       x \leftarrow \mathrm{norm}_2(x + \mathrm{mlp}(x)) $$
    """
    label = "norms after each sum"
    norms = ("attention_out_norm", "mlp_out_norm")

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        x = self.attention_out_norm(x + self.dropout(self.attention(x, cache)))
        return self.mlp_out_norm(x + self.dropout(self.mlp(x)))


class OutputBlock(PreBlock):
    r"""Normalise what comes out of each part.  OLMo 2, Team OLMo 2025, arXiv:2501.00656.

    $$ x \leftarrow x + \mathrm{norm}_1(\mathrm{attention}(x)), \qquad
       x \leftarrow x + \mathrm{norm}_2(\mathrm{mlp}(x)) $$
    """
    label = "norms after each part"
    norms = ("attention_out_norm", "mlp_out_norm")

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        x = x + self.dropout(self.attention_out_norm(self.attention(x, cache)))
        return x + self.dropout(self.mlp_out_norm(self.mlp(x)))


class SandwichBlock(PreBlock):
    r"""Normalise what goes in and what comes out.  Gemma 2, Gemma Team 2024, arXiv:2408.00118.

    $$ x \leftarrow x + \mathrm{norm}_2(\mathrm{attention}(\mathrm{norm}_1(x))), \qquad
       x \leftarrow x + \mathrm{norm}_4(\mathrm{mlp}(\mathrm{norm}_3(x))) $$
    """
    label = "norms before and after each part"
    norms = ("attention_norm", "attention_out_norm", "mlp_norm", "mlp_out_norm")

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        x = x + self.dropout(self.attention_out_norm(self.attention(self.attention_norm(x), cache)))
        return x + self.dropout(self.mlp_out_norm(self.mlp(self.mlp_norm(x))))


class ParallelBlock(PreBlock):
    r"""Attention and MLP read the same stream, side by side.  GPT-NeoX, Black et al. 2022, arXiv:2204.06745.

    $$ x \leftarrow x + \mathrm{attention}(\mathrm{norm}_1(x)) + \mathrm{mlp}(\mathrm{norm}_2(x)) $$
    """
    label = "attention and MLP side by side, two norms"

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        attended = self.dropout(self.attention(self.attention_norm(x), cache))
        return x + attended + self.dropout(self.mlp(self.mlp_norm(x)))


class SharedParallelBlock(PreBlock):
    r"""Side by side, from one norm (GPT-J, Phi).  Wang and Komatsuzaki 2021, "GPT-J-6B".

    $$ x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x)) + \mathrm{mlp}(\mathrm{norm}(x)) $$
    """
    label = "attention and MLP side by side, one norm"
    norms = ("attention_norm",)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        normed = self.attention_norm(x)
        return x + self.dropout(self.attention(normed, cache)) + self.dropout(self.mlp(normed))


class Transformer(nn.Module):
    r"""A decoder-only language model.  `Transformer(config)(tokens)` gives logits of shape (batch, seq, vocab).

    $$ x_{td} = W^{embed}_{w_t d}, \qquad x \leftarrow \mathrm{block}_l(x) \;\; (l = 1 \ldots L), \qquad
       \ell_{tv} = \sum_d W^{unembed}_{vd} \, \mathrm{norm}(x_t)_d $$

    The probability of the next token is softmax_v(ℓ_tv).  With a `cache` (a `KVCache`) the tokens continue those
    already in it.  Raises ValueError where they would exceed the context, IndexError for an id it has no row for.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.nameless: tuple[int, ...] = ()  # rows that no token of the tokenizer stands for; `generate` draws none
        c = config.resolve()
        self.embed = nn.Embedding(c.vocab_size, c.d_model)
        self.embed_factor = math.sqrt(c.d_model) if c.embed_scale else 1.0
        self.position = ADDED[c.position](c.d_model, c.context_length) if c.position in ADDED else Unplaced()
        norm = dict(eps=c.norm_eps, weight=c.norm_weight)
        self.embed_norm = NORMS[c.norm](c.d_model, **norm) if c.embed_norm else nn.Identity()
        self.dropout = nn.Dropout(c.dropout)
        kinds = {c.is_windowed(i): i for i in range(c.n_layers) if c.is_turned(i)}
        ropes = {windowed: rope_of(config, i) for windowed, i in kinds.items()}  # one table for all of a kind
        self.blocks = nn.ModuleList(
            BLOCKS[c.norm_order](config, i, rope=ropes.get(c.is_windowed(i))) for i in range(c.n_layers))
        self.residuals = nn.ModuleList(RESIDUALS[c.residual]() for _ in range(c.n_layers))
        self.norm = nn.Identity() if c.norm_order == "post" else NORMS[c.norm](c.d_model, **norm)
        self.unembed = nn.Linear(c.d_model, c.vocab_size, bias=c.unembed_bias)
        self.softcap = Softcap(c.logit_softcap) if c.logit_softcap else nn.Identity()
        if c.tie_embeddings:
            self.unembed.weight = self.embed.weight
        initialize(self)

    def forward(self, tokens: Int[Tensor, "batch seq"], cache: KVCache | None = None
                ) -> Float[Tensor, "batch seq vocab"]:
        if tokens.ndim != 2 or tokens.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"tokens of shape {tuple(tokens.shape)} and {tokens.dtype} are no batch of ids; one text "
                             f"is tokens[None], and tokens.long() makes ids of them")
        start = 0 if cache is None else cache.length
        if start + tokens.shape[1] > self.config.context_length:
            raise ValueError(f"seq={start + tokens.shape[1]} exceeds context_length={self.config.context_length}; "
                             f"crop the tokens, or raise context_length")
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.embed_norm(self.position(self.embed(tokens) * self.embed_factor, positions))
        x = first = self.dropout(x)
        for i, (residual, block) in enumerate(zip(self.residuals, self.blocks, strict=True)):
            x = block(residual(x, first), None if cache is None else cache[i])
        return self.softcap(self.unembed(self.norm(x)))

    def fuse(self, fused: bool = True) -> Transformer:
        """Switch every attention between PyTorch's fused kernel and the three readable lines."""
        for block in self.blocks:
            block.attention.fused = fused
        return self


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Run without dropout, and leave every part in the mode it was in."""
    training = [part for part in model.modules() if part.training] if model.training else []
    try:
        yield model.eval() if training else model
    finally:
        for part in training:
            part.training = True


class WithoutWeights(TorchFunctionMode):
    """Build a model within this, and its weights take no memory and no time: names, shapes and computed tables are
    there.  Drawing on PyTorch's "meta" device would load its compiler first (800 modules, a second or two)."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if function is torch.Tensor.normal_:
            return args[0]
        if function in (torch.empty, torch.zeros, torch.ones):
            kwargs = {**kwargs, "device": "meta"}
        return function(*args, **kwargs)


class Unplaced(nn.Module):
    """Add nothing to the embeddings: the position is told elsewhere, or not at all."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        return x


@torch.no_grad()
def initialize(model: Transformer) -> None:
    """Draw weights from N(0, 0.02²), those that write to the residual stream smaller by sqrt(2 n_layers).

    Radford et al. 2019, section 2.3.  The unembedding is kept small enough that every token starts out about as
    likely as any other: the loss before training is ln(vocab_size), whatever the choices.
    """
    c = model.config
    for name, weight in model.named_parameters():
        if name.endswith("proj.weight") or name.endswith("router.weight"):
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(weight, std=0.02 / math.sqrt(2 * c.n_layers) if writes else 0.02)
        elif name.endswith(("proj.bias", "router.bias")) or name == "unembed.bias":
            nn.init.zeros_(weight)
        elif name in ("embed.weight", "position.weight"):
            nn.init.normal_(weight, std=0.02)
    rescaled = c.embed_scale or c.embed_norm or c.norm_order == "post"  # a token then resembles itself by std x d_model
    nn.init.normal_(model.unembed.weight, std=min(0.02, 1 / c.d_model if rescaled else 0.5 / math.sqrt(c.d_model)))


BLOCKS = {"pre": PreBlock, "post": PostBlock, "output": OutputBlock, "sandwich": SandwichBlock,
          "parallel": ParallelBlock, "parallel-shared": SharedParallelBlock}
TABLES = {"attention": ATTENTIONS, "linear_attention": ATTENTIONS, "norm": NORMS, "norm_order": BLOCKS,
          "residual": RESIDUALS, "position": POSITIONS, "mlp": MLPS}
WORDS = {"position": {"none": "no positions"}, "qk_norm": {None: "none", "head": "per head", "full": "full width"},
         "linear_attention": {None: "no linear layers"}}


def labels(choice: str) -> dict[str | None, str]:
    """What each value of a choice (a field in CHOICES) is called in pictures, lists and files: as its class says."""
    return {value: label(TABLES[choice][value]) if value in TABLES.get(choice, ()) else
            WORDS.get(choice, {}).get(value, str(value)) for value in CHOICES[choice]}
