package train

import (
	"testing"

	"github.com/switchyard-ai/switchyard/examples/gpt/model"
)

func BenchmarkStep(b *testing.B) {
	for _, e := range engines() {
		b.Run(e.Name(), func(b *testing.B) {
			s := Settings{Shape: model.Shape{Layers: 4, Dim: 128, Heads: 2, Seq: 128}, Batch: 4, Steps: 1000, Rate: 1e-3}
			tr := alone(s, e, 1)
			for b.Loop() {
				if _, _, err := tr.Next(false); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.TokensPerStep())*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
