package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/sigv4"
)

// reports measures a SARIF report of 100 MB and 100,000 results: taken in for
// the first time, the same again, and the same results of another commit.
func reports(program string) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "big.sarif")
	if err := writeSARIF(file, 100_000); err != nil {
		return err
	}
	s, err := serve(program, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	defer s.stop()
	for _, commit := range []string{"c1", "c1", "c2"} {
		began, cpu := time.Now(), s.cpu()
		said, err := s.report(file, commit)
		if err != nil {
			return err
		}
		took := time.Since(began)
		fmt.Printf("reports: commit %s: %d new, %d unchanged in %.1f s (%.1f s of the server's CPU, %.0f MB RSS at most)\n",
			commit, said.New, said.Unchanged, took.Seconds(), (s.cpu() - cpu).Seconds(), s.most())
	}
	return nil
}

func writeSARIF(name string, n int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Big","rules":[{"id":"r","name":"R"}]}},"results":[`)
	for i := range n {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"ruleId":"r","level":"warning","message":{"text":"thing %d %s"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/%d.go"},"region":{"startLine":%d,"snippet":{"text":"call(%d)"}}}}]}`,
			i, strings.Repeat("what it means ", 60), i%3001, i%900+1, i)
	}
	fmt.Fprint(w, `]}]}`)
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

type told struct{ New, Unchanged, Changed, Closed int }

// report sends a report, signed.
func (s *server) report(file, commit string) (said told, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return said, err
	}
	r, err := http.NewRequest(http.MethodPost, s.url+"/haechi/reports?"+url.Values{"target": {"shop"}, "branch": {"main"}, "commit": {commit}}.Encode(), strings.NewReader(string(text)))
	if err != nil {
		return said, err
	}
	sigv4.Signer{AccessKey: s.key.KeyID, Secret: s.key.Secret.Reveal(), Region: "us-east-1", Service: "haechi"}.Sign(r, sigv4.Hash(text), time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return said, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	if err != nil {
		return said, err
	}
	return said, json.Unmarshal(answer, &said, json.MatchCaseInsensitiveNames(true))
}

// most is the most memory that the server has had, in MB.
func (s *server) most() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var kb float64
	if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kb)
	}
	return kb / 1000
}
