// Package bloblab owns object stores for tests: real servers of S3 (versitygw)
// and of Azure Blob (Azurite) on this machine, which `make bloblab` fetches, and
// folders.
//
// It refuses to be anything but a lab: its servers listen on the loopback
// interface, have keys that everyone knows, and keep nothing.
package bloblab

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

const (
	bucket = "lab"
	// patience is how long a server may take to answer: Azurite loads hundreds
	// of files of JavaScript on a machine that may be busy.
	patience = 60 * time.Second

	s3Access, s3Secret = "lab-access", "lab-secret-of-no-value"
	// The account that every emulator of Azure Storage has:
	// learn.microsoft.com/azure/storage/common/storage-connect-azurite, read 2026-11-22.
	azureAccount = "devstoreaccount1"
	azureKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Place is where tests keep objects.
type Place struct {
	Name string // "file", "s3" or "azure"
	base func(prefix string) string
	// Files is the folder of the server in which each object is a file by its
	// key; "" where it keeps them otherwise.
	Files string
}

// URL is a store of its own below the prefix.
func (p Place) URL(prefix string) string { return p.base(prefix) }

// Places starts all of them, and sets the credentials in the environment of the
// test. Those that cannot be started are left out loudly; on CI that is a failure.
func Places(t *testing.T) []Place {
	t.Helper()
	places := []Place{File(t)}
	for _, start := range []func(*testing.T) (Place, error){s3, azure} {
		place, err := start(t)
		switch {
		case err == nil:
			places = append(places, place)
		case os.Getenv("CI") == "true":
			t.Fatal("CI must run `make bloblab` first: ", err)
		default:
			t.Logf("LEFT OUT, run `make bloblab`: %v", err)
		}
	}
	return places
}

// File is a place that is a folder.
func File(t *testing.T) Place {
	dir := t.TempDir()
	return Place{
		Name: "file", Files: dir,
		base: func(prefix string) string { return "file://" + filepath.ToSlash(filepath.Join(dir, prefix)) },
	}
}

func cacheFile(elements ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(append([]string{cache, "switchyard-lab", "bloblab"}, elements...)...)
	_, err = os.Stat(path)
	return path, err
}

func s3(t *testing.T) (Place, error) {
	program, err := cacheFile("versitygw")
	if err != nil {
		return Place{}, err
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, bucket), 0o700); err != nil {
		return Place{}, err
	}
	address, err := serve(t, func(address string) *exec.Cmd {
		return exec.Command(program, "--access", s3Access, "--secret", s3Secret, "--port", address, "--quiet", "posix", dir)
	})
	if err != nil {
		return Place{}, err
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s3Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3Secret)
	query := url.Values{"region": {"us-east-1"}, "endpoint": {"http://" + address}, "use_path_style": {"true"}}
	return Place{
		Name: "s3", Files: filepath.Join(dir, bucket),
		base: func(prefix string) string { return "s3://" + bucket + "/" + prefix + "?" + query.Encode() },
	}, nil
}

func azure(t *testing.T) (Place, error) {
	script, err := cacheFile("node_modules", "azurite", "dist", "src", "blob", "main.js")
	if err != nil {
		return Place{}, err
	}
	dir := t.TempDir()
	address, err := serve(t, func(address string) *exec.Cmd {
		host, port, _ := net.SplitHostPort(address)
		return exec.Command("node", script, "--blobHost", host, "--blobPort", port, "--location", dir, "--silent", "--skipApiVersionCheck", "--disableTelemetry")
	})
	if err != nil {
		return Place{}, err
	}
	if err := makeContainer(address); err != nil {
		return Place{}, err
	}
	t.Setenv("AZURE_STORAGE_ACCOUNT", azureAccount)
	t.Setenv("AZURE_STORAGE_KEY", azureKey)
	query := url.Values{"localemu": {"true"}, "protocol": {"http"}, "domain": {address}}
	return Place{
		Name: "azure",
		base: func(prefix string) string { return "azblob://" + bucket + "/" + prefix + "?" + query.Encode() },
	}, nil
}

func makeContainer(address string) error {
	credential, err := azblob.NewSharedKeyCredential(azureAccount, azureKey)
	if err != nil {
		return err
	}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+address+"/"+azureAccount, credential, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = client.CreateContainer(ctx, bucket, nil)
	return err
}

// serve starts a server on a free port and returns its address when it answers.
// The test ends it.
func serve(t *testing.T, command func(address string) *exec.Cmd) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", err
	}
	cmd := command(address)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			return address, conn.Close()
		}
		select {
		case <-ended:
			return "", fmt.Errorf("%s ended: %s", cmd.Path, said.String())
		case <-late:
			return "", fmt.Errorf("%s does not answer on %s after %v", cmd.Path, address, patience)
		case <-tick.C:
		}
	}
}
