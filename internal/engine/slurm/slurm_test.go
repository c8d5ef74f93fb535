//go:build linux

package slurm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// TestMain makes the test binary what yard is on the nodes of a job, and lets it
// act one step of yard in a process that may be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		switch os.Args[1] {
		case "batch":
			exitWith(0, slurm.RunBatch(context.Background(), os.Args[2]))
		case "node":
			code, err := slurm.RunNode(os.Args[2], os.Stdout)
			exitWith(code, err)
		}
	}
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		self, err := os.Executable()
		if err == nil {
			err = slurm.Serve(context.Background(), []string{self}, os.Stdin, os.Stdout)
		}
		exitWith(0, err)
	}
	if len(os.Args) == 7 && os.Args[1] == "act" {
		exitWith(0, act(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]))
	}
	code := m.Run()
	if err := theLab.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func exitWith(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// sharedLab is the cluster of all tests: it starts with the first that needs it.
type sharedLab struct {
	once sync.Once
	lab  *slurmlab.Lab
	err  error
}

var theLab sharedLab

func lab(t *testing.T) *slurmlab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("real Slurm is left out of -short")
	}
	if missing := slurmlab.Missing(); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	theLab.once.Do(func() { theLab.lab, theLab.err = slurmlab.Start(context.Background()) })
	if theLab.err != nil {
		t.Fatal(theLab.err)
	}
	return theLab.lab
}

func (s *sharedLab) stop() error {
	if s.lab == nil {
		return nil
	}
	jobs, err := s.lab.Jobs(context.Background())
	if err == nil && len(jobs) > 0 {
		err = fmt.Errorf("jobs are left: %v", jobs)
	}
	if stopped := s.lab.Stop(); stopped != nil {
		return stopped
	}
	return err
}

// open returns an engine over a shared directory of its own.
func open(lab *slurmlab.Lab, dir string) *slurm.Engine {
	return openOver(dir, slurm.System("", lab.Conf()))
}

func openWith(lab *slurmlab.Lab, dir string, change func(*site.Site)) *slurm.Engine {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	s := labSpec(dir)
	change(&s)
	return slurm.New(s, []string{self}, slurm.System("", lab.Conf()))
}

type labSite struct {
	lab *slurmlab.Lab
	dir string
}

func (s labSite) Open(*testing.T) engine.Engine { return open(s.lab, s.dir) }

// Delete implements enginetest.Deletion: somebody cancels the job.
func (s labSite) Delete(t *testing.T, key string) {
	t.Helper()
	var job struct{ ID string }
	data, err := os.ReadFile(filepath.Join(s.dir, "gangs", key, "job"))
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err == nil {
		_, err = s.lab.Call(t.Context(), "scancel", job.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	lab := lab(t)
	enginetest.Run(t, func(t *testing.T) enginetest.Site { return labSite{lab, sharedDir(t)} })
}

// sharedDir is like t.TempDir, with what jobs said shown where the test fails.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(path, ".log") || strings.HasSuffix(path, ".json")) {
				text, _ := os.ReadFile(path)
				t.Logf("%s:\n%.2000s", path, text)
			}
			return nil
		})
	})
	return dir
}
