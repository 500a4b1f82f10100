package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// labelOf is what a tool's word for how bad something is means; "" is a word that says nothing.
func labelOf(word string) finding.Label {
	switch strings.ToUpper(strings.TrimSpace(word)) {
	case "CRITICAL", "BLOCKER", "FATAL", "SEVERE":
		return finding.Critical
	case "HIGH", "ERROR", "IMPORTANT", "SERIOUS", "DANGER", "MAJOR-HIGH":
		return finding.High
	case "MEDIUM", "MODERATE", "WARNING", "WARN", "MAJOR":
		return finding.Medium
	case "LOW", "MINOR", "NOTE", "UNIMPORTANT", "WEAK":
		return finding.Low
	case "INFO", "INFORMATION", "INFORMATIONAL", "NEGLIGIBLE", "NONE", "STYLE", "LOG", "TRACE":
		return finding.Informational
	}
	return ""
}

// by is a format's own table, in which some words mean something else; what it lacks is told by labelOf.
func by(word string, table map[string]finding.Label) finding.Label {
	if l, ok := table[strings.ToUpper(strings.TrimSpace(word))]; ok {
		return l
	}
	return labelOf(word)
}

// labelOfScore is what CVSS calls a score.
func labelOfScore(score float64) finding.Label {
	switch {
	case score >= 9:
		return finding.Critical
	case score >= 7:
		return finding.High
	case score >= 4:
		return finding.Medium
	case score > 0:
		return finding.Low
	}
	return finding.Informational
}
