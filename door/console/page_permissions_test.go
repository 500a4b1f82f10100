package console_test

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	iamdoor "github.com/haechi-dev/haechi/door/wire/iam"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/lang/iam"
	iamaccount "github.com/haechi-dev/haechi/lang/iam/account"
	"github.com/haechi-dev/haechi/word/finding"
)

// accounts are those of the roof, without its findings.
type accounts struct {
	*snapshot.Snapshots
	access *access.Access
}

func (a accounts) Account(ctx context.Context, id string) (*iamaccount.Account, error) {
	if id != "" {
		return a.Snapshots.Account(ctx, id)
	}
	text, err := iamdoor.Snapshot(ctx, a.access)
	if err != nil {
		return nil, err
	}
	return iamaccount.Parse("own", text)
}

func (a accounts) Put(ctx context.Context, who iam.Principal, name string, text []byte) (string, int, error) {
	got, err := a.Snapshots.Put(ctx, who.ARN, name, text)
	if err != nil {
		return "", 0, err
	}
	return got.ID, len(got.Review(time.Now())), nil
}

func (a accounts) Explain(ctx context.Context, r iam.Request) (iam.Explanation, error) {
	return a.access.Explain(ctx, r)
}

func (a accounts) Escalation(e iamaccount.Escalation) finding.Finding { return e.Finding() }

// shop is the snapshot of an account in which kim can become an administrator
// by way of a function, with many users besides.
func shop(users int) string {
	trust := func(who string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + who + `,"Action":"sts:AssumeRole"}}`
	}
	var all []string
	for i := range users {
		all = append(all, fmt.Sprintf(`{"UserName":"user%d","Arn":"arn:aws:iam::111122223333:user/user%d","GroupList":["devs"]}`, i, i))
	}
	all = append(all, `{"UserName":"kim","Arn":"arn:aws:iam::111122223333:user/kim","GroupList":["devs"],"UserPolicyList":[{"PolicyName":"own","PolicyDocument":{"Version":"2012-10-17","Statement":[
		{"Sid":"Office","Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::shop/secret/*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}},
		{"Effect":"Allow","Action":["iam:PassRole","lambda:CreateFunction","lambda:InvokeFunction"],"Resource":"*"}]}}]}`)
	return `{"UserDetailList":[` + strings.Join(all, ",") + `],
	"GroupDetailList":[{"GroupName":"devs","Arn":"arn:aws:iam::111122223333:group/devs","GroupPolicyList":[{"PolicyName":"work <i>","PolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111122223333:role/data"},{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}]}}]}],
	"RoleDetailList":[
	{"RoleName":"data","Arn":"arn:aws:iam::111122223333:role/data","AssumeRolePolicyDocument":` + trust(`{"AWS":"111122223333"}`) + `},
	{"RoleName":"boss","Arn":"arn:aws:iam::111122223333:role/boss","AssumeRolePolicyDocument":` + trust(`{"Service":"lambda.amazonaws.com"}`) + `,"AttachedManagedPolicies":[{"PolicyName":"AdministratorAccess","PolicyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}]}],"Policies":[]}`
}

// upload posts a file as the console's own page does.
func (p *person) upload(path, field, name, text string) answer {
	p.h.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		p.h.t.Fatal(err)
	}
	r := p.request(http.MethodPost, path, &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.do(r)
}

// The page asks what each layer says, of this installation and of an account whose snapshot was
// brought, and shows the statement with its text, and what a condition saw.
func TestPermissions(t *testing.T) {
	h := home(t)
	p := h.admin()
	if err := h.access.CreateUser(t.Context(), "dev", access.Developer); err != nil {
		t.Fatal(err)
	}
	body := p.post("/permissions", "principal", "dev", "action", "iam:CreateUser", "resource", "*").body
	for _, want := range []string{"verdict no", "HaechiDeveloper"} {
		if !strings.Contains(body, want) {
			t.Errorf("of this installation: no %s", want)
		}
	}
	if a := p.post("/permissions", "principal", "admin", "action", "iam:CreateUser"); !strings.Contains(a.body, "verdict yes") {
		t.Errorf("the administrator: %d", a.status)
	}
	if a := p.upload("/permissions/snapshot", "snapshot", "shop.json", "{}"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "no user and no role") {
		t.Errorf("what is no snapshot: %d", a.status)
	}
	if a := p.upload("/permissions/snapshot", "snapshot", "shop.json", shop(60)); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	ask := func(more ...string) string {
		return p.post("/permissions", append([]string{"account", "111122223333", "principal", "kim", "action", "s3:GetObject", "resource", "arn:aws:s3:::shop/secret/x"}, more...)...).body
	}
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"denied":    {ask("context", "aws:SourceIp=192.0.2.1"), []string{"verdict no", "Statement 1 of arn:aws:iam::111122223333:user/kim own decides", "&#34;NotIpAddress&#34;", "not in force"}},
		"allowed":   {ask("context", "aws:SourceIp=10.0.0.1"), []string{"verdict yes", "does not hold: saw 10.0.0.1", "work &lt;i&gt;"}},
		"scp":       {ask("context", "aws:SourceIp=10.0.0.1", "scp", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}`), []string{"verdict no", "Service control policy 1", "turned it down"}},
		"mistake":   {ask("scp", `{"Version":"2012-10-17","Statement":{"Efect":"Allow"}}`), []string{"Efect", "did you mean"}},
		"no key":    {ask("context", "nonsense"), []string{"is no condition key with a value"}},
		"nobody":    {p.post("/permissions", "account", "111122223333", "principal", "kin", "action", "s3:GetObject").body, []string{"No user and no role of this account", "did you mean"}},
		"no action": {p.post("/permissions", "principal", "dev", "action", "s3").body, []string{"Say what for"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.body, want) {
				t.Errorf("%s: no %q", name, want)
			}
		}
	}
	if a := p.get("/permissions?account=999999999999"); a.status != http.StatusNotFound {
		t.Errorf("an account without a snapshot: %d", a.status)
	}
}

// The picture has everybody who can become somebody else, each a link that says in words what its arrows say.
func TestGraph(t *testing.T) {
	h := home(t)
	p := h.admin()
	if a := p.upload("/permissions/snapshot", "snapshot", "shop.json", shop(60)); a.status != http.StatusSeeOther || a.header.Get("Location") != "/permissions/graph?account=111122223333" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	body := p.get("/permissions/graph?account=111122223333").body
	page := read(t, body)
	boxes := 0
	for _, a := range page.all("a") {
		if strings.HasPrefix(a.attr["class"], "box ") {
			boxes++
			if a.attr["aria-label"] == "" {
				t.Error("a box says nothing")
			}
		}
	}
	if boxes != 5 || !strings.Contains(body, "user0 and 59 more") { // 60 users alike in one, kim, two roles, and lambda.amazonaws.com
		t.Errorf("%d boxes", boxes)
	}
	if n := strings.Count(body, ">user"); n < 60 {
		t.Errorf("the list in words has %d users", n)
	}
	for _, want := range []string{"lambda-001", "Take iam:PassRole from arn:aws:iam::111122223333:user/kim", "lambda.amazonaws.com", "edge escalate"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	near := p.get("/permissions/graph?account=111122223333&focus=kim").body
	if strings.Contains(near, "user7") || !strings.Contains(near, "boss") {
		t.Error("the picture around kim shows others, or does not lead on")
	}
}
