// Package codecommit answers CodeCommit's API: repositories, their files and commits, pull requests and what reviews ask for.
package codecommit

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Config is what the service needs.
type Config struct {
	Source  *source.Source
	Account string
	Region  string
	// Person is who calls, as pull requests know people.
	Person func(ctx context.Context, who iam.Principal) source.Person
	// URL is the address at which git reaches a repository, or "" where nobody can say how the server is reached.
	URL func(repository string) string
}

type service struct {
	Config
	model *wire.Model
}

// Service answers codecommit. What has to do with keys of KMS is not answered: repositories lie on the
// server's own disk.
func Service(c Config) wire.Service {
	s := &service{c, wire.MustModel(table)}
	all := map[string]wire.Operation{}
	for _, some := range []map[string]wire.Operation{s.repositories(), s.browsing(), s.changing(), s.merging(), s.pulls(), s.approving(), s.templates(), s.commenting()} {
		for name, o := range some {
			all[name] = o
		}
	}
	return wire.Service{
		Model: s.model, Operations: all, ByMember: true,
		Faults: wire.Faults{
			fault.Invalid:     {"InvalidRepositoryNameException", "InvalidPullRequestIdException", "InvalidCommentIdException", "InvalidApprovalRuleTemplateNameException"},
			fault.NotFound:    {"RepositoryDoesNotExistException", "PullRequestDoesNotExistException", "CommentDoesNotExistException", "ApprovalRuleTemplateDoesNotExistException"},
			fault.Exists:      {"RepositoryNameExistsException", "BranchNameExistsException", "ApprovalRuleNameAlreadyExistsException", "ApprovalRuleTemplateNameAlreadyExistsException"},
			fault.Conflict:    {"ConcurrentReferenceUpdateException", "PullRequestAlreadyClosedException"},
			fault.Limit:       {"MaximumFileContentToLoadExceededException", "FileTooLargeException"},
			fault.Denied:      {"AccessDeniedException"},
			fault.Unavailable: {"ConcurrentReferenceUpdateException"},
		},
	}
}

// codes are what the service says of what a caller got wrong: the first that the operation knows.
var codes = []struct {
	of    error
	names []string
}{
	{source.ErrNotCurrent, []string{"RevisionNotCurrentException", "ConcurrentReferenceUpdateException"}},
	{source.ErrClosed, []string{"PullRequestAlreadyClosedException"}},
	{source.ErrTipMoved, []string{"TipOfSourceReferenceIsDifferentException"}},
	{source.ErrConflicts, []string{"ManualMergeRequiredException"}},
	{source.ErrSettling, []string{"InvalidConflictResolutionException", "InvalidConflictResolutionStrategyException"}},
	{source.ErrUnmet, []string{"PullRequestApprovalRulesNotSatisfiedException"}},
	{source.ErrOwn, []string{"PullRequestCannotBeApprovedByAuthorException"}},
	{source.ErrNothing, []string{"SourceAndDestinationAreSameException"}},
	{source.ErrNoRef, []string{"ReferenceDoesNotExistException", "BranchDoesNotExistException", "PullRequestAlreadyClosedException"}},
	{source.ErrContent, []string{"InvalidApprovalRuleContentException", "InvalidApprovalRuleTemplateContentException"}},
	{source.ErrHash, []string{"InvalidRuleContentSha256Exception"}},
	{source.ErrFromATemplate, []string{"CannotModifyApprovalRuleFromTemplateException", "CannotDeleteApprovalRuleFromTemplateException"}},
	{source.ErrToken, []string{"IdempotencyParameterMismatchException"}},
	{source.ErrParent, []string{"ParentCommitIdOutdatedException"}},
	{source.ErrSame, []string{"SameFileContentException", "NoChangeException"}},
}

// say is an error in the words of the service, where one of them fits better than its kind tells.
func (s *service) say(c *wire.Call, err error) error {
	if err == nil {
		return nil
	}
	for _, code := range codes {
		if errors.Is(err, code.of) {
			return s.code(c, err, code.names...)
		}
	}
	return err
}

// code is an error under the first of some codes that the operation knows; where it knows none, the error as it is.
func (s *service) code(c *wire.Call, err error, names ...string) error {
	known := s.model.Operations[c.Operation].Errors
	for _, name := range names {
		if slices.Contains(known, name) {
			return wire.Errorf(name, "%s", err)
		}
	}
	return err
}

// when is say, and codes for a kind of error.
func (s *service) when(c *wire.Call, err error, kind error, names ...string) error {
	if errors.Is(err, kind) {
		return s.code(c, err, names...)
	}
	return s.say(c, err)
}

// op answers an operation about one repository.
func op[In interface{ repository() string }, Out any](s *service, answer func(context.Context, *wire.Call, *In) (*Out, error)) wire.Operation {
	return wire.Op(func(c *wire.Call, in *In) []iam.Request { return c.Ask(s.Source.ARN((*in).repository())) }, answer)
}

// named is an input that names its repository.
type named struct {
	Repository string `json:"repositoryName"`
}

func (n named) repository() string { return n.Repository }

// git is a repository's git, and what is known of it.
func (s *service) git(ctx context.Context, name string) (*git.Repo, source.Repository, error) {
	r, err := s.Source.Repository(ctx, name)
	if err != nil {
		return nil, r, err
	}
	repo, err := s.Source.Git(name)
	return repo, r, err
}

// commit is what a branch, a tag, a full ref, HEAD or the name of a commit stands for; "" is the default branch.
func (s *service) commit(ctx context.Context, c *wire.Call, repo *git.Repo, r source.Repository, specifier string) (string, error) {
	if specifier == "" {
		specifier = r.DefaultBranch
	}
	candidates := []string{"refs/heads/" + specifier, "refs/tags/" + specifier, specifier}
	if strings.HasPrefix(specifier, "refs/") || specifier == "HEAD" || git.ValidID(specifier) {
		candidates = []string{specifier}
	}
	var err error
	for _, name := range candidates {
		var id string
		if id, err = repo.Resolve(ctx, name); err == nil {
			return id, nil
		}
	}
	return "", s.when(c, s.when(c, err, fault.NotFound, "CommitDoesNotExistException"), fault.Invalid, "InvalidCommitException")
}

// page is where a list goes on: a token is an offset.
func page[T any](all []T, token string, size, most int) (part []T, next string, err error) {
	if size <= 0 || size > most {
		size = most
	}
	start, err := offset(token)
	if err != nil {
		return nil, "", err
	}
	start = min(start, len(all))
	end := min(start+size, len(all))
	if end < len(all) {
		next = tokenOf(end)
	}
	return all[start:end], next, nil
}

func offset(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	n, e := strconv.Atoi(string(text))
	if err != nil || e != nil || n < 1 || strconv.Itoa(n) != string(text) {
		return 0, wire.Errorf("InvalidContinuationTokenException", "the continuation token is not of this list")
	}
	return n, nil
}

func tokenOf(n int) string { return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(n))) }

// full is the full name of a commit, as operations want it.
func (s *service) full(c *wire.Call, id string) error {
	if git.ValidID(id) {
		return nil
	}
	return s.code(c, fault.Invalid.Errorf("%q is no full name of a commit or object", id), "InvalidCommitIdException", "InvalidParentCommitIdException", "InvalidCommitException", "InvalidBlobIdException")
}

// path is a path within a repository, without slashes around it.
func (s *service) path(c *wire.Call, p string) (string, error) {
	p, err := git.CleanPath(p)
	return p, s.when(c, err, fault.Invalid, "InvalidPathException")
}

var mail = regexp.MustCompile(`^[^\s<>@]+@[^\s<>@]+$`)

// author is who a commit is said to be by.
func (s *service) author(c *wire.Call, name, email string) error {
	if email != "" && !mail.MatchString(email) {
		return s.code(c, fault.Invalid.Errorf("%q is no mail address", email), "InvalidEmailException")
	}
	if len(name) > 256 {
		return s.code(c, fault.Limit.Errorf("a name has at most 256 bytes"), "NameLengthExceededException")
	}
	return nil
}

// The modes of files, as the service calls them.
var modeNames = map[uint32]string{git.ModeFile: "NORMAL", git.ModeExecutable: "EXECUTABLE", git.ModeLink: "SYMLINK"}

func modeName(mode uint32) string {
	if n, ok := modeNames[mode]; ok {
		return n
	}
	return "NORMAL" // 100664 of very old commits
}

func modeOf(name string) uint32 {
	for m, n := range modeNames {
		if n == name {
			return m
		}
	}
	return git.ModeFile
}
