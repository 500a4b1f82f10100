package sbom

import (
	"fmt"
	"io"
	"strings"

	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/word/component"
)

// Notices writes which third-party components are passed on, each under its
// licence, with the texts that were found. What is only for development is not passed on.
func Notices(w io.Writer, made Made, components []component.Component, texts map[string]string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "THIRD-PARTY NOTICES\n\n%s contains the following third-party components.\n", made.Name)
	byLicence := map[string][]*part{}
	for _, p := range parts(components) {
		if p.Scope == component.Development || p.Ecosystem == "OCI" {
			continue
		}
		l := licence.Join(p.Licences)
		if l == "" {
			l = "licence not known"
		}
		byLicence[l] = append(byLicence[l], p)
	}
	for _, l := range sortedKeys(byLicence) {
		fmt.Fprintf(&b, "\n%s\n%s\n\n", l, strings.Repeat("=", len(l)))
		for _, p := range byLicence[l] {
			fmt.Fprintf(&b, "- %s %s\n  %s\n", p.Name, p.Version, p.Locator())
		}
	}
	written := map[string]bool{}
	for _, p := range parts(components) {
		text := strings.TrimSpace(texts[p.Locator()])
		if text == "" || written[text] || p.Scope == component.Development {
			continue
		}
		written[text] = true
		fmt.Fprintf(&b, "\n%s\n%s %s\n%s\n\n%s\n", strings.Repeat("-", 72), p.Name, p.Version, strings.Repeat("-", 72), text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
