package codecommit_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/source"
)

// content is what a file of a commit holds.
func (h *house) content(commit, path string) string {
	h.t.Helper()
	text, err := base64.StdEncoding.DecodeString(get(h.t, h.call("GetFile", `{"repositoryName":"shop","commitSpecifier":"`+commit+`","filePath":"`+path+`"}`), "fileContent"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

func text(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// torn is a repository in which main and side both changed a.txt, side alone b.txt, and main deleted c.txt.
func (h *house) torn() (base, target, head string) {
	h.t.Helper()
	h.call("CreateRepository", `{"repositoryName":"shop"}`)
	commit := func(branch, parent string, files ...string) string {
		in := `{"repositoryName":"shop","branchName":"` + branch + `","commitMessage":"m"`
		if parent != "" {
			in += `,"parentCommitId":"` + parent + `"`
		}
		var put, gone []string
		for i := 0; i < len(files); i += 2 {
			if files[i+1] == "" {
				gone = append(gone, `{"filePath":"`+files[i]+`"}`)
				continue
			}
			put = append(put, `{"filePath":"`+files[i]+`","fileContent":"`+text(files[i+1])+`"}`)
		}
		return get(h.t, h.call("CreateCommit", in+`,"putFiles":[`+strings.Join(put, ",")+`],"deleteFiles":[`+strings.Join(gone, ",")+`]}`), "commitId")
	}
	base = commit("main", "", "a.txt", "1\n2\n3\n4\n5\n6\n7\n", "b.txt", "b\n", "c.txt", "c\n")
	h.call("CreateBranch", `{"repositoryName":"shop","branchName":"side","commitId":"`+base+`"}`)
	head = commit("side", base, "a.txt", "ONE\n2\n3\nFOUR\n5\n6\n7\n", "b.txt", "B\n", "c.txt", "C\n")
	target = commit("main", base, "a.txt", "1\n2\n3\nvier\n5\n6\n7\n8\n", "c.txt", "")
	return base, target, head
}

const both = `"repositoryName":"shop","sourceCommitSpecifier":"side","destinationCommitSpecifier":"main","mergeOption":"THREE_WAY_MERGE"`

// Conflicts are told line by line, or as whole files.
func TestDescribeConflicts(t *testing.T) {
	h := open(t, wiretest.Options{})
	base, _, _ := h.torn()
	lines := h.call("DescribeMergeConflicts", `{`+both+`,"filePath":"a.txt","conflictDetailLevel":"LINE_LEVEL"}`)
	if got := get(t, lines, "mergeHunks"); got != `[{"base":{"endLine":1,"hunkContent":"`+text("1\n")+`","startLine":0},"destination":{"endLine":1,"hunkContent":"`+text("1\n")+`","startLine":0},"isConflict":false,"source":{"endLine":1,"hunkContent":"`+text("ONE\n")+`","startLine":0}},`+
		`{"base":{"endLine":4,"hunkContent":"`+text("4\n")+`","startLine":3},"destination":{"endLine":4,"hunkContent":"`+text("vier\n")+`","startLine":3},"isConflict":true,"source":{"endLine":4,"hunkContent":"`+text("FOUR\n")+`","startLine":3}},`+
		`{"base":{"endLine":7,"hunkContent":"","startLine":7},"destination":{"endLine":8,"hunkContent":"`+text("8\n")+`","startLine":7},"isConflict":false,"source":{"endLine":7,"hunkContent":"","startLine":7}}]` {
		t.Error(got)
	}
	if get(t, lines, "conflictMetadata", "numberOfConflicts") != "1" || get(t, lines, "conflictMetadata", "contentConflict") != "true" || get(t, lines, "baseCommitId") != base {
		t.Error(lines)
	}
	first := h.call("DescribeMergeConflicts", `{`+both+`,"filePath":"a.txt","conflictDetailLevel":"LINE_LEVEL","maxMergeHunks":2}`)
	rest := h.call("DescribeMergeConflicts", `{`+both+`,"filePath":"a.txt","conflictDetailLevel":"LINE_LEVEL","maxMergeHunks":2,"nextToken":"`+get(t, first, "nextToken")+`"}`)
	if get(t, first, "mergeHunks", 1, "isConflict") != "true" || get(t, rest, "mergeHunks", 0, "destination", "hunkContent") != text("8\n") {
		t.Error(first, rest)
	}
	file := h.call("DescribeMergeConflicts", `{`+both+`,"filePath":"a.txt"}`)
	if get(t, file, "mergeHunks", 0, "source", "hunkContent") != text("ONE\n2\n3\nFOUR\n5\n6\n7\n") || get(t, file, "mergeHunks", 0, "destination", "endLine") != "8" {
		t.Error(file)
	}
	clean := h.call("DescribeMergeConflicts", `{`+both+`,"filePath":"b.txt","conflictDetailLevel":"LINE_LEVEL"}`)
	if get(t, clean, "mergeHunks", 0, "isConflict") != "false" || get(t, clean, "conflictMetadata", "numberOfConflicts") != "0" {
		t.Error(clean)
	}
	h.refused("FileDoesNotExistException", "DescribeMergeConflicts", `{`+both+`,"filePath":"none"}`)
	h.refused("InvalidPathException", "DescribeMergeConflicts", `{`+both+`,"filePath":"../a"}`)
	h.refused("PathRequiredException", "DescribeMergeConflicts", `{`+both+`}`)
	h.refused("InvalidConflictDetailLevelException", "DescribeMergeConflicts", `{`+both+`,"filePath":"a.txt","conflictDetailLevel":"ODD"}`)

	all := h.call("BatchDescribeMergeConflicts", `{`+both+`,"conflictDetailLevel":"LINE_LEVEL"}`)
	if get(t, all, "conflicts", 0, "conflictMetadata", "filePath") != "a.txt" || get(t, all, "conflicts", 1, "conflictMetadata", "mergeOperations") != `{"destination":"D","source":"M"}` || get(t, all, "conflicts", 1, "mergeHunks", 0, "isConflict") != "true" {
		t.Error(all)
	}
	some := h.call("BatchDescribeMergeConflicts", `{`+both+`,"filePaths":["c.txt","none","../x","a.txt"],"maxConflictFiles":3,"maxMergeHunks":1}`)
	if get(t, some, "errors", 0, "exceptionName") != "FileDoesNotExistException" || get(t, some, "errors", 1, "exceptionName") != "InvalidPathException" || get(t, some, "conflicts", 0, "conflictMetadata", "filePath") != "c.txt" {
		t.Error(some)
	}
	if some = h.call("BatchDescribeMergeConflicts", `{`+both+`,"filePaths":["c.txt","none","../x","a.txt"],"maxConflictFiles":3,"nextToken":"`+get(t, some, "nextToken")+`"}`); get(t, some, "conflicts", 0, "conflictMetadata", "filePath") != "a.txt" {
		t.Error(some)
	}
	if got := get(t, h.call("GetMergeOptions", `{`+strings.Replace(both, `,"mergeOption":"THREE_WAY_MERGE"`, "", 1)+`}`), "mergeOptions"); got != "[]" {
		t.Error(got)
	}
	if got := get(t, h.call("GetMergeOptions", `{`+strings.Replace(both, `,"mergeOption":"THREE_WAY_MERGE"`, "", 1)+`,"conflictResolutionStrategy":"ACCEPT_SOURCE"}`), "mergeOptions"); got != `["SQUASH_MERGE","THREE_WAY_MERGE"]` {
		t.Error(got)
	}
	if m := h.call("GetMergeConflicts", `{`+both+`,"conflictDetailLevel":"LINE_LEVEL","conflictResolutionStrategy":"ACCEPT_DESTINATION"}`); get(t, m, "mergeable") != "true" {
		t.Error(m)
	}
}

// Conflicts are settled by taking a side, or file by file, and by nothing else.
func TestSettle(t *testing.T) {
	h := open(t, wiretest.Options{})
	_, target, head := h.torn()
	make := func(more string) string {
		t.Helper()
		out := h.call("CreateUnreferencedMergeCommit", `{`+both+`,"commitMessage":"tried"`+more+`}`)
		c := h.call("GetCommit", `{"repositoryName":"shop","commitId":"`+get(t, out, "commitId")+`"}`)
		if get(t, c, "commit", "parents") != `["`+target+`","`+head+`"]` || get(t, c, "commit", "treeId") != get(t, out, "treeId") || get(t, c, "commit", "message") != "tried\n" {
			t.Error(c)
		}
		return get(t, out, "commitId")
	}
	h.refused("ManualMergeRequiredException", "CreateUnreferencedMergeCommit", `{`+both+`}`)
	h.refused("ManualMergeRequiredException", "CreateUnreferencedMergeCommit", `{`+both+`,"conflictResolutionStrategy":"AUTOMERGE"}`)
	id := make(`,"conflictResolutionStrategy":"ACCEPT_SOURCE","conflictDetailLevel":"LINE_LEVEL"`)
	if got := h.content(id, "a.txt") + h.content(id, "b.txt") + h.content(id, "c.txt"); got != "ONE\n2\n3\nFOUR\n5\n6\n7\n8\nB\nC\n" {
		t.Errorf("%q", got)
	}
	id = make(`,"conflictResolutionStrategy":"ACCEPT_DESTINATION"`)
	if got := h.content(id, "a.txt") + h.content(id, "b.txt"); got != "1\n2\n3\nvier\n5\n6\n7\n8\nB\n" {
		t.Errorf("%q", got)
	}
	h.refused("FileDoesNotExistException", "GetFile", `{"repositoryName":"shop","commitSpecifier":"`+id+`","filePath":"c.txt"}`)
	settle := func(replace, gone, modes string) string {
		return `,"conflictResolutionStrategy":"AUTOMERGE","conflictResolution":{"replaceContents":[` + replace + `],"deleteFiles":[` + gone + `],"setFileModes":[` + modes + `]}`
	}
	fresh := `{"filePath":"a.txt","replacementType":"USE_NEW_CONTENT","content":"` + text("mine\n") + `","fileMode":"EXECUTABLE"}`
	id = make(settle(fresh+`,{"filePath":"c.txt","replacementType":"KEEP_BASE"}`, "", ""))
	f := h.call("GetFile", `{"repositoryName":"shop","commitSpecifier":"`+id+`","filePath":"a.txt"}`)
	if get(t, f, "fileMode") != "EXECUTABLE" || get(t, f, "fileContent") != text("mine\n") || h.content(id, "c.txt") != "c\n" {
		t.Error(f)
	}
	for want, more := range map[string]string{
		"ManualMergeRequiredException":                      settle(fresh, "", ""),
		"MultipleConflictResolutionEntriesException":        settle(fresh, `{"filePath":"a.txt"}`, ""),
		"ReplacementContentRequiredException":               settle(`{"filePath":"a.txt","replacementType":"USE_NEW_CONTENT"}`, "", ""),
		"InvalidReplacementContentException":                settle(`{"filePath":"a.txt","replacementType":"KEEP_SOURCE","content":"eA=="}`, "", ""),
		"InvalidReplacementTypeException":                   settle(`{"filePath":"a.txt","replacementType":"ODD"}`, "", ""),
		"ReplacementTypeRequiredException":                  settle(`{"filePath":"a.txt"}`, "", ""),
		"InvalidConflictResolutionException":                settle(fresh+`,{"filePath":"b.txt","replacementType":"KEEP_BASE"}`, `{"filePath":"c.txt"}`, ""),
		"InvalidPathException":                              settle("", `{"filePath":"../x"}`, ""),
		"InvalidFileModeException":                          settle("", "", `{"filePath":"a.txt","fileMode":"ODD"}`),
		"FileModeRequiredException":                         settle("", "", `{"filePath":"a.txt"}`),
		"InvalidConflictResolutionStrategyException":        `,"conflictResolutionStrategy":"ODD"`,
		"InvalidMergeOptionException":                       `,"mergeOption":"FAST_FORWARD_MERGE"`,
		"MaximumConflictResolutionEntriesExceededException": settle(strings.Repeat(fresh+",", 1000)+fresh, "", ""),
	} {
		in := `{` + both + more + `}`
		if strings.Contains(more, "FAST_FORWARD") {
			in = strings.Replace(`{`+both+`}`, "THREE_WAY_MERGE", "FAST_FORWARD_MERGE", 1)
		}
		h.refused(want, "CreateUnreferencedMergeCommit", in)
	}
	h.refused("InvalidConflictResolutionException", "CreateUnreferencedMergeCommit", `{`+both+settle("", `{"filePath":"c.txt"}`, `{"filePath":"a.txt","fileMode":"NORMAL"}`)+`}`)

	merge := `"repositoryName":"shop","sourceCommitSpecifier":"side","destinationCommitSpecifier":"main"`
	h.refused("ManualMergeRequiredException", "MergeBranchesByFastForward", `{`+merge+`}`)
	out := h.call("MergeBranchesByThreeWay", `{`+merge+settle(`{"filePath":"a.txt","replacementType":"KEEP_SOURCE"}`, `{"filePath":"c.txt"}`, "")+`}`)
	if got := h.content("main", "a.txt"); got != "ONE\n2\n3\nFOUR\n5\n6\n7\n" || get(t, h.call("GetBranch", `{"repositoryName":"shop","branchName":"main"}`), "branch", "commitId") != get(t, out, "commitId") {
		t.Errorf("%q", got)
	}
}

// A pull request's conflicts are settled as it is merged only where nothing asks for a review of what comes of it.
func TestSettlePull(t *testing.T) {
	h := open(t, wiretest.Options{})
	_, _, head := h.torn()
	id := get(t, h.call("CreatePullRequest", `{"title":"t","targets":[{"repositoryName":"shop","sourceReference":"side"}]}`), "pullRequest", "pullRequestId")
	of := `{"pullRequestId":"` + id + `","repositoryName":"shop","sourceCommitId":"` + head + `"`
	rule := func(rules source.Rules) {
		t.Helper()
		if _, err := h.source.Change(t.Context(), "shop", func(r *source.Repository) error { r.Rules = rules; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	h.refused("ManualMergeRequiredException", "MergePullRequestByThreeWay", of+`}`)
	for _, asks := range []source.BranchRule{{Approvals: 1}, {CodeOwners: true}, {Owners: []string{"@security"}}, {Checks: []string{"pipeline/shop"}}} {
		asks.Pattern = "main"
		rule(source.Rules{Branches: []source.BranchRule{asks}})
		response, said := h.Call(t, "codecommit", "POST", "/", "CodeCommit_20150413.MergePullRequestByThreeWay", of+`,"conflictResolutionStrategy":"ACCEPT_SOURCE"}`)
		if response.StatusCode != 400 {
			t.Errorf("%+v: %s", asks, said)
		}
	}
	rule(source.Rules{Branches: []source.BranchRule{{Pattern: "main", PullRequest: true}}})
	p := h.call("MergePullRequestByThreeWay", of+`,"conflictResolutionStrategy":"ACCEPT_SOURCE","conflictDetailLevel":"LINE_LEVEL"}`)
	if get(t, p, "pullRequest", "pullRequestTargets", 0, "mergeMetadata", "isMerged") != "true" || h.content("main", "a.txt") != "ONE\n2\n3\nFOUR\n5\n6\n7\n8\n" {
		t.Error(p)
	}
}
