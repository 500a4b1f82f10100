package console

import (
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/iam"
	rules "github.com/haechi-dev/haechi/rules/secret"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// secretRule is a rule with its proofs.
type secretRule struct {
	*secret.Rule
	Unmet []string // proofs that fail
}

// tried is what was found in a text that somebody typed.
type tried struct {
	Line     string
	Rule     string
	Title    string
	Evidence string
	Severity finding.Label
}

type secretRulesView struct {
	Filter string
	Rules  []secretRule
	Total  int
	Proofs int
	Name   string
	Text   string
	Asked  bool
	Found  []tried
	Part   bool // not all of the text could be looked at
}

// mostTried is how much of a text is tried.
const mostTried = 64 << 10

// ruleProofs are the rules that come with Haechi, proved once.
func ruleProofs() func() ([]secretRule, error) {
	return sync.OnceValues(func() ([]secretRule, error) {
		all, err := secret.ParseRules(rules.Files)
		if err != nil {
			return nil, err
		}
		proofs, err := secret.Prove(rules.Files)
		if err != nil {
			return nil, err
		}
		unmet := map[string][]string{}
		for _, p := range proofs {
			unmet[strings.TrimSuffix(p.File, ".txtar")] = p.Unmet
		}
		var list []secretRule
		for _, r := range all {
			list = append(list, secretRule{r, unmet[r.ID]})
		}
		return list, nil
	})
}

func (o *Console) secretRules() page {
	proved := ruleProofs()
	scanner := sync.OnceValue(func() *secret.Scanner { return secret.New(nil) })
	view := func(r *request) (v secretRulesView, err error) {
		all, err := proved()
		if err != nil {
			return v, err
		}
		v.Filter, v.Total, v.Name = strings.TrimSpace(r.URL.Query().Get("q")), len(all), "app.env"
		for _, rule := range all {
			v.Proofs += len(rule.Bad) + len(rule.Good)
			if low := strings.ToLower(v.Filter); low == "" || strings.Contains(strings.ToLower(rule.ID+" "+rule.Title+" "+rule.Description), low) {
				v.Rules = append(v.Rules, rule)
			}
		}
		return v, nil
	}
	asks := func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") }
	return page{
		name: "secretrules", path: "/secrets/rules", under: "secrets", asks: asks,
		view: func(r *request) (any, error) { return view(r) },
		actions: map[string]action{"/secrets/rules": {
			asks: asks,
			// What is typed is looked at and forgotten: it is in no log, no table and no event.
			show: func(r *request) (any, error) {
				v, err := view(r)
				if err != nil {
					return nil, err
				}
				v.Text, v.Asked = r.PostFormValue("text"), true
				if name := strings.TrimSpace(r.PostFormValue("name")); name != "" {
					v.Name = shorten(name, 200)
				}
				if len(v.Text) > mostTried {
					return nil, fault.Limit.Errorf("the text has %d bytes, and %d are tried", len(v.Text), mostTried)
				}
				found, err := scanner().Look(v.Name, []byte(v.Text))
				v.Part = err != nil
				for _, f := range found {
					v.Found = append(v.Found, tried{Line: f.ProductFields[finding.FieldLine], Rule: f.GeneratorID, Title: f.Title, Evidence: f.ProductFields[finding.FieldEvidence], Severity: f.Label()})
				}
				return v, nil
			},
		}},
	}
}
