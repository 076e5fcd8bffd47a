"""Say what keeps out the published families that are not opened here."""
from __future__ import annotations


def _each(names: str, why: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), why)


MISSING = {  # every other decoder that transformers has, and families that are asked for often
    # attention
    **_each("qwen3_next qwen3_5_text qwen3_5_moe_text qwen3_5 qwen3_5_moe",
            "the delta rule with a decay, behind three convolutions, and a gate on the shared expert"),
    **_each("olmo_hybrid", "the delta rule with a decay, behind three convolutions"),
    **_each("kimi_linear bailing_hybrid", "the delta rule with a decay for each component of a key"),
    **_each("llama4_text llama4", "attention in chunks, and queries that grow with their position"),
    **_each("ministral3", "queries that grow with their position"),
    **_each("deepseek_v32 glm_moe_dsa axk2 dots3_note_text dots3_note minimax_m3_vl_text",
            "an indexer that chooses the keys of each query"),
    **_each("deepseek_v4 hy_v4", "an indexer that chooses the keys of each query, and several streams side by side"),
    **_each("hunyuan_v1_dense hunyuan_v1_moe", "a norm of queries and keys after RoPE has turned them"),
    **_each("persimmon", "a LayerNorm with shift on queries and keys"),
    **_each("glm4_moe_lite", "values of another width than keys in latent attention"),
    **_each("minicpm3", "branches scaled by the depth of the model, beside latent attention"),
    **_each("afmoe", "a gate on each component of what a head read"),
    **_each("laguna", "a softplus gate on heads, of which layers have different numbers"),
    **_each("beam", "a gate on each component of what a head read, and sums scaled by depth"),
    **_each("jetmoe", "a mixture of attention heads"),
    **_each("zaya", "attention in a compressed space behind convolutions"),
    **_each("inkling_text inkling2_text", "scores that depend on the distance as learned, and convolutions"),
    **_each("diffllama", "the difference of two attentions"),
    **_each("doge", "a mask that depends on the values"),
    **_each("granite_swa granitemoe_swa", "another RoPE in each layer"),
    **_each("mimo_v2_flash", "values of another width than keys, and other heads in layers with a window"),
    **_each("flint", "windows in an irregular pattern, beside sinks"),
    **_each("cohere_compass_text", "attention in both directions, and positions of pictures"),
    **_each("xlnet reformer", "an order of reading of its own in place of attention to all before"),
    **_each("cpmant", "positions told by segments and buckets"),
    # MLPs and mixtures
    **_each("phimoe", "a router of SparseMixer's kind"),
    **_each("qwen2_moe", "a gate on the shared expert"),
    **_each("cohere2_moe", "the mean of shared and routed experts, and rules of its own for its dense layers"),
    **_each("kolibri1", "scores that choose experts by themselves, and weigh them by their sigmoid"),
    **_each("axk1", "a norm after each mixture, and none after the dense layers"),
    **_each("granitemoeshared", "shared experts of a width of their own"),
    **_each("aria_text", "experts whose matrices are told for groups of tokens"),
    **_each("longcat_flash", "two attentions in each layer, and experts that do nothing"),
    **_each("dbrx", "queries, keys and values that are clipped"),
    **_each("apertus", "the activation xIELU"),
    **_each("bitnet", "weights that are rounded to three values as they are used"),
    # the stream
    **_each("gemma3n_text gemma3n gemma4_text gemma4 gemma4_unified gemma4_unified_text gemma4_assistant "
            "gemma4_unified_assistant", "an embedding for each layer, and keys that layers share"),
    **_each("qwen4_exp_text qwen4_exp", "embeddings of several tokens at once, and gated residuals"),
    **_each("hrm_text", "two stacks of layers that take turns"),
    **_each("gpt_neox_japanese", "a bias after the last attention alone"),
    **_each("blt", "bytes in patches in place of tokens"),
    # no softmax over all keys
    **_each("mamba mamba2 falcon_mamba", "state spaces in place of attention"),
    **_each("jamba bamba zamba zamba2 falcon_h1 nemotron_h granitemoehybrid", "state spaces beside attention"),
    **_each("rwkv recurrent_gemma xlstm", "its recurrence in place of attention"),
    **_each("lfm2 lfm2_moe lfm3", "gated convolutions in place of attention in most layers"),
    **_each("minimax", "lightning attention, whose states decay"),
    # no decoders of text
    **_each("bert roberta modernbert camembert electra ernie data2vec-text megatron-bert rembert roc_bert roformer "
            "roberta-prelayernorm xlm xlm-roberta xlm-roberta-xl xmod big_bird bert-generation",
            "attention in both directions: it reads and does not write"),
    **_each("modernbert-decoder", "a second RoPE, norms without shift and a head of two layers"),
    **_each("t5 bart bigbird_pegasus blenderbot blenderbot-small marian mbart mvp pegasus plbart prophetnet trocr "
            "whisper", "an encoder beside the decoder"),
    **_each("emu3 fuyu git got_ocr2 mllama phi4_multimodal", "pictures in its vocabulary, or among its layers"),
    **_each("moshi musicgen musicgen_melody moss_transcribe_diarize", "sound in place of text")}
