package measured

import (
	"math"
	"regexp"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/model"
)

var sizeMark = regexp.MustCompile(`(?i)(\d+(?:\.\d+)?)[ -]?([bmt])\b`)

// rowModel finds the model of a row: by its name, unless the shape columns
// contradict; else by the shape columns; else by its size. The second result
// says what was guessed.
func rowModel(row Row) (*model.Model, string, error) {
	name := row.Text("model")
	layers, hidden := row.Whole("layers"), row.Whole("hidden")
	found, err := model.Find(baseName(name))
	if err == nil && (layers == 0 || layers == found.Layers) && (hidden == 0 || hidden == found.Hidden) {
		return found, "", nil
	}
	if layers > 0 && hidden > 0 {
		return fromColumns(row, name, layers, hidden), "", nil
	}
	if m := fromSize(name, row.Number("params_b")*1e9); m != nil {
		return m, "shape from the size", nil
	}
	if name == "" {
		return nil, "", fault.New(fault.Invalid, "model: neither a name nor layers and hidden are given")
	}
	return nil, "", err
}

// baseName drops what follows the name of the served model.
func baseName(name string) string {
	name, _, _ = strings.Cut(name, " + ")
	name, _, _ = strings.Cut(name, " (")
	return strings.TrimSpace(name)
}

func fromColumns(row Row, name string, layers, hidden int) *model.Model {
	m := &model.Model{ID: name, Layers: layers, Hidden: hidden, Heads: row.Whole("heads"), KVHeads: row.Whole("kv_heads"), FFN: row.Whole("ffn"), Vocab: row.Whole("vocab")}
	if m.ID == "" {
		m.ID = "unnamed"
	}
	if m.Heads == 0 {
		m.Heads = max(1, hidden/128)
	}
	if m.KVHeads == 0 || m.KVHeads > m.Heads {
		m.KVHeads = m.Heads
	}
	m.HeadDim = max(1, hidden/m.Heads)
	if m.FFN == 0 {
		m.FFN = 4 * hidden
	}
	if m.Vocab == 0 {
		m.Vocab = 50304
	}
	m.GatedFFN = m.FFN != 4*hidden
	if e, k := row.Whole("experts"), row.Whole("active_experts"); e > 1 {
		m.MoE = &model.MoE{Experts: e, Active: max(1, min(k, e)), ExpertFFN: m.FFN}
		m.GatedFFN = true
	}
	if size := row.Number("params_b") * 1e9; size > 0 {
		m.GatedFFN = closer(m, size)
	}
	return m
}

// closer reports whether a gated FFN explains the published size better.
func closer(m *model.Model, size float64) bool {
	gated, plain := *m, *m
	gated.GatedFFN, plain.GatedFFN = true, false
	off := func(m *model.Model) float64 { return math.Abs(math.Log(float64(m.Params()) / size)) }
	return off(&gated) < off(&plain)
}

// fromSize makes up the shape of a dense model of a size: layers and width as
// the Llama family grows, 12·layers·hidden² parameters.
func fromSize(name string, size float64) *model.Model {
	if size == 0 {
		m := sizeMark.FindStringSubmatch(name)
		if m == nil {
			return nil
		}
		size = number(m[1]) * map[string]float64{"m": 1e6, "b": 1e9, "t": 1e12}[strings.ToLower(m[2])]
	}
	if size < 1e6 || size > 1e14 {
		return nil
	}
	hidden := max(1, int(math.Round(math.Cbrt(size/12*110)/128))) * 128
	layers := max(1, int(math.Round(size/12/float64(hidden)/float64(hidden))))
	return &model.Model{ID: name, Layers: layers, Hidden: hidden, Heads: hidden / 128, KVHeads: hidden / 128, HeadDim: 128, FFN: 4 * hidden, Vocab: 50304}
}
