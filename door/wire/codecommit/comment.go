package codecommit

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) commenting() map[string]wire.Operation {
	return map[string]wire.Operation{
		"PostCommentForPullRequest":    op(s, s.postOnPull),
		"PostCommentForComparedCommit": op(s, s.postOnCommit),
		"PostCommentReply":             wire.Op(s.askReply, s.reply),
		"GetComment":                   wire.Op(s.askComment, s.getComment),
		"UpdateComment":                wire.Op(s.askComment, s.updateComment),
		"DeleteCommentContent":         wire.Op(s.askComment, s.deleteComment),
		"GetCommentsForPullRequest":    pullOp(s, s.pullComments),
		"GetCommentsForComparedCommit": op(s, s.commitComments),
		"PutCommentReaction":           wire.Op(s.askComment, s.react),
		"GetCommentReactions":          wire.Op(s.askComment, s.reactions),
	}
}

type location struct {
	Path string `json:"filePath,omitzero"`
	Line int    `json:"filePosition,omitzero"`
	Side string `json:"relativeFileVersion,omitzero"`
}

func (l *location) place() source.Place {
	if l == nil {
		return source.Place{}
	}
	return source.Place{Path: l.Path, Line: l.Line, Side: l.Side}
}

type comment struct {
	ID       string         `json:"commentId"`
	Content  string         `json:"content,omitzero"`
	Reply    string         `json:"inReplyTo,omitzero"`
	Created  time.Time      `json:"creationDate"`
	Modified time.Time      `json:"lastModifiedDate"`
	Author   string         `json:"authorArn"`
	Deleted  bool           `json:"deleted"`
	Token    string         `json:"clientRequestToken,omitzero"`
	Mine     []string       `json:"callerReactions"`
	Counts   map[string]int `json:"reactionCounts"`
}

func commentOf(c *wire.Call, x source.Comment) comment {
	out := comment{ID: x.ID, Content: x.Text, Reply: x.Reply, Created: x.Created, Modified: x.Modified, Author: x.Author, Deleted: x.Deleted, Mine: []string{}, Counts: map[string]int{}}
	if x.Author == c.Principal.ARN {
		out.Token = x.Token
	}
	for who, r := range x.Reactions {
		out.Counts[r]++
		if who == c.Principal.ARN {
			out.Mine = append(out.Mine, r)
		}
	}
	return out
}

// thread is the comments at one place, and what was compared.
type thread struct {
	Pull       string    `json:"pullRequestId,omitzero"`
	Repository string    `json:"repositoryName"`
	Before     string    `json:"beforeCommitId,omitzero"`
	After      string    `json:"afterCommitId"`
	BeforeBlob string    `json:"beforeBlobId,omitzero"`
	AfterBlob  string    `json:"afterBlobId,omitzero"`
	Location   *location `json:"location,omitzero"`
	Comments   []comment `json:"comments,omitzero"`
	Comment    *comment  `json:"comment,omitzero"` // of an answer to one that was posted
}

type postInput struct {
	meant
	named
	Before   string    `json:"beforeCommitId"`
	After    string    `json:"afterCommitId"`
	Location *location `json:"location"`
	Content  string    `json:"content"`
	Token    string    `json:"clientRequestToken"`
}

// post keeps a comment on a comparison whose commits, and whose file, are there.
func (s *service) post(ctx context.Context, c *wire.Call, in *postInput, pull int64) (*thread, error) {
	repo, _, err := s.git(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	for _, id := range []string{in.Before, in.After} {
		if id == "" {
			continue
		}
		if err := s.full(c, id); err != nil {
			return nil, err
		}
		if _, err := repo.Commit(ctx, id); err != nil {
			return nil, s.when(c, err, fault.NotFound, "CommitDoesNotExistException")
		}
	}
	if in.Before == in.After {
		return nil, s.code(c, fault.Invalid.Errorf("a commit is compared with another"), "BeforeCommitIdAndAfterCommitIdAreSameException")
	}
	said := source.Comment{Repository: in.Repository, Pull: pull, Before: in.Before, After: in.After, Place: in.Location.place(), Author: c.Principal.ARN, Text: in.Content, Token: in.Token}
	if said.Place.Path != "" {
		before, after := s.blobs(ctx, repo, said)
		if before == "" && after == "" {
			return nil, s.code(c, fault.NotFound.Errorf("neither commit has a file %s", said.Place.Path), "PathDoesNotExistException")
		}
	}
	kept, err := s.Source.Say(ctx, said)
	if err != nil {
		err = s.when(c, s.when(c, err, fault.Limit, "CommentContentSizeLimitExceededException"), fault.NotFound, "PullRequestDoesNotExistException")
		return nil, s.when(c, err, fault.Invalid, "CommentContentRequiredException", "InvalidFileLocationException")
	}
	t := s.thread(ctx, repo, kept)
	one := commentOf(c, kept)
	t.Comment = &one
	if pull > 0 {
		t.Pull = in.ID
	}
	return &t, nil
}

// thread is where a comment is.
func (s *service) thread(ctx context.Context, repo *git.Repo, x source.Comment) thread {
	t := thread{Repository: x.Repository, Before: x.Before, After: x.After}
	if x.Place.Path != "" {
		t.Location = &location{x.Place.Path, x.Place.Line, x.Place.Side}
		t.BeforeBlob, t.AfterBlob = s.blobs(ctx, repo, x)
	}
	return t
}

// blobs are the file's on both sides, "" where it is not there.
func (s *service) blobs(ctx context.Context, repo *git.Repo, x source.Comment) (before, after string) {
	of := func(commit string) string {
		if commit == "" {
			return ""
		}
		e, err := repo.Entry(ctx, commit, x.Place.Path)
		if err != nil || e.Type != "blob" {
			return ""
		}
		return e.ID
	}
	return of(x.Before), of(x.After)
}

func (s *service) postOnPull(ctx context.Context, c *wire.Call, in *postInput) (*thread, error) {
	if in.number() == 0 {
		return nil, s.code(c, fault.Invalid.Errorf("the id of a pull request is a number"), "InvalidPullRequestIdException")
	}
	name, err := s.Source.PullRepository(ctx, in.number())
	if err != nil {
		return nil, s.when(c, err, fault.NotFound, "PullRequestDoesNotExistException")
	}
	if name != in.Repository {
		return nil, s.code(c, fault.Invalid.Errorf("pull request %s is of %s", in.ID, name), "RepositoryNotAssociatedWithPullRequestException")
	}
	return s.post(ctx, c, in, in.number())
}

func (s *service) postOnCommit(ctx context.Context, c *wire.Call, in *postInput) (*thread, error) {
	return s.post(ctx, c, in, 0)
}

type commentInput struct {
	ID       string `json:"commentId"`
	Content  string `json:"content"`
	Reaction string `json:"reactionValue"`
	User     string `json:"reactionUserArn"`
	Token    string `json:"nextToken"`
	Max      int    `json:"maxResults"`
}

// askComment asks on the repository of a comment, or on * where there is none.
func (s *service) askComment(c *wire.Call, in *commentInput) []iam.Request {
	return s.askOn(c, in.ID)
}

func (s *service) askOn(c *wire.Call, id string) []iam.Request {
	x, err := s.Source.Comment(context.Background(), id) // asks come without a context; it is one row
	if err != nil {
		return c.Ask()
	}
	return c.Ask(s.Source.ARN(x.Repository))
}

type commentOutput struct {
	Comment comment `json:"comment"`
}

func (s *service) commented(c *wire.Call, x source.Comment, err error) (*commentOutput, error) {
	if err != nil {
		err = s.when(c, s.when(c, err, fault.Denied, "CommentNotCreatedByCallerException"), fault.Conflict, "CommentDeletedException")
		return nil, s.when(c, s.when(c, err, fault.Limit, "CommentContentSizeLimitExceededException"), fault.Invalid, "CommentContentRequiredException")
	}
	return &commentOutput{commentOf(c, x)}, nil
}

func (s *service) getComment(ctx context.Context, c *wire.Call, in *commentInput) (*commentOutput, error) {
	x, err := s.Source.Comment(ctx, in.ID)
	if err == nil && x.Deleted {
		err = fault.Conflict.Errorf("comment %q is deleted", in.ID)
	}
	return s.commented(c, x, err)
}

func (s *service) updateComment(ctx context.Context, c *wire.Call, in *commentInput) (*commentOutput, error) {
	if in.Content == "" {
		return nil, s.code(c, fault.Invalid.Errorf("a comment says something"), "CommentContentRequiredException")
	}
	x, err := s.Source.ChangeComment(ctx, in.ID, c.Principal.ARN, in.Content)
	return s.commented(c, x, err)
}

func (s *service) deleteComment(ctx context.Context, c *wire.Call, in *commentInput) (*commentOutput, error) {
	x, err := s.Source.ChangeComment(ctx, in.ID, c.Principal.ARN, "")
	return s.commented(c, x, err)
}

type replyInput struct {
	To      string `json:"inReplyTo"`
	Content string `json:"content"`
	Token   string `json:"clientRequestToken"`
}

func (s *service) askReply(c *wire.Call, in *replyInput) []iam.Request { return s.askOn(c, in.To) }

func (s *service) reply(ctx context.Context, c *wire.Call, in *replyInput) (*commentOutput, error) {
	x, err := s.Source.Say(ctx, source.Comment{Reply: in.To, Text: in.Content, Author: c.Principal.ARN, Token: in.Token})
	return s.commented(c, x, err)
}

type pullCommentsInput struct {
	meant
	named
	Before string `json:"beforeCommitId"`
	After  string `json:"afterCommitId"`
	Token  string `json:"nextToken"`
	Max    int    `json:"maxResults"`
}

type pullCommentsOutput struct {
	Data  []thread `json:"commentsForPullRequestData"`
	Token string   `json:"nextToken,omitzero"`
}

func (s *service) pullComments(ctx context.Context, c *wire.Call, in *pullCommentsInput) (*pullCommentsOutput, error) {
	all, err := s.Source.PullComments(ctx, in.number())
	if err != nil {
		return nil, err
	}
	var some []source.Comment
	for _, x := range all {
		if (in.Repository == "" || x.Repository == in.Repository) && (in.Before == "" || x.Before == in.Before) && (in.After == "" || x.After == in.After) {
			some = append(some, x)
		}
	}
	threads, err := s.threads(ctx, c, some)
	if err != nil {
		return nil, err
	}
	for i := range threads {
		threads[i].Pull = in.ID
	}
	part, next, err := page(threads, in.Token, in.Max, 500)
	return &pullCommentsOutput{append([]thread{}, part...), next}, err
}

// threads are comments by where they are, the oldest first.
func (s *service) threads(ctx context.Context, c *wire.Call, all []source.Comment) (threads []thread, err error) {
	type key struct {
		before, after string
		at            source.Place
	}
	at := map[key]int{}
	for _, x := range all {
		k := key{x.Before, x.After, x.Place}
		i, ok := at[k]
		if !ok {
			repo, err := s.Source.Git(x.Repository)
			if err != nil {
				return nil, err
			}
			i = len(threads)
			at[k] = i
			threads = append(threads, s.thread(ctx, repo, x))
		}
		threads[i].Comments = append(threads[i].Comments, commentOf(c, x))
	}
	return threads, nil
}

type commitCommentsOutput struct {
	Data  []thread `json:"commentsForComparedCommitData"`
	Token string   `json:"nextToken,omitzero"`
}

func (s *service) commitComments(ctx context.Context, c *wire.Call, in *pullCommentsInput) (*commitCommentsOutput, error) {
	all, err := s.Source.CommitComments(ctx, in.Repository, in.Before, in.After)
	if err != nil {
		return nil, err
	}
	threads, err := s.threads(ctx, c, all)
	if err != nil {
		return nil, err
	}
	part, next, err := page(threads, in.Token, in.Max, 500)
	return &commitCommentsOutput{append([]thread{}, part...), next}, err
}

func (s *service) react(ctx context.Context, c *wire.Call, in *commentInput) (*struct{}, error) {
	err := s.Source.React(ctx, in.ID, c.Principal.ARN, in.Reaction)
	return nil, s.when(c, s.when(c, err, fault.Invalid, "InvalidReactionValueException"), fault.Conflict, "CommentDeletedException")
}

type reaction struct {
	Reaction struct {
		Code string `json:"shortCode"`
	} `json:"reaction"`
	Users []string `json:"reactionUsers"`
}

type reactionsOutput struct {
	Reactions []reaction `json:"reactionsForComment"`
	Token     string     `json:"nextToken,omitzero"`
}

func (s *service) reactions(ctx context.Context, c *wire.Call, in *commentInput) (*reactionsOutput, error) {
	x, err := s.Source.Comment(ctx, in.ID)
	if err == nil && x.Deleted {
		return nil, s.code(c, fault.Conflict.Errorf("comment %q is deleted", in.ID), "CommentDeletedException")
	}
	if err != nil {
		return nil, err
	}
	all := reactionsOf(x, in.User)
	part, next, err := page(all, in.Token, in.Max, 1000)
	return &reactionsOutput{append([]reaction{}, part...), next}, err
}

// reactionsOf are the reactions to a comment, each with who had it, by its code.
func reactionsOf(x source.Comment, user string) (all []reaction) {
	by := map[string][]string{}
	for who, code := range x.Reactions {
		if user == "" || user == who {
			by[code] = append(by[code], who)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(by)) {
		r := reaction{Users: by[code]}
		r.Reaction.Code = code
		slices.Sort(r.Users)
		all = append(all, r)
	}
	return all
}
