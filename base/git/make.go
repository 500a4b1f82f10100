package git

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Make writes a commit; its ID is answered. Nothing points at it yet. sign, if
// not nil, makes the signature over the commit's text.
func (r *Repo) Make(ctx context.Context, c Commit, sign func(payload []byte) (string, error)) (id string, err error) {
	text, err := c.text("")
	if err != nil {
		return "", err
	}
	if sign != nil {
		signature, err := sign([]byte(text))
		if err != nil {
			return "", fmt.Errorf("signing a commit: %w", err)
		}
		if text, err = c.text(signature); err != nil {
			return "", err
		}
	}
	return r.write(ctx, "commit", []byte(text))
}

// text is the commit as git stores it.
func (c Commit) text(signature string) (string, error) {
	if !ValidID(c.Tree) {
		return "", fault.Invalid.Errorf("%q is no tree", c.Tree)
	}
	var b strings.Builder
	b.WriteString("tree " + c.Tree + "\n")
	for _, p := range c.Parents {
		if !ValidID(p) {
			return "", fault.Invalid.Errorf("%q is no full name of a commit", p)
		}
		b.WriteString("parent " + p + "\n")
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n", c.Author.text(), c.Committer.text())
	if signature != "" {
		b.WriteString("gpgsig " + strings.ReplaceAll(strings.TrimSuffix(signature, "\n"), "\n", "\n ") + "\n")
	}
	message := strings.ReplaceAll(strings.ToValidUTF8(c.Message, "\uFFFD"), "\x00", "")
	b.WriteString("\n" + strings.TrimRight(message, "\n") + "\n")
	return b.String(), nil
}

// text is a person as a commit has it; what would end a name is left out.
func (p Person) text() string {
	clean := func(s string) string {
		s = strings.Map(func(c rune) rune {
			if c < ' ' || c == '<' || c == '>' || c == 0x7f {
				return -1
			}
			return c
		}, strings.ToValidUTF8(s, ""))
		return strings.Trim(s, " .,:;\"'\\")
	}
	name := clean(p.Name)
	if name == "" {
		name = "nobody"
	}
	return name + " <" + clean(p.Email) + "> " + strconv.FormatInt(p.Time.Unix(), 10) + " +0000"
}

func (r *Repo) write(ctx context.Context, kind string, content []byte) (string, error) {
	out, err := r.ask(ctx, content, "hash-object", "-t", kind, "-w", "--stdin")
	if err != nil {
		return "", fmt.Errorf("writing a %s: %w", kind, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Edit is one path that is to hold something else: content, or the blob ID; a
// Mode of 0 takes it away.
type Edit struct {
	Path    string
	Mode    uint32 // ModeFile, ModeExecutable or ModeLink
	ID      string // of a blob that is there, or "" for Content
	Content []byte
}

// Edited is the tree that comes of a tree, "" for an empty one, when some of
// its files are changed.
func (r *Repo) Edited(ctx context.Context, tree string, edits []Edit) (string, error) {
	var lines bytes.Buffer
	for _, e := range edits {
		at, err := CleanPath(e.Path)
		if err != nil {
			return "", err
		}
		if at == "" {
			return "", fault.Invalid.Errorf("a file needs a path")
		}
		if e.Mode == 0 {
			fmt.Fprintf(&lines, "0 %s\t%s\x00", Zero, at)
			continue
		}
		if e.ID == "" {
			if e.ID, err = r.write(ctx, "blob", e.Content); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(&lines, "%o %s\t%s\x00", e.Mode, e.ID, at)
	}
	dir, err := os.MkdirTemp(r.dir, "tmp-index-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	index := func(stdin []byte, args ...string) ([]byte, error) {
		x := *r
		x.quarantine = append(x.quarantine[:len(x.quarantine):len(x.quarantine)], "GIT_INDEX_FILE="+filepath.Join(dir, "index"))
		return x.ask(ctx, stdin, args...)
	}
	if tree != "" {
		if !ValidID(tree) {
			return "", fault.Invalid.Errorf("%q is no tree", tree)
		}
		if _, err := index(nil, "read-tree", tree); err != nil {
			return "", err
		}
	}
	if _, err := index(lines.Bytes(), "update-index", "-z", "--replace", "--index-info"); err != nil {
		return "", fault.Invalid.Errorf("the files cannot be changed so: %w", err)
	}
	out, err := index(nil, "write-tree")
	return strings.TrimSpace(string(out)), err
}

// Move makes a ref point elsewhere, if it still points where old says: Zero for
// "not there", on either side. One that was moved meanwhile is fault.Conflict.
func (r *Repo) Move(ctx context.Context, ref, old, to string) error {
	if !ValidRef(ref) || !ValidID(old) || !ValidID(to) {
		return fault.Invalid.Errorf("%q cannot be moved from %q to %q", ref, old, to)
	}
	args := []string{"update-ref", "--no-deref", ref, to, old}
	if IsZero(to) {
		args = []string{"update-ref", "--no-deref", "-d", ref, old}
	}
	_, err := r.answer(ctx, args...)
	if code(err) != 0 {
		return fault.Conflict.Errorf("%s was moved meanwhile: %w", ref, err)
	}
	return err
}

// Point makes a ref point at an object, wherever it pointed before.
func (r *Repo) Point(ctx context.Context, ref, to string) error {
	if !ValidRef(ref) || !ValidID(to) {
		return fault.Invalid.Errorf("%q cannot point at %q", ref, to)
	}
	_, err := r.answer(ctx, "update-ref", "--no-deref", ref, to)
	return err
}

// Signed is a commit with what was signed of it, and the signature: "" where there is none.
type Signed struct {
	Commit
	Payload   []byte
	Signature string
}

// EachSigned reads commits with their signatures, in the order of their names.
// One that is too large or broken comes with an error.
func (r *Repo) EachSigned(ctx context.Context, ids []string, each func(s Signed, err error) error) error {
	return r.ReadEach(ctx, ids, 1<<20, func(id string, text []byte, err error) error {
		s := Signed{Commit: Commit{ID: id}}
		if err == nil {
			s.Commit = parseCommit(string(text))
			s.ID = id
			s.Payload, s.Signature = unsign(text)
		}
		return each(s, err)
	})
}

// unsign takes a signature out of a commit's header.
func unsign(text []byte) (payload []byte, signature string) {
	head, message, _ := bytes.Cut(text, []byte("\n\n"))
	var kept, sig strings.Builder
	within := false
	for line := range strings.SplitSeq(string(head), "\n") {
		if within && strings.HasPrefix(line, " ") {
			sig.WriteString(line[1:] + "\n")
			continue
		}
		within = false
		if rest, ok := strings.CutPrefix(line, "gpgsig "); ok && sig.Len() == 0 {
			sig.WriteString(rest + "\n")
			within = true
			continue
		}
		kept.WriteString(line + "\n")
	}
	return []byte(kept.String() + "\n" + string(message)), sig.String()
}

// SignedTag is a tag that says something, with what was signed of it, and the signature: "" where there is none.
type SignedTag struct {
	ID        string
	Object    string // what it is a tag of
	Tagger    Person
	Payload   []byte
	Signature string
}

// EachSignedTag reads tags with their signatures, in the order of their names. One that is too large or broken comes
// with an error.
func (r *Repo) EachSignedTag(ctx context.Context, ids []string, each func(t SignedTag, err error) error) error {
	return r.ReadEach(ctx, ids, 1<<20, func(id string, text []byte, err error) error {
		t := SignedTag{ID: id}
		if err == nil {
			head, _, _ := strings.Cut(string(text), "\n\n")
			for line := range strings.SplitSeq(head, "\n") {
				key, value, _ := strings.Cut(line, " ")
				switch key {
				case "object":
					t.Object = value
				case "tagger":
					t.Tagger = parsePerson(value)
				}
			}
			at := signatureAt(text)
			t.Payload, t.Signature = bytes.Clone(text[:at]), string(text[at:])
		}
		return each(t, err)
	})
}

// signatureAt is where the signature of a tag begins, which stands at its end: the last line that begins one, as git has it.
func signatureAt(text []byte) int {
	at, from := len(text), 0
	for line := range bytes.Lines(text) {
		for _, begin := range []string{"-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----", "-----BEGIN SSH SIGNATURE-----", "-----BEGIN SIGNED MESSAGE-----"} {
			if bytes.HasPrefix(line, []byte(begin)) {
				at = from
			}
		}
		from += len(line)
	}
	return at
}
