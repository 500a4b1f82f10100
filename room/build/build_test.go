package build_test

import (
	"archive/zip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

func phaseTypes(made build.Build) (types []string) {
	for _, p := range made.Phases {
		types = append(types, p.Type)
	}
	return types
}

// A repository is built by its buildspec, with CodeBuild's phases, log, exported
// variables and artifacts, and events tell of it once.
func TestBuild(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, opener func(...db.Schema) *db.DB) {
		h := open(t, opener(schemas()...), nil)
		h.run()
		commit := h.push("main", "first", map[string]string{
			"buildspec.yml": "version: 0.2\nenv:\n  exported-variables: [WHAT]\nphases:\n  build:\n    commands:\n      - echo building $CODEBUILD_BUILD_NUMBER of $CODEBUILD_INITIATOR\n      - export WHAT=shop\n      - mkdir out && echo hello > out/a.txt\nartifacts:\n  files: ['out/*.txt']\n",
		})
		made := h.built(build.Start{})
		if made.Status != build.Succeeded || !made.Complete || made.Number != 1 {
			t.Fatalf("%s %+v\n%s", made.Status, made.Facts.Reason, h.log(made))
		}
		if want := []string{"SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED"}; !slices.Equal(phaseTypes(made), want) {
			t.Errorf("phases: %v", phaseTypes(made))
		}
		for _, p := range made.Phases[:len(made.Phases)-1] {
			if p.Status != build.Succeeded || p.Duration == nil || p.Ended.IsZero() {
				t.Errorf("%+v", p)
			}
		}
		if log := h.log(made); !strings.Contains(log, "building 1 of user/ada\n") || !strings.Contains(log, "isolation: ") {
			t.Errorf("log: %s", log)
		}
		if len(made.Exported) != 1 || made.Exported[0] != (build.ExportedVariable{Name: "WHAT", Value: "shop"}) {
			t.Errorf("exported: %v", made.Exported)
		}
		f := made.Facts
		if f.Commit != commit || made.ResolvedVersion != commit || f.Ref != "refs/heads/main" || !f.Protected || !f.Trusted || f.Level == "" {
			t.Errorf("%+v", f)
		}
		a, file, err := h.room.Artifact(t.Context(), made.ID, "")
		must(t, err)
		defer file.Close()
		z, err := zip.NewReader(file, a.Size)
		must(t, err)
		if len(z.File) != 1 || z.File[0].Name != "out/a.txt" || a.Commit != commit || "sha256:"+made.Artifacts.SHA256 != a.Digest {
			t.Errorf("%v %+v %+v", z.File, a, made.Artifacts)
		}
		r, err := z.File[0].Open()
		must(t, err)
		if text, err := io.ReadAll(r); err != nil || string(text) != "hello\n" {
			t.Errorf("%q %v", text, err)
		}
		var states []string
		for _, d := range h.told(build.Changed) {
			states = append(states, string(d.Status))
		}
		if !slices.Equal(states, []string{"IN_PROGRESS", "SUCCEEDED"}) {
			t.Errorf("states told: %v", states)
		}
		var phases []string
		for _, d := range h.told(build.PhaseChanged) {
			phases = append(phases, d.Completed)
		}
		if !slices.Equal(phases, phaseTypes(made)[:10]) {
			t.Errorf("phases told: %v", phases)
		}
	})
}

// What fails says where, why and what to do; mistakes in the buildspec have their place.
func TestFailures(t *testing.T) {
	h := alone(t, nil)
	for name, test := range map[string]struct {
		spec        string
		status      build.Status
		phase, text string
		code, where string
	}{
		"command":     {spec("", "echo so far", "exit 3"), build.Failed, build.Building, "command 2 of build ended with status 3", "COMMAND_EXECUTION_ERROR", "phase build"},
		"mistake":     {"version: 0.2\nphases:\n  biuld:\n    commands: [true]\n", build.Failed, build.Provisioning, "biuld", "YAML_FILE_ERROR", "buildspec.yml:3:3"},
		"no artifact": {spec("artifacts:\n  files: [none.txt]\n", "true"), build.Failed, build.UploadArtifacts, "no file matches none.txt", "COMMAND_EXECUTION_ERROR", ""},
	} {
		h.push("main", name, map[string]string{"buildspec.yml": test.spec})
		made := h.built(build.Start{})
		r := made.Facts.Reason
		if made.Status != test.status || r == nil || !strings.Contains(r.Text, test.text) || r.Code != test.code || test.where != "" && r.Where != test.where || r.Do == "" {
			t.Errorf("%s: %s %+v\n%s", name, made.Status, r, h.log(made))
			continue
		}
		i := slices.IndexFunc(made.Phases, func(p build.Phase) bool { return p.Status == build.Failed })
		if i < 0 || made.Phases[i].Type != test.phase || len(made.Phases[i].Contexts) == 0 {
			t.Errorf("%s: %+v", name, made.Phases)
		} else if said := made.Phases[i].Contexts[0].Message; name == "mistake" && !strings.HasPrefix(said, test.where+": ") {
			t.Errorf("%s: the phase says %q", name, said)
		}
	}
	h.push("main", "nothing", map[string]string{"buildspec.yml": spec("", "true")})
	made := h.built(build.Start{Image: "nowhere/x:1"})
	if r := made.Facts.Reason; made.Status != build.Failed || r == nil || r.Code != "CLIENT_ERROR" || !strings.HasPrefix(r.Text, "the image nowhere/x:1") {
		t.Errorf("an image that this machine does not take: %s %+v", made.Status, r)
	}
	if _, err := h.room.Start(t.Context(), build.Start{Project: "shop", Version: "nowhere"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a branch that is not there: %v", err)
	}
	if _, err := h.room.Start(t.Context(), build.Start{Project: "none"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a project that is not there: %v", err)
	}
}

// Secrets go to builds of protected branches with the branch's own buildspec, are
// masked in the log, and are exported nowhere; every other build that asks fails.
func TestSecrets(t *testing.T) {
	const value = "correct-horse-battery"
	h := alone(t, func(c *build.Config) {
		c.Secrets = values{"prod/db:password:AWSCURRENT": value, "region": "moon", "pin": "42", "secure-key": "moonlight"}
	})
	text := "version: 0.2\nenv:\n  secrets-manager: {PASSWORD: 'prod/db:password'}\n  parameter-store: {WHERE: region, PIN: pin, KEY: secure-key}\n  exported-variables: [COPY]\nphases:\n  build:\n    commands:\n      - echo the password is $PASSWORD\n      - 'echo $PASSWORD | base64'\n      - test \"$PASSWORD\" = " + value + "\n      - test \"$WHERE\" = moon\n      - export COPY=$PASSWORD\n"
	h.push("main", "first", map[string]string{"buildspec.yml": text})
	made := h.built(build.Start{})
	log := h.log(made)
	if made.Status != build.Succeeded || strings.Contains(log, value) || strings.Contains(log, "Y29ycmVjdC") || !strings.Contains(log, "the password is ***") || !strings.Contains(log, "secrets: PIN has less than 4 bytes") {
		t.Errorf("%s: %+v\n%s", made.Status, made.Facts.Reason, log)
	}
	if len(made.Exported) != 0 {
		t.Errorf("exported: %v", made.Exported)
	}
	h.push("feature", "another", map[string]string{"a": "b"})
	for name, s := range map[string]build.Start{
		"an unprotected branch":  {Version: "feature"},
		"a buildspec of another": {Buildspec: text},
		"variables of another":   {Variables: []build.Variable{{Name: "BASH_ENV", Value: "/work/src/a"}}},
		"a commit off main":      {Version: h.clone.Git("rev-parse", "HEAD")},
	} {
		made := h.built(s)
		if made.Status != build.Failed || made.Facts.Reason.Code != "SECRETS_REFUSED" {
			t.Errorf("%s: %s %+v\n%s", name, made.Status, made.Facts.Reason, h.log(made))
		}
	}
	if made := h.built(build.Start{Version: h.clone.Git("rev-parse", "HEAD~1")}); made.Status != build.Succeeded {
		t.Errorf("a commit of main: %s %+v", made.Status, made.Facts.Reason)
	}
	for parameter, want := range map[string]build.Status{"region": build.Succeeded, "secure-key": build.Failed} { // what is no secret is everybody's
		open := "version: 0.2\nenv: {parameter-store: {WHERE: " + parameter + "}}\nphases: {build: {commands: [echo at $WHERE., echo $WHERE > where]}}\nartifacts: {files: [where]}\n"
		made := h.built(build.Start{Version: "feature", Buildspec: open})
		if made.Status != want || strings.Contains(h.log(made), "moon") {
			t.Errorf("parameter %s: %s %+v\n%s", parameter, made.Status, made.Facts.Reason, h.log(made))
		}
	}
	if made := h.built(build.Start{Version: "feature", Buildspec: spec("", "true")}); made.Status != build.Succeeded {
		t.Errorf("who asks for none: %s %+v", made.Status, made.Facts.Reason)
	}
}
