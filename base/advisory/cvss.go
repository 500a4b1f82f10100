package advisory

import (
	"fmt"
	"math"
	"strings"
)

// Severity is how bad a bug is, and who says so.
type Severity struct {
	Label  string  `json:"label,omitzero"` // LOW, MEDIUM, HIGH, CRITICAL; "" when nobody says
	Score  float64 `json:"score,omitzero"` // 0 to 10, where a vector gives it
	Vector string  `json:"vector,omitzero"`
	Source string  `json:"source,omitzero"` // "CVSS 3.1", "CVSS 4.0, rated by the database", "the database"
}

// severity is what the vectors of a document give, else the word of its database.
func (d document) severity() Severity {
	ratings := d.Severity
	for _, a := range d.Affected {
		ratings = append(ratings, a.Severity...)
	}
	var best Severity
	for _, r := range ratings {
		if score, err := baseScore(r.Score); err == nil && score > best.Score {
			best = Severity{Label: labelOf(score), Score: score, Vector: r.Score, Source: "CVSS " + r.Score[len("CVSS:"):len("CVSS:")+3]}
		}
	}
	if best.Label != "" {
		return best
	}
	word := d.Specific.Severity
	for _, a := range d.Affected {
		if word == "" {
			word = a.Specific.Severity
		}
	}
	label, known := map[string]string{"LOW": "LOW", "MODERATE": "MEDIUM", "MEDIUM": "MEDIUM", "IMPORTANT": "HIGH", "HIGH": "HIGH", "CRITICAL": "CRITICAL"}[strings.ToUpper(word)]
	if !known {
		return Severity{}
	}
	s := Severity{Label: label, Source: "the database"}
	for _, r := range ratings {
		if strings.HasPrefix(r.Score, "CVSS:4.0/") {
			s.Vector, s.Source = r.Score, "CVSS 4.0, rated by the database"
		}
	}
	return s
}

func labelOf(score float64) string {
	switch {
	case score >= 9:
		return "CRITICAL"
	case score >= 7:
		return "HIGH"
	case score >= 4:
		return "MEDIUM"
	case score > 0:
		return "LOW"
	}
	return ""
}

// baseScore is the base score of a CVSS 3.0 or 3.1 vector, as FIRST's
// specification computes it: https://www.first.org/cvss/v3.1/specification-document
func baseScore(vector string) (float64, error) {
	rest, ok := strings.CutPrefix(vector, "CVSS:3.1/")
	if !ok {
		if rest, ok = strings.CutPrefix(vector, "CVSS:3.0/"); !ok {
			return 0, fmt.Errorf("%.20q is no CVSS 3 vector", vector)
		}
	}
	metrics := map[string]string{}
	for part := range strings.SplitSeq(rest, "/") {
		name, value, ok := strings.Cut(part, ":")
		if !ok || metrics[name] != "" || value == "" {
			return 0, fmt.Errorf("%.100q: metric %.20q", vector, part)
		}
		metrics[name] = value
	}
	changed := metrics["S"] == "C"
	if !changed && metrics["S"] != "U" {
		return 0, fmt.Errorf("%.100q: no scope", vector)
	}
	weights := weightsOf(changed)
	value := map[string]float64{}
	for name, values := range weights {
		w, ok := values[metrics[name]]
		if !ok {
			return 0, fmt.Errorf("%.100q: metric %s is missing or unknown", vector, name)
		}
		value[name] = w
	}
	lost := 1 - (1-value["C"])*(1-value["I"])*(1-value["A"])
	impact := 6.42 * lost
	if changed {
		impact = 7.52*(lost-0.029) - 3.25*math.Pow(lost-0.02, 15)
	}
	if impact <= 0 {
		return 0, nil
	}
	score := impact + 8.22*value["AV"]*value["AC"]*value["PR"]*value["UI"]
	if changed {
		score *= 1.08
	}
	return roundUp(math.Min(score, 10)), nil
}

func weightsOf(changed bool) map[string]map[string]float64 {
	loss := map[string]float64{"H": 0.56, "L": 0.22, "N": 0}
	privileges := map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	if changed {
		privileges = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}
	}
	return map[string]map[string]float64{
		"AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
		"AC": {"L": 0.77, "H": 0.44},
		"PR": privileges,
		"UI": {"N": 0.85, "R": 0.62},
		"C":  loss, "I": loss, "A": loss,
	}
}

// roundUp is the specification's: to one decimal, upwards, without the errors of floating point.
func roundUp(x float64) float64 {
	n := int(math.Round(x * 100000))
	if n%10000 == 0 {
		return float64(n) / 100000
	}
	return float64(n/10000+1) / 10
}
