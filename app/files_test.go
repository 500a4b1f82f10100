package app_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
)

const ownDetection = `title: somebody looked at the buckets
id: 6d2f0a0e-7f1c-4f0e-9a55-000000000001
level: high
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventSource: s3.amazonaws.com, eventName: ListBuckets}
  condition: selection
`

func noSecret(string) (seal.Secret, error) { return "", nil }

// A detection that was applied from a file finds, at once and without a restart; when it is applied no more it does not.
func TestAppliedFiles(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	_, token, err := h.Access.CreateToken(ctx, access.AdminUser, access.Intake)
	must(t, err)
	look := func(n string) {
		t.Helper()
		r := request(t, http.MethodPost, h.url+"/intake/lines", `{"Records": [{"eventVersion": "1.11", "eventID": "0f0e0d0c-0000-4000-8000-00000000000`+n+`", "eventTime": "2026-11-2`+n+`T10:00:03Z", "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets", "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ann", "accountId": "111122223333", "userName": "ann"}, "awsRegion": "us-east-1", "sourceIPAddress": "198.51.100.24", "recipientAccountId": "111122223333", "eventType": "AwsApiCall", "readOnly": true}]}`)
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		if status, _, body := do(t, r); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	found := func() int {
		t.Helper()
		n, err := h.Hub.Count(ctx, hub.Filters{"Title": {{Value: "somebody looked", Comparison: "PREFIX"}}})
		must(t, err)
		return n
	}
	changes, err := h.ApplyFiles(ctx, []haechi.File{{Name: "look.yml", Text: ownDetection}}, noSecret, true)
	if err != nil || len(changes) != 1 || changes[0].Do != "create" {
		t.Fatalf("a dry run: %v, %v", changes, err)
	}
	if changes, err = h.ApplyFiles(ctx, []haechi.File{{Name: "look.yml", Text: ownDetection}}, noSecret, false); err != nil || len(changes) != 1 {
		t.Fatalf("applying: %v, %v", changes, err)
	}
	look("1")
	for deadline := time.Now().Add(20 * time.Second); found() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the applied rule found nothing")
		}
	}
	if changes, err = h.ApplyFiles(ctx, nil, noSecret, false); err != nil || len(changes) != 1 || changes[0].Do != "delete" {
		t.Fatalf("applying nothing: %v, %v", changes, err)
	}
	look("2")
	for deadline := time.Now().Add(20 * time.Second); h.Detect.Stats().Records < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second record was never looked at")
		}
	}
	if n := found(); n != 1 {
		t.Errorf("%d findings after the rule was taken away", n)
	}
}

// What is wrong with a file is told, and nothing of the others is done.
func TestWrongFiles(t *testing.T) {
	h := build(t)
	for _, c := range []struct {
		files []haechi.File
		want  string
	}{
		{[]haechi.File{{Name: "gate.yaml", Text: "block: [{name: a, patern: {}}]"}}, "patern"},
		{[]haechi.File{{Name: "a.yaml", Text: "block: []"}, {Name: "b.yaml", Text: "block: []"}}, "already"},
		{[]haechi.File{{Name: "x.yml", Text: ownDetection}, {Name: "y.yml", Text: strings.Replace(ownDetection, "condition: selection", "condition: other", 1)}}, "other"},
		{[]haechi.File{{Name: "p.txtar", Text: "-- help.md --\nhelp\n-- rule.guard --\nnonsense\n"}}, "p.txtar"},
		{[]haechi.File{{Name: "d.txtar", Text: "-- help.md --\nhelp\n-- rule.yml --\n" + ownDetection + "-- bad/one.json --\n{}\n-- good/one.json --\n{}\n"}}, "does not prove itself"},
	} {
		_, err := h.ApplyFiles(t.Context(), c.files, noSecret, false)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.files[0].Name, err, c.want)
		}
	}
	if changes, err := h.ApplyFiles(t.Context(), nil, noSecret, true); err != nil || len(changes) != 0 {
		t.Errorf("something was kept: %v, %v", changes, err)
	}
}
