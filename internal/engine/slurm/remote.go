package slurm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
)

const (
	// remoteBound is how long a call may take with its way there and back.
	remoteBound = serveBound + 30*time.Second
	// copyBound is how long the program may take to get there, some 30 MB.
	copyBound = 5 * time.Minute
	// partingBound is how long ssh may take to tell how the program there ended.
	partingBound = 10 * time.Second

	exitNotFound = 127 // of a shell, for a program that is not there
	exitNotRun   = 126
)

// Remote is the engine of a Slurm cluster whose commands and shared directory
// are on another machine. It keeps one connection, over which this same program
// serves there (Serve), and makes it anew when it breaks.
type Remote struct {
	site  site.Site
	self  []string
	shell []string // what runs a command line there, which is added as one word

	mu      sync.Mutex
	conn    *connection
	attempt *attempt // to make one; nil where none is made just now
}

// attempt makes a connection, for all who wait for one. It outlives callers that
// give up: the first one copies the program there, which may take minutes.
type attempt struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when conn or err is set
	conn   *connection
	err    error
}

var (
	_ engine.Engine     = (*Remote)(nil)
	_ engine.Dumper     = (*Remote)(nil)
	_ engine.Accountant = (*Remote)(nil)
)

// SSH is the system's ssh client, for a login node. It never asks for anything,
// and shares no connection with others: whether one that is shared is alive would
// not be ours to watch, and to kill it would not be ours to do.
func SSH(of site.Slurm) []string {
	words := []string{
		"ssh", "-T", "-o", "BatchMode=yes", "-o", "ControlPath=none", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3",
	}
	if of.SSHPort > 0 {
		words = append(words, "-p", strconv.Itoa(of.SSHPort))
	}
	return append(words, "--", of.SSH)
}

// NewRemote returns the engine. The command self, followed by "serve", must call
// Serve.
func NewRemote(of site.Site, self, shell []string) *Remote {
	return &Remote{site: of, self: self, shell: shell}
}

// Close ends the connection. A later call makes one anew.
func (r *Remote) Close() error {
	r.mu.Lock()
	making := r.attempt
	r.mu.Unlock()
	if making != nil {
		making.cancel()
		<-making.done
	}
	r.mu.Lock()
	conn := r.conn
	r.conn = nil
	r.mu.Unlock()
	if conn != nil {
		conn.fail(errors.New("closed"))
		<-conn.ended
	}
	return nil
}

// Pools implements engine.Engine.
func (r *Remote) Pools(ctx context.Context) ([]fleet.Pool, error) {
	answer, err := r.call(ctx, request{Method: "pools"})
	return answer.Pools, err
}

// Start implements engine.Engine.
func (r *Remote) Start(ctx context.Context, gang engine.Gang) error {
	if gang.Dir != "" {
		gang.Dir = "" // of this machine; there it means nothing
	}
	_, err := r.call(ctx, request{Method: "start", Gang: &gang, Secrets: gang.Secrets})
	return err
}

// Preview implements engine.Previewer.
func (r *Remote) Preview(ctx context.Context, gang engine.Gang) (string, bool, error) {
	gang.Dir = "" // of this machine
	answer, err := r.call(ctx, request{Method: "preview", Gang: &gang})
	return answer.Text, answer.Checked, err
}

// Observe implements engine.Engine.
func (r *Remote) Observe(ctx context.Context, key string) (engine.Status, error) {
	answer, err := r.call(ctx, request{Method: "observe", Key: key})
	return answer.Status, err
}

// Logs implements engine.Engine.
func (r *Remote) Logs(ctx context.Context, key string, rank int, offset int64) (engine.Log, error) {
	log := &remoteLog{ctx: ctx, from: r, key: key, rank: rank, next: offset}
	return log, log.fetch()
}

// History implements engine.Engine.
func (r *Remote) History(ctx context.Context, key string) ([]fleet.Progress, error) {
	answer, err := r.call(ctx, request{Method: "history", Key: key})
	return answer.Points, err
}

// Stop implements engine.Engine.
func (r *Remote) Stop(ctx context.Context, key string, grace time.Duration) error {
	_, err := r.call(ctx, request{Method: "stop", Key: key, Grace: grace})
	return err
}

// Dump implements engine.Dumper.
func (r *Remote) Dump(ctx context.Context, key string, grace time.Duration) error {
	_, err := r.call(ctx, request{Method: "dump", Key: key, Grace: grace})
	return err
}

// List implements engine.Engine.
func (r *Remote) List(ctx context.Context) ([]string, error) {
	answer, err := r.call(ctx, request{Method: "list"})
	return answer.Keys, err
}

// Forget implements engine.Engine.
func (r *Remote) Forget(ctx context.Context, key string) error {
	_, err := r.call(ctx, request{Method: "forget", Key: key})
	return err
}

// Used implements engine.Accountant.
func (r *Remote) Used(ctx context.Context, since time.Time) ([]fleet.Used, error) {
	answer, err := r.call(ctx, request{Method: "used", Since: since})
	return answer.Used, err
}

// remoteLog reads a log chunk by chunk. Its context is that of the call of Logs,
// whose reading it is.
type remoteLog struct {
	ctx   context.Context
	from  *Remote
	key   string
	rank  int
	chunk []byte
	next  int64 // after the chunk
	at    int64 // in the log, where the chunk's rest begins
}

func (l *remoteLog) fetch() error {
	answer, err := l.from.call(l.ctx, request{Method: "logs", Key: l.key, Rank: l.rank, Offset: l.next})
	if err != nil {
		return err
	}
	l.at, l.chunk, l.next = l.next, answer.Log, answer.Next
	return nil
}

func (l *remoteLog) Read(into []byte) (int, error) {
	if len(l.chunk) == 0 {
		if err := l.fetch(); err != nil {
			return 0, err
		}
		if len(l.chunk) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(into, l.chunk)
	l.chunk, l.at = l.chunk[n:], l.at+int64(n)
	return n, nil
}

// Next is exact at the end of each chunk; within one it counts bytes, and never
// goes past what the chunk stands for.
func (l *remoteLog) Next() int64 {
	if len(l.chunk) == 0 {
		return l.next
	}
	return min(l.at, l.next)
}

func (l *remoteLog) Close() error { return nil }

// call sends a request and waits for its answer. It fails with fault.Transient
// where the machine cannot be reached or does not answer in time.
func (r *Remote) call(ctx context.Context, q request) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteBound)
	defer cancel()
	conn, err := r.connection(ctx)
	if err != nil {
		return response{}, err
	}
	answers, err := conn.send(q)
	if err != nil {
		return response{}, fault.Wrap(fault.Transient, err, "reaching "+r.where())
	}
	select {
	case answer := <-answers:
		if answer.Kind != "" {
			return answer, fault.New(answer.Kind, answer.Message)
		}
		return answer, nil
	case <-conn.ended:
		return response{}, fault.Wrap(fault.Transient, conn.why(), "reaching "+r.where())
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			conn.fail(fmt.Errorf("no answer in %v", remoteBound))
		}
		return response{}, fault.Wrap(fault.Transient, ctx.Err(), "waiting for "+r.where())
	}
}

func (r *Remote) where() string { return cmp.Or(r.site.Slurm.SSH, r.site.Name) }

// connection returns the one there is, or waits until it is made.
func (r *Remote) connection(ctx context.Context) (*connection, error) {
	r.mu.Lock()
	if r.conn != nil && r.conn.alive() {
		defer r.mu.Unlock()
		return r.conn, nil
	}
	if r.attempt == nil {
		life, cancel := context.WithTimeout(context.Background(), copyBound)
		r.attempt = &attempt{cancel: cancel, done: make(chan struct{})}
		go r.connect(life, r.attempt)
	}
	making := r.attempt
	r.mu.Unlock()
	select {
	case <-making.done:
		return making.conn, making.err
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Transient, ctx.Err(), "connecting to "+r.where())
	}
}

// connect makes the connection, and puts the program there first where it is not.
func (r *Remote) connect(ctx context.Context, a *attempt) {
	a.conn, a.err = r.reach(ctx)
	r.mu.Lock()
	r.conn, r.attempt = a.conn, nil
	r.mu.Unlock()
	a.cancel()
	close(a.done)
}

func (r *Remote) reach(ctx context.Context) (*connection, error) {
	program, err := r.programThere()
	if err != nil {
		return nil, err
	}
	conn, err := r.dial(ctx, program)
	if !fault.Is(err, fault.NotFound) {
		return conn, err
	}
	if err := r.put(ctx, program); err != nil {
		return nil, err
	}
	conn, err = r.dial(ctx, program)
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(fault.Transient, err, "after putting it there")
	}
	return conn, err
}

// programThere is the path of this program in the shared directory.
func (r *Remote) programThere() (string, error) {
	file, err := os.Open(r.self[0])
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "reading this program")
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fault.Wrap(fault.Internal, err, "reading this program")
	}
	return path.Join(r.site.Slurm.Dir, "bin", "yard-"+hex.EncodeToString(hash.Sum(nil))[:16]), nil
}

// there is a command that runs a command line on the other machine.
func (r *Remote) there(ctx context.Context, words ...string) *exec.Cmd {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	cmd := exec.CommandContext(ctx, r.shell[0], append(r.shell[1:len(r.shell):len(r.shell)], strings.Join(quoted, " "))...)
	cmd.WaitDelay = time.Second
	whollyKilled(cmd) // ssh may have begun a proxy
	return cmd
}

// said is all that a command on the other machine wrote, as far as it is passed on.
func said(cmd *exec.Cmd) (string, error) {
	out := &clipped{most: complaintBound}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// put copies this program to the other machine, whole or not at all.
func (r *Remote) put(ctx context.Context, program string) error {
	if err := r.sameKind(ctx); err != nil {
		return err
	}
	file, err := os.Open(r.self[0])
	if err != nil {
		return fault.Wrap(fault.Internal, err, "reading this program")
	}
	defer func() { _ = file.Close() }()
	cmd := r.there(ctx, "sh", "-c", `mkdir -p "${1%/*}" && t=$(mktemp "$1.XXXXXX") && cat > "$t" && chmod 755 "$t" && mv "$t" "$1"`, "put", program)
	cmd.Stdin = file
	if text, err := said(cmd); err != nil {
		return fault.Newf(fault.Transient, "copying yard to %s: %v: %s", r.where(), err, clipText(text))
	}
	return nil
}

// sameKind fails where this program cannot run there.
func (r *Remote) sameKind(ctx context.Context) error {
	text, err := said(r.there(ctx, "uname", "-sm"))
	if err != nil {
		return fault.Newf(fault.Transient, "reaching %s: %v: %s", r.where(), err, clipText(text))
	}
	kind := strings.ToLower(clipText(text))
	own := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if kind != runtime.GOOS+" "+own {
		return fault.Newf(fault.Invalid, "%s is %s and this yard is %s/%s: run the control plane on a machine like it", r.where(), kind, runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// connection is one life of the program on the other machine.
type connection struct {
	cmd   *exec.Cmd
	stop  context.CancelFunc
	ended chan struct{} // closed when it is over

	mu      sync.Mutex
	to      *json.Encoder
	last    uint64
	waiting map[uint64]chan response
	failure error
}

// dial starts the program there. It is fault.NotFound where it is not there.
func (r *Remote) dial(ctx context.Context, program string) (*connection, error) {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	cmd := r.there(life, append(append([]string{program}, r.self[1:]...), "serve")...)
	complaint := &clipped{most: complaintBound}
	cmd.Stderr = complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		stop()
		return nil, fault.Wrap(fault.Transient, err, "reaching "+r.where())
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, fault.Wrap(fault.Transient, err, "reaching "+r.where())
	}
	conn := &connection{cmd: cmd, stop: stop, ended: make(chan struct{}), to: json.NewEncoder(in), waiting: map[uint64]chan response{}}
	go conn.read(out, complaint)
	err = conn.to.Encode(r.site)
	if err == nil { // a first question tells whether anyone is there
		var first chan response
		if first, err = conn.send(request{Method: "list"}); err == nil {
			select {
			case <-first:
				return conn, nil
			case <-conn.ended:
			case <-ctx.Done():
			}
		}
	}
	select {
	case <-conn.ended:
	case <-ctx.Done():
		conn.fail(ctx.Err())
		<-conn.ended
	}
	var exit *exec.ExitError
	if errors.As(conn.why(), &exit) && (exit.ExitCode() == exitNotFound || exit.ExitCode() == exitNotRun) {
		return nil, fault.Wrap(fault.NotFound, conn.why(), "yard is not on "+r.where())
	}
	return nil, fault.Wrap(fault.Transient, conn.why(), "reaching "+r.where())
}

func (c *connection) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// send writes a request; its answer comes through the channel.
func (c *connection) send(q request) (chan response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	q.ID = c.last
	answer := make(chan response, 1)
	c.waiting[q.ID] = answer
	return answer, c.to.Encode(q)
}

// read hands answers to those who wait for them, until the program ends.
func (c *connection) read(out io.Reader, complaint *clipped) {
	defer close(c.ended)
	from := &rationed{reader: out}
	answers := json.NewDecoder(from)
	for {
		var answer response
		from.left = outputBound // for each answer
		if err := answers.Decode(&answer); err != nil {
			break
		}
		c.mu.Lock()
		if waiter := c.waiting[answer.ID]; waiter != nil {
			delete(c.waiting, answer.ID)
			waiter <- answer
		}
		c.mu.Unlock()
	}
	late := time.AfterFunc(partingBound, c.stop)
	err := c.cmd.Wait()
	late.Stop()
	c.stop()
	if text := strings.TrimSpace(complaint.String()); text != "" && err != nil {
		err = fmt.Errorf("%w: %s", err, clipText(text))
	}
	c.fail(cmp.Or(err, io.ErrUnexpectedEOF))
}

// rationed ends when more is read than is left.
type rationed struct {
	reader io.Reader
	left   int
}

func (r *rationed) Read(into []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := r.reader.Read(into[:min(len(into), r.left)])
	r.left -= n
	return n, err
}

// fail ends the connection; the first failure counts.
func (c *connection) fail(err error) {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = err
	}
	c.mu.Unlock()
	c.stop()
}

func (c *connection) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// clipText bounds what is passed on of what a machine said.
func clipText(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
