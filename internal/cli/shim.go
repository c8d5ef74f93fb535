package cli

import (
	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/daemon"
)

// shimCommand is how the local engine calls this binary to run a gang; people
// have no use for it.
func (a *app) shimCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "shim",
		Short:  "Run the ranks of one gang (called by the local engine)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE:   func(*cobra.Command, []string) error { return daemon.Shim(dir, a.stdout) },
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the gang")
	cobra.CheckErr(cmd.MarkFlagRequired("dir"))
	return cmd
}
