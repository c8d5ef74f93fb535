package highs

import (
	"context"
	"errors"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// solve is what the host functions of one running solve work with. It travels
// in the context, since instances share the host module.
type solve struct {
	cancelled func() bool
	started   time.Time
	work      float64 // deterministic clock: seconds that have passed, when limit > 0
	limit     float64 // seconds of the deterministic clock, 0: real time
	log       logReader
}

type solveKey struct{}

func solveOf(ctx context.Context) *solve {
	s, _ := ctx.Value(solveKey{}).(*solve)
	return s
}

const (
	// tick is how far the deterministic clock advances each time that HiGHS
	// reads it.
	tick = 1e-4
	// farFuture, in seconds, is what the clock says once a solve is cancelled:
	// HiGHS sees its time limit passed and returns its incumbent.
	farFuture = 1e9
)

// now returns seconds since the solve began.
func (s *solve) now() float64 {
	switch {
	case s == nil:
		return 0
	case s.cancelled():
		return farFuture
	case s.limit > 0:
		s.work += tick
		return s.work
	}
	return time.Since(s.started).Seconds()
}

const (
	errNoEntry = -44 // wasi errno as emscripten returns it from openat
	success    = 0
)

// host defines the imports of the module: clocks that can be stopped, the log,
// memory growth, and stubs for a file system that does not exist.
func (e *Engine) host(ctx context.Context) error {
	builder := e.runtime.NewHostModuleBuilder("a")
	define := func(name string, f any) {
		builder = builder.NewFunctionBuilder().WithFunc(f).Export(e.names.Imports[name])
	}
	abort := func(what string) { panic("highs: " + what) }
	define("___cxa_throw", func(context.Context, uint32, uint32, uint32) { abort("exception") })
	define("_exit", func(context.Context, uint32) { abort("exit") })
	define("_proc_exit", func(context.Context, uint32) { abort("exit") })
	define("__abort_js", func(context.Context) { abort("abort") })

	define("_emscripten_get_now", func(ctx context.Context) float64 { return solveOf(ctx).now() * 1e3 })
	define("_emscripten_date_now", func(ctx context.Context) float64 { return solveOf(ctx).now() * 1e3 })
	define("_clock_time_get", func(ctx context.Context, m api.Module, _ uint32, _ uint64, out uint32) uint32 {
		m.Memory().WriteUint64Le(out, uint64(solveOf(ctx).now()*1e9))
		return success
	})
	define("_emscripten_resize_heap", resizeHeap)
	define("_fd_write", writeLog)
	define("_fd_read", func(_ context.Context, m api.Module, _, _, _, read uint32) uint32 {
		m.Memory().WriteUint32Le(read, 0)
		return success
	})
	define("_fd_seek", func(context.Context, uint32, uint64, uint32, uint32) uint32 { return success })
	define("_fd_close", func(context.Context, uint32) uint32 { return success })
	define("___syscall_openat", func(context.Context, uint32, uint32, uint32, uint32) int32 { return errNoEntry })
	define("___syscall_fcntl64", func(context.Context, uint32, uint32, uint32) uint32 { return success })
	define("___syscall_ioctl", func(context.Context, uint32, uint32, uint32) uint32 { return success })
	define("__setitimer_js", func(context.Context, uint32, float64) uint32 { return success })
	define("__tzset_js", func(context.Context, uint32, uint32, uint32, uint32) {})
	define("__emscripten_runtime_keepalive_clear", func(context.Context) {})
	define("_environ_get", func(context.Context, uint32, uint32) uint32 { return success })
	define("_environ_sizes_get", func(_ context.Context, m api.Module, count, size uint32) uint32 {
		m.Memory().WriteUint32Le(count, 0)
		m.Memory().WriteUint32Le(size, 0)
		return success
	})
	_, err := builder.Instantiate(ctx)
	return err
}

// resizeHeap grows memory to what was asked, with some reserve so that growth
// stays rare: at most a fifth more, and at most 96 MiB.
func resizeHeap(_ context.Context, m api.Module, asked uint32) uint32 {
	const page, spare = 1 << 16, 96 << 20
	old := uint64(m.Memory().Size())
	target := max(uint64(asked), min(old+old/5, uint64(asked)+spare))
	target = min(target, ceiling)
	if target < uint64(asked) {
		return 0
	}
	if _, ok := m.Memory().Grow(uint32((target - old + page - 1) / page)); !ok {
		return 0
	}
	return 1
}

// writeLog passes what HiGHS prints to the solve's log.
func writeLog(ctx context.Context, m api.Module, _, vectors, count, written uint32) uint32 {
	total := uint32(0)
	for i := range count {
		at, ok1 := m.Memory().ReadUint32Le(vectors + 8*i)
		size, ok2 := m.Memory().ReadUint32Le(vectors + 8*i + 4)
		if !ok1 || !ok2 {
			break
		}
		if text, ok := m.Memory().Read(at, size); ok {
			if s := solveOf(ctx); s != nil {
				s.log.read(text)
			}
		}
		total += size
	}
	m.Memory().WriteUint32Le(written, total)
	return success
}

// instance is one HiGHS of one solve.
type instance struct {
	module api.Module
	names  map[string]string
	handle uint64
}

func (e *Engine) instantiate(ctx context.Context) (*instance, error) {
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(reserve))
	module, err := e.runtime.InstantiateModule(ctx, e.module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	in := &instance{module: module, names: e.names.Exports}
	if _, err = in.call(ctx, "constructors"); err == nil {
		in.handle, err = in.call(ctx, "_Highs_create")
	}
	if err != nil {
		return nil, errors.Join(err, module.Close(ctx))
	}
	return in, nil
}
