package workload

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// MaxSize bounds a workload file, in bytes: people write it.
const MaxSize = 1 << 20

// Values of fields that a file leaves out.
const (
	DefaultProject   = "default"
	DefaultPrecision = chip.BF16
	DefaultKeep      = 3
)

// TrainingFile is the file of kind Training, field by field.
type TrainingFile struct {
	Common
	Ending
	Training
}

// ServiceFile is the file of kind Service, field by field.
type ServiceFile struct {
	Common
	Service
}

// BatchFile is the file of kind Batch, field by field.
type BatchFile struct {
	Common
	Ending
	Batch
}

// Parse reads a workload file. Everything wrong with it comes back at once as
// spec.Faults. Models are looked up among the presets; now is what a deadline
// is held against.
func Parse(file string, data []byte, now time.Time) (*Workload, error) {
	return ParseWith(file, data, now, model.Presets())
}

// ParseWith is Parse with the models that presets are looked up in.
func ParseWith(file string, data []byte, now time.Time, models *model.Set) (*Workload, error) {
	return parse(file, data, &rules{now: now, models: models})
}

// ParseStored reads a file that was accepted before, by a reader who may know
// other models, and perhaps after its deadline: neither is a fault now. The
// Shape of a model that is not among the presets is nil.
func ParseStored(file string, data []byte) (*Workload, error) {
	return parse(file, data, &rules{models: model.Presets(), stored: true})
}

func parse(file string, data []byte, r *rules) (*Workload, error) {
	if len(data) > MaxSize {
		return nil, spec.Faults{{File: file, Message: fmt.Sprintf("the file has %d bytes; a workload has at most %d", len(data), MaxSize)}}
	}
	documents, err := spec.Parse(file, data)
	if err != nil {
		return nil, err
	}
	if len(documents) > 1 {
		documents[1].Faultf("", "a second document; a file holds one workload")
		return nil, documents[1].Faults()
	}
	r.document = documents[0]
	w := decode(r.document)
	if w == nil {
		return nil, r.document.Faults()
	}
	r.check(w)
	w.complete()
	if err := r.document.Faults(); err != nil {
		return nil, err
	}
	return w, nil
}

// decode reads the document by its kind, or returns nil where that is unknown.
func decode(document *spec.Document) *Workload {
	switch kind := Kind(document.Kind()); kind {
	case KindTraining:
		var f TrainingFile
		document.Decode(&f)
		return &Workload{Common: f.Common, Ending: f.Ending, Training: &f.Training}
	case KindService:
		var f ServiceFile
		document.Decode(&f)
		return &Workload{Common: f.Common, Service: &f.Service}
	case KindBatch:
		var f BatchFile
		document.Decode(&f)
		return &Workload{Common: f.Common, Ending: f.Ending, Batch: &f.Batch}
	case "":
		document.Faultf("kind", "the field is missing and needed%s", spec.DidYouMean("", kind.Values()))
	default:
		document.Faultf("kind", "unknown kind %q%s", clip(string(kind)), spec.DidYouMean(string(kind), kind.Values()))
	}
	return nil
}

// complete fills what the file leaves out. It comes after the checks, which
// look at what was written.
func (w *Workload) complete() {
	if w.Project == "" {
		w.Project = DefaultProject
	}
	if w.Precision == "" {
		w.Precision = DefaultPrecision
	}
	if w.Training != nil && w.Training.Checkpoint.Keep == 0 {
		w.Training.Checkpoint.Keep = DefaultKeep
	}
	if w.Service != nil {
		w.Service.complete()
	}
}

func (s *Service) complete() {
	if s.Traffic.PeakFactor == 0 {
		s.Traffic.PeakFactor = 1
	}
	if s.Replicas.Min == 0 {
		s.Replicas.Min = 1
	}
}
