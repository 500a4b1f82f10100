package inspector2

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

type covered struct {
	ResourceType string         `json:"resourceType"`
	ResourceID   string         `json:"resourceId"`
	Account      string         `json:"accountId"`
	ScanType     string         `json:"scanType"`
	Status       scanStatus     `json:"scanStatus"`
	Metadata     map[string]any `json:"resourceMetadata"`
	Last         time.Time      `json:"lastScannedAt"`

	thing inspect.Thing
	image *Image
}

type scanStatus struct {
	Code   string `json:"statusCode"`
	Reason string `json:"reason"`
}

type coverageInput struct {
	MaxResults int                       `json:"maxResults"`
	NextToken  string                    `json:"nextToken"`
	Criteria   map[string]jsontext.Value `json:"filterCriteria"`
	GroupBy    string                    `json:"groupBy"`
}

type coverageOutput struct {
	NextToken string    `json:"nextToken,omitzero"`
	Resources []covered `json:"coveredResources"`
}

func (s *service) listCoverage(ctx context.Context, _ *wire.Call, in *coverageInput) (*coverageOutput, error) {
	list, err := s.covered(ctx, in.Criteria)
	if err != nil {
		return nil, err
	}
	out := &coverageOutput{}
	out.Resources, out.NextToken, err = page(list, in.NextToken, in.MaxResults, 200)
	return out, err
}

// covered are the things that were looked into and are asked for.
func (s *service) covered(ctx context.Context, asked map[string]jsontext.Value) (list []covered, err error) {
	things, err := s.Inspect.All(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range things {
		c := s.coverageOf(t)
		meant := true
		for name, text := range asked {
			holds, err := c.meant(name, text)
			if err != nil {
				return nil, fault.Invalid.Errorf("filterCriteria.%s: %w", name, err)
			}
			meant = meant && holds
		}
		if meant {
			list = append(list, c)
		}
	}
	return list, nil
}

func (s *service) coverageOf(t inspect.Thing) covered {
	r := s.ResourceOf(t)
	c := covered{ResourceType: r.Type, ResourceID: r.ID, Account: s.Account, ScanType: "PACKAGE", Status: scanStatus{"ACTIVE", "SUCCESSFUL"}, Last: t.At, thing: t}
	if !t.Complete {
		c.Status = scanStatus{"INACTIVE", "UNSUPPORTED_CODE_ARTIFACTS"}
	}
	if image, ok := ImageOf(t); ok {
		c.image = &image
		c.Metadata = map[string]any{"ecrRepository": map[string]any{"name": image.Repository, "scanFrequency": "CONTINUOUS_SCAN"}, "ecrImage": map[string]any{"tags": append([]string{}, image.Tags...)}}
		return c
	}
	code := map[string]any{"projectName": finding.Shorten(t.Target, 300), "providerType": "HAECHI", "providerTypeVisibility": "PRIVATE"}
	if len(t.Commit) == 40 {
		code["lastScannedCommitId"] = t.Commit
	}
	c.Metadata = map[string]any{"codeRepository": code}
	return c
}

// meant tells whether one of an attribute's filters holds.
func (c *covered) meant(name string, text jsontext.Value) (bool, error) {
	switch name {
	case "lastScannedAt":
		list, err := listOf[dateFilter](text)
		return len(list) == 0 || slices.ContainsFunc(list, func(f dateFilter) bool { return f.holds(c.Last) }), err
	case "imagePulledAt", "ecrImageLastInUseAt", "ecrImageInUseCount", "ec2InstanceTags", "lambdaFunctionTags": // nothing here has such
		list, err := listOf[jsontext.Value](text)
		return len(list) == 0, err
	}
	list, err := listOf[textFilter](text)
	return anyText(list, c.texts(name)...), err
}

func (c *covered) texts(name string) []string {
	switch name {
	case "scanStatusCode":
		return []string{c.Status.Code}
	case "scanStatusReason":
		return []string{c.Status.Reason}
	case "accountId":
		return []string{c.Account}
	case "resourceId":
		return []string{c.ResourceID}
	case "resourceType":
		return []string{c.ResourceType}
	case "scanType":
		return []string{c.ScanType}
	}
	if c.image != nil {
		switch name {
		case "ecrRepositoryName":
			return []string{c.image.Repository}
		case "ecrImageTags":
			return c.image.Tags
		}
		return nil
	}
	switch name {
	case "codeRepositoryProjectName":
		return []string{c.thing.Target}
	case "codeRepositoryProviderType":
		return []string{"HAECHI"}
	case "codeRepositoryProviderTypeVisibility":
		return []string{"PRIVATE"}
	case "lastScannedCommitId":
		return []string{c.thing.Commit}
	}
	return nil
}

type statisticsOutput struct {
	Groups []groupCount `json:"countsByGroup,omitzero"`
	Total  int64        `json:"totalCounts"`
}

type groupCount struct {
	Count int64  `json:"count"`
	Key   string `json:"groupKey"`
}

// coverageStatistics counts. The model's groupKey is the name of what is
// grouped by, not its value, so there is one count for each value in the order of these.
func (s *service) coverageStatistics(ctx context.Context, _ *wire.Call, in *coverageInput) (*statisticsOutput, error) {
	list, err := s.covered(ctx, in.Criteria)
	if err != nil {
		return nil, err
	}
	out := &statisticsOutput{Total: int64(len(list))}
	if in.GroupBy == "" {
		return out, nil
	}
	attribute := map[string]string{"SCAN_STATUS_CODE": "scanStatusCode", "SCAN_STATUS_REASON": "scanStatusReason", "ACCOUNT_ID": "accountId", "RESOURCE_TYPE": "resourceType", "ECR_REPOSITORY_NAME": "ecrRepositoryName"}[in.GroupBy]
	counted := map[string]int64{}
	for i := range list {
		for _, v := range list[i].texts(attribute) {
			counted[v]++
		}
	}
	for _, v := range slices.SortedFunc(maps.Keys(counted), func(a, b string) int { return cmp.Compare(a, b) }) {
		out.Groups = append(out.Groups, groupCount{counted[v], in.GroupBy})
	}
	return out, nil
}
