package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Labels and annotations of what the engine makes.
const (
	prefix        = "switchyard.ai/"
	labelSite     = prefix + "site"   // the site's name
	labelGang     = prefix + "gang"   // the name of the gang's Job
	labelFenced   = prefix + "fenced" // on ConfigMaps: the key may never start
	labelManager  = "app.kubernetes.io/managed-by"
	managerName   = "switchyard"
	labelQueue    = "kueue.x-k8s.io/queue-name"
	labelJob      = "batch.kubernetes.io/job-name"
	labelIndex    = "batch.kubernetes.io/job-completion-index"
	noteKey       = prefix + "key"      // the gang's idempotency key
	noteGang      = prefix + "gang"     // what the engine must remember of the gang
	noteReleased  = prefix + "released" // when, and where its nodes are
	noteStopped   = prefix + "stopped"  // when, and the grace
	noteEnded     = prefix + "ended"    // its final status
	noteRelease   = prefix + "release"  // on pods: agent.Release
	noteStop      = prefix + "stop"     // on pods: the stop, as the agent reads it
	hostnameLabel = "kubernetes.io/hostname"
)

const (
	// longestName leaves room for "-g-0-NNNNN" within the 63 letters of a host name.
	longestName = 52
	namePrefix  = "yard-"
	longestKey  = 200
)

var (
	keyForm   = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9_.]*$`)
	plainForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	notPlain  = regexp.MustCompile(`[^a-z0-9]+`)
)

// objectName is the name of all objects of the gang with a key: the key itself
// where Kubernetes takes it, else what it takes of it and a hash.
func objectName(key string) string {
	if name := namePrefix + key; plainForm.MatchString(key) && len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(key))
	tail := hex.EncodeToString(sum[:6])
	plain := strings.Trim(notPlain.ReplaceAllString(strings.ToLower(key), "-"), "-")
	return namePrefix + strings.Trim(plain[:min(len(plain), longestName-len(namePrefix)-len(tail)-1)], "-") + "-" + tail
}

func checkKey(key string) error {
	if len(key) > longestKey || !keyForm.MatchString(key) {
		return fault.Newf(fault.Invalid, "key %q: letters, digits, dashes, dots and underscores are valid, %d at most", key, longestKey)
	}
	return nil
}
