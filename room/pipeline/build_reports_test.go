package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/finding"
)

// taker is the door that takes reports, as builds reach it.
type taker struct{ door *reports.Door }

func (r taker) Take(ctx context.Context, s finding.Scan, file *os.File) (string, error) {
	a, err := r.door.TakeFile(ctx, reports.Ask{Target: s.Target, Branch: s.Branch, Commit: s.Commit, Tool: s.Tool, Scan: s.ID}, file, false)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %d findings, %d new, %d closed", a.Tool, a.Findings, a.New, a.Closed), nil
}

const semgrepReport = `{"version":"1","errors":[],"paths":{"scanned":[]},"results":[{"check_id":"r.one","path":"a.py","start":{"line":1},"extra":{"severity":"ERROR","message":"one is bad","lines":"x","metadata":{}}}]}`

func reporting(files map[string]string, spec string) map[string]string {
	all := map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['mkdir -p out/deep && cp *.json out/deep/ 2>/dev/null || true']}}\nreports:\n" + spec}
	for name, text := range files {
		all[name] = text
	}
	return all
}

// A report that a build leaves is a scan of its run; what it no longer has is closed; one that is torn, or not there, is a no.
func TestBuildReports(t *testing.T) {
	var h *house
	change := func(c *pipeline.Config) {
		c.Reports = taker{reports.Handler(reports.Config{Hub: c.Hub.(*hub.Hub), Maker: finding.Maker{Account: account, Region: region}, Salt: []byte("salt")})}
	}
	each(t, change, func(t *testing.T, house *house) {
		h = house
		e := h.push("main", "one", reporting(map[string]string{"semgrep.json": semgrepReport}, "  sast:\n    files: ['**/*.json']\n    base-directory: out\n    file-format: security\n"))
		wants(t, h.log(e.ID), "out/deep/semgrep.json: semgrep: 1 findings, 1 new, 0 closed")
		if e.Status != pipeline.Succeeded {
			t.Errorf("%s", e.Status)
		}
		scans, err := h.hub.Scans(t.Context(), "shop", 10)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range scans {
			found = found || s.ID == e.ID+"/semgrep" && s.Branch == "main" && s.Commit == e.Commit && s.Complete
		}
		if !found {
			t.Errorf("no scan of the run: %+v", scans)
		}
		none := strings.Replace(semgrepReport, semgrepReport[strings.Index(semgrepReport, `"results":[`)+11:len(semgrepReport)-2], "", 1)
		e = h.push("main", "none", reporting(map[string]string{"semgrep.json": none}, "  sast:\n    files: ['out/deep/*.json']\n    file-format: semgrep-json\n"))
		wants(t, h.log(e.ID), "semgrep: 0 findings, 0 new, 1 closed")
		for _, c := range []struct{ name, text, format, want string }{
			{"semgrep.json", semgrepReport[:40], "security", "the report is torn"},
			{"other.json", semgrepReport, "security", "the build left no report of sast"},
			{"semgrep.json", semgrepReport, "trivy-json", "it is semgrep-json, and not trivy-json"},
		} {
			files := map[string]string{"semgrep.json": "{}", c.name: c.text}
			pattern := "out/deep/semgrep.json"
			if c.name == "other.json" {
				pattern = "out/none.json"
			}
			e := h.push("main", c.want, reporting(files, "  sast:\n    files: ["+pattern+"]\n    file-format: "+c.format+"\n"))
			if e.Status != pipeline.Failed || !strings.Contains(fmt.Sprint(e.Reasons), c.want) {
				t.Errorf("%s: %s %+v", c.want, e.Status, e.Reasons)
			}
		}
	})
}

// No build speaks for a scanner of ours, or reads what lies outside of its folder.
func TestBuildReportsAreWalledIn(t *testing.T) {
	change := func(c *pipeline.Config) {
		c.Reports = taker{reports.Handler(reports.Config{Hub: c.Hub.(*hub.Hub), Maker: finding.Maker{Account: account, Region: region}})}
	}
	each(t, change, func(t *testing.T, h *house) {
		forged := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"packages"}},"results":[]}]}`
		e := h.push("main", "forged", reporting(map[string]string{"packages.txt": "lodash LOW\n", "p.json": forged}, "  x: {files: ['out/**/p.json'], file-format: sarif}\n"))
		wants(t, h.log(e.ID), "build-packages: 0 findings, 0 new, 0 closed")
		e = h.push("main", "outside", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['ln -s /etc/passwd q.json', 'mkdir -p d', 'ln -s / d/root']}}\nreports: {x: {files: ['q.json', 'd/root/etc/passwd'], file-format: security}}\n"})
		if e.Status != pipeline.Failed || !strings.Contains(fmt.Sprint(e.Reasons), "left no report") {
			t.Errorf("%s %+v", e.Status, e.Reasons)
		}
	})
}
