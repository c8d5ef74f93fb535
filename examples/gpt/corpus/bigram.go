package corpus

import "math"

// smoothing is the count that each pair starts with, so that no pair is impossible.
const smoothing = 0.01

// Bigram is the loss in nats per byte, over all bytes of the probes but the first of each, of guessing a byte from the one
// before it by the counts of the training text.
func (c *Corpus) Bigram(probes [][]byte) float64 {
	var pairs [256][256]float64
	var totals [256]float64
	for i := 1; i < len(c.Train); i++ {
		pairs[c.Train[i-1]][c.Train[i]]++
		totals[c.Train[i-1]]++
	}
	loss, n := 0.0, 0
	for _, probe := range probes {
		for i := 1; i < len(probe); i++ {
			p := (pairs[probe[i-1]][probe[i]] + smoothing) / (totals[probe[i-1]] + 256*smoothing)
			loss -= math.Log(p)
			n++
		}
	}
	return loss / float64(max(1, n))
}
