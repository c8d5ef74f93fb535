package model

// Parts is the number of parameters of each part of a model.
type Parts struct {
	Embedding int64 `json:"embedding"` // the input table
	Position  int64 `json:"position"`  // learned positions
	Attention int64 `json:"attention"` // projections, with their biases
	FFN       int64 `json:"ffn"`       // dense feed-forward parts, shared experts included
	Experts   int64 `json:"experts"`   // routed experts, all of them
	Router    int64 `json:"router"`
	Norms     int64 `json:"norms"`
	Head      int64 `json:"head"` // the output matrix; 0 where it is tied to the input table
}

// Total is the sum of the parts.
func (p Parts) Total() int64 {
	return p.Embedding + p.Position + p.Attention + p.FFN + p.Experts + p.Router + p.Norms + p.Head
}

// Parts counts the parameters of a valid model, part by part.
func (m *Model) Parts() Parts {
	layers, hidden, moeLayers := int64(m.Layers), int64(m.Hidden), int64(m.MoELayers())
	parts := Parts{
		Embedding: int64(m.Vocab) * hidden,
		Position:  m.positionRows() * hidden,
		Attention: layers * m.attentionParams(true),
		FFN:       (layers - moeLayers) * m.ffnParams(int64(m.FFN), true),
		Norms:     m.normParams(),
	}
	if !m.TiedEmbed {
		parts.Head = parts.Embedding
	}
	if m.HeadBias {
		parts.Head += int64(m.Vocab)
	}
	if m.MoE != nil {
		parts.FFN += moeLayers * m.sharedParams(true)
		parts.Experts = moeLayers * int64(m.MoE.Experts) * m.ffnParams(int64(m.MoE.ExpertFFN), true)
		parts.Router = moeLayers * m.routerParams(true)
	}
	return parts
}

// Params counts all parameters.
func (m *Model) Params() int64 { return m.Parts().Total() }

// ActiveParams counts the parameters that one token uses: all but the experts
// that it is not routed to. The embedding table counts whole, as most
// publishers have it.
func (m *Model) ActiveParams() int64 {
	parts := m.Parts()
	return parts.Total() - parts.Experts + m.activeExperts(parts)
}

// MatmulParams counts the weights that one token is multiplied with: active
// matrices and the output matrix, tied or not, without the embedding look-up,
// norms and biases. A forward pass takes twice as many FLOPs a token, plus
// what attention does over the sequence.
func (m *Model) MatmulParams() int64 {
	layers, moeLayers := int64(m.Layers), int64(m.MoELayers())
	sum := int64(m.Vocab)*int64(m.Hidden) + layers*m.attentionParams(false) + (layers-moeLayers)*m.ffnParams(int64(m.FFN), false)
	if m.MoE != nil {
		active := int64(m.MoE.Active) * m.ffnParams(int64(m.MoE.ExpertFFN), false)
		sum += moeLayers * (active + m.sharedParams(false) + m.routerParams(false))
	}
	return sum
}

// MoELayers is the number of layers with experts.
func (m *Model) MoELayers() int {
	if m.MoE == nil {
		return 0
	}
	return max(0, m.Layers-m.MoE.DenseLayers) / max(1, m.MoE.EveryNth)
}

// FullAttentionLayers is the number of layers that see the whole sequence.
func (m *Model) FullAttentionLayers() int {
	switch m.Attention {
	case SlidingWindow:
		return 0
	case AlternatingAtt:
		return m.Layers / max(1, m.WindowEvery)
	}
	return m.Layers
}

// KVValuesPerToken is how many numbers the key-value cache of one layer holds
// for a token: keys and values of each group, or the latent of MLA.
func (m *Model) KVValuesPerToken() int {
	if m.MLA != nil {
		return m.MLA.KVRank + m.MLA.RopeDim
	}
	return 2 * m.KVHeads * m.HeadDim
}

func (m *Model) activeExperts(parts Parts) int64 {
	if m.MoE == nil || m.MoE.Experts == 0 {
		return 0
	}
	return parts.Experts / int64(m.MoE.Experts) * int64(m.MoE.Active)
}

func (m *Model) positionRows() int64 {
	switch {
	case !m.LearnedPos:
		return 0
	case m.PosRows > 0:
		return int64(m.PosRows)
	}
	return int64(m.MaxSeq)
}

// attentionParams counts one layer. With small, biases and inner norms count too.
func (m *Model) attentionParams(small bool) int64 {
	if m.MLA != nil {
		return m.latentParams(small)
	}
	hidden, heads := int64(m.Hidden), int64(m.Heads)
	queries, groups := heads*int64(m.HeadDim), int64(m.KVHeads)*int64(m.HeadDim)
	sum := 2*hidden*queries + 2*hidden*groups
	if !small {
		return sum
	}
	if m.Biases || m.QKVBias {
		sum += queries + 2*groups
	}
	if m.Biases || m.AttnOutBias {
		sum += hidden
	}
	if m.QKNorm {
		sum += 2 * int64(m.HeadDim)
	}
	if m.QKNormWide {
		sum += queries + groups
	}
	if m.AttnSinks {
		sum += heads
	}
	return sum
}

// latentParams counts one layer of MLA as DeepSeek-V2 has it (arXiv:2405.04434, section 2.1).
func (m *Model) latentParams(small bool) int64 {
	a := m.MLA
	hidden, heads, kvRank := int64(m.Hidden), int64(m.Heads), int64(a.KVRank)
	queries := heads * int64(a.NopeDim+a.RopeDim)
	sum := hidden*(kvRank+int64(a.RopeDim)) + kvRank*heads*int64(a.NopeDim+a.VDim) + heads*int64(a.VDim)*hidden
	if a.QRank > 0 {
		sum += int64(a.QRank) * (hidden + queries)
	} else {
		sum += hidden * queries
	}
	if small {
		sum += int64(a.QRank) + kvRank
	}
	return sum
}

func (m *Model) ffnParams(width int64, small bool) int64 {
	hidden, ups := int64(m.Hidden), int64(1)
	if m.GatedFFN {
		ups = 2
	}
	sum := (ups + 1) * hidden * width
	if small && (m.Biases || m.FFNBias) {
		sum += ups*width + hidden
	}
	return sum
}

// sharedParams counts what every token passes in a layer with experts.
func (m *Model) sharedParams(small bool) int64 {
	width := m.MoE.ExpertFFN
	if m.MoE.SharedFFN > 0 {
		width = m.MoE.SharedFFN
	}
	sum := int64(m.MoE.Shared) * m.ffnParams(int64(width), small)
	if m.MoE.DenseMoEPlus > 0 {
		sum += m.ffnParams(int64(m.MoE.DenseMoEPlus), small)
	}
	return sum
}

func (m *Model) routerParams(small bool) int64 {
	sum := int64(m.MoE.Experts) * int64(m.Hidden)
	if m.MoE.SharedGate {
		sum += int64(m.Hidden)
	}
	if small && m.MoE.RouterBias {
		sum += int64(m.MoE.Experts)
	}
	return sum
}

func (m *Model) normParams() int64 {
	perNorm := int64(m.Hidden)
	if m.Biases || m.NormBias {
		perNorm *= 2
	}
	count := int64(m.Layers)*int64(m.normsPerLayer()) + 1
	if m.EmbedNorm {
		count++
	}
	return count * perNorm
}

func (m *Model) normsPerLayer() int {
	if m.Norms == 0 {
		return 2
	}
	return m.Norms
}
