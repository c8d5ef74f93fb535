package cli

import (
	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/daemon"
)

// slurmCommand is how jobs on a Slurm cluster call this binary; people have no
// use for it.
func (a *app) slurmCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "slurm", Short: "Run a gang's part on a Slurm cluster", Hidden: true}
	cmd.AddCommand(&cobra.Command{
		Use:   "batch DIR",
		Short: "Start the gang of the folder on the job's nodes (the batch script)",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return daemon.SlurmBatch(cmd.Context(), args[0]) },
	}, &cobra.Command{
		Use:   "node DIR",
		Short: "Run the ranks of this node (started by srun)",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			code, err := daemon.SlurmNode(args[0], a.stdout)
			if err == nil && code != 0 {
				return exitError(code)
			}
			return err
		},
	}, &cobra.Command{
		Use:   "serve",
		Short: "Run the engine for a control plane elsewhere (started over ssh)",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return daemon.SlurmServe(cmd.Context(), a.stdin, a.stdout) },
	})
	return cmd
}
