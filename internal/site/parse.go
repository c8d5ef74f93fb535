package site

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
	// nameForm is a DNS label: engines make names of their own from it.
	nameForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsForm    = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)
	wordForm   = regexp.MustCompile(`^[A-Za-z0-9][-_.A-Za-z0-9]{0,62}$`)
	labelForm  = regexp.MustCompile(`^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	valueForm  = regexp.MustCompile(`^([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$`)
	envForm    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretForm = regexp.MustCompile(`^[-._A-Za-z0-9]+/[-._A-Za-z0-9]+$`)
	hostForm   = regexp.MustCompile(`^([A-Za-z0-9_][-.A-Za-z0-9_]*@)?[A-Za-z0-9][-.:A-Za-z0-9]*$`)
	gresForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(:[-A-Za-z0-9_.]+)?(:[0-9]+)?(,[A-Za-z][A-Za-z0-9_]*(:[-A-Za-z0-9_.]+)?(:[0-9]+)?)*$`)
	// featureForm is what sbatch takes for --constraint, and never an option.
	featureForm = regexp.MustCompile(`^[\[(A-Za-z0-9_][-A-Za-z0-9_&|*()\[\].=]*$`)
)

// maxNodes bounds the size of a pool.
const maxNodes = 1_000_000

// Parse reads the one site of a file. Everything wrong in it is returned at
// once as spec.Faults.
func Parse(file string, data []byte) (*Site, error) {
	documents, err := spec.Parse(file, data)
	if err != nil {
		return nil, err
	}
	document := documents[0]
	r := rules{document}
	site := &Site{}
	if kind := document.Kind(); kind != Kind {
		r.fault("kind", "found %q; a site file has kind: %s", clip(kind), Kind)
		return nil, document.Faults()
	}
	document.Decode(site)
	if len(documents) > 1 {
		r.fault("kind", "the file holds %d documents; a site has a file of its own", len(documents))
	}
	r.site(site)
	if err := document.Faults(); err != nil {
		return nil, err
	}
	return site, nil
}

// rules checks what the types of the fields cannot.
type rules struct{ document *spec.Document }

func (r rules) fault(field, format string, args ...any) {
	if !r.document.Faulty(field) {
		r.document.Faultf(field, format, args...)
	}
}

// matches wants a value, where there is one, to have a form.
func (r rules) matches(field, value string, form *regexp.Regexp, help string) {
	if value != "" && !form.MatchString(value) {
		r.fault(field, "found %q; %s", clip(value), help)
	}
}

const (
	nameHelp = "up to 63 lower-case letters, digits and dashes are valid"
	dnsHelp  = "lower-case letters, digits, dashes and dots are valid"
	wordHelp = "up to 63 letters, digits, dashes, dots and underscores are valid"
)

func (r rules) site(s *Site) {
	r.matches("name", s.Name, nameForm, nameHelp)
	if s.Name == Local {
		r.fault("name", "%s is the name of this machine's own site; another is needed", Local)
	}
	r.matches("provider", s.Provider, nameForm, nameHelp)
	r.matches("region", s.Region, wordForm, wordHelp)
	r.store("checkpoints", s.Checkpoints)
	r.environment(s)
	r.engine(s)
	r.caches(s)
	names := map[string]bool{}
	for i, pool := range s.Pools {
		field := fmt.Sprintf("pools[%d]", i)
		r.matches(field+".name", pool.Name, nameForm, nameHelp)
		if pool.Name != "" && names[pool.Name] {
			r.fault(field+".name", "%s is the name of an earlier pool", pool.Name)
		}
		names[pool.Name] = true
		r.pool(field, s, pool)
	}
}

func (r rules) environment(s *Site) {
	names := make([]string, 0, len(s.Env))
	for name := range s.Env {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r.variable("env."+name, name)
		if strings.ContainsRune(s.Env[name], 0) {
			r.fault("env."+name, "the value holds a zero byte")
		}
	}
	seen := map[string]bool{}
	for i, secret := range s.Secrets {
		at := fmt.Sprintf("secrets[%d]", i)
		if _, clash := s.Env[secret.Name]; clash || seen[secret.Name] {
			r.fault(at+".name", "%s is set twice", clip(secret.Name))
		}
		seen[secret.Name] = true
		if secret.Name != "" {
			r.variable(at+".name", secret.Name)
		}
		r.matches(at+".from", secret.From, secretForm, "a reference is needed, as secret/key; never the value")
	}
}

func (r rules) variable(field, name string) {
	switch {
	case !envForm.MatchString(name):
		r.fault(field, "found %q; letters, digits and underscores are valid", clip(name))
	case strings.HasPrefix(name, "YARD_"), slices.Contains([]string{"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}, name):
		r.fault(field, "%s is set by the engine for every rank", clip(name))
	}
}

func (r rules) caches(s *Site) {
	claim, isClaim := strings.CutPrefix(s.Caches, "pvc:")
	switch {
	case s.Caches == "":
	case isClaim && s.Engine == KubernetesEngine:
		if !dnsForm.MatchString(claim) {
			r.fault("caches", "found %q; the name of a PersistentVolumeClaim is needed after pvc:", clip(s.Caches))
		}
	default:
		r.directory("caches", s.Caches)
	}
}

// directory wants an absolute path without what a shell or a mount would take apart.
func (r rules) directory(field, dir string) {
	switch {
	case dir == "":
	case !path.IsAbs(dir) || path.Clean(dir) != strings.TrimRight(dir, "/") && dir != "/":
		r.fault(field, "found %q; an absolute path is needed, without . and ..", clip(dir))
	case strings.ContainsAny(dir, "\x00\n\r:\\\"'`$"):
		r.fault(field, "found %q; a path without quotes, colons, $ and control characters is needed", clip(dir))
	}
}

func (r rules) pool(field string, s *Site, p Pool) {
	r.selector(field, s.Engine, p)
	r.matches(field+".provider", p.Provider, nameForm, nameHelp)
	r.matches(field+".region", p.Region, wordForm, wordHelp)
	r.matches(field+".instance_type", p.InstanceType, wordForm, wordHelp)
	if p.Chip != "" {
		found, err := chip.Find(p.Chip)
		switch {
		case err != nil:
			r.fault(field+".chip", "%s", err)
		case p.Family != "" && found.Family != p.Family:
			r.fault(field+".family", "%s is of family %s, not %s", found.ID, found.Family, p.Family)
		}
	}
	for _, bound := range []struct {
		name        string
		value, most int
	}{{"chips_per_node", p.ChipsPerNode, 1024}, {"cores", p.Cores, 4096}, {"efa", p.EFA, 128}, {"min", p.Min, maxNodes}, {"max", p.Max, maxNodes}} {
		if bound.value < 0 || bound.value > bound.most {
			r.fault(field+"."+bound.name, "found %d; 0 to %d is valid", bound.value, bound.most)
		}
	}
	if p.Max > 0 && p.Min > p.Max {
		r.fault(field+".min", "found %d above max, which is %d", p.Min, p.Max)
	}
	if p.Notice > 0 && p.Ends == nil {
		r.fault(field+".notice", "it is counted from the pool's end, and ends is not given")
	}
}

// selector checks what says which nodes are the pool's.
func (r rules) selector(field string, engine Engine, p Pool) {
	keys := make([]string, 0, len(p.Labels))
	for key := range p.Labels {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if !labelForm.MatchString(key) || !valueForm.MatchString(p.Labels[key]) {
			r.fault(field+".labels."+key, "found %q; a label of nodes is needed, such as node.kubernetes.io/instance-type: p5.48xlarge", clip(key+": "+p.Labels[key]))
		}
	}
	switch engine {
	case KubernetesEngine:
		r.foreign(field, engine, map[string]string{"partition": p.Partition, "gres": p.GRES, "constraint": p.Constraint})
		if len(p.Labels) == 0 {
			r.fault(field+".labels", "the labels that its nodes have are needed")
		}
	case SlurmEngine:
		if len(p.Labels) > 0 {
			r.fault(field+".labels", "engine slurm knows no labels; give partition, gres and constraint")
		}
		if p.EFA > 0 {
			r.fault(field+".efa", "engine slurm asks for no EFA interfaces; its nodes have them as they are")
		}
		if p.Partition == "" {
			r.fault(field+".partition", "the partition is needed")
		}
		r.matches(field+".partition", p.Partition, wordForm, wordHelp)
		r.matches(field+".gres", p.GRES, gresForm, "resources as Slurm writes them are needed, such as gpu:h100:8")
		r.matches(field+".constraint", p.Constraint, featureForm, "features as Slurm writes them are needed, such as h100&ib")
	}
}

func (r rules) foreign(field string, engine Engine, values map[string]string) {
	for _, name := range []string{"partition", "gres", "constraint"} {
		if values[name] != "" {
			r.fault(field+"."+name, "engine %s knows no %s; give labels", engine, name)
		}
	}
}
