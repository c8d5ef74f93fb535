package site

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

// schemes are the stores that checkpoints can be kept in.
func schemes() []string { return []string{"file", "s3", "azblob", "gs"} }

// storeOptions are what the query of a store may set: the options of
// gocloud.dev/blob that lead to a bucket. None holds a secret.
func storeOptions(scheme string) []string {
	switch scheme {
	case "file":
		return []string{"create_dir", "dir_file_mode"}
	case "s3":
		return []string{
			"region", "endpoint", "profile", "role", "anonymous", "accelerate", "dualstack", "fips", "disable_https", "hostname_immutable",
			"use_path_style", "s3ForcePathStyle", "ssetype", "kmskeyid", "rate_limiter_capacity", "request_checksum_calculation",
			"response_checksum_validation", "awssdk",
		}
	case "azblob":
		return []string{"storage_account", "domain", "protocol", "cdn", "localemu"}
	case "gs":
		return []string{"access_id", "anonymous", "grpc", "zonal", "universe_domain"}
	}
	return nil
}

func (r rules) store(field, store string) {
	if message := StoreFault(store); store != "" && message != "" {
		r.fault(field, "%s", message)
	}
}

// StoreFault says what is wrong with the URL of a store of checkpoints, or "".
// It repeats nothing of the URL that may be a credential.
func StoreFault(store string) string {
	u, err := url.Parse(store)
	const help = "a URL is needed, such as s3://bucket/prefix or file:///shared/checkpoints"
	switch {
	case err != nil || u.Scheme == "":
		return fmt.Sprintf("found %q; %s", shownStore(store), help)
	case !slices.Contains(schemes(), u.Scheme):
		return fmt.Sprintf("unknown store %q%s", clip(u.Scheme), spec.DidYouMean(u.Scheme, schemes()))
	case u.User != nil:
		return "the URL holds a user or password; credentials come from the environment or secrets"
	case u.Scheme == "file" && (u.Host != "" || !path.IsAbs(u.Path)):
		return fmt.Sprintf("found %q; an absolute path is needed, as in file:///shared/checkpoints", shownStore(store))
	case u.Scheme != "file" && u.Host == "":
		return fmt.Sprintf("found %q; the bucket is missing: %s", shownStore(store), help)
	case u.Fragment != "":
		return fmt.Sprintf("found %q; a fragment is not part of a store", shownStore(store))
	}
	return optionFault(u)
}

// optionFault says what is wrong with the query of a store, by the names in it.
func optionFault(u *url.URL) string {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "what follows the ? is not of the form name=value&name=value"
	}
	known := storeOptions(u.Scheme)
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(known, name) && isCredential(name):
			return fmt.Sprintf("%s is no option of a store: credentials come from the environment or secrets", clip(name))
		case !slices.Contains(known, name):
			return fmt.Sprintf("unknown option %q of %s%s", clip(name), u.Scheme, validOptions(name, known))
		case len(query[name]) > 1:
			return fmt.Sprintf("the option %s is set twice", name)
		}
	}
	return ""
}

func validOptions(name string, known []string) string {
	if near := spec.DidYouMean(name, known); near != "" {
		return near
	}
	return "; valid: " + strings.Join(known, ", ")
}

// isCredential reports whether a name of an option says that its value is a
// secret.
func isCredential(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"key", "secret", "token", "password", "passwd", "credential", "sas", "sig"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// shownStore is what of a URL can be told: nothing behind a ? or #, and nothing
// before an @, where people put credentials.
func shownStore(store string) string {
	store, _, _ = strings.Cut(store, "#")
	store, _, more := strings.Cut(store, "?")
	if at := strings.LastIndex(store, "@"); at >= 0 {
		scheme, _, found := strings.Cut(store, "://")
		if !found {
			scheme = ""
		} else {
			scheme += "://"
		}
		store = scheme + "…" + store[at:]
	}
	if more {
		store += "?…"
	}
	return clip(store)
}
