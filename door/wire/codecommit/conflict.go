package codecommit

import (
	"bytes"
	"cmp"
	"context"
	"errors"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

// settling is how conflicts are looked at and settled. What git merges by itself is no conflict, at either level of
// detail: the level says whether a conflict is the file, or the lines in it.
type settling struct {
	Level      string `json:"conflictDetailLevel"`
	Strategy   string `json:"conflictResolutionStrategy"`
	Resolution *struct {
		fileEntries
		Replace []replaceEntry `json:"replaceContents"`
	} `json:"conflictResolution"`
}

type replaceEntry struct {
	Path    string  `json:"filePath"`
	Type    string  `json:"replacementType"`
	Content *[]byte `json:"content"`
	Mode    string  `json:"fileMode"`
}

const lineLevel = "LINE_LEVEL"

// takes is whose version counts of what is in conflict, or "".
func (g settling) takes() source.Version {
	return map[string]source.Version{"ACCEPT_SOURCE": source.FromSource, "ACCEPT_DESTINATION": source.FromDestination}[g.Strategy]
}

// mostSettled are the entries that settle conflicts, at most.
const mostSettled = 1000

// settle is what an input asks for. What is settled file by file goes with AUTOMERGE, as the service has it.
func (s *service) settle(c *wire.Call, g settling) (how source.Settling, err error) {
	how = source.Settling{Take: g.takes(), Lines: g.Level == lineLevel}
	r := g.Resolution
	if r == nil {
		return how, nil
	}
	if how.Take != "" {
		return how, s.code(c, fault.Invalid.Errorf("files are settled one by one with AUTOMERGE, and not with %s", g.Strategy), "InvalidConflictResolutionException")
	}
	if len(r.Replace)+len(r.Delete)+len(r.Modes) > mostSettled {
		return how, s.code(c, fault.Limit.Errorf("at most %d files are settled at once", mostSettled), "MaximumConflictResolutionEntriesExceededException")
	}
	seen := map[string]bool{}
	add := func(path string, f source.SettledFile) error {
		if f.Path, err = s.path(c, path); err != nil {
			return err
		}
		if seen[f.Path] {
			return s.code(c, fault.Invalid.Errorf("%s is settled twice", f.Path), "MultipleConflictResolutionEntriesException")
		}
		seen[f.Path] = true
		how.Files = append(how.Files, f)
		return nil
	}
	for _, e := range r.Replace {
		f, err := s.replaced(c, e)
		if err == nil {
			err = add(e.Path, f)
		}
		if err != nil {
			return how, err
		}
	}
	for _, e := range r.Delete {
		if err := add(e.Path, source.SettledFile{Delete: true}); err != nil {
			return how, err
		}
	}
	for _, e := range r.Modes {
		if err := add(e.Path, source.SettledFile{Mode: modeOf(e.Mode)}); err != nil {
			return how, err
		}
	}
	return how, nil
}

func (s *service) replaced(c *wire.Call, e replaceEntry) (f source.SettledFile, err error) {
	if e.Mode != "" {
		f.Mode = modeOf(e.Mode)
	}
	f.Keep = map[string]source.Version{"KEEP_BASE": source.FromBase, "KEEP_SOURCE": source.FromSource, "KEEP_DESTINATION": source.FromDestination}[e.Type]
	switch {
	case f.Keep != "" && e.Content != nil:
		return f, s.code(c, fault.Invalid.Errorf("%s: content goes with USE_NEW_CONTENT, and not with %s", e.Path, e.Type), "InvalidReplacementContentException")
	case f.Keep != "":
		return f, nil
	case e.Content == nil:
		return f, s.code(c, fault.Invalid.Errorf("%s: USE_NEW_CONTENT needs content", e.Path), "ReplacementContentRequiredException")
	case len(*e.Content) > mostFile:
		return f, s.code(c, fault.Limit.Errorf("a file has at most %d bytes here: push it", mostFile), "FileContentSizeLimitExceededException")
	}
	f.Content = append([]byte{}, *e.Content...)
	return f, nil
}

type three[T any] struct {
	Source      T `json:"source,omitzero"`
	Destination T `json:"destination,omitzero"`
	Base        T `json:"base,omitzero"`
}

// yesNo is three of what is or is not: both are said.
type yesNo struct {
	Source      bool `json:"source"`
	Destination bool `json:"destination"`
	Base        bool `json:"base"`
}

type conflictMetadata struct {
	Path      string        `json:"filePath"`
	Sizes     three[int64]  `json:"fileSizes"`
	Modes     three[string] `json:"fileModes"`
	Types     three[string] `json:"objectTypes"`
	Conflicts int           `json:"numberOfConflicts"`
	Binary    yesNo         `json:"isBinaryFile"`
	Content   bool          `json:"contentConflict"`
	Mode      bool          `json:"fileModeConflict"`
	Type      bool          `json:"objectTypeConflict"`
	Changes   three[string] `json:"mergeOperations"`
}

type mergeConflictsOutput struct {
	meeting
	Mergeable bool               `json:"mergeable"`
	Conflicts []conflictMetadata `json:"conflictMetadataList"`
	Token     string             `json:"nextToken,omitzero"`
}

// mergeConflicts lists what is in conflict. A strategy that takes one side makes it mergeable all the same.
func (s *service) mergeConflicts(ctx context.Context, c *wire.Call, in *mergeInput) (*mergeConflictsOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	out := &mergeConflictsOutput{Mergeable: x.merged.Clean() || in.takes() != "", meeting: x.meeting(), Conflicts: []conflictMetadata{}}
	if in.Option == string(source.FastForward) {
		out.Mergeable = false
		for _, o := range x.options {
			out.Mergeable = out.Mergeable || o == source.FastForward
		}
	}
	part, next, err := page(x.merged.Conflicts, in.Token, in.Max, 100)
	if err != nil {
		return nil, err
	}
	out.Token = next
	for _, one := range part {
		d, err := s.conflictIn(ctx, c, x, one, true, in.Level)
		if err != nil {
			return nil, err
		}
		out.Conflicts = append(out.Conflicts, d.Metadata)
	}
	return out, nil
}

type hunkDetail struct {
	Start   int    `json:"startLine"` // from 0
	End     int    `json:"endLine"`   // the line after the last
	Content []byte `json:"hunkContent"`
}

type mergeHunk struct {
	Conflict    bool       `json:"isConflict"`
	Source      hunkDetail `json:"source"`
	Destination hunkDetail `json:"destination"`
	Base        hunkDetail `json:"base"`
}

type conflict struct {
	Metadata conflictMetadata `json:"conflictMetadata"`
	Hunks    []mergeHunk      `json:"mergeHunks"`
}

// conflictIn tells of a file where it is in conflict: as a whole, or piece by piece. Of what has no lines, there are no hunks.
func (s *service) conflictIn(ctx context.Context, c *wire.Call, x sides, one git.Conflict, conflicts bool, level string) (d conflict, err error) {
	d.Hunks = []mergeHunk{}
	if d.Metadata, err = conflictOf(ctx, x.repo, one); err != nil {
		return d, s.when(c, err, fault.Limit, "MaximumFileContentToLoadExceededException")
	}
	pieces, err := x.repo.Pieces(ctx, one)
	if errors.Is(err, git.ErrBinary) {
		pieces, err = nil, nil
	}
	if err != nil {
		return d, s.when(c, err, fault.Limit, "MaximumFileContentToLoadExceededException")
	}
	m := &d.Metadata
	if !conflicts {
		m.Conflicts, m.Content, m.Mode, m.Type = 0, false, false, false
	}
	if level != lineLevel {
		if pieces, err = whole(ctx, x.repo, one, pieces, conflicts); err != nil {
			return d, err
		}
	}
	n := 0
	for _, p := range pieces {
		if p.Conflict {
			n++
		}
		d.Hunks = append(d.Hunks, mergeHunk{p.Conflict, detail(p.Theirs), detail(p.Ours), detail(p.Base)})
	}
	if n > 0 {
		m.Conflicts = n
	}
	for _, more := range []bool{m.Mode, m.Type} {
		if more && n > 0 {
			m.Conflicts++
		}
	}
	return d, nil
}

func detail(s git.Span) hunkDetail { return hunkDetail{s.Start, s.End, append([]byte{}, s.Text...)} }

// whole is a file as one piece.
func whole(ctx context.Context, repo *git.Repo, one git.Conflict, pieces []git.Piece, conflicts bool) ([]git.Piece, error) {
	if len(pieces) == 0 {
		return nil, nil
	}
	p := git.Piece{Conflict: conflicts}
	for _, of := range []struct {
		id string
		to *git.Span
	}{{one.Base, &p.Base}, {one.Ours, &p.Ours}, {one.Theirs, &p.Theirs}} {
		if of.id == "" {
			continue
		}
		text, err := repo.Blob(ctx, of.id, git.Largest)
		if err != nil {
			return nil, err
		}
		of.to.Text, of.to.End = text, bytes.Count(text, []byte{'\n'})
		if len(text) > 0 && text[len(text)-1] != '\n' {
			of.to.End++
		}
	}
	return []git.Piece{p}, nil
}

// fileOf is a file of a merge, and whether it is in conflict: one that none of the three has is fault.NotFound.
func fileOf(ctx context.Context, x sides, path string) (one git.Conflict, conflicts bool, err error) {
	for _, c := range x.merged.Conflicts {
		if c.Path == path {
			return c, true, nil
		}
	}
	one.Path = path
	found := false
	for i, commit := range []string{x.merged.Base, x.target, x.head} {
		e, err := x.repo.Entry(ctx, commit, path)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return one, false, err
		}
		if e.Type == "tree" {
			return one, false, fault.NotFound.Errorf("%s is a folder", path)
		}
		found = true
		one.Modes[i] = e.Mode
		*[]*string{&one.Base, &one.Ours, &one.Theirs}[i] = e.ID
	}
	if !found {
		return one, false, fault.NotFound.Errorf("there is no %s in either side", path)
	}
	return one, false, nil
}

type describeOutput struct {
	conflict
	meeting
	Token string `json:"nextToken,omitzero"`
}

func (s *service) describeConflicts(ctx context.Context, c *wire.Call, in *mergeInput) (*describeOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	path, err := s.path(c, in.Path)
	if err != nil {
		return nil, err
	}
	one, conflicts, err := fileOf(ctx, x, path)
	if err != nil {
		return nil, s.when(c, err, fault.NotFound, "FileDoesNotExistException")
	}
	out := &describeOutput{meeting: x.meeting()}
	if out.conflict, err = s.conflictIn(ctx, c, x, one, conflicts, in.Level); err != nil {
		return nil, err
	}
	var part []mergeHunk
	if part, out.Token, err = page(out.Hunks, in.Token, in.MaxHunks, 1000); err != nil {
		return nil, err
	}
	out.Hunks = append([]mergeHunk{}, part...)
	return out, nil
}

type conflictsOutput struct {
	meeting
	Conflicts []conflict      `json:"conflicts"`
	Token     string          `json:"nextToken,omitzero"`
	Errors    []conflictError `json:"errors"`
}

type conflictError struct {
	Path string `json:"filePath"`
	Name string `json:"exceptionName"`
	Text string `json:"message"`
}

// mostAnswered is how much content is told at once; what is left comes with the token.
const mostAnswered = 6 << 20

func (s *service) batchConflicts(ctx context.Context, c *wire.Call, in *mergeInput) (*conflictsOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	paths := in.Paths
	if len(paths) == 0 {
		for _, one := range x.merged.Conflicts {
			paths = append(paths, one.Path)
		}
	}
	start, err := offset(in.Token)
	if err != nil {
		return nil, err
	}
	part, next, err := page(paths, in.Token, in.Max, 100)
	if err != nil {
		return nil, err
	}
	out := &conflictsOutput{Conflicts: []conflict{}, Token: next, Errors: []conflictError{}, meeting: x.meeting()}
	size := 0
	for i, name := range part {
		if size > mostAnswered {
			out.Token = tokenOf(start + i)
			break
		}
		d, err := s.describeOne(ctx, c, x, name, in.Level)
		var coded *wire.Error
		if errors.As(err, &coded) {
			out.Errors = append(out.Errors, conflictError{name, coded.Code, coded.Message})
			continue
		}
		if err != nil {
			return nil, err
		}
		if in.MaxHunks > 0 {
			d.Hunks = d.Hunks[:min(len(d.Hunks), in.MaxHunks)]
		}
		for _, h := range d.Hunks {
			size += len(h.Source.Content) + len(h.Destination.Content) + len(h.Base.Content)
		}
		out.Conflicts = append(out.Conflicts, d)
	}
	return out, nil
}

// describeOne tells of one file among several, whose errors are its own.
func (s *service) describeOne(ctx context.Context, c *wire.Call, x sides, name, level string) (d conflict, err error) {
	path, err := git.CleanPath(name)
	if err != nil {
		return d, wire.Errorf("InvalidPathException", "%s", err)
	}
	one, conflicts, err := fileOf(ctx, x, cmp.Or(path, name))
	switch {
	case errors.Is(err, fault.NotFound), errors.Is(err, fault.Invalid):
		return d, wire.Errorf("FileDoesNotExistException", "%s", err)
	case err != nil:
		return d, err
	}
	return s.conflictIn(ctx, c, x, one, conflicts, level)
}

// conflictOf tells of a file that both sides changed: base, ours (the destination) and theirs (the source).
func conflictOf(ctx context.Context, repo *git.Repo, one git.Conflict) (m conflictMetadata, err error) {
	m = conflictMetadata{Path: one.Path, Conflicts: 1, Content: one.Ours != one.Theirs}
	m.Mode = one.Modes[1] != one.Modes[2] && one.Modes[1] != 0 && one.Modes[2] != 0
	look := func(id string, mode uint32, size *int64, name, kind *string, binary *bool) error {
		if id == "" {
			return nil
		}
		*name, *kind = modeName(mode), "FILE"
		switch mode {
		case git.ModeSubmodule:
			*name, *kind = "", "GIT_LINK"
			return nil
		case git.ModeLink:
			*kind = "SYMBOLIC_LINK"
		}
		content, err := repo.Blob(ctx, id, git.Largest)
		*size, *binary = int64(len(content)), bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0
		return err
	}
	err = errors.Join(
		look(one.Base, one.Modes[0], &m.Sizes.Base, &m.Modes.Base, &m.Types.Base, &m.Binary.Base),
		look(one.Ours, one.Modes[1], &m.Sizes.Destination, &m.Modes.Destination, &m.Types.Destination, &m.Binary.Destination),
		look(one.Theirs, one.Modes[2], &m.Sizes.Source, &m.Modes.Source, &m.Types.Source, &m.Binary.Source))
	m.Type = m.Types.Destination != m.Types.Source && m.Types.Destination != "" && m.Types.Source != ""
	change := func(id string) string {
		switch {
		case one.Base == "" && id != "":
			return "A"
		case id == "":
			return "D"
		}
		return "M"
	}
	m.Changes.Destination, m.Changes.Source = change(one.Ours), change(one.Theirs)
	return m, err
}
