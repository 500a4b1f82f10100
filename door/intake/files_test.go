package intake_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/door/intake"
)

// Files of all kinds are read, a bad one costs itself alone, and the same file has the same ids.
func TestFiles(t *testing.T) {
	folder := fstest.MapFS{
		"a/trail.json.gz": {Data: []byte(zipped(`{"Records":[` + trail + "," + trail + `]}`))},
		"a/list.json":     {Data: []byte("[\n" + trail + "\n]")},
		"b/app.log":       {Data: []byte("one\ntwo\n")},
		"b/lines.jsonl":   {Data: []byte(`{"a":1}` + "\n" + `{"a":2}`)},
		"b/empty":         {},
		"c/binary":        {Data: []byte("\x7fELF\x00\x00")},
		"c/broken.gz":     {Data: []byte("\x1f\x8b\x08\x00rubbish")},
		"c/long":          {Data: []byte("first\n" + strings.Repeat("x", 2<<20))},
		"big.log":         {Data: []byte(strings.Repeat("a line of some length\n", 300_000))},
	}
	var ids [2][]string
	for round := range ids {
		got := map[string]int{}
		unread, err := intake.Files(t.Context(), folder, now, func(b intake.Batch) error {
			ids[round] = append(ids[round], b.ID)
			got[b.File] += len(b.Records)
			for _, r := range b.Records {
				if r.Fields["file"] != b.File {
					t.Errorf("file %q", r.Fields["file"])
				}
			}
			return nil
		})
		must(t, err)
		want := map[string]int{"a/trail.json.gz": 2, "a/list.json": 1, "b/app.log": 2, "b/lines.jsonl": 2, "big.log": 300_000}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		var places []string
		for _, u := range unread {
			places = append(places, u.File)
			if u.Why == "" {
				t.Errorf("%s: no reason", u.File)
			}
		}
		if diff := cmp.Diff([]string{"c/binary", "c/broken.gz", "c/long"}, places); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(ids[0], ids[1]); diff != "" || len(ids[0]) < 6 {
		t.Errorf("ids %d %s", len(ids[0]), diff)
	}
	seen := map[string]bool{}
	for _, id := range ids[0] {
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
	stop := errors.New("stop")
	if _, err := intake.Files(t.Context(), folder, now, func(intake.Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// The published samples are told by what they hold.
func TestSamples(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	folder := filepath.Join(dir, "detection")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no detection in HAECHI_TESTDATA")
	}
	got := map[string]map[string]int{}
	for _, sub := range []string{"stratus", "samples"} {
		part, err := fs.Sub(os.DirFS(folder), sub)
		must(t, err)
		unread, err := intake.Files(t.Context(), part, now, func(b intake.Batch) error {
			name, _, _ := strings.Cut(b.File, "/")
			if sub == "stratus" && b.File != "manifest.json" {
				name = sub
			}
			for _, r := range b.Records {
				if got[name] == nil {
					got[name] = map[string]int{}
				}
				got[name][r.Source]++
				if r.Time.Equal(now) && strings.HasPrefix(r.Source, "aws.") && r.Fields["fields"] == "" {
					t.Errorf("%s: no time of its own: %s", b.File, r.Text)
				}
			}
			return nil
		})
		if err != nil || unread != nil {
			t.Errorf("%v %v", err, unread)
		}
	}
	for name, want := range map[string]map[string]int{
		"stratus": {"aws.cloudtrail": 220}, "cloudtrail-benign": {"aws.cloudtrail": 208}, "dns": {"aws.route53resolver": 1}, "waf": {"aws.waf": 6}, "alb": {"aws.alb": 9},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got["eks-audit"]["kubernetes.audit"] != 21 {
		t.Errorf("eks-audit: %v", got["eks-audit"])
	}
	if got["vpcflow"]["aws.vpcflow"] < 29 { // one line of the documentation is an ellipsis
		t.Errorf("vpcflow: %v", got["vpcflow"])
	}
}
