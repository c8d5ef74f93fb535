package estimate

import "github.com/switchyard-ai/switchyard/internal/model"

// shape is what the formulas need of a model, computed once. Sizes are numbers
// of elements, per layer unless said otherwise.
type shape struct {
	layers, dense, moe float64 // all layers; those with a dense FFN; those with experts
	hidden, vocab      float64
	heads, kvHeads     float64
	q, kv              float64 // widths of all queries, and of all keys (or values)
	core               float64 // width that attention scores and outputs cost per pair of tokens, in multiply-adds (heads × (key + value size))
	kvCache            float64 // elements cached per token and layer
	attention          float64 // parameters of the attention projections
	ffn, ffnWidth      float64 // parameters of a dense FFN, and its intermediate width
	gates              float64 // matrices into the intermediate width: 2 gated, 1 not
	expert, expertFFN  float64 // parameters of one routed expert, and its width
	shared             float64 // parameters beside the experts that every token passes in a MoE layer (shared experts, router, dense part)
	sharedFFN          float64 // width of those shared experts
	experts, active    float64
	embed              float64 // parameters of input and output embeddings of the whole model
	window             float64 // tokens seen by a sliding layer, 0: all
	full               float64 // share of layers that see the whole sequence
}

func newShape(m *model.Model) shape {
	s := shape{layers: float64(m.Layers), hidden: float64(m.Hidden), vocab: float64(m.Vocab), heads: float64(m.Heads), kvHeads: float64(m.KVHeads), gates: 1, full: 1}
	s.attend(m)
	if m.GatedFFN {
		s.gates = 2
	}
	s.ffnWidth = float64(m.FFN)
	s.ffn = (s.gates + 1) * s.hidden * s.ffnWidth
	s.dense = s.layers
	if m.MoE != nil {
		s.route(m.MoE)
	}
	s.embed = 2 * s.vocab * s.hidden
	if m.TiedEmbed {
		s.embed /= 2
	}
	if m.LearnedPos {
		s.embed += float64(m.MaxSeq) * s.hidden
	}
	return s
}

func (s *shape) attend(m *model.Model) {
	dim := float64(m.HeadDim)
	if dim == 0 && s.heads > 0 {
		dim = s.hidden / s.heads
	}
	if s.kvHeads == 0 {
		s.kvHeads = s.heads
	}
	s.q, s.kv = s.heads*dim, s.kvHeads*dim
	s.attention = s.hidden * (2*s.q + 2*s.kv)
	s.core = 2 * s.q
	s.kvCache = 2 * s.kv
	if a := m.MLA; a != nil {
		s.latent(a)
	}
	if m.Window > 0 && m.Attention != model.FullAttention {
		s.window = float64(m.Window)
		s.full = 0
		if m.Attention == model.AlternatingAtt && m.WindowEvery > 0 {
			s.full = 1 / float64(m.WindowEvery)
		}
	}
}

// latent replaces the projections by those of multi-head latent attention
// (DeepSeek-V2, arXiv:2405.04434, section 2.1).
func (s *shape) latent(a *model.MLA) {
	key := float64(a.NopeDim + a.RopeDim)
	value := float64(a.VDim)
	queries := s.hidden * s.heads * key
	if a.QRank > 0 {
		queries = float64(a.QRank) * (s.hidden + s.heads*key)
	}
	rank := float64(a.KVRank)
	s.attention = queries + s.hidden*(rank+float64(a.RopeDim)) + rank*s.heads*(float64(a.NopeDim)+value) + s.heads*value*s.hidden
	s.q, s.kv = s.heads*key, s.heads*key
	s.core = s.heads * (key + value)
	s.kvCache = rank + float64(a.RopeDim)
}

func (s *shape) route(e *model.MoE) {
	s.experts, s.active = float64(e.Experts), float64(e.Active)
	s.expertFFN = float64(e.ExpertFFN)
	s.expert = (s.gates + 1) * s.hidden * s.expertFFN
	width := float64(e.SharedFFN)
	if width == 0 {
		width = s.expertFFN
	}
	s.sharedFFN = float64(e.Shared)*width + float64(e.DenseMoEPlus)
	s.shared = (s.gates+1)*s.hidden*s.sharedFFN + s.hidden*s.experts
	s.dense = float64(e.DenseLayers)
	s.moe = s.layers - s.dense
	if e.EveryNth > 1 {
		s.moe = float64(int(s.moe) / e.EveryNth)
	}
	s.dense = s.layers - s.moe
}

// params counts all parameters but norms and biases.
func (s *shape) params() float64 {
	return s.layers*s.attention + s.dense*s.ffn + s.moe*(s.shared+s.experts*s.expert) + s.embed
}

// matmul counts the parameters that one token is multiplied with, output
// embedding included, input embedding (a look-up) not.
func (s *shape) matmul() float64 {
	return s.layers*s.attention + s.dense*s.ffn + s.moe*(s.shared+s.active*s.expert) + s.vocab*s.hidden
}

// pairs is the mean number of earlier tokens that a token attends to in a
// sequence, causal, averaged over the layers.
func (s *shape) pairs(seq float64) float64 {
	full := seq / 2
	if s.window == 0 || s.window >= seq {
		return full
	}
	slid := s.window - s.window*s.window/(2*seq)
	return s.full*full + (1-s.full)*slid
}

// ModelFLOPs returns the floating-point operations of one training step over
// tokens of the sequence length: forward and backward, six per parameter and
// token (Kaplan et al. 2020, arXiv:2001.08361) plus attention scores, halved
// for the causal mask when causal. Recomputation does not count.
func ModelFLOPs(m *model.Model, seq, tokens float64, causal bool) float64 {
	s := newShape(m)
	pairs := s.pairs(seq)
	if !causal {
		pairs *= 2
	}
	return 6 * tokens * (s.matmul() + s.layers*s.core*pairs)
}

// KVBytesPerToken returns the bytes of key-value cache that one token needs
// over all layers, with elements of the given size in bytes.
func KVBytesPerToken(m *model.Model, elementBytes float64) float64 {
	s := newShape(m)
	return s.layers * s.kvCache * elementBytes
}
