"""The parts of a transformer, each once: its equation is its docstring, its code is the equation."""
from minillm.layers.attention import Attention, visible
from minillm.layers.gating import HeadGate, SinkSoftmax
from minillm.layers.latent import LatentAttention
from minillm.layers.linear import ATTENTIONS, DeltaAttention, LinearAttention, ShortConvolution
from minillm.layers.mlp import GELU, MLPS, CappedSwiGLU, ExactGELU, GeGLU, ReLU, ReLU2, SwiGLU
from minillm.layers.moe import Mixture, balance_loss, nudge
from minillm.layers.norm import NORMS, HeadNorm, LayerNorm, RMSNorm, Softcap
from minillm.layers.position import ADDED, BIASED, ROTATED, ALiBi, Learned, RoPE, Sinusoidal
from minillm.layers.residual import RESIDUALS, FirstAgain

POSITIONS = ADDED | ROTATED | BIASED

__all__ = ["Attention", "LatentAttention", "LinearAttention", "DeltaAttention", "ShortConvolution", "HeadGate",
           "SinkSoftmax", "Softcap", "visible", "Mixture", "balance_loss", "nudge",
           "LayerNorm", "RMSNorm", "HeadNorm", "Learned", "Sinusoidal", "RoPE", "ALiBi", "ReLU", "ReLU2", "GELU",
           "ExactGELU", "SwiGLU", "CappedSwiGLU", "GeGLU",
           "FirstAgain", "ATTENTIONS", "RESIDUALS", "NORMS", "POSITIONS", "MLPS"]
