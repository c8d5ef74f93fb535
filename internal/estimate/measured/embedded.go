package measured

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed data/training.csv
var trainingCSV string

//go:embed data/inference.csv
var inferenceCSV string

// Files are the shipped rows as they were read.
type Files struct{ Training, Inference *Table }

// Embedded returns the rows that yard ships with. Rows with a left_out column
// say there why the fit does not use them.
var Embedded = sync.OnceValue(func() Files {
	read := func(text string) *Table {
		t, err := ReadTable(strings.NewReader(text))
		if err != nil {
			panic("embedded rows: " + err.Error()) // a broken build
		}
		return t
	}
	return Files{read(trainingCSV), read(inferenceCSV)}
})

// Skipped is a row that the fit does not use, and why.
type Skipped struct {
	Row    Row
	Reason string
}

// TrainingRows reads all rows of a table; those that cannot be used are
// returned with the reason.
func TrainingRows(t *Table) (rows []Training, skipped []Skipped) {
	for _, r := range t.Rows {
		row, err := ReadTraining(r)
		if reason := reason(r, err, row.Seconds > 0); reason != "" {
			skipped = append(skipped, Skipped{r, reason})
			continue
		}
		rows = append(rows, row)
	}
	return rows, skipped
}

// ServingRows is TrainingRows for inference.
func ServingRows(t *Table) (rows []Serving, skipped []Skipped) {
	for _, r := range t.Rows {
		row, err := ReadServing(r)
		if reason := reason(r, err, row.TPOT+row.Output+row.Overall+row.TTFT > 0); reason != "" {
			skipped = append(skipped, Skipped{r, reason})
			continue
		}
		rows = append(rows, row)
	}
	return rows, skipped
}

func reason(r Row, err error, measured bool) string {
	switch {
	case r.Text("left_out") != "":
		return r.Text("left_out")
	case err != nil:
		return err.Error()
	case !measured:
		return "nothing was measured"
	}
	return ""
}
