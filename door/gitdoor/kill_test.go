package gitdoor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/program"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
)

// The key of the test's access key; it opens nothing.
const keyID, keySecret = "AKIDEXAMPLEEXAMPLE12", "not-a-secret-but-a-test"

// serveUntilKilled is the server that TestKill kills.
func serveUntilKilled(dir string) {
	_, door := build(nil, dir, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, door))
}

// A server is killed at any moment of a push, again and again: what a client
// was told is there counts, every ref is where the log says, and of every move
// there is exactly one event.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	clone := gittest.New(t)
	acknowledged := map[string]bool{}
	const rounds = 12
	for round := range rounds {
		server := exec.Command(os.Args[0])
		server.Env = append(os.Environ(), "HAECHI_TEST_DOOR="+dir)
		out, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		address, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal("the server does not start again")
		}
		url := "http://ada:ada@" + strings.TrimSpace(address) + "/git/shop"
		for i := 0; ; i++ {
			id := clone.Commit(fmt.Sprintf("round %d push %d", round, i), map[string]string{"a": fmt.Sprint(round, i)})
			if _, err := clone.Try("push", url, "main"); err != nil {
				break
			}
			acknowledged[id] = true
			if i == 0 { // it is up: now it may die at any moment
				time.AfterFunc(time.Duration(5+round*13)*time.Millisecond, func() { _ = server.Process.Kill() })
			}
		}
		_ = server.Wait()
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d pushes in %d rounds", len(acknowledged), rounds)
	}
	verify(t, dir, clone, acknowledged)
}

func verify(t *testing.T, dir string, clone *gittest.Clone, acknowledged map[string]bool) {
	h, _ := build(t, dir, nil)
	defer h.db.Close()
	repo, err := h.source.Git("shop")
	if err != nil {
		t.Fatal(err)
	}
	refs, err := repo.Refs(t.Context(), "")
	if err != nil || len(refs) != 1 {
		t.Fatalf("refs %v, %v", refs, err)
	}
	if at := h.ref("main"); at != refs[0].ID {
		t.Errorf("git has main at %s, the log at %s", refs[0].ID, at)
	}
	told := map[string]int{}
	at := ""
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = bus.New(h.db).Follow(ctx, "test", func(_ context.Context, e event.Event) error {
		var d source.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		if d.OldCommitID != at {
			t.Errorf("an event says main was at %q, it was at %q", d.OldCommitID, at)
		}
		if d.CallerUserARN == "" {
			t.Errorf("nobody knows who moved main to %s", d.CommitID)
		}
		at = d.CommitID
		told[d.CommitID]++
		if at == refs[0].ID {
			cancel()
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for id := range acknowledged {
		if ok, err := repo.IsAncestor(t.Context(), id, refs[0].ID); !ok {
			t.Errorf("push %s was acknowledged and is gone: %v", id, err)
		}
		if told[id] != 1 {
			t.Errorf("%d events tell of %s, which was acknowledged", told[id], id)
		}
	}
	for id, n := range told {
		if n != 1 {
			t.Errorf("%d events tell of %s", n, id)
		}
	}
}

// The aws command's credential helper opens the door.
func TestCredentialHelper(t *testing.T) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("there is no aws command here")
	}
	h := open(t, nil)
	one := h.clone.Commit("one", map[string]string{"a": "1"})
	helper := filepath.Join(t.TempDir(), "helper")
	script := fmt.Sprintf("#!/bin/sh\nexport HOME=%s AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=eu-west-1\nexec %s codecommit credential-helper --ignore-host-check \"$@\"\n",
		os.Getenv("HOME"), keyID, keySecret, aws)
	if err := program.Write(helper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(h.at("shop"), "ada:ada@", "", 1)
	h.clone.Git("-c", "credential.helper="+helper, "-c", "credential.useHttpPath=true", "push", "-q", url, "main")
	if got := h.ref("main"); got != one {
		t.Errorf("main is at %s, want %s", got, one)
	}
}
