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

// Model is the shape of a decoder-only transformer. Zero means "not there" for
// optional parts.
type Model struct {
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"` // names on model hubs and in papers
	Source  string   `json:"source,omitempty"`  // where the shape is published, with date

	Layers     int  `json:"layers"`
	Hidden     int  `json:"hidden"`
	Heads      int  `json:"heads"`
	KVHeads    int  `json:"kv_heads"`
	HeadDim    int  `json:"head_dim"`
	FFN        int  `json:"ffn"` // intermediate size of a dense layer's feed-forward part
	Vocab      int  `json:"vocab"`
	MaxSeq     int  `json:"max_seq,omitempty"`
	GatedFFN   bool `json:"gated_ffn"`   // three matrices (SwiGLU) instead of two
	TiedEmbed  bool `json:"tied_embed"`  // output matrix shared with the input embedding
	LearnedPos bool `json:"learned_pos"` // learned position embeddings of MaxSeq rows
	Biases     bool `json:"biases"`      // biases on all linear layers and norms (GPT-2 style)
	QKVBias    bool `json:"qkv_bias,omitempty"`

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
	Experts      int `json:"experts"`
	Active       int `json:"active"`             // routed experts per token
	Shared       int `json:"shared"`             // experts that every token passes
	ExpertFFN    int `json:"expert_ffn"`         // intermediate size of one expert
	DenseLayers  int `json:"dense_layers"`       // leading layers with a dense FFN instead
	EveryNth     int `json:"every_nth"`          // 0 or 1: every layer is MoE; n: one in n
	SharedFFN    int `json:"shared_ffn"`         // intermediate size of the shared expert, 0: ExpertFFN
	DenseMoEPlus int `json:"dense_moe_plus_ffn"` // dense FFN beside the experts in each layer (Arctic), 0: none
}

// MLA is multi-head latent attention (DeepSeek-V2, arXiv:2405.04434).
type MLA struct {
	QRank   int `json:"q_rank"` // 0: queries are not compressed
	KVRank  int `json:"kv_rank"`
	RopeDim int `json:"rope_dim"`
	NopeDim int `json:"nope_dim"`
	VDim    int `json:"v_dim"`
}
