package hub

import (
	"slices"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/finding"
)

// An operation says what has to be allowed for it: action, resource and
// condition keys. The door adds the principal.

func ask(action, resource string) []iam.Request {
	return []iam.Request{{Action: "securityhub:" + action, Resource: resource}}
}

// Asks is what looking at findings takes.
func (q Query) Asks(h *Hub) []iam.Request { return ask("GetFindings", h.ARN()) }

// Asks is what the update takes: each value that it sets is a condition key,
// and a field that it does not set has none.
func (u Update) Asks(h *Hub) []iam.Request {
	r := ask("BatchUpdateFindings", h.ARN())
	r[0].Context = map[string][]string{}
	for path, values := range u.Values() {
		r[0].Context["securityhub:ASFFSyntaxPath/"+path] = values
	}
	return r
}

// Asks is what the update takes.
func (u FilterUpdate) Asks(h *Hub) []iam.Request { return ask("UpdateFindings", h.ARN()) }

// Asks is what importing findings takes: to import into each product, for each account.
func Asks(findings ...finding.Finding) (requests []iam.Request) {
	type pair struct{ product, account string }
	var seen []pair
	for _, f := range findings {
		p := pair{f.ProductARN, f.AccountID}
		if slices.Contains(seen, p) {
			continue
		}
		seen = append(seen, p)
		r := ask("BatchImportFindings", f.ProductARN)
		r[0].Context = map[string][]string{"securityhub:TargetAccount": {f.AccountID}}
		requests = append(requests, r...)
	}
	return requests
}

// Asks is what creating the rule takes.
func (r Rule) Asks(h *Hub) []iam.Request { return ask("CreateAutomationRule", h.ARN()) }

// Asks is what a suppressor takes: it is a rule that suppresses, and so also what suppressing takes.
func (s Suppressor) Asks(h *Hub) []iam.Request {
	return append(Rule{}.Asks(h), Update{Decision: To(finding.Suppressed)}.Asks(h)...)
}
