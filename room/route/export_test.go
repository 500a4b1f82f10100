package route

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/event"
)

// CheckEntryForTest holds an entry that is accepted against what comes of it.
func CheckEntryForTest(t *testing.T, source, kind, detail string) {
	e := Entry{Source: source, Type: kind, Detail: detail}
	if e.check().Code != "" || !jsontext.Value(detail).IsValid() {
		return
	}
	body, err := envelope(event.Event{Source: source, Type: kind, Detail: jsontext.Value(detail)})
	if err != nil || !body.IsValid() {
		t.Fatalf("%q %q %q: %v", source, kind, detail, err)
	}
}
