package model

// architecture reads one model_type of Hugging Face transformers into a shape.
type architecture func(*config, *Model)

// architectures lists the model types that can be imported. What a config
// leaves out is as the configuration classes of the transformers library have it.
func architectures() map[string]architecture {
	return map[string]architecture{
		"llama": llama, "mistral": mistral, "ministral": mistral, "mixtral": mixtral, "llama4_text": llama4,
		"qwen2": qwen2, "qwen2_moe": qwen2MoE, "qwen3": qwen3, "qwen3_moe": qwen3MoE,
		"gpt2": gpt2, "gpt_neox": gptNeoX, "gptj": gptJ, "gpt_oss": gptOSS,
		"falcon": falcon, "bloom": bloom, "opt": opt, "mpt": mpt, "dbrx": dbrx,
		"phi": phi, "phi3": mistral, "starcoder2": starcoder2,
		"gemma": gemma, "gemma2": gemma2, "gemma3_text": gemma3,
		"cohere": cohere, "olmo": llama, "olmo2": olmo2,
		"deepseek_v2": deepseekV2, "deepseek_v3": deepseekV3, "kimi_k2": deepseekV3,
	}
}

// usual reads the field names that most configs share.
func usual(c *config, m *Model) {
	m.Layers = c.need("num_hidden_layers", "n_layer")
	m.Hidden = c.need("hidden_size", "n_embd", "n_embed")
	m.Heads = c.need("num_attention_heads", "n_head")
	m.KVHeads = c.number(0, "num_key_value_heads")
	m.HeadDim = c.number(0, "head_dim")
	m.FFN = c.number(4*m.Hidden, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
	m.Vocab = c.need("vocab_size")
	m.MaxSeq = c.number(0, "max_position_embeddings", "n_positions", "seq_length")
	m.TiedEmbed = c.flag(false, "tie_word_embeddings")
}

func llama(c *config, m *Model) {
	usual(c, m)
	m.GatedFFN = true
	m.QKVBias = c.flag(false, "attention_bias")
	m.AttnOutBias = m.QKVBias
	m.FFNBias = c.flag(false, "mlp_bias")
}

func mistral(c *config, m *Model) {
	llama(c, m)
	if window := c.number(0, "sliding_window"); window > 0 && window < m.MaxSeq {
		m.Attention, m.Window = SlidingWindow, window
	}
}

func mixtral(c *config, m *Model) {
	mistral(c, m)
	m.MoE = &MoE{Experts: c.need("num_local_experts"), Active: c.need("num_experts_per_tok"), ExpertFFN: m.FFN}
}

func llama4(c *config, m *Model) {
	llama(c, m)
	m.MoE = &MoE{
		Experts: c.need("num_local_experts"), Active: c.need("num_experts_per_tok"), Shared: 1, ExpertFFN: m.FFN,
		EveryNth: c.number(1, "interleave_moe_layer_step"),
	}
	m.FFN = c.need("intermediate_size_mlp")
}

func qwen2(c *config, m *Model) {
	llama(c, m)
	m.QKVBias, m.AttnOutBias = true, false
}

func qwen2MoE(c *config, m *Model) {
	qwen2(c, m)
	m.MoE = qwenExperts(c)
	m.MoE.Shared, m.MoE.SharedGate = 1, true
	m.MoE.SharedFFN = c.need("shared_expert_intermediate_size")
}

func qwen3(c *config, m *Model) {
	llama(c, m)
	m.QKNorm = true
}

func qwen3MoE(c *config, m *Model) {
	qwen3(c, m)
	m.MoE = qwenExperts(c)
}

func qwenExperts(c *config) *MoE {
	var dense []int
	c.value(&dense, "a list of layers", "mlp_only_layers")
	if len(dense) > 0 {
		c.fault("mlp_only_layers", "a model with dense layers of choice is not supported")
	}
	return &MoE{
		Experts: c.need("num_experts"), Active: c.need("num_experts_per_tok"),
		ExpertFFN: c.need("moe_intermediate_size"), EveryNth: c.number(1, "decoder_sparse_step"),
	}
}

func gpt2(c *config, m *Model) {
	usual(c, m)
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
	m.LearnedPos, m.Biases = true, true
}

func gptNeoX(c *config, m *Model) {
	usual(c, m)
	m.Biases = c.flag(true, "attention_bias")
	m.NormBias, m.FFNBias = !m.Biases, !m.Biases
}

func gptJ(c *config, m *Model) {
	usual(c, m)
	m.Norms, m.NormBias, m.FFNBias, m.HeadBias = 1, true, true, true
}

func gptOSS(c *config, m *Model) {
	usual(c, m)
	m.GatedFFN, m.AttnSinks, m.FFNBias = true, true, true
	m.QKVBias = c.flag(true, "attention_bias")
	m.AttnOutBias = m.QKVBias
	m.MoE = &MoE{
		Experts: c.need("num_local_experts"), Active: c.need("num_experts_per_tok", "experts_per_token"),
		ExpertFFN: m.FFN, RouterBias: true,
	}
	c.mixed(m, c.number(128, "sliding_window"), 2)
}

func falcon(c *config, m *Model) {
	usual(c, m)
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
	m.Biases = c.flag(false, "bias")
	m.NormBias = !m.Biases
	modern := c.flag(false, "new_decoder_architecture")
	switch {
	case modern:
		m.KVHeads = c.number(m.Heads, "num_kv_heads", "n_head_kv")
	case c.flag(true, "multi_query"):
		m.KVHeads = 1
	}
	if c.flag(true, "parallel_attn") && !modern || modern && c.number(2, "num_ln_in_parallel_attn") == 1 {
		m.Norms = 1
	}
}

func bloom(c *config, m *Model) {
	usual(c, m)
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
	m.Biases, m.EmbedNorm = true, true
}

func opt(c *config, m *Model) {
	usual(c, m)
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
	m.LearnedPos, m.Biases = true, c.flag(true, "enable_bias")
	if m.MaxSeq > 0 {
		m.PosRows = m.MaxSeq + 2 // OPT's table starts at position 2
	}
	if width := c.number(m.Hidden, "word_embed_proj_dim"); width != m.Hidden {
		c.fault("word_embed_proj_dim", "embeddings of %d, narrower than hidden_size %d, are not supported", width, m.Hidden)
	}
}

func mpt(c *config, m *Model) {
	m.Layers, m.Hidden, m.Heads = c.need("n_layers"), c.need("d_model"), c.need("n_heads")
	m.FFN = c.number(4, "expansion_ratio") * m.Hidden
	m.Vocab, m.MaxSeq = c.need("vocab_size"), c.number(2048, "max_seq_len")
	m.TiedEmbed = c.flag(true, "tie_word_embeddings", "tie_embeddings")
	m.Biases = !c.flag(true, "no_bias")
	m.LearnedPos = c.flag(true, "learned_pos_emb")
	if attention := c.object("attn_config"); attention != nil {
		m.KVHeads = attention.number(0, "kv_n_heads")
		m.LearnedPos = m.LearnedPos && !attention.flag(false, "alibi") && !attention.flag(false, "rope")
		c.faults = append(c.faults, attention.faults...)
	}
}

func dbrx(c *config, m *Model) {
	m.Layers, m.Hidden, m.Heads = c.need("n_layers"), c.need("d_model"), c.need("n_heads")
	m.Vocab, m.MaxSeq = c.need("vocab_size"), c.number(2048, "max_seq_len")
	m.GatedFFN = true
	if attention := c.object("attn_config"); attention != nil {
		m.KVHeads = attention.number(1, "kv_n_heads")
		c.faults = append(c.faults, attention.faults...)
	}
	experts := c.object("ffn_config")
	if experts == nil {
		c.fault("ffn_config", "the field is missing and needed")
		return
	}
	m.FFN = experts.number(3584, "ffn_hidden_size")
	m.MoE = &MoE{Experts: experts.number(4, "moe_num_experts"), Active: experts.number(1, "moe_top_k"), ExpertFFN: m.FFN}
	c.faults = append(c.faults, experts.faults...)
}

func phi(c *config, m *Model) {
	usual(c, m)
	m.Norms, m.Biases, m.HeadBias = 1, true, true
}

func starcoder2(c *config, m *Model) {
	usual(c, m)
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
	m.Biases = c.flag(true, "use_bias")
	m.NormBias = !m.Biases
	if window := c.number(0, "sliding_window"); window > 0 && window < m.MaxSeq {
		m.Attention, m.Window = SlidingWindow, window
	}
}

func gemma(c *config, m *Model) {
	llama(c, m)
	m.HeadDim = c.number(256, "head_dim")
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
}

func gemma2(c *config, m *Model) {
	gemma(c, m)
	m.Norms = 4
	c.mixed(m, c.number(4096, "sliding_window"), 2)
}

func gemma3(c *config, m *Model) {
	c.otherwise("vocab_size", "262208")
	c.otherwise("num_attention_heads", "8")
	c.otherwise("num_key_value_heads", "4")
	c.otherwise("max_position_embeddings", "131072")
	gemma(c, m)
	m.Norms, m.QKNorm = 4, true
	c.mixed(m, c.number(4096, "sliding_window"), c.number(6, "sliding_window_pattern", "_sliding_window_pattern"))
}

func cohere(c *config, m *Model) {
	llama(c, m)
	m.TiedEmbed = c.flag(true, "tie_word_embeddings")
	m.Norms, m.QKNormWide = 1, c.flag(false, "use_qk_norm")
}

func olmo2(c *config, m *Model) {
	llama(c, m)
	m.QKNormWide = true
}

func deepseekV2(c *config, m *Model) {
	llama(c, m)
	m.KVHeads, m.HeadDim = 0, 0
	m.MLA = &MLA{
		QRank: c.number(0, "q_lora_rank"), KVRank: c.need("kv_lora_rank"),
		RopeDim: c.need("qk_rope_head_dim"), NopeDim: c.need("qk_nope_head_dim"), VDim: c.need("v_head_dim"),
	}
	if c.has("n_routed_experts") {
		m.MoE = &MoE{
			Experts: c.number(0, "n_routed_experts"), Active: c.need("num_experts_per_tok"),
			Shared: c.number(0, "n_shared_experts"), ExpertFFN: c.need("moe_intermediate_size"),
			DenseLayers: c.number(0, "first_k_dense_replace"), EveryNth: c.number(1, "moe_layer_freq"),
		}
	}
}

func deepseekV3(c *config, m *Model) {
	deepseekV2(c, m)
	if m.MoE != nil {
		m.MoE.RouterBias = true
	}
}

// mixed sets layers that alternate between a window and the whole sequence, by
// the config's list of layers where it has one, else one full layer in every.
func (c *config) mixed(m *Model, window, every int) {
	layers, full := c.texts("layer_types"), 0
	for _, kind := range layers {
		if kind == "full_attention" {
			full++
		}
	}
	switch {
	case len(layers) == 0 && every > 1:
		m.Attention, m.Window, m.WindowEvery = AlternatingAtt, window, every
	case len(layers) == 0, full == len(layers):
		// every layer is full
	case full == 0:
		m.Attention, m.Window = SlidingWindow, window
	default:
		m.Attention, m.Window, m.WindowEvery = AlternatingAtt, window, len(layers)/full
	}
}
