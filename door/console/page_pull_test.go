package console_test

import (
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
)

// A pull request that does not merge by itself shows where, and what to do.
func TestConflictsAreShown(t *testing.T) {
	h := home(t)
	admin := h.admin()
	ctx := t.Context()
	if _, err := h.source.Create(ctx, source.Repository{Name: "torn"}); err != nil {
		t.Fatal(err)
	}
	commit := func(branch, parent, text string) string {
		t.Helper()
		id, _, err := h.source.Commit(ctx, source.Commit{Repository: "torn", Branch: branch, Parent: parent, By: source.Person{ARN: "arn:aws:iam::000000000000:user/kim", Name: "kim"}, Message: "m", Edits: []git.Edit{{Path: "a<b>.txt", Mode: git.ModeFile, Content: []byte(text)}}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	base := commit("main", "", "1\n2\n3\n4\n5\n")
	if err := h.source.CreateBranch(ctx, "torn", "side", base, "x"); err != nil {
		t.Fatal(err)
	}
	commit("side", base, "ONE\n2\n3\n4\nfive <script>\n")
	if _, err := h.source.CreatePull(ctx, source.NewPull{Repository: "torn", Title: "t", Source: "side", Author: source.Person{ARN: "arn:aws:iam::000000000000:user/kim", Name: "kim"}}); err != nil {
		t.Fatal(err)
	}
	if page := admin.get("/pulls/1").body; strings.Contains(page, `id="conflicts"`) {
		t.Error("it merges by itself")
	}
	commit("main", base, "1\n2\n3\n4\nfünf\n")
	page := admin.get("/pulls/1").body
	_, part, found := strings.Cut(page, `id="conflicts"`)
	part, _, _ = strings.Cut(part, "</section>")
	for _, want := range []string{"Conflicts: 1", "Merge main into side", "a&lt;b&gt;.txt", "@@ -5,1 +5,1 @@", "fünf", "five &lt;script&gt;"} {
		if !strings.Contains(part, want) {
			t.Errorf("the conflict does not show %q", want)
		}
	}
	if !found || strings.Contains(part, "ONE") {
		t.Errorf("what one side alone changed is no conflict: %s", part)
	}
}
