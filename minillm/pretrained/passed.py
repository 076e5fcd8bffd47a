"""List what a published config.json may say without changing what the model computes."""
from __future__ import annotations

PASSED = frozenset("""
model_type architectures auto_map transformers_version transformers.js_config _name_or_path _commit_hash dtype
torch_dtype unsloth_fixed unsloth_version attn_implementation _attn_implementation _attn_implementation_internal
_attn_implementation_autoset _experts_implementation return_dict output_hidden_states output_attentions
torchscript use_bfloat16 tf_legacy_loss chunk_size_feed_forward use_cache gradient_checkpointing
use_flash_attention cache_implementation tokenizer_class prefix bos_token_id eos_token_id pad_token_id
unk_token_id sep_token_id decoder_start_token_id finetuning_task id2label label2id num_labels problem_type
task_specific_params max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups
diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
begin_suppress_tokens cross_attention_hidden_size initializer_range attention_dropout hidden_dropout resid_pdrop
embd_pdrop attn_pdrop classifier_dropout hidden_dropout_prob output_router_logits router_aux_loss_coef
router_jitter_noise aux_loss_alpha seq_aux ep_size pretraining_tp slow_but_exact reorder_and_upcast_attn
attention_softmax_in_fp32 bias_dropout_fusion masked_softmax_fusion summary_type summary_use_proj
summary_activation summary_proj_to_labels summary_first_dropout is_llama_config
""".split())  # names and versions; what to hand back; how to write; how to train; in which precision to compute

OFF = {  # of which only this value is what is built here, whatever the family
    "is_encoder_decoder": False, "add_cross_attention": False, "tie_encoder_decoder": False, "pruned_heads": {},
    "use_mrope": False, "rope_interleaved": False, "attention_chunk_size": None}
