package report

import (
	"encoding/base64"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

const secretType = "Sensitive Data Identifications/Passwords"

func gitleaksFormat() format {
	return format{name: "gitleaks-json", tool: "gitleaks", read: readGitleaks, is: func(d *doc) bool {
		return d.object("RuleID", "StartLine") && (d.members["Secret"] || d.members["Match"])
	}}
}

func gitleaksCSVFormat() format {
	return format{name: "gitleaks-csv", tool: "gitleaks", read: readGitleaks, is: func(d *doc) bool { return d.table("RuleID", "File", "StartLine") }}
}

func readGitleaks(r *reading) error {
	return r.each("[]", func(_ []string, n node) error {
		return r.add(record{
			rule: n.text("RuleID"), title: or(n.text("Description"), n.text("RuleID")), label: finding.High, file: n.text("File"),
			line: n.int("StartLine"), column: n.int("StartColumn"), excerpt: n.text("Match"), secret: n.text("Secret"), types: secretType,
			tie:    []string{n.text("Commit"), n.text("StartLine"), n.text("StartColumn")},
			fields: map[string]string{"commit": n.text("Commit"), "tags": strings.Join(n.texts("Tags"), " ")},
		})
	})
}

func gitleaks7Format() format {
	return format{name: "gitleaks-json", tool: "gitleaks", is: func(d *doc) bool { return d.object("offender", "rule") }, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			return r.add(record{
				rule: n.text("rule"), label: finding.High, file: n.text("file"), line: n.int("lineNumber"), excerpt: n.text("line"),
				secret: n.text("offender"), types: secretType, tie: []string{n.text("commit")},
				fields: map[string]string{"commit": n.text("commit"), "tags": n.text("tags")},
			})
		})
	}}
}

func trufflehogFormat() format {
	return format{name: "trufflehog-v3-jsonl", tool: "trufflehog", is: func(d *doc) bool {
		return d.object("SourceMetadata", "DetectorName")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			data := n.at("SourceMetadata", "Data")
			for _, source := range data.names() {
				data = data.at(source)
				break
			}
			secret := n.text("Raw")
			if plain, err := base64.StdEncoding.DecodeString(secret); err == nil && len(plain) > 3 {
				secret = string(plain)
			}
			rec := record{
				rule: n.text("DetectorName"), title: "A secret of " + n.text("DetectorName"), severity: "unverified", label: finding.High,
				file: data.text("file"), line: data.int("line"), secret: secret, types: secretType,
				tie:      []string{data.text("commit"), data.text("line")},
				fields:   map[string]string{"commit": data.text("commit"), "repository": data.text("repository")},
				resource: or(data.text("link"), data.text("bucket"), data.text("image")),
			}
			if data.text("file") != "" {
				rec.resource = ""
			}
			if n.yes("Verified") {
				rec.severity, rec.confidence, rec.label = "verified", "verified", finding.Critical
			}
			return r.add(rec)
		})
	}}
}

func trufflehog3Format() format {
	return format{name: "trufflehog3-json", tool: "trufflehog3", is: func(d *doc) bool {
		return d.many("rule", "path", "secret")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			return r.add(record{
				rule: n.text("rule", "id"), title: n.text("rule", "message"), severity: n.text("rule", "severity"), file: n.text("path"),
				line: n.int("line"), secret: n.text("secret"), types: secretType, tie: []string{n.text("commit"), n.text("line")},
				fields: map[string]string{"commit": n.text("commit"), "branch": n.text("branch")},
			})
		})
	}}
}

func detectSecretsFormat() format {
	return format{name: "detect-secrets-json", tool: "detect-secrets", is: func(d *doc) bool {
		return d.one("results", "plugins_used")
	}, read: func(r *reading) error {
		head, err := r.rest("results")
		if err != nil {
			return err
		}
		r.told.Version = head.text("version")
		return r.each("results/*/*", func(at []string, n node) error {
			rec := record{
				rule: n.text("type"), title: n.text("type"), label: finding.High, file: or(n.text("filename"), at[1]), line: n.int("line_number"),
				secret: n.text("hashed_secret"), types: secretType, tie: []string{},
			}
			if n.yes("is_verified") {
				rec.confidence, rec.label = "verified", finding.Critical
			}
			if n.has("is_secret") && !n.yes("is_secret") {
				rec.suppressed, rec.why = true, "audited: no secret"
			}
			return r.add(rec)
		})
	}}
}
