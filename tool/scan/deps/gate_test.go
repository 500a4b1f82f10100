package deps_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/finding"
)

// A gate's pattern can ask for each thing that is known of what a project is made of: how severe it is, whether it is exploited,
// how likely that is, whether there is a version that mends it, what cannot be known, and what its licence asks for.
func TestGate(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "advisory.index")
	known := func(id, name, fixed, vector string) string {
		events := `{"introduced":"0"}`
		if fixed != "" {
			events += `,{"fixed":"` + fixed + `"}`
		}
		return `{"id":"` + id + `","modified":"2026-01-01T00:00:00Z","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/` + vector + `"}],"affected":[{"package":{"ecosystem":"npm","name":"` + name + `"},"ranges":[{"type":"SEMVER","events":[` + events + `]}]}]}`
	}
	const critical, low = "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
	for name, text := range map[string]string{
		"osv/a.json": known("CVE-2026-1", "worst", "2.0.0", critical), "osv/b.json": known("CVE-2026-2", "attacked", "2.0.0", low),
		"osv/c.json": known("CVE-2026-3", "likely", "2.0.0", low), "osv/d.json": known("CVE-2026-4", "hopeless", "", low),
		"kev.json": `{"catalogVersion":"2026.01.01","vulnerabilities":[{"cveID":"CVE-2026-2","dateAdded":"2026-01-02","dueDate":"2026-02-01","requiredAction":"update"}]}`,
		"epss.csv": "#model_version:v1,score_date:2026-01-01T00:00:00Z\ncve,epss,percentile\nCVE-2026-3,0.91000,0.99000\nCVE-2026-4,0.00100,0.01000\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := advisory.Import(t.Context(), from, to, time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC), nil); err != nil {
		t.Fatal(err)
	}
	index, err := advisory.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	r, err := scan.Tree(context.Background(), tree(map[string]string{
		"package-lock.json":               `{"lockfileVersion":3,"packages":{"":{"dependencies":{"worst":"1","attacked":"1","likely":"1","hopeless":"1","bound":"1"}},"node_modules/worst":{"version":"1.0.0"},"node_modules/attacked":{"version":"1.0.0"},"node_modules/likely":{"version":"1.0.0"},"node_modules/hopeless":{"version":"1.0.0"},"node_modules/bound":{"version":"1.0.0","license":"AGPL-3.0-only"}}}`,
		"node_modules/bound/package.json": `{"name":"bound","version":"1.0.0","license":"AGPL-3.0-only"}`,
		"requirements.txt":                "flask>=1\n",
	}), scan.Options{Scanners: []scan.Scanner{deps.New(index)}, Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	var fresh []finding.Finding
	for _, f := range r.Runs[0].Findings {
		fresh = append(fresh, finding.Maker{Account: "111122223333", Region: "us-east-1"}.Own(r.Runs[0].Scan, f, time.Now()))
	}
	for word, c := range map[string]struct {
		pattern string
		want    []string
	}{
		"severity":                       {`{ Severity: { Label: [CRITICAL] } }`, []string{"CVE-2026-1"}},
		"KEV":                            {`{ ProductFields: { haechi/exploited: [{ exists: true }] } }`, []string{"CVE-2026-2"}},
		"KEV, ASFF":                      {`{ Vulnerabilities: { ExploitAvailable: ["YES"] } }`, []string{"CVE-2026-2"}},
		"EPSS":                           {`{ Vulnerabilities: { EpssScore: [{ numeric: [">=", 0.5] }] } }`, []string{"CVE-2026-3"}},
		"fixable":                        {`{ Vulnerabilities: { FixAvailable: ["YES"] } }`, []string{"CVE-2026-1", "CVE-2026-2", "CVE-2026-3"}},
		"no fix":                         {`{ Vulnerabilities: { FixAvailable: ["NO"] } }`, []string{"CVE-2026-4"}},
		"unresolved":                     {`{ GeneratorId: [deps/unresolved] }`, []string{"deps/unresolved"}},
		"licence":                        {`{ ProductFields: { haechi/obligation: [network] } }`, []string{"deps/licence"}},
		"severe and exploited or likely": {`{ Severity: { Label: [{ anything-but: INFORMATIONAL }] }, $or: [{ Vulnerabilities: { EpssScore: [{ numeric: [">", 0.9] }] } }, { ProductFields: { haechi/exploited: [{ exists: true }] } }] }`, []string{"CVE-2026-2", "CVE-2026-3"}},
	} {
		p, err := gate.Parse("gate.yaml", []byte("block:\n  - name: "+`"`+word+`"`+"\n    pattern: "+c.pattern+"\n"))
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		var got []string
		for _, f := range p.Judge([]string{"deps"}, r.Scans(), fresh).Blocking {
			_, id, _ := strings.Cut(f.GeneratorID, "deps/")
			if strings.HasPrefix(id, "CVE-") {
				got = append(got, id)
				continue
			}
			got = append(got, f.GeneratorID)
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", word, diff)
		}
		if v := p.Judge([]string{"deps"}, r.Scans(), nil, fresh...); !v.Pass {
			t.Errorf("%s: what the base has, too, stops it", word)
		}
	}
}
