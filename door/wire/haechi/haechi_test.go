package haechi_test

import (
	"context"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/route"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) {
	wiretest.Ops(t, haechi.Service(nil, nil, nil, nil, nil, nil, nil, haechi.Repositories{}), "ops.txt", *update)
}

func serve(t *testing.T, o wiretest.Options, operation string) func(input string) (status int, body string) {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), route.Schema(), access.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	key, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := route.New(route.Config{DB: d, Bus: bus.New(d), Account: wiretest.Account, Region: wiretest.Region, Seal: key, HTTP: http.DefaultClient})
	people := access.New(access.Config{DB: d, Sealer: key, Account: wiretest.Account})
	for _, name := range []string{"tester", "shipper"} {
		if err := people.CreateUser(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	service := haechi.Service(routes{r}, nil, people, nil, nil, nil, nil, haechi.Repositories{})
	s := wiretest.Serve(t, o, service)
	return func(input string) (int, string) {
		t.Helper()
		response, body := s.Call(t, "haechi", "POST", "/", "Haechi."+operation, input)
		if response.StatusCode == http.StatusOK {
			wiretest.Valid(t, service.Model, operation, body)
		}
		return response.StatusCode, string(body)
	}
}

const files = `"Files":[{"Name":"routes.yaml","Text":"targets:\n  - name: slack/ops\n    settings: {url: env:HOOK}\nroutes:\n  - name: high\n    pattern: {source: [aws.securityhub]}\n    to: [{target: slack/ops}]\n"}]`

// A dry run tells what would be done, and does nothing; applying does it once.
func TestApplyConfig(t *testing.T) {
	call := serve(t, wiretest.Options{}, "ApplyConfig")
	const secret = `"Secrets":{"env:HOOK":"https://hooks.slack.com/services/` + `T0/B0/x"}`
	for _, c := range []struct{ input, want string }{
		{`{` + files + `,` + secret + `,"DryRun":true}`, `"Do":"create","What":"target","Name":"slack/ops"`},
		{`{` + files + `,` + secret + `}`, `"Name":"default/high"`},
		{`{` + files + `,` + secret + `}`, `{"Changes":[]}`},
		{`{"Files":[],"DryRun":true}`, `"Do":"delete","What":"target","Name":"slack/ops"`},
	} {
		if status, body := call(c.input); status != http.StatusOK || !strings.Contains(body, c.want) || strings.Contains(body, "hooks.slack.com") {
			t.Errorf("%s: %d %s, want %s", c.input, status, body, c.want)
		}
	}
}

// What is wrong in a file is told with its place; a secret that did not come is never looked for here; who may not, may not.
func TestApplyConfigRefused(t *testing.T) {
	t.Setenv("HOOK", "https://hooks.example.com/of-the-server")
	call := serve(t, wiretest.Options{}, "ApplyConfig")
	for _, c := range []struct{ input, want string }{
		{`{` + files + `}`, `env:HOOK did not come with the files`},
		{`{"Files":[{"Name":"r.yaml","Text":"routs: []"}]}`, `r.yaml:1:1`},
		{`{"Files":[{"Name":"r.yaml"}]}`, `Text`},
		{`{}`, `Files`},
	} {
		if status, body := call(c.input); status != http.StatusBadRequest || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want 400 with %s", c.input, status, body, c.want)
		}
	}
	denied := serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return r.Action == "haechi:ApplyConfig" }}, "ApplyConfig")
	if status, body := denied(`{"Files":[]}`); status < 400 || !strings.Contains(body, "AccessDenied") {
		t.Errorf("denied: %d %s", status, body)
	}
}

// A token is made for whoever asks, or for the user they name and may make one for.
func TestCreateToken(t *testing.T) {
	call := serve(t, wiretest.Options{Deny: func(r iam.Request) bool {
		return r.Action == "iam:CreateServiceSpecificCredential" && strings.HasSuffix(r.Resource, "/boss")
	}}, "CreateToken")
	for _, c := range []struct {
		input  string
		status int
		want   string
	}{
		{`{"Purpose":"intake"}`, 200, `"User":"tester"`},
		{`{"Purpose":"git","User":"shipper"}`, 200, `"Value":"`},
		{`{"Purpose":"git","User":"nobody"}`, 404, `nobody`},
		{`{"Purpose":"all"}`, 400, `Purpose`},
		{`{"Purpose":"git","User":"boss"}`, 400, `AccessDenied`},
	} {
		if status, body := call(c.input); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d with %s", c.input, status, body, c.status, c.want)
		}
	}
}

// A run is changed only by who may change its pipeline.
func TestRunsAsk(t *testing.T) {
	asked := ""
	o := wiretest.Options{Deny: func(r iam.Request) bool { asked = r.Action + " " + r.Resource; return true }}
	for _, c := range []struct{ operation, input, want string }{
		{"ListRuns", `{}`, "codepipeline:ListPipelineExecutions *"},
		{"GetRun", `{"Id":"x"}`, "codepipeline:GetPipelineExecution *"},
		{"GetRunLog", `{"Id":"x"}`, "codepipeline:GetPipelineExecution *"},
		{"RetryRun", `{"Id":"x","Pipeline":"shop"}`, "codepipeline:RetryStageExecution arn:aws:codepipeline:us-east-1:111122223333:shop"},
		{"StopRun", `{"Id":"x","Pipeline":"shop"}`, "codepipeline:StopPipelineExecution arn:aws:codepipeline:us-east-1:111122223333:shop"},
		{"StartRun", `{"Repository":"shop","Branch":"main"}`, "codepipeline:StartPipelineExecution arn:aws:codepipeline:us-east-1:111122223333:shop"},
	} {
		if status, body := serve(t, o, c.operation)(c.input); asked != c.want || status == http.StatusOK {
			t.Errorf("%s: asked for %q and answered %d %s, want %q", c.operation, asked, status, body, c.want)
		}
	}
}

// routes are settings that know routes alone.
type routes struct{ *route.Router }

func (r routes) ApplyFiles(ctx context.Context, files []haechi.File, secrets route.Secrets, dry bool) ([]route.Change, error) {
	var all []route.File
	for _, f := range files {
		all = append(all, route.File{Name: f.Name, Text: []byte(f.Text)})
	}
	want, err := route.ParseFiles(all...)
	if err != nil {
		return nil, err
	}
	if dry {
		return r.Plan(ctx, want, secrets)
	}
	return r.Apply(ctx, want, secrets)
}

func (r routes) ForgeARN(repository string) string {
	return "arn:aws:haechi:us-east-1:" + wiretest.Account + ":forge/" + repository
}

func (r routes) PipelineARN(name string) string {
	return "arn:aws:codepipeline:" + wiretest.Region + ":" + wiretest.Account + ":" + name
}
