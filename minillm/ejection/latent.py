"""Spell how latent attention reads queries, keys and values in one configuration."""
from __future__ import annotations

from minillm.config import ModelConfig
from minillm.ejection.norms import shared_norm
from minillm.ejection.positions import many_omegas


def latent_projections(c: ModelConfig) -> list[str]:
    """Its matrices, and the norm of the latent."""
    norm = "RMSNorm(D_LATENT)" if shared_norm(c) else "LatentNorm()"
    shapes = {"q": ("D_MODEL", "N_HEADS * (D_HEAD + D_ROTARY)"), "latent": ("D_MODEL", "D_LATENT"),
              "rotary": ("D_MODEL", "D_ROTARY"), "k": ("D_LATENT", "N_HEADS * D_HEAD"),
              "v": ("D_LATENT", "N_HEADS * D_HEAD")}
    rows = [f"self.{name}_proj = nn.Linear({n_in}, {n_out}, bias={c.bias != 'none' and n_in == 'D_MODEL'})"
            for name, (n_in, n_out) in shapes.items()]
    return [*rows, f"self.latent_norm = {norm}"]


def latent_steps(c: ModelConfig) -> list[str]:
    """Queries, keys and values, as statements."""
    turned = any(map(c.is_turned, range(c.n_layers)))
    turn = f"rope({{}}{', self.omega' * many_omegas(c)})" if turned else "{}"
    return ["q = self.q_proj(x).unflatten(-1, (N_HEADS, -1)).transpose(1, 2)  # batch head seq d_head",
            "q, p = q.split((D_HEAD, D_ROTARY), dim=-1)",
            "latent = self.latent_norm(self.latent_proj(x))",
            "k, v = (read(latent).unflatten(-1, (N_HEADS, -1)).transpose(1, 2) for read in (self.k_proj, self.v_proj))",
            f"r = {turn.format('self.rotary_proj(x)[:, None]')}.expand(*k.shape[:3], -1)  # one key for all heads",
            f"q, k = torch.cat([q, {turn.format('p')}], dim=-1), torch.cat([k, r], dim=-1)"]
