package site

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
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
	if strings.ContainsAny(s.Dir, " \t%,") {
		r.fault(at+"dir", "found %q; Slurm expands %% and takes paths apart at spaces and commas: a path without them is needed", clip(s.Dir))
	}
	r.matches(at+"account", s.Account, wordForm, wordHelp)
	r.matches(at+"qos", s.QOS, wordForm, wordHelp)
	if limit := time.Duration(s.Limit); limit > 0 && limit < time.Minute {
		r.fault(at+"time_limit", "found %s; Slurm counts in minutes", limit)
	}
	if s.REST != nil {
		r.rest(at+"rest.", s)
	}
}

// versionForm is a version of slurmrestd's interface.
var versionForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

func (r rules) rest(at string, s *Slurm) {
	rest := s.REST
	if message := restFault(rest.URL); rest.URL != "" && message != "" {
		r.fault(at+"url", "%s", message)
	}
	r.matches(at+"version", rest.Version, versionForm, "a version is needed, such as v0.0.38")
	r.matches(at+"user", rest.User, wordForm, wordHelp)
	for _, unused := range []struct{ field, value string }{{"bin", s.Bin}, {"config", s.Config}} {
		if unused.value != "" {
			r.fault("slurm."+unused.field, "it is about Slurm's commands; slurm.rest asks slurmrestd")
		}
	}
	token := rest.Token
	switch {
	case token == nil:
	case (token.File == "") == (token.Env == ""):
		r.fault(at+"token", "either file or env is needed; never the token itself")
	case token.File != "" && !path.IsAbs(token.File): // what was found may be a token: it is not shown
		r.fault(at+"token.file", "an absolute path is needed; never the token itself")
	case token.Env != "" && !envForm.MatchString(token.Env):
		r.fault(at+"token.env", "the name of a variable is needed; never the token itself")
	case token.Env != "" && s.SSH != "":
		r.fault(at+"token.env", "slurmrestd is asked from the login node, which has no such variable; give file")
	}
}

// restFault says what is wrong with the address of a slurmrestd, or "".
func restFault(address string) string {
	u, err := url.Parse(address)
	const help = "a URL is needed, such as http://127.0.0.1:6820 or unix:///run/slurmrestd.socket"
	switch {
	case err != nil || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme):
		return fmt.Sprintf("found %q; %s", clip(address), help)
	case u.User != nil:
		return "the URL holds a user or password; give user and token"
	case u.Scheme == "unix" && (u.Host != "" || !path.IsAbs(u.Path) || u.RawQuery != ""), u.Scheme != "unix" && u.Host == "":
		return fmt.Sprintf("found %q; %s", clip(address), help)
	case u.Scheme != "unix" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != ""):
		return fmt.Sprintf("found %q; a host and port alone are needed: the rest is slurmrestd's", clip(address))
	}
	return ""
}

// named is matches for an entry of a list, which must not be empty.
func (r rules) named(field, value string, form *regexp.Regexp, help string) {
	if value == "" {
		r.fault(field, "the entry is empty; %s", help)
		return
	}
	r.matches(field, value, form, help)
}
