package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

func valid() Model {
	m := Model{Layers: 4, Hidden: 64, Heads: 8, KVHeads: 2, FFN: 128, Vocab: 100, GatedFFN: true}
	m.Complete()
	return m
}

func TestProblems(t *testing.T) {
	for want, change := range map[string]func(*Model){
		"":                                    func(*Model) {},
		"layers: found 0; 1 to 1024 is valid": func(m *Model) { m.Layers = 0 },
		"hidden: found 1000000; 1 to 262144 is valid":                    func(m *Model) { m.Hidden = 1_000_000 },
		"kv_heads: 8 heads cannot be shared evenly by 3 key-value heads": func(m *Model) { m.KVHeads = 3 },
		"kv_heads: found 16; 1 to 8 (heads) is valid":                    func(m *Model) { m.KVHeads = 16 },
		"head_dim: hidden 64 is not a multiple of 7 heads; give head_dim\nkv_heads: 7 heads cannot be shared evenly by 2 key-value heads": func(m *Model) { m.Heads, m.HeadDim = 7, 0 },
		"max_seq: learned positions need max_seq: the number of rows of their table":                                                      func(m *Model) { m.LearnedPos = true },
		"window: a window needs attention: sliding or mixed":                                                                              func(m *Model) { m.Window = 8 },
		"window: found 0; 1 to 1073741824 is valid":                                                                                       func(m *Model) { m.Attention = SlidingWindow },
		"window_every: found 0; 2 to 4 is valid":                                                                                          func(m *Model) { m.Attention, m.Window = AlternatingAtt, 8 },
		"window_every: sliding attention has no full layers; use attention: mixed":                                                        func(m *Model) { m.Attention, m.Window, m.WindowEvery = SlidingWindow, 8, 2 },
		"moe.active: 9 active of 8 experts; 1 to 8 is valid":                                                                              func(m *Model) { m.MoE = &MoE{Experts: 8, Active: 9, ExpertFFN: 4} },
		"moe.dense_layers: found 4; at least one of 4 layers must have experts":                                                           func(m *Model) { m.MoE = &MoE{Experts: 8, Active: 2, ExpertFFN: 4, DenseLayers: 4} },
		"kv_heads: multi-head latent attention has as many key-value heads as heads; leave it out":                                        func(m *Model) { m.MLA = &MLA{KVRank: 8, NopeDim: 4, VDim: 4} },
		"mla.kv_rank: found 0; 1 to 262144 is valid\nmla.nope_dim: found 0; 1 to 4096 is valid\nmla.v_dim: found 0; 1 to 4096 is valid":   func(m *Model) { m.KVHeads, m.MLA = 8, &MLA{} },
	} {
		m := valid()
		change(&m)
		err := m.Validate()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestCountsStayWithinInt64 takes the largest shape that is valid.
func TestCountsStayWithinInt64(t *testing.T) {
	m := Model{
		Layers: maxLayers, Hidden: maxHidden, Heads: maxHeads, HeadDim: maxHeadDim, FFN: maxFFN, Vocab: maxVocab, MaxSeq: maxTokens,
		GatedFFN: true, LearnedPos: true, Biases: true, Norms: maxNorms,
		MoE: &MoE{Experts: maxExperts, Active: maxExperts, Shared: maxExperts, ExpertFFN: maxFFN, SharedFFN: maxFFN, DenseMoEPlus: maxFFN},
	}
	m.Complete()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if total, active, products := m.Params(), m.ActiveParams(), m.MatmulParams(); total <= 0 || active <= 0 || products <= 0 || active > total || products > total {
		t.Errorf("%d parameters, %d active, %d multiplied", total, active, products)
	}
}

func TestCountsByHand(t *testing.T) {
	m := valid() // head_dim 8: attention 64·(2·64 + 2·16) = 10240, feed-forward 3·64·128 = 24576
	want := Parts{Embedding: 6400, Head: 6400, Attention: 4 * 10240, FFN: 4 * 24576, Norms: 9 * 64}
	if diff := cmp.Diff(want, m.Parts()); diff != "" {
		t.Error(diff)
	}
	if got := m.MatmulParams(); got != 4*(10240+24576)+6400 {
		t.Errorf("%d multiplied", got)
	}
	m.MoE = &MoE{Experts: 4, Active: 1, Shared: 1, ExpertFFN: 32, DenseLayers: 2}
	if got, want := m.ActiveParams(), m.Params()-2*3*3*64*32; got != want {
		t.Errorf("%d active, want %d: all but three experts in two layers", got, want)
	}
	if m.MoELayers() != 2 || m.FullAttentionLayers() != 4 || m.KVValuesPerToken() != 32 {
		t.Errorf("%d layers with experts, %d full, %d cached", m.MoELayers(), m.FullAttentionLayers(), m.KVValuesPerToken())
	}
}

func TestParseSet(t *testing.T) {
	const shape = "layers: 2, hidden: 8, heads: 2, ffn: 8, vocab: 8"
	for text, want := range map[string]string{
		"- {id: a, source: s, " + shape + "}\n- {id: A, source: s, " + shape + "}":               `f.yaml:2:3: [1]: "A" names a already`,
		"- {id: a, aliases: [b], source: s, " + shape + "}\n- {id: b, source: s, " + shape + "}": `f.yaml:2:3: [1]: "b" names a already`,
		"- {source: s, " + shape + "}":                     "f.yaml:1:3: [0]: a model needs an id and a source",
		"- {id: a, source: s, layers: 2}":                  "[0].ffn: the field is missing and needed",
		"- {id: a, source: s, kv_heads: 3, " + shape + "}": "[0].kv_heads: found 3; 1 to 2 (heads) is valid",
		"- ~": "[0]: a model is needed",
		"{}":  "found a mapping; a list is needed",
	} {
		_, err := ParseSet("f.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestWithHidesWhereNamesClash(t *testing.T) {
	own := valid()
	own.ID, own.Source = "llama-3-8b", "mine"
	set := Presets().With(&own)
	if m, err := set.Find("meta-llama/Llama-3-8B"); err != nil || m != &own {
		t.Errorf("found %v, %v", m, err)
	}
	if m, err := Find("llama-3-8b"); err != nil || m == &own {
		t.Errorf("the presets changed: %v, %v", m, err)
	}
	if got, want := len(set.All()), len(All()); got != want {
		t.Errorf("%d models, want %d", got, want)
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte("- {id: a, source: s, layers: 2, hidden: 8, heads: 2, ffn: 8, vocab: 8}"))
	f.Add(presetsFile[:4000])
	f.Add([]byte("- ~\n- &a {id: x}\n- *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := ParseSet("f.yaml", data)
		if err != nil {
			if _, ok := err.(spec.Faults); !ok {
				t.Fatalf("error %T", err)
			}
			return
		}
		for _, m := range set.All() {
			if m.Params() <= 0 {
				t.Fatalf("%+v has %d parameters", m, m.Params())
			}
		}
	})
}
