package measured

import (
	"regexp"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
)

// mark is a word in a row's source or notes that tells its framework.
type mark struct{ word, path string }

// trainingMarks are tried in order; the first that occurs in the source, or
// else in the notes, wins.
func trainingMarks() []mark {
	return []mark{
		{"megatron-bridge", "megatron/nvidia/bridge"},
		{"nemo docs", "megatron/nvidia/nemo"},
		{"neuron", "neuron"},
		{"trn1", "neuron"},
		{"trn2", "neuron"},
		{"primus", "megatron/rocm"},
		{"amd", "megatron/rocm"},
		{"rocm", "megatron/rocm"},
		{"gaudi", "gaudi"},
		{"habana", "gaudi"},
		{"maxtext", "maxtext"},
		{"tpu-recipes", "maxtext"},
		{"maxdiffusion", "maxtext"},
		{"torchtitan", "fsdp/torchtitan"},
		{"llm-foundry", "fsdp/foundry"},
		{"mosaic", "fsdp/foundry"},
		{"databricks", "fsdp/foundry"},
		{"olmo", "fsdp/torch"},
		{"fsdp", "fsdp/torch"},
		{"lit-gpt", "fsdp/torch"},
		{"litgpt", "fsdp/torch"},
		{"tinyllama", "fsdp/torch"},
		{"nanotron", "megatron/hf"},
		{"deepspeed", "deepspeed"},
		{"2104.04473", "megatron/2021"},
		{"2205.05198", "megatron/2021"},
		{"bloom", "megatron/2021"},
		{"mlperf", "megatron/nvidia/mlperf"},
		{"nemo", "megatron/nvidia/nemo"},
		{"megatron", "megatron/nvidia/core"},
		{"megascale", "megatron/nvidia/core"},
		{"dgx", "megatron/nvidia/nemo"},
		{"nvidia", "megatron/nvidia"},
	}
}

var (
	releaseMark = regexp.MustCompile(`\b(2[3-9]\.\d\d(?:\.\d\d)?)\b`)
	neuronMark  = regexp.MustCompile(`(?i)Neuron SDK (?:2\.(\d+)|2022)`)
	powerMark   = regexp.MustCompile(`\b(\d{3,4}) ?W\b`)
	podMark     = regexp.MustCompile(`([A-Z]+\d+) pods (\d+) ?Gbps`)
)

func findMark(marks []mark, source, notes string) string {
	for _, text := range []string{strings.ToLower(source), strings.ToLower(notes)} {
		for _, m := range marks {
			if strings.Contains(text, m.word) {
				return m.path
			}
		}
	}
	return ""
}

// trainingStack is the framework path of a training row, "" where it does not tell.
func trainingStack(source, notes string, k *chip.Chip) string {
	path := findMark(trainingMarks(), source, notes)
	switch k.Family {
	case chip.Neuron:
		return "neuron"
	case chip.TPU:
		return "maxtext"
	case chip.Gaudi:
		return "gaudi"
	case chip.ROCm:
		if !strings.HasPrefix(path, "fsdp") && !strings.HasPrefix(path, "deepspeed") {
			return "megatron/rocm"
		}
	}
	if path == "megatron/nvidia/bridge" {
		if v := releaseMark.FindString(source + " " + notes); v != "" {
			path += "/" + v
		}
	}
	return path
}

// neuronRelease reads the minor release of "Neuron SDK 2.18.1"; releases of
// 2022 went by date and count as 2.4.
func neuronRelease(notes string) float64 {
	m := neuronMark.FindStringSubmatch(notes)
	switch {
	case m == nil:
		return 0
	case m[1] == "":
		return 4
	}
	return number(m[1])
}
