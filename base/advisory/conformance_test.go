package advisory_test

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/advisory"
)

// said is what a document says, read apart from the package under test.
type said struct {
	ID        string `json:"id"`
	Withdrawn string `json:"withdrawn"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Type   string              `json:"type"`
			Events []map[string]string `json:"events"`
		} `json:"ranges"`
		Versions []string `json:"versions"`
	} `json:"affected"`
}

// Every document is read, and the index that is made of it alone answers for it:
// listed and first affected versions have the bug, the versions that end the last range
// are free of it, withdrawn documents and those on no vulnerability say nothing.
func TestConformance(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	zips, err := filepath.Glob(filepath.Join(dir, "vulns", "osv", "*", "all.zip"))
	if err != nil || len(zips) == 0 {
		t.Skip("no vulns there", err)
	}
	met, total := 0, 0
	var unmet []string
	for _, path := range zips {
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			total++
			if why := answers(t, f); why == "" {
				met++
			} else {
				unmet = append(unmet, f.Name+": "+why)
			}
		}
		z.Close()
	}
	fmt.Printf("CONFORMANCE vulns documents %d/%d\n", met, total)
	for _, line := range unmet[:min(len(unmet), 20)] {
		fmt.Println("  " + line)
	}
}

func answers(t *testing.T, f *zip.File) (why string) {
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var d said
	if err := json.Unmarshal(text, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return err.Error()
	}
	b := advisory.NewBuilder()
	if err := b.Add(text); err != nil {
		return err.Error()
	}
	x, err := b.Index(day)
	if err != nil {
		return err.Error()
	}
	silent := d.Withdrawn != "" || strings.HasPrefix(d.ID, "ALBA-") || strings.HasPrefix(d.ID, "ALEA-")
	for _, a := range d.Affected {
		has := func(version string) bool {
			m, err := x.Match(a.Package.Ecosystem, a.Package.Name, version)
			if err != nil {
				t.Fatal(err)
			}
			return len(m) > 0
		}
		for _, v := range a.Versions {
			if has(v) == silent {
				return fmt.Sprintf("%s is listed", v)
			}
		}
		for _, r := range a.Ranges {
			if r.Type == "GIT" {
				continue
			}
			lasts := 0
			for _, e := range r.Events {
				if e["last_affected"] != "" {
					lasts++
				}
			}
			for _, e := range r.Events {
				v := e["introduced"]
				if lasts == 1 && v == "" { // of several without a new beginning between them only the first ends anything
					v = e["last_affected"]
				}
				if v == "" || v == "0" {
					continue
				}
				if _, ordered := advisory.Compare(a.Package.Ecosystem, v, v); ordered && has(v) == silent {
					return fmt.Sprintf("%s of %s begins or ends a range", v, a.Package.Name)
				}
			}
		}
	}
	if silent {
		return ""
	}
	return freeAtLast(d, x)
}

// freeAtLast: the newest version that mends is free of the bug, unless a range stays open or is listed by hand.
func freeAtLast(d said, x *advisory.Index) string {
	type key struct{ ecosystem, name string }
	last, open := map[key]string{}, map[key]bool{}
	for _, a := range d.Affected {
		k := key{a.Package.Ecosystem, advisory.Normal(a.Package.Ecosystem, a.Package.Name)}
		for _, r := range a.Ranges {
			if r.Type == "GIT" {
				continue
			}
			ended := false
			for _, e := range r.Events {
				v, ok := e["fixed"]
				_, lastAffected := e["last_affected"]
				ended = ended || ok || lastAffected
				if n, comparable := advisory.Compare(k.ecosystem, v, last[k]); ok && (last[k] == "" || comparable && n > 0) {
					last[k] = v
				}
			}
			open[k] = open[k] || !ended
		}
		for _, v := range a.Versions {
			if n, ok := advisory.Compare(k.ecosystem, v, last[k]); ok && n >= 0 {
				open[k] = true
			}
		}
	}
	for k, v := range last {
		if open[k] {
			continue
		}
		if m, err := x.Match(k.ecosystem, k.name, v); err != nil || len(m) > 0 {
			return fmt.Sprintf("%s of %s mends it (%v)", v, k.name, err)
		}
	}
	return ""
}

// BenchmarkImport compiles what HAECHI_TESTDATA holds.
func BenchmarkImport(b *testing.B) {
	from := filepath.Join(os.Getenv("HAECHI_TESTDATA"), "vulns", "osv")
	if os.Getenv("HAECHI_TESTDATA") == "" {
		b.Skip("HAECHI_TESTDATA is not set")
	}
	to := filepath.Join(b.TempDir(), "index")
	for b.Loop() {
		if _, err := advisory.Import(context.Background(), from, to, day, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			x, err := advisory.Open(to)
			if err != nil {
				b.Fatal(err)
			}
			x.Close()
		}
	})
	b.Run("match", func(b *testing.B) {
		x, err := advisory.Open(to)
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		for b.Loop() {
			if m, err := x.Match("npm", "lodash", "4.17.4"); err != nil || len(m) == 0 {
				b.Fatal(err, m)
			}
		}
	})
}
