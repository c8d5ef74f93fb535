// Package config owns yard's settings: their names, defaults and rules, read
// from the file in the state directory, the environment and flags.
//
// It refuses to act on them.
package config

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// File is the name of the settings file in the state directory.
const File = "config.yaml"

// Config is all settings. The zero value is not valid; see Load.
type Config struct {
	StateDir string

	Server string // address of a control plane to use; "" for the one of the state directory
	Token  string // for Server

	Listen    string        // TCP address of yard up
	LocalRate *units.Rate   // USD per node-hour of this machine; nil imputes one
	Restarts  int           // failed attempts in a row before a run is given up
	Moves     int           // of all runs in a day, because another place is cheaper; 0 is none
	Grace     time.Duration // between SIGTERM and SIGKILL
	LogCap    int64         // bytes of log kept per rank; 0 is the engine's default
	Retention time.Duration // how long logs of ended attempts are kept
	Idle      time.Duration // after which a background yard with no live run ends
	Interval  time.Duration // between passes of the control plane

	Checkpoints string // URL of the store for sites that name none; "" for none
}

// Flags is what the command line sets; empty fields are not set.
type Flags struct {
	StateDir, Server, Token, Listen, LocalRate string
}

// file is the form of the settings file; every field is optional.
type file struct {
	Server    string         `json:"server"`
	Token     string         `json:"token"`
	Listen    string         `json:"listen"`
	LocalRate string         `json:"local_rate"`
	Restarts  *int           `json:"restarts"`
	Moves     *int           `json:"moves_per_day"`
	Grace     units.Duration `json:"grace"`
	LogCap    units.Bytes    `json:"log_cap"`
	Retention units.Duration `json:"retention"`
	Idle      units.Duration `json:"idle"`
	Interval  units.Duration `json:"interval"`

	Checkpoints string `json:"checkpoints"`
}

func defaults() Config {
	return Config{
		Listen: "127.0.0.1:7700", Restarts: 5, Moves: 50, Grace: 30 * time.Second,
		Retention: 90 * 24 * time.Hour, Idle: time.Minute, Interval: 500 * time.Millisecond,
	}
}

// Load reads the settings: defaults, then the file, then the environment, then
// flags. All faults are reported together, as spec.Faults.
func Load(flags Flags, getenv func(string) string) (Config, error) {
	c := defaults()
	c.StateDir = stateDir(flags.StateDir, getenv)
	l := loader{config: &c}
	if err := l.readFile(filepath.Join(c.StateDir, File)); err != nil {
		return c, err
	}
	for _, source := range []struct {
		name  string
		value string
		set   func(string) string
	}{
		{"YARD_SERVER", getenv("YARD_SERVER"), l.server},
		{"YARD_TOKEN", getenv("YARD_TOKEN"), l.token},
		{"YARD_LISTEN", getenv("YARD_LISTEN"), l.listen},
		{"YARD_LOCAL_RATE", getenv("YARD_LOCAL_RATE"), l.localRate},
		{"--server", flags.Server, l.server},
		{"--token", flags.Token, l.token},
		{"--listen", flags.Listen, l.listen},
		{"--local-rate", flags.LocalRate, l.localRate},
	} {
		if source.value == "" {
			continue
		}
		if message := source.set(source.value); message != "" {
			l.faults = append(l.faults, spec.Fault{File: source.name, Message: message})
		}
	}
	return c, l.faults.Err()
}

// stateDir is the flag, the variable, or the place that XDG names.
func stateDir(flag string, getenv func(string) string) string {
	dir := flag
	if dir == "" {
		dir = getenv("YARD_STATE_DIR")
	}
	if dir == "" && getenv("XDG_STATE_HOME") != "" {
		dir = filepath.Join(getenv("XDG_STATE_HOME"), "yard")
	}
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		dir = filepath.Join(home, ".local", "state", "yard")
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		return absolute
	}
	return dir
}

// loader sets fields and collects faults. Its setters return what is wrong, or "".
type loader struct {
	config *Config
	faults spec.Faults
}

func (l *loader) readFile(path string) error {
	data, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	documents, err := spec.Parse(path, data)
	if err != nil {
		return err
	}
	document := documents[0]
	var f file
	document.Decode(&f)
	for field, setting := range map[string]struct {
		value string
		set   func(string) string
	}{
		"server": {f.Server, l.server}, "token": {f.Token, l.token},
		"listen": {f.Listen, l.listen}, "local_rate": {f.LocalRate, l.localRate},
		"checkpoints": {f.Checkpoints, l.checkpoints},
	} {
		if setting.value == "" || !document.Has(field) {
			continue
		}
		if message := setting.set(setting.value); message != "" {
			document.Faultf(field, "%s", message)
		}
	}
	l.durations(document, f)
	if len(documents) > 1 {
		document.Faultf("", "the file has %d documents; settings are one", len(documents))
	}
	var faults spec.Faults
	if err := document.Faults(); errors.As(err, &faults) {
		l.faults = append(l.faults, faults...)
	}
	return nil
}

func (l *loader) durations(document *spec.Document, f file) {
	if f.Restarts != nil {
		l.config.Restarts = *f.Restarts
		if *f.Restarts < 0 {
			document.Faultf("restarts", "found %d; a count from 0 up is needed", *f.Restarts)
		}
	}
	if f.Moves != nil {
		l.config.Moves = *f.Moves
		if *f.Moves < 0 {
			document.Faultf("moves_per_day", "found %d; a count from 0 up is needed", *f.Moves)
		}
	}
	for _, setting := range []struct {
		field string
		value units.Duration
		to    *time.Duration
	}{
		{"grace", f.Grace, &l.config.Grace}, {"retention", f.Retention, &l.config.Retention},
		{"idle", f.Idle, &l.config.Idle}, {"interval", f.Interval, &l.config.Interval},
	} {
		if !document.Has(setting.field) || document.Faulty(setting.field) {
			continue
		}
		*setting.to = time.Duration(setting.value)
		if setting.value <= 0 {
			document.Faultf(setting.field, "found %s; a time longer than zero is needed", time.Duration(setting.value))
		}
	}
	if document.Has("log_cap") {
		l.config.LogCap = int64(f.LogCap)
	}
}

func (l *loader) server(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "found " + strconv.Quote(text) + "; the address of a server is needed, such as http://127.0.0.1:7700"
	}
	l.config.Server = text
	return ""
}

func (l *loader) token(text string) string {
	l.config.Token = text
	return ""
}

func (l *loader) listen(text string) string {
	if _, _, err := net.SplitHostPort(text); err != nil {
		return "found " + strconv.Quote(text) + "; a host and a port are needed, such as 127.0.0.1:7700"
	}
	l.config.Listen = text
	return ""
}

func (l *loader) localRate(text string) string {
	rate, err := units.ParseRate(text, units.USD)
	if err != nil || rate.Sign() < 0 {
		return "found " + strconv.Quote(text) + "; a price in US dollars per hour of this machine is needed, such as 0.12"
	}
	l.config.LocalRate = &rate
	return ""
}
