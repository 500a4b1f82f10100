// Package dbtest runs a room's tests on every database engine there is on this machine.
package dbtest

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
)

// Main runs a package's tests and takes down what Each has put up: func TestMain(m *testing.M) { dbtest.Main(m) }.
func Main(m *testing.M) {
	code := m.Run()
	stop()
	os.Exit(code)
}

// Each runs test on SQLite and on PostgreSQL. What open gives is one and the
// same new database in that test, however often it is called, so that a
// second open is a second node or a restart.
//
// PostgreSQL is the server that HAECHI_TEST_POSTGRES names, else a private one
// in a temporary folder where Debian's postgresql is installed.
func Each(t *testing.T, test func(t *testing.T, open func(...db.Schema) *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, opener(t, "sqlite:"+filepath.Join(t.TempDir(), "state.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, opener(t, Postgres(t))) })
}

func opener(t *testing.T, address string) func(...db.Schema) *db.DB {
	return func(schemas ...db.Schema) *db.DB {
		t.Helper()
		d, err := db.Open(t.Context(), address, schemas...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
}

var databases atomic.Int64

// Postgres is the address of a new, empty PostgreSQL database; where there is no server the test is skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	server, err := start()
	if err != nil {
		t.Skipf("no PostgreSQL: %v (apt-get install postgresql, or HAECHI_TEST_POSTGRES=postgres://…)", err)
	}
	name := fmt.Sprintf("haechi_%d_%d", os.Getpid(), databases.Add(1))
	if err := execute(server, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = execute(server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func execute(server, statement string) error {
	d, err := sql.Open("pgx", server)
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.Exec(statement)
	return err
}

// cluster is the private server of this test binary. It is the one thing that
// outlives a test: starting it for each would take longer than the tests.
var cluster struct {
	once   sync.Once
	folder string
	cmd    *exec.Cmd
	url    string
	err    error
}

func start() (string, error) {
	if given := os.Getenv("HAECHI_TEST_POSTGRES"); given != "" {
		return given, nil
	}
	cluster.once.Do(func() { cluster.url, cluster.err = launch() })
	return cluster.url, cluster.err
}

func launch() (string, error) {
	bin, err := programs()
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "haechi-pg")
	if err != nil {
		return "", err
	}
	cluster.folder = folder
	attr, owner, err := unprivileged()
	if err != nil {
		return "", err
	}
	if owner >= 0 {
		if err := os.Chown(folder, owner, -1); err != nil {
			return "", err
		}
	}
	data := filepath.Join(folder, "data")
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.Env, cmd.SysProcAttr = folder, []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}, attr
		return cmd
	}
	if out, err := run("initdb", "-D", data, "-U", "haechi", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	cluster.cmd = run("postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "logging_collector=off")
	if err := cluster.cmd.Start(); err != nil {
		return "", err
	}
	address := "postgres://haechi@/postgres?host=" + url.QueryEscape(folder)
	for range 200 {
		if err = execute(address, "SELECT 1"); err == nil {
			return address, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", fmt.Errorf("the server did not come up: %w", err)
}

func programs() (folder string, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", err
	}
	return filepath.Dir(initdb), nil
}

// unprivileged is how to run as somebody else when we are root, as whom PostgreSQL refuses to run.
func unprivileged() (*syscall.SysProcAttr, int, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return attr, -1, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, 0, err
	}
	uid, err := strconv.Atoi(who.Uid)
	gid, err2 := strconv.Atoi(who.Gid)
	if err := cmp.Or(err, err2); err != nil {
		return nil, 0, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, uid, nil
}

func stop() {
	if cluster.cmd != nil && cluster.cmd.Process != nil {
		_ = cluster.cmd.Process.Signal(syscall.SIGQUIT)
		_ = cluster.cmd.Wait()
	}
	if cluster.folder != "" {
		os.RemoveAll(cluster.folder)
	}
}

// Context is a context that ends with the test, or after a minute.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
