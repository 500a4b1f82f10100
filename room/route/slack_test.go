package route

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

// Whatever findings say, a message stays within Slack's limits and holds no
// markup but our own links.
func FuzzSlackMessage(f *testing.F) {
	f.Add("<!channel> & |", "arn:aws:s3:::b/"+strings.Repeat("&", 600), strings.Repeat("<>", 400), 30, true)
	f.Add(strings.Repeat("ü", 400), "x\x00\n", "\xff", 3, false)
	f.Fuzz(func(t *testing.T, title, where, advice string, n int, same bool) {
		n = n%60 + 1
		var items []Item
		for i := range max(n, 1) {
			one := finding.Finding{ID: "i", AccountID: "1", GeneratorID: "g", Title: strings.ToValidUTF8(title, "?"), Severity: &finding.Severity{Label: finding.Labels[i%5]},
				Resources: []finding.Resource{{ID: strings.ToValidUTF8(where, "?")}}, Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: strings.ToValidUTF8(advice, "?")}}}
			if !same {
				one.GeneratorID += strings.Repeat("x", i)
			}
			detail, err := json.Marshal(map[string]any{"findings": []finding.Finding{one}})
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, Item{Event: event.Event{Source: finding.Source, Type: finding.Imported, Detail: detail}, Told: Opened})
		}
		const link = "https://console.example/f"
		env := &Env{Link: func(*finding.Finding) string { return link }, Page: func(string) string { return "" }}
		g := gather(items, env)
		m := slackMessage(&g, link)
		sum := 0
		for _, b := range m.Blocks {
			if b.Text == nil {
				continue
			}
			s := b.Text.Text
			sum += len(s)
			if !utf8.ValidString(s) || len(s) > 3000 || b.Type == "header" && len(s) > 150 || s == "" {
				t.Errorf("a %s of %d bytes: %q", b.Type, len(s), s)
			}
			if b.Type == "section" {
				s = strings.ReplaceAll(s, "<"+link+"|", "")
				if strings.ContainsAny(s, "<") || strings.Count(s, ">") != 1 {
					t.Errorf("markup: %q", s)
				}
			}
		}
		if sum > 9000 || len(m.Blocks) > 50 || len(m.Text) > 4000 {
			t.Errorf("%d bytes in %d blocks", sum, len(m.Blocks))
		}
	})
}
