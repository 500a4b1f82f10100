package report

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/word/finding"
)

// maxRaw is how much of a record is kept beside the finding that was made of it.
const maxRaw = 4096

// rawOf is a record as JSON, for people who want to see what the tool wrote: without the secret that it tells of
// and what else the masker knows for one.
func rawOf(n node, secret string) string {
	text, err := json.Marshal(n.raw(), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return ""
	}
	raw := string(text)
	if secret != "" {
		raw = strings.ReplaceAll(raw, secret, mask.Mask)
		if quoted, err := json.Marshal(secret, jsontext.AllowInvalidUTF8(true)); err == nil && len(quoted) > 2 {
			raw = strings.ReplaceAll(raw, string(quoted[1:len(quoted)-1]), mask.Mask)
		}
		for part := range strings.FieldsSeq(secret) { // one of several lines is written in parts
			if len(part) >= 16 {
				raw = strings.ReplaceAll(raw, part, mask.Mask)
			}
		}
	}
	return finding.Shorten(mask.Text(finding.Shorten(raw, 4*maxRaw)), maxRaw)
}
