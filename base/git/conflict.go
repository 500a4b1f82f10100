package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Piece is a piece of a file that a side of a merge, or both, changed: where it is in each of the three, and what is there.
type Piece struct {
	Conflict           bool // both changed it, and not to the same
	Base, Ours, Theirs Span
}

// Span are lines of a file, the first being 0: from Start up to End, which is not one of them.
type Span struct {
	Start, End int
	Text       []byte
}

// ErrBinary says that a file has no lines.
var ErrBinary = errors.New("it is no text")

// mostPieces bounds the size of a file, in bytes, that is looked at piece by piece.
const mostPieces = 8 << 20

// Pieces parts a file that is in conflict into what one side changed and what both did, in the order of the file. A
// file that one side has not is one piece. What has no lines to be compared (links, submodules, folders, binary
// content) is ErrBinary, and a large file fault.Limit.
func (r *Repo) Pieces(ctx context.Context, c Conflict) ([]Piece, error) {
	var texts [3][]byte
	for i, id := range [...]string{c.Base, c.Ours, c.Theirs} {
		if id == "" {
			continue
		}
		if m := c.Modes[i]; m == ModeLink || m == ModeSubmodule || m == ModeTree {
			return nil, fault.Invalid.Errorf("%s: %w", c.Path, ErrBinary)
		}
		text, err := r.Blob(ctx, id, mostPieces)
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 { // as git tells
			return nil, fault.Invalid.Errorf("%s: %w", c.Path, ErrBinary)
		}
		texts[i] = text
	}
	base, ours, theirs := linesOf(texts[0]), linesOf(texts[1]), linesOf(texts[2])
	if c.Ours == "" || c.Theirs == "" {
		return []Piece{{Conflict: true, Base: base.span(0, len(base)), Ours: ours.span(0, len(ours)), Theirs: theirs.span(0, len(theirs))}}, nil
	}
	left, err := r.edits(ctx, c.Base, c.Ours, len(base), len(ours))
	if err != nil {
		return nil, err
	}
	right, err := r.edits(ctx, c.Base, c.Theirs, len(base), len(theirs))
	if err != nil {
		return nil, err
	}
	return joined(base, ours, theirs, left, right), nil
}

// textLines are the lines of a file, each with its line feed.
type textLines [][]byte

func linesOf(text []byte) textLines { return slices.Collect(bytes.Lines(text)) }

func (l textLines) span(start, end int) Span { return Span{start, end, bytes.Join(l[start:end], nil)} }

// edit puts lines in the place of others, all counted from 0, ends not included.
type edit struct{ from, to, newFrom, newTo int }

// edits are how git makes one blob of another, line by line.
func (r *Repo) edits(ctx context.Context, from, to string, fromLines, toLines int) (all []edit, err error) {
	if from == to {
		return nil, nil
	}
	if from == "" {
		return []edit{{0, 0, 0, toLines}}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pageTime, fault.Limit.Errorf("comparing takes longer than %v", pageTime))
	defer cancel()
	// No exit status tells of differences here: git diff says 0 for both, unless it is asked.
	cmd := r.Command(ctx, []string{"diff.algorithm=histogram"}, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--text", "-U0", "--inter-hunk-context=0", from, to)
	r.contain(cmd)
	var out, complaint bounded
	out.most, out.full, complaint.most = 3*mostPieces, cancel, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, describe(ctx, "diff", err, complaint.Bytes())
	}
	rest := out.String()
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		rest = after
		if !strings.HasPrefix(line, "@@ ") {
			continue // of the head
		}
		h, ok := parseHunk(line)
		if !ok {
			return nil, fmt.Errorf("git diff says %.200q", line)
		}
		e := edit{h.OldStart, h.OldStart + h.OldLines, h.NewStart, h.NewStart + h.NewLines}
		if h.OldLines > 0 { // git counts from 1, and for no lines names the one before
			e.from, e.to = e.from-1, e.to-1
		}
		if h.NewLines > 0 {
			e.newFrom, e.newTo = e.newFrom-1, e.newTo-1
		}
		if e.to > fromLines || e.newTo > toLines {
			return nil, fmt.Errorf("git diff says %.200q of files of %d and %d lines", line, fromLines, toLines)
		}
		all = append(all, e)
		for range h.OldLines + h.NewLines { // which may look like anything
			_, rest, _ = strings.Cut(rest, "\n")
			if strings.HasPrefix(rest, `\ `) {
				_, rest, _ = strings.Cut(rest, "\n")
			}
		}
	}
	return all, nil
}

// joined parts a file into pieces: edits of both sides that overlap or touch are one, as git merges.
func joined(base, ours, theirs textLines, left, right []edit) (all []Piece) {
	var moved [2]int // how far what comes next has moved, in ours and theirs
	for len(left) > 0 || len(right) > 0 {
		first := left
		if len(left) == 0 || len(right) > 0 && right[0].from < left[0].from {
			first = right
		}
		from, to := first[0].from, first[0].from
		var n [2]int
		for grown := true; grown; {
			grown = false
			for side, list := range [2][]edit{left, right} {
				for n[side] < len(list) && list[n[side]].from <= to {
					to = max(to, list[n[side]].to)
					n[side]++
					grown = true
				}
			}
		}
		p := Piece{Base: base.span(from, to)}
		p.Ours, moved[0] = across(ours, left[:n[0]], from, to, moved[0])
		p.Theirs, moved[1] = across(theirs, right[:n[1]], from, to, moved[1])
		p.Conflict = n[0] > 0 && n[1] > 0 && !bytes.Equal(p.Ours.Text, p.Theirs.Text)
		all = append(all, p)
		left, right = left[n[0]:], right[n[1]:]
	}
	return all
}

// across is where lines of the base are on a side that made some edits within them.
func across(side textLines, edits []edit, from, to, moved int) (Span, int) {
	start := from + moved
	for _, e := range edits {
		moved += (e.newTo - e.newFrom) - (e.to - e.from)
	}
	return side.span(start, to+moved), moved
}

// Party is one of the two that are merged.
type Party int

// The parties of a merge.
const (
	Ours Party = iota
	Theirs
)

// Take is a file in conflict as a side has it: whole, or, where lines say so and there are any, only the pieces that
// both sides changed.
func (r *Repo) Take(ctx context.Context, c Conflict, side Party, lines bool) (Edit, error) {
	s := Edit{Path: c.Path, ID: c.Ours, Mode: c.Modes[1]}
	if side == Theirs {
		s.ID, s.Mode = c.Theirs, c.Modes[2]
	}
	if s.ID == "" {
		return Edit{Path: c.Path}, nil
	}
	if !lines || c.Ours == "" || c.Theirs == "" {
		return s, nil
	}
	pieces, err := r.Pieces(ctx, c)
	if errors.Is(err, ErrBinary) || errors.Is(err, fault.Limit) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	var base []byte
	if c.Base != "" {
		if base, err = r.Blob(ctx, c.Base, mostPieces); err != nil {
			return s, err
		}
	}
	s.ID, s.Content = "", assembled(linesOf(base), pieces, side)
	return s, nil
}

// assembled is a file of which each piece is as it was changed, and as one side has it where both changed it.
func assembled(base textLines, pieces []Piece, side Party) []byte {
	text, at := []byte{}, 0
	for _, p := range pieces {
		text = append(text, bytes.Join(base[at:p.Base.Start], nil)...)
		at = p.Base.End
		take := p.Theirs
		if p.Conflict && side == Ours || !p.Conflict && bytes.Equal(p.Theirs.Text, p.Base.Text) {
			take = p.Ours
		}
		text = append(text, take.Text...)
	}
	return append(text, bytes.Join(base[at:], nil)...)
}

// Settle is the tree of a merge whose conflicts are settled by files: each path that is in conflict once. One that is not
// settled is fault.Conflict, one that is in no conflict fault.Invalid.
func (r *Repo) Settle(ctx context.Context, m Merged, files []Edit) (tree string, err error) {
	open := map[string]bool{}
	for _, c := range m.Conflicts {
		open[c.Path] = true
	}
	for _, f := range files {
		if !open[f.Path] {
			return "", fault.Invalid.Errorf("%s is in no conflict, or settled twice", f.Path)
		}
		delete(open, f.Path)
	}
	for _, c := range m.Conflicts {
		if open[c.Path] {
			return "", fault.Conflict.Errorf("%s is not settled", c.Path)
		}
	}
	return r.Edited(ctx, m.Tree, files)
}
