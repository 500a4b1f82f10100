package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/fault"
)

// A mirror is fetched as osv.dev lays it out, with what is exploited, and compiled; what it lacks is passed over.
func TestFetchAdvisories(t *testing.T) {
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("CVE-2026-1.json")
	if err == nil {
		_, err = w.Write([]byte(`{"id": "CVE-2026-1", "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "npm", "name": "left-pad"}, "versions": ["1.0.0"]}]}`))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/osv/npm/all.zip":
			_, _ = w.Write(packed.Bytes()) // who asked is gone if this fails
		case "/kev.json":
			_, _ = w.Write([]byte(`{"catalogVersion": "1", "vulnerabilities": [{"cveID": "CVE-2026-1", "dateAdded": "2026-02-02"}]}`))
		case "/epss.csv":
			_, _ = w.Write([]byte("#model_version:v1,score_date:2026-03-03T00:00:00+0000\ncve,epss,percentile\nCVE-2026-1,0.75,0.99\n"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer mirror.Close()
	feed := app.Feed{OSV: mirror.URL + "/osv", KEV: mirror.URL + "/kev.json", EPSS: mirror.URL + "/epss.csv"}
	nobody := func(string) {}
	if err := feed.Fetch(context.Background(), t.TempDir(), nobody); !errors.Is(err, fault.Denied) {
		t.Errorf("an address of this machine is dialled without being allowed: %v", err)
	}
	feed.Allow = []string{mirror.Listener.Addr().String()}
	dir := t.TempDir()
	if err := feed.Fetch(context.Background(), dir, nobody); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(t.TempDir(), "index")
	if _, err := advisory.Import(context.Background(), dir, index, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	x, err := advisory.Open(index)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	found, err := x.Match("npm", "left-pad", "1.0.0")
	if err != nil || len(found) != 1 || found[0].Exploited == nil || found[0].Exploited.Added != "2026-02-02" || found[0].Odds == nil || found[0].Odds.Score != 0.75 {
		t.Errorf("got %+v, %v", found, err)
	}
	feed.Ecosystems = []string{"npm", "Go"}
	if err := feed.Fetch(context.Background(), t.TempDir(), nobody); !errors.Is(err, fault.NotFound) {
		t.Errorf("what was asked for by name is missing: %v", err)
	}
}
