package account_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/lang/iam/account"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func shop(t testing.TB) *account.Account {
	t.Helper()
	text, err := os.ReadFile("testdata/shop.json")
	if err != nil {
		t.Fatal(err)
	}
	a, err := account.Parse("shop.json", text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Who can read the shop's objects: administrators, the role itself, those who
// can assume it, over one role and over two, and one only from the right network.
func TestWho(t *testing.T) {
	var got []string
	for _, a := range shop(t).Who(account.Question{Action: "s3:GetObject", Resource: "arn:aws:s3:::shop/x"}) {
		line := a.Principal.Name + " " + a.May.String()
		for _, c := range a.Chain {
			line += " > " + c.Name
		}
		got = append(got, line)
	}
	want := []string{"data yes", "deploy yes > data", "janitor yes", "alice yes > deploy > data", "dave perhaps", "root-of-all yes"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if who := shop(t).Who(account.Question{Action: "s3:GetObject", Resource: "arn:aws:s3:::else/x"}); len(who) != 2 {
		t.Errorf("of another bucket: %v", who)
	}
	some := shop(t).Who(account.Question{Action: "s3:GetObject", Resource: "arn:aws:s3:::*", Some: true, Context: map[string][]string{"aws:sourceip": {"10.0.0.1"}}})
	if len(some) != 6 || slices.ContainsFunc(some, func(a account.Answer) bool { return a.May != account.Yes }) {
		t.Errorf("of some object: %v", some)
	}
}

// An escalation is the shortest way, and names the permission that ends it: a
// policy that its owner may rewrite, and a role handed to a function. A
// boundary that allows less than everything ends the first.
func TestEscalations(t *testing.T) {
	var got []string
	for _, e := range shop(t).Escalations() {
		line := e.Principal.Name + " " + e.May.String() + ":"
		for _, s := range e.Steps {
			line += " " + s.Path
		}
		_, who, _ := strings.Cut(e.Cut.Principal, "/")
		if e.Cut.Alone {
			line += " cut " + who + " " + e.Cut.Action
		}
		got = append(got, line)
	}
	want := []string{
		"deploy yes: lambda-001 cut deploy iam:PassRole",
		"alice yes: sts-001 lambda-001 cut alice sts:AssumeRole",
		"bob yes: iam-001 cut bob iam:CreatePolicyVersion",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func lines(all []finding.Finding) (got []string) {
	for _, f := range all {
		got = append(got, string(f.Severity.Label)+" "+strings.TrimPrefix(f.GeneratorID, "haechi/iam/")+" "+f.Resources[0].ID[strings.LastIndexAny(f.Resources[0].ID, ":/")+1:])
	}
	slices.Sort(got)
	return got
}

// The findings of a snapshot: escalations, standing administrators, tokens let
// in without a subject, trust in another account that nothing binds, roles that nobody uses; each with an Id of its own.
func TestReview(t *testing.T) {
	all := shop(t).Review(now)
	want := []string{"HIGH escalation alice", "HIGH escalation bob", "HIGH escalation deploy", "HIGH oidc-subject ci", "LOW unused-role data", "MEDIUM administrator root-of-all", "MEDIUM outsider vendor"}
	if diff := cmp.Diff(want, lines(all)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	ids := map[string]bool{}
	for _, f := range all {
		f = finding.Maker{Account: "111122223333", Region: "us-east-1"}.Own(finding.Scan{Tool: account.Tool, Target: "111122223333"}, f, now)
		if ids[f.ID] {
			t.Errorf("%s twice", f.ID)
		}
		ids[f.ID] = true
		if _, err := finding.Parse(f.JSON()); err != nil {
			t.Error(err)
		}
	}
	if unread := shop(t).Unread; len(unread) != 1 || unread[0].File != "arn:aws:iam::aws:policy/ReadOnlyAccess" {
		t.Errorf("not told of: %v", unread)
	}
}

// Rights that nobody has are found: policies that are attached to nobody, and groups without members.
func TestIdle(t *testing.T) {
	const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`
	policy := func(name string) string {
		return `{"Arn":"arn:aws:iam::111122223333:policy/` + name + `","PolicyVersionList":[{"IsDefaultVersion":true,"Document":` + document + `}]}`
	}
	a, err := account.Parse("s", []byte(`{"UserDetailList":[{"UserName":"kim","Arn":"arn:aws:iam::111122223333:user/kim","GroupList":["full"],"PermissionsBoundary":{"PermissionsBoundaryArn":"arn:aws:iam::111122223333:policy/limit"}}],
		"GroupDetailList":[{"GroupName":"full","Arn":"arn:aws:iam::111122223333:group/full","AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::111122223333:policy/used"}]},
			{"GroupName":"empty","Arn":"arn:aws:iam::111122223333:group/empty","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":`+document+`}]},{"GroupName":"nothing","Arn":"arn:aws:iam::111122223333:group/nothing"}],
		"Policies":[`+policy("used")+","+policy("limit")+","+policy("left")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"LOW unused-group empty", "LOW unused-policy left"}, lines(a.Review(now))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What is wrong with passwords, keys and second factors comes out of the credential report.
func TestCredentials(t *testing.T) {
	text, err := os.ReadFile("testdata/credentials.csv")
	if err != nil {
		t.Fatal(err)
	}
	all, err := account.Credentials("credentials.csv", text, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CRITICAL root-key 111122223333", "CRITICAL root-mfa 111122223333", "HIGH root-use 111122223333",
		"HIGH user-mfa bob", "LOW two-keys bob", "LOW unused-password bob", "MEDIUM old-key bob", "MEDIUM old-key bob", "MEDIUM unused-key bob",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], " 111122223333", " root")
	}
	if diff := cmp.Diff(want, lines(all)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What is no snapshot and no report is refused, with its place.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                "s.json:1:2: no snapshot",
		`{}`:                               "there is no user and no role",
		`{"UserDetailList":[{"Arn":"x"}]}`: `"x" is no ARN of a user or role`,
		`{"UserDetailList":[{"Arn":"arn:aws:iam::1:user/a"}],"IsTruncated":true}`:              "cut off",
		`{"UserDetailList":[{"Arn":"arn:aws:iam::1:user/a"},{"Arn":"arn:aws:iam::2:user/a"}]}`: "has 1 and 2",
		`{"UserDetailList":[{"Arn":"arn:aws:iam::1:user/a"},{"Arn":"arn:aws:iam::1:user/a"}]}`: "is there twice",
		`{"UserDetailList":[{"Arn":7}]}`: "no snapshot",
	} {
		if _, err := account.Parse("s.json", []byte(text)); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	report, err := os.ReadFile("testdata/credentials.csv")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":           "no credential report",
		"user,arn\n": `it has no column "password_enabled"`,
		strings.Replace(string(report), "N/A,true,true", "N/A,yes,true", 1):                 `mfa_active is "yes"`,
		strings.Replace(string(report), "bob,arn:aws:iam::111122223333:user/bob", "bob", 1): "c.csv:4:1: 21 columns",
		strings.Replace(string(report), "bob,arn:aws:iam", `b"ob,arn:aws:iam`, 1):           "c.csv:4:",
		strings.Replace(string(report), "2025-11-01T00:00:00+00:00", "yesterday", 1):        `access_key_1_last_rotated is "yesterday"`,
	} {
		if _, err := account.Credentials("c.csv", []byte(text), now); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

// No snapshot makes it panic, and what it answers can be written as findings.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/shop.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"RoleDetailList":[{"Arn":"arn:aws:iam::1:role/a","AssumeRolePolicyDocument":"%7B","RolePolicyList":[{"PolicyDocument":7}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := account.Parse("f", text)
		if err != nil {
			return
		}
		a.Who(account.Question{Action: "s3:GetObject", Resource: "arn:aws:s3:::shop/x"})
		for _, one := range a.Review(now) {
			if one.Title == "" || len(one.Resources) != 1 {
				t.Errorf("%+v", one)
			}
		}
	})
}

// No report makes it panic.
func FuzzCredentials(f *testing.F) {
	text, err := os.ReadFile("testdata/credentials.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("user,arn\n\"a\nb\",c\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if all, err := account.Credentials("f", text, now); err != nil && (all != nil || !errors.Is(err, fault.Invalid)) {
			t.Errorf("%v and %v", all, err)
		}
	})
}
