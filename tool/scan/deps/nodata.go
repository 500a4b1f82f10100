package deps

import (
	"fmt"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// listedOnly are components of which no feed in common use speaks: they are
// listed, and that there is no data says nothing about the scan.
func listedOnly(ecosystem string) bool {
	switch ecosystem {
	case Images, "", "CocoaPods", "Conda", "GitHub Actions":
		return true
	}
	return false
}

// noData says that there are no advisories, or none that are new enough, on an
// ecosystem that was met first at place.
func noData(ecosystem, why string, place diag.Place) finding.Finding {
	fields := finding.At(diag.Place{File: place.File})
	fields[finding.FieldFingerprint] = finding.Fingerprint(NoDataRule, ecosystem)
	fields[finding.FieldState] = "NO_DATA"
	fields[finding.FieldEvidence] = why
	return finding.Finding{
		GeneratorID:   NoDataRule,
		Title:         "NO DATA on " + ecosystem + ": " + why,
		Description:   fmt.Sprintf("Components of %s were listed, but that nothing was found among them says nothing: %s.", ecosystem, why),
		Types:         []string{"Software and Configuration Checks/Vulnerabilities"},
		Severity:      &finding.Severity{Label: finding.Informational},
		Remediation:   &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Load advisories on " + ecosystem + " with haechi db update or haechi db import."}},
		ProductFields: fields,
	}
}
