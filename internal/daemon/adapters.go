package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/kubernetes"
	"github.com/switchyard-ai/switchyard/internal/engine/local"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/store/sqlite"
)

// shimSubcommand is how this binary runs a gang for the local engine.
const shimSubcommand = "shim"

// openStore opens the one store that there is: SQLite in the state directory.
func openStore(ctx context.Context, stateDir string) (store.Store, error) {
	opened, err := sqlite.Open(ctx, databasePath(stateDir))
	if err != nil {
		return nil, err // not a typed nil
	}
	return opened, nil
}

func databasePath(stateDir string) string { return filepath.Join(stateDir, "state.db") }

// openLocal makes the engine of this machine.
func openLocal(stateDir string) (engine.Engine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "finding this program's own file")
	}
	return local.New(filepath.Join(stateDir, "local"), []string{self, shimSubcommand}, local.System), nil
}

// openSite makes the engine of a site that a file describes.
func openSite(s *site.Site, offers *catalog.Catalog, log *slog.Logger) (engine.Engine, error) {
	switch s.Engine {
	case site.KubernetesEngine:
		opened, err := kubernetes.New(s, kubernetes.Options{Catalog: offers, Log: log.With("site", s.Name)})
		if err != nil {
			return nil, err // not a typed nil
		}
		return opened, nil
	case site.SlurmEngine:
		return openSlurm(s, offers)
	}
	return nil, fault.Newf(fault.Invalid, "engine %s is not part of this yard", s.Engine)
}

// Restore puts a backup in the place of a state directory's store. It is
// fault.Conflict while a control plane uses the directory.
func Restore(ctx context.Context, stateDir, backup string) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "making the state directory")
	}
	return sqlite.Restore(ctx, backup, databasePath(stateDir), filepath.Join(stateDir, lockFile))
}

// CheckBackup verifies that a file is a whole backup.
func CheckBackup(ctx context.Context, path string) error {
	_, err := sqlite.Check(ctx, path)
	return err
}
