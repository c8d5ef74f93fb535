package slurmlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

const (
	restDaemon = "slurmrestd"
	// nobody is the user of slurmrestd, which refuses to be root or Slurm's own.
	nobody = 65534
	// tokenLife is how many seconds a token of the lab is good for.
	tokenLife = 6 * 60 * 60
)

// REST is where the lab's slurmrestd listens.
type REST struct {
	URL    string // over TCP
	Socket string // unix:// and the path of its socket
	Token  string // of root, whose jobs those of the tests are
}

// MissingREST tells what keeps the lab from starting slurmrestd, "" where
// nothing does.
func MissingREST() string {
	switch {
	case Missing() != "":
		return Missing()
	case findProgram(restDaemon) == "":
		return "slurmrestd (package slurmrestd) is needed"
	case !hasJWT():
		return "Slurm's plugin auth/jwt (package slurm-wlm-jwt-plugin) is needed"
	}
	return ""
}

// hasJWT reports whether Slurm can check tokens on this machine.
func hasJWT() bool {
	for _, pattern := range []string{"/usr/lib/*/slurm*/auth_jwt.so", "/usr/lib/slurm/auth_jwt.so", "/usr/lib64/slurm/auth_jwt.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return true
		}
	}
	return false
}

// jwtConf lets the daemons take tokens beside munge, where they can.
func (l *Lab) jwtConf(line func(format string, args ...any)) {
	if hasJWT() {
		line("AuthAltTypes=auth/jwt")
		line("AuthAltParameters=jwt_key=%s", l.path("jwt.key"))
	}
}

// StartREST starts slurmrestd, once.
func (l *Lab) StartREST(ctx context.Context) (REST, error) {
	if l.running(restDaemon) {
		return l.rest, nil
	}
	if missing := MissingREST(); missing != "" {
		return REST{}, errors.New(missing)
	}
	said, err := l.Call(ctx, "scontrol", "token", "username=root", fmt.Sprintf("lifespan=%d", tokenLife))
	if err != nil {
		return REST{}, err
	}
	_, token, found := strings.Cut(strings.TrimSpace(said), "SLURM_JWT=")
	if !found {
		return REST{}, fmt.Errorf("scontrol token answered %q", said)
	}
	if err := l.openToNobody(); err != nil {
		return REST{}, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return REST{}, err
	}
	address, socket := fmt.Sprintf("127.0.0.1:%d", ports[0]), l.path("rest", "socket")
	err = l.startWith([]string{"SLURM_JWT=daemon"}, asUser(nobody), restDaemon, restDaemon, "-a", "rest_auth/jwt", "-f", l.Conf(), address, "unix:"+socket)
	if err != nil {
		return REST{}, err
	}
	l.rest = REST{URL: "http://" + address, Socket: "unix://" + socket, Token: token}
	return l.rest, until(ctx, "slurmrestd listens", func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return errors.Join(err, l.alive(restDaemon))
	})
}

// openToNobody lets the user of slurmrestd read the configuration, which holds no
// secret, and make its socket.
func (l *Lab) openToNobody() error {
	rest := l.path("rest")
	return errors.Join(os.Chmod(l.Dir, 0o711), os.Chmod(l.Conf(), 0o644), os.MkdirAll(rest, 0o700), os.Chown(rest, nobody, nobody))
}
