package testreport_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/tool/testreport"
)

// A report goes through JSON unchanged: runners send theirs to the server so.
func TestJSON(t *testing.T) {
	want := testreport.Report{Cases: []testreport.Case{{Suite: "s", Name: "n", Status: testreport.Failed, Duration: 1500 * time.Millisecond, Message: "m"}},
		Coverage: &testreport.Coverage{Count: testreport.Count{LinesCovered: 3}, Files: []testreport.File{{Path: "a.go", Count: testreport.Count{LinesCovered: 3}}}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got testreport.Report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", text, diff)
	}
}
