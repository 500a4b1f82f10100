package detect_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/record"
)

// trailEvents are the records of a CloudTrail file, or of a list of events.
func trailEvents(t *testing.T, text []byte) (all []record.Record) {
	t.Helper()
	var list []jsontext.Value
	if json.Unmarshal(text, &list) != nil {
		var file struct{ Records []jsontext.Value }
		must(t, json.Unmarshal(text, &file))
		list = file.Records
	}
	for _, v := range list {
		var e struct {
			At time.Time `json:"eventTime"`
		}
		must(t, json.Unmarshal(v, &e))
		must(t, v.Compact())
		all = append(all, record.Record{Time: e.At, Source: "aws.cloudtrail", Text: string(v)})
	}
	return all
}
