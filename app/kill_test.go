package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/finding"
)

// kills is how often the server is killed on each engine: HAECHI_KILLS, which
// CI sets to 200, or a few.
func kills(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("HAECHI_KILLS")); err == nil {
		return n
	}
	if testing.Short() {
		return 3
	}
	return 12
}

// What was acknowledged is there, and was told of, however often the server is
// killed with kill -9 while it works.
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		kill(t, "sqlite:")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		kill(t, dbtest.Postgres(t))
	})
}

// victim is a server in a process of its own.
type victim struct {
	cmd *exec.Cmd
	url string
}

func start(t *testing.T, folder, database string) victim {
	t.Helper()
	v, err := tryStart(t, folder, database)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// startAgain starts a server where another was killed a moment ago: what that one had begun may hold its folder until it is killed, too.
func startAgain(t *testing.T, folder, database string) victim {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		v, err := tryStart(t, folder, database)
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func tryStart(t *testing.T, folder, database string) (victim, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HAECHI_TEST_SERVER=1", "HAECHI_DATA="+folder, "HAECHI_DATABASE="+database, "HAECHI_LISTEN=127.0.0.1:0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		return victim{}, fmt.Errorf("the server did not start: %v\n%s", err, said.String())
	}
	return victim{cmd, strings.TrimSpace(line)}, nil
}

// ledger is what was acknowledged.
type ledger struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (l *ledger) add(ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.ids[id] = true
	}
}

func kill(t *testing.T, database string) {
	folder := t.TempDir()
	acknowledged := &ledger{ids: map[string]bool{}}
	for round := range kills(t) {
		v := start(t, folder, database)
		c, err := access.ReadCredentials(filepath.Join(folder, access.FirstFile))
		if err != nil {
			t.Fatal(err)
		}
		signer := sigv4.Signer{AccessKey: c.KeyID, Secret: c.Secret.Reveal(), Region: "us-east-1", Service: "securityhub"}
		var workers sync.WaitGroup
		for w := range 3 {
			workers.Go(func() {
				for n := 0; ; n++ {
					ids, err := send(signer, v.url, fmt.Sprintf("%d/%d/%d", round, w, n))
					if err != nil {
						return // killed
					}
					acknowledged.add(ids)
				}
			})
		}
		time.Sleep(time.Duration(20+rand.IntN(130)) * time.Millisecond)
		if err := v.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = v.cmd.Wait()
		workers.Wait()
	}
	check(t, folder, database, acknowledged.ids)
}

// send imports some findings and tells which were acknowledged.
func send(signer sigv4.Signer, url, batch string) (ids []string, err error) {
	var in struct{ Findings []finding.Finding }
	maker := finding.Maker{Account: "000000000000", Region: "us-east-1"}
	for i := range 5 {
		f := maker.Own(finding.Scan{Tool: "test", Target: "kill"}, finding.Finding{GeneratorID: "kill", Title: "a finding", Description: "of the kill test",
			Types: []string{"Software and Configuration Checks"}, Severity: &finding.Severity{Label: finding.High},
			ProductFields: map[string]string{finding.FieldFingerprint: fmt.Sprintf("%s/%d", batch, i)}}, time.Now())
		in.Findings, ids = append(in.Findings, f), append(ids, f.ID)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, url+"/findings/import", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	signer.Sign(r, sigv4.Hash(body), time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"FailedCount":0`)) {
		return nil, fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return ids, nil
}

// check looks for everything that was acknowledged, among the findings and on the bus.
func check(t *testing.T, folder, database string, acknowledged map[string]bool) {
	if database == "sqlite:" {
		database += filepath.Join(folder, "state.db")
	}
	d, err := db.Open(t.Context(), database, app.Schemas()...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stored, told := map[string]bool{}, map[string]bool{}
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Each(func(scan db.Scan) error {
			var id string
			err := scan(&id)
			stored[id] = true
			return err
		}, "SELECT id FROM hub_findings")
	})
	if err != nil {
		t.Fatal(err)
	}
	b := bus.New(d)
	for after := int64(0); ; {
		events, next, err := b.Range(t.Context(), time.Unix(0, 0), time.Now().Add(time.Hour), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			var detail struct {
				Findings []struct{ Id string } `json:"findings"`
			}
			if e.Type == finding.Imported && json.Unmarshal(e.Detail, &detail) == nil {
				for _, f := range detail.Findings {
					told[f.Id] = true
				}
			}
		}
		if after = next; after == 0 {
			break
		}
	}
	for id := range acknowledged {
		if !stored[id] || !told[id] {
			t.Errorf("%s was acknowledged; stored: %v, told of: %v", id, stored[id], told[id])
		}
	}
	for id := range stored {
		if !told[id] {
			t.Errorf("%s is stored, and nobody was told", id)
		}
	}
	t.Logf("killed %d times; %d findings acknowledged, %d stored", kills(t), len(acknowledged), len(stored))
	if len(acknowledged) < kills(t)*5 {
		t.Errorf("only %d findings were acknowledged: the load was too low for the test to mean anything", len(acknowledged))
	}
}
