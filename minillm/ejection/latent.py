"""Spell how latent attention reads queries, keys and values in one configuration."""
from __future__ import annotations

from minillm.config import ModelConfig
from minillm.ejection.norms import shared_norm
from minillm.ejection.positions import many_omegas
from minillm.ejection.source import initial, method, said
from minillm.layers.latent import QueryLatent


def latent_projections(c: ModelConfig) -> list[str]:
    """Its matrices, and the norm of the latent."""
    norm = norm_of_latent(c, "D_LATENT")
    shapes = {"q": ("D_MODEL", "N_HEADS * (D_HEAD + D_ROTARY)"), "latent": ("D_MODEL", "D_LATENT"),
              "rotary": ("D_MODEL", "D_ROTARY"), "k": ("D_LATENT", "N_HEADS * D_HEAD"),
              "v": ("D_LATENT", "N_HEADS * D_HEAD")}
    if c.d_query:
        shapes["q"] = ("D_QUERY", shapes["q"][1])
    rows = ["self.q_latent = QueryLatent()"] * bool(c.d_query)
    rows += [f"self.{name}_proj = nn.Linear({n_in}, {n_out}, bias={c.is_biased('qkv') and n_in == 'D_MODEL'})"
            for name, (n_in, n_out) in shapes.items()]
    return [*rows, f"self.latent_norm = {norm}"]


def latent_steps(c: ModelConfig) -> list[str]:
    """Queries, keys and values, as statements."""
    turned = any(map(c.is_turned, range(c.n_layers)))
    turn = f"rope({{}}{', self.omega' * many_omegas(c)})" if turned else "{}"
    read = "self.q_latent(x)" if c.d_query else "x"
    return [f"q = self.q_proj({read}).unflatten(-1, (N_HEADS, -1)).transpose(1, 2)  # batch head seq d_head",
            "q, p = q.split((D_HEAD, D_ROTARY), dim=-1)",
            "latent = self.latent_norm(self.latent_proj(x))",
            "k, v = (read(latent).unflatten(-1, (N_HEADS, -1)).transpose(1, 2) for read in (self.k_proj, self.v_proj))",
            f"r = {turn.format('self.rotary_proj(x)[:, None]')}.expand(*k.shape[:3], -1)  # one key for all heads",
            f"q, k = torch.cat([q, {turn.format('p')}], dim=-1), torch.cat([k, r], dim=-1)"]


def norm_of_latent(c: ModelConfig, width: str) -> str:
    """How the norm of a latent is made."""
    return f"RMSNorm({width})" if shared_norm(c) else f"LatentNorm({width if c.d_query else ''})"


def query_latent(c: ModelConfig) -> str:
    """What queries are read from, where that is no stream."""
    setup = [f"self.query_proj = nn.Linear(D_MODEL, D_QUERY, bias={c.is_biased('qkv')})",
             f"self.norm = {norm_of_latent(c, 'D_QUERY')}"]
    return f"""class QueryLatent(nn.Module):
    {said(QueryLatent)}

{initial("", setup)}
{method(QueryLatent.forward, {})}"""
