package route_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

const routes = `# who hears of what
buses:
  - name: shop
targets:
  - name: slack/security
    settings: {url: env:HOOK}
    wait: 2s
    quiet: {from: "22:00", to: "07:00", zone: Asia/Seoul}
  - name: webhook/tickets
    settings: {url: "https://tickets.example.com/new", secret: file:/run/secret}
routes:
  - name: high
    pattern:
      source: [aws.securityhub]
      detail: {findings: {Severity: {Label: [HIGH, CRITICAL]}, Confidence: [{numeric: [">", 12345678901234567890]}]}}
    to:
      - target: slack/security
      - target: webhook/tickets
        transform:
          paths: {title: "$.detail.findings[0].Title"}
          template: |
            {"summary": <title>}
        retry: {attempts: 5, age: 1h}
  - name: nightly
    schedule: cron(0 3 * * ? *)
    to: [{target: bus/shop}]
`

func secrets(values map[string]string) route.Secrets {
	return func(reference string) (seal.Secret, error) {
		v, ok := values[reference]
		if !ok {
			return "", fault.NotFound.Errorf("%s is not set", reference)
		}
		return seal.Secret(v), nil
	}
}

func shown(changes []route.Change) string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

// What files say becomes so in one transaction, and is told beforehand; saying it again changes nothing.
func TestApplyFiles(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open)
		ctx := t.Context()
		values := map[string]string{"env:HOOK": "https://hooks.example.com/one", "file:/run/secret": webhookSecret}
		must(t)(n.PutRule(ctx, route.Rule{Name: "by-hand", Pattern: `{"source":["x"]}`}, nil))
		apply := func(text string) string {
			t.Helper()
			want, err := route.ParseFiles(route.File{Name: "routes.yaml", Text: []byte(text)})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := n.Plan(ctx, want, secrets(values))
			if err != nil {
				t.Fatal(err)
			}
			done, err := n.Apply(ctx, want, secrets(values))
			if err != nil {
				t.Fatal(err)
			}
			if shown(plan) != shown(done) {
				t.Errorf("planned\n%s\nand did\n%s", shown(plan), shown(done))
			}
			return shown(done)
		}
		check := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
			}
		}
		check("at first", apply(routes), `create bus shop
create target slack/security
create target webhook/tickets
create route default/high
create target of route default/high slack-security
create target of route default/high webhook-tickets
create route default/nightly
create target of route default/nightly bus-shop`)
		check("again", apply(routes), "")
		rule, err := n.Rule(ctx, "", "high")
		if want := `{"source":["aws.securityhub"],"detail":{"findings":{"Severity":{"Label":["HIGH","CRITICAL"]},"Confidence":[{"numeric":[">",12345678901234567890]}]}}}`; err != nil || rule.Pattern != want {
			t.Errorf("pattern %s, %v", rule.Pattern, err)
		}
		values["env:HOOK"] = "https://hooks.example.com/two"
		changed := strings.Replace(strings.Replace(routes, "CRITICAL]", "CRITICAL, MEDIUM]", 1), "attempts: 5", "attempts: 6", 1)
		check("after changes", apply(changed), `update target slack/security (url)
update route default/high (pattern)
update target of route default/high webhook-tickets (retry)`)
		check("with nothing", apply("{}"), `delete route default/high
delete route default/nightly
delete target slack/security
delete target webhook/tickets
delete bus shop`)
		if _, err := n.Rule(ctx, "", "by-hand"); err != nil {
			t.Errorf("what was made by hand: %v", err)
		}
		want, err := route.ParseFiles(route.File{Name: "routes.yaml", Text: []byte(routes)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Apply(ctx, want, secrets(nil)); !errors.Is(err, fault.NotFound) {
			t.Errorf("without secrets: %v", err)
		}
	})
}

// Every mistake in a file is told with its place.
func TestFileMistakes(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{"routes:", "rotues:", `routes.yaml:11:1: unknown key "rotues" (did you mean "routes"?)`},
		{"name: slack/security", "name: slak/security", `routes.yaml:5:11: unknown kind of target "slak" (did you mean "slack"?)`},
		{"env:HOOK", "https://hooks.example.com/x", `routes.yaml:6:21: url is a secret: write env:NAME or file:PATH`},
		{"{url: env:HOOK}", "{}", "needs url"},
		{`"22:00"`, `"22"`, "routes.yaml:8:12: quiet hours"},
		{"Asia/Seoul", "Asia/Soul", "unknown time zone"},
		{"[aws.securityhub]", "aws.securityhub", "routes.yaml:14:7"},
		{"cron(0 3 * * ? *)", "cron(0 3 * * * *)", "routes.yaml:24:11: cron"},
		{"<title>", "<titel>", `did you mean "title"?`},
		{"attempts: 5", "attempts: 500", "500 is not within 0 to 185"},
		{"name: nightly", "name: high", "route default/high is there already"},
		{"target: webhook/tickets", "target: tickets", `target "tickets" is not KIND/NAME`},
		{"- target: webhook/tickets", "- target: slack/security", "two targets of route high have the id"},
	} {
		text := strings.Replace(routes, c.from, c.to, 1)
		_, err := route.ParseFiles(route.File{Name: "routes.yaml", Text: []byte(text)})
		var place *diag.Error
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, fault.Invalid) || !errors.As(err, &place) {
			t.Errorf("%q for %q: got %v, want %s", c.to, c.from, err, c.says)
		}
	}
	twice := strings.Replace(strings.Replace(routes, "attempts: 5", "attempts: 500", 1), "Asia/Seoul", "Mars", 1)
	if _, err := route.ParseFiles(route.File{Name: "a", Text: []byte(twice)}); strings.Count(fmt.Sprint(err), "a:") != 2 {
		t.Errorf("two mistakes: %v", err)
	}
}

// Files that are accepted have patterns that parse, and whatever is said never breaks the reader.
func FuzzFile(f *testing.F) {
	f.Add([]byte(routes))
	f.Add([]byte("routes: [{name: a, pattern: &a {x: [*a]}}]"))
	f.Add([]byte("routes: [{name: a, pattern: '{\"a\":[1]}', to: [{target: bus/b, input: {a: 0x10, b: .inf, c: 2026-01-01}}]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		want, err := route.ParseFiles(route.File{Name: "f", Text: text})
		if err != nil {
			return
		}
		for _, r := range want.Rules {
			if r.Rule.Pattern == "" {
				continue
			}
			if _, err := route.TestPattern(r.Rule.Pattern, `{"id":"","account":"","source":"","time":"","region":"","resources":[],"detail-type":""}`); err != nil {
				t.Fatalf("%q: %v", r.Rule.Pattern, err)
			}
		}
	})
}
