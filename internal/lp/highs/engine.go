package highs

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// The directory pattern lets a build without the binary succeed: `make solver`
// fetches it.
//
//go:embed embedded
var embedded embed.FS

// Embedded reports whether this build carries HiGHS.
func Embedded() bool {
	_, err := embedded.ReadFile("embedded/highs.wasm")
	return err == nil
}

// names is abi.json: what the minifier called imports and exports.
type names struct {
	Imports map[string]string `json:"imports"`
	Exports map[string]string `json:"exports"`
}

// Engine is HiGHS compiled once; each solve gets an instance of its own, so
// solves may run concurrently. Close it when done.
type Engine struct {
	names   names
	runtime wazero.Runtime
	module  wazero.CompiledModule
	once    sync.Once
	err     error
	cache   wazero.CompilationCache
}

// New returns the embedded solver. Compilation happens on the first solve and
// is cached in the directory, if one is given: 1 to 2 s of CPU the first time,
// a tenth of that later. fault.NotFound where this build does not carry HiGHS.
func New(cacheDir string) (*Engine, error) {
	data, err := embedded.ReadFile("embedded/abi.json")
	if err != nil || !Embedded() {
		return nil, fault.New(fault.NotFound, "this build has no embedded solver; `make solver` fetches it, or install `highs` or `cbc`")
	}
	e := &Engine{}
	if err := json.Unmarshal(data, &e.names); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "solver names")
	}
	if cacheDir != "" {
		if e.cache, err = wazero.NewCompilationCacheWithDir(filepath.Join(cacheDir, "wazero")); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "solver cache")
		}
	}
	return e, nil
}

// Close releases the compiled code.
func (e *Engine) Close(ctx context.Context) error {
	if e.runtime == nil {
		return nil
	}
	err := e.runtime.Close(ctx)
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(ctx))
	}
	return err
}

// compile compiles the module once. The context of the first solve must not
// be able to break it, so it uses one of its own.
func (e *Engine) compile() error {
	e.once.Do(func() {
		ctx := context.Background()
		binary, err := embedded.ReadFile("embedded/highs.wasm")
		if err != nil {
			e.err = fault.Wrap(fault.Internal, err, "solver")
			return
		}
		config := wazero.NewRuntimeConfig().WithMemoryLimitPages(maxPages)
		if e.cache != nil {
			config = config.WithCompilationCache(e.cache)
		}
		e.runtime = wazero.NewRuntimeWithConfig(ctx, config)
		if err := e.host(ctx); err != nil {
			e.err = fault.Wrap(fault.Internal, err, "solver host")
			return
		}
		if e.module, err = e.runtime.CompileModule(ctx, binary); err != nil {
			e.err = fault.Wrap(fault.Internal, err, "solver")
		}
	})
	return e.err
}

// maxPages bounds the memory of an instance to 2 GiB.
const maxPages = 2 << 30 >> 16
