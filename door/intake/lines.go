package intake

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"regexp"

	"github.com/haechi-dev/haechi/word/fault"
)

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// lines takes lines. A sender that gives a request id may send the same again after an answer was lost.
func (d *door) lines(r *http.Request, s sender) (reply, error) {
	source := r.URL.Query().Get("source")
	if source != "" && !sourceName.MatchString(source) {
		return reply{}, fault.Invalid.Errorf("source %q: lower case letters, digits, dots, dashes and underscores are expected, as in nginx.access", source)
	}
	text, err := body(r)
	if err != nil {
		return reply{}, err
	}
	u := unpacker{now: d.Now(), source: source, room: maxBody}
	if err := u.add(text); err != nil {
		return reply{}, err
	}
	n := len(u.records)
	return reply{RequestID: cmp.Or(s.request, rand.Text()), Records: &n}, d.keep(r.Context(), s, u.records)
}
