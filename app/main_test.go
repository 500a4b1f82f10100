package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// TestMain is a server where a test wants one to kill, and else the tests.
func TestMain(m *testing.M) {
	sandbox.Child()
	if os.Getenv("HAECHI_TEST_SERVER") != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dbtest.Main(m)
}

// serve is a server on a free port, which it tells on standard output.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := app.Default(os.Getenv)
	c.Environment(os.Getenv)
	a, err := app.Open(ctx, c, app.Env{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Getenv: os.Getenv})
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.Access.First(ctx, c.Data, nil); err != nil {
		return err
	}
	l, err := a.Listen(false)
	if err != nil {
		return err
	}
	return a.Serve(ctx, l, func() { fmt.Println(a.URL(l)) })
}

// house is an installation in this process, served on loopback.
type house struct {
	*app.App
	url   string
	admin access.Credentials
	said  *journalled // the server's log, all of it
}

// journalled is what a server wrote into its log.
type journalled struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journalled) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journalled) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// build opens an installation and serves it until the test ends.
func build(t *testing.T, change ...func(*app.Config)) *house {
	t.Helper()
	c := app.Default(func(string) string { return "" })
	c.Data, c.Listen = t.TempDir(), "127.0.0.1:0"
	for _, f := range change {
		f(&c)
	}
	said := &journalled{}
	log := slog.New(slog.NewMultiHandler(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}), slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	a, err := app.Open(t.Context(), c, app.Env{Log: log, Getenv: func(string) string { return "" }, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := a.Access.First(t.Context(), c.Data, nil)
	if err != nil || made == nil {
		t.Fatal("no administrator was made: ", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	ready := make(chan struct{})
	go func() { served <- a.Serve(ctx, l, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{a, a.URL(l), *made, said}
}
