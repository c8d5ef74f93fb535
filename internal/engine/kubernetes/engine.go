package kubernetes

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/homedir"
	"k8s.io/klog/v2"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

const (
	// callPatience bounds every call of the API but the reading of logs.
	callPatience = 15 * time.Second
	// readPatience bounds the reading of one log.
	readPatience = 10 * time.Minute
	// defaultGrace is what ranks have to end when the gang sets nothing.
	defaultGrace = 10 * time.Second
	// nodeLostAfter is how long a pod stays on a node that is unreachable or
	// not ready, once the cluster says so. Kubernetes' own default is 300 s,
	// made for services; a gang without one node only burns money.
	nodeLostAfter = 15 * time.Second
	// defaultNamespace is where gangs run when neither file nor context say.
	defaultNamespace = "default"
)

// Options is what an engine works with beyond its site's file.
type Options struct {
	Catalog *catalog.Catalog // tells chips and sizes of instance types; may be nil
	Log     *slog.Logger     // may be nil
	Clock   func() time.Time // may be nil
	// Config reaches the cluster in place of the site's kubeconfig; may be nil.
	Config *rest.Config
}

// Engine runs gangs on one cluster. It implements engine.Engine and io.Closer.
type Engine struct {
	site      *site.Site
	cluster   site.Kubernetes
	namespace string
	options   Options
	api       *api
	watch     *watched
	means     meansCache
	news      newsCache
	tender    *tender
	pruned    pruning
	others    othersCache

	mu        sync.Mutex
	forgotten map[string]bool // names of Jobs that this engine deleted
}

var (
	_ engine.Engine    = (*Engine)(nil)
	_ engine.Previewer = (*Engine)(nil)
	_ io.Closer        = (*Engine)(nil)
)

// New returns the engine of a site. It connects in the background: a cluster
// that is away makes calls fail as transient. Close ends it.
func New(s *site.Site, options Options) (*Engine, error) {
	if s.Kubernetes == nil {
		s.Kubernetes = &site.Kubernetes{}
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	config, namespace, err := connection(s.Kubernetes, options.Config)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "site "+s.Name+": its kubeconfig")
	}
	e := &Engine{site: s, cluster: *s.Kubernetes, namespace: namespace, options: options, forgotten: map[string]bool{}}
	if e.api, err = newAPI(config, namespace); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "site "+s.Name)
	}
	e.news.last = map[string]*news{}
	e.watch = newWatched(e.api, s.Name, options.Log)
	e.tender = newTender(e)
	e.watch.start(e.tender.see)
	e.tender.start()
	return e, nil
}

// Close stops what the engine does in the background and waits for it. The
// gangs go on.
func (e *Engine) Close() error {
	e.tender.stop()
	e.watch.stop()
	return nil
}

// connection is how to reach the cluster, and the namespace of gangs.
func connection(k *site.Kubernetes, given *rest.Config) (*rest.Config, string, error) {
	namespace := k.Namespace
	if given != nil {
		if namespace == "" {
			namespace = defaultNamespace
		}
		return tuned(given), namespace, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if k.Kubeconfig != "" {
		rules.ExplicitPath = expandHome(k.Kubeconfig)
	}
	for _, file := range append(rules.GetLoadingPrecedence(), rules.ExplicitPath) {
		if err := readable(file); err != nil {
			return nil, "", err
		}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: k.Context})
	config, err := loader.ClientConfig() // inside a cluster: its own service account
	if err != nil {
		return nil, "", err
	}
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, "", err
		}
	}
	return tuned(config), namespace, nil
}

// mostKubeconfig bounds a kubeconfig; those of real clusters are a few KiB.
const mostKubeconfig = 16 << 20

// readable refuses a kubeconfig that reading would not come to the end of: a
// device, a pipe, or a huge file. One that is not there is the loader's matter.
func readable(file string) error {
	info, err := os.Stat(file)
	switch {
	case file == "" || err != nil:
		return nil
	case info.IsDir():
		return fault.Newf(fault.Invalid, "%s is a directory; a file is needed", file)
	case !info.Mode().IsRegular():
		return fault.Newf(fault.Invalid, "%s is no regular file", file)
	case info.Size() > mostKubeconfig:
		return fault.Newf(fault.Invalid, "%s has more than the 16 MiB that are read", file)
	}
	return nil
}

// tuned lifts client-go's own limit of 5 requests a second: the API server has
// its own fairness.
func tuned(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 200, 400
	config.UserAgent = "switchyard"
	config.WarningHandler = rest.NoWarnings{}
	return config
}

func expandHome(path string) string {
	if len(path) > 1 && path[:2] == "~/" {
		return homedir.HomeDir() + path[1:]
	}
	return path
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(quiet(ctx), callPatience)
}

// quiet keeps client-go from writing to standard error: what it would say is in
// the errors that it returns.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, logr.Discard()) }

func (e *Engine) now() time.Time { return e.options.Clock().UTC() }
