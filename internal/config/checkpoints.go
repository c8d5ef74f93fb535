package config

import "github.com/switchyard-ai/switchyard/internal/site"

// checkpoints sets the store of sites that name none.
func (l *loader) checkpoints(value string) string {
	l.config.Checkpoints = value
	return site.StoreFault(value)
}
