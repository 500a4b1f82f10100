package build_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// other is a second repository with one commit on main, and that commit. Whoever may push there may not push to shop.
func (h *house) other(name string, files map[string]string) (commit string) {
	h.t.Helper()
	_, err := h.source.Create(h.t.Context(), source.Repository{Name: name})
	must(h.t, err)
	repo, err := h.source.Git(name)
	must(h.t, err)
	commit = h.clone.Commit("of "+name, files)
	h.clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	return commit
}

// project makes a project of shop that finds a secret in its environment.
func (h *house) project(name, kind string) {
	h.t.Helper()
	p := build.Project{
		Name: name, Source: build.Source{Type: kind, Buildspec: "buildspec.yml"}, Artifacts: build.Artifacts{Type: "NO_ARTIFACTS"}, ServiceRole: "arn:aws:iam::" + account + ":role/ci",
		Environment: build.Environment{Type: "LINUX_CONTAINER", Image: "haechi/host", ComputeType: "BUILD_GENERAL1_SMALL"}, Cache: build.Cache{Type: "LOCAL", Modes: []string{"LOCAL_CUSTOM_CACHE"}},
	}
	if kind == "CODECOMMIT" {
		p.Source.Location = "shop"
	}
	if kind == "CODEPIPELINE" {
		p.Artifacts.Type = kind
	}
	_, err := h.room.CreateProject(h.t.Context(), p)
	must(h.t, err)
}

// The pipeline that a repository's file describes builds no project of another repository, and where several
// build one project, none finds what another has put into its cache, protected or not.
func TestRepositoriesApart(t *testing.T) {
	h := alone(t, nil)
	text := func(say string) map[string]string {
		return map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  build:\n    commands:\n      - echo found $(cat kept/what)\n      - mkdir -p kept && echo " + say + " > kept/what\ncache:\n  paths: ['kept/**/*']\n"}
	}
	shop := h.push("main", "first", text("good"))
	evil := h.other("evil", text("poison"))
	h.project("release", "CODECOMMIT")
	h.project("common", "CODEPIPELINE")
	n := 0
	begin := func(pipeline, repository, commit, project string) (id string, err error) {
		n++
		err = h.db.Write(t.Context(), func(tx *db.Tx) error {
			id, err = h.room.Begin(tx, build.Action{
				ID: "run/Build/" + strings.Repeat("i", n), Pipeline: pipeline, Repository: repository, Branch: "main", Commit: commit, Protected: true,
				Configuration: map[string]string{"ProjectName": project}, Inputs: []build.Input{{Name: "Source"}},
			})
			return err
		})
		return id, err
	}
	if _, err := begin("evil", "evil", evil, "release"); !errors.Is(err, fault.Invalid) {
		t.Errorf("the file of evil builds a project of shop: %v", err)
	}
	for _, project := range []string{"common", "release"} {
		id, err := begin("made-by-an-administrator", "evil", evil, project)
		must(t, err)
		if made := h.ended(id); made.Status != build.Succeeded || !made.Facts.Trusted {
			t.Fatalf("%s %+v", made.Status, made.Facts.Reason)
		}
		for _, want := range []string{"\nfound\n", "\nfound good\n"} {
			id, err := begin("shop", "shop", shop, project)
			must(t, err)
			if log := h.log(h.ended(id)); strings.Contains(log, "poison") || !strings.Contains(log, want) {
				t.Errorf("%s has another's cache:\n%s", project, log)
			}
		}
	}
}

// Whoever starts a build with another version of a secondary source has brought what is built: it gets no secrets.
func TestSecondaryVersionIsAnOverride(t *testing.T) {
	h := alone(t, func(c *build.Config) { c.Secrets = values{"db::AWSCURRENT": "correct-horse"} })
	h.push("main", "first", map[string]string{"buildspec.yml": "version: 0.2\nenv: {secrets-manager: {P: db}}\nphases: {build: {commands: ['sh $CODEBUILD_SRC_DIR_lib/run.sh']}}\n"})
	h.other("lib", map[string]string{"run.sh": "echo fine\n"})
	lib, err := h.source.Git("lib")
	must(t, err)
	h.clone.Commit("theirs", map[string]string{"run.sh": "echo $P | rev\n"})
	h.clone.Git("push", "-q", lib.Dir(), "HEAD:refs/heads/side")
	h.project("release", "CODECOMMIT")
	_, err = h.room.ChangeProject(t.Context(), "release", func(p *build.Project) error {
		p.SecondarySources = []build.Source{{Type: "CODECOMMIT", Location: "lib", Identifier: "lib"}}
		return nil
	})
	must(t, err)
	if made := h.built(build.Start{Project: "release"}); made.Status != build.Succeeded {
		t.Errorf("%s %+v\n%s", made.Status, made.Facts.Reason, h.log(made))
	}
	made := h.built(build.Start{Project: "release", SecondaryVersions: []build.SourceVersion{{Identifier: "lib", Version: "side"}}})
	if made.Facts.Reason == nil || made.Facts.Reason.Code != "SECRETS_REFUSED" {
		t.Errorf("%s %+v\n%s", made.Status, made.Facts.Reason, h.log(made))
	}
}

// Reports lie in groups of the repository whose builds made them: another's builds report nothing there, neither by the
// group's ARN nor by a name that comes to the same.
func TestReportsApart(t *testing.T) {
	h := alone(t, nil)
	const xml = `<testsuite name="s"><testcase name="pays"/></testsuite>`
	text := func(group string) map[string]string {
		return map[string]string{"t.xml": xml, "buildspec.yml": "version: 0.2\nphases: {build: {commands: [\"true\"]}}\nreports: {'" + group + "': {files: [t.xml]}}\n"}
	}
	h.push("main", "first", text("unit"))
	if made := h.built(build.Start{}); len(made.Reports) != 1 {
		t.Fatalf("%s %+v", made.Status, made.Facts.Reason)
	}
	arn := "arn:aws:codebuild:" + region + ":" + account + ":report-group/shop-unit"
	h.other("evil", text(arn))
	made := h.built(build.Start{Project: "evil"})
	if len(made.Reports) != 0 || made.Facts.Reason == nil || !strings.Contains(made.Facts.Reason.Text, "that of builds of shop") {
		t.Errorf("another repository's tests are among shop's: %v %+v", made.Reports, made.Facts.Reason)
	}
	if all, err := h.room.Reports(t.Context(), "shop-unit", "", false, 0, 10); err != nil || len(all) != 1 {
		t.Errorf("%d reports, %v", len(all), err)
	}
	_, err := h.room.CreateGroup(t.Context(), build.ReportGroup{Name: "shared", Type: build.TestReports, Export: build.ReportExport{Type: "NO_EXPORT"}})
	must(t, err)
	h.other("more", text(strings.Replace(arn, "shop-unit", "shared", 1)))
	if made := h.built(build.Start{Project: "more"}); len(made.Reports) != 1 {
		t.Errorf("a group that somebody made for all: %+v", made.Facts.Reason)
	}
}
