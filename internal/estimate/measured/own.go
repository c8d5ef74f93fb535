package measured

import "github.com/switchyard-ai/switchyard/internal/fault"

// Own are a user's measurements.
type Own struct {
	Training []Training
	Serving  []Serving
	Skipped  []Skipped
}

// Add takes the rows of a table, whose columns tell training from inference.
func (o *Own) Add(file string, t *Table) error {
	training, known := IsTraining(t)
	if !known {
		return fault.Newf(fault.Invalid, "%s: neither the columns of training (seq_len, global_batch_seqs, step_s …) nor those of inference (input_len, output_len, tpot_ms …)", file)
	}
	var skipped []Skipped
	if training {
		var rows []Training
		rows, skipped = TrainingRows(t)
		o.Training = append(o.Training, rows...)
	} else {
		var rows []Serving
		rows, skipped = ServingRows(t)
		o.Serving = append(o.Serving, rows...)
	}
	o.Skipped = append(o.Skipped, skipped...)
	if len(o.Training)+len(o.Serving) == 0 {
		return fault.Newf(fault.Invalid, "%s: no row can be used", file)
	}
	return nil
}

// Padded returns the row's fields, exactly n of them.
func (r Row) Padded(n int) []string {
	out := make([]string, n)
	copy(out, r.Values)
	return out
}
