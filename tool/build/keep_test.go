package build_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/testreport"
	"github.com/haechi-dev/haechi/word/fault"
)

// unzipped are the names in a zip, with what they hold.
func unzipped(t *testing.T, a build.Artifact) (names []string) {
	t.Helper()
	z, err := zip.OpenReader(a.File)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %s %s", f.Mode(), f.Name, text))
	}
	return names
}

const house = `
phases:
  build:
    commands:
      - mkdir -p my-build-1/.git my-build-2/sub
      - printf 1 >my-build-1/one.txt; printf 2 >my-build-2/two.txt; printf 3 >my-build-2/sub/three.txt; printf 4 >my-build-1/.git/four
      - chmod 700 my-build-1/one.txt
      - ln -s one.txt my-build-1/link; ln -s /etc/passwd my-build-1/out; ln -s ../../../../etc/passwd my-build-1/up; ln -s ../../home my-build-1/home; mkfifo my-build-1/fifo
`

// What is kept of a build is what its buildspec names, and nothing that a link leads to outside.
func TestArtifacts(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"all": {"artifacts: {files: ['**/*'], base-directory: my-build-1}", []string{"-rw-r--r-- .git/four 4", "-rwxr-xr-x link 1", "-rwxr-xr-x one.txt 1"}},
		"links": {"artifacts: {files: ['**/*'], base-directory: my-build-1, enable-symlinks: yes, exclude-paths: ['**/.git/**/*']}",
			[]string{"Lrwxrwxrwx link one.txt", "-rwxr-xr-x one.txt 1"}},
		"folders that match": {"artifacts: {files: ['**/*.txt'], base-directory: 'my-build*'}", []string{"-rwxr-xr-x one.txt 1", "-rw-r--r-- sub/three.txt 3", "-rw-r--r-- two.txt 2"}},
		"without paths":      {"artifacts: {files: ['**/*.txt'], discard-paths: yes}", []string{"-rwxr-xr-x one.txt 1", "-rw-r--r-- three.txt 3", "-rw-r--r-- two.txt 2"}},
		"one name":           {"artifacts: {files: ['*/two.txt', 'my-build-2/sub/*']}", []string{"-rw-r--r-- my-build-2/sub/three.txt 3", "-rw-r--r-- my-build-2/two.txt 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log, _ := run(t, house+c.spec, nil, nil)
			if r.Status != build.Succeeded || len(r.Artifacts) != 1 {
				t.Fatalf("%s: %s\n%s", r.Status, r.Reason, log)
			}
			got := unzipped(t, r.Artifacts[0])
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Names go through the build's own shell; secondary artifacts lie beside the main one.
func TestSecondaryArtifacts(t *testing.T) {
	r, log, _ := run(t, house+`
    finally: [export TAG=v1]
artifacts:
  files: ['my-build-1/one.txt']
  name: app-$TAG-$(echo "x y")
  s3-prefix: p
  secondary-artifacts:
    second: {files: ['**/*'], base-directory: my-build-2, name: "a\"b"}
`, nil, nil)
	if r.Status != build.Succeeded || len(r.Artifacts) != 2 {
		t.Fatalf("%s: %s\n%s", r.Status, r.Reason, log)
	}
	main, second := r.Artifacts[0], r.Artifacts[1]
	if main.Name != "app-v1-x y" || main.ID != "" || main.Prefix != "p" || main.Files != 1 {
		t.Errorf("%+v", main)
	}
	if second.Name != `a"b` || second.ID != "second" || second.Files != 2 {
		t.Errorf("%+v", second)
	}
}

// What is built twice is the same, byte by byte, whenever and by whomever its files were made.
func TestReproducible(t *testing.T) {
	var digests []string
	for _, umask := range []string{"022", "077"} {
		r, log, _ := run(t, "phases: {build: {commands: ['umask "+umask+"', 'mkdir b a; echo "+strings.Repeat("x", 1000)+" >b/x; echo y >a/y; echo z >a.z; cp a.z run; chmod +x run', 'touch -d 2001-01-01 b/x || true']}}\nartifacts: {files: ['**/*']}", map[string]string{"src.txt": "s"}, nil)
		if r.Status != build.Succeeded {
			t.Fatalf("%s\n%s", r.Reason, log)
		}
		text, err := os.ReadFile(r.Artifacts[0].File)
		if err != nil || int64(len(text)) != r.Artifacts[0].Size {
			t.Fatal(err, len(text))
		}
		digests = append(digests, r.Artifacts[0].Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("%v", digests)
	}
}

// An artifact that cannot be as it is asked for fails the build, with a reason.
func TestArtifactsRefused(t *testing.T) {
	const secret = "s3cr3t-v4lue-of-a-token"
	for name, c := range map[string]struct{ commands, artifacts, want string }{
		"none":        {"'true'", "{files: ['*.jar']}", "no file matches *.jar"},
		"odd name":    {`'touch "$(printf "a\033[31mb")"'`, "{files: ['**/*']}", "cannot be in an artifact"},
		"backslash":   {`'touch "a\\b"'`, "{files: ['**/*']}", "cannot be in an artifact"},
		"huge":        {"truncate -s 1T huge || truncate -s 7G huge", "{files: ['**/*']}", "more than 4294967296 bytes"},
		"deep":        {"'for i in $(seq 150); do mkdir d; cd d; done; touch f'", "{files: ['**/f']}", "more than 100 deep"},
		"a secret":    {"'mkdir d; printf aaa${TOKEN}bbb >d/f'", "{files: ['**/*']}", "d/f holds the value of a secret, that of TOKEN"},
		"of a device": {"'ln -s /dev/zero zero'", "{files: ['zero']}", "no file matches zero"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log, p := run(t, "phases: {build: {commands: ["+c.commands+"]}}\nartifacts: "+c.artifacts, nil, func(p *build.Plan) {
				p.Secrets = []build.Variable{{Name: "TOKEN", Value: secret}}
			})
			if r.Status != build.Failed || !strings.Contains(r.Reason, c.want) || r.Where != "upload_artifacts" {
				t.Errorf("%s in %s: %s\n%s", r.Status, r.Where, r.Reason, log)
			}
			if left, _ := os.ReadDir(p.Out); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
			if strings.ContainsRune(log, 0x1b) && !strings.Contains(c.commands, "033") {
				t.Errorf("the log has escapes")
			}
			if err := build.Remove(p.Dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// A secret is found where it lies across two reads.
func TestSecretAcrossReads(t *testing.T) {
	const secret = "s3cr3t-v4lue-of-a-token"
	r, log, _ := run(t, "phases: {build: {commands: ['head -c 32760 /dev/zero >f; printf $TOKEN >>f']}}\nartifacts: {files: [f]}", nil, func(p *build.Plan) {
		p.Secrets = []build.Variable{{Name: "TOKEN", Value: secret}}
	})
	if r.Status != build.Failed || !strings.Contains(r.Reason, "holds the value of a secret") {
		t.Errorf("%s: %s\n%s", r.Status, r.Reason, log)
	}
}

// store is a cache in memory.
type store struct {
	entries map[build.CacheKey][]byte
	order   []build.CacheKey
}

func (s *store) Open(_ context.Context, key build.CacheKey, prefix bool) (io.ReadCloser, string, error) {
	for _, k := range slices.Backward(s.order) {
		if k == key || prefix && k.Version == key.Version && strings.HasPrefix(k.Key, key.Key) {
			return io.NopCloser(bytes.NewReader(s.entries[k])), k.Key, nil
		}
	}
	return nil, "", fault.NotFound.Errorf("no entry")
}

func (s *store) Save(_ context.Context, key build.CacheKey, body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if _, ok := s.entries[key]; ok && key.Key != "" {
		return nil
	}
	s.entries[key] = text
	s.order = append(slices.DeleteFunc(s.order, func(k build.CacheKey) bool { return k == key }), key)
	return nil
}

// What one build keeps the next one finds: by its key, or by a key that begins alike; sources win.
func TestCache(t *testing.T) {
	s := &store{entries: map[build.CacheKey][]byte{}}
	spec := func(more string) string {
		return `
phases:
  build:
    commands:
      - ls vendor ~/.cache 2>/dev/null || true
      - mkdir -p vendor/deep ~/.cache; echo lib >vendor/deep/lib.txt; ln -sf lib.txt vendor/deep/l; echo tool >~/.cache/tool; chmod 755 ~/.cache/tool; mkfifo vendor/fifo || true
` + more + `
cache:
  key: mod-$(codebuild-hash-files 'go.*')-${CODEBUILD_BUILD_NUMBER}
  fallback-keys: [mod-$(codebuild-hash-files go.sum)-, mod-]
  paths: [vendor, '/root/.cache/**/*', /opt/elsewhere, 'go.sum']
`
	}
	with := func(number int64) func(*build.Plan) {
		return func(p *build.Plan) { p.Cache, p.Facts.Number = s, number }
	}
	r, log, _ := run(t, spec(""), map[string]string{"go.sum": "one"}, with(1))
	if r.Status != build.Succeeded || r.Cache != "" || len(s.order) != 1 || !strings.Contains(log, "cache: there is none for") || !strings.Contains(log, "/opt/elsewhere is passed over") || !strings.Contains(log, "cache: 4 files are kept") {
		t.Fatalf("%+v %v\n%s", r, s.order, log)
	}
	r, log, p := run(t, spec(""), map[string]string{"go.sum": "two", "vendor/deep/lib.txt": "source"}, with(2))
	if r.Cache != s.order[0].Key || !strings.Contains(log, "cache: 4 files of") || len(s.order) != 2 || s.order[0].Key == s.order[1].Key {
		t.Errorf("%q %v\n%s", r.Cache, s.order, log)
	}
	if text, err := os.ReadFile(filepath.Join(p.Dir, "src", "go.sum")); string(text) != "two" || err != nil {
		t.Errorf("the cache has overwritten a source: %q %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(p.Dir, "home", ".cache", "tool")); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("%v %v", info, err)
	}
	r, _, _ = run(t, spec(""), map[string]string{"go.sum": "two"}, with(2))
	if r.Cache != s.order[1].Key || len(s.order) != 2 {
		t.Errorf("%q %v", r.Cache, s.order)
	}
	// One that failed leaves nothing.
	if _, _, _ = run(t, spec("      - 'false'"), map[string]string{"go.sum": "three"}, with(3)); len(s.order) != 2 {
		t.Errorf("%v", s.order)
	}
	// What a hostile entry holds stays within the paths; a torn one does no harm.
	for name, bad := range map[string][]byte{
		"torn": []byte("torn"), "climbs": tarred(t, tar.Header{Name: "src/vendor/../../../x", Size: 1}), "absolute": tarred(t, tar.Header{Name: "/src/vendor/x", Size: 1}),
		"elsewhere": tarred(t, tar.Header{Name: "src/main.go", Size: 1}), "device": tarred(t, tar.Header{Name: "src/vendor/null", Typeflag: tar.TypeChar}),
		"hard link":      tarred(t, tar.Header{Name: "src/vendor/x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
		"through a link": tarred(t, tar.Header{Name: "src/vendor/up", Typeflag: tar.TypeSymlink, Linkname: "../../.."}, tar.Header{Name: "src/vendor/up/x", Size: 1}),
	} {
		s.entries[s.order[1]] = bad
		r, log, p := run(t, spec(""), map[string]string{"go.sum": "two"}, with(2))
		if r.Status != build.Succeeded || !strings.Contains(log, "cannot be restored") {
			t.Errorf("%s: %s %s\n%s", name, r.Status, r.Reason, log)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(p.Dir), "x")); len(left) > 0 {
			t.Errorf("%s: %v", name, left)
		}
	}
}

func tarred(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Keys may hold no commands but one.
func TestCacheKey(t *testing.T) {
	r, log, _ := run(t, "phases: {build: {commands: [echo on]}}\ncache: {key: 'x-$(date)', paths: [a]}", nil, func(p *build.Plan) { p.Cache = &store{entries: map[build.CacheKey][]byte{}} })
	if r.Status != build.Failed || !strings.Contains(r.Reason, "codebuild-hash-files") || r.Where != "download_source" {
		t.Errorf("%s %s\n%s", r.Status, r.Reason, log)
	}
}

// Reports of tests are read; those of security tools are named for the caller.
func TestReports(t *testing.T) {
	r, log, _ := run(t, `
phases: {build: {commands: ['mkdir out; mv *.xml *.sarif cover.out out/', 'false']}}
reports:
  tests: {files: ['**/*.xml'], base-directory: out}
  cover: {files: [out/cover.out], file-format: GOCOVER}
  sast: {files: ['out/*.sarif'], file-format: sarif}
`, map[string]string{
		"a.xml": "<testsuite name='s'><testcase name='a'/></testsuite>", "b.xml": "<testsuite name='s'><testcase name='b'><failure/></testcase></testsuite>",
		"cover.out": "mode: set\nx.go:1.1,2.2 2 1\n", "x.sarif": "{}",
	}, nil)
	if r.Status != build.Failed || r.Where != "build" || len(r.Reports) != 3 {
		t.Fatalf("%s %s %+v\n%s", r.Status, r.Where, r.Reports, log)
	}
	cover, sast, tests := r.Reports[0], r.Reports[1], r.Reports[2]
	if cover.Tests == nil || cover.Tests.Coverage.LinesCovered != 2 || sast.Tests != nil || !slices.Equal(sast.Files, []string{"out/x.sarif"}) {
		t.Errorf("%+v %+v", cover, sast)
	}
	if tests.Tests == nil || tests.Tests.Counts()[testreport.Failed] != 1 || len(tests.Tests.Cases) != 2 {
		t.Errorf("%+v", tests.Tests)
	}
	for name, c := range map[string]struct{ spec, want string }{
		"none":    {"t: {files: ['*.xml']}", "the build left no report of t"},
		"torn":    {"t: {files: ['a.txt'], file-format: JUNITXML}", "the report a.txt of t cannot be read: it is not JUNITXML"},
		"outside": {"t: {files: ['link', 'd/passwd']}", "the build left no report of t"},
	} {
		r, log, _ := run(t, "phases: {build: {commands: ['ln -s /etc/passwd link; ln -s /etc d']}}\nreports: {"+c.spec+"}", map[string]string{"a.txt": "hello"}, nil)
		if r.Status != build.Failed || !strings.Contains(r.Reason, c.want) {
			t.Errorf("%s: %s %s\n%s", name, r.Status, r.Reason, log)
		}
	}
}

// What the buildspec says of files may have variables in it, and lie in another source; nothing outside.
func TestFilesByVariables(t *testing.T) {
	second := func(p *build.Plan) {
		p.Facts.Secondary = map[string]build.Source{"two": {}}
		dir := build.Secondary(p.Dir, "two")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "b.txt"), []byte("b"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, log, _ := run(t, `
phases: {build: {commands: [export OUT=out KIND=txt GROUP=unit, 'mkdir out; echo a >out/a.txt', 'cp t.xml out/t.xml', 'ln -s ../src/t.xml "$CODEBUILD_SRC_DIR_two/link"']}}
reports:
  $GROUP: {files: ['*.xml'], base-directory: $OUT}
artifacts:
  files: ['*.$KIND']
  base-directory: ${OUT}
  secondary-artifacts:
    two: {files: ['**/*'], base-directory: $CODEBUILD_SRC_DIR_two}
    one: {files: ['$CODEBUILD_SRC_DIR/out/*.txt']}
`, map[string]string{"t.xml": "<testsuite><testcase name='a'/></testsuite>"}, second)
	if r.Status != build.Succeeded || len(r.Artifacts) != 3 || len(r.Reports) != 1 || r.Reports[0].Group != "unit" {
		t.Fatalf("%s: %s %+v\n%s", r.Status, r.Reason, r.Reports, log)
	}
	for i, want := range []string{"-rw-r--r-- a.txt a\n", "-rw-r--r-- out/a.txt a\n", "-rw-r--r-- b.txt b"} {
		if got := unzipped(t, r.Artifacts[i]); len(got) != 1 || got[0] != want {
			t.Errorf("%d: %q", i, got)
		}
	}
	for _, folder := range []string{"$HOME", "$CODEBUILD_SRC_DIR/../home", "/etc", "${UP}"} {
		spec, err := build.Parse("b", []byte("version: 0.2\nphases: {build: {commands: ['export UP=../..']}}\nartifacts: {files: ['**/*'], base-directory: '"+folder+"'}"))
		if err != nil {
			continue // refused before it runs
		}
		r, log, _ := run(t, "phases: {build: {commands: ['export UP=../..']}}", nil, func(p *build.Plan) { p.Spec = spec })
		if r.Status != build.Failed || len(r.Artifacts) != 0 || !strings.Contains(r.Reason, "outside of the build's sources") {
			t.Errorf("%s: %s %s\n%s", folder, r.Status, r.Reason, log)
		}
	}
}
