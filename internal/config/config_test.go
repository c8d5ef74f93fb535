package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, file string, env map[string]string, flags Flags) (Config, error) {
	t.Helper()
	flags.StateDir = t.TempDir()
	if file != "" {
		if err := os.WriteFile(filepath.Join(flags.StateDir, File), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(flags, func(name string) string { return env[name] })
}

func TestLaterSourcesWin(t *testing.T) {
	c, err := load(t, "", nil, Flags{})
	if err != nil || c.Listen != "127.0.0.1:7700" || c.LocalRate != nil || c.Restarts != 5 || c.Grace != 30*time.Second {
		t.Fatalf("defaults: %+v %v", c, err)
	}
	file := "listen: 127.0.0.1:1\nlocal_rate: \"0.1\"\nrestarts: 0\nmoves_per_day: 0\ngrace: 2m\nlog_cap: 1MiB\nretention: 7d\nserver: http://a:1\ntoken: t\n"
	c, err = load(t, file, nil, Flags{})
	if err != nil || c.Listen != "127.0.0.1:1" || c.LocalRate.Decimal() != "0.1" || c.Restarts != 0 || c.Moves != 0 || c.Grace != 2*time.Minute ||
		c.LogCap != 1<<20 || c.Retention != 7*24*time.Hour || c.Server != "http://a:1" || c.Token != "t" {
		t.Errorf("file: %+v %v", c, err)
	}
	env := map[string]string{"YARD_LISTEN": "127.0.0.1:2", "YARD_LOCAL_RATE": "0.2", "YARD_SERVER": "http://b:2", "YARD_TOKEN": "u"}
	c, err = load(t, file, env, Flags{})
	if err != nil || c.Listen != "127.0.0.1:2" || c.LocalRate.Decimal() != "0.2" || c.Server != "http://b:2" || c.Token != "u" {
		t.Errorf("environment: %+v %v", c, err)
	}
	c, err = load(t, file, env, Flags{Listen: "127.0.0.1:3", LocalRate: "0.3", Server: "http://c:3", Token: "v"})
	if err != nil || c.Listen != "127.0.0.1:3" || c.LocalRate.Decimal() != "0.3" || c.Server != "http://c:3" || c.Token != "v" {
		t.Errorf("flags: %+v %v", c, err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	file := "listen: nowhere\nlocal_rate: -1\nrestarts: -2\nmoves_per_day: -1\ngrace: soon\nidle: 0s\nlisten_on: x\n"
	_, err := load(t, file, map[string]string{"YARD_SERVER": "ftp://x", "YARD_LISTEN": "y"}, Flags{LocalRate: "cheap"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"config.yaml:1:9: listen: found \"nowhere\"", "config.yaml:2:13: local_rate: found \"-1\"", "config.yaml:3:11: restarts: found -2", "moves_per_day: found -1",
		"config.yaml:5:8: grace: found \"soon\"", "config.yaml:6:7: idle: found 0s", "config.yaml:7:1: listen_on: unknown field",
		"YARD_SERVER: found \"ftp://x\"", "YARD_LISTEN: found \"y\"", "--local-rate: found \"cheap\"",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the faults:\n%s", want, err)
		}
	}
}

func TestTheStateDirectory(t *testing.T) {
	env := map[string]string{}
	get := func(name string) string { return env[name] }
	if got := stateDir("", get); !strings.HasSuffix(got, filepath.Join(".local", "state", "yard")) {
		t.Errorf("by default %s", got)
	}
	env["XDG_STATE_HOME"] = "/xdg"
	if got := stateDir("", get); got != filepath.Join("/xdg", "yard") {
		t.Errorf("by XDG %s", got)
	}
	env["YARD_STATE_DIR"] = "/own"
	if got := stateDir("", get); got != "/own" {
		t.Errorf("by variable %s", got)
	}
	if got := stateDir("/flag", get); got != "/flag" {
		t.Errorf("by flag %s", got)
	}
}

// What is read at every look is refused whole where two files have one name.
func TestNamesInForceAreUnique(t *testing.T) {
	c := Config{StateDir: t.TempDir()}
	for dir, text := range map[string]string{
		c.BudgetsDir():   "kind: Budget\nname: cap\namount: $2\nperiod: year\nthresholds: [{at: 1, do: warn}]\n",
		c.ContractsDir(): "kind: Contract\nname: cap\ncounterparty: A\nterm: {from: 2026-01-01, to: 2027-01-01}\nclauses:\n  - discount: {percent: 5%}\n",
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a.yaml", "b.yaml"} {
			if _, err := c.Budgets(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Contracts(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, ofBudgets := c.Budgets()
		_, ofContracts := c.Contracts()
		if err := errors.Join(ofBudgets, ofContracts); err == nil || !strings.Contains(err.Error(), "b.yaml: name: ") || !strings.Contains(err.Error(), "is also in") {
			t.Errorf("%s: %v", dir, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
