package model

import (
	"fmt"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Bounds of a shape. They are far beyond any model, and keep every count
// within an int64: 6 · 4096 · 2^20 · 2^18 · 2^10 < 2^63.
const (
	maxLayers  = 1 << 10
	maxHidden  = 1 << 18
	maxHeads   = 1 << 12
	maxHeadDim = 1 << 12
	maxFFN     = 1 << 20
	maxVocab   = 1 << 24
	maxTokens  = 1 << 30
	maxExperts = 1 << 12
	maxNorms   = 16
)

// Problem is one thing wrong with a shape.
type Problem struct {
	Field   string // JSON path within the model, e.g. "moe.active"
	Message string
}

// Complete fills what a shape may leave out: key-value heads (as many as
// heads) and the size of a head (hidden / heads, or that of MLA's queries).
// Experts in every first layer are written as 0, the same thing.
func (m *Model) Complete() {
	if m.MoE != nil && m.MoE.EveryNth == 1 {
		m.MoE.EveryNth = 0
	}
	if m.KVHeads == 0 {
		m.KVHeads = m.Heads
	}
	if m.HeadDim == 0 && m.MLA != nil {
		m.HeadDim = m.MLA.NopeDim + m.MLA.RopeDim
	}
	if m.HeadDim == 0 && m.Heads > 0 && m.Hidden%m.Heads == 0 {
		m.HeadDim = m.Hidden / m.Heads
	}
}

// Validate returns all problems of a completed shape as one fault.Invalid
// error, or nil.
func (m *Model) Validate() error {
	problems := m.Problems()
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.Field + ": " + p.Message
	}
	return fault.New(fault.Invalid, strings.Join(lines, "\n"))
}

// Problems lists what is wrong with a completed shape.
func (m *Model) Problems() []Problem {
	c := &checker{}
	c.within("layers", m.Layers, 1, maxLayers)
	c.within("hidden", m.Hidden, 1, maxHidden)
	c.within("heads", m.Heads, 1, maxHeads)
	c.within("ffn", m.FFN, 1, maxFFN)
	c.within("vocab", m.Vocab, 1, maxVocab)
	c.within("max_seq", m.MaxSeq, 0, maxTokens)
	c.within("pos_rows", m.PosRows, 0, maxTokens)
	c.within("norms", m.Norms, 0, maxNorms)
	c.heads(m)
	c.positions(m)
	c.window(m)
	c.experts(m)
	c.latent(m)
	return c.problems
}

type checker struct{ problems []Problem }

func (c *checker) add(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{field, fmt.Sprintf(format, args...)})
}

func (c *checker) within(field string, value, low, high int) {
	if value < low || value > high {
		c.add(field, "found %d; %d to %d is valid", value, low, high)
	}
}

func (c *checker) heads(m *Model) {
	if m.Heads < 1 {
		return
	}
	if m.HeadDim == 0 {
		c.add("head_dim", "hidden %d is not a multiple of %d heads; give head_dim", m.Hidden, m.Heads)
	} else {
		c.within("head_dim", m.HeadDim, 1, maxHeadDim)
	}
	switch {
	case m.KVHeads < 1 || m.KVHeads > m.Heads:
		c.add("kv_heads", "found %d; 1 to %d (heads) is valid", m.KVHeads, m.Heads)
	case m.Heads%m.KVHeads != 0:
		c.add("kv_heads", "%d heads cannot be shared evenly by %d key-value heads", m.Heads, m.KVHeads)
	case m.MLA != nil && m.KVHeads != m.Heads:
		c.add("kv_heads", "multi-head latent attention has as many key-value heads as heads; leave it out")
	}
}

func (c *checker) positions(m *Model) {
	if m.LearnedPos && m.MaxSeq == 0 && m.PosRows == 0 {
		c.add("max_seq", "learned positions need max_seq: the number of rows of their table")
	}
}

func (c *checker) window(m *Model) {
	switch m.Attention {
	case FullAttention:
		if m.Window != 0 || m.WindowEvery != 0 {
			c.add("window", "a window needs attention: sliding or mixed")
		}
	case SlidingWindow, AlternatingAtt:
		c.within("window", m.Window, 1, maxTokens)
		if m.Attention == AlternatingAtt {
			c.within("window_every", m.WindowEvery, 2, max(2, m.Layers))
		} else if m.WindowEvery != 0 {
			c.add("window_every", "sliding attention has no full layers; use attention: mixed")
		}
	default:
		c.add("attention", "unknown value %q; valid: sliding, mixed, or nothing for full", string(m.Attention))
	}
}

func (c *checker) experts(m *Model) {
	moe := m.MoE
	if moe == nil {
		return
	}
	c.within("moe.experts", moe.Experts, 2, maxExperts)
	c.within("moe.expert_ffn", moe.ExpertFFN, 1, maxFFN)
	c.within("moe.shared", moe.Shared, 0, maxExperts)
	c.within("moe.shared_ffn", moe.SharedFFN, 0, maxFFN)
	c.within("moe.dense_moe_plus_ffn", moe.DenseMoEPlus, 0, maxFFN)
	c.within("moe.every_nth", moe.EveryNth, 0, max(1, m.Layers))
	if moe.Active < 1 || moe.Active > moe.Experts {
		c.add("moe.active", "%d active of %d experts; 1 to %d is valid", moe.Active, moe.Experts, moe.Experts)
	}
	if moe.DenseLayers < 0 || moe.DenseLayers >= max(1, m.Layers) {
		c.add("moe.dense_layers", "found %d; at least one of %d layers must have experts", moe.DenseLayers, m.Layers)
	}
}

func (c *checker) latent(m *Model) {
	a := m.MLA
	if a == nil {
		return
	}
	c.within("mla.q_rank", a.QRank, 0, maxHidden)
	c.within("mla.kv_rank", a.KVRank, 1, maxHidden)
	c.within("mla.rope_dim", a.RopeDim, 0, maxHeadDim)
	c.within("mla.nope_dim", a.NopeDim, 1, maxHeadDim)
	c.within("mla.v_dim", a.VDim, 1, maxHeadDim)
}
