package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// ContractsDir holds the contracts in force, in files as they were added.
func (c Config) ContractsDir() string { return filepath.Join(c.StateDir, "contracts") }

// ContractTexts reads the files of the contracts in force, as they are.
func (c Config) ContractTexts() ([]spec.Text, error) {
	return texts(c.ContractsDir())
}

// Contracts reads the contracts in force. Files that are malformed, and a name
// that two contracts have, are reported as spec.Faults.
func (c Config) Contracts() ([]*contract.Contract, error) {
	files, err := c.ContractTexts()
	if err != nil {
		return nil, err
	}
	return ParseContracts(files)
}

// ParseContracts reads contracts that are to be in force together.
func ParseContracts(files []spec.Text) ([]*contract.Contract, error) {
	return parseAll(files, "contract", contract.Parse, func(one *contract.Contract) string { return one.Name })
}

// AddContracts puts files of contracts in force, all at once; one replaces an
// earlier one of its name. All are checked first, alone and with those in force.
func (c Config) AddContracts(files []spec.Text) ([]*contract.Contract, error) {
	kept := map[string][]byte{}
	for _, file := range files {
		name := forceName(file.File)
		if err := plainName(filepath.Base(file.File)); err != nil {
			return nil, err
		}
		if err := plainName(name); err != nil {
			return nil, err
		}
		if _, taken := kept[name]; taken {
			return nil, fault.Newf(fault.Invalid, "%s: another file of that name is added with it", name)
		}
		kept[name] = file.Data
	}
	added, err := ParseContracts(files)
	if err != nil {
		return nil, err
	}
	if err := c.together(added, kept); err != nil {
		return nil, err
	}
	return added, keepAll(c.ContractsDir(), kept)
}

// forceName is the name of a contract file in force.
func forceName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + ".yaml"
}

// together refuses contracts of a name that another file in force has, and those
// that cannot be billed together.
func (c Config) together(added []*contract.Contract, kept map[string][]byte) error {
	inForce, err := c.ContractTexts()
	if err != nil {
		return err
	}
	if err := ends(inForce, added, kept); err != nil {
		return err
	}
	inForce = slices.DeleteFunc(inForce, func(file spec.Text) bool { return kept[filepath.Base(file.File)] != nil })
	others, err := ParseContracts(inForce)
	if err != nil {
		return err
	}
	for _, other := range others {
		for _, one := range added {
			if one.Name == other.Name {
				return fault.Newf(fault.Conflict, "contract %s is in force from %s; remove it first: yard contracts remove %s", one.Name, filepath.Base(other.File), one.Name)
			}
		}
	}
	for _, contracts := range billing.ByCurrency(slices.Concat(added, others)) {
		if _, err := billing.NewBook(contracts); err != nil {
			return err
		}
	}
	return nil
}

// ends refuses files that replace one in force and leave out a contract of it,
// which would end without a word. One that is malformed may be replaced.
func ends(inForce []spec.Text, added []*contract.Contract, kept map[string][]byte) error {
	for _, file := range inForce {
		base := filepath.Base(file.File)
		if kept[base] == nil {
			continue
		}
		held, err := contract.Parse(base, file.Data)
		if err != nil {
			continue
		}
		for _, old := range held {
			if !slices.ContainsFunc(added, func(one *contract.Contract) bool { return one.Name == old.Name }) {
				return fault.Newf(fault.Conflict, "%s in force holds contract %s; adding it again without %[2]s would end %[2]s; give the file another name, or yard contracts remove %[2]s first", base, old.Name)
			}
		}
	}
	return nil
}

var beginsDocument = regexp.MustCompile(`^---(\s|$)`)

// RemoveContract takes a contract out of force: its file, or of a file that
// holds others too its document. A file that is malformed is removed by its own
// name, with or without .yaml.
func (c Config) RemoveContract(name string) error {
	files, err := c.ContractTexts()
	if err != nil {
		return err
	}
	var names []string
	for _, file := range files {
		held, err := contract.Parse(file.File, file.Data)
		if err != nil {
			if base := filepath.Base(file.File); base == name || base == name+".yaml" {
				return drop(c.ContractsDir(), filepath.Base(file.File))
			}
			continue
		}
		for _, one := range held {
			names = append(names, one.Name)
		}
		if !slices.ContainsFunc(held, func(one *contract.Contract) bool { return one.Name == name }) {
			continue
		}
		if len(held) > 1 {
			return takeOut(c.ContractsDir(), file, held, name)
		}
		return drop(c.ContractsDir(), filepath.Base(file.File))
	}
	return fault.Newf(fault.NotFound, "no contract %q is in force%s", name, spec.DidYouMean(name, names))
}

// takeOut takes a contract's document out of a file that holds others, which
// stay as they were written.
func takeOut(dir string, file spec.Text, held []*contract.Contract, name string) error {
	base := filepath.Base(file.File)
	var rest []byte
	for _, document := range documentsOf(file.Data) {
		ofIt, err := contract.Parse(base, document)
		if err == nil && slices.ContainsFunc(ofIt, func(one *contract.Contract) bool { return one.Name == name }) {
			continue
		}
		rest = append(rest, document...)
	}
	left, err := contract.Parse(base, rest)
	if err != nil || len(left) != len(held)-1 {
		return fault.Newf(fault.Conflict, "%s holds %d contracts, and %s cannot be told apart from the others in it", base, len(held), name)
	}
	return keepAll(dir, map[string][]byte{base: rest})
}

// documentsOf divides YAML before each line that begins a document.
func documentsOf(data []byte) [][]byte {
	var documents [][]byte
	begin := 0
	for i := range data {
		if i > begin && data[i-1] == '\n' && beginsDocument.Match(data[i:]) {
			documents, begin = append(documents, data[begin:i]), i
		}
	}
	return append(documents, data[begin:])
}
