package testreport_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/haechi-dev/haechi/tool/testreport"
	"github.com/haechi-dev/haechi/word/fault"
)

var update = flag.Bool("update", false, "write what is read into testdata")

// shown is a report as the files of testdata have it.
func shown(format string, r *testreport.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", format, r.Summary())
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "%s %s | %s | %v", c.Status, c.Suite, c.Name, c.Duration)
		if c.Message != "" {
			b.WriteString(" | " + strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(c.Message))
		}
		b.WriteByte('\n')
	}
	if r.Coverage != nil {
		for _, f := range r.Coverage.Files {
			fmt.Fprintf(&b, "%s %d/%d %d/%d\n", f.Path, f.LinesCovered, f.LinesCovered+f.LinesMissed, f.BranchesCovered, f.BranchesCovered+f.BranchesMissed)
		}
	}
	return b.String()
}

// Each format is read, whether it is named or not.
func TestFormats(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 13 {
		t.Fatal(len(files), err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text, want := archive.Files[0].Data, string(archive.Files[1].Data)
		format, _, _ := strings.Cut(want, ":")
		r, err := testreport.Parse(text, format)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := shown(format, r)
		if *update {
			archive.Files[1].Data = []byte(got)
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, mark := range []string{"", "\xef\xbb\xbf", "\n \n"} {
			if strings.HasPrefix(string(text), "<?xml") && strings.HasPrefix(mark, "\n") {
				continue
			}
			told, err := testreport.Parse(append([]byte(mark), text...), "")
			if err != nil || shown(format, told) != got {
				t.Errorf("%s: unnamed, after %q: %v", name, mark, err)
			}
		}
	}
}

// What is no report, or another than the file says, is refused with a reason.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, format, want string }{
		{"", "", "it is empty"},
		{"hello", "", "no report of tests or coverage that is known"},
		{"<html><body/></html>", "", "no report"},
		{"<testsuite><testcase name='x'/></testsuite>", "NUNITXML", "it is not NUNITXML"},
		{"<testsuite><testcase name='x'>", "JUNITXML", "it is torn"},
		{"<testsuite><testcase></testsuite></testcase>", "JUNITXML", "stands where it has not begun"},
		{"<testsuite>&x;</testsuite>", "JUNITXML", "entity"},
		{"<testsuite/>", "JUNIT", "are not read here"},
		{"<coverage/>", "", "there are no packages"},
		{"<coverage/>", "CLOVERXML", "there is no project"},
		{"[{]", "CUCUMBERJSON", "it is torn"},
		{"{}", "", "there is no coverage in it"},
		{"mode: set\nnonsense\n", "", "line 2 is no block"},
		{"TN:\nDA:1,1\n", "", "no file has begun"},
		{`{"Action":"pass"` + "\n", "", "it is torn"},
		{"<?xml version='1.0' encoding='EBCDIC'?><testsuite/>", "JUNITXML", "encoding"},
	} {
		_, err := testreport.Parse([]byte(c.text), c.format)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q as %q: %v, want %q", c.text, c.format, err, c.want)
		}
		if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unsupported) {
			t.Errorf("%q: %v is of no kind", c.text, err)
		}
	}
}

// Hostile reports are bounded: in entities, depth, cases, text and lines.
func TestHostile(t *testing.T) {
	laughs := "<?xml version='1.0'?><!DOCTYPE testsuite [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;'>]><testsuite><testcase name='&b;'/></testsuite>"
	if _, err := testreport.Parse([]byte(laughs), ""); err == nil {
		t.Error("entities are expanded")
	}
	outside := "<!DOCTYPE testsuite [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><testsuite><testcase name='&x;'/></testsuite>"
	if _, err := testreport.Parse([]byte(outside), ""); err == nil {
		t.Error("files are read")
	}
	if _, err := testreport.Parse([]byte("<testsuite>"+strings.Repeat("<a>", 100_000)), ""); err == nil || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("depth: %v", err)
	}
	start := time.Now()
	r, err := testreport.Parse([]byte("<testsuite>"+strings.Repeat("<testcase name='x'/>", testreport.MostCases+5)+"<testcase name='y'><failure>"+strings.Repeat("한", 100_000)+"</failure></testcase></testsuite>"), "")
	if err != nil || len(r.Cases) != testreport.MostCases || r.Dropped != 6 {
		t.Errorf("%v: %d cases, %d dropped", err, len(r.Cases), r.Dropped)
	}
	r, err = testreport.Parse([]byte("<testsuite><testcase name='"+strings.Repeat("n", 5000)+"' time='1e300'><failure>"+strings.Repeat("한", 100_000)+"</failure></testcase></testsuite>"), "")
	if err != nil || len([]rune(r.Cases[0].Message)) > 5000 || len(r.Cases[0].Name) != 1000 || r.Cases[0].Duration != 0 {
		t.Errorf("%v: %d runes of message, %d of name, %v", err, len([]rune(r.Cases[0].Message)), len(r.Cases[0].Name), r.Cases[0].Duration)
	}
	if _, err := testreport.Parse([]byte("SF:a\n"+strings.Repeat("DA:1,1\n", 4_000_001)), "LCOV"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("lines: %v", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

// Reports of several files are one: cases one after another, coverage per file once.
func TestAdd(t *testing.T) {
	var all testreport.Report
	for _, text := range []string{
		"<testsuite name='s'><testcase name='a'/></testsuite>", "<testsuite name='s'><testcase name='b'><failure/></testcase></testsuite>",
		"mode: set\nx.go:1.1,2.2 2 1\ny.go:1.1,2.2 3 0\n", "mode: set\ny.go:1.1,2.2 3 1\n",
	} {
		r, err := testreport.Parse([]byte(text), "")
		if err != nil {
			t.Fatal(err)
		}
		all.Add(r)
	}
	want := "x: 2 tests, 1 failed, 0 skipped, 100.0 % of lines covered\nSUCCEEDED s | a | 0s\nFAILED s | b | 0s\nx.go 2/2 0/0\ny.go 3/3 0/0\n"
	if got := shown("x", &all); got != want {
		t.Errorf("got:\n%s", got)
	}
}

// UTF-16 is read as Windows writes it.
func TestUTF16(t *testing.T) {
	text := []byte("\xff\xfe")
	for _, c := range "<?xml version='1.0' encoding='utf-16'?><testsuite><testcase name='한글'/></testsuite>" {
		text = append(text, byte(c), byte(c>>8))
	}
	r, err := testreport.Parse(text, "JUNITXML")
	if err != nil || len(r.Cases) != 1 || r.Cases[0].Name != "한글" {
		t.Errorf("%+v %v", r, err)
	}
}

// Reports that real tools have written are read.
func TestConformance(t *testing.T) {
	data := os.Getenv("HAECHI_TESTDATA")
	if data == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	root := filepath.Join(data, "compliance", "cfn-guard-functional")
	met, total := 0, 0
	for _, pattern := range []string{"*/*.junit", "resources/test-command/output-dir/*junit*"} {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			total++
			if r, err := testreport.Parse(text, ""); err != nil || len(r.Cases) != bytes.Count(text, []byte("<testcase")) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			met++
		}
	}
	if total == 0 {
		t.Errorf("there are no reports in %s", root)
	}
	fmt.Printf("CONFORMANCE testreport junit %d/%d\n", met, total)
}

// No report makes the reader panic or say more cases than it may.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		if a, err := txtar.ParseFile(name); err == nil {
			f.Add(a.Files[0].Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := testreport.Parse(text, "")
		if err != nil {
			return
		}
		for _, c := range r.Cases {
			if c.Name == "" || c.Status == "" || len([]rune(c.Message)) > 5000 || c.Duration < 0 {
				t.Errorf("%+v", c)
			}
		}
		if c := r.Coverage; c != nil && (c.LinesCovered < 0 || c.LinesMissed < 0 || c.BranchesCovered < 0 || c.BranchesMissed < 0) {
			t.Errorf("%+v", c.Count)
		}
		var all testreport.Report
		all.Add(r)
		all.Add(r)
		_ = all.Summary()
	})
}
