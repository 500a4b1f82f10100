package inspector2

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

type listInput struct {
	MaxResults int      `json:"maxResults"`
	NextToken  string   `json:"nextToken"`
	Criteria   criteria `json:"filterCriteria"`
	Sort       struct {
		Field string `json:"field"`
		Order string `json:"sortOrder"`
	} `json:"sortCriteria"`
}

type listOutput struct {
	NextToken string    `json:"nextToken,omitzero"`
	Findings  []Finding `json:"findings"`
}

func (s *service) listFindings(ctx context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	keep, err := in.Criteria.predicate()
	if err != nil {
		return nil, err
	}
	found, err := Findings(ctx, s.Config, in.Criteria.narrow(), func(f *Finding, _ inspect.Thing) bool { return keep(f) })
	if err != nil {
		return nil, err
	}
	order := byField(in.Sort.Field)
	slices.SortStableFunc(found, func(a, b Finding) int {
		n := order(&a, &b)
		if in.Sort.Order == "DESC" {
			n = -n
		}
		return cmp.Or(n, strings.Compare(a.ARN, b.ARN))
	})
	out := &listOutput{}
	out.Findings, out.NextToken, err = page(found, in.NextToken, in.MaxResults, 100)
	return out, err
}

// byField compares findings by a field to sort by. By what packages' findings
// all have alike they stay as they are.
func byField(field string) func(a, b *Finding) int {
	text := func(of func(*Finding) string) func(a, b *Finding) int {
		return func(a, b *Finding) int { return strings.Compare(of(a), of(b)) }
	}
	number := func(of func(*Finding) float64) func(a, b *Finding) int {
		return func(a, b *Finding) int { return cmp.Compare(of(a), of(b)) }
	}
	named := func(name string) func(a, b *Finding) int {
		return text(func(f *Finding) string { return strings.Join(texts(f, name), " ") })
	}
	switch field {
	case "AWS_ACCOUNT_ID":
		return named("awsAccountId")
	case "SEVERITY":
		return number(func(f *Finding) float64 { return float64(finding.Label(f.Severity).Rank()) })
	case "FIRST_OBSERVED_AT":
		return func(a, b *Finding) int { return a.First.Compare(b.First) }
	case "LAST_OBSERVED_AT":
		return func(a, b *Finding) int { return a.Last.Compare(b.Last) }
	case "FINDING_STATUS":
		return named("findingStatus")
	case "RESOURCE_TYPE":
		return named("resourceType")
	case "ECR_IMAGE_REPOSITORY_NAME":
		return named("ecrImageRepositoryName")
	case "ECR_IMAGE_REGISTRY":
		return named("ecrImageRegistry")
	case "VULNERABILITY_ID":
		return named("vulnerabilityId")
	case "VULNERABILITY_SOURCE":
		return named("vulnerabilitySource")
	case "VENDOR_SEVERITY":
		return named("vendorSeverity")
	case "INSPECTOR_SCORE":
		return number(func(f *Finding) float64 { return f.Score })
	case "EPSS_SCORE":
		return number(func(f *Finding) float64 {
			if f.EPSS == nil {
				return -1
			}
			return f.EPSS.Score
		})
	}
	return func(a, b *Finding) int { return 0 }
}

// Aggregations.

type counts struct {
	All      int64 `json:"all"`
	Medium   int64 `json:"medium"`
	High     int64 `json:"high"`
	Critical int64 `json:"critical"`
}

func (c *counts) add(severity string) {
	c.All++
	switch severity {
	case "MEDIUM":
		c.Medium++
	case "HIGH":
		c.High++
	case "CRITICAL":
		c.Critical++
	}
}

type aggregationInput struct {
	Type       string                  `json:"aggregationType"`
	NextToken  string                  `json:"nextToken"`
	MaxResults int                     `json:"maxResults"`
	Accounts   []textFilter            `json:"accountIds"`
	Request    map[string]*aggregation `json:"aggregationRequest"`
}

// aggregation is any of the model's kinds, as far as packages have it.
type aggregation struct {
	FindingType     string       `json:"findingType"`
	ResourceType    string       `json:"resourceType"`
	SortOrder       string       `json:"sortOrder"`
	SortBy          string       `json:"sortBy"`
	Packages        []textFilter `json:"packageNames"`
	Titles          []textFilter `json:"titles"`
	Vulnerabilities []textFilter `json:"vulnerabilityIds"`
	Repositories    []textFilter `json:"repositories"`
	Resources       []textFilter `json:"resourceIds"`
	Hashes          []textFilter `json:"imageShas"`
	Tags            []textFilter `json:"imageTags"`
	Layers          []textFilter `json:"layerHashes"`
	Projects        []textFilter `json:"projectNames"`
	Architectures   []textFilter `json:"architectures"`
	Providers       []textFilter `json:"providerTypes"`
}

type aggregationOutput struct {
	Type      string           `json:"aggregationType"`
	Responses []map[string]any `json:"responses"`
	NextToken string           `json:"nextToken,omitzero"`
}

// group is what findings are counted by.
type group struct {
	key      string
	members  map[string]any
	counts   counts
	exploit  int64
	fix      int64
	affected map[string]bool // images
}

// groupings are the kinds of aggregations: the member of the answer that they are, and the groups of a finding.
var groupings = map[string]struct {
	member string
	of     func(f *Finding, a *aggregation) []map[string]any
}{
	"FINDING_TYPE": {"findingTypeAggregation", func(f *Finding, _ *aggregation) []map[string]any { return one("accountId", f.Account) }},
	"ACCOUNT":      {"accountAggregation", func(f *Finding, _ *aggregation) []map[string]any { return one("accountId", f.Account) }},
	"TITLE": {"titleAggregation", func(f *Finding, a *aggregation) []map[string]any {
		if !anyText(a.Titles, f.Title) || !anyText(a.Vulnerabilities, f.Vulnerability.ID) {
			return nil
		}
		return one("title", f.Title, "vulnerabilityId", f.Vulnerability.ID, "accountId", f.Account)
	}},
	"PACKAGE":           {"packageAggregation", groupPackages},
	"REPOSITORY":        {"repositoryAggregation", groupRepository},
	"AWS_ECR_CONTAINER": {"awsEcrContainerAggregation", groupImage},
	"IMAGE_LAYER":       {"imageLayerAggregation", groupLayers},
	"CODE_REPOSITORY":   {"codeRepositoryAggregation", groupProject},
}

func one(pairs ...string) []map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return []map[string]any{m}
}

func groupPackages(f *Finding, a *aggregation) (list []map[string]any) {
	seen := map[string]bool{}
	for _, p := range f.Vulnerability.Packages {
		if !seen[p.Name] && anyText(a.Packages, p.Name) {
			seen[p.Name] = true
			list = append(list, one("packageName", p.Name, "accountId", f.Account)...)
		}
	}
	return list
}

func imageIn(f *Finding) *Image {
	if d := f.Resources[0].Details; d != nil {
		return d.Image
	}
	return nil
}

func groupRepository(f *Finding, a *aggregation) []map[string]any {
	i := imageIn(f)
	if i == nil || !anyText(a.Repositories, i.Repository) {
		return nil
	}
	return one("repository", i.Repository, "accountId", f.Account)
}

func groupImage(f *Finding, a *aggregation) []map[string]any {
	i := imageIn(f)
	if i == nil || !anyText(a.Repositories, i.Repository) || !anyText(a.Hashes, i.Hash) || !anyText(a.Tags, i.Tags...) || !anyText(a.Resources, f.Resources[0].ID) || !anyText(a.Architectures) {
		return nil
	}
	list := one("resourceId", f.Resources[0].ID, "imageSha", i.Hash, "repository", i.Repository, "accountId", f.Account)
	list[0]["imageTags"] = append([]string{}, i.Tags...)
	return list
}

func groupLayers(f *Finding, a *aggregation) (list []map[string]any) {
	i, seen := imageIn(f), map[string]bool{}
	if i == nil || !anyText(a.Repositories, i.Repository) || !anyText(a.Resources, f.Resources[0].ID) {
		return nil
	}
	for _, p := range f.Vulnerability.Packages {
		if p.Layer != "" && !seen[p.Layer] && anyText(a.Layers, p.Layer) {
			seen[p.Layer] = true
			list = append(list, one("repository", i.Repository, "resourceId", f.Resources[0].ID, "layerHash", p.Layer, "accountId", f.Account)...)
		}
	}
	return list
}

func groupProject(f *Finding, a *aggregation) []map[string]any {
	d := f.Resources[0].Details
	if d == nil || d.Code == nil || !anyText(a.Projects, d.Code.Project) || !anyText(a.Resources, f.Resources[0].ID) || !anyText(a.Providers) {
		return nil
	}
	return one("projectNames", d.Code.Project, "resourceId", f.Resources[0].ID, "accountId", f.Account)
}

func (s *service) listAggregations(ctx context.Context, _ *wire.Call, in *aggregationInput) (*aggregationOutput, error) {
	kind, ok := groupings[in.Type]
	asked := in.Request[kind.member]
	if asked == nil {
		asked = &aggregation{}
	}
	for member := range in.Request {
		if ok && member != kind.member {
			return nil, fault.Invalid.Errorf("aggregationRequest has %s, and aggregationType is %s", member, in.Type)
		}
	}
	var found []Finding
	if ok && asked.FindingType != "NETWORK_REACHABILITY" && asked.FindingType != "CODE_VULNERABILITY" {
		var err error
		if found, err = Findings(ctx, s.Config, hub.Filters{"RecordState": hub.Is("ACTIVE")}, func(f *Finding, _ inspect.Thing) bool {
			return f.Status == "ACTIVE" && anyText(in.Accounts, f.Account) && (asked.ResourceType == "" || asked.ResourceType == f.Resources[0].Type)
		}); err != nil {
			return nil, err
		}
	}
	groups := grouped(found, kind.of, asked)
	var list []map[string]any
	for _, g := range groups {
		list = append(list, map[string]any{kind.member: g.answer(in.Type)})
	}
	out := &aggregationOutput{Type: in.Type}
	var err error
	out.Responses, out.NextToken, err = page(list, in.NextToken, in.MaxResults, 100)
	return out, err
}

func grouped(found []Finding, of func(*Finding, *aggregation) []map[string]any, asked *aggregation) (groups []*group) {
	byKey := map[string]*group{}
	for i := range found {
		f := &found[i]
		for _, members := range of(f, asked) {
			key := keyOf(members)
			g := byKey[key]
			if g == nil {
				g = &group{key: key, members: members, affected: map[string]bool{}}
				byKey[key] = g
				groups = append(groups, g)
			}
			g.counts.add(f.Severity)
			g.affected[f.Resources[0].ID] = true
			if f.Exploit == "YES" {
				g.exploit++
			}
			if f.Fix == "YES" {
				g.fix++
			}
		}
	}
	by := func(g *group) int64 {
		switch asked.SortBy {
		case "CRITICAL":
			return g.counts.Critical
		case "HIGH":
			return g.counts.High
		case "AFFECTED_IMAGES":
			return int64(len(g.affected))
		}
		return g.counts.All
	}
	slices.SortFunc(groups, func(a, b *group) int {
		n := cmp.Compare(by(b), by(a))
		if asked.SortOrder == "ASC" {
			n = -n
		}
		return cmp.Or(n, strings.Compare(a.key, b.key))
	})
	return groups
}

func keyOf(members map[string]any) string {
	var b strings.Builder
	for _, name := range []string{"accountId", "title", "vulnerabilityId", "packageName", "repository", "resourceId", "imageSha", "layerHash", "projectNames"} {
		if v, ok := members[name].(string); ok {
			b.WriteString(v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// answer is the group as the model has its kind.
func (g *group) answer(kind string) map[string]any {
	g.members["severityCounts"] = g.counts
	switch kind {
	case "FINDING_TYPE", "ACCOUNT":
		g.members["exploitAvailableCount"], g.members["fixAvailableCount"] = g.exploit, g.fix
	case "CODE_REPOSITORY":
		g.members["exploitAvailableActiveFindingsCount"], g.members["fixAvailableActiveFindingsCount"] = g.exploit, g.fix
	case "REPOSITORY":
		g.members["affectedImages"] = int64(len(g.affected))
	}
	return g.members
}
