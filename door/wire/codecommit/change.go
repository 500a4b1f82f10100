package codecommit

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) changing() map[string]wire.Operation {
	return map[string]wire.Operation{
		"PutFile":      wire.Op(s.askPut, s.putFile),
		"DeleteFile":   wire.Op(s.askDelete, s.deleteFile),
		"CreateCommit": wire.Op(s.askCommit, s.createCommit),
	}
}

// said is who and what of a commit.
type said struct {
	named
	Branch  string `json:"branchName"`
	Parent  string `json:"parentCommitId"`
	Message string `json:"commitMessage"`
	Email   string `json:"email"`
	Keep    bool   `json:"keepEmptyFolders"`
}

type putInput struct {
	said
	Name    string `json:"name"`
	Path    string `json:"filePath"`
	Mode    string `json:"fileMode"`
	Content []byte `json:"fileContent"`
}

func (s *service) askPut(c *wire.Call, in *putInput) []iam.Request {
	return s.askRef(c, in.Repository, in.Branch)
}

type madeOutput struct {
	Commit string `json:"commitId"`
	Blob   string `json:"blobId"`
	Tree   string `json:"treeId"`
	Path   string `json:"filePath,omitzero"`
}

func (s *service) putFile(ctx context.Context, c *wire.Call, in *putInput) (*madeOutput, error) {
	at, err := s.path(c, in.Path)
	if err != nil {
		return nil, err
	}
	if len(in.Content) > mostFile {
		return nil, s.code(c, fault.Limit.Errorf("a file has at most %d bytes here: push it", mostFile), "FileContentSizeLimitExceededException")
	}
	message := in.Message
	if message == "" {
		message = "Put " + at
	}
	id, tree, err := s.make(ctx, c, in.said, in.Name, message, []git.Edit{{Path: at, Mode: modeOf(in.Mode), Content: in.Content}})
	if err != nil {
		return nil, err
	}
	repo, err := s.Source.Git(in.Repository)
	if err != nil {
		return nil, err
	}
	e, err := repo.Entry(ctx, id, at)
	return &madeOutput{Commit: id, Blob: e.ID, Tree: tree}, err
}

// make makes a commit, and says in the service's words why it cannot be made.
func (s *service) make(ctx context.Context, c *wire.Call, in said, name, message string, edits []git.Edit) (id, tree string, err error) {
	if err := s.author(c, name, in.Email); err != nil {
		return "", "", err
	}
	if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
		return "", "", err
	}
	if !git.ValidRef("refs/heads/" + in.Branch) {
		return "", "", s.code(c, fault.Invalid.Errorf("%q cannot be a branch", in.Branch), "InvalidBranchNameException")
	}
	at, err := s.Source.Ref(ctx, in.Repository, "refs/heads/"+in.Branch)
	switch {
	case err == nil && in.Parent == "":
		return "", "", s.code(c, fault.Invalid.Errorf("parentCommitId is needed: %s is at %s", in.Branch, at), "ParentCommitIdRequiredException")
	case err == nil && in.Parent != at:
		if !git.ValidID(in.Parent) {
			return "", "", s.code(c, fault.Invalid.Errorf("%q is no full name of a commit", in.Parent), "InvalidParentCommitIdException")
		}
	case err != nil && !errors.Is(err, fault.NotFound):
		return "", "", err
	}
	id, tree, err = s.Source.Commit(ctx, source.Commit{Repository: in.Repository, Branch: in.Branch, Parent: in.Parent, By: s.Person(ctx, c.Principal), Name: name, Email: in.Email, Message: message, Edits: edits})
	if errors.Is(err, source.ErrNoRef) {
		return "", "", s.code(c, err, "BranchDoesNotExistException")
	}
	return id, tree, s.say(c, err)
}

type deleteInput struct {
	said
	Name string `json:"name"`
	Path string `json:"filePath"`
}

func (s *service) askDelete(c *wire.Call, in *deleteInput) []iam.Request {
	return s.askRef(c, in.Repository, in.Branch)
}

func (s *service) deleteFile(ctx context.Context, c *wire.Call, in *deleteInput) (*madeOutput, error) {
	repo, r, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	at, err := s.path(c, in.Path)
	if err != nil {
		return nil, err
	}
	head, err := s.head(ctx, c, r, in.Branch)
	if err != nil {
		return nil, err
	}
	e, err := repo.Entry(ctx, head, at)
	if err == nil && e.Type == "tree" {
		err = fault.NotFound.Errorf("%s is a folder", at)
	}
	if err != nil {
		return nil, s.when(c, err, fault.NotFound, "FileDoesNotExistException")
	}
	edits, err := s.kept(ctx, repo, head, in.Keep, []git.Edit{{Path: at}})
	if err != nil {
		return nil, err
	}
	message := in.Message
	if message == "" {
		message = "Delete " + at
	}
	id, tree, err := s.make(ctx, c, in.said, in.Name, message, edits)
	return &madeOutput{Commit: id, Blob: e.ID, Tree: tree, Path: at}, err
}

// head is where a branch is, as far as the operation needs one.
func (s *service) head(ctx context.Context, c *wire.Call, r source.Repository, branch string) (string, error) {
	id, err := s.Source.Ref(ctx, r.Name, fullRef(branch))
	return id, s.when(c, err, fault.NotFound, "BranchDoesNotExistException")
}

// kept adds a .gitkeep to the folders that would be empty, if that is asked for.
func (s *service) kept(ctx context.Context, repo *git.Repo, head string, keep bool, edits []git.Edit) ([]git.Edit, error) {
	if !keep || head == "" {
		return edits, nil
	}
	gone, stays := map[string]int{}, map[string]bool{}
	for _, e := range edits {
		if e.Mode == 0 {
			gone[path.Dir(e.Path)]++
		} else {
			stays[path.Dir(e.Path)] = true
		}
	}
	for dir, n := range gone {
		if dir == "." || stays[dir] {
			continue
		}
		all, err := repo.Folder(ctx, head, dir)
		if err != nil {
			return nil, err
		}
		if len(all) == n {
			edits = append(edits, git.Edit{Path: dir + "/.gitkeep", Mode: git.ModeFile, Content: []byte{}})
		}
	}
	return edits, nil
}

type commitFilesInput struct {
	said
	fileEntries
	Author string     `json:"authorName"`
	Put    []putEntry `json:"putFiles"`
}

// fileEntries are files that go, or become executable, or are that no more.
type fileEntries struct {
	Delete []struct {
		Path string `json:"filePath"`
	} `json:"deleteFiles"`
	Modes []struct {
		Path string `json:"filePath"`
		Mode string `json:"fileMode"`
	} `json:"setFileModes"`
}

type putEntry struct {
	Path    string  `json:"filePath"`
	Mode    string  `json:"fileMode"`
	Content *[]byte `json:"fileContent"`
	Source  *struct {
		Path string `json:"filePath"`
		Move bool   `json:"isMove"`
	} `json:"sourceFile"`
}

func (s *service) askCommit(c *wire.Call, in *commitFilesInput) []iam.Request {
	return s.askRef(c, in.Repository, in.Branch)
}

type fileMetadata struct {
	Path string `json:"absolutePath"`
	Blob string `json:"blobId"`
	Mode string `json:"fileMode"`
}

type commitFilesOutput struct {
	Commit  string         `json:"commitId"`
	Tree    string         `json:"treeId"`
	Added   []fileMetadata `json:"filesAdded"`
	Updated []fileMetadata `json:"filesUpdated"`
	Deleted []fileMetadata `json:"filesDeleted"`
}

func (s *service) createCommit(ctx context.Context, c *wire.Call, in *commitFilesInput) (*commitFilesOutput, error) {
	repo, r, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	n := len(in.Put) + len(in.Delete) + len(in.Modes)
	if n == 0 {
		return nil, s.code(c, fault.Invalid.Errorf("a commit puts, deletes or changes a file"), "FileEntryRequiredException")
	}
	if n > 100 {
		return nil, s.code(c, fault.Limit.Errorf("a commit changes at most 100 files here: push it"), "MaximumFileEntriesExceededException")
	}
	head, err := s.head(ctx, c, r, in.Branch)
	if err != nil {
		if refs, _ := s.Source.Refs(ctx, r.Name, "refs/heads/", "", 1); len(refs) > 0 {
			return nil, err
		}
		head = "" // the first commit
	}
	edits, err := s.edits(ctx, c, repo, head, in)
	if err != nil {
		return nil, err
	}
	if edits, err = s.kept(ctx, repo, head, in.Keep, edits); err != nil {
		return nil, err
	}
	message := in.Message
	if message == "" {
		message = "Change " + edits[0].Path
	}
	id, tree, err := s.make(ctx, c, in.said, in.Author, message, edits)
	if err != nil {
		return nil, err
	}
	return s.made(ctx, repo, head, id, tree)
}

// edits are what a commit's entries ask for.
func (s *service) edits(ctx context.Context, c *wire.Call, repo *git.Repo, head string, in *commitFilesInput) (edits []git.Edit, err error) {
	seen := map[string]bool{}
	add := func(e git.Edit) error {
		if e.Path, err = s.path(c, e.Path); err != nil {
			return err
		}
		if seen[e.Path] {
			return s.code(c, fault.Invalid.Errorf("%s is named twice", e.Path), "SamePathRequestException")
		}
		seen[e.Path] = true
		edits = append(edits, e)
		return nil
	}
	there := func(p string) (git.Entry, error) {
		p = strings.Trim(p, "/")
		if head == "" {
			return git.Entry{}, s.code(c, fault.NotFound.Errorf("there is no %s", p), "FileDoesNotExistException")
		}
		e, err := repo.Entry(ctx, head, p)
		if err == nil && e.Type != "blob" {
			err = fault.NotFound.Errorf("%s is no file", p)
		}
		return e, s.when(c, s.when(c, err, fault.NotFound, "FileDoesNotExistException"), fault.Invalid, "InvalidPathException")
	}
	for _, p := range in.Put {
		e := git.Edit{Path: p.Path, Mode: modeOf(p.Mode)}
		switch {
		case p.Content != nil && p.Source != nil:
			return nil, s.code(c, fault.Invalid.Errorf("%s has both a content and a source", p.Path), "FileContentAndSourceFileSpecifiedException")
		case p.Content != nil && len(*p.Content) > mostFile:
			return nil, s.code(c, fault.Limit.Errorf("a file has at most %d bytes here: push it", mostFile), "FileContentSizeLimitExceededException")
		case p.Content != nil:
			e.Content = *p.Content
		case p.Source != nil:
			from, err := there(p.Source.Path)
			if err != nil {
				return nil, err
			}
			if e.ID = from.ID; p.Mode == "" {
				e.Mode = from.Mode
			}
			if p.Source.Move {
				if err := add(git.Edit{Path: p.Source.Path}); err != nil {
					return nil, err
				}
			}
		default:
			return nil, s.code(c, fault.Invalid.Errorf("%s has neither a content nor a source", p.Path), "SourceFileOrContentRequiredException")
		}
		if err := add(e); err != nil {
			return nil, err
		}
	}
	for _, d := range in.Delete {
		if _, err := there(d.Path); err != nil {
			return nil, err
		}
		if err := add(git.Edit{Path: d.Path}); err != nil {
			return nil, err
		}
	}
	for _, m := range in.Modes {
		e, err := there(m.Path)
		if err != nil {
			return nil, err
		}
		if err := add(git.Edit{Path: m.Path, Mode: modeOf(m.Mode), ID: e.ID}); err != nil {
			return nil, err
		}
	}
	return edits, nil
}

// made says which files a commit added, changed and took away.
func (s *service) made(ctx context.Context, repo *git.Repo, before, id, tree string) (*commitFilesOutput, error) {
	files, _, err := repo.Diff(ctx, before, id, git.Diffs{Apart: true})
	if err != nil {
		return nil, err
	}
	out := &commitFilesOutput{Commit: id, Tree: tree, Added: []fileMetadata{}, Updated: []fileMetadata{}, Deleted: []fileMetadata{}}
	for _, f := range files {
		m := fileMetadata{f.Path, f.New.ID, modeName(f.New.Mode)}
		switch {
		case f.Old.Mode == 0:
			out.Added = append(out.Added, m)
		case f.New.Mode == 0:
			out.Deleted = append(out.Deleted, fileMetadata{f.Path, f.Old.ID, modeName(f.Old.Mode)})
		default:
			out.Updated = append(out.Updated, m)
		}
	}
	return out, nil
}
