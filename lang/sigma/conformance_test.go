package sigma_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/sigma"
)

func testdata(t testing.TB, area string) fs.FS {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	if _, err := os.Stat(path.Join(dir, area)); err != nil {
		t.Skipf("no %s in HAECHI_TESTDATA", area)
	}
	return os.DirFS(path.Join(dir, area))
}

// The rules that people publish are understood, and those for AWS hold when a plain reference says so.
func TestConformance(t *testing.T) {
	total := 0
	var unmet []string
	err := fs.WalkDir(testdata(t, "detection/sigma"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".yml") {
			return err
		}
		text, err := fs.ReadFile(testdata(t, "detection/sigma"), name)
		if err != nil {
			return err
		}
		total++
		rules, err := sigma.Parse(name, text)
		if err == nil {
			_, err = sigma.Compile(rules)
		}
		if err != nil {
			unmet = append(unmet, err.Error())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("CONFORMANCE detection sigma-rules %d/%d\n", total-len(unmet), total)
	for _, u := range unmet[:min(20, len(unmet))] {
		fmt.Println(u)
	}
	rules, agree := compareWithReference(t)
	fmt.Printf("CONFORMANCE detection sigma-reference %d/%d\n", agree, rules)
	if rules == 0 || agree != rules {
		t.Errorf("%d of %d rules are as by the reference", agree, rules)
	}
	if total == 0 || len(unmet)*100 > total {
		t.Errorf("%d of %d rules are not understood", len(unmet), total)
	}
}
