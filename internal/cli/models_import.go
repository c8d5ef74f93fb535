package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// modelName is what a saved model may be called: it names a file.
var modelName = regexp.MustCompile(`^[a-z0-9][-_.a-z0-9]{0,79}$`)

func (a *app) modelsImportCommand() *cobra.Command {
	var name string
	var save bool
	cmd := &cobra.Command{
		Use:   "import CONFIG.JSON",
		Short: "Read a model's shape from the config.json of a Hugging Face repository",
		Long: "Import reads the shape of a model from the config.json of a Hugging Face\n" +
			"repository (- reads standard input) and prints it as the model of a workload, to\n" +
			"paste into the file. With --save it is also added to the models that yard knows,\n" +
			"in the state directory, where workloads find it as model.preset.",
		Example: "  yard models import config.json\n  yard models import config.json --name our-13b --save",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := a.importModel(args[0], name)
			if err != nil {
				return err
			}
			if save {
				if err := a.saveModel(m); err != nil {
					return err
				}
			}
			_, _ = fmt.Fprintf(a.stdout, "# %s parameters", shortCount(m.Params()))
			if m.MoE != nil {
				_, _ = fmt.Fprintf(a.stdout, ", %s active per token", shortCount(m.ActiveParams()))
			}
			_, _ = fmt.Fprintln(a.stdout)
			return writeYAML(a.stdout, pastable(m))
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the model (default: the repository's, where the file has it)")
	cmd.Flags().BoolVar(&save, "save", false, "add it to the models that yard knows")
	return cmd
}

func (a *app) importModel(file, name string) (model.Model, error) {
	data, err := a.readInput(file)
	if err != nil {
		return model.Model{}, err
	}
	m, err := model.ParseHuggingFace(file, data)
	if err != nil {
		return m, err
	}
	if name != "" {
		m.ID = name
	}
	if m.ID != "" && !modelName.MatchString(m.ID) {
		return m, fault.Newf(fault.Invalid, "name %q: up to 80 lower-case letters, digits, dashes and dots are valid; give --name", m.ID)
	}
	m.Source = filepath.Base(file)
	if file == "-" {
		m.Source = "config.json"
	}
	return m, nil
}

// readInput reads a file, or standard input for "-", as readFile does; one that
// is not there is fault.NotFound.
func (a *app) readInput(file string) ([]byte, error) {
	if _, err := os.Stat(file); file != "-" && errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.NotFound, "%s: no such file", file)
	}
	data, err := a.readFile(file)
	if len(data) > spec.MaxSize {
		return nil, fault.Newf(fault.Invalid, "%s: it has more than the %s that are read", file, humanize.IBytes(spec.MaxSize))
	}
	return data, err
}

// pastable is a model as it stands in a workload file.
func pastable(m model.Model) any {
	type reference struct {
		Shape model.Model `json:"shape"`
	}
	return struct {
		Model reference `json:"model"`
	}{reference{m}}
}

// saveModel adds the model to the state directory, in place of an earlier one
// of its name.
func (a *app) saveModel(m model.Model) error {
	if m.ID == "" {
		return fault.New(fault.Invalid, "the file does not name the model; give --name")
	}
	if preset, err := model.Find(m.ID); err == nil {
		return fault.Newf(fault.Conflict, "%s is a name of the preset %s; give another with --name", m.ID, preset.ID)
	}
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	dir := c.ModelsDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "."+m.ID+"-*")
	if err != nil {
		return err
	}
	err = errors.Join(writeYAML(file, []model.Model{m}), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, m.ID+".yaml"))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	_, err = fmt.Fprintf(a.stderr, "saved: a workload finds it as model: {preset: %s}\n", m.ID)
	return err
}

// knownModels are the presets and the models saved in the state directory.
func (a *app) knownModels() (*model.Set, error) {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return nil, err
	}
	return c.Models()
}
