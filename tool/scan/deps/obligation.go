package deps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// LicenceRule is the generator of findings on licences that ask for more than
// keeping a notice: what a gate's pattern can stop on, by haechi/licence or
// haechi/obligation.
const LicenceRule = "deps/licence"

// obligations are the licences in a manifest that ask for something, each with its components.
func obligations(file string, listed []component.Component) []finding.Finding {
	type group struct {
		lead  component.Component
		kind  licence.Kind
		names []string
	}
	groups := map[string]*group{}
	for _, c := range listed {
		text := licence.Join(c.Licences)
		if text == "" || c.Scope == component.Development {
			continue // not said; or not passed on
		}
		kind := licence.Other
		if e, err := licence.Parse(text); err == nil {
			if kind = e.Kind(); kind == licence.Permissive {
				continue
			}
			text = e.String()
		}
		g := groups[text]
		if g == nil {
			g = &group{lead: c, kind: kind}
			groups[text] = g
		}
		g.names = append(g.names, strings.TrimSpace(c.Name+" "+c.Version))
	}
	var all []finding.Finding
	for _, text := range sortedKeys(groups) {
		g := groups[text]
		slices.Sort(g.names)
		g.names = slices.Compact(g.names)
		fields := finding.At(g.lead.Place)
		fields[finding.FieldFingerprint] = finding.Fingerprint(LicenceRule, file, text)
		fields[finding.FieldLicence], fields[finding.FieldObligation] = finding.Shorten(text, 500), string(g.kind)
		fields[finding.FieldPackage] = g.lead.PURL
		fields[finding.FieldEvidence] = finding.Shorten(strings.Join(g.names, ", "), 1000)
		all = append(all, finding.Finding{
			GeneratorID:   LicenceRule,
			Title:         finding.Shorten(fmt.Sprintf("%s (%s): %s", text, g.kind, strings.Join(g.names, ", ")), 256),
			Description:   finding.Shorten("These components are licensed under "+text+". "+asks(g.kind), 1000),
			Types:         []string{"Software and Configuration Checks/Industry and Regulatory Standards"},
			Severity:      &finding.Severity{Label: finding.Informational},
			Remediation:   &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Keep to what the licence asks, or replace the components. A gate's pattern can stop on haechi/licence or haechi/obligation."}},
			ProductFields: fields,
		})
	}
	return all
}

func asks(kind licence.Kind) string {
	switch kind {
	case licence.Weak:
		return "Who passes them on changed passes the changed files or the library on under the same licence, in source."
	case licence.Strong:
		return "Who passes on a work that holds them passes the whole work on under the same licence, in source."
	case licence.Network:
		return "Who lets others use a work that holds them, be it over a network, offers the whole work to them in source."
	case licence.Restricted:
		return "Not every use is allowed."
	}
	return "What it asks for is not known here: read it."
}
