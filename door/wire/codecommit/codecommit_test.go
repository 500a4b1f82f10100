package codecommit_test

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/door/wire/codecommit"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) {
	wiretest.Ops(t, codecommit.Service(codecommit.Config{}), "ops.txt", *update)
}

// house is a service of repositories, and who calls it: the tester, or whom person says.
type house struct {
	*wiretest.Server
	t      *testing.T
	source *source.Source
	config codecommit.Config
	who    source.Person
}

func open(t *testing.T, o wiretest.Options) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), source.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	h := &house{t: t, who: source.Person{ARN: wiretest.Caller().ARN, Name: "tester", Emails: []string{"tester@example.com"}}}
	h.source = source.New(source.Config{DB: d, Bus: bus.New(d), Dir: filepath.Join(t.TempDir(), "repos"), Account: wiretest.Account, Region: wiretest.Region, Log: slog.New(slog.DiscardHandler)})
	h.config = codecommit.Config{
		Source: h.source, Account: wiretest.Account, Region: wiretest.Region,
		Person: func(context.Context, iam.Principal) source.Person { return h.who },
		URL:    func(name string) string { return "http://haechi.test/git/" + name },
	}
	h.Server = wiretest.Serve(t, o, codecommit.Service(h.config))
	return h
}

// call calls an operation, whose answer must be as the model has it.
func (h *house) call(operation, in string) map[string]any {
	h.t.Helper()
	response, text := h.Call(h.t, "codecommit", "POST", "/", "CodeCommit_20150413."+operation, in)
	if response.StatusCode != 200 {
		h.t.Fatalf("%s %s: %d %s", operation, in, response.StatusCode, text)
	}
	wiretest.Valid(h.t, codecommit.Service(h.config).Model, operation, text)
	var out map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			h.t.Fatal(err)
		}
	}
	return out
}

// refused calls an operation that must say a code.
func (h *house) refused(code, operation, in string) {
	h.t.Helper()
	response, text := h.Call(h.t, "codecommit", "POST", "/", "CodeCommit_20150413."+operation, in)
	if response.StatusCode != 400 || !strings.Contains(string(text), code+`"`) {
		h.t.Errorf("%s %s: %d %s, want %s", operation, in, response.StatusCode, text, code)
	}
}

// get is a member of an answer by its path.
func get(t *testing.T, of any, path ...any) string {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := of.(map[string]any)
			of = m[p]
		case int:
			l, _ := of.([]any)
			if p >= len(l) {
				t.Fatalf("no %d in %v", p, l)
			}
			of = l[p]
		}
	}
	s, ok := of.(string)
	if !ok {
		text, _ := json.Marshal(of)
		return string(text)
	}
	return s
}

// begun is a repository with a file on main and a change of it on side.
func (h *house) begun() (base, change string) {
	h.t.Helper()
	h.call("CreateRepository", `{"repositoryName":"shop","repositoryDescription":"sells","tags":{"team":"web"}}`)
	base = get(h.t, h.call("PutFile", `{"repositoryName":"shop","branchName":"main","filePath":"src/a.txt","fileContent":"b25lCnR3bwo=","commitMessage":"one"}`), "commitId")
	h.call("CreateBranch", `{"repositoryName":"shop","branchName":"side","commitId":"`+base+`"}`)
	change = get(h.t, h.call("PutFile", `{"repositoryName":"shop","branchName":"side","filePath":"src/a.txt","fileContent":"b25lClRXTwo=","parentCommitId":"`+base+`","name":"Kim","email":"kim@example.com","commitMessage":"louder"}`), "commitId")
	return base, change
}

// What is in a repository is told as CodeCommit does.
func TestBrowse(t *testing.T) {
	h := open(t, wiretest.Options{})
	base, change := h.begun()
	m := h.call("GetRepository", `{"repositoryName":"shop"}`)
	if got := get(t, m, "repositoryMetadata", "cloneUrlHttp") + get(t, m, "repositoryMetadata", "defaultBranch") + get(t, m, "repositoryMetadata", "Arn"); got != "http://haechi.test/git/shopmainarn:aws:codecommit:us-east-1:111122223333:shop" {
		t.Error(got)
	}
	if got := get(t, h.call("BatchGetRepositories", `{"repositoryNames":["shop","none"]}`), "repositoriesNotFound", 0); got != "none" {
		t.Error(got)
	}
	if got := get(t, h.call("ListRepositories", `{"sortBy":"lastModifiedDate","order":"descending"}`), "repositories", 0, "repositoryName"); got != "shop" {
		t.Error(got)
	}
	if got := get(t, h.call("ListBranches", `{"repositoryName":"shop"}`), "branches"); got != `["main","side"]` {
		t.Error(got)
	}
	f := h.call("GetFile", `{"repositoryName":"shop","commitSpecifier":"side","filePath":"/src/a.txt"}`)
	if get(t, f, "fileContent") != "b25lClRXTwo=" || get(t, f, "commitId") != change || get(t, f, "fileMode") != "NORMAL" {
		t.Error(f)
	}
	if got := get(t, h.call("GetBlob", `{"repositoryName":"shop","blobId":"`+get(t, f, "blobId")+`"}`), "content"); got != "b25lClRXTwo=" {
		t.Error(got)
	}
	if d := h.call("GetFolder", `{"repositoryName":"shop","folderPath":"/"}`); get(t, d, "subFolders", 0, "absolutePath") != "src" {
		t.Error(d)
	}
	if d := h.call("GetFolder", `{"repositoryName":"shop","folderPath":"src"}`); get(t, d, "files", 0, "absolutePath") != "src/a.txt" || get(t, d, "files", 0, "relativePath") != "a.txt" {
		t.Error(d)
	}
	d := h.call("GetDifferences", `{"repositoryName":"shop","beforeCommitSpecifier":"main","afterCommitSpecifier":"side"}`)
	if get(t, d, "differences", 0, "changeType")+get(t, d, "differences", 0, "afterBlob", "path")+get(t, d, "differences", 0, "beforeBlob", "mode") != "Msrc/a.txt100644" {
		t.Error(d)
	}
	c := h.call("GetCommit", `{"repositoryName":"shop","commitId":"`+change+`"}`)
	if get(t, c, "commit", "author", "email") != "kim@example.com" || get(t, c, "commit", "parents", 0) != base || !strings.HasSuffix(get(t, c, "commit", "author", "date"), " +0000") {
		t.Error(c)
	}
	if got := get(t, h.call("BatchGetCommits", `{"repositoryName":"shop","commitIds":["`+base+`","`+strings.Repeat("7", 40)+`"]}`), "errors", 0, "errorCode"); got != "CommitIdDoesNotExistException" {
		t.Error(got)
	}
	v := h.call("ListFileCommitHistory", `{"repositoryName":"shop","commitSpecifier":"side","filePath":"src/a.txt","maxResults":1}`)
	if get(t, v, "revisionDag", 0, "commit", "commitId") != change || get(t, v, "revisionDag", 0, "revisionChildren") != "[]" {
		t.Error(v)
	}
	v = h.call("ListFileCommitHistory", `{"repositoryName":"shop","commitSpecifier":"side","filePath":"src/a.txt","maxResults":1,"nextToken":"`+get(t, v, "nextToken")+`"}`)
	if get(t, v, "revisionDag", 0, "commit", "commitId") != base || get(t, v, "revisionDag", 0, "revisionChildren", 0) != change {
		t.Error(v)
	}
	h.refused("RepositoryDoesNotExistException", "GetRepository", `{"repositoryName":"none"}`)
	h.refused("RepositoryNameExistsException", "CreateRepository", `{"repositoryName":"shop"}`)
	h.refused("InvalidRepositoryNameException", "CreateRepository", `{"repositoryName":"shop.git"}`)
	h.refused("RepositoryNameRequiredException", "CreateRepository", `{}`)
	h.refused("InvalidRepositoryDescriptionException", "CreateRepository", `{"repositoryName":"x","repositoryDescription":"`+strings.Repeat("x", 1001)+`"}`)
	h.refused("InvalidOrderException", "ListRepositories", `{"order":"odd"}`)
	h.refused("InvalidBranchNameException", "GetBranch", `{"repositoryName":"shop","branchName":"`+strings.Repeat("x", 257)+`"}`)
	h.refused("TitleRequiredException", "CreatePullRequest", `{"targets":[]}`)
	h.refused("CommentContentRequiredException", "PostCommentReply", `{"inReplyTo":"x"}`)
	h.refused("InvalidFileModeException", "CreateCommit", `{"repositoryName":"shop","branchName":"main","putFiles":[{"filePath":"x","fileMode":"ODD"}]}`)
	h.refused("FileDoesNotExistException", "GetFile", `{"repositoryName":"shop","filePath":"none"}`)
	h.refused("InvalidPathException", "GetFile", `{"repositoryName":"shop","filePath":"../none"}`)
	h.refused("FolderDoesNotExistException", "GetFolder", `{"repositoryName":"shop","folderPath":"none"}`)
	h.refused("CommitDoesNotExistException", "GetFolder", `{"repositoryName":"shop","folderPath":"/","commitSpecifier":"none"}`)
	h.refused("BlobIdDoesNotExistException", "GetBlob", `{"repositoryName":"shop","blobId":"`+base+`"}`)
	h.refused("BranchDoesNotExistException", "GetBranch", `{"repositoryName":"shop","branchName":"none"}`)
	h.refused("CommitIdDoesNotExistException", "GetCommit", `{"repositoryName":"shop","commitId":"`+strings.Repeat("7", 40)+`"}`)
	h.refused("InvalidContinuationTokenException", "ListBranches", `{"repositoryName":"shop","nextToken":"x"}`)
}

// Commits are made as CodeCommit makes them, and what cannot be committed is refused in its words.
func TestChange(t *testing.T) {
	h := open(t, wiretest.Options{})
	base, change := h.begun()
	out := h.call("CreateCommit", `{"repositoryName":"shop","branchName":"side","parentCommitId":"`+change+`","authorName":"Lee","email":"lee@example.com","commitMessage":"many","keepEmptyFolders":true,
		"putFiles":[{"filePath":"b/run","fileMode":"EXECUTABLE","fileContent":"eAo="},{"filePath":"c/moved.txt","sourceFile":{"filePath":"src/a.txt","isMove":true}}]}`)
	if get(t, out, "filesAdded", 0, "absolutePath")+get(t, out, "filesAdded", 0, "fileMode")+get(t, out, "filesAdded", 1, "absolutePath")+get(t, out, "filesAdded", 2, "absolutePath")+get(t, out, "filesDeleted", 0, "absolutePath") != "b/runEXECUTABLEc/moved.txtsrc/.gitkeepsrc/a.txt" {
		t.Error(out)
	}
	tip := get(t, out, "commitId")
	out = h.call("DeleteFile", `{"repositoryName":"shop","branchName":"side","filePath":"b/run","parentCommitId":"`+tip+`"}`)
	if get(t, out, "filePath") != "b/run" {
		t.Error(out)
	}
	tip = get(t, out, "commitId")
	h.refused("ParentCommitIdRequiredException", "PutFile", `{"repositoryName":"shop","branchName":"main","filePath":"x","fileContent":"eA=="}`)
	h.refused("ParentCommitIdOutdatedException", "PutFile", `{"repositoryName":"shop","branchName":"side","filePath":"x","fileContent":"eA==","parentCommitId":"`+base+`"}`)
	h.refused("SameFileContentException", "PutFile", `{"repositoryName":"shop","branchName":"main","filePath":"src/a.txt","fileContent":"b25lCnR3bwo=","parentCommitId":"`+base+`"}`)
	h.refused("NoChangeException", "CreateCommit", `{"repositoryName":"shop","branchName":"main","parentCommitId":"`+base+`","putFiles":[{"filePath":"src/a.txt","fileContent":"b25lCnR3bwo="}]}`)
	h.refused("InvalidPathException", "PutFile", `{"repositoryName":"shop","branchName":"main","filePath":".git/hooks/x","fileContent":"eA==","parentCommitId":"`+base+`"}`)
	h.refused("InvalidEmailException", "PutFile", `{"repositoryName":"shop","branchName":"main","filePath":"x","fileContent":"eA==","parentCommitId":"`+base+`","email":"no<body>"}`)
	h.refused("BranchDoesNotExistException", "PutFile", `{"repositoryName":"shop","branchName":"none","filePath":"x","fileContent":"eA==","parentCommitId":"`+base+`"}`)
	h.refused("FileEntryRequiredException", "CreateCommit", `{"repositoryName":"shop","branchName":"main","parentCommitId":"`+base+`"}`)
	h.refused("SamePathRequestException", "CreateCommit", `{"repositoryName":"shop","branchName":"main","parentCommitId":"`+base+`","putFiles":[{"filePath":"x","fileContent":"eA=="}],"deleteFiles":[{"filePath":"src/a.txt"},{"filePath":"/src/a.txt"}]}`)
	h.refused("FileDoesNotExistException", "DeleteFile", `{"repositoryName":"shop","branchName":"main","filePath":"none","parentCommitId":"`+base+`"}`)
	h.refused("BranchNameExistsException", "CreateBranch", `{"repositoryName":"shop","branchName":"side","commitId":"`+base+`"}`)
	h.refused("CommitDoesNotExistException", "CreateBranch", `{"repositoryName":"shop","branchName":"new","commitId":"`+strings.Repeat("7", 40)+`"}`)
	h.refused("DefaultBranchCannotBeDeletedException", "DeleteBranch", `{"repositoryName":"shop","branchName":"main"}`)
	if got := get(t, h.call("DeleteBranch", `{"repositoryName":"shop","branchName":"side"}`), "deletedBranch", "commitId"); got != tip {
		t.Error(got)
	}
	h.call("DeleteBranch", `{"repositoryName":"shop","branchName":"side"}`)
	h.call("UpdateRepositoryDescription", `{"repositoryName":"shop","repositoryDescription":"sells more"}`)
	h.call("UpdateRepositoryName", `{"oldName":"shop","newName":"store"}`)
	arn := "arn:aws:codecommit:us-east-1:111122223333:store"
	h.call("TagResource", `{"resourceArn":"`+arn+`","tags":{"a":"b"}}`)
	h.call("UntagResource", `{"resourceArn":"`+arn+`","tagKeys":["team"]}`)
	if got := get(t, h.call("ListTagsForResource", `{"resourceArn":"`+arn+`"}`), "tags"); got != `{"a":"b"}` {
		t.Error(got)
	}
	h.refused("InvalidResourceArnException", "ListTagsForResource", `{"resourceArn":"arn:aws:s3:::x"}`)
	h.call("GetRepositoryTriggers", `{"repositoryName":"store"}`)
	h.call("PutRepositoryTriggers", `{"repositoryName":"store","triggers":[]}`)
	h.refused("InvalidRepositoryTriggerDestinationArnException", "PutRepositoryTriggers", `{"repositoryName":"store","triggers":[{"name":"x","destinationArn":"arn:aws:sns:us-east-1:111122223333:x","events":["all"]}]}`)
	h.call("DeleteRepository", `{"repositoryName":"store"}`)
	h.call("DeleteRepository", `{"repositoryName":"store"}`)
}

// A pull request goes its way through CodeCommit's calls: rules, approvals, comments, an override, the merge.
func TestPullRequest(t *testing.T) {
	h := open(t, wiretest.Options{})
	base, change := h.begun()
	rule := `{\"Version\":\"2018-11-08\",\"Statements\":[{\"Type\":\"Approvers\",\"NumberOfApprovalsNeeded\":1}]}`
	h.call("CreateApprovalRuleTemplate", `{"approvalRuleTemplateName":"one","approvalRuleTemplateContent":"`+rule+`"}`)
	h.refused("ApprovalRuleTemplateNameAlreadyExistsException", "CreateApprovalRuleTemplate", `{"approvalRuleTemplateName":"one","approvalRuleTemplateContent":"`+rule+`"}`)
	h.refused("InvalidApprovalRuleTemplateContentException", "CreateApprovalRuleTemplate", `{"approvalRuleTemplateName":"bad","approvalRuleTemplateContent":"{}"}`)
	h.call("AssociateApprovalRuleTemplateWithRepository", `{"approvalRuleTemplateName":"one","repositoryName":"shop"}`)
	if got := get(t, h.call("BatchAssociateApprovalRuleTemplateWithRepositories", `{"approvalRuleTemplateName":"one","repositoryNames":["shop","none"]}`), "errors", 0, "errorCode"); got != "RepositoryDoesNotExistException" {
		t.Error(got)
	}
	h.refused("ApprovalRuleTemplateInUseException", "DeleteApprovalRuleTemplate", `{"approvalRuleTemplateName":"one"}`)
	h.refused("ReferenceDoesNotExistException", "CreatePullRequest", `{"title":"t","targets":[{"repositoryName":"shop","sourceReference":"none"}]}`)
	h.refused("SourceAndDestinationAreSameException", "CreatePullRequest", `{"title":"t","targets":[{"repositoryName":"shop","sourceReference":"main","destinationReference":"main"}]}`)
	p := h.call("CreatePullRequest", `{"title":"louder","description":"please","clientRequestToken":"t1","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`)
	id, revision := get(t, p, "pullRequest", "pullRequestId"), get(t, p, "pullRequest", "revisionId")
	for _, other := range []string{
		`{"title":"louder","clientRequestToken":"t1","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`,
		`{"title":"loudest","description":"please","clientRequestToken":"t1","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`,
		`{"title":"louder","description":"please","clientRequestToken":"t1","targets":[{"repositoryName":"shop","sourceReference":"main","destinationReference":"side"}]}`,
	} {
		h.refused("IdempotencyParameterMismatchException", "CreatePullRequest", other)
	}
	h.refused("MultipleRepositoriesInPullRequestException", "CreatePullRequest", `{"title":"t","targets":[{"repositoryName":"shop","sourceReference":"side"},{"repositoryName":"other","sourceReference":"side"}]}`)
	h.refused("InvalidTargetsException", "CreatePullRequest", `{"title":"t","targets":[{"repositoryName":"shop","sourceReference":"side"},{"repositoryName":"shop","sourceReference":"main"}]}`)
	if again := h.call("CreatePullRequest", `{"title":"louder","description":"please","clientRequestToken":"t1","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`); get(t, again, "pullRequest", "pullRequestId") != id {
		t.Error("the same request gave another pull request")
	}
	if get(t, p, "pullRequest", "approvalRules", 0, "originApprovalRuleTemplate", "approvalRuleTemplateName") != "one" || get(t, p, "pullRequest", "pullRequestTargets", 0, "sourceCommit") != change || get(t, p, "pullRequest", "pullRequestTargets", 0, "mergeBase") != base {
		t.Error(p)
	}
	of := `{"pullRequestId":"` + id + `"`
	at := of + `,"revisionId":"` + revision + `"`
	h.refused("PullRequestCannotBeApprovedByAuthorException", "UpdatePullRequestApprovalState", at+`,"approvalState":"APPROVE"}`)
	h.refused("PullRequestApprovalRulesNotSatisfiedException", "MergePullRequestBySquash", of+`,"repositoryName":"shop"}`)
	h.refused("CannotDeleteApprovalRuleFromTemplateException", "DeletePullRequestApprovalRule", of+`,"approvalRuleName":"one"}`)
	h.call("CreatePullRequestApprovalRule", of+`,"approvalRuleName":"more","approvalRuleContent":"`+rule+`"}`)
	h.refused("ApprovalRuleNameAlreadyExistsException", "CreatePullRequestApprovalRule", of+`,"approvalRuleName":"more","approvalRuleContent":"`+rule+`"}`)
	h.refused("InvalidRuleContentSha256Exception", "UpdatePullRequestApprovalRuleContent", of+`,"approvalRuleName":"more","existingRuleContentSha256":"00","newRuleContent":"`+rule+`"}`)
	h.refused("ApprovalRuleDoesNotExistException", "UpdatePullRequestApprovalRuleContent", of+`,"approvalRuleName":"none","newRuleContent":"`+rule+`"}`)
	h.call("UpdatePullRequestApprovalRuleContent", of+`,"approvalRuleName":"more","newRuleContent":"`+strings.Replace(rule, ":1}", ":2}", 1)+`"}`)
	if got := get(t, h.call("EvaluatePullRequestApprovalRules", at+`}`), "evaluation"); got != `{"approvalRulesNotSatisfied":["one","more"],"approvalRulesSatisfied":[],"approved":false,"overridden":false}` {
		t.Error(got)
	}
	h.call("DeletePullRequestApprovalRule", of+`,"approvalRuleName":"more"}`)

	c := h.call("PostCommentForPullRequest", of+`,"repositoryName":"shop","beforeCommitId":"`+base+`","afterCommitId":"`+change+`","location":{"filePath":"src/a.txt","filePosition":2,"relativeFileVersion":"AFTER"},"content":"why so loud?","clientRequestToken":"c1"}`)
	comment := get(t, c, "comment", "commentId")
	h.call("PostCommentReply", `{"inReplyTo":"`+comment+`","content":"because"}`)
	h.call("PutCommentReaction", `{"commentId":"`+comment+`","reactionValue":":thumbsup:"}`)
	all := h.call("GetCommentsForPullRequest", of+`}`)
	if get(t, all, "commentsForPullRequestData", 0, "comments", 1, "inReplyTo") != comment || get(t, all, "commentsForPullRequestData", 0, "comments", 0, "reactionCounts") != `{":thumbsup:":1}` || get(t, all, "commentsForPullRequestData", 0, "location", "filePosition") != "2" {
		t.Error(all)
	}
	h.call("GetCommentReactions", `{"commentId":"`+comment+`"}`)
	h.call("UpdateComment", `{"commentId":"`+comment+`","content":"why?"}`)
	h.call("DeleteCommentContent", `{"commentId":"`+comment+`"}`)
	h.refused("CommentDeletedException", "GetComment", `{"commentId":"`+comment+`"}`)
	h.refused("CommentDoesNotExistException", "GetComment", `{"commentId":"none"}`)
	h.refused("PathDoesNotExistException", "PostCommentForPullRequest", of+`,"repositoryName":"shop","beforeCommitId":"`+base+`","afterCommitId":"`+change+`","location":{"filePath":"none"},"content":"x"}`)
	h.call("PostCommentForComparedCommit", `{"repositoryName":"shop","afterCommitId":"`+change+`","beforeCommitId":"`+base+`","content":"a commit"}`)
	h.call("GetCommentsForComparedCommit", `{"repositoryName":"shop","afterCommitId":"`+change+`"}`)

	me := h.who
	h.who = source.Person{ARN: "arn:aws:iam::111122223333:user/bob", Name: "bob"}
	h.call("UpdatePullRequestApprovalState", at+`,"approvalState":"APPROVE"}`)
	h.who = me
	if got := get(t, h.call("GetPullRequestApprovalStates", at+`}`), "approvals", 0, "userArn"); got != "arn:aws:iam::111122223333:user/bob" {
		t.Error(got)
	}
	tip := get(t, h.call("PutFile", `{"repositoryName":"shop","branchName":"side","filePath":"b","fileContent":"eAo=","parentCommitId":"`+change+`"}`), "commitId")
	h.refused("RevisionNotCurrentException", "UpdatePullRequestApprovalState", at+`,"approvalState":"APPROVE"}`)
	h.refused("InvalidRevisionIdException", "UpdatePullRequestApprovalState", of+`,"revisionId":"7777","approvalState":"APPROVE"}`)
	at = of + `,"revisionId":"` + get(t, h.call("GetPullRequest", of+`}`), "pullRequest", "revisionId") + `"`
	h.call("OverridePullRequestApprovalRules", at+`,"overrideStatus":"OVERRIDE"}`)
	h.refused("OverrideAlreadySetException", "OverridePullRequestApprovalRules", at+`,"overrideStatus":"OVERRIDE"}`)
	if got := get(t, h.call("GetPullRequestOverrideState", at+`}`), "overridden"); got != "true" {
		t.Error(got)
	}
	h.call("UpdatePullRequestTitle", of+`,"title":"much louder"}`)
	if again := h.call("CreatePullRequest", `{"title":"louder","description":"please","clientRequestToken":"t1","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`); get(t, again, "pullRequest", "pullRequestId") != id {
		t.Error("an edited title made another request of the same one")
	}
	h.call("UpdatePullRequestDescription", of+`,"description":"now"}`)
	h.refused("TipOfSourceReferenceIsDifferentException", "MergePullRequestByThreeWay", of+`,"repositoryName":"shop","sourceCommitId":"`+change+`"}`)
	p = h.call("MergePullRequestByThreeWay", of+`,"repositoryName":"shop","sourceCommitId":"`+tip+`","authorName":"Kim","email":"kim@example.com"}`)
	if get(t, p, "pullRequest", "pullRequestStatus") != "CLOSED" || get(t, p, "pullRequest", "pullRequestTargets", 0, "mergeMetadata", "isMerged") != "true" || get(t, p, "pullRequest", "pullRequestTargets", 0, "mergeMetadata", "mergeOption") != "THREE_WAY_MERGE" {
		t.Error(p)
	}
	h.refused("PullRequestAlreadyClosedException", "MergePullRequestBySquash", of+`,"repositoryName":"shop"}`)
	events := h.call("DescribePullRequestEvents", of+`}`)
	if get(t, events, "pullRequestEvents", 0, "pullRequestEventType") != "PULL_REQUEST_MERGE_STATE_CHANGED" {
		t.Error(events)
	}
	if got := get(t, h.call("ListPullRequests", `{"repositoryName":"shop","pullRequestStatus":"CLOSED"}`), "pullRequestIds"); got != `["`+id+`"]` {
		t.Error(got)
	}
	if got := get(t, h.call("ListPullRequests", `{"repositoryName":"shop","pullRequestStatus":"OPEN"}`), "pullRequestIds"); got != `[]` {
		t.Error(got)
	}
	merged := h.call("GetMergeCommit", `{"repositoryName":"shop","sourceCommitSpecifier":"`+tip+`","destinationCommitSpecifier":"`+base+`"}`)
	if get(t, merged, "mergedCommitId") != get(t, p, "pullRequest", "pullRequestTargets", 0, "mergeMetadata", "mergeCommitId") {
		t.Error(merged)
	}
	h.refused("PullRequestDoesNotExistException", "GetPullRequest", `{"pullRequestId":"77"}`)
	h.refused("InvalidPullRequestIdException", "GetPullRequest", `{"pullRequestId":"x"}`)
}

// Branches are merged without a pull request where their rules allow it, and conflicts are told.
func TestMerge(t *testing.T) {
	h := open(t, wiretest.Options{})
	base, change := h.begun()
	both := `"repositoryName":"shop","sourceCommitSpecifier":"side","destinationCommitSpecifier":"main"`
	if got := get(t, h.call("GetMergeOptions", `{`+both+`}`), "mergeOptions"); got != `["FAST_FORWARD_MERGE","SQUASH_MERGE","THREE_WAY_MERGE"]` {
		t.Error(got)
	}
	tip := get(t, h.call("PutFile", `{"repositoryName":"shop","branchName":"main","filePath":"src/a.txt","fileContent":"b25lCjIK","parentCommitId":"`+base+`"}`), "commitId")
	conflicts := h.call("GetMergeConflicts", `{`+both+`,"mergeOption":"THREE_WAY_MERGE"}`)
	if get(t, conflicts, "mergeable") != "false" || get(t, conflicts, "conflictMetadataList", 0, "filePath") != "src/a.txt" || get(t, conflicts, "conflictMetadataList", 0, "fileSizes", "source") != "8" || get(t, conflicts, "conflictMetadataList", 0, "isBinaryFile", "source") != "false" || get(t, conflicts, "baseCommitId") != base {
		t.Error(conflicts)
	}
	h.refused("ManualMergeRequiredException", "MergeBranchesByThreeWay", `{`+both+`}`)
	change = get(t, h.call("PutFile", `{"repositoryName":"shop","branchName":"side","filePath":"src/a.txt","fileContent":"b25lCjIK","parentCommitId":"`+change+`"}`), "commitId")
	h.call("PutFile", `{"repositoryName":"shop","branchName":"side","filePath":"b","fileContent":"b25lCjIK","parentCommitId":"`+change+`"}`)
	h.refused("ManualMergeRequiredException", "MergeBranchesByFastForward", `{`+both+`}`)
	merged := get(t, h.call("MergeBranchesBySquash", `{`+both+`,"targetBranch":"main","commitMessage":"all of it"}`), "commitId")
	c := h.call("GetCommit", `{"repositoryName":"shop","commitId":"`+merged+`"}`)
	if get(t, c, "commit", "parents") != `["`+tip+`"]` || get(t, c, "commit", "message") != "all of it\n" {
		t.Error(c)
	}
}

// Who may not, is told so; and policies can tell branches apart.
func TestAllowed(t *testing.T) {
	var asked []iam.Request
	h := open(t, wiretest.Options{Deny: func(r iam.Request) bool {
		asked = append(asked, r)
		return r.Action == "codecommit:PutFile" && len(r.Context["codecommit:references"]) == 1 && r.Context["codecommit:references"][0] == "refs/heads/release"
	}})
	base, _ := h.begun()
	h.call("CreateBranch", `{"repositoryName":"shop","branchName":"release","commitId":"`+base+`"}`)
	h.refused("AccessDeniedException", "PutFile", `{"repositoryName":"shop","branchName":"release","filePath":"x","fileContent":"eA==","parentCommitId":"`+base+`"}`)
	id := get(t, h.call("CreatePullRequest", `{"title":"t","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`), "pullRequest", "pullRequestId")
	h.call("GetPullRequest", `{"pullRequestId":"`+id+`"}`)
	if last := asked[len(asked)-1]; last.Action != "codecommit:GetPullRequest" || last.Resource != "arn:aws:codecommit:us-east-1:111122223333:shop" {
		t.Errorf("%+v", last)
	}
}

// Both aws commands work unmodified.
func TestCommands(t *testing.T) {
	for _, client := range wiretest.Clients(t) {
		h := open(t, wiretest.Options{})
		base, change := h.begun()
		run := func(want string, arguments ...string) {
			t.Helper()
			out, problems, err := client.Run(t, h.Server, append([]string{"codecommit"}, arguments...)...)
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("%s %v: %v %s%s, want %s", client.Path, arguments, err, out, problems, want)
			}
		}
		run(`"cloneUrlHttp": "http://haechi.test/git/shop"`, "get-repository", "--repository-name", "shop")
		run("side", "list-branches", "--repository-name", "shop", "--query", "branches[1]", "--output", "text")
		run(`"fileContent": "b25lCnR3bwo="`, "get-file", "--repository-name", "shop", "--file-path", "src/a.txt")
		run(`"changeType": "M"`, "get-differences", "--repository-name", "shop", "--before-commit-specifier", base, "--after-commit-specifier", change)
		run("1", "create-pull-request", "--title", "louder", "--targets", "repositoryName=shop,sourceReference=side,destinationReference=main", "--query", "pullRequest.pullRequestId", "--output", "text")
		run(`"isMerged": true`, "merge-pull-request-by-squash", "--pull-request-id", "1", "--repository-name", "shop")
	}
}

// boto3 pages, reads times, and raises each error as the class that the model has for it.
func TestBoto3(t *testing.T) {
	h := open(t, wiretest.Options{})
	h.begun()
	out, problems, err := h.Python(t, `
c = client('codecommit')
r = c.get_repository(repositoryName='shop')['repositoryMetadata']
print(r['creationDate'].year > 2000, r['repositoryDescription'])
print([p['repositories'] for p in c.get_paginator('list_repositories').paginate()][0][0]['repositoryName'])
print(c.get_file(repositoryName='shop', filePath='src/a.txt')['fileContent'])
p = c.create_pull_request(title='t', targets=[{'repositoryName': 'shop', 'sourceReference': 'side'}])['pullRequest']
print([i for page in c.get_paginator('list_pull_requests').paginate(repositoryName='shop') for i in page['pullRequestIds']])
try: c.update_pull_request_approval_state(pullRequestId=p['pullRequestId'], revisionId=p['revisionId'], approvalState='APPROVE')
except c.exceptions.PullRequestCannotBeApprovedByAuthorException as e: print('own', e.response['ResponseMetadata']['HTTPStatusCode'])
try: c.get_branch(repositoryName='shop', branchName='none')
except c.exceptions.BranchDoesNotExistException as e: print('none')
try: c.update_repository_encryption_key(repositoryName='shop', kmsKeyId='x')
except Exception as e: print(e.response['ResponseMetadata']['HTTPStatusCode'])
print(c.merge_pull_request_by_fast_forward(pullRequestId=p['pullRequestId'], repositoryName='shop')['pullRequest']['pullRequestTargets'][0]['mergeMetadata']['isMerged'])
print(c.put_file(repositoryName='shop', branchName='main', filePath='new', fileContent=b'bytes\x00', parentCommitId=c.get_branch(repositoryName='shop', branchName='main')['branch']['commitId'])['blobId'])
`)
	if err != nil {
		t.Fatalf("%v %s", err, problems)
	}
	want := "True sells\nshop\nb'one\\ntwo\\n'\n['1']\nown 400\nnone\n501\nTrue\n"
	if !strings.HasPrefix(out, want) {
		t.Errorf("%q, want %q", out, want)
	}
}
