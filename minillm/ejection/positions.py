"""Spell the positions of one configuration: added, rotated or as a bias."""
from __future__ import annotations

from collections.abc import Iterator

from minillm.config import ModelConfig
from minillm.ejection.source import full_layers, initial, said
from minillm.layers.position import ALiBi, Learned, RoPE, Sinusoidal


def positions(c: ModelConfig) -> Iterator[str]:
    """How the model knows where a token stands."""
    if c.position == "learned":
        start = initial("", ["self.weight = nn.Parameter(torch.zeros(CONTEXT_LENGTH, D_MODEL))"])
        yield f"""class Learned(nn.Module):
    {said(Learned)}

{start}
    def forward(self, x):
        return x + self.weight[:x.shape[1]]"""
    if c.position == "sinusoidal":
        yield f"""def sinusoidal(x):
    {said(Sinusoidal, "Here θ = 10000.")}
    omega = 10_000 ** -(torch.arange(0, D_MODEL, 2, device=x.device) / D_MODEL)
    angles = torch.outer(torch.arange(x.shape[1], device=x.device).float(), omega)
    return x + torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).to(x.dtype)"""
    if any(map(c.is_turned, range(c.n_layers))):
        yield from rope(c)
    if c.position == "alibi" and full_layers(c):
        yield f"""def alibi(distance):
    {said(ALiBi)}
{slopes(c.n_heads)}
    return -slopes[:, None, None] * distance"""


def slopes(n_heads: int) -> str:
    """ALiBi's slopes as statements."""
    below = 1 << (n_heads.bit_length() - 1)
    if below == n_heads:
        return "    slopes = 2 ** (-8 / N_HEADS * torch.arange(1, N_HEADS + 1, device=distance.device))"
    return f"""    first = 2 ** (-8 / {below} * torch.arange(1, {below + 1}, device=distance.device))
    between = 2 ** (-4 / {below} * torch.arange(1, {2 * (n_heads - below)}, 2, device=distance.device))
    slopes = torch.cat([first, between])  # {n_heads} heads are no power of two"""


def turned(c: ModelConfig) -> str:
    """The name of how many components turn: all of a head or of a rotary key, or some of a head."""
    whole = {"heads": "D_HEAD", "latent": "D_ROTARY"}[c.attention]
    return whole if int(c.d_rotary * c.rope_fraction) == c.d_rotary else "D_TURNED"


def omega_of(c: ModelConfig, layer: int, device: str = "") -> str:
    """RoPE's frequencies in one layer: none turns where a layer tells no positions."""
    local = c.is_windowed(layer) and c.rope_theta_local is not None
    theta, width = "LOCAL_THETA" if local else "THETA", turned(c)
    if not c.is_turned(layer):
        return f"torch.zeros({width} // 2)"
    omega = f"{theta} ** -(torch.arange(0, {width}, 2{device}) / {width})"
    return omega if local or not c.rope_scaling else f"stretch({omega})"


def many_omegas(c: ModelConfig) -> bool:
    """Do layers of this model turn at different speeds?"""
    return c.position == "rope" and len({omega_of(c, i) for i in full_layers(c)}) > 1


def rope(c: ModelConfig) -> Iterator[str]:
    """The rotation of queries and keys, and the stretching of its wavelengths."""
    if any("stretch" in omega_of(c, i) for i in full_layers(c)):
        yield STRETCH[c.rope_scaling.kind]
    many, width = many_omegas(c), turned(c)
    omega = "omega.to(x.device)" if many else omega_of(c, full_layers(c)[0], ", device=x.device")
    cut = "    x, still = x[..., :D_TURNED], x[..., D_TURNED:]\n" * (width == "D_TURNED")
    still = ", still" * (width == "D_TURNED")
    halves = c.rope_pairs == "halves"
    members = "a * cos - b * sin, a * sin + b * cos"
    pairs = f"torch.stack([{members}], dim=-1).flatten(-2)"
    whole = f"torch.cat([{members if halves else pairs}{still}], dim=-1)" if halves or still else pairs
    partner = "Here i' = i + E/2." if halves else "Here i' is the neighbour of i."
    counted = {"D_TURNED": " E counts the components that turn, the first of each head.",
               "D_ROTARY": " E is the width of the rotary key, R in LatentAttention."}
    yield f"""def rope(x{", omega" * many}):
    {said(RoPE, partner + counted.get(width, ""))}
    omega = {omega}
    angles = torch.outer(torch.arange(x.shape[-2], device=x.device).float(), omega)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
{cut}    a, b = {"x.chunk(2, dim=-1)" if halves else "x[..., 0::2], x[..., 1::2]"}
    return {whole}"""


STRETCH = {"linear": '''def stretch(omega):
    """Let every pair turn more slowly.  Chen et al. 2023, arXiv:2306.15595."""
    return omega / STRETCH''', "llama3": '''def stretch(omega):
    """Slow down the pairs that turn seldom in the original context.  Llama Team 2024, arXiv:2407.21783."""
    turns = ORIGINAL_CONTEXT * omega / (2 * torch.pi)
    keep = ((turns - LOW_FREQ) / (HIGH_FREQ - LOW_FREQ)).clamp(0, 1)
    return keep * omega + (1 - keep) * omega / STRETCH''', "yarn": '''def stretch(omega):
    """Slow down the pairs that turn seldom in the original context.  Peng et al. 2023, arXiv:2309.00071."""
    pair = torch.arange(len(omega), device=omega.device)
    keep = 1 - ((pair - LAST_KEPT) / (FIRST_STRETCHED - LAST_KEPT)).clamp(0, 1)
    return keep * omega + (1 - keep) * omega / STRETCH'''}
