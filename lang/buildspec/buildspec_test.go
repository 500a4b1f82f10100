package buildspec_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

const build = "phases:\n  build:\n    commands: [make]\n"

func parse(text string) (*buildspec.Spec, error) {
	return buildspec.Parse("buildspec.yml", []byte(text), "sarif", "trivy-json")
}

// A mistake in the file is shown with its place and what to do.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no version":        {build, "buildspec.yml: there is no version (write version: 0.2)"},
		"other version":     {"version: 0.3\n" + build, "buildspec.yml:1:10: version 0.3 is not supported (write version: 0.2)"},
		"no phases":         {"version: 0.2\n", "there are no phases"},
		"unknown key":       {"version: 0.2\nphasess:\n", `buildspec.yml:2:1: unknown key "phasess" (did you mean "phases"?)`},
		"phase":             {"version: 0.2\nphases:\n  biuld:\n    commands: [make]\n", `buildspec.yml:3:3: there is no phase "biuld" (did you mean "build"?)`},
		"command":           {"version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n", "buildspec.yml:5:9: one value is wanted here, not keys and values (a command with a colon"},
		"on-failure":        {"version: 0.2\nphases:\n  build:\n    on-failure: RETYR-3\n    commands: [make]\n", "buildspec.yml:4:17: on-failure: RETYR-3 is not supported (there are ABORT"},
		"on-failure count":  {"version: 0.2\nphases:\n  build:\n    on-failure: RETRY-101\n    commands: [make]\n", "100 at most"},
		"on-failure regex":  {"version: 0.2\nphases:\n  build:\n    on-failure: RETRY-2-(\n    commands: [make]\n", "buildspec.yml:4:17: on-failure: RETRY-2-( holds no regular expression"},
		"shell":             {"version: 0.2\nenv:\n  shell: powershell.exe\n" + build, `buildspec.yml:3:10: shell powershell.exe is Windows's`},
		"reserved":          {"version: 0.2\nenv:\n  variables:\n    CODEBUILD_X: y\n" + build, "buildspec.yml:4:5: variables that start with CODEBUILD_ are set by the build"},
		"bad variable":      {"version: 0.2\nenv:\n  variables:\n    'A B': y\n" + build, "buildspec.yml:4:5: \"A B\" cannot be a variable"},
		"newline in name":   {"version: 0.2\nenv:\n  variables:\n    \"A\\nB\": y\n" + build, "cannot be a variable"},
		"run-as":            {"version: 0.2\nrun-as: 'a b'\n" + build, "buildspec.yml:2:9: \"a b\" cannot be a user"},
		"runtimes":          {"version: 0.2\nphases:\n  build:\n    runtime-versions: {golang: 1.x}\n    commands: [make]\n", "write it below install"},
		"secret twice":      {"version: 0.2\nenv:\n  variables: {A: b}\n  secrets-manager: {A: c}\n" + build, "variable A is said twice"},
		"secret forms":      {"version: 0.2\nenv:\n  secrets-manager:\n    A: id:key:STAGE:version\n" + build, "buildspec.yml:4:8: \"id:key:STAGE:version\" says a stage and a version"},
		"secret parts":      {"version: 0.2\nenv:\n  secrets-manager:\n    A: id:key:STAGE:version:more\n" + build, "has too many parts"},
		"secret id":         {"version: 0.2\nenv:\n  secrets-manager:\n    A: ':key'\n" + build, "names no secret"},
		"secret arn":        {"version: 0.2\nenv:\n  secrets-manager:\n    A: arn:aws:s3:::x\n" + build, "is no ARN of a secret"},
		"exported secret":   {"version: 0.2\nenv:\n  secrets-manager: {A: c}\n  exported-variables: [A]\n" + build, "A cannot be exported: it is a secret"},
		"exported AWS_":     {"version: 0.2\nenv:\n  exported-variables:\n    - AWS_KEY\n" + build, "buildspec.yml:3:3: AWS_KEY cannot be exported"},
		"report format":     {"version: 0.2\n" + build + "reports:\n  r:\n    files: [x]\n    file-format: JUNIT\n", "buildspec.yml:8:18: file-format JUNIT of report group r is not supported"},
		"report files":      {"version: 0.2\n" + build + "reports:\n  r: {}\n", "buildspec.yml:6:3: report group r names no files"},
		"report folder":     {"version: 0.2\n" + build + "reports:\n  r: {files: [x], base-directory: ../x}\n", "is not a pattern of files of the build"},
		"report root":       {"version: 0.2\n" + build + "reports:\n  r: {files: [/etc/passwd]}\n", "is not a pattern of files of the build"},
		"report pattern":    {"version: 0.2\n" + build + "reports:\n  r: {files: ['[']}\n", "is no pattern"},
		"report groups":     {"version: 0.2\n" + build + "reports: {a: {files: [x]}, b: {files: [x]}, c: {files: [x]}, d: {files: [x]}, e: {files: [x]}, f: {files: [x]}}\n", "there are 6 report groups"},
		"artifact files":    {"version: 0.2\n" + build + "artifacts:\n  name: x\n", "buildspec.yml:5:1: artifacts names no files"},
		"artifact climbs":   {"version: 0.2\n" + build + "artifacts:\n  files: [a/../../b]\n", "is not a pattern of files of the build"},
		"artifact id":       {"version: 0.2\n" + build + "artifacts: {files: [a], secondary-artifacts: {a-b: {files: [b]}}}\n", `"a-b" cannot be the identifier of an artifact`},
		"yes or no":         {"version: 0.2\n" + build + "artifacts:\n  files: [a]\n  discard-paths: maybe\n", `buildspec.yml:7:18: "maybe": yes or no is wanted here`},
		"cache paths":       {"version: 0.2\n" + build + "cache: {key: x}\n", "the cache has no paths"},
		"cache action":      {"version: 0.2\n" + build + "cache: {action: both, paths: [x]}\n", `action "both" of the cache is not supported`},
		"cache fallbacks":   {"version: 0.2\n" + build + "cache: {key: k, fallback-keys: [a, b, c, d, e, f], paths: [x]}\n", "there are 6 fallback-keys"},
		"old env":           {"version: 0.2\nenvironment_variables: {plaintext: {A: b}}\n" + build, "environment_variables is of version 0.1"},
		"batch empty":       {"version: 0.2\nbatch: {fast-fail: true}\n", "the batch has no builds"},
		"batch two":         {"version: 0.2\nbatch: {build-list: [{}], build-fanout: {parallelism: 2}}\n", "the batch is a build-list already"},
		"batch id":          {"version: 0.2\nbatch:\n  build-graph:\n    - env: {type: x}\n", "has no identifier"},
		"batch bad id":      {"version: 0.2\nbatch:\n  build-graph:\n    - identifier: a b\n", `buildspec.yml:4:19: "a b" cannot be an identifier`},
		"batch same id":     {"version: 0.2\nbatch:\n  build-graph:\n    - identifier: a\n    - identifier: a\n", "buildspec.yml:5:19: two builds are called a"},
		"batch unknown":     {"version: 0.2\nbatch:\n  build-graph:\n    - identifier: abc\n    - identifier: b\n      depend-on: [abd]\n", `b depends on "abd", which there is not (did you mean "abc"?)`},
		"batch cycle":       {"version: 0.2\nbatch:\n  build-graph:\n    - {identifier: a, depend-on: [b]}\n    - {identifier: b, depend-on: [c]}\n    - {identifier: c, depend-on: [b]}\n", "builds wait for each other: b → c → b"},
		"batch list waits":  {"version: 0.2\nbatch:\n  build-list:\n    - {identifier: a, depend-on: [a]}\n", "write build-graph instead"},
		"batch fleet":       {"version: 0.2\nbatch:\n  build-list:\n    - {env: {fleet: f, compute-type: c}}\n", "a compute-type or a fleet, not both"},
		"batch climbs":      {"version: 0.2\nbatch:\n  build-list:\n    - buildspec: ../x.yml\n", "is no file of the repository"},
		"batch too many":    {"version: 0.2\nbatch: {build-matrix: {dynamic: {env: {image: [a, b, c, d, e, f], variables: {A: ['1', '2', '3', '4', '5'], B: ['1', '2', '3', '4']}}}}}\n", "more than 100 builds"},
		"batch fan-out":     {"version: 0.2\nbatch:\n  build-fanout:\n    parallelism: 0\n", "buildspec.yml:4:18: parallelism is 0"},
		"batch fan-out big": {"version: 0.2\nbatch:\n  build-fanout:\n    parallelism: 1000000000\n", "and not from 1 to 100"},
		"too long":          {"version: 0.2\nx: &x " + strings.Repeat("y", 60_000) + "\nphases:\n  build:\n    commands: [" + strings.Repeat("*x, ", 30) + "]\n", `unknown key "x"`},
		"aliases":           {"version: 0.2\nphases:\n  install:\n    commands:\n      - &x " + strings.Repeat("y", 60_000) + "\n      - *x" + strings.Repeat("\n      - *x", 30) + "\n", "put them into a script"},
		"not YAML":          {"version: 0.2\n\tphases:\n", "buildspec.yml:2"},
		"zero":              {"version: 0.2\nphases: {build: {commands: [\"a\\0b\"]}}\n", "zero byte"},
	} {
		_, err := parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		var place *diag.Error
		if !errors.Is(err, fault.Invalid) || !errors.As(err, &place) {
			t.Errorf("%s: %#v is no mistake with a place", name, err)
		}
	}
}

// All that a file may say is read.
func TestWhole(t *testing.T) {
	got, err := parse(`
version: 0.2
run-as: builder
env:
  shell: bash
  variables: {JAVA_HOME: /usr/lib/jvm, N: 1, EMPTY: ""}
  parameter-store: {LOGIN: /CodeBuild/login}
  secrets-manager:
    WHOLE: prod/db
    KEY: prod/db:password
    STAGE: prod/db:password:AWSPREVIOUS
    VERSION: prod/db:::0a1b
    ARN: arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf:password
  exported-variables: [TAG, N, TAG]
  git-credential-helper: yes
proxy: {upload-artifacts: yes, logs: no}
phases:
  post_build:
    on-failure: retry-4-timed out.*
    commands: echo one
  install:
    run-as: nobody
    on-failure: CONTINUE
    runtime-versions: {golang: 1.x}
    commands: [a, b]
    finally: [c]
  build:
    on-failure: RETRY-invalid+
  pre_build:
    on-failure: RETRY-0
reports:
  tests: {files: ['**/*.xml'], base-directory: ./out/, discard-paths: yes}
  arn:aws:codebuild:eu-west-1:111122223333:report-group/x:
    files: x.json
    file-format: cucumberjson
  sast: {files: [r.sarif], file-format: SARIF}
  all: {files: [r], file-format: Security}
artifacts:
  files: ['**/*']
  name: app-$(date +%F)
  base-directory: 'my-build*'
  exclude-paths: '**/.git/**/*'
  enable-symlinks: yes
  s3-prefix: p
  discard-paths: no
  secondary-artifacts:
    two: {files: [b], discard-paths: yes}
    one: {files: [a], name: first}
cache:
  key: go-$(codebuild-hash-files go.sum)
  fallback-keys: [go-]
  action: restore
  paths: ['/root/.cache/**/*', vendor/**/*]
`)
	if err != nil {
		t.Fatal(diag.Detail(err))
	}
	want := &buildspec.Spec{
		Version: "0.2", RunAs: buildspec.User{Name: "builder", At: "buildspec.yml:3"}, Shell: "bash", GitHelper: true,
		Variables:  map[string]string{"JAVA_HOME": "/usr/lib/jvm", "N": "1", "EMPTY": ""},
		Parameters: map[string]string{"LOGIN": "/CodeBuild/login"},
		Secrets: map[string]buildspec.Secret{
			"WHOLE":   {ID: "prod/db", Stage: "AWSCURRENT"},
			"KEY":     {ID: "prod/db", Key: "password", Stage: "AWSCURRENT"},
			"STAGE":   {ID: "prod/db", Key: "password", Stage: "AWSPREVIOUS"},
			"VERSION": {ID: "prod/db", Version: "0a1b"},
			"ARN":     {ID: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf", Key: "password", Stage: "AWSCURRENT"},
		},
		Exported: []string{"N", "TAG"},
		Proxy:    buildspec.Proxy{Artifacts: true},
		Phases: []buildspec.Phase{
			{Name: "install", RunAs: buildspec.User{Name: "nobody", At: "buildspec.yml:22"}, OnFailure: buildspec.OnFailure{Do: "CONTINUE"}, Commands: []string{"a", "b"}, Finally: []string{"c"}},
			{Name: "pre_build", OnFailure: buildspec.OnFailure{Do: "RETRY"}},
			{Name: "build", OnFailure: buildspec.OnFailure{Do: "RETRY", Times: 3, Message: regexp.MustCompile("invalid+")}},
			{Name: "post_build", OnFailure: buildspec.OnFailure{Do: "RETRY", Times: 4, Message: regexp.MustCompile("timed out.*")}, Commands: []string{"echo one"}},
		},
		Reports: []buildspec.ReportGroup{
			{Name: "all", Files: []string{"r"}, Format: "security"},
			{Name: "arn:aws:codebuild:eu-west-1:111122223333:report-group/x", Files: []string{"x.json"}, Format: "CUCUMBERJSON"},
			{Name: "sast", Files: []string{"r.sarif"}, Format: "sarif"},
			{Name: "tests", Files: []string{"**/*.xml"}, Folder: "out", DiscardPaths: true},
		},
		Artifacts: []buildspec.Artifact{
			{Name: "app-$(date +%F)", Files: []string{"**/*"}, Folder: "my-build*", Exclude: []string{"**/.git/**/*"}, Symlinks: true, Prefix: "p"},
			{ID: "one", Name: "first", Files: []string{"a"}},
			{ID: "two", Files: []string{"b"}, DiscardPaths: true},
		},
		Cache: buildspec.Cache{Paths: []string{"/root/.cache/**/*", "vendor/**/*"}, Key: "go-$(codebuild-hash-files go.sum)", Fallbacks: []string{"go-"}, NoSave: true},
		Warnings: []string{
			"Skipping install of runtimes. runtime-versions: golang 1.x is passed over: the build has the tools of its image or server",
		},
	}
	same := cmp.Comparer(func(a, b *regexp.Regexp) bool {
		return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
	})
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.Reports[0].Security() || !got.Reports[2].Security() || got.Reports[1].Security() || got.Reports[3].Security() {
		t.Error("reports of tests and of security are mixed up")
	}
}

// What people write in other ways than the reference does is taken as it is meant.
func TestForms(t *testing.T) {
	s, err := parse("# a comment\r\nversion: \"0.2\"   # quoted\r\nenv:\r\n  variables:\r\n    EMPTY:\r\n    YES: yes\r\n    DATE: 2026-01-02\r\n    OCTAL: 0755\r\n" +
		"phases:\r\n  pre_build:\r\n    commands:\r\n    finally:\r\n  build:\r\n    commands:\r\n      - 1\r\n      - true\r\n      - >-\r\n        make\r\n        all\r\n" +
		"artifacts:\r\n  type: zip\r\n  files: '**/*'\r\n  discard-paths: True\r\nreports:\r\n  $GROUP:\r\n    file-format: junitXml\r\n    files: x.xml\r\ncache:\r\n  paths: '/root/.m2/**/*'\r\n")
	if err != nil {
		t.Fatal(diag.Detail(err))
	}
	if diff := cmp.Diff(map[string]string{"EMPTY": "", "YES": "yes", "DATE": "2026-01-02", "OCTAL": "0755"}, s.Variables); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1", "true", "make all"}, s.Phases[1].Commands); diff != "" || len(s.Phases) != 2 || s.Reports[0].Format != "JUNITXML" || !s.Artifacts[0].DiscardPaths {
		t.Errorf("%s %+v", diff, s)
	}
	if diff := cmp.Diff([]string{"artifacts/type is passed over: it is of version 0.1"}, s.Warnings); diff != "" {
		t.Error(diff)
	}
}

// Version 0.1 says its variables in other words.
func TestOld(t *testing.T) {
	s, err := parse("version: 0.1\nenvironment_variables:\n  plaintext: {A: b}\n" + build + "artifacts: {type: zip, files: [x]}\n")
	if err != nil || s.Version != "0.1" || s.Variables["A"] != "b" {
		t.Errorf("%+v %v", s, err)
	}
}

// A batch is a list of builds, whichever way it is said.
func TestBatch(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want buildspec.Batch
	}{
		"graph": {`
batch:
  fast-fail: true
  build-graph:
    - {identifier: a, ignore-failure: true, debug-session: true, env: {compute-type: BUILD_GENERAL1_SMALL, image: x, type: LINUX_CONTAINER, variables: {V: w}}}
    - {identifier: b, buildspec: ci/b.yml, depend-on: [a]}
`, buildspec.Batch{Kind: "build-graph", FastFail: true, Builds: []buildspec.Build{
			{Identifier: "a", IgnoreFailure: true, Debug: true, Env: buildspec.Environment{Compute: "BUILD_GENERAL1_SMALL", Image: "x", Type: "LINUX_CONTAINER", Variables: map[string]string{"V": "w"}}},
			{Identifier: "b", Buildspec: "ci/b.yml", DependOn: []string{"a"}},
		}}},
		"list": {`
batch:
  build-list:
    - {env: {image: x}}
    - {identifier: two, env: {fleet: f}}
`, buildspec.Batch{Kind: "build-list", Builds: []buildspec.Build{
			{Identifier: "build1", Env: buildspec.Environment{Image: "x"}}, {Identifier: "two", Env: buildspec.Environment{Fleet: "f"}},
		}}},
		"matrix": {`
batch:
  build-matrix:
    static: {ignore-failure: yes, env: {type: LINUX_CONTAINER, privileged-mode: true}}
    dynamic:
      buildspec: [a.yml, b.yml]
      env: {image: [x], variables: {V: ['1', '2']}}
`, buildspec.Batch{Kind: "build-matrix", Builds: []buildspec.Build{
			{Identifier: "build1", Buildspec: "a.yml", IgnoreFailure: true, Env: buildspec.Environment{Image: "x", Type: "LINUX_CONTAINER", Privileged: true, Variables: map[string]string{"V": "1"}}},
			{Identifier: "build2", Buildspec: "a.yml", IgnoreFailure: true, Env: buildspec.Environment{Image: "x", Type: "LINUX_CONTAINER", Privileged: true, Variables: map[string]string{"V": "2"}}},
			{Identifier: "build3", Buildspec: "b.yml", IgnoreFailure: true, Env: buildspec.Environment{Image: "x", Type: "LINUX_CONTAINER", Privileged: true, Variables: map[string]string{"V": "1"}}},
			{Identifier: "build4", Buildspec: "b.yml", IgnoreFailure: true, Env: buildspec.Environment{Image: "x", Type: "LINUX_CONTAINER", Privileged: true, Variables: map[string]string{"V": "2"}}},
		}}},
		"fan-out": {`
batch:
  build-fanout: {parallelism: 2, ignore-failure: true}
`, buildspec.Batch{Kind: "build-fanout", Builds: []buildspec.Build{
			{Identifier: "build1", IgnoreFailure: true, Shards: 2}, {Identifier: "build2", IgnoreFailure: true, Shard: 1, Shards: 2},
		}}},
	} {
		s, err := parse("version: 0.2" + c.text)
		if err != nil {
			t.Errorf("%s: %s", name, diag.Detail(err))
			continue
		}
		if diff := cmp.Diff(&c.want, s.Batch); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// No file makes the reader panic or grow without bounds, and what it takes it takes twice alike.
func FuzzParse(f *testing.F) {
	f.Add([]byte("version: 0.2\nenv:\n  shell: bash\n  variables: {A: b}\n  secrets-manager: {B: 'a:b:c'}\nphases:\n  install:\n    runtime-versions: {golang: 1.x}\n    commands: [a, b]\n    finally: [c]\n    on-failure: RETRY-2-x\n"))
	f.Add([]byte("version: 0.2\nphases: &p\n  build: &b\n    commands: [*p]\n"))
	f.Add([]byte("version: 0.2\nbatch:\n  build-graph:\n    - {identifier: a, depend-on: [b]}\n    - {identifier: b}\n"))
	f.Add([]byte("version: 0.2\nbatch: {build-matrix: {dynamic: {env: {image: [a, b], variables: {V: [w]}}}}}\nartifacts: {files: ['**/*'], secondary-artifacts: {a: {files: [b]}}}\ncache: {paths: [a]}\nreports: {r: {files: [x]}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := buildspec.Parse("buildspec.yml", text)
		if err != nil {
			_ = diag.Detail(err)
			return
		}
		if spec.Batch != nil && len(spec.Batch.Builds) > buildspec.MostBuilds {
			t.Errorf("a batch of %d builds", len(spec.Batch.Builds))
		}
		if again, err := buildspec.Parse("buildspec.yml", text); err != nil || len(again.Phases) != len(spec.Phases) {
			t.Errorf("the second time: %v", err)
		}
	})
}
