package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A backup made while people push and logs come in is whole: every repository in
// it is sound, everything that was acknowledged before it began is in it, and a
// server starts with it.
func TestBackupUnderLoad(t *testing.T) {
	r := newReader(t)
	r.direct("server")
	if _, code := r.run("tokens", "haechi access token git > token && haechi access token intake > intake"); code != "0" {
		t.Fatal("no tokens")
	}
	address := "http://" + r.replace[1]
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	if out, code := r.run("first push", "mkdir shop && cd shop && git init -q -b main && git remote add haechi http://admin:$(cat ../token)@127.0.0.1:8080/git/shop && date > a && git add -A && git commit -q -m before && git push -q haechi main && git rev-parse HEAD > ../before"); code != "0" {
		t.Fatal(out)
	}
	load.Go(func() {
		push := r.own("cd shop && date +%N > a && git commit -q -a -m more && git push -q haechi main")
		for ctx.Err() == nil {
			c := exec.CommandContext(ctx, "sh", "-c", push)
			c.Dir, c.Env = r.dir, r.env
			if out, err := c.CombinedOutput(); err != nil && ctx.Err() == nil {
				t.Errorf("pushing: %v\n%s", err, out)
				return
			}
		}
	})
	token, err := os.ReadFile(filepath.Join(r.dir, "intake"))
	if err != nil {
		t.Fatal(err)
	}
	load.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			request, err := http.NewRequestWithContext(ctx, "POST", address+"/intake/lines?source=test", strings.NewReader(fmt.Sprintf(`{"n": %d}`, i)))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
			}
		}
	})
	for i := range 3 {
		if out, code := r.run("backup", fmt.Sprintf("haechi backup -with-root-key %d.tar.gz && haechi restore -data copy%d %d.tar.gz", i, i, i)); code != "0" {
			t.Fatal(out)
		}
		if out, code := r.run("fsck", fmt.Sprintf("set -e; cd copy%d/repos; for d in *; do git -C $d fsck --no-dangling --connectivity-only; git -C $d cat-file -e $(cat ../../before); done", i)); code != "0" {
			t.Errorf("the repositories of backup %d: %s", i, out)
		}
	}
	stop()
	load.Wait()
	for i := range 3 {
		copied := newReader(t)
		copied.env = append(copied.env, "HAECHI_DATA="+filepath.Join(r.dir, fmt.Sprintf("copy%d", i)), "AWS_SHARED_CREDENTIALS_FILE="+strings.TrimPrefix(r.env[2], "HAECHI_DATA=")+"/first-credentials")
		copied.direct("server")
		// A backup from before the first run began has its push, and begins it.
		if out, code := copied.run("runs", "for i in $(seq 100); do haechi run -repository shop | grep -q 'shop#1' && break; sleep 0.1; done; haechi run -repository shop"); code != "0" || !strings.Contains(out, "shop#1") {
			t.Errorf("backup %d: %s", i, out)
		}
	}
}
