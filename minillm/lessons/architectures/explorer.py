"""Turn every choice of an architecture and see at once what becomes of picture, equations, code and costs."""
from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from html import escape, unescape
from typing import Any

import ipywidgets

from minillm.config import GATED, ModelConfig
from minillm.costs import parameters
from minillm.lessons.architectures.comparison import CONTEXTS, changes, differences, ledger, word
from minillm.lessons.architectures.diagrams import block_diagram
from minillm.lessons.architectures.insides import classes_in_use, code, written
from minillm.lessons.architectures.offers import (
    GROUPS,
    NONE,
    ROLES,
    aside,
    choices_of,
    groupings,
    mixture_of,
    mixtures,
    offered,
    plain,
    turned_from,
    values_of,
)
from minillm.notebook.markup import Later, Markup, card
from minillm.notebook.plots import Picture, png
from minillm.notebook.widgets import Live, choice, fill, slider, toggle
from minillm.presets import PRESETS, SIZES, scaled

_LEDGER = 2         # place of the costs among the parts; what comes from there on stands behind tabs
_TABS = {6: "changed", _LEDGER: "costs", 3: "beside it", 4: "equations", 5: "code"}


class Explorer(Live):
    """Choose a preset, then turn any of its choices; everything shown belongs to that one configuration.

    ``explorer.config`` is the configuration on show, to build a `Transformer` from.  While the controls say what cannot
    be, that is the last one that could, and the words above the picture name the controls to turn.
    """

    def __init__(self, preset: str = "gpt2", compare: str = "llama-3-8b", *, name: str = "architecture explorer"):
        self._following = False
        base = PRESETS[preset]
        self.config = self._shown = self._before = base
        controls = {
            "preset": choice("preset", list(PRESETS), preset),
            "size": choice("at size", ["published", *SIZES], "published"),
            "compare": choice("beside", list(PRESETS), compare),
            "context": slider("context for the ledger", CONTEXTS, 1024, show=lambda n: f"{n:,}"),
            "norm": choice("norm", values_of("norm"), base.norm),
            "norm_order": choice("where", values_of("norm_order"), base.norm_order),
            "position": choice("positions", values_of("position"), base.position),
            "rope_pairs": choice("pairs that turn", values_of("rope_pairs"), base.rope_pairs),
            "attention": choice("attention", values_of("attention"), base.attention),
            "nope_every": choice("layers without (NoPE)", {"none": NONE, "every 2nd layer": 2, "every 4th layer": 4}),
            "linear_attention": choice("linear layers", values_of("linear_attention")),
            "full_every": choice("full layers", {"none": NONE, "every 2nd layer": 2, "every 4th layer": 4}),
            "full_first": toggle("the first of them", base.full_first),
            "conv_width": choice("short convolution", {"none": NONE, "of 4 tokens": 4}),
            "n_kv_heads": choice("key heads", offered("n_kv_heads", "one per query head")),
            "d_query": choice("queries from", offered("d_query", "the stream")),
            "qk_norm": choice("query, key norm", values_of("qk_norm")),
            "attention_gate": toggle("output gate", base.attention_gate),
            "attention_sinks": toggle("sinks", base.attention_sinks),
            "window": choice("window", offered("window", "none")),
            "global_every": choice("global layers", offered("global_every", "none")),
            "global_first": toggle("global ones first", base.global_first),
            "mlp": choice("MLP", values_of("mlp"), base.mlp),
            "mixture": choice("experts", mixtures(), mixture_of(base)),
            "router": choice("router", values_of("router"), base.router),
            "groups": choice("their groups", groupings(), (1, 1)),
            "router_bias": toggle("router bias", base.router_bias),
            "balance_bias": toggle("nudged bias", base.balance_bias),
            "residual": choice("residual", values_of("residual"), base.residual),
            "bias": choice("bias", values_of("bias"), base.bias),
            "tie_embeddings": toggle("unembedding = embedding", base.tie_embeddings),
            "role": choice("show the code of", ROLES, "block"),
        }
        rows = [["preset", "size", "compare", "context"], *GROUPS.values()]
        self._follow(controls, base)
        super().__init__(name, controls, self._show, rules=self._idle, rows=rows)
        first, *groups, note, words = self._box.children
        tabs = ipywidgets.Tab(groups)
        for i, group in enumerate(GROUPS):
            tabs.set_title(i, group)
        self["context"].layout.width = "330px"
        self._box.children = [first, tabs, note, words]

    def _changed(self, name: str = "") -> None:
        if self._following:
            return
        if name == "preset":
            self._follow(self.controls, PRESETS[self.controls["preset"].value])
        super()._changed(name)

    def _follow(self, controls: dict[str, Any], base: ModelConfig) -> None:
        self._following = True
        try:
            for name, value in choices_of(base).items():
                controls[name].value = NONE if value is None else value
        finally:
            self._following = False

    @staticmethod
    def _idle(**values: Any) -> dict[str, str]:
        return aside({name: plain(value) for name, value in values.items()})

    def _show(self, preset: str, size: str, compare: str, context: int, role: str, **chosen: Any) -> list:
        chosen = {name: plain(value) for name, value in chosen.items()}
        try:
            self.config, turned, remarks = chosen_config(preset, size, chosen)
        except ValueError as error:  # what is below stays, and can still be compared and read
            remark = self._way_out(error, preset, size, chosen)
        else:
            self._what, self._size = described(preset, size, turned), size
            self._label = _label(preset, size) + ", changed" * bool(turned)
            total = sum(parameters(self.config).values())
            remark = _said(" ".join([f"{self._what}.", f"{total:,} parameters.", *(f"{each}." for each in remarks)]))
        if self.config != self._shown:
            self._before, self._shown = self._shown, self.config
        before = self._before
        size, label = self._size, self._label
        other = PRESETS[compare] if size == "published" else scaled(PRESETS[compare], size, vocab_size=512)
        names = label, _label(compare, size)
        now = self.config
        return [remark, _diagram(now, label), Later(lambda: ledger(now, other, names, context, before=before)),
                Later(lambda: differences(now, other, names)), Later(lambda: written(now)),
                Later(lambda: code(now, role)), Later(lambda: turn(before, now, context))]

    # the page: controls above; the picture and what changed side by side; the rest behind tabs

    at_once = True

    def _arranged(self, views: list[ipywidgets.Widget]) -> list[ipywidgets.Widget]:
        remark, diagram, *_, source, _ = views
        diagram.layout.width = "520px"
        behind = [views[place] for place in _TABS][:-1] + [ipywidgets.VBox([self["role"], source])]
        self._tabs = tabs = ipywidgets.Tab(behind, layout=ipywidgets.Layout(width="520px", max_width="100%",
                                                                           flex="1 1 400px"))
        for i, name in enumerate(_TABS.values()):
            tabs.set_title(i, name)
        for each in tabs.children:
            each.layout = ipywidgets.Layout(height="330px", overflow="auto")
        tabs.observe(lambda _: self._safely(self._fill), "selected_index")
        row = ipywidgets.HBox([diagram, tabs], layout=ipywidgets.Layout(flex_flow="row wrap", grid_gap="0 12px"))
        return [remark, row]

    def _fill(self) -> None:
        """What stands behind a tab is written and sent when that is opened: nobody waits for what is not seen."""
        seen = range(_LEDGER) if not self._views else [*range(_LEDGER), list(_TABS)[self._tabs.selected_index or 0]]
        for i in seen if self._views else ():
            fill(self._views[i], self.parts[i], self._narrow[i])
        self._speak(" ".join(self.parts[i].alt for i in seen))

    def _stored(self, part: Picture | Markup) -> tuple[dict, dict]:
        """What comes after the costs is folded on a page without a kernel."""
        data, metadata = super()._stored(part)
        if self.parts.index(part) > _LEDGER:
            title = escape(part.alt[:1].upper() + part.alt[1:])
            data["text/html"] = f"<details><summary>{title}</summary>{data['text/html']}</details>"
        return data, metadata

    def _way_out(self, error: ValueError, preset: str, size: str, chosen: dict[str, Any]) -> Markup:
        """Why a choice cannot be, which control to turn, and what is on show until then."""
        said = {name: {plain(value): word for word, value in self.controls[name].options}
                for name in chosen if hasattr(self.controls[name], "options")}
        ways = ways_out(preset, size, chosen, {name: list(words) for name, words in said.items()})
        turns = []
        for name, values in ways.items():
            *most, last = [said[name][value] for value in values]
            to = f"{', '.join(most)} or {last}" if most else last
            turns.append(f"<b>{self.controls[name].description}</b> from {escape(said[name][chosen[name]])} "
                         f"to {escape(to)}")
        return _said(f"<b>Impossible:</b> {escape(str(error), quote=False)}. The way out: turn {', or '.join(turns)}. "
                     f"Until then all below shows {self._what}, the last model that could be; what else you turn "
                     "counts from then on.")


def turn(before: ModelConfig, now: ModelConfig, context: int) -> Markup:
    """What the last turn changed, all of it in one place: costs, and classes with their equations and code."""
    if before == now:
        return _said("Turn a choice: all that it changes will stand here.")
    old, new = (list(classes_in_use(each)) for each in (before, now))
    gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
    said = f"Equations and code: {', '.join(gone) or 'nothing'} went, {', '.join(come) or 'nothing'} came."
    costs = changes(before, now, context)
    return Markup(f"{costs.html}{card(said, said).html if gone or come else ''}",
                  f"{costs.alt}. {said if gone or come else ''}")


def chosen_config(preset: str, size: str, chosen: dict[str, Any]) -> tuple[ModelConfig, dict[str, Any], list[str]]:
    """The configuration that the controls say, what of it is not the preset's, and what follows from that."""
    base = PRESETS[preset]
    turned, idle = turned_from(base, chosen), aside(chosen)
    usual = {field.name: field.default for field in fields(base) if field.name in idle}
    change = {name: value for name, value in turned.items() if name not in ("mixture", "groups")} | usual
    remarks = []
    if "mixture" in turned:
        n, k, shared = turned["mixture"]
        change |= {"n_experts": n, "experts_per_token": k or 1, "n_shared_experts": shared}
        change |= {} if n else {"n_dense_layers": 0}
    if "groups" in turned:
        change["n_expert_groups"], change["groups_per_token"] = turned["groups"]
    if "mlp" in turned and (turned["mlp"] in GATED) != (base.mlp in GATED):
        for name in ("d_ff", "d_expert"):
            old = getattr(base.resolve(), name)
            change[name] = round(old * (2 / 3 if turned["mlp"] in GATED else 3 / 2))
        remarks.append(f"d_ff is {change['d_ff']:,} instead of {base.resolve().d_ff:,}, so that "
                       f"{'three' if turned['mlp'] in GATED else 'two'} matrices hold as many parameters")
    config = replace(base, **change)
    return config if size == "published" else scaled(config, size, vocab_size=512), turned, remarks


def ways_out(preset: str, size: str, chosen: dict[str, Any], offered: dict[str, list]) -> dict[str, list]:
    """Control -> the values that, put in place of an impossible choice's own, make it possible.

    Where no single control can, those that were turned go back to the preset's, one after the other.
    """
    ways: dict[str, list] = {}
    for name in offered.keys() - aside(chosen).keys():
        for value in offered[name]:
            try:
                chosen_config(preset, size, chosen | {name: value})
            except ValueError:
                continue
            ways.setdefault(name, []).append(value)
    if not ways:
        usual = choices_of(PRESETS[preset])
        ways = {name: [usual[name]] for name in turned_from(PRESETS[preset], chosen) if name in offered}
    return {name: ways[name] for name in chosen if name in ways}


def described(preset: str, size: str, turned: dict[str, Any]) -> str:
    """A configuration in words: the preset's name, and what was turned."""
    name = f"<b>{_label(preset, size)}</b>"
    if not turned:
        return name + (", as published" if size == "published" else ": its choices, shrunk")
    return f"{name} with {escape(', '.join(f'{field} = {word(value)}' for field, value in turned.items()))}"


def _label(preset: str, size: str) -> str:
    return preset if size == "published" else f"{preset} ({size})"


def _said(html: str) -> Markup:
    return card(html, unescape(html.replace("<b>", "").replace("</b>", "")))


@lru_cache(maxsize=8)    # more of them, thousands of objects each, make Python's search for garbage slow
def _diagram(config: ModelConfig, label: str) -> Picture:
    figure = block_diagram(config, label)
    figure.finished = png(figure, live=True)  # turning what it does not show draws nothing anew
    return figure
