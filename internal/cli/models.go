package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func (a *app) modelsCommand() *cobra.Command {
	cmd := a.withOutput(&cobra.Command{
		Use:   "models [NAME]",
		Short: "Show the models that are known, with their parameter counts",
		Long: "Models lists the shapes that a workload can name as model.preset, with the\n" +
			"parameter counts that follow from them. With a name it shows one in full. Names\n" +
			"as on model hubs work: meta-llama/Meta-Llama-3-8B-Instruct, DeepSeek-R1-0528.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			models, err := a.knownModels()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.print(modelListing(models.All()))
			}
			m, err := models.Find(args[0])
			if err != nil {
				return err
			}
			l := modelListing([]*model.Model{m})
			l.document, l.page = modelDocument(m), modelPage(m)
			return a.print(l)
		},
	})
	cmd.AddCommand(a.modelsImportCommand())
	return cmd
}

// modelJSON is the stable form of a model: its shape, as a workload takes it,
// and the counts that follow from it.
type modelJSON struct {
	*model.Model
	Params       int64       `json:"params"`
	ActiveParams int64       `json:"active_params"`
	MatmulParams int64       `json:"matmul_params"`
	Parts        model.Parts `json:"parts"`
	KVValues     int         `json:"kv_values_per_token_and_layer"`
}

func modelDocument(m *model.Model) modelJSON {
	return modelJSON{m, m.Params(), m.ActiveParams(), m.MatmulParams(), m.Parts(), m.KVValuesPerToken()}
}

func modelListing(models []*model.Model) listing {
	l := listing{
		columns: []column{
			{"MODEL", "model", false}, {"PARAMS", "params", true}, {"ACTIVE", "active_params", true}, {"LAYERS", "layers", true},
			{"HIDDEN", "hidden", true}, {"HEADS", "heads", true}, {"KV", "kv_heads", true}, {"FFN", "ffn", true},
			{"EXPERTS", "experts", true}, {"VOCAB", "vocab", true}, {"CONTEXT", "max_seq", true}, {"SOURCE", "source", false},
		},
		after: "\nOne in full: yard models llama-3-8b          From a config.json: yard models import config.json\n",
	}
	documents := []modelJSON{}
	for _, m := range models {
		documents = append(documents, modelDocument(m))
		l.cells = append(l.cells, modelCells(m, shortCount, func(n int) string { return grouped(strconv.Itoa(n)) }))
		exact := modelCells(m, func(n int64) string { return strconv.FormatInt(n, 10) }, strconv.Itoa)
		if exact[8] = "0"; m.MoE != nil {
			exact[8] = strconv.Itoa(m.MoE.Experts)
		}
		l.exact = append(l.exact, exact)
	}
	l.document = documents
	return l
}

func modelCells(m *model.Model, count func(int64) string, number func(int) string) []string {
	experts, width := "", m.FFN
	if m.MoE != nil {
		experts = fmt.Sprintf("%d of %d", m.MoE.Active, m.MoE.Experts)
		width = m.MoE.ExpertFFN
	}
	context := ""
	if m.MaxSeq > 0 {
		context = number(m.MaxSeq)
	}
	return []string{
		m.ID, count(m.Params()), count(m.ActiveParams()), number(m.Layers), number(m.Hidden), number(m.Heads), number(m.KVHeads),
		number(width), experts, number(m.Vocab), context, m.Source,
	}
}

// shortCount writes a number of parameters with three digits, as 8.03B.
func shortCount(n int64) string {
	for _, unit := range []struct {
		size   float64
		suffix string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if value := float64(n) / unit.size; value >= 0.9995 {
			decimals := 2
			if value >= 99.95 {
				decimals = 0
			} else if value >= 9.995 {
				decimals = 1
			}
			return strconv.FormatFloat(value, 'f', decimals, 64) + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

func modelPage(m *model.Model) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s · %s parameters", m.ID, units.Grouped(m.Params()))
	if m.MoE != nil {
		fmt.Fprintf(&b, ", %s active per token", units.Grouped(m.ActiveParams()))
	}
	b.WriteString("\n\n")
	line("layers", "%d × %s hidden", m.Layers, units.Grouped(int64(m.Hidden)))
	line("attention", "%s", attentionLine(m))
	line("feed-forward", "%s", feedForwardLine(m))
	embedding := "own output matrix"
	if m.TiedEmbed {
		embedding = "output matrix shared with the input"
	}
	line("vocabulary", "%s, %s", units.Grouped(int64(m.Vocab)), embedding)
	if m.MaxSeq > 0 {
		line("context", "%s tokens", units.Grouped(int64(m.MaxSeq)))
	}
	parts := m.Parts()
	line("parameters", "%s", partsLine(parts))
	line("products", "%s parameters are multiplied per token: %.3g FLOP forward, attention over the sequence apart", shortCount(m.MatmulParams()), 2*float64(m.MatmulParams()))
	line("cache", "%s values per token and layer", units.Grouped(int64(m.KVValuesPerToken())))
	if len(m.Aliases) > 0 {
		line("also", "%s", strings.Join(m.Aliases, ", "))
	}
	line("source", "%s", m.Source)
	if m.PublishedParams > 0 {
		line("published", "%s parameters", units.Grouped(int64(m.PublishedParams)))
	}
	return b.String()
}

func attentionLine(m *model.Model) string {
	text := fmt.Sprintf("%d heads of %d over %d key-value heads", m.Heads, m.HeadDim, m.KVHeads)
	if m.MLA != nil {
		text = fmt.Sprintf("%d heads over a latent of %d + %d (MLA)", m.Heads, m.MLA.KVRank, m.MLA.RopeDim)
	}
	switch m.Attention {
	case model.SlidingWindow:
		text += fmt.Sprintf("; each layer sees %s tokens", units.Grouped(int64(m.Window)))
	case model.AlternatingAtt:
		text += fmt.Sprintf("; one layer in %d sees all, the others %s tokens", m.WindowEvery, units.Grouped(int64(m.Window)))
	}
	return text
}

func feedForwardLine(m *model.Model) string {
	matrices := "two matrices"
	if m.GatedFFN {
		matrices = "three matrices"
	}
	if m.MoE == nil {
		return fmt.Sprintf("%s wide, %s", units.Grouped(int64(m.FFN)), matrices)
	}
	text := fmt.Sprintf("%d of %d experts of %s", m.MoE.Active, m.MoE.Experts, units.Grouped(int64(m.MoE.ExpertFFN)))
	if m.MoE.Shared > 0 {
		text += fmt.Sprintf(" and %d shared", m.MoE.Shared)
	}
	if dense := m.Layers - m.MoELayers(); dense > 0 {
		text += fmt.Sprintf("; %d layers dense, %s wide", dense, units.Grouped(int64(m.FFN)))
	}
	return text + ", " + matrices
}

func partsLine(p model.Parts) string {
	var shares []string
	for _, part := range []struct {
		name  string
		count int64
	}{
		{"embedding", p.Embedding}, {"positions", p.Position}, {"attention", p.Attention}, {"feed-forward", p.FFN},
		{"experts", p.Experts}, {"router", p.Router}, {"norms", p.Norms}, {"output", p.Head},
	} {
		if part.count > 0 {
			shares = append(shares, part.name+" "+shortCount(part.count))
		}
	}
	return strings.Join(shares, " · ")
}
