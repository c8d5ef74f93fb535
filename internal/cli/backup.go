package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

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
are files of their own in the state directory.`,
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
	err = p.Backup(ctx, file)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = daemon.CheckBackup(ctx, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	_, err = fmt.Fprintf(a.stdout, "%s is a whole copy of the state; yard restore %s puts it back\n", path, path)
	return err
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
