package site

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
)

// engine checks the part of the file that its engine reads, and refuses that
// of the other.
func (r rules) engine(s *Site) {
	switch s.Engine {
	case KubernetesEngine:
		if s.Slurm != nil {
			r.fault("slurm", "the site's engine is kubernetes")
		}
		if s.Kubernetes != nil {
			r.kubernetes(s.Kubernetes)
		}
	case SlurmEngine:
		if s.Kubernetes != nil {
			r.fault("kubernetes", "the site's engine is slurm")
		}
		if s.Slurm == nil {
			r.fault("slurm", "engine slurm needs at least slurm.dir, a directory that all nodes share")
			return
		}
		r.slurm(s.Slurm)
	}
}

func (r rules) kubernetes(k *Kubernetes) {
	const at = "kubernetes."
	if home, isHome := strings.CutPrefix(k.Kubeconfig, "~/"); k.Kubeconfig != "" && (!isHome && !path.IsAbs(k.Kubeconfig) || isHome && home == "") {
		r.fault(at+"kubeconfig", "found %q; an absolute path or one from ~/ is needed, of the control plane's machine", clip(k.Kubeconfig))
	}
	r.matches(at+"namespace", k.Namespace, nameForm, nameHelp)
	r.matches(at+"agent_image", k.AgentImage, imageForm, "an image is needed, such as registry.example.com/switchyard/yard:1.0")
	for _, name := range []struct{ field, value string }{
		{"service_account", k.ServiceAccount}, {"priority_class", k.PriorityClass}, {"runtime_class", k.RuntimeClass}, {"queue", k.Queue},
	} {
		r.matches(at+name.field, name.value, dnsForm, dnsHelp)
	}
	for i, name := range k.ImagePullSecrets {
		r.named(fmt.Sprintf("%simage_pull_secrets[%d]", at, i), name, dnsForm, dnsHelp)
	}
	for i, label := range k.Topology {
		r.named(fmt.Sprintf("%stopology[%d]", at, i), label, labelForm, "the name of a label is needed, such as topology.kubernetes.io/zone")
	}
	for i, t := range k.Tolerations {
		field := fmt.Sprintf("%stolerations[%d]", at, i)
		r.matches(field+".key", t.Key, labelForm, "the key of a taint is needed, such as nvidia.com/gpu")
		r.matches(field+".value", t.Value, valueForm, "the value of a taint is needed")
		switch {
		case t.Key == "" && t.Operator != "Exists":
			r.fault(field, "a key is needed, or operator: Exists, which tolerates all")
		case t.Operator == "Exists" && t.Value != "":
			r.fault(field+".value", "operator Exists takes no value")
		}
	}
}

// imageForm is loosely what registries take; they know better.
var imageForm = regexp.MustCompile(`^[a-z0-9][-a-zA-Z0-9._:/@]{0,254}$`)

func (r rules) slurm(s *Slurm) {
	const at = "slurm."
	r.matches(at+"ssh", s.SSH, hostForm, "USER@HOST or the name of a host is needed")
	if s.SSHPort < 0 || s.SSHPort > 65535 {
		r.fault(at+"ssh_port", "found %d; 1 to 65535 is valid", s.SSHPort)
	}
	if s.SSHPort > 0 && s.SSH == "" {
		r.fault(at+"ssh_port", "ssh is not given")
	}
	for _, dir := range []struct{ field, value string }{{"dir", s.Dir}, {"secrets", s.Secrets}, {"bin", s.Bin}, {"config", s.Config}} {
		r.directory(at+dir.field, dir.value)
	}
	r.matches(at+"account", s.Account, wordForm, wordHelp)
	r.matches(at+"qos", s.QOS, wordForm, wordHelp)
	if limit := time.Duration(s.Limit); limit > 0 && limit < time.Minute {
		r.fault(at+"time_limit", "found %s; Slurm counts in minutes", limit)
	}
}

// named is matches for an entry of a list, which must not be empty.
func (r rules) named(field, value string, form *regexp.Regexp, help string) {
	if value == "" {
		r.fault(field, "the entry is empty; %s", help)
		return
	}
	r.matches(field, value, form, help)
}
