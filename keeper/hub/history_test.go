package hub

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What turned one into the other can be taken back, at any depth and for any kind of value.
func TestDiffAndUndo(t *testing.T) {
	deep := func(leaf string) string {
		return strings.Repeat(`{"a":`, 200) + leaf + strings.Repeat("}", 200)
	}
	for _, c := range [][2]string{
		{`{}`, `{"a":1}`}, {`{"a":1}`, `{}`}, {`{"a":{"b":1,"c":[1]}}`, `{"a":{"b":2,"c":[1,2]},"d":null}`}, {`{"a":{"b":1}}`, `{"a":[1]}`},
		{`{"a.b":{"":1}}`, `{"a.b":{"":2},"":3}`}, {deep("1"), deep("2")}, {`{"a":{}}`, `{"a":{"b":{}}}`},
	} {
		doc := jsontext.Value(c[1])
		changes := diff(jsontext.Value(c[0]), doc)
		for _, d := range changes {
			doc = undo(doc, d)
		}
		want := jsontext.Value(c[0])
		if !equalJSON(doc, want) {
			t.Errorf("%s to %s by %d changes: back to %s", c[0], c[1], len(changes), doc)
		}
	}
}
