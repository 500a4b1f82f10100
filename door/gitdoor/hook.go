package gitdoor

import (
	"bufio"
	_ "embed"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/program"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

// The hooks that git runs for us, and no others: its path of hooks is ours.
const (
	preReceive  = "pre-receive"  // all objects are here, in quarantine; no ref has moved
	postReceive = "post-receive" // the refs have moved; the client has not been told yet
	procReceive = "proc-receive" // what is pushed to refs/for, which is no ref that moves
)

//go:embed hook.sh
var hook []byte

// writeHooks makes dir hold our hooks and nothing else.
func writeHooks(dir string) error {
	if !filepath.IsAbs(dir) {
		return fault.Invalid.Errorf("%q is no absolute path of a folder", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{preReceive, postReceive, procReceive} {
		if err := program.Write(filepath.Join(dir, name), hook, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of what a hook may say.
const (
	maxOptions = 64
	maxUpdates = 10_000
	maxHook    = 8 << 20
)

// question is what one run of a hook says.
type question struct {
	hook       string
	quarantine string
	options    []string
	updates    []source.Update
}

// readQuestion reads what hook.sh writes: fields that end with a zero byte, which
// neither an environment nor git's lines can hold. io.EOF means that there is no more.
func readQuestion(r *bufio.Reader) (question, error) {
	var q question
	left := maxHook
	field := func() (string, error) {
		var s strings.Builder
		for {
			b, err := r.ReadByte()
			if err == io.EOF && left < maxHook {
				err = io.ErrUnexpectedEOF
			}
			if err != nil || b == 0 {
				return s.String(), err
			}
			if left--; left == 0 {
				return "", fault.Limit.Errorf("the push moves too many refs at once")
			}
			s.WriteByte(b)
		}
	}
	for _, to := range []*string{&q.hook, &q.quarantine} {
		var err error
		if *to, err = field(); err != nil {
			return q, err
		}
	}
	count, err := field()
	if err != nil {
		return q, err
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxOptions {
		return q, fault.Limit.Errorf("a push may have at most %d options", maxOptions)
	}
	for range n {
		option, err := field()
		if err != nil {
			return q, err
		}
		q.options = append(q.options, option)
	}
	lines, err := field()
	if err != nil {
		return q, err
	}
	q.updates, err = parseUpdates(lines)
	return q, err
}

// parseUpdates reads `old new ref` lines. Git has not looked at the names yet:
// one that is no ref's refuses the whole push.
func parseUpdates(lines string) ([]source.Update, error) {
	var updates []source.Update
	seen := map[string]bool{}
	for line := range strings.Lines(lines) {
		old, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		to, ref, _ := strings.Cut(rest, " ")
		if !git.ValidID(old) || !git.ValidID(to) || !git.ValidRef(ref) || seen[ref] {
			return nil, fault.Invalid.Errorf("%s cannot be a move of a ref", strconv.QuoteToASCII(clip(line, 200)))
		}
		if len(updates) == maxUpdates {
			return nil, fault.Limit.Errorf("a push may move at most %d refs", maxUpdates)
		}
		seen[ref] = true
		updates = append(updates, source.Update{Ref: ref, Old: old, New: to})
	}
	return updates, nil
}

// clip keeps the beginning of what others wrote, as text that JSON can hold.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
