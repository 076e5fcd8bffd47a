"""Spell each part of a model for one configuration, as one would write it by hand for that model alone."""
from __future__ import annotations

import ast
from collections.abc import Iterator

from minillm.config import ModelConfig
from minillm.ejection.latent import latent_projections, latent_steps, query_latent
from minillm.ejection.norms import norm_of, shared_norm
from minillm.ejection.positions import many_omegas, omega_of
from minillm.ejection.source import full_layers, initial, kinds, lifted, lines_of, method, said
from minillm.layers.gating import HeadGate, SinkSoftmax
from minillm.layers.linear import ATTENTIONS
from minillm.layers.mlp import MLPS
from minillm.layers.moe import Groups, Mixture
from minillm.layers.residual import FirstAgain
from minillm.model import BLOCKS, Transformer


def attention(c: ModelConfig) -> Iterator[str]:
    """Attention with the heads, norms, positions and masks of this model."""
    cls, windows = ATTENTIONS[c.attention], {c.is_windowed(i) for i in full_layers(c)}
    if not windows:
        return
    given = ", window" * (len(windows) > 1) + ", omega" * many_omegas(c)
    window = "self.window" if len(windows) > 1 else "WINDOW" if windows == {True} else ""
    projections, reading = {"heads": (head_projections, head_steps), "latent": (latent_projections, latent_steps)
                            }[c.attention]
    setup = [f"self.{name} = {name}" for name in given.split(", ")[1:]] + projections(c)
    setup += [f"self.o_proj = nn.Linear(N_HEADS * D_HEAD, D_MODEL, bias={c.is_biased('out')})"]
    setup += ["self.dropout = nn.Dropout(DROPOUT)"] * (c.dropout > 0)

    usual, text = {"heads": (c.d_head, "D_HEAD"), "latent": (c.d_head + c.d_rotary, "(D_HEAD + D_ROTARY)")}[c.attention]
    scale = f"{text} ** -0.5" if c.attention_scale == usual ** -0.5 else "ATTENTION_SCALE"
    hidden = f"(distance < 0) | (distance >= {window})" if window else "distance < 0"
    softmax = "self.softmax(scores)" if c.attention_sinks else "scores.softmax(dim=-1)"
    setup += ["self.softmax = SinkSoftmax()"] * c.attention_sinks + ["self.gate = HeadGate()"] * c.attention_gate
    steps = [*reading(c), "position = torch.arange(x.shape[1], device=x.device)",
             "distance = position[:, None] - position[None, :]  # query key", f"scores = q @ k.mT * {scale}"]
    steps += ["scores = softcap(scores, ATTENTION_CAP)"] * bool(c.attention_softcap)
    steps += ["scores = scores + alibi(distance).to(x.dtype)"] * (c.position == "alibi")
    steps += [f"scores = scores.masked_fill({hidden}, -torch.inf)",
              f"pattern = {f'self.dropout({softmax})' if c.dropout else softmax}",
              f"return self.o_proj({'self.gate(pattern @ v, x)' if c.attention_gate else '(pattern @ v)'}"
              ".transpose(1, 2).flatten(2))"]
    group = c.n_heads // c.n_kv_heads
    sharing = f"{group} query heads share a key head." if group > 1 else "every head has keys of its own: g = 1."
    extra = {"heads": f"Q, K, V are linear in x, cut into heads of width E; {sharing}",
             "latent": "A is the softmax of S over k <= q; Q and P are linear in x, cut into heads; RoPE turns P."
             }[c.attention] + "\nA query sees no key beyond its window." * bool(window)
    extra += "\nHere A is that of SinkSoftmax." * c.attention_sinks + "\nHeadGate multiplies z." * c.attention_gate
    body = "".join(f"        {step}\n" for step in steps).rstrip()
    yield f"""class {cls.__name__}(nn.Module):
    {said(cls, extra)}

{initial(given, setup)}
    def forward(self, x):
{body}"""


def gating(c: ModelConfig) -> Iterator[str]:
    """The heads' gate, the softmax with a sink, and what adds the first stream again."""
    if c.residual == "x0":
        yield lifted(FirstAgain)
    if c.attention_gate:
        yield lifted(HeadGate, d_model="D_MODEL", n_heads="N_HEADS")
    if c.attention == "latent" and c.d_query and full_layers(c):
        yield query_latent(c)
    if c.attention_sinks and full_layers(c):
        yield lifted(SinkSoftmax, n_heads="N_HEADS")


def head_projections(c: ModelConfig) -> list[str]:
    """The matrices that queries, keys and values of heads are read by, and their norms."""
    kv = "N_KV_HEADS" if c.n_kv_heads < c.n_heads else "N_HEADS"
    rows = [f"self.{name}_proj = nn.Linear(D_MODEL, {heads} * D_HEAD, bias={c.is_biased('qkv')})"
            for name, heads in (("q", "N_HEADS"), ("k", kv), ("v", kv))]
    if c.qk_norm:
        name = "HeadNorm" if c.qk_norm == "head" else "RMSNorm" if shared_norm(c) else "QueryKeyNorm"
        wide = c.qk_norm == "full"
        rows += [f"self.{x}_norm = {name}({f'{heads} * D_HEAD' * wide})" for x, heads in (("q", "N_HEADS"), ("k", kv))]
    return rows


def head_steps(c: ModelConfig) -> list[str]:
    """Queries, keys and values of heads, as statements."""
    shared, omega = c.n_kv_heads < c.n_heads, ", self.omega" * many_omegas(c)
    kv = "N_KV_HEADS" if shared else "N_HEADS"
    full, head = ["self.{0}_norm({1})" if c.qk_norm == kind else "{1}" for kind in ("full", "head")]
    turn = f"rope({{}}{omega})" if any(map(c.is_turned, range(c.n_layers))) else "{}"
    read = "{}.unflatten(-1, ({}, D_HEAD)).transpose(1, 2)".format
    steps = [f"q = {read(full.format('q', 'self.q_proj(x)'), 'N_HEADS')}  # batch head seq d_head",
             f"k = {read(full.format('k', 'self.k_proj(x)'), kv)}",
             f"v = {read('self.v_proj(x)', kv)}"]
    q, k = (turn.format(head.format(name, name)) for name in "qk")
    steps += [f"q, k = {q}, {k}"] * (q != "q")
    return steps + ["k, v = (y.repeat_interleave(N_HEADS // N_KV_HEADS, dim=1) for y in (k, v))"] * shared


def mlps(c: ModelConfig) -> Iterator[str]:
    """The MLP, and the mixture of them."""
    cls, routed = MLPS[c.mlp], {c.is_mixture(i) for i in range(c.n_layers)}
    argument = {frozenset({False}): "", frozenset({True}): ", d_ff"}.get(frozenset(routed), ", d_ff=D_FF")
    names = dict(d_model="D_MODEL", d_ff="d_ff" if argument else "D_FF", bias=str(c.is_biased("mlp")))
    yield f"""class {cls.__name__}(nn.Module):
    {said(cls)}

    def __init__(self{argument}):
        {lines_of(cls.__init__, dropout=False, **names)}

    def forward(self, x):
        {lines_of(cls.forward, dropout=False)}"""
    if True in routed:
        weights = "weights / weights.sum(-1, keepdim=True)" if c.normalize_experts else "weights"
        grouped = c.groups_per_token < c.n_expert_groups
        setup = [f"self.router = nn.Linear(D_MODEL, N_EXPERTS, bias={c.router_bias})",
                 f"self.experts = nn.ModuleList({cls.__name__}(D_EXPERT) for _ in range(N_EXPERTS))"]
        setup += ['self.register_buffer("balance", torch.zeros(N_EXPERTS))'] * c.balance_bias
        setup += [f"self.shared = {cls.__name__}(N_SHARED_EXPERTS * D_EXPERT)"] * bool(c.n_shared_experts)
        divide = f"        weights = {weights}\n" if c.normalize_experts else ""
        shared = "self.shared(x) + " if c.n_shared_experts else ""
        extra = "" if c.normalize_experts else "Here ρ_i = p_i."
        extra += " Here p is a sigmoid." * (c.router == "sigmoid")
        judge = {"softmax": "softmax(dim=-1)", "sigmoid": "sigmoid()"}[c.router]
        setup += ["self.within = Groups()"] * grouped
        judged = "p + self.balance" if c.balance_bias else "p"
        ranked = f"self.within({judged})" if grouped else f"({judged})"
        choose = f"""        chosen = {ranked}.topk(EXPERTS_PER_TOKEN, dim=-1).indices
        weights = p.gather(-1, chosen)""" if c.balance_bias or grouped else (
            "        weights, chosen = p.topk(EXPERTS_PER_TOKEN, dim=-1)")
        if grouped:
            known = {"self.n_groups": ast.Name("N_GROUPS"), "self.groups_per_token": ast.Name("GROUPS_PER_TOKEN"),
                     "self.n_best": ast.Constant({"softmax": 1, "sigmoid": 2}[c.router])}
            yield f"class Groups(nn.Module):\n    {said(Groups)}\n\n{method(Groups.forward, known)}"
        yield f"""class Mixture(nn.Module):
    {said(Mixture, (extra + " There are no shared experts: S = 0." * (not c.n_shared_experts)).strip())}

{initial("", setup)}
    def forward(self, x):
        tokens = x.flatten(0, -2)
        p = self.router(tokens).float().{judge}
{choose}
{divide}        routed = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            token, place = torch.where(chosen == e)
            y = weights[token, place, None] * expert(tokens[token])
            routed = routed.index_add(0, token, y.to(routed.dtype))
        return {shared}routed.unflatten(0, x.shape[:-1])"""


def block(c: ModelConfig) -> str:
    """One layer."""
    cls, given = BLOCKS[c.norm_order], [*kind_arguments(c)]
    passed = ", ".join(name for name in given if name not in ("mlp", "attention"))
    mixture = all(c.is_mixture(i) for i in range(c.n_layers))
    mlp = "mlp" if "mlp" in given else "Mixture" if mixture else MLPS[c.mlp].__name__
    attend = "attention" if "attention" in given else ATTENTIONS[c.attention_of(0)].__name__
    made = {"attention_norm": norm_of(c), "attention": f"{attend}({passed})", "attention_out_norm": norm_of(c),
            "mlp_norm": norm_of(c), "mlp": f"{mlp}()", "mlp_out_norm": norm_of(c)}  # in the order of use
    setup = [f"self.{name} = {how}" for name, how in made.items() if name in ("attention", "mlp", *cls.norms)]
    setup += ["self.dropout = nn.Dropout(DROPOUT)"] * (c.dropout > 0)
    return f"""class Block(nn.Module):
    {said(cls)}

{initial("".join(f", {name}" for name in given), setup)}
    def forward(self, x):
        {lines_of(cls.forward, dropout=c.dropout > 0)}"""


def kind_arguments(c: ModelConfig) -> dict[str, list[str]]:
    """What a block is told about its kind: the argument's name -> its value for each kind."""
    layers = kinds(c).values()
    full = {"window": {i: "WINDOW" if c.is_windowed(i) else "CONTEXT_LENGTH" for i in layers if not c.is_linear(i)},
            "omega": {i: omega_of(c, i) for i in layers if not c.is_linear(i)}}
    rows = {"attention": [ATTENTIONS[c.attention_of(i)].__name__ for i in layers],
            **{name: [values.get(i) for i in layers] for name, values in full.items() if len(set(values.values())) > 1},
            "mlp": ["Mixture" if c.is_mixture(i) else MLPS[c.mlp].__name__ for i in layers]}
    if c.position != "rope":
        rows.pop("omega", None)
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def transformer(c: ModelConfig) -> str:
    """The whole model, and how its weights begin."""
    arguments = kind_arguments(c)
    setup = ["self.embed = nn.Embedding(VOCAB_SIZE, D_MODEL)"]
    setup += ["self.position = Learned()"] * (c.position == "learned")
    setup += [f"self.embed_norm = {norm_of(c)}"] * c.embed_norm
    setup += ["self.dropout = nn.Dropout(DROPOUT)"] * (c.dropout > 0)
    if arguments:
        setup += ["kinds = {"]
        for n, kind in enumerate(kinds(c)):
            comma = ",\n" + " " * 17 if len(arguments) > 2 else ", "
            values = comma.join(f"{name}={row[n]}" for name, row in arguments.items())
            setup += [f'    "{kind}": dict({values}),']
        setup += ["}", "self.blocks = nn.ModuleList(Block(**kinds[kind]) for kind in LAYERS)"]
    else:
        setup += ["self.blocks = nn.ModuleList(Block() for _ in range(N_LAYERS))"]
    again = c.residual == "x0"
    setup += ["self.residuals = nn.ModuleList(FirstAgain() for _ in range(N_LAYERS))"] * again
    setup += [f"self.norm = {norm_of(c)}"] * (c.norm_order != "post")
    setup += [f"self.unembed = nn.Linear(D_MODEL, VOCAB_SIZE, bias={c.unembed_bias})"]
    setup += ["self.unembed.weight = self.embed.weight  # tied"] * c.tie_embeddings
    setup += ["self.initialize()"]

    x = "self.embed(tokens)" + " * D_MODEL ** 0.5" * c.embed_scale
    x = {"learned": f"self.position({x})", "sinusoidal": f"sinusoidal({x})"}.get(c.position, x)
    x = f"self.embed_norm({x})" if c.embed_norm else x
    logits = "self.unembed(x)" if c.norm_order == "post" else "self.unembed(self.norm(x))"
    text = said(Transformer, "The probability of the next token is softmax_v(ℓ_tv).")
    text = text.replace("Transformer(config)", "Transformer()")
    text = text.replace(r"\mathrm{norm}(x_t)_d", "x_{td}") if c.norm_order == "post" else text
    return f"""class Transformer(nn.Module):
    {text}

{initial("", setup)}
    def forward(self, tokens):
        x = {"first = " * again}{f"self.dropout({x})" if c.dropout else x}
        for {"residual, block in zip(self.residuals, self.blocks)" if again else "block in self.blocks"}:
            x = block({"residual(x, first)" if again else "x"})
        return {f"softcap({logits}, LOGIT_CAP)" if c.logit_softcap else logits}

{initialize(c)}"""


def initialize(c: ModelConfig) -> str:
    """How the weights begin, as `minillm.model.initialize` draws them."""
    drawn = ["proj.weight", *["router.weight"] * bool(c.n_experts), *["position.weight"] * (c.position == "learned"),
             *["embed.weight"] * (not c.tie_embeddings)]
    zero = ["proj.bias"] * (c.bias != "none") + ["router.bias"] * c.router_bias + ["unembed.bias"] * c.unembed_bias
    rescaled = c.embed_scale or c.embed_norm or c.norm_order == "post"
    std, text = (1 / c.d_model, "1 / D_MODEL") if rescaled else (0.5 / c.d_model ** 0.5, "0.5 / D_MODEL ** 0.5")
    names, zero_names = (str(tuple(row) if len(row) > 1 else f"'{row[0]}'").replace("'", '"') if row else ""
                         for row in (drawn, zero))
    zeros = f"""
            elif name.endswith({zero_names}):
                nn.init.zeros_(weight)""" if zero else ""
    return f'''    @torch.no_grad()
    def initialize(self):
        """Draw weights from N(0, 0.02²), those that write to the residual stream smaller.  Radford et al. 2019."""
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * N_LAYERS) ** 0.5)
            elif name.endswith({names}):
                nn.init.normal_(weight, std=0.02){zeros}
        nn.init.normal_(self.unembed.weight, std={"0.02" if std > 0.02 else text})'''
