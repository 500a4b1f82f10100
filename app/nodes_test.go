package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/finding"
)

// Two servers on one PostgreSQL are one installation: what one is told the other
// knows, and a webhook hears of each finding once.
func TestTwoNodes(t *testing.T) {
	database := dbtest.Postgres(t)
	var mu sync.Mutex
	heard := map[string]int{}
	all := make(chan struct{})
	const findings = 40
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range findings {
			if strings.Contains(string(body), fmt.Sprintf("finding number %d.", i)) {
				if heard[fmt.Sprint(i)]++; len(heard) == findings && heard[fmt.Sprint(i)] == 1 {
					close(all)
				}
			}
		}
	}))
	defer hook.Close()
	nodes := make([]*app.App, 2)
	folders := []string{t.TempDir(), t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i, folder := range folders {
		if i == 1 { // nodes share the root key
			key, err := os.ReadFile(filepath.Join(folders[0], "root.key"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(folder, "root.key"), key, 0o600))
		}
		c := app.Default(func(string) string { return "" })
		c.Data, c.Listen, c.Database = folder, "127.0.0.1:0", database
		c.Outbound.Allow = []string{strings.TrimPrefix(hook.URL, "http://")}
		a, err := app.Open(ctx, c, app.Env{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Getenv: func(string) string { return "" }})
		must(t, err)
		nodes[i] = a
		l, err := a.Listen(false)
		must(t, err)
		ready := make(chan struct{})
		running.Go(func() {
			if err := a.Serve(ctx, l, func() { close(ready) }); err != nil {
				t.Error(err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		<-ready
	}
	must(t, nodes[0].Access.CreateUser(ctx, "ann"))
	id, secret, err := nodes[0].Access.CreateKey(ctx, "ann")
	must(t, err)
	time.Sleep(1100 * time.Millisecond) // what another node changed may go unnoticed for a second
	if got, _, err := nodes[1].Access.Secret(ctx, id, ""); err != nil || got.Reveal() != secret.Reveal() {
		t.Errorf("the other node does not know the key: %v", err)
	}
	arn, err := nodes[0].Route.PutReceiver(ctx, route.Receiver{Kind: "webhook", Name: "hook", Settings: map[string]string{"url": hook.URL}, Secrets: map[string]seal.Secret{"secret": seal.Secret("whsec_" + strings.Repeat("a2V5", 8))}})
	must(t, err)
	_, err = nodes[0].Route.PutRule(ctx, route.Rule{Name: "all", Pattern: `{"source": ["aws.securityhub"], "detail": {"findings": {"RecordState": ["ACTIVE"], "Workflow": {"Status": ["NEW"]}}}}`}, nil)
	must(t, err)
	_, err = nodes[0].Route.PutTargets(ctx, "", "all", route.RuleTarget{ID: "hook", ARN: arn})
	must(t, err)
	maker := finding.Maker{Account: "000000000000", Region: "us-east-1"}
	for i := range findings {
		s := finding.Scan{Tool: "test", Target: fmt.Sprintf("node%d", i%2)}
		f := maker.Own(s, finding.Finding{GeneratorID: "nodes", Title: fmt.Sprintf("finding number %d.", i), Description: "d", Types: []string{"Software and Configuration Checks"},
			Severity: &finding.Severity{Label: finding.High}}, time.Now())
		if done, err := nodes[i%2].Hub.Import(ctx, s, f); err != nil || done.New != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	select {
	case <-all:
	case <-time.After(40 * time.Second):
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range findings {
		if n := heard[fmt.Sprint(i)]; n != 1 {
			t.Errorf("finding %d was heard of %d times", i, n)
		}
	}
}
