package build_test

import (
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/room/build"
)

// A build's log is found by the names that the build says it has: its project's, those that the project asks for, or
// those of the pipeline whose commands it runs; a build that is done once more keeps to them.
func TestLogNames(t *testing.T) {
	h := alone(t, nil)
	commit := h.push("main", "first", map[string]string{"buildspec.yml": spec("", "echo said")})
	found := func(made build.Build, group, prefix string) {
		t.Helper()
		l := made.Logs
		uuid := made.ID[strings.IndexByte(made.ID, ':')+1:]
		if l.Group != group || l.Stream != prefix+uuid || !strings.HasSuffix(l.ARN, ":log-group:"+group+":log-stream:"+l.Stream) {
			t.Errorf("%+v", l)
		}
		s, err := h.work.Stream(t.Context(), l.Group, l.Stream)
		if err != nil || s.ID != made.Stream() {
			t.Errorf("%+v, %v", s, err)
		}
	}
	made := h.built(build.Start{})
	found(made, "/aws/codebuild/shop", "")
	if s, err := h.work.Stream(t.Context(), made.Logs.Group, made.Logs.Stream); err != nil || s.Size == 0 || !s.Ended {
		t.Errorf("%+v, %v", s, err)
	}
	p, err := h.room.Project(t.Context(), "shop")
	must(t, err)
	p.Name, p.Implicit, p.Logs = "named", false, &build.LogsConfig{CloudWatch: &build.CloudWatchLogs{Status: "ENABLED", Group: "shop/logs", Stream: "nightly"}}
	_, err = h.room.CreateProject(t.Context(), p)
	must(t, err)
	made = h.built(build.Start{Project: "named"})
	found(made, "shop/logs", "nightly/")
	made, err = h.room.Retry(t.Context(), made.ID, "", "arn:aws:iam::"+account+":user/ada")
	must(t, err)
	found(made, "shop/logs", "nightly/")

	var id string
	must(t, h.db.Write(t.Context(), func(tx *db.Tx) error {
		id, err = h.room.Begin(tx, build.Action{ID: "run/Test/1", Pipeline: "shop", Repository: "shop", Branch: "main", Commit: commit, Commands: []string{"true"}, Inputs: []build.Input{{Name: "Source"}},
			Stream: "pipeline/run/Test", LogGroup: "/aws/codepipeline/shop", LogName: "one"})
		return err
	}))
	if made := h.ended(id); made.Logs.Group != "/aws/codepipeline/shop" || made.Logs.Stream != "one" {
		t.Errorf("%+v", made.Logs)
	}
	if s, err := h.work.Stream(t.Context(), "/aws/codepipeline/shop", "one"); err != nil || s.ID != "pipeline/run/Test" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []build.CloudWatchLogs{{Group: "a b"}, {Stream: "a:b"}} {
		p.Name, p.Logs = "bad", &build.LogsConfig{CloudWatch: &bad}
		if _, err := h.room.CreateProject(t.Context(), p); err == nil || !strings.Contains(err.Error(), "logsConfig.cloudWatchLogs") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
