package inspector2

import (
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/finding"
)

// samples are findings of one package each, in all that criteria can ask for.
func samples() (list []finding.Finding) {
	odds := 0.5
	for i, v := range []finding.Vulnerability{
		{ID: "CVE-2021-1", Packages: []finding.Package{{Name: "left-pad", Version: "1.0.0", FilePath: "a/package-lock.json"}}, Related: []string{"GHSA-1"}, FixAvailable: "YES", ExploitAvailable: "YES", EpssScore: &odds},
		{ID: "CVE-2021-2", Packages: []finding.Package{{Name: "right-pad", Version: "1.0.0", FilePath: "package-lock.json"}}, FixAvailable: "NO", ExploitAvailable: "NO"},
		{ID: "CVE-2022-1", Packages: []finding.Package{{Name: "left-pad", Version: "2.0.0", FilePath: "package-lock.json"}}, Related: []string{"GHSA-2", "GHSA-3"}, FixAvailable: "PARTIAL", ExploitAvailable: "NO"},
	} {
		f := finding.Finding{AccountID: "111122223333", Title: v.ID + " in a package", Types: []string{"Software and Configuration Checks/Vulnerabilities/CVE"}, Severity: &finding.Severity{Label: finding.Labels[i+1]},
			Vulnerabilities: []finding.Vulnerability{v}, ProductFields: map[string]string{finding.FieldTarget: []string{"shop", "web", "shop"}[i]}, Resources: []finding.Resource{{Type: "Other", ID: "x"}}}
		list = append(list, f)
	}
	return list
}

// agree tells for criteria that suppress which samples ListFindings would show, and which the hub would suppress; they must be the same.
func agree(t *testing.T, text string) (accepted bool) {
	t.Helper()
	var c criteria
	if json.Unmarshal([]byte(text), &c) != nil {
		return false
	}
	keep, err := c.predicate()
	if err != nil {
		return false
	}
	made, err := c.pattern()
	if err != nil {
		return false
	}
	p, err := match.Parse([]byte(made))
	if err != nil {
		t.Fatalf("%s became %s: %v", text, made, err)
	}
	var shown, suppressed []string
	for _, f := range samples() {
		one := Config{Account: "111122223333", Region: "us-east-1"}.findingOf(&f, inspect.Thing{Target: f.ProductFields[finding.FieldTarget], Kind: inspect.Source})
		if keep(&one) {
			shown = append(shown, one.Vulnerability.ID)
		}
		if p.Match(f.JSON()) {
			suppressed = append(suppressed, one.Vulnerability.ID)
		}
	}
	if !slices.Equal(shown, suppressed) {
		t.Errorf("%s shows %v, and as %s suppresses %v", text, shown, made, suppressed)
	}
	return true
}

var asked = []string{
	`{"vulnerabilityId":[{"comparison":"EQUALS","value":"CVE-2021-1"},{"comparison":"PREFIX","value":"CVE-2022"}]}`,
	`{"vulnerabilityId":[{"comparison":"NOT_EQUALS","value":"CVE-2021-1"},{"comparison":"NOT_EQUALS","value":"CVE-2021-2"}],"severity":[{"comparison":"EQUALS","value":"HIGH"}]}`,
	`{"relatedVulnerabilities":[{"comparison":"EQUALS","value":"GHSA-3"}]}`, `{"fixAvailable":[{"comparison":"NOT_EQUALS","value":"NO"}]}`, `{"exploitAvailable":[{"comparison":"EQUALS","value":"YES"}]}`,
	`{"vulnerablePackages":[{"name":{"comparison":"EQUALS","value":"left-pad"},"version":{"comparison":"NOT_EQUALS","value":"1.0.0"}}]}`, `{"vulnerablePackages":[{"filePath":{"comparison":"PREFIX","value":"a/"}}]}`,
	`{"codeRepositoryProjectName":[{"comparison":"EQUALS","value":"shop"}],"title":[{"comparison":"PREFIX","value":"CVE-2022"}]}`, `{"epssScore":[{"lowerInclusive":0.4,"upperInclusive":0.6}]}`, `{"epssScore":[{"upperInclusive":0.4}]}`,
	`{"awsAccountId":[{"comparison":"EQUALS","value":"111122223333"}]}`, `{"awsAccountId":[{"comparison":"EQUALS","value":"999999999999"}]}`,
}

// A filter suppresses what it shows.
func TestFiltersSuppressWhatTheyShow(t *testing.T) {
	for _, text := range asked {
		if !agree(t, text) {
			t.Errorf("%s is refused", text)
		}
	}
}

func FuzzCriteria(f *testing.F) {
	for _, text := range asked {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { agree(t, text) })
}
