"""Fetch a published model from the hub, but only when its reader presses the button."""
from __future__ import annotations

from html import escape

from minillm.notebook.markup import Markup, card
from minillm.notebook.widgets import Live, button, choice, text
from minillm.pretrained import load_pretrained
from minillm.sampling import generate

HUB = {"GPT-2, 0.5 GB": "openai-community/gpt2", "Pythia 70M, 0.2 GB": "EleutherAI/pythia-70m",
       "SmolLM2 135M (a Llama), 0.3 GB": "HuggingFaceTB/SmolLM2-135M", "Qwen3 0.6B, 1.5 GB": "Qwen/Qwen3-0.6B"}


def hub() -> Live:
    """Fetch a published model by its name, when asked to, and let it continue a text."""
    fetched: dict[str, tuple] = {}

    def fetch() -> None:
        name = live["model"].value
        if name not in fetched:
            fetched[name] = load_pretrained(name)

    def draw(model: str, prompt: str) -> Markup:
        if model not in fetched:
            return card(f"<b>{escape(model)}</b> has not been fetched yet.", f"{model} has not been fetched yet")
        network, tokenizer = fetched[model]
        ids = list(generate(network, tokenizer.prompt(prompt), n_tokens=24, temperature=0.0,
                            stop=tokenizer.ends))
        more = tokenizer.decode(ids, continues=True)
        return card(f"{escape(prompt)}<b>{escape(more)}</b>", f"{model} continues: {prompt}{more}")

    live = Live("weights from the hub",
                {"model": choice("model", HUB), "prompt": text("prompt", "The capital of France is"),
                 "fetch": button("fetch it and continue the prompt")},
                draw, rows=[["model", "fetch"], ["prompt"]], on_press={"fetch": fetch})
    return live
