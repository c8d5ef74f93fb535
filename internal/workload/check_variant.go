package workload

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

var (
	envForm    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretForm = regexp.MustCompile(`^[-._A-Za-z0-9]+/[-._/A-Za-z0-9]+$`)
	formatForm = regexp.MustCompile(`^[a-z0-9]([-_.a-z0-9]{0,38}[a-z0-9])?$`)
)

// rendezvous are the variables that the engine sets for every rank.
func rendezvous(name string) bool {
	return strings.HasPrefix(name, "YARD_") || slices.Contains([]string{"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}, name)
}

func (r *rules) variants(w *Workload) {
	if len(w.Variants) == 0 && r.document.Has("variants") {
		r.fault("variants", "at least one variant is needed%s", spec.DidYouMean("", chip.Family("").Values()))
	}
	for _, family := range w.Families() {
		field, v := "variants."+string(family), w.Variants[family]
		if len(v.Command) == 0 && v.Image == "" && !r.document.Faulty(field+".command") && !r.document.Faulty(field+".image") {
			r.fault(field, "a command or an image is needed")
		}
		if len(v.Command) > 0 && v.Command[0] == "" {
			r.fault(field+".command[0]", "the program's name is empty")
		}
		for i, word := range v.Command {
			if strings.ContainsRune(word, 0) {
				r.fault(fmt.Sprintf("%s.command[%d]", field, i), "the word holds a zero byte")
			}
		}
		r.environment(field, v)
		r.mounts(field, v.Mounts, w.Data)
		r.ports(field, v.Ports)
		r.ranks(field, family, v)
		r.formats(field+".checkpoint", v.Checkpoint)
		r.positive(field+".checkpoint.every", v.Checkpoint.Every)
		r.within(field+".checkpoint.keep", v.Checkpoint.Keep, 1, maxRestarts)
	}
}

func (r *rules) environment(field string, v Variant) {
	names := make([]string, 0, len(v.Env))
	for name := range v.Env {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r.variable(field+".env."+name, name)
		if strings.ContainsRune(v.Env[name], 0) {
			r.fault(field+".env."+name, "the value holds a zero byte")
		}
	}
	seen := map[string]bool{}
	for i, secret := range v.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", field, i)
		if _, clash := v.Env[secret.Name]; clash || seen[secret.Name] {
			r.fault(at+".name", "%s is set twice", clip(secret.Name))
		}
		seen[secret.Name] = true
		if secret.Name != "" {
			r.variable(at+".name", secret.Name)
		}
		r.matches(at+".from", secret.From, secretForm, "a reference is needed, as secret/key; never the value")
	}
}

func (r *rules) variable(field, name string) {
	switch {
	case !envForm.MatchString(name):
		r.fault(field, "found %q; letters, digits and underscores are valid", clip(name))
	case rendezvous(name):
		r.fault(field, "%s is set by the engine for every rank", name)
	}
}

func (r *rules) mounts(field string, mounts []Mount, datasets []Dataset) {
	var names []string
	for _, data := range datasets {
		names = append(names, data.Name)
	}
	seen := map[string]bool{}
	for i, mount := range mounts {
		at := fmt.Sprintf("%s.mounts[%d]", field, i)
		clean := path.Clean(mount.Path)
		switch {
		case mount.Path == "":
		case !path.IsAbs(mount.Path):
			r.fault(at+".path", "found %q; an absolute path is needed", clip(mount.Path))
		case seen[clean]:
			r.fault(at+".path", "a second mount at %s", clip(mount.Path))
		}
		seen[clean] = true
		switch {
		case (mount.Data == "") == (mount.From == ""):
			r.fault(at, "give data or from, one of them")
		case mount.Data != "" && !slices.Contains(names, mount.Data):
			r.fault(at+".data", "unknown dataset %q%s", clip(mount.Data), spec.DidYouMean(mount.Data, names))
		}
	}
}

func (r *rules) ports(field string, ports []Port) {
	names, numbers := map[string]bool{}, map[int]bool{}
	for i, port := range ports {
		at := fmt.Sprintf("%s.ports[%d]", field, i)
		r.matches(at+".name", port.Name, slugForm, slugHelp)
		r.within(at+".port", port.Port, 1, 65535)
		if port.Name != "" && names[port.Name] || port.Port != 0 && numbers[port.Port] {
			r.fault(at, "the port is given twice")
		}
		names[port.Name], numbers[port.Port] = true, true
	}
}

func (r *rules) ranks(field string, family chip.Family, v Variant) {
	r.within(field+".ranks", v.Ranks, 1, maxRanks)
	r.within(field+".ranks_per_node", v.RanksPerNode, 1, maxRanks)
	r.within(field+".cores", v.Cores, 1, maxRanks)
	if v.Ranks > 0 && v.RanksPerNode > 0 && v.Ranks%v.RanksPerNode != 0 {
		r.fault(field+".ranks", "%d ranks do not fill nodes of %d", v.Ranks, v.RanksPerNode)
	}
	if family == chip.CPU && v.Image == "" && v.Memory > 0 && v.Memory < 1<<20 {
		r.fault(field+".memory", "%d bytes cannot hold a process; a unit is missing, as in 4GiB", int64(v.Memory))
	}
}

func (r *rules) formats(field string, c VariantCheckpoint) {
	const help = "the name of a format is needed, such as safetensors"
	r.matches(field+".writes", c.Writes, formatForm, help)
	for i, format := range c.Reads {
		if !formatForm.MatchString(format) {
			r.fault(fmt.Sprintf("%s.reads[%d]", field, i), "found %q; %s", clip(format), help)
		}
	}
	if c.Writes != "" && len(c.Reads) > 0 && !slices.Contains(c.Reads, c.Writes) {
		r.fault(field+".writes", "it writes %s but does not read it, so no restart could go on from its checkpoints", clip(c.Writes))
	}
}
