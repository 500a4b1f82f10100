package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/audit"
)

// keepUntilKilled is the other process: it keeps changes and reads, and says of each change that it is kept.
func keepUntilKilled(address string) {
	ctx := context.Background()
	d, err := db.Open(ctx, address, audit.Schema())
	if err != nil {
		panic(err)
	}
	sealer, err := seal.OpenOrCreate(filepath.Join(os.Getenv("HAECHI_TEST_AUDIT_FOLDER"), "root.key"))
	if err != nil {
		panic(err)
	}
	trail, err := audit.New(audit.Config{DB: d, Sealer: sealer, Node: "n1", Account: "111122223333", Region: "x", Folder: os.Getenv("HAECHI_TEST_AUDIT_FOLDER")})
	if err != nil {
		panic(err)
	}
	go func() { _ = trail.Run(ctx) }()
	for i := 0; ; i++ {
		if err := trail.Keep(ctx, read()); err != nil {
			panic(err)
		}
		if err := trail.Keep(ctx, change(i)); err != nil {
			panic(err)
		}
		fmt.Println(i)
	}
}

// Whatever was acknowledged before kill -9 is there, and the chain is whole and goes on.
func TestKill(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		ctx, folder := dbtest.Context(t), t.TempDir()
		address := "sqlite:" + filepath.Join(folder, "state.db")
		d := open(audit.Schema())
		if d.Postgres() {
			address = dbtest.Postgres(t)
		}
		for round := range 3 {
			last := keptBeforeKill(t, address, folder, 20+13*round)
			d, err := db.Open(ctx, address, audit.Schema())
			must(t, err)
			sealer, err := seal.OpenOrCreate(filepath.Join(folder, "root.key"))
			must(t, err)
			noted, err := audit.ReadHeads(folder)
			must(t, err)
			r, err := audit.Verify(ctx, d, sealer, noted...)
			if err != nil || len(r.Problems) > 0 {
				t.Errorf("after a kill: %v %v", r.Problems, err)
			}
			trail, err := audit.New(audit.Config{DB: d, Sealer: sealer, Node: "n1", Account: "111122223333", Region: "x"})
			must(t, err)
			page, _, err := trail.Find(ctx, audit.Query{Text: fmt.Sprintf(`"u%s"`, last), Limit: 10})
			if err != nil || len(page) == 0 {
				t.Errorf("round %d: change %s was acknowledged, and %d are there: %v", round, last, len(page), err)
			}
			must(t, d.Close())
		}
	})
}

// keptBeforeKill runs the other process until it has kept n changes, kills it, and says which it acknowledged last.
func keptBeforeKill(t *testing.T, address, folder string, n int) (last string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HAECHI_TEST_AUDIT_UNTIL_KILLED="+address, "HAECHI_TEST_AUDIT_FOLDER="+folder)
	var wrong strings.Builder
	cmd.Stderr = &wrong
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range n {
		if !lines.Scan() {
			break
		}
		last = lines.Text()
	}
	must(t, cmd.Process.Kill())
	for lines.Scan() {
		last = lines.Text()
	}
	_ = cmd.Wait()
	if last == "" {
		t.Fatalf("it kept nothing: %s", wrong.String())
	}
	return last
}
