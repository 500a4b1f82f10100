package inspector2

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// criteria are what findings are asked for: of one attribute any of the
// values, and of all attributes something. The model has checked the names.
type criteria map[string]jsontext.Value

type textFilter struct {
	Comparison string `json:"comparison"`
	Value      string `json:"value"`
}

type numberFilter struct {
	Upper *float64 `json:"upperInclusive"`
	Lower *float64 `json:"lowerInclusive"`
}

type dateFilter struct {
	Start time.Time `json:"startInclusive"`
	End   time.Time `json:"endInclusive"`
}

type packageFilter struct {
	Name         *textFilter   `json:"name"`
	Version      *textFilter   `json:"version"`
	Epoch        *numberFilter `json:"epoch"`
	Release      *textFilter   `json:"release"`
	Architecture *textFilter   `json:"architecture"`
	Layer        *textFilter   `json:"sourceLayerHash"`
	Lambda       *textFilter   `json:"sourceLambdaLayerArn"`
	File         *textFilter   `json:"filePath"`
}

func (f *textFilter) check() error {
	if f == nil || slices.Contains([]string{"EQUALS", "PREFIX", "NOT_EQUALS"}, f.Comparison) && f.Value != "" {
		return nil
	}
	return fault.Invalid.Errorf("a comparison is EQUALS, PREFIX or NOT_EQUALS, and has a value")
}

func textFilters(text jsontext.Value) ([]textFilter, error) {
	if len(text) == 0 {
		return nil, nil
	}
	list, err := listOf[textFilter](text)
	for i := range list {
		if err == nil {
			err = list[i].check()
		}
	}
	return list, err
}

func packageFilters(text jsontext.Value) ([]packageFilter, error) {
	list, err := listOf[packageFilter](text)
	for _, f := range list {
		for _, one := range []*textFilter{f.Name, f.Version, f.Release, f.Architecture, f.Layer, f.Lambda, f.File} {
			if err == nil {
				err = one.check()
			}
		}
	}
	return list, err
}

// holds tells whether one of the values is meant; of what has none only "not" holds.
func (f textFilter) holds(values ...string) bool {
	switch f.Comparison {
	case "EQUALS":
		return slices.Contains(values, f.Value)
	case "PREFIX":
		return slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, f.Value) })
	}
	return !slices.Contains(values, f.Value)
}

// anyText joins filters on one attribute: one of those that want it, and all that do not.
func anyText(filters []textFilter, values ...string) bool {
	wanted, met := false, false
	for _, f := range filters {
		if f.Comparison == "NOT_EQUALS" {
			if !f.holds(values...) {
				return false
			}
			continue
		}
		wanted = true
		met = met || f.holds(values...)
	}
	return !wanted || met
}

func (f numberFilter) holds(v float64) bool {
	return (f.Upper == nil || v <= *f.Upper) && (f.Lower == nil || v >= *f.Lower)
}

func (f dateFilter) holds(at time.Time) bool {
	return (f.Start.IsZero() || !at.Before(f.Start)) && (f.End.IsZero() || !at.After(f.End))
}

func (f packageFilter) holds(p Package) bool {
	for _, one := range []struct {
		filter *textFilter
		value  string
	}{{f.Name, p.Name}, {f.Version, p.Version}, {f.Release, ""}, {f.Architecture, p.Arch}, {f.Layer, p.Layer}, {f.Lambda, ""}, {f.File, p.File}} {
		if one.filter != nil && !one.filter.holds(one.value) {
			return false
		}
	}
	return f.Epoch == nil
}

// texts are the values that a finding has of an attribute; what it cannot have is nothing.
func texts(f *Finding, name string) []string {
	r := f.Resources[0]
	switch name {
	case "awsAccountId":
		return []string{f.Account}
	case "exploitAvailable":
		return []string{f.Exploit}
	case "findingArn":
		return []string{f.ARN}
	case "findingStatus":
		return []string{f.Status}
	case "findingType":
		return []string{f.Type}
	case "fixAvailable":
		return []string{f.Fix}
	case "relatedVulnerabilities":
		return f.Vulnerability.Related
	case "resourceId":
		return []string{r.ID}
	case "resourceType":
		return []string{r.Type}
	case "severity":
		return []string{f.Severity}
	case "title":
		return []string{f.Title}
	case "vendorSeverity":
		return []string{f.Vulnerability.VendorSeverity}
	case "vulnerabilityId":
		return []string{f.Vulnerability.ID}
	case "vulnerabilitySource":
		return []string{f.Vulnerability.Source}
	}
	if r.Details == nil {
		return nil
	}
	if i := r.Details.Image; i != nil {
		switch name {
		case "ecrImageRepositoryName":
			return []string{i.Repository}
		case "ecrImageRegistry":
			return []string{i.Registry}
		case "ecrImageHash":
			return []string{i.Hash}
		case "ecrImageTags":
			return i.Tags
		}
	}
	if c := r.Details.Code; c != nil && name == "codeRepositoryProjectName" {
		return []string{c.Project}
	}
	return nil
}

var (
	numbers = map[string]func(*Finding) (float64, bool){
		"inspectorScore": func(f *Finding) (float64, bool) { return f.Score, true },
		"epssScore": func(f *Finding) (float64, bool) {
			if f.EPSS == nil {
				return 0, false
			}
			return f.EPSS.Score, true
		},
		"ecrImageInUseCount": func(*Finding) (float64, bool) { return 0, false },
	}
	dates = map[string]func(*Finding) time.Time{
		"firstObservedAt": func(f *Finding) time.Time { return f.First }, "lastObservedAt": func(f *Finding) time.Time { return f.Last }, "updatedAt": func(f *Finding) time.Time { return f.Updated },
		"ecrImagePushedAt": nil, "ecrImageLastInUseAt": nil, "lambdaFunctionLastModifiedAt": nil,
	}
)

// predicate is what the criteria ask, ready to be asked of many findings.
func (c criteria) predicate() (func(*Finding) bool, error) {
	var all []func(*Finding) bool
	for name, text := range c {
		test, err := testOf(name, text)
		if err != nil {
			return nil, fault.Invalid.Errorf("filterCriteria.%s: %w", name, err)
		}
		if test != nil {
			all = append(all, test)
		}
	}
	return func(f *Finding) bool {
		for _, test := range all {
			if !test(f) {
				return false
			}
		}
		return true
	}, nil
}

// narrow is what the hub can leave out already, by what it has an index of. It
// leaves out nothing that is asked for.
func (c criteria) narrow() hub.Filters {
	filters := hub.Filters{}
	for name, attribute := range map[string]string{"severity": "SeverityLabel", "title": "Title", "awsAccountId": "AwsAccountId", "codeRepositoryProjectName": "ProductFields"} {
		list, err := textFilters(c[name])
		if err != nil || len(list) == 0 || slices.ContainsFunc(list, func(f textFilter) bool { return f.Comparison != "EQUALS" }) {
			continue
		}
		for _, f := range list {
			one := hub.Condition{Value: f.Value, Comparison: "EQUALS"}
			if attribute == "ProductFields" {
				one.Key = finding.FieldTarget
			}
			filters[attribute] = append(filters[attribute], one)
		}
	}
	if list, err := textFilters(c["findingStatus"]); err == nil && len(list) > 0 && !slices.ContainsFunc(list, func(f textFilter) bool { return f != textFilter{"EQUALS", "ACTIVE"} }) {
		filters["RecordState"] = hub.Is("ACTIVE")
	}
	return filters
}

// testOf is the test of one attribute; nil where nothing is asked.
func testOf(name string, text jsontext.Value) (func(*Finding) bool, error) {
	switch {
	case numbers[name] != nil:
		list, err := listOf[numberFilter](text)
		return anyOf(list, func(f *Finding, one numberFilter) bool {
			v, ok := numbers[name](f)
			return ok && one.holds(v)
		}), err
	case isDate(name):
		list, err := listOf[dateFilter](text)
		return anyOf(list, func(f *Finding, one dateFilter) bool { return dates[name] != nil && one.holds(dates[name](f)) }), err
	case name == "vulnerablePackages":
		list, err := packageFilters(text)
		return anyOf(list, func(f *Finding, one packageFilter) bool {
			return slices.ContainsFunc(f.Vulnerability.Packages, one.holds)
		}), err
	case name == "portRange" || name == "resourceTags": // no package has such
		list, err := listOf[jsontext.Value](text)
		return anyOf(list, func(*Finding, jsontext.Value) bool { return false }), err
	}
	list, err := textFilters(text)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return func(f *Finding) bool { return anyText(list, texts(f, name)...) }, nil
}

func isDate(name string) bool {
	_, ok := dates[name]
	return ok
}

func listOf[T any](text jsontext.Value) (list []T, err error) {
	return list, json.Unmarshal(text, &list)
}

func anyOf[T any](list []T, holds func(*Finding, T) bool) func(*Finding) bool {
	if len(list) == 0 {
		return nil
	}
	return func(f *Finding) bool {
		return slices.ContainsFunc(list, func(one T) bool { return holds(f, one) })
	}
}

// What suppresses is asked of the hub's findings as they come in, as an event
// pattern. It can ask what that can say.

// paths are where findings in the hub have an attribute.
var paths = map[string][]string{
	"awsAccountId": {"AwsAccountId"}, "severity": {"Severity", "Label"}, "title": {"Title"}, "vulnerabilityId": {"Vulnerabilities", "Id"}, "relatedVulnerabilities": {"Vulnerabilities", "RelatedVulnerabilities"},
	"exploitAvailable": {"Vulnerabilities", "ExploitAvailable"}, "fixAvailable": {"Vulnerabilities", "FixAvailable"}, "codeRepositoryProjectName": {"ProductFields", finding.FieldTarget}, "epssScore": {"Vulnerabilities", "EpssScore"},
}

// pattern is what a filter that suppresses is to the hub.
func (c criteria) pattern() (string, error) {
	if len(c) == 0 {
		return "", fault.Invalid.Errorf("a filter that suppresses everything is none: filterCriteria must ask for something")
	}
	root := map[string]any{"Types": []any{map[string]any{"prefix": "Software and Configuration Checks/Vulnerabilities"}}}
	for name, text := range c {
		var err error
		switch {
		case name == "vulnerablePackages":
			err = packagesInto(root, text)
		case paths[name] != nil:
			err = into(root, name, text)
		default:
			names := []string{"vulnerablePackages"}
			for known := range paths {
				names = append(names, known)
			}
			slices.Sort(names)
			err = fault.Invalid.Errorf("a filter that suppresses cannot ask for it: it can ask for %s", strings.Join(names, ", "))
		}
		if err != nil {
			return "", fault.Invalid.Errorf("filterCriteria.%s: %w", name, err)
		}
	}
	pattern, err := json.Marshal(root, json.Deterministic(true))
	if err == nil {
		_, err = match.Parse(pattern)
	}
	return string(pattern), err
}

// into puts an attribute's values into a pattern.
func into(root map[string]any, name string, text jsontext.Value) error {
	values, err := valuesOf(name, text)
	if err != nil || len(values) == 0 {
		return err
	}
	put(root, values, paths[name]...)
	return nil
}

func put(at map[string]any, values []any, path ...string) {
	for _, step := range path[:len(path)-1] {
		next, ok := at[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[step] = next
		}
		at = next
	}
	at[path[len(path)-1]] = values
}

func valuesOf(name string, text jsontext.Value) (values []any, err error) {
	if numbers[name] != nil {
		list, err := listOf[numberFilter](text)
		for _, f := range list {
			upper, lower := math.MaxFloat32, 0.0
			if f.Upper != nil {
				upper = *f.Upper
			}
			if f.Lower != nil {
				lower = *f.Lower
			}
			values = append(values, map[string]any{"numeric": []any{">=", lower, "<=", min(upper, 1)}})
		}
		return values, err
	}
	list, err := textFilters(text)
	if err != nil {
		return nil, err
	}
	return textValues(list)
}

// textValues are filters as a pattern has them: any of those that want a value, or none of those that do not.
func textValues(list []textFilter) (values []any, err error) {
	var not []any
	for _, f := range list {
		switch f.Comparison {
		case "EQUALS":
			values = append(values, f.Value)
		case "PREFIX":
			values = append(values, map[string]any{"prefix": f.Value})
		default:
			not = append(not, f.Value)
		}
	}
	if len(not) > 0 {
		if len(values) > 0 {
			return nil, fault.Invalid.Errorf("a filter that suppresses cannot ask for EQUALS or PREFIX and NOT_EQUALS of one attribute")
		}
		values = append(values, map[string]any{"anything-but": not})
	}
	return values, nil
}

// packagesInto puts one package into a pattern: several would be any of their names with any of their versions.
func packagesInto(root map[string]any, text jsontext.Value) error {
	list, err := packageFilters(text)
	if err != nil || len(list) == 0 {
		return err
	}
	if len(list) > 1 {
		return fault.Invalid.Errorf("a filter that suppresses can ask for one package: make one filter for each")
	}
	f := list[0]
	if f.Epoch != nil || f.Release != nil || f.Lambda != nil || f.Layer != nil {
		return fault.Invalid.Errorf("a filter that suppresses can ask for name, version, architecture and filePath of a package")
	}
	for _, one := range []struct {
		filter *textFilter
		member string
	}{{f.Name, "Name"}, {f.Version, "Version"}, {f.Architecture, "Architecture"}, {f.File, "FilePath"}} {
		if one.filter == nil {
			continue
		}
		values, err := textValues([]textFilter{*one.filter})
		if err != nil {
			return err
		}
		put(root, values, "Vulnerabilities", "VulnerablePackages", one.member)
	}
	return nil
}
