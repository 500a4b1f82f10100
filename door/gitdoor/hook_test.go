package gitdoor

import (
	"bufio"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/git"
)

// Whatever a hook says, what is read of it is well-formed, and nothing that a
// client chose can end a field, or the list of refs, early.
func FuzzQuestion(f *testing.F) {
	id := strings.Repeat("7", 40)
	f.Add("pre-receive\x00/r/objects/x\x002\x00haechi.allow=1\x00reason=a\nb\x00" + id + " " + id + " refs/heads/x\n\x00")
	f.Add("pre-receive\x00\x000\x00" + id + " " + id + " refs/heads/x\nend\n\x00")
	f.Add("post-receive\x00\x009999999\x00")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := readQuestion(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		if len(q.options) > maxOptions || len(q.updates) > maxUpdates {
			t.Errorf("%d options, %d updates", len(q.options), len(q.updates))
		}
		for _, u := range q.updates {
			if !git.ValidRef(u.Ref) || !git.ValidID(u.Old) || !git.ValidID(u.New) {
				t.Errorf("%+v", u)
			}
		}
	})
}

// Whatever git, or who stands between, says of a push to refs/for: it is read within bounds.
func FuzzPackets(f *testing.F) {
	f.Add("000eversion=1\n0000" + "0000")
	f.Add("fffe")
	f.Add("0004000500030001")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := readPackets(bufio.NewReader(strings.NewReader(text)))
		if err == nil && len(strings.Join(lines, "")) > len(text) {
			t.Errorf("%q of %q", lines, text)
		}
	})
}
