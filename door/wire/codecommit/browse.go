package codecommit

import (
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) browsing() map[string]wire.Operation {
	return map[string]wire.Operation{
		"GetCommit":             op(s, s.getCommit),
		"BatchGetCommits":       op(s, s.batchCommits),
		"GetDifferences":        op(s, s.differences),
		"GetBlob":               op(s, s.getBlob),
		"GetFile":               op(s, s.getFile),
		"GetFolder":             op(s, s.getFolder),
		"ListFileCommitHistory": op(s, s.history),
	}
}

// mostFile is the largest file that an operation gives or takes.
const mostFile = 6 << 20

type userInfo struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Date  string `json:"date"` // 1700000000 +0900
}

func userOf(p git.Person) userInfo {
	zone := p.Zone
	if zone == "" {
		zone = "+0000"
	}
	return userInfo{p.Name, p.Email, strconv.FormatInt(p.Time.Unix(), 10) + " " + strings.ToValidUTF8(zone, "?")}
}

type commit struct {
	ID         string   `json:"commitId"`
	Tree       string   `json:"treeId"`
	Parents    []string `json:"parents"`
	Message    string   `json:"message"`
	Author     userInfo `json:"author"`
	Committer  userInfo `json:"committer"`
	Additional string   `json:"additionalData"`
}

func commitOf(c git.Commit) commit {
	parents := c.Parents
	if parents == nil {
		parents = []string{}
	}
	return commit{ID: c.ID, Tree: c.Tree, Parents: parents, Message: c.Message, Author: userOf(c.Author), Committer: userOf(c.Committer)}
}

type commitInput struct {
	named
	Commit string `json:"commitId"`
}

type commitOutput struct {
	Commit commit `json:"commit"`
}

func (s *service) getCommit(ctx context.Context, c *wire.Call, in *commitInput) (*commitOutput, error) {
	repo, _, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	if err := s.full(c, in.Commit); err != nil {
		return nil, err
	}
	one, err := repo.Commit(ctx, in.Commit)
	if err != nil {
		return nil, s.when(c, err, fault.NotFound, "CommitIdDoesNotExistException")
	}
	return &commitOutput{commitOf(one)}, nil
}

type batchCommitsInput struct {
	named
	Commits []string `json:"commitIds"`
}

type batchCommitsError struct {
	Commit  string `json:"commitId"`
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

type batchCommitsOutput struct {
	Commits []commit            `json:"commits"`
	Errors  []batchCommitsError `json:"errors"`
}

func (s *service) batchCommits(ctx context.Context, _ *wire.Call, in *batchCommitsInput) (*batchCommitsOutput, error) {
	repo, _, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	if len(in.Commits) > 100 {
		return nil, wire.Errorf("CommitIdsLimitExceededException", "at most 100 commits at once")
	}
	out := &batchCommitsOutput{Commits: []commit{}, Errors: []batchCommitsError{}}
	for _, id := range in.Commits {
		one, err := repo.Commit(ctx, id)
		switch {
		case errors.Is(err, fault.Invalid):
			out.Errors = append(out.Errors, batchCommitsError{id, "InvalidCommitIdException", err.Error()})
		case errors.Is(err, fault.NotFound):
			out.Errors = append(out.Errors, batchCommitsError{id, "CommitIdDoesNotExistException", err.Error()})
		case err != nil:
			return nil, err
		default:
			out.Commits = append(out.Commits, commitOf(one))
		}
	}
	return out, nil
}

type differencesInput struct {
	named
	Before     string `json:"beforeCommitSpecifier"`
	After      string `json:"afterCommitSpecifier"`
	BeforePath string `json:"beforePath"`
	AfterPath  string `json:"afterPath"`
	Max        int    `json:"MaxResults"`
	Token      string `json:"NextToken"`
}

type blobMetadata struct {
	ID   string `json:"blobId"`
	Path string `json:"path"`
	Mode string `json:"mode"`
}

type difference struct {
	Before *blobMetadata `json:"beforeBlob,omitzero"`
	After  *blobMetadata `json:"afterBlob,omitzero"`
	Change string        `json:"changeType"`
}

type differencesOutput struct {
	Differences []difference `json:"differences"`
	Token       string       `json:"NextToken,omitzero"`
}

func (s *service) differences(ctx context.Context, c *wire.Call, in *differencesInput) (*differencesOutput, error) {
	repo, r, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	after, err := s.commit(ctx, c, repo, r, in.After)
	if err != nil {
		return nil, err
	}
	before := ""
	if in.Before != "" {
		if before, err = s.commit(ctx, c, repo, r, in.Before); err != nil {
			return nil, err
		}
	}
	at := in.AfterPath
	if at == "" {
		at = in.BeforePath
	}
	if at, err = s.path(c, at); err != nil {
		return nil, err
	}
	// CodeCommit knows no moves: a file goes, another comes.
	files, _, err := repo.Diff(ctx, before, after, git.Diffs{Path: at, Apart: true, Files: 1_000_000})
	if err != nil {
		return nil, s.say(c, err)
	}
	part, next, err := page(files, in.Token, in.Max, 1000)
	out := &differencesOutput{Differences: []difference{}, Token: next}
	for _, f := range part {
		d := difference{Change: "M"}
		side := func(x git.Side) *blobMetadata {
			if x.Mode == 0 {
				return nil
			}
			return &blobMetadata{x.ID, strings.ToValidUTF8(f.Path, "\uFFFD"), strconv.FormatUint(uint64(x.Mode), 8)}
		}
		if d.Before, d.After = side(f.Old), side(f.New); d.Before == nil {
			d.Change = "A"
		} else if d.After == nil {
			d.Change = "D"
		}
		out.Differences = append(out.Differences, d)
	}
	return out, err
}

type blobInput struct {
	named
	Blob string `json:"blobId"`
}

type blobOutput struct {
	Content []byte `json:"content"`
}

func (s *service) getBlob(ctx context.Context, c *wire.Call, in *blobInput) (*blobOutput, error) {
	repo, _, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	if err := s.full(c, in.Blob); err != nil {
		return nil, err
	}
	kind, err := repo.Type(ctx, in.Blob)
	if err == nil && kind != "blob" {
		err = fault.NotFound.Errorf("%s is a %s, no blob", in.Blob, kind)
	}
	if err != nil {
		return nil, s.when(c, err, fault.NotFound, "BlobIdDoesNotExistException")
	}
	content, err := repo.Blob(ctx, in.Blob, mostFile)
	return &blobOutput{content}, s.when(c, err, fault.Limit, "FileTooLargeException")
}

type fileInput struct {
	named
	Commit string `json:"commitSpecifier"`
	Path   string `json:"filePath"`
}

type fileOutput struct {
	Commit  string `json:"commitId"`
	Blob    string `json:"blobId"`
	Path    string `json:"filePath"`
	Mode    string `json:"fileMode"`
	Size    int64  `json:"fileSize"`
	Content []byte `json:"fileContent"`
}

// place is where a path of a commit is looked for.
func (s *service) place(ctx context.Context, c *wire.Call, repository, commit, path string) (repo *git.Repo, id, at string, err error) {
	repo, r, err := s.git(ctx, repository)
	if err != nil {
		return nil, "", "", err
	}
	if id, err = s.commit(ctx, c, repo, r, commit); err != nil {
		return nil, "", "", err
	}
	at, err = s.path(c, path)
	return repo, id, at, err
}

func (s *service) getFile(ctx context.Context, c *wire.Call, in *fileInput) (*fileOutput, error) {
	repo, id, at, err := s.place(ctx, c, in.Repository, in.Commit, in.Path)
	if err != nil {
		return nil, err
	}
	content, e, err := repo.File(ctx, id, at, mostFile)
	if errors.Is(err, fault.Limit) {
		return nil, s.code(c, err, "FileTooLargeException")
	}
	if errors.Is(err, fault.Invalid) || errors.Is(err, fault.NotFound) {
		return nil, s.code(c, err, "FileDoesNotExistException")
	}
	if err != nil {
		return nil, err
	}
	return &fileOutput{Commit: id, Blob: e.ID, Path: at, Mode: modeName(e.Mode), Size: int64(len(content)), Content: content}, nil
}

type folderInput struct {
	named
	Commit string `json:"commitSpecifier"`
	Path   string `json:"folderPath"`
}

type folder struct {
	Tree     string `json:"treeId"`
	Path     string `json:"absolutePath"`
	Relative string `json:"relativePath"`
}

type file struct {
	Blob     string `json:"blobId"`
	Path     string `json:"absolutePath"`
	Relative string `json:"relativePath"`
	Mode     string `json:"fileMode"`
}

type submodule struct {
	Commit   string `json:"commitId"`
	Path     string `json:"absolutePath"`
	Relative string `json:"relativePath"`
}

type folderOutput struct {
	Commit     string      `json:"commitId"`
	Path       string      `json:"folderPath"`
	Tree       string      `json:"treeId"`
	Folders    []folder    `json:"subFolders"`
	Files      []file      `json:"files"`
	Links      []file      `json:"symbolicLinks"`
	Submodules []submodule `json:"subModules"`
}

func (s *service) getFolder(ctx context.Context, c *wire.Call, in *folderInput) (*folderOutput, error) {
	repo, id, at, err := s.place(ctx, c, in.Repository, in.Commit, in.Path)
	if err != nil {
		return nil, err
	}
	all, err := repo.Folder(ctx, id, at)
	if errors.Is(err, fault.Invalid) || errors.Is(err, fault.NotFound) {
		return nil, s.code(c, err, "FolderDoesNotExistException")
	}
	if err != nil {
		return nil, err
	}
	out := &folderOutput{Commit: id, Path: at, Folders: []folder{}, Files: []file{}, Links: []file{}, Submodules: []submodule{}}
	if out.Tree, err = treeOf(ctx, repo, id, at); err != nil {
		return nil, err
	}
	for _, e := range all {
		name, full := strings.ToValidUTF8(e.Name, "\uFFFD"), strings.ToValidUTF8(path.Join(at, e.Name), "\uFFFD")
		switch {
		case e.Type == "tree":
			out.Folders = append(out.Folders, folder{e.ID, full, name})
		case e.Type == "commit":
			out.Submodules = append(out.Submodules, submodule{e.ID, full, name})
		case e.Mode == git.ModeLink:
			out.Links = append(out.Links, file{e.ID, full, name, modeName(e.Mode)})
		default:
			out.Files = append(out.Files, file{e.ID, full, name, modeName(e.Mode)})
		}
	}
	return out, nil
}

func treeOf(ctx context.Context, repo *git.Repo, commit, at string) (string, error) {
	if at == "" {
		c, err := repo.Commit(ctx, commit)
		return c.Tree, err
	}
	e, err := repo.Entry(ctx, commit, at)
	return e.ID, err
}

type historyInput struct {
	named
	Commit string `json:"commitSpecifier"`
	Path   string `json:"filePath"`
	Max    int    `json:"maxResults"`
	Token  string `json:"nextToken"`
}

type fileVersion struct {
	Commit   commit   `json:"commit"`
	Blob     string   `json:"blobId,omitzero"` // none where the file went
	Path     string   `json:"path"`
	Children []string `json:"revisionChildren"`
}

type historyOutput struct {
	Versions []fileVersion `json:"revisionDag"`
	Token    string        `json:"nextToken,omitzero"`
}

func (s *service) history(ctx context.Context, c *wire.Call, in *historyInput) (*historyOutput, error) {
	repo, id, at, err := s.place(ctx, c, in.Repository, in.Commit, in.Path)
	if err != nil {
		return nil, err
	}
	skip, err := offset(in.Token)
	if err != nil {
		return nil, err
	}
	size := in.Max
	if size <= 0 || size > 100 {
		size = 100
	}
	all, err := repo.Log(ctx, id, at, max(skip-1, 0), size+2)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, s.code(c, fault.NotFound.Errorf("no commit has a file %s", at), "FileDoesNotExistException", "PathDoesNotExistException", "InvalidPathException")
	}
	out := &historyOutput{Versions: []fileVersion{}}
	for i, one := range all {
		if i == 0 && skip > 0 {
			continue // only to say whose child comes first
		}
		if len(out.Versions) == size {
			out.Token = tokenOf(skip + size)
			break
		}
		v := fileVersion{Commit: commitOf(one), Path: at, Children: []string{}}
		if e, err := repo.Entry(ctx, one.ID, at); err == nil {
			v.Blob = e.ID
		} else if !errors.Is(err, fault.NotFound) {
			return nil, err
		}
		if i > 0 {
			v.Children = append(v.Children, all[i-1].ID)
		}
		out.Versions = append(out.Versions, v)
	}
	return out, nil
}

// merged is the merge commit of two commits, among those that the default branch has, or "".
func merged(ctx context.Context, repo *git.Repo, r source.Repository, target, head string) (string, error) {
	tip, err := repo.Resolve(ctx, "refs/heads/"+r.DefaultBranch)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	all, err := repo.Log(ctx, tip, "", 0, 5000, target)
	for _, c := range all {
		if slices.Equal(c.Parents, []string{target, head}) {
			return c.ID, err
		}
	}
	return "", err
}
