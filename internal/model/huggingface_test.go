package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// configs are the fields of published config.json files that make the shape,
// by the preset that they must read as.
var configs = map[string]string{
	"gpt2-355m":        `{"model_type":"gpt2","n_layer":24,"n_embd":1024,"n_head":16,"vocab_size":50257,"n_positions":1024,"n_inner":null}`,
	"llama-2-70b":      `{"model_type":"llama","hidden_size":8192,"intermediate_size":28672,"max_position_embeddings":4096,"num_attention_heads":64,"num_hidden_layers":80,"num_key_value_heads":8,"tie_word_embeddings":false,"vocab_size":32000}`,
	"llama-2-7b":       `{"model_type":"llama","hidden_size":4096,"intermediate_size":11008,"max_position_embeddings":4096,"num_attention_heads":32,"num_hidden_layers":32,"vocab_size":32000}`,
	"llama-3.2-3b":     `{"model_type":"llama","attention_bias":false,"head_dim":128,"hidden_size":3072,"intermediate_size":8192,"max_position_embeddings":131072,"mlp_bias":false,"num_attention_heads":24,"num_hidden_layers":28,"num_key_value_heads":8,"tie_word_embeddings":true,"vocab_size":128256}`,
	"mistral-7b":       `{"model_type":"mistral","hidden_size":4096,"intermediate_size":14336,"max_position_embeddings":32768,"num_attention_heads":32,"num_hidden_layers":32,"num_key_value_heads":8,"sliding_window":4096,"vocab_size":32000}`,
	"mixtral-8x7b":     `{"model_type":"mixtral","hidden_size":4096,"intermediate_size":14336,"max_position_embeddings":32768,"num_attention_heads":32,"num_experts_per_tok":2,"num_hidden_layers":32,"num_key_value_heads":8,"num_local_experts":8,"sliding_window":null,"vocab_size":32000}`,
	"qwen2.5-72b":      `{"model_type":"qwen2","hidden_size":8192,"intermediate_size":29568,"max_position_embeddings":131072,"num_attention_heads":64,"num_hidden_layers":80,"num_key_value_heads":8,"sliding_window":131072,"use_sliding_window":false,"vocab_size":152064}`,
	"qwen2-57b-a14b":   `{"model_type":"qwen2_moe","decoder_sparse_step":1,"hidden_size":3584,"intermediate_size":18944,"max_position_embeddings":131072,"moe_intermediate_size":2560,"num_attention_heads":28,"num_experts":64,"num_experts_per_tok":8,"num_hidden_layers":28,"num_key_value_heads":4,"shared_expert_intermediate_size":20480,"vocab_size":151936}`,
	"qwen3-32b":        `{"model_type":"qwen3","attention_bias":false,"head_dim":128,"hidden_size":5120,"intermediate_size":25600,"max_position_embeddings":40960,"num_attention_heads":64,"num_hidden_layers":64,"num_key_value_heads":8,"tie_word_embeddings":false,"vocab_size":151936}`,
	"qwen3-235b-a22b":  `{"model_type":"qwen3_moe","decoder_sparse_step":1,"head_dim":128,"hidden_size":4096,"intermediate_size":12288,"max_position_embeddings":40960,"mlp_only_layers":[],"moe_intermediate_size":1536,"num_attention_heads":64,"num_experts":128,"num_experts_per_tok":8,"num_hidden_layers":94,"num_key_value_heads":4,"vocab_size":151936}`,
	"deepseek-v2-lite": `{"model_type":"deepseek_v2","first_k_dense_replace":1,"hidden_size":2048,"intermediate_size":10944,"kv_lora_rank":512,"max_position_embeddings":163840,"moe_intermediate_size":1408,"moe_layer_freq":1,"n_routed_experts":64,"n_shared_experts":2,"num_attention_heads":16,"num_experts_per_tok":6,"num_hidden_layers":27,"num_key_value_heads":16,"q_lora_rank":null,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"vocab_size":102400}`,
	"deepseek-v3":      `{"model_type":"deepseek_v3","first_k_dense_replace":3,"hidden_size":7168,"intermediate_size":18432,"kv_lora_rank":512,"max_position_embeddings":163840,"moe_intermediate_size":2048,"moe_layer_freq":1,"n_routed_experts":256,"n_shared_experts":1,"num_attention_heads":128,"num_experts_per_tok":8,"num_hidden_layers":61,"num_key_value_heads":128,"q_lora_rank":1536,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"vocab_size":129280}`,
	"gpt-oss-120b":     `{"model_type":"gpt_oss","attention_bias":true,"experts_per_token":4,"head_dim":64,"hidden_size":2880,"intermediate_size":2880,"layer_types":["sliding_attention","full_attention","sliding_attention","full_attention"],"max_position_embeddings":131072,"num_attention_heads":64,"num_experts_per_tok":4,"num_hidden_layers":36,"num_key_value_heads":8,"num_local_experts":128,"sliding_window":128,"tie_word_embeddings":false,"vocab_size":201088}`,
	"gemma-2-27b":      `{"model_type":"gemma2","head_dim":128,"hidden_size":4608,"intermediate_size":36864,"max_position_embeddings":8192,"num_attention_heads":32,"num_hidden_layers":46,"num_key_value_heads":16,"sliding_window":4096,"vocab_size":256000}`,
	"gemma-3-27b":      `{"model_type":"gemma3","text_config":{"model_type":"gemma3_text","head_dim":128,"hidden_size":5376,"intermediate_size":21504,"num_attention_heads":32,"num_hidden_layers":62,"num_key_value_heads":16,"sliding_window":1024},"vision_config":{"hidden_size":1152}}`,
	"phi-2":            `{"model_type":"phi","hidden_size":2560,"intermediate_size":10240,"max_position_embeddings":2048,"num_attention_heads":32,"num_hidden_layers":32,"num_key_value_heads":32,"vocab_size":51200}`,
	"phi-4":            `{"model_type":"phi3","hidden_size":5120,"intermediate_size":17920,"max_position_embeddings":16384,"num_attention_heads":40,"num_hidden_layers":40,"num_key_value_heads":10,"sliding_window":null,"vocab_size":100352}`,
	"falcon-7b":        `{"model_type":"falcon","alibi":false,"bias":false,"hidden_size":4544,"multi_query":true,"new_decoder_architecture":false,"num_attention_heads":71,"num_hidden_layers":32,"parallel_attn":true,"vocab_size":65024,"max_position_embeddings":2048}`,
	"falcon-40b":       `{"model_type":"falcon","bias":false,"hidden_size":8192,"new_decoder_architecture":true,"num_attention_heads":128,"num_hidden_layers":60,"num_kv_heads":8,"parallel_attn":true,"vocab_size":65024,"max_position_embeddings":2048}`,
	"bloom-176b":       `{"model_type":"bloom","hidden_size":14336,"n_head":112,"n_layer":70,"num_attention_heads":112,"seq_length":2048,"vocab_size":250880}`,
	"opt-30b":          `{"model_type":"opt","ffn_dim":28672,"hidden_size":7168,"max_position_embeddings":2048,"num_attention_heads":56,"num_hidden_layers":48,"vocab_size":50272,"word_embed_proj_dim":7168}`,
	"gpt-j-6b":         `{"model_type":"gptj","n_embd":4096,"n_head":16,"n_inner":null,"n_layer":28,"n_positions":2048,"tie_word_embeddings":false,"vocab_size":50400}`,
	"gpt-neox-20b":     `{"model_type":"gpt_neox","hidden_size":6144,"intermediate_size":24576,"max_position_embeddings":2048,"num_attention_heads":64,"num_hidden_layers":44,"vocab_size":50432}`,
	"mpt-7b":           `{"model_type":"mpt","attn_config":{"alibi":true},"d_model":4096,"expansion_ratio":4,"max_seq_len":2048,"n_heads":32,"n_layers":32,"no_bias":true,"vocab_size":50432}`,
	"dbrx-132b":        `{"model_type":"dbrx","attn_config":{"kv_n_heads":8},"d_model":6144,"ffn_config":{"ffn_hidden_size":10752,"moe_num_experts":16,"moe_top_k":4},"max_seq_len":32768,"n_heads":48,"n_layers":40,"vocab_size":100352}`,
	"starcoder2-15b":   `{"model_type":"starcoder2","hidden_size":6144,"intermediate_size":24576,"max_position_embeddings":16384,"num_attention_heads":48,"num_hidden_layers":40,"num_key_value_heads":4,"sliding_window":4096,"tie_word_embeddings":false,"use_bias":true,"vocab_size":49152}`,
	"command-r-plus":   `{"model_type":"cohere","hidden_size":12288,"intermediate_size":33792,"max_position_embeddings":131072,"num_attention_heads":96,"num_hidden_layers":64,"num_key_value_heads":8,"use_qk_norm":true,"vocab_size":256000}`,
	"olmo-2-13b":       `{"model_type":"olmo2","hidden_size":5120,"intermediate_size":13824,"max_position_embeddings":4096,"num_attention_heads":40,"num_hidden_layers":40,"num_key_value_heads":40,"vocab_size":100352}`,
	"kimi-k2":          `{"model_type":"kimi_k2","first_k_dense_replace":1,"hidden_size":7168,"intermediate_size":18432,"kv_lora_rank":512,"max_position_embeddings":131072,"moe_intermediate_size":2048,"n_routed_experts":384,"n_shared_experts":1,"num_attention_heads":64,"num_experts_per_tok":8,"num_hidden_layers":61,"num_key_value_heads":64,"q_lora_rank":1536,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"vocab_size":163840}`,
	"llama-4-maverick": `{"model_type":"llama4","text_config":{"model_type":"llama4_text","head_dim":128,"hidden_size":5120,"interleave_moe_layer_step":2,"intermediate_size":8192,"intermediate_size_mlp":16384,"max_position_embeddings":262144,"num_attention_heads":40,"num_experts_per_tok":1,"num_hidden_layers":48,"num_key_value_heads":8,"num_local_experts":128,"vocab_size":202048}}`,
}

func TestImportReadsAsPreset(t *testing.T) {
	for id, data := range configs {
		want, err := Find(id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseHuggingFace("config.json", []byte(data))
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		ignored := cmpopts.IgnoreFields(Model{}, "ID", "Aliases", "Source", "PublishedParams", "PublishedActiveParams")
		if diff := cmp.Diff(*want, got, ignored); diff != "" {
			t.Errorf("%s reads otherwise (-preset +import):\n%s", id, diff)
		}
		if got.Params() != want.Params() {
			t.Errorf("%s: %d parameters, the preset has %d", id, got.Params(), want.Params())
		}
	}
}

// Editors on Windows begin a file with a byte order mark.
func TestImportSkipsAByteOrderMark(t *testing.T) {
	plain, err := ParseHuggingFace("config.json", []byte(configs["llama-2-7b"]))
	if err != nil {
		t.Fatal(err)
	}
	marked, err := ParseHuggingFace("config.json", []byte("\xef\xbb\xbf"+configs["llama-2-7b"]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, marked); diff != "" {
		t.Error(diff)
	}
}

func TestImportFaults(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"not json": {"{\n  \"model_type\": llama}", `c.json:2:17: not valid JSON`},
		"list":     {`[1]`, `c.json:1:1: an object is needed`},
		"null":     {`null`, `c.json:1:1: an object is needed`},
		"no type":  {`{"hidden_size": 3}`, `c.json: model_type: the field is missing and needed; supported: bloom, `},
		"encoder":  {"{\n \"model_type\": \"t5\"}", `c.json:2:2: model_type: unknown architecture "t5"; supported: bloom, `},
		"all at once": {
			"{\"model_type\": \"llama\",\n\"hidden_size\": \"big\", \"num_attention_heads\": 3.5, \"vocab_size\": 10}",
			"c.json:2:1: hidden_size: found \"big\"; a whole number is needed\nc.json:2:23: num_attention_heads: found 3.5; a whole number is needed\nc.json: num_hidden_layers: the field is missing and needed",
		},
		"inconsistent": {`{"model_type":"mixtral","hidden_size":64,"intermediate_size":64,"num_attention_heads":4,"num_hidden_layers":2,"vocab_size":100,"num_local_experts":4,"num_experts_per_tok":5}`, "c.json: the shape is not valid: moe.active: 5 active of 4 experts"},
		"projected":    {`{"model_type":"opt","hidden_size":1024,"ffn_dim":4096,"num_attention_heads":16,"num_hidden_layers":24,"vocab_size":50272,"word_embed_proj_dim":512}`, "word_embed_proj_dim: embeddings of 512"},
		"dense layers": {`{"model_type":"qwen3_moe","hidden_size":64,"num_attention_heads":4,"num_hidden_layers":2,"vocab_size":100,"num_experts":4,"num_experts_per_tok":2,"moe_intermediate_size":8,"mlp_only_layers":[0]}`, "mlp_only_layers: a model with dense layers of choice is not supported"},
		"huge":         {strings.Repeat(" ", maxConfig+1), "c.json: the file has 1048577 bytes"},
	} {
		_, err := ParseHuggingFace("c.json", []byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got\n%v\nwant\n%s", name, err, c.want)
		}
	}
}

func FuzzParseHuggingFace(f *testing.F) {
	for _, data := range configs {
		f.Add([]byte(data))
	}
	f.Add([]byte(`{"model_type":"mpt","d_model":9223372036854775807,"attn_config":null}`))
	f.Add([]byte(`{"text_config":{"model_type":"gemma3_text","text_config":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseHuggingFace("fuzz.json", data)
		if err != nil {
			if _, ok := err.(spec.Faults); !ok {
				t.Fatalf("error %T: %v", err, err)
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("accepted a shape that is not valid: %v", err)
		}
		if m.Params() <= 0 || m.ActiveParams() > m.Params() || m.MatmulParams() <= 0 {
			t.Fatalf("counts %d, %d, %d", m.Params(), m.ActiveParams(), m.MatmulParams())
		}
	})
}
