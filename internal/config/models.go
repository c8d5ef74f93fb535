package config

import (
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/model"
)

// ModelsDir holds the models that users saved, a file each.
func (c Config) ModelsDir() string { return filepath.Join(c.StateDir, "models") }

// Models returns the presets and the saved models. A saved file that is
// malformed is reported as spec.Faults.
func (c Config) Models() (*model.Set, error) {
	files, err := filepath.Glob(filepath.Join(c.ModelsDir(), "*.yaml"))
	if err != nil {
		return nil, err
	}
	var saved []*model.Model
	for _, file := range files {
		data, err := ReadFile(file)
		if err != nil {
			return nil, err
		}
		set, err := model.ParseSet(file, data)
		if err != nil {
			return nil, err
		}
		saved = append(saved, set.All()...)
	}
	return model.Presets().With(saved...), nil
}
