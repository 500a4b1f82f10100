package hooks_test

import (
	"embed"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/hooks"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/rules/aws"
	"github.com/haechi-dev/haechi/rules/kubernetes"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/finding"
)

// house is the door with the real keepers behind it.
type house struct {
	t     *testing.T
	hub   *hub.Hub
	door  http.Handler
	token string
	s3    string // what S3 answers
}

// RoundTrip is S3, as the door sees it.
func (h *house) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteString(h.s3)
	return w.Result(), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), access.Schema(), hub.Schema(), bus.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	h := &house{t: t}
	h.hub, err = hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d, bus.Config{}), Account: "111122223333", Region: "us-east-1"})
	must(t, err)
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	must(t, err)
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333", Folder: dir})
	must(t, a.CreateUser(t.Context(), "hook", "HaechiPipeline"))
	_, token, err := a.CreateToken(t.Context(), "hook", access.Intake)
	must(t, err)
	h.token = token.Reveal()
	var rules []iac.Rule
	for _, family := range []embed.FS{aws.Files, kubernetes.Files} {
		p, err := guard.ParsePolicies(family)
		must(t, err)
		rules = append(rules, iac.Rules(p...)...)
	}
	h.door = hooks.Handler(hooks.Config{Hub: h.hub, Access: a, Rules: func() []iac.Rule { return rules }, Policy: func() gate.Policy { return gate.Policy{} },
		Maker: finding.Maker{Account: "111122223333", Region: "us-east-1"}, Fetch: &http.Client{Transport: h}})
	return h
}

func (h *house) ask(path, body string) (int, string) {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+h.token)
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	must(h.t, err)
	return w.Code, string(text)
}

// resourceHook is what CloudFormation sends for one resource.
const resourceHook = `{
  "clientRequestToken": "b8e3c9a4-1234-4a55-9b0a-3f9a1f2f0001",
  "awsAccountId": "111122223333",
  "stackID": "arn:aws:cloudformation:us-east-1:111122223333:stack/shop/0a1b2c3d-0000-1111-2222-333344445555",
  "stackId": "arn:aws:cloudformation:us-east-1:111122223333:stack/shop/0a1b2c3d-0000-1111-2222-333344445555",
  "changeSetId": null,
  "hookTypeName": "Shop::Haechi::Hook",
  "hookTypeVersion": "00000001",
  "hookModel": {"LambdaFunction": "arn:aws:lambda:us-east-1:111122223333:function:forward"},
  "actionInvocationPoint": "POINT",
  "requestData": {
    "targetName": "AWS::RDS::DBInstance",
    "targetType": "AWS::RDS::DBInstance",
    "targetLogicalId": "Database",
    "targetModel": {"resourceProperties": PROPERTIES, "previousResourceProperties": null}
  },
  "requestContext": {"invocation": 1, "callbackContext": null}
}`

func hook(point, properties string) string {
	return strings.NewReplacer("POINT", point, "PROPERTIES", properties).Replace(resourceHook)
}

type hookAnswer struct {
	HookStatus, ErrorCode, Message, ClientRequestToken string
	Annotations                                        []struct{ AnnotationName, Status, SeverityLevel string }
}

func (h *house) hook(body string) (a hookAnswer) {
	h.t.Helper()
	status, text := h.ask("/hooks/cloudformation", body)
	if status != http.StatusOK {
		h.t.Fatalf("%d %s", status, text)
	}
	must(h.t, json.Unmarshal([]byte(text), &a, json.MatchCaseInsensitiveNames(true)))
	return a
}

const (
	openDatabase   = `{"Engine": "postgres", "PubliclyAccessible": "true", "StorageEncrypted": "false"}`
	closedDatabase = `{"Engine": "postgres", "PubliclyAccessible": "false", "StorageEncrypted": "true"}`
)

// A resource that breaks a severe rule is refused, with what to do; what keeps the rules, and what is deleted, is let through.
func TestResourceHook(t *testing.T) {
	h := build(t)
	a := h.hook(hook("CREATE_PRE_PROVISION", openDatabase))
	if a.HookStatus != "FAILED" || a.ErrorCode != "NonCompliant" || !strings.Contains(a.Message, "RDS_INSTANCE_PUBLIC_ACCESS_CHECK Database") || a.ClientRequestToken != "b8e3c9a4-1234-4a55-9b0a-3f9a1f2f0001" {
		t.Errorf("%+v", a)
	}
	if !slices.ContainsFunc(a.Annotations, func(n struct{ AnnotationName, Status, SeverityLevel string }) bool {
		return n.AnnotationName == "RDS_INSTANCE_PUBLIC_ACCESS_CHECK" && n.Status == "FAILED"
	}) {
		t.Errorf("annotations %+v", a.Annotations)
	}
	for _, body := range []string{hook("UPDATE_PRE_PROVISION", closedDatabase), hook("DELETE_PRE_PROVISION", openDatabase)} {
		if a := h.hook(body); a.HookStatus != "SUCCESS" || a.ErrorCode != "" {
			t.Errorf("%+v", a)
		}
	}
}

// What a resource alone cannot show stops nothing: a bucket's policy is a resource of its own.
func TestResourceAlone(t *testing.T) {
	h := build(t)
	body := strings.ReplaceAll(hook("CREATE_PRE_PROVISION", `{"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}}`), "AWS::RDS::DBInstance", "AWS::S3::Bucket")
	a := h.hook(body)
	for _, n := range a.Annotations {
		if n.AnnotationName == "S3_BUCKET_SSL_REQUESTS_ONLY" && n.Status != "SKIPPED" {
			t.Errorf("%+v", n)
		}
	}
}

// A stack's template is judged as a whole, whether it comes with the request or lies in S3.
func TestStackHook(t *testing.T) {
	h := build(t)
	template := `{"Parameters": {"Public": {"Type": "String", "Default": "true"}}, "Resources": {"Database": {"Type": "AWS::RDS::DBInstance", "Properties": {"PubliclyAccessible": {"Ref": "Public"}, "StorageEncrypted": true}}}}`
	inside, err := json.Marshal(map[string]any{"template": template, "changedResources": []any{}})
	must(t, err)
	stack := func(payload string) string {
		return `{"clientRequestToken": "t", "awsAccountId": "111122223333", "stackId": "arn:aws:cloudformation:us-east-1:111122223333:stack/shop/1", "actionInvocationPoint": "CREATE_PRE_PROVISION",
			"requestData": {"targetName": "STACK", "targetType": "STACK", "targetLogicalId": "arn:aws:cloudformation:us-east-1:111122223333:stack/shop/1", "payload": ` + payload + `}}`
	}
	h.s3 = string(inside)
	for _, payload := range []string{string(inside), `"https://hooks.s3.us-east-1.amazonaws.com/key?X-Amz-Signature=0"`} {
		if a := h.hook(stack(payload)); a.HookStatus != "FAILED" || !strings.Contains(a.Message, "Database") {
			t.Errorf("%+v", a)
		}
	}
	for _, payload := range []string{`"https://metadata.internal/"`, `"https://s3.amazonaws.com@elsewhere.example/"`, `{}`, `"{"`} {
		if status, text := h.ask("/hooks/cloudformation", stack(payload)); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", payload, status, text)
		}
	}
}

// admission is what an API server sends.
const admission = `{
  "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
  "request": {
    "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
    "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
    "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
    "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
    "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
    "name": "web", "namespace": "shop", "operation": "OPERATION",
    "userInfo": {"username": "admin", "uid": "014fbff9a07c", "groups": ["system:authenticated"]},
    "object": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
      "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1", "securityContext": {"privileged": PRIVILEGED}}]}}}},
    "oldObject": null, "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}, "dryRun": false
  }
}`

type admitted struct {
	APIVersion, Kind string
	Response         struct {
		UID      string
		Allowed  bool
		Status   struct{ Code, Message any }
		Warnings []string
	}
}

func (h *house) admit(path, operation, privileged string) (a admitted) {
	h.t.Helper()
	status, text := h.ask(path, strings.NewReplacer("OPERATION", operation, "PRIVILEGED", privileged).Replace(admission))
	if status != http.StatusOK {
		h.t.Fatalf("%d %s", status, text)
	}
	must(h.t, json.Unmarshal([]byte(text), &a, json.MatchCaseInsensitiveNames(true)))
	return a
}

// A privileged container is not admitted, with the reason; deleting always is. Less
// severe things are warnings.
func TestAdmission(t *testing.T) {
	h := build(t)
	a := h.admit("/hooks/kubernetes", "CREATE", "true")
	message, _ := a.Response.Status.Message.(string)
	if a.Response.Allowed || a.APIVersion != "admission.k8s.io/v1" || a.Kind != "AdmissionReview" || a.Response.UID != "705ab4f5-6393-11e8-b7cc-42010a800002" || !strings.Contains(message, "PRIVILEGED") {
		t.Errorf("%+v", a)
	}
	if a := h.admit("/hooks/kubernetes", "DELETE", "true"); !a.Response.Allowed {
		t.Errorf("%+v", a)
	}
	a = h.admit("/hooks/kubernetes", "UPDATE", "false")
	for _, w := range a.Response.Warnings {
		if len(w) > 256 {
			t.Errorf("a warning of %d bytes", len(w))
		}
	}
	// An API server that cannot send a header has the token in the path.
	r := httptest.NewRequest(http.MethodPost, "/hooks/kubernetes/"+h.token, strings.NewReader(strings.NewReplacer("OPERATION", "DELETE", "PRIVILEGED", "true").Replace(admission)))
	w := httptest.NewRecorder()
	if h.door.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What people have made an exception of in the hub is let through from then on.
func TestException(t *testing.T) {
	h := build(t)
	h.hook(hook("CREATE_PRE_PROVISION", openDatabase))
	present, err := h.hub.Present(t.Context(), "cloudformation/111122223333/shop", "")
	must(t, err)
	if len(present) == 0 {
		t.Fatal("the hub does not know what was refused")
	}
	for _, f := range present {
		_, err := h.hub.Update(t.Context(), hub.Update{Refs: []hub.Ref{hub.RefOf(f)}, Decision: hub.Decision{Workflow: &finding.Workflow{Status: finding.Suppressed}}, Accept: &hub.Acceptance{Kind: "risk-accepted", Reason: "a test database", Owner: "ada", Until: time.Now().Add(time.Hour)}, By: "ada"})
		must(t, err)
	}
	if a := h.hook(hook("CREATE_PRE_PROVISION", openDatabase)); a.HookStatus != "SUCCESS" {
		t.Errorf("%+v", a)
	}
}

// What is no request of a hook is refused, with what it should be.
func TestRefused(t *testing.T) {
	h := build(t)
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/hooks/cloudformation", `{`, 400},
		{"/hooks/cloudformation", `{}`, 400},
		{"/hooks/cloudformation", `{"requestData": {"targetName": "AWS::S3::Bucket"}}`, 400},
		{"/hooks/kubernetes", `{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1", "request": {"uid": "1"}}`, 400},
		{"/hooks/kubernetes", strings.Repeat("[", 1<<20), 400},
		{"/hooks/kubernetes", strings.Repeat(" ", 9<<20), 400},
		{"/hooks/other", `{}`, 404},
		{"/hooks/cloudformation/x", `{}`, 404},
	} {
		if status, text := h.ask(c.path, c.body); status != c.status || !strings.Contains(text, "message") {
			t.Errorf("%s %.40s: %d %s", c.path, c.body, status, text)
		}
	}
	h.token = "wrong"
	if status, _ := h.ask("/hooks/cloudformation", hook("CREATE_PRE_PROVISION", openDatabase)); status != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", status)
	}
}
