// Package model owns the shapes of neural networks: transformer dimensions,
// and what can be computed from them alone (parameters).
//
// It refuses hardware, speed and memory questions (estimate).
package model

// Attention says how a layer attends.
type Attention string

// The kinds of attention.
const (
	FullAttention  Attention = ""        // every layer sees the whole sequence
	SlidingWindow  Attention = "sliding" // every layer sees Window tokens
	AlternatingAtt Attention = "mixed"   // every WindowEvery-th layer is full, the others see Window tokens
)

// Values lists the kinds of attention.
func (Attention) Values() []string {
	return []string{string(FullAttention), string(SlidingWindow), string(AlternatingAtt)}
}

// Model is the shape of a decoder-only transformer. Zero means "not there" for
// optional parts.
type Model struct {
	ID      string   `json:"id,omitempty"`
	Aliases []string `json:"aliases,omitempty"` // names on model hubs and in papers
	Source  string   `json:"source,omitempty"`  // where the shape is published, with date

	Layers     int  `json:"layers" jsonschema:"required,minimum=1"`
	Hidden     int  `json:"hidden" jsonschema:"required,minimum=1"`
	Heads      int  `json:"heads" jsonschema:"required,minimum=1"`
	KVHeads    int  `json:"kv_heads,omitempty"`
	HeadDim    int  `json:"head_dim,omitempty"`
	FFN        int  `json:"ffn" jsonschema:"required,minimum=1"` // intermediate size of a dense layer's feed-forward part
	Vocab      int  `json:"vocab" jsonschema:"required,minimum=1"`
	MaxSeq     int  `json:"max_seq,omitempty"`
	GatedFFN   bool `json:"gated_ffn,omitempty"`   // three matrices (SwiGLU) instead of two
	TiedEmbed  bool `json:"tied_embed,omitempty"`  // output matrix shared with the input embedding
	LearnedPos bool `json:"learned_pos,omitempty"` // learned position embeddings of MaxSeq rows
	Biases     bool `json:"biases,omitempty"`      // biases on all linear layers and norms (GPT-2 style)
	QKVBias    bool `json:"qkv_bias,omitempty"`

	// What follows moves a parameter count by less than a thousandth, and makes
	// it exact.
	AttnOutBias bool `json:"attn_out_bias,omitempty"` // bias on the attention's output projection
	FFNBias     bool `json:"ffn_bias,omitempty"`      // biases in the feed-forward part, experts included
	NormBias    bool `json:"norm_bias,omitempty"`     // LayerNorm with a bias, where Biases is not set
	HeadBias    bool `json:"head_bias,omitempty"`     // bias on the output matrix
	Norms       int  `json:"norms,omitempty"`         // norms per layer; 0: two
	QKNorm      bool `json:"qk_norm,omitempty"`       // a norm over each head of queries and keys
	QKNormWide  bool `json:"qk_norm_wide,omitempty"`  // a norm over all heads of queries and keys together
	EmbedNorm   bool `json:"embed_norm,omitempty"`    // a norm after the embedding
	AttnSinks   bool `json:"attn_sinks,omitempty"`    // one learned sink per head and layer
	PosRows     int  `json:"pos_rows,omitempty"`      // rows of the position table, where not MaxSeq

	MoE *MoE `json:"moe,omitempty"`
	MLA *MLA `json:"mla,omitempty"`

	Attention   Attention `json:"attention,omitempty"`
	Window      int       `json:"window,omitempty"`       // tokens seen by a sliding layer
	WindowEvery int       `json:"window_every,omitempty"` // with mixed attention: one layer in so many is full

	PublishedParams       float64 `json:"published_params,omitempty"`        // the publisher's count, for tests
	PublishedActiveParams float64 `json:"published_active_params,omitempty"` // per token, for MoE
}

// MoE is a mixture-of-experts feed-forward part.
type MoE struct {
	Experts      int `json:"experts" jsonschema:"required,minimum=1"`
	Active       int `json:"active" jsonschema:"required,minimum=1"`     // routed experts per token
	Shared       int `json:"shared,omitempty"`                           // experts that every token passes
	ExpertFFN    int `json:"expert_ffn" jsonschema:"required,minimum=1"` // intermediate size of one expert
	DenseLayers  int `json:"dense_layers,omitempty"`                     // leading layers with a dense FFN instead
	EveryNth     int `json:"every_nth,omitempty"`                        // 0 or 1: every layer is MoE; n: one in n
	SharedFFN    int `json:"shared_ffn,omitempty"`                       // intermediate size of the shared expert, 0: ExpertFFN
	DenseMoEPlus int `json:"dense_moe_plus_ffn,omitempty"`               // dense FFN beside the experts in each layer (Arctic), 0: none

	RouterBias bool `json:"router_bias,omitempty"` // one bias per expert in the router
	SharedGate bool `json:"shared_gate,omitempty"` // a gate of Hidden weights on the shared expert
}

// MLA is multi-head latent attention (DeepSeek-V2, arXiv:2405.04434).
type MLA struct {
	QRank   int `json:"q_rank,omitempty"` // 0: queries are not compressed
	KVRank  int `json:"kv_rank" jsonschema:"required,minimum=1"`
	RopeDim int `json:"rope_dim" jsonschema:"required"`
	NopeDim int `json:"nope_dim" jsonschema:"required,minimum=1"`
	VDim    int `json:"v_dim" jsonschema:"required,minimum=1"`
}
