package site

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const cluster = `kind: Site
name: east
engine: kubernetes
provider: aws
region: us-east-1
checkpoints: s3://bucket/prefix?region=us-east-1
caches: pvc:caches
env: {NCCL_DEBUG: WARN}
secrets: [{name: KEY, from: store/key}]
kubernetes:
  kubeconfig: ~/.kube/config
  namespace: yard
  agent_image: registry.example.com/yard:1
  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
pools:
  - name: p5
    labels: {node.kubernetes.io/instance-type: p5.48xlarge}
    chip: h100
    min: 1
    max: 4
    rate: $98.32
    ends: 2026-12-01T12:30:00+01:00
`

const slurmCluster = `kind: Site
name: lab
engine: slurm
slurm: {ssh: yard@login, dir: /shared/yard, time_limit: 2h}
pools: [{name: gpu, partition: gpu, gres: "gpu:h100:8", constraint: "h100&ib", chip: h100}]
`

// rest begins a slurmrestd whose address is right.
const rest = "rest: {url: 'http://127.0.0.1:6820', "

const restCluster = `kind: Site
name: lab
engine: slurm
slurm: {dir: /shared/yard, rest: {url: "unix:///run/slurmrestd.socket", version: v0.0.38, user: yard, token: {env: SLURM_JWT}}}
`

func TestParse(t *testing.T) {
	s, err := Parse("s.yaml", []byte(cluster))
	if err != nil {
		t.Fatal(err)
	}
	pool := s.Pool("p5")
	if pool == nil || s.Pool("p4") != nil || pool.Rate.String() != "98.32 USD" || pool.NoticeOf() != DefaultNotice {
		t.Fatalf("pool %+v", pool)
	}
	if want := time.Date(2026, 12, 1, 11, 30, 0, 0, time.UTC); !pool.Ends.Equal(want) || pool.Ends.Location() != time.UTC {
		t.Errorf("ends %s, want %s", pool.Ends, want)
	}
	for _, text := range []string{slurmCluster, restCluster} {
		if _, err := Parse("s.yaml", []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestMatches(t *testing.T) {
	p := Pool{Labels: map[string]string{"a": "1", "b": ""}}
	for _, c := range []struct {
		labels map[string]string
		want   bool
	}{
		{map[string]string{"a": "1", "b": "", "c": "x"}, true},
		{map[string]string{"a": "1"}, false},
		{map[string]string{"a": "2", "b": ""}, false},
		{nil, false},
	} {
		if p.Matches(c.labels) != c.want {
			t.Errorf("%v: matches %v", c.labels, !c.want)
		}
	}
	if (Pool{}).Matches(map[string]string{"a": "1"}) {
		t.Error("a pool without labels matches every node")
	}
}

func TestNotice(t *testing.T) {
	end := &Instant{time.Unix(0, 0)}
	if got := (Pool{Ends: end, Notice: 60e9}).NoticeOf(); got != time.Minute {
		t.Errorf("notice %s", got)
	}
	if got := (Pool{}).NoticeOf(); got != 0 {
		t.Errorf("notice %s of a pool without end", got)
	}
}

// Each change, FROM|TO, makes one fault that tells the place and what is valid.
func TestFaults(t *testing.T) {
	for file, changes := range map[string]map[string]string{
		cluster: {
			"kind: Site|kind: Sight":                                         `s.yaml:1:7: kind: found "Sight"; a site file has kind: Site`,
			"name: east|name: East":                                          "s.yaml:2:7: name: found \"East\"",
			"name: east|name: local":                                         "name of this machine's own site",
			"engine: kubernetes|engine: kubernets":                           "did you mean kubernetes",
			"engine: kubernetes|engine: slurm":                               "engine slurm needs at least slurm.dir",
			"s3://bucket/prefix|s4://bucket/prefix":                          `checkpoints: unknown store "s4"; did you mean s3?`,
			"s3://bucket/prefix|s3:///prefix":                                "the bucket is missing",
			"s3://bucket/prefix|s3://key:word@bucket/prefix":                 "credentials come from the environment or secrets",
			"s3://bucket/prefix?region=us-east-1|file://x/y":                 "as in file:///shared/checkpoints",
			"?region=us-east-1|?regoin=us-east-1":                            `checkpoints: unknown option "regoin" of s3; did you mean region?`,
			"?region=us-east-1|?colour=red":                                  `unknown option "colour" of s3; valid: region, endpoint, `,
			"?region=us-east-1|?region=a&region=b":                           "the option region is set twice",
			"?region=us-east-1|?secret_access_key=hunter2":                   "secret_access_key is no option of a store: credentials come from the environment",
			"?region=us-east-1|?region=%zz":                                  "not of the form name=value",
			"s3://bucket/prefix?region=us-east-1|/shared":                    "a URL is needed",
			"pvc:caches|pvc:Caches_":                                         "PersistentVolumeClaim",
			"pvc:caches|caches":                                              "an absolute path is needed",
			"NCCL_DEBUG: WARN|YARD_RUN: x":                                   "set by the engine",
			"name: KEY|name: NCCL_DEBUG":                                     "NCCL_DEBUG is set twice",
			"from: store/key|from: hunter2":                                  "never the value",
			"~/.kube/config|kube/config":                                     "kubernetes.kubeconfig: found",
			"namespace: yard|namespace: Yard":                                "kubernetes.namespace: found",
			"operator: Exists|operator: Exists, value: x":                    "takes no value",
			"{key: nvidia.com/gpu, operator: Exists}|{}":                     "a key is needed, or operator: Exists",
			"pools:|slurm: {dir: /x}\npools:":                                "slurm: the site's engine is kubernetes",
			"chip: h100|chip: h1000":                                         "pools[0].chip: ",
			"chip: h100|chip: h100\n    family: neuron":                      "H100 is of family cuda, not neuron",
			"min: 1|min: 5":                                                  "found 5 above max, which is 4",
			"rate: $98.32|rate: 98.32":                                       "a price with its currency is needed",
			"rate: $98.32|rate: $98.32 EUR":                                  "two currencies",
			"rate: $98.32|rate: -1 USD":                                      "a price with its currency is needed",
			"ends: 2026-12-01T12:30:00+01:00|notice: 1h":                     "ends is not given",
			"2026-12-01T12:30:00+01:00|tomorrow":                             "a time is needed",
			"    labels: {node.kubernetes.io/instance-type: p5.48xlarge}\n|": "the labels that its nodes have are needed",
			"    chip: h100|    partition: gpu":                              "engine kubernetes knows no partition",
			"  - name: p5|  - {name: p5, labels: {a: b}}\n  - name: p5":      "p5 is the name of an earlier pool",
			"max: 4|max: 4\n    nodes: 3":                                    "unknown field",
		},
		slurmCluster: {
			"dir: /shared/yard|dir: shared":                               "slurm.dir: found",
			"dir: /shared/yard, |":                                        "slurm.dir: the field is missing and needed",
			"dir: /shared/yard|dir: /shared/../etc":                       "without . and ..",
			"dir: /shared/yard|dir: '/shared/$(x)'":                       "a path without quotes",
			"ssh: yard@login|ssh: -oProxyCommand=x":                       "USER@HOST",
			"time_limit: 2h|time_limit: 30s":                              "counts in minutes",
			"ssh: yard@login, |ssh_port: 22, ":                            "ssh is not given",
			"time_limit: 2h|rest: {token: {env: T}}":                      "slurm.rest.url: the field is missing and needed",
			"time_limit: 2h|rest: {url: slurm:6820}":                      "such as http://127.0.0.1:6820 or unix:///run/slurmrestd.socket",
			"time_limit: 2h|rest: {url: unix://run/x}":                    `slurm.rest.url: found "unix://run/x"`,
			"time_limit: 2h|rest: {url: 'http://a/b'}":                    "a host and port alone are needed",
			"time_limit: 2h|rest: {url: 'http://u:p@a'}":                  "give user and token",
			"time_limit: 2h|" + rest + "version: '38'}":                   "such as v0.0.38",
			"time_limit: 2h|" + rest + "user: 'a b'}":                     "slurm.rest.user: found",
			"time_limit: 2h|" + rest + "token: {}}":                       "slurm.rest.token: either file or env is needed",
			"time_limit: 2h|" + rest + "token: {env: eyJ.eyJ.s}}":         "slurm.rest.token.env: the name of a variable is needed; never the token itself",
			"time_limit: 2h|" + rest + "token: {file: eyJ.eyJ.s}}":        "slurm.rest.token.file: an absolute path is needed; never the token itself",
			"time_limit: 2h|" + rest + "token: {env: T}}":                 "has no such variable; give file",
			"time_limit: 2h|" + rest + "token: {file: /t}}, bin: /opt":    "slurm.bin: it is about Slurm's commands",
			"time_limit: 2h|" + rest + "token: {file: /t}}, config: /etc": "slurm.config: it is about Slurm's commands",
			"partition: gpu, |":                                           "the partition is needed",
			"gpu:h100:8|gpu h100":                                         "such as gpu:h100:8",
			"h100&ib|--wrap=x":                                            "features as Slurm writes them",
			"partition: gpu|partition: -x":                                "partition: found",
			"name: gpu, |name: gpu, labels: {a: b}, ":                     "knows no labels",
			"slurm: {|kubernetes: {}\nslurm: {":                           "kubernetes: the site's engine is slurm",
			"chip: h100}]\n|chip: h100}]\n---\n{a: b}\n":                  "a site has a file of its own",
			"dir: /shared/yard|dir: /shared/a b":                          "slurm.dir: found \"/shared/a b\"; Slurm expands % and takes paths apart",
			"dir: /shared/yard|dir: /shared/%j":                           "slurm.dir: found \"/shared/%j\"; Slurm expands %",
			"time_limit: 2h|containers: docker":                           "slurm.containers: ",
		},
	} {
		for change, want := range changes {
			from, to, _ := strings.Cut(change, "|")
			changed := strings.Replace(file, from, to, 1)
			if changed == file {
				t.Fatalf("%q changes nothing", change)
			}
			if _, err := Parse("s.yaml", []byte(changed)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v; want %q", change, err, want)
			}
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	text := strings.NewReplacer("name: east", "name: East", "min: 1", "min: 5", "$98.32", "cheap", "namespace: yard", "namespace: Y").Replace(cluster)
	_, err := Parse("s.yaml", []byte(text))
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("four faults are told as:\n%v", err)
	}
}

func TestASiteIsWrittenAsItIsRead(t *testing.T) {
	for _, text := range []string{cluster, slurmCluster, restCluster} {
		s, err := Parse("s.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(s) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again.yaml", data)
		if err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if second, err := json.Marshal(again); err != nil || string(second) != string(data) {
			t.Errorf("%s became %s, %v", data, second, err)
		}
	}
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/sites/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d example sites, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(filepath.Base(file), data); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(cluster))
	f.Add([]byte(slurmCluster))
	f.Add([]byte("kind: Site\nname: a\nengine: slurm\nslurm:\npools: [{}, {labels: }]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("s.yaml", data)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("again.yaml", again); err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
	})
}
