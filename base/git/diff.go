package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Diff is how one file differs between two commits.
type Diff struct {
	Path    string // in the new commit, or in the old one where it is gone
	OldPath string // where it was, if it was moved
	Status  string // added, deleted, modified, renamed, typechanged
	Old     Side
	New     Side
	Binary  bool
	Cut     bool // there are more lines than were asked for
	Hunks   []Hunk
	Added   int // lines of the hunks that are here
	Deleted int
}

// Side is what a path has in one of the commits: mode 0 for nothing.
type Side struct {
	Mode uint32
	ID   string
}

// Hunk is a piece of a file in which lines differ.
type Hunk struct {
	OldStart, OldLines int
	NewStart, NewLines int
	Section            string // the line that git takes for the head of where it is
	Lines              []Line
}

// Line is one of a hunk: Kind is ' ', '+' or '-'; Old and New are its numbers, 0 where it is not there.
type Line struct {
	Kind     byte
	Old, New int
	Text     string
	NoEOL    bool // the file ends after it without a line feed
}

// Diffs says what to show of a difference. The zero value shows no lines.
type Diffs struct {
	Context int    // lines around what differs
	Path    string // this file or folder alone; "" is all
	Files   int    // at most; 0: 1,000
	Lines   int    // of one file, at most; 0: none are shown
	Total   int    // of all files together, at most; 0: 50,000
	Space   bool   // what differs in white space alone is the same
	Apart   bool   // a file that was moved is one that goes and one that comes
}

// Diff compares two commits or trees, "" for the old one being nothing. more
// tells that there are files beyond those asked for.
func (r *Repo) Diff(ctx context.Context, from, to string, what Diffs) (files []Diff, more bool, err error) {
	if from == "" {
		from = emptyTree
	}
	if !ValidID(from) || !ValidID(to) {
		return nil, false, fault.Invalid.Errorf("%q and %q are no full names of commits", from, to)
	}
	at, err := CleanPath(what.Path)
	if err != nil {
		return nil, false, err
	}
	if what.Files == 0 {
		what.Files = 1000
	}
	if what.Total == 0 {
		what.Total = 50_000
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pageTime, fault.Limit.Errorf("comparing takes longer than %v", pageTime))
	defer cancel()
	args := []string{"diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--full-index", "-M", "-l1000", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none", "--submodule=short"}
	if what.Apart {
		args = append(args, "--no-renames")
	}
	if what.Lines > 0 {
		args = append(args, "--patch", "-U"+strconv.Itoa(min(max(what.Context, 0), 1000)))
		if what.Space {
			args = append(args, "-w")
		}
	}
	args = append(args, from, to)
	if at != "" {
		args = append(args, "--", at)
	}
	cmd := r.Command(ctx, []string{"diff.algorithm=histogram", "core.bigFileThreshold=8m"}, args...)
	r.contain(cmd)
	var out, complaint bounded
	out.most, out.full, complaint.most = 64<<20, cancel, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil && !out.over {
		said := describe(ctx, "diff-tree", err, complaint.Bytes())
		if code(err) == 128 && fault.Of(said) != fault.Limit {
			return nil, false, fault.NotFound.Errorf("one of the commits is not here: %w", said)
		}
		return nil, false, said
	}
	return parseDiff(out.String(), what, out.over)
}

// emptyTree is a tree that every repository knows.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

var diffStatus = map[byte]string{'A': "added", 'D': "deleted", 'M': "modified", 'R': "renamed", 'C': "added", 'T': "typechanged"}

// parseDiff reads the raw records, whose names are as they are, and then the
// patches, which come in the same order and are told apart by counting.
func parseDiff(out string, what Diffs, cut bool) (files []Diff, more bool, err error) {
	rest := out
	for strings.HasPrefix(rest, ":") {
		var d Diff
		var ok bool
		if d, rest, ok = rawRecord(rest); !ok {
			if cut {
				return files, true, nil
			}
			return nil, false, fmt.Errorf("git diff-tree says %.200q", rest)
		}
		files = append(files, d)
	}
	shown := files[:min(len(files), what.Files)]
	more = len(shown) < len(files)
	if what.Lines > 0 {
		p := patches{text: strings.TrimPrefix(rest, "\x00"), left: what.Total, lines: what.Lines}
		p.read(shown)
		if cut {
			for i := range shown {
				if !p.done[i] {
					shown[i].Cut = true
				}
			}
		}
	}
	return shown, more, nil
}

// rawRecord reads `:mode mode id id S\0path\0[path\0]`.
func rawRecord(s string) (d Diff, rest string, ok bool) {
	head, rest, ok := strings.Cut(s[1:], "\x00")
	f := strings.Fields(head)
	if !ok || len(f) != 5 || f[4] == "" {
		return d, s, false
	}
	path, rest, ok := strings.Cut(rest, "\x00")
	if !ok {
		return d, s, false
	}
	old, _ := strconv.ParseUint(f[0], 8, 32)
	now, _ := strconv.ParseUint(f[1], 8, 32)
	d = Diff{Path: path, Status: diffStatus[f[4][0]], Old: Side{uint32(old), f[2]}, New: Side{uint32(now), f[3]}}
	if f[4][0] == 'R' || f[4][0] == 'C' {
		if d.Path, rest, ok = strings.Cut(rest, "\x00"); !ok {
			return d, s, false
		}
		d.OldPath = path
	}
	return d, rest, true
}

// patches reads what follows the raw records.
type patches struct {
	text  string
	left  int // lines that may still be kept
	lines int // of one file
	done  map[int]bool
}

func (p *patches) line() (string, bool) {
	if p.text == "" {
		return "", false
	}
	line, rest, _ := strings.Cut(p.text, "\n")
	p.text = rest
	return line, true
}

func (p *patches) peek(prefix string) bool { return strings.HasPrefix(p.text, prefix) }

func (p *patches) read(files []Diff) {
	p.done = map[int]bool{}
	for i := range files {
		d := &files[i]
		sections := 1
		if d.Status == "typechanged" {
			sections = 2 // one thing goes, another comes
		}
		for range sections {
			// With -w a file may differ in white space alone: then it has no section, or an empty one.
			if !p.peek("diff --git ") {
				return
			}
			p.section(d)
		}
		p.done[i] = true
	}
}

// section reads one file's patch: its head, and hunks whose lines are counted.
func (p *patches) section(d *Diff) {
	_, _ = p.line()
	for p.text != "" && !p.peek("@@ ") && !p.peek("diff --git ") {
		line, _ := p.line()
		if strings.HasPrefix(line, "Binary files ") || line == "GIT binary patch" {
			d.Binary = true
		}
	}
	kept := 0
	for p.peek("@@ ") {
		head, _ := p.line()
		h, ok := parseHunk(head)
		if !ok {
			return
		}
		old, now := h.OldStart, h.NewStart
		for wantOld, wantNew := h.OldLines, h.NewLines; wantOld > 0 || wantNew > 0; {
			text, ok := p.line()
			if !ok || text == "" && wantOld+wantNew > 0 && p.text == "" {
				d.Cut = true
				break
			}
			kind := byte(' ')
			if text != "" {
				kind, text = text[0], text[1:]
			}
			l := Line{Kind: kind, Text: strings.ToValidUTF8(text, "\uFFFD")}
			switch kind {
			case '+':
				l.New, now, wantNew = now, now+1, wantNew-1
				d.Added++
			case '-':
				l.Old, old, wantOld = old, old+1, wantOld-1
				d.Deleted++
			case '\\':
				continue
			default:
				l.Old, l.New, old, now, wantOld, wantNew = old, now, old+1, now+1, wantOld-1, wantNew-1
			}
			if kept >= p.lines || p.left <= 0 {
				d.Cut = true
				continue
			}
			kept, p.left = kept+1, p.left-1
			if p.peek("\\ ") {
				_, _ = p.line()
				l.NoEOL = true
			}
			h.Lines = append(h.Lines, l)
		}
		if p.peek("\\ ") {
			_, _ = p.line()
		}
		if len(h.Lines) > 0 {
			d.Hunks = append(d.Hunks, h)
		}
	}
}

// parseHunk reads `@@ -1,2 +3,4 @@ section`.
func parseHunk(line string) (h Hunk, ok bool) {
	ranges, section, ok := strings.Cut(strings.TrimPrefix(line, "@@ "), " @@")
	old, now, two := strings.Cut(ranges, " ")
	if !ok || !two {
		return h, false
	}
	h.Section = strings.ToValidUTF8(strings.TrimSpace(section), "\uFFFD")
	h.OldStart, h.OldLines, ok = span(old, "-")
	if ok {
		h.NewStart, h.NewLines, ok = span(now, "+")
	}
	return h, ok
}

func span(s, sign string) (start, lines int, ok bool) {
	s, ok = strings.CutPrefix(s, sign)
	from, count, two := strings.Cut(s, ",")
	start, err := strconv.Atoi(from)
	lines = 1
	if two && err == nil {
		lines, err = strconv.Atoi(count)
	}
	return start, lines, ok && err == nil && start >= 0 && lines >= 0 && lines <= 1<<30
}
