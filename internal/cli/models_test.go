package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// TestPastedModelIsTheModel writes every preset as models import prints it,
// and reads it back from a workload.
func TestPastedModelIsTheModel(t *testing.T) {
	for _, want := range model.All() {
		var file bytes.Buffer
		if err := writeYAML(&file, pastable(*want)); err != nil {
			t.Fatal(err)
		}
		file.WriteString("kind: Training\nname: pasted\ntokens: 1T\nsequence_length: 128\nglobal_batch: 8\nvariants: {cuda: {image: x}}\n")
		w, err := workload.Parse("pasted.yaml", file.Bytes(), time.Unix(0, 0))
		if err != nil {
			t.Errorf("%s: %v", want.ID, err)
			continue
		}
		if diff := cmp.Diff(want, w.Shape); diff != "" {
			t.Errorf("%s reads otherwise (-written +read):\n%s", want.ID, diff)
		}
	}
}

func TestShortCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1.00K", 999_499: "999K", 999_500: "1.00M", 124_439_808: "124M", 8_030_261_248: "8.03B", 37_552_297_472: "37.6B", 1_026_000_000_000: "1.03T",
	} {
		if got := shortCount(n); got != want {
			t.Errorf("shortCount(%d) = %s, want %s", n, got, want)
		}
	}
}
