package model

import (
	"math"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// rounded separates published counts that are sums of tensors from those
// that a paper rounded: the latter end in six zeros.
func rounded(count float64) bool { return math.Mod(count, 1e6) == 0 }

func TestParamsMatchPublishedCounts(t *testing.T) {
	if n := len(All()); n < 25 {
		t.Fatalf("%d presets; at least 25 are promised", n)
	}
	exact := 0
	for _, m := range All() {
		if m.PublishedParams == 0 {
			continue
		}
		got, want := float64(m.Params()), m.PublishedParams
		switch {
		case !rounded(want) && got != want:
			t.Errorf("%s: computed %.0f parameters, published %.0f exactly (off by %.0f)", m.ID, got, want, got-want)
		case !rounded(want):
			exact++
		case math.Abs(got/want-1) > 0.005:
			t.Errorf("%s: computed %.4g parameters, published %.4g", m.ID, got, want)
		}
	}
	t.Logf("%d of %d presets are exact", exact, len(All()))
}

func TestActiveParams(t *testing.T) {
	for _, m := range All() {
		if m.MoE == nil {
			if m.ActiveParams() != m.Params() {
				t.Errorf("%s: a dense model uses all parameters", m.ID)
			}
			continue
		}
		if m.PublishedActiveParams == 0 {
			t.Errorf("%s: the published active count is missing", m.ID)
		}
		// Publishers round to two digits, and some leave the input table out.
		whole, without := float64(m.ActiveParams()), float64(m.ActiveParams()-m.Parts().Embedding)
		if math.Abs(whole/m.PublishedActiveParams-1) > 0.02 && math.Abs(without/m.PublishedActiveParams-1) > 0.02 {
			t.Errorf("%s: %.4g active parameters (%.4g without embedding), published %.4g", m.ID, whole, without, m.PublishedActiveParams)
		}
	}
}

func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"llama-3-8b":                               "llama-3-8b",
		"Llama-3.1-70B":                            "llama-3.1-70b",
		"meta-llama/Meta-Llama-3-8B":               "llama-3-8b",
		"meta-llama/Llama-3.1-8B-Instruct":         "llama-3.1-8b",
		"meta-llama/Llama-2-7b-chat-hf":            "llama-2-7b",
		"nvidia/Llama-3.1-405B-Instruct-FP8":       "llama-3.1-405b",
		"DeepSeek-R1":                              "deepseek-r1",
		"deepseek-ai/DeepSeek-R1-0528":             "deepseek-r1",
		"deepseek-ai/DeepSeek-V3-0324":             "deepseek-v3",
		"deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": "qwen2.5-32b",
		"gpt-oss-120b":                             "gpt-oss-120b",
		"OPENAI/GPT-OSS-20B":                       "gpt-oss-20b",
		"Qwen3-235B-A22B-FP8":                      "qwen3-235b-a22b",
		"Qwen/Qwen3-30B-A3B-Instruct-2507":         "qwen3-30b-a3b",
		"Qwen2.5-72B-Instruct-AWQ":                 "qwen2.5-72b",
		"Mistral-7B-Instruct-v0.2":                 "mistral-7b-v0.2",
		"Mistral-7B":                               "mistral-7b",
		"mistralai/Mixtral-8x7B-Instruct-v0.1":     "mixtral-8x7b",
		"google/gemma-2-27b-it":                    "gemma-2-27b",
		"microsoft/Phi-3-mini-128k-instruct":       "phi-3-mini",
		"CodeLlama-13b-hf":                         "codellama-13b",
		"GPT-3-175B":                               "gpt-3-175b",
		"GPT3-6.7B":                                "gpt3-6.7b",
		"GPT-3.6B":                                 "gpt-3.6b",
		"MT-NLG-530B":                              "gpt-530b",
		"bigscience/bloom":                         "bloom-176b",
		"MaxText-128B":                             "maxtext-128b",
		"gpt2":                                     "gpt2-124m",
	} {
		m, err := Find(name)
		if err != nil {
			t.Errorf("Find(%q): %v", name, err)
		} else if m.ID != want {
			t.Errorf("Find(%q) = %s, want %s", name, m.ID, want)
		}
	}
}

func TestFindUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"lama-3-8b":                 `unknown model "lama-3-8b"; did you mean llama-3-8b?`,
		"":                          `unknown model ""`,
		"xyzzy-quux-plugh":          `unknown model "xyzzy-quux-plugh"`,
		strings.Repeat("x", 100000): `unknown model "` + strings.Repeat("x", 60) + `…"`,
	} {
		m, err := Find(name)
		if m != nil || err == nil || err.Error() != want || !fault.Is(err, fault.NotFound) {
			t.Errorf("Find(%.20q) = %v, %v; want %s", name, m, err, want)
		}
	}
}
