package config

import (
	"fmt"
	"net/url"
	"path"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

// checkpoints sets the store of sites that name none.
func (l *loader) checkpoints(value string) string {
	schemes := []string{"file", "s3", "azblob", "gs"}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme == "":
		return fmt.Sprintf("found %q; a URL is needed, such as s3://bucket/prefix or file:///shared/checkpoints", value)
	case !slices.Contains(schemes, u.Scheme):
		return fmt.Sprintf("unknown store %q%s", u.Scheme, spec.DidYouMean(u.Scheme, schemes))
	case u.User != nil:
		return "the URL holds a user or password; credentials come from the environment"
	case u.Scheme == "file" && (u.Host != "" || !path.IsAbs(u.Path)):
		return fmt.Sprintf("found %q; an absolute path is needed, as in file:///shared/checkpoints", value)
	case u.Scheme != "file" && u.Host == "":
		return fmt.Sprintf("found %q; the bucket is missing, as in s3://bucket/prefix", value)
	}
	l.config.Checkpoints = value
	return ""
}
