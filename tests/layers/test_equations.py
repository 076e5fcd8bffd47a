"""Every equation in a docstring is what its class computes: each is evaluated here, spelled by hand in NumPy.

The equation's text is part of the test: whoever rewrites it has to evaluate it anew.
"""
from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import minillm.layers as layers
from minillm.config import ModelConfig
from minillm.layers import attention as attention_module
from minillm.layers.moe import balance_loss, nudge
from minillm.model import BLOCKS, Transformer
from minillm.notebook.explain import equations

CONFIG = ModelConfig(vocab_size=11, d_model=8, n_layers=2, n_heads=4, n_kv_heads=2, context_length=9,
                     tie_embeddings=False, n_experts=3, experts_per_token=2, n_shared_experts=1, d_ff=12)
EPS = 1e-5


def shaken(module: nn.Module) -> nn.Module:
    """Random gains and biases, so that no letter of an equation is without effect."""
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.7)
    return module.double()


def array(x: torch.Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def matrix(linear: nn.Linear) -> np.ndarray:
    return array(linear.weight)


def gelu(u):
    return 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u ** 3)))


def phi(u):
    return 0.5 * (1 + np.vectorize(math.erf)(u / math.sqrt(2)))


def rms(x, gain, eps=EPS):
    return gain * x / np.sqrt((x ** 2).mean(-1, keepdims=True) + eps)


def plain(module, bend):
    def evaluate(x):
        return bend(x @ matrix(module.up_proj).T) @ matrix(module.down_proj).T
    return evaluate


def gated(module, bend):
    def evaluate(x):
        return (bend(x @ matrix(module.gate_proj).T) * (x @ matrix(module.up_proj).T)) @ matrix(module.down_proj).T
    return evaluate


def capped(module):
    def evaluate(x):
        u, up = np.minimum(x @ matrix(module.gate_proj).T, 7), np.clip(x @ matrix(module.up_proj).T, -7, 7)
        return (u / (1 + np.exp(-1.702 * u)) * (1 + up)) @ matrix(module.down_proj).T
    return evaluate


def rope(x):
    """i' = i + E/2, omega_i = theta^(-2i/E)"""
    y, half = np.empty_like(x), x.shape[-1] // 2
    for t in range(x.shape[-2]):
        for i in range(half):
            omega = 100.0 ** (-2 * i / x.shape[-1])
            cos, sin = math.cos(t * omega), math.sin(t * omega)
            a, b = x[..., t, i], x[..., t, i + half]
            y[..., t, i], y[..., t, i + half] = cos * a - sin * b, sin * a + cos * b
    return y


def sinusoidal(x):
    y, d = x.copy(), x.shape[-1]
    for t in range(x.shape[-2]):
        for i in range(d // 2):
            y[..., t, 2 * i] += math.sin(t * 10_000 ** (-2 * i / d))
            y[..., t, 2 * i + 1] += math.cos(t * 10_000 ** (-2 * i / d))
    return y


def attend(module):
    def evaluate(x):
        width, group = module.d_head, module.group
        q, k, v = (x @ matrix(m).T for m in (module.q_proj, module.k_proj, module.v_proj))
        z = np.zeros_like(q)
        for h in range(q.shape[-1] // width):
            mine, shared = slice(h * width, (h + 1) * width), slice(h // group * width, (h // group + 1) * width)
            for t in range(x.shape[-2]):
                scores = [(q[0, t, mine] * k[0, s, shared]).sum() / math.sqrt(width) for s in range(t + 1)]
                pattern = softmax(np.array(scores))
                z[0, t, mine] = sum(a * v[0, s, shared] for s, a in enumerate(pattern))
        return z @ matrix(module.o_proj).T
    return evaluate


def attend_latent(module):
    def evaluate(x):
        (e, r), heads = module.widths, module.n_heads
        q = (x @ matrix(module.q_proj).T).reshape(6, heads, e + r)  # of each head, first Q, then P
        c = rms(x[0] @ matrix(module.latent_proj).T, array(module.latent_norm.weight))
        turned, p = rope(x @ matrix(module.rotary_proj).T)[0], rope(q[..., e:].swapaxes(0, 1))
        k, v = ((c @ matrix(m).T).reshape(6, heads, e) for m in (module.k_proj, module.v_proj))
        z = np.zeros((6, heads, e))
        for h in range(heads):
            for t in range(6):
                scores = [(q[t, h, :e] @ k[s, h] + p[h, t] @ turned[s]) / math.sqrt(e + r) for s in range(t + 1)]
                z[t, h] = sum(a * v[s, h] for s, a in enumerate(softmax(np.array(scores))))
        return z.reshape(1, 6, heads * e) @ matrix(module.o_proj).T
    return evaluate


def linear(module, *, delta):
    """The recurrent form, one token after the other."""
    def evaluate(x):
        width, group = module.d_head, module.group
        q, k, v = (x[0] @ matrix(m).T for m in (module.q_proj, module.k_proj, module.v_proj))
        rate = 1 / (1 + np.exp(-x[0] @ matrix(module.rate_proj).T)) if delta else np.ones((6, q.shape[1]))
        z = np.zeros_like(q)
        for h in range(q.shape[1] // width):
            mine, shared = slice(h * width, (h + 1) * width), slice(h // group * width, (h // group + 1) * width)
            state = np.zeros((width, width))
            for t in range(6):
                key = k[t, shared] / np.linalg.norm(k[t, shared])
                new = v[t, shared] - key @ state * delta
                state = state + np.outer(key, rate[t, h // group] * new)
                z[t, mine] = rms(q[t, mine] / np.linalg.norm(q[t, mine]) @ state, array(module.out_norm.weight))
        return z[None] @ matrix(module.o_proj).T
    return evaluate


def convolved(module):
    def evaluate(x):
        y, width = np.zeros_like(x), module.width
        for t, i in np.ndindex(x.shape[1], width):
            y[0, t] += array(module.weight)[:, i] * (x[0, t - width + 1 + i] if t - width + 1 + i >= 0 else 0)
        return y
    return evaluate


def mixture(module):
    def evaluate(x):
        y = np.zeros_like(x)
        for place in np.ndindex(x.shape[:-1]):
            p = softmax(x[place] @ matrix(module.router).T)
            top = np.argsort(-p)[:2]
            for e in top:
                y[place] += p[e] / p[top].sum() * gated(module.experts[e], lambda u: u / (1 + np.exp(-u)))(x[place])
        return y + gated(module.shared, lambda u: u / (1 + np.exp(-u)))(x)
    return evaluate


def block(module):
    """The norms, attention and MLP are evaluated above; here only what is added to what."""
    def f(name):
        return lambda x: array(getattr(module, name)(torch.from_numpy(x)))
    attention, mlp = f("attention"), f("mlp")
    n1, n2, n3, n4 = ([f(name) for name in module.norms] * 4)[:4]

    def evaluate(x):
        kind = type(module).__name__
        if kind == "PreBlock":
            x = x + attention(n1(x))
            return x + mlp(n2(x))
        if kind == "PostBlock":
            x = n1(x + attention(x))
            return n2(x + mlp(x))
        if kind == "OutputBlock":
            x = x + n1(attention(x))
            return x + n2(mlp(x))
        if kind == "SandwichBlock":
            x = x + n2(attention(n1(x)))
            return x + n4(mlp(n3(x)))
        if kind == "ParallelBlock":
            return x + attention(n1(x)) + mlp(n2(x))
        return x + attention(n1(x)) + mlp(n1(x))
    return evaluate


def both(x, module, evaluate, *more):
    return array(module(torch.from_numpy(x), *more)), evaluate(x)


def gate(module):
    def evaluate(z):
        y = np.empty_like(z)
        for h, t in np.ndindex(z.shape[1:3]):
            y[0, h, t] = z[0, h, t] / (1 + np.exp(-(matrix(module.gate_proj)[h] * X[0, t]).sum()))
        return y
    return evaluate


def sink(module):
    def evaluate(scores):
        return np.exp(scores) / (np.exp(array(module.sinks))[:, None, None] + np.exp(scores).sum(-1, keepdims=True))
    return evaluate


X = np.random.default_rng(0).normal(size=(1, 6, 8))
HEADS = np.random.default_rng(1).normal(size=(1, 4, 6, 4))
POSITIONS = torch.arange(6)
MODULES = {
    "RMSNorm": lambda: (m := shaken(layers.RMSNorm(8)), lambda x: rms(x, array(m.weight))),
    "HeadNorm": lambda: (m := shaken(layers.HeadNorm(4)), lambda x: rms(
        x.reshape(1, 6, 2, 4), array(m.weight)).reshape(1, 6, 8)),
    "LayerNorm": lambda: (m := shaken(layers.LayerNorm(8)), lambda x: array(m.weight) * (
        x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPS) + array(m.bias)),
    "Learned": lambda: (m := shaken(layers.Learned(8, 9)), lambda x: x + array(m.weight)[:6], POSITIONS),
    "Sinusoidal": lambda: (layers.Sinusoidal(8, 9).double(), sinusoidal, POSITIONS),
    "ReLU": lambda: (m := shaken(layers.ReLU(8, 12)), plain(m, lambda u: np.maximum(0, u))),
    "ReLU2": lambda: (m := shaken(layers.ReLU2(8, 12)), plain(m, lambda u: np.maximum(0, u) ** 2)),
    "GELU": lambda: (m := shaken(layers.GELU(8, 12)), plain(m, gelu)),
    "ExactGELU": lambda: (m := shaken(layers.ExactGELU(8, 12)), plain(m, lambda u: u * phi(u))),
    "SwiGLU": lambda: (m := shaken(layers.SwiGLU(8, 12)), gated(m, lambda u: u / (1 + np.exp(-u)))),
    "CappedSwiGLU": lambda: (m := shaken(layers.CappedSwiGLU(8, 12)), capped(m)),
    "GeGLU": lambda: (m := shaken(layers.GeGLU(8, 12)), gated(m, gelu)),
    "Softcap": lambda: (layers.Softcap(0.8), lambda x: 0.8 * np.tanh(x / 0.8)),
    "Mixture": lambda: (m := shaken(layers.Mixture(CONFIG)), mixture(m)),
    "LinearAttention": lambda: (m := shaken(layers.LinearAttention(ModelConfig(
        d_model=8, n_heads=4, n_kv_heads=2, linear_attention="sum"))), linear(m, delta=False)),
    "DeltaAttention": lambda: (m := shaken(layers.DeltaAttention(ModelConfig(
        d_model=8, n_heads=4, n_kv_heads=2, linear_attention="delta"))), linear(m, delta=True)),
    "ShortConvolution": lambda: (m := shaken(layers.ShortConvolution(8, 3)), convolved(m)),
    "FirstAgain": lambda: (m := shaken(layers.FirstAgain()), lambda x: array(m.kept) * x + array(m.again) * 2 * X,
                           torch.from_numpy(2 * X)),
    "HeadGate": lambda: (m := shaken(layers.HeadGate(8, 4)), gate(m), torch.from_numpy(X)),
    "SinkSoftmax": lambda: (m := shaken(layers.SinkSoftmax(4)), sink(m)),
    "Attention": lambda: (m := shaken(layers.Attention(ModelConfig(
        d_model=8, n_heads=4, n_kv_heads=2, position="none"))), attend(m)),
    "LatentAttention": lambda: (m := shaken(layers.LatentAttention(ModelConfig(
        d_model=8, n_heads=2, attention="latent", d_latent=5, d_rotary=4, rope_theta=100.0))), attend_latent(m)),
    **{cls.__name__: lambda cls=cls: (m := shaken(cls(CONFIG)), block(m)) for cls in BLOCKS.values()},
}
TEXTS = {  # what is evaluated above, with blanks left out
    "RMSNorm": r"y_d=\gamma_d\,\frac{x_d}{\sqrt{\frac{1}{D}\sum_{i=1}^{D}x_i^2+\varepsilon}}",
    "HeadNorm": r"y_{he}=\gamma_e\,\frac{x_{he}}{\sqrt{\frac{1}{E}\sum_{i=1}^{E}x_{hi}^2+\varepsilon}}",
    "LayerNorm": r"y_d=\gamma_d\,\frac{x_d-\mu}{\sqrt{\sigma^2+\varepsilon}}+\delta_d,\qquad\mu=\frac{1}{D}"
                 r"\sum_{i=1}^{D}x_i,"
                 r"\qquad\sigma^2=\frac{1}{D}\sum_{i=1}^{D}(x_i-\mu)^2",
    "Learned": r"y_{td}=x_{td}+W^{position}_{td}",
    "Sinusoidal": r"y_{t,2i}=x_{t,2i}+\sin(t\,\theta^{-2i/D}),\qquady_{t,2i+1}=x_{t,2i+1}+\cos(t\,\theta^{-2i/D})",
    "RoPE": r"\begin{pmatrix}y_i\\y_{i'}\end{pmatrix}=\begin{pmatrix}\cost\omega_i&-\sint\omega_i\\\sint\omega_i&"
            r"\cost\omega_i\end{pmatrix}\begin{pmatrix}x_i\\x_{i'}\end{pmatrix},\qquad\omega_i=\theta^{-2i/E}",
    "ALiBi": r"S_{hqk}\leftarrowS_{hqk}-\kappa_h\,(q-k),\qquad\kappa_h=2^{-8h/H},\quadh=1\ldotsH",
    "ReLU": r"y=W_{down}\max(0,W_{up}\,x)",
    "ReLU2": r"y=W_{down}\max(0,W_{up}\,x)^2",
    "GELU": r"y=W_{down}\,\mathrm{gelu}(W_{up}\,x),\qquad\mathrm{gelu}(u)=\tfrac{1}{2}u"
            r"\left(1+\tanh\left(\sqrt{2/\pi}\,(u+0.044715\,u^3)"
            r"\right)\right)",
    "ExactGELU": r"y=W_{down}\,\mathrm{gelu}(W_{up}\,x),\qquad\mathrm{gelu}(u)=u\,\Phi(u)",
    "SwiGLU": r"y=W_{down}\left(\mathrm{silu}(W_{gate}\,x)\odotW_{up}\,x\right),\qquad\mathrm{silu}(u)="
              r"\frac{u}{1+\exp(-u)}",
    "CappedSwiGLU": r"y=W_{down}\left(\mathrm{gate}(\min(W_{gate}\,x,7))\odot(1+\max(-7,\min(W_{up}\,x,7)))\right),"
                    r"\qquad\mathrm{gate}(u)=u\,\mathrm{sigmoid}(1.702\,u)",
    "GeGLU": r"y=W_{down}\left(\mathrm{gelu}(W_{gate}\,x)\odotW_{up}\,x\right),\qquad\mathrm{gelu}(u)=\tfrac{1}{2}u"
             r"\left(1+\tanh\left("
             r"\sqrt{2/\pi}\,(u+0.044715\,u^3)\right)\right)",
    "Softcap": r"y=\mathrm{cap}\tanh(x/\mathrm{cap})",
    "Mixture": r"y=\sum_{i\in\mathrm{chosen}}\rho_i\,\mathrm{expert}_i(x)+\mathrm{shared}(x),\qquadp=\mathrm{softmax}"
               r"(W_{router}\,x),\qquad\rho_i=\frac{p_i}{\sum_{j\in\mathrm{chosen}}p_j}",
    "Attention": r"S_{hqk}=\frac{1}{\sqrt{E}}\sum_{e=1}^{E}\mathbf{q}_{hqe}\,\mathbf{k}_{h'ke},\qquadA_{hqk}=\frac{\exp"
                 r"S_{hqk}}{\sum_{k'\leq}\expS_{hqk'}},\qquadz_{hqe}=\sum_{k\leq}A_{hqk}\,\mathbf{v}_{h'ke},\qquadh'="
                 r"\lfloorh\,H_{kv}/H\rfloor",
    "LinearAttention": r"S_{hqk}=\sum_{e=1}^{E}\mathbf{q}_{hqe}\,\mathbf{k}_{h'ke},\qquadz_{hqe}=\sum_{k\leq}S_{hqk}\,"
                       r"\mathbf{v}_{h'ke}=\sum_{i=1}^{E}\mathbf{q}_{hqi}\,\mathrm{state}_{h'qie},\qquad\mathrm{state}"
                       r"_{h'kie}=\mathrm{state}_{h',k-1,ie}+\mathbf{k}_{h'ki}\,\mathbf{v}_{h'ke}",
    "DeltaAttention": r"\mathrm{new}_{h'ke}=\mathrm{rate}_{h'k}\left(\mathbf{v}_{h'ke}-\sum_{i=1}^{E}\mathbf{k}_{h'ki}"
                      r"\,\mathrm{state}_{h',k-1,ie}\right),\qquad\mathrm{state}_{h'kie}=\mathrm{state}_{h',k-1,ie}+"
                      r"\mathbf{k}_{h'ki}\,\mathrm{new}_{h'ke},\qquadz_{hqe}=\sum_{i=1}^{E}\mathbf{q}_{hqi}\,"
                      r"\mathrm{state}_{h'qie}",
    "ShortConvolution": r"y_{td}=\sum_{i=1}^{N_{width}}W_{di}\,x_{t-N_{width}+i,\,d}",
    "FirstAgain": r"x_{td}\leftarrow\mathrm{kept}\cdotx_{td}+\mathrm{again}\cdot\mathrm{first}_{td}",
    "nudge": r"\mathrm{bias}_i\leftarrow\mathrm{bias}_i+\mathrm{rate}\cdot\mathrm{sign}(1/N_{experts}-f_i)",
    "HeadGate": r"y_{hqe}=\mathrm{sigmoid}\left(\sum_{d=1}^{D}W^{gate}_{hd}\,x_{qd}\right)z_{hqe}",
    "SinkSoftmax": r"A_{hqk}=\frac{\expS_{hqk}}{\exp\mathrm{sink}_h+\sum_{k'\leq}\expS_{hqk'}}",
    "LatentAttention": r"\mathrm{latent}_k=\mathrm{norm}(W_{latent}\,x_k),\qquad\mathrm{turned}_k="
                       r"\mathrm{RoPE}(W_{rotary}\,"
                       r"x_k),\qquadS_{hqk}=\frac{1}{\sqrt{E+D_{rotary}}}\left(\sum_{e=1}^{E}\mathbf{q}_{hqe}\,(W_k"
                       r"\,\mathrm{latent}_k)_{he}+\sum_{i=1}^{D_{rotary}}\mathrm{turned}_{hqi}\,\mathrm{turned}_{ki}"
                       r"\right),\qquadz_{hqe}=\sum_{k\leq}A_{hqk}\,(W_v\,\mathrm{latent}_k)_{he}",
    "PreBlock": r"x\leftarrowx+\mathrm{attention}(\mathrm{norm}_1(x)),\qquadx\leftarrowx+\mathrm{mlp}(\mathrm{norm}"
                r"_2(x))",
    "PostBlock": r"x\leftarrow\mathrm{norm}_1(x+\mathrm{attention}(x)),\qquadx\leftarrow\mathrm{norm}_2(x+\mathrm"
                 r"{mlp}(x))",
    "OutputBlock": r"x\leftarrowx+\mathrm{norm}_1(\mathrm{attention}(x)),\qquadx\leftarrowx+\mathrm{norm}_2("
                   r"\mathrm{mlp}(x))",
    "SandwichBlock": r"x\leftarrowx+\mathrm{norm}_2(\mathrm{attention}(\mathrm{norm}_1(x))),\qquadx\leftarrowx+"
                     r"\mathrm{norm}_4(\mathrm{mlp}(\mathrm{norm}_3(x)))",
    "ParallelBlock": r"x\leftarrowx+\mathrm{attention}(\mathrm{norm}_1(x))+\mathrm{mlp}(\mathrm{norm}_2(x))",
    "SharedParallelBlock": r"x\leftarrowx+\mathrm{attention}(\mathrm{norm}(x))+\mathrm{mlp}(\mathrm{norm}(x))",
    "Transformer": r"x_{td}=W^{embed}_{w_td},\qquadx\leftarrow\mathrm{block}_l(x)\;\;(l=1\ldotsL),\qquad"
                   r"\ell_{tv}=\sum_d"
                   r"W^{unembed}_{vd}\,\mathrm{norm}(x_t)_d",
    "balance_loss": r"\mathcal{L}=N_{experts}\sum_{i=1}^{N_{experts}}f_i\,\barp_i",
}
PARTS = {name: getattr(layers, name, None) or {c.__name__: c for c in BLOCKS.values()}.get(name)
         or {"Transformer": Transformer, "balance_loss": balance_loss, "nudge": nudge}[name] for name in TEXTS}


def squeezed(latex: str) -> str:
    return re.sub(r"\s+", "", latex)


@pytest.mark.parametrize("name", TEXTS)
def test_the_equation_evaluated_is_the_one_that_is_shown(name):
    assert [squeezed(each) for each in equations(PARTS[name])] == [TEXTS[name]]


def test_no_equation_is_left_out():
    shown = {x.__name__ for module in (layers, attention_module) for x in vars(module).values()
             if isinstance(x, type) and issubclass(x, nn.Module) and equations(x)}
    assert shown | {cls.__name__ for cls in BLOCKS.values()} <= TEXTS.keys()


@pytest.mark.parametrize("name", MODULES)
def test_the_class_computes_its_equation(name):
    module, evaluate, *more = MODULES[name]()
    ours, expected = both(HEADS if name in ("HeadGate", "SinkSoftmax") else X, module, evaluate, *more)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)  # angles and router are kept in fp32


def test_rope_computes_its_equation():
    module = layers.RoPE(4, theta=100.0).double()
    ours, expected = both(HEADS, module, rope, POSITIONS)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_alibi_computes_its_equation():
    bias = array(layers.ALiBi(8)(POSITIONS, POSITIONS))
    for h, q, k in np.ndindex(8, 6, 6):
        assert bias[h, q, k] == pytest.approx(-2 ** (-8 * (h + 1) / 8) * (q - k))


def test_the_model_computes_its_equation():
    model = shaken(Transformer(CONFIG))
    tokens = torch.randint(0, 11, (1, 6))
    x = array(model.embed.weight)[tokens[0]][None]
    for each in model.blocks:
        x = array(each(torch.from_numpy(x)))
    expected = rms(x, array(model.norm.weight)) @ array(model.unembed.weight).T
    np.testing.assert_allclose(array(model(tokens)), expected, rtol=0, atol=1e-6)


def test_the_balance_loss_computes_its_equation():
    scores = torch.randn(40, 5, dtype=torch.double)
    p = softmax(array(scores))
    chosen = np.argsort(-p, axis=-1)[:, :2]
    f = np.array([(chosen == e).sum() / chosen.size for e in range(5)])
    assert balance_loss(scores, 2).item() == pytest.approx(5 * (f * p.mean(0)).sum(), abs=1e-6)


def test_nudging_computes_its_equation():
    mix, scores = layers.Mixture(ModelConfig(d_model=8, n_experts=5, balance_bias=True)), torch.randn(40, 5)
    chosen = np.argsort(-softmax(array(scores)), axis=-1)[:, :2]
    f = np.array([(chosen == e).sum() / chosen.size for e in range(5)])
    nudge(mix, scores, rate=0.5)
    np.testing.assert_allclose(array(mix.balance), 0.5 * np.sign(1 / 5 - f))
