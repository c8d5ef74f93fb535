package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/daemon"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func (a *app) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a consistent copy of the state to a new file, while runs go on",
		Long: `Write a consistent copy of the state to a new file, while runs go on. It holds
runs, decisions, the ledger, sites and quotas; not checkpoints and logs, which
are files of their own in the state directory. Its SHA-256 goes to FILE.sha256,
as sha256sum writes it, which yard restore verifies: keep the two together.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.backup(ctx, p, args[0]) })
		},
	}
	return a.planeFlags(cmd)
}

func (a *app) backup(ctx context.Context, p *plane, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fault.Newf(fault.Conflict, "%s exists; a backup needs a new name", path)
	}
	if err != nil {
		return err
	}
	sum := sha256.New()
	err = p.Backup(ctx, io.MultiWriter(file, sum))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = daemon.CheckBackup(ctx, path)
	}
	if err == nil {
		err = writeChecksum(path, sum.Sum(nil))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	_, err = fmt.Fprintf(a.stdout, "%s is a whole copy of the state; yard restore %s puts it back\n", path, path)
	return err
}

// checksumEnding names the file beside a backup that holds its SHA-256.
const checksumEnding = ".sha256"

// writeChecksum writes what sha256sum -c reads, in place of one that an earlier
// backup of the name left.
func writeChecksum(path string, sum []byte) error {
	file, err := os.OpenFile(path+checksumEnding, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%x  %s\n", sum, filepath.Base(path))
	return errors.Join(err, file.Sync(), file.Close())
}

// verifyChecksum compares a backup with the checksum beside it, and reports
// whether there is one.
func verifyChecksum(path string) (verified bool, err error) {
	line, err := os.ReadFile(path + checksumEnding)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wanted, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fault.Newf(fault.NotFound, "no file %s", path)
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return false, err
	}
	if found := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(found, wanted) {
		return false, fault.Newf(fault.Invalid, "%s is not what was backed up: its SHA-256 is %s, that of %s is %.64q", path, found, filepath.Base(path)+checksumEnding, wanted)
	}
	return true, nil
}

func (a *app) restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the state, which is kept beside it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(a.flags, os.Getenv)
			if err != nil {
				return err
			}
			verified, err := verifyChecksum(args[0])
			if err != nil {
				return err
			}
			if !verified {
				_, _ = fmt.Fprintf(a.stderr, "there is no %s: only the structure of the backup is verified, not its content\n", args[0]+checksumEnding)
			}
			if err := daemon.Restore(cmd.Context(), c.StateDir, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s holds the state of %s\n", c.StateDir, args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	return cmd
}
