// Package ecr answers what is known of the packages of container images, as ECR does.
package ecr

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/inspector2"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

//go:embed model.json
var table []byte

type service struct{ inspector2.Config }

// Service answers DescribeImageScanFindings. Images are not kept here, only
// what was found in them.
func Service(c inspector2.Config) wire.Service {
	s := &service{c}
	return wire.Service{
		Model:      wire.MustModel(table),
		Operations: map[string]wire.Operation{"DescribeImageScanFindings": wire.Op(s.ask, s.describe)},
		Faults: wire.Faults{
			fault.Internal: {"ServerException"},
			fault.Invalid:  {"InvalidParameterException"},
			fault.NotFound: {"ImageNotFoundException"},
		},
	}
}

type imageID struct {
	Digest string `json:"imageDigest,omitzero"`
	Tag    string `json:"imageTag,omitzero"`
}

type input struct {
	Registry   string  `json:"registryId"`
	Repository string  `json:"repositoryName"`
	Image      imageID `json:"imageId"`
	NextToken  string  `json:"nextToken"`
	MaxResults int     `json:"maxResults"`
}

type output struct {
	Registry   string      `json:"registryId"`
	Repository string      `json:"repositoryName"`
	Image      imageID     `json:"imageId"`
	Status     scanStatus  `json:"imageScanStatus"`
	Findings   imageResult `json:"imageScanFindings"`
	NextToken  string      `json:"nextToken,omitzero"`
}

type scanStatus struct {
	Status      string `json:"status"`
	Description string `json:"description"`
}

type imageResult struct {
	Completed time.Time        `json:"imageScanCompletedAt"`
	Counts    map[string]int32 `json:"findingSeverityCounts"`
	Enhanced  []enhanced       `json:"enhancedFindings"`
}

// enhanced is Inspector's finding as ECR has it: the same, with other names for the score.
type enhanced struct {
	Account       string                   `json:"awsAccountId"`
	Description   string                   `json:"description"`
	ARN           string                   `json:"findingArn"`
	First         time.Time                `json:"firstObservedAt"`
	Last          time.Time                `json:"lastObservedAt"`
	Vulnerability inspector2.Vulnerability `json:"packageVulnerabilityDetails"`
	Remediation   remediation              `json:"remediation"`
	Resources     []inspector2.Resource    `json:"resources"`
	Score         float64                  `json:"score,omitzero"`
	Details       *details                 `json:"scoreDetails,omitzero"`
	Severity      string                   `json:"severity"`
	Status        string                   `json:"status"`
	Title         string                   `json:"title"`
	Type          string                   `json:"type"`
	Updated       time.Time                `json:"updatedAt"`
	Fix           string                   `json:"fixAvailable"`
	Exploit       string                   `json:"exploitAvailable"`
}

type remediation struct {
	Recommendation struct {
		Text string `json:"text,omitzero"`
		URL  string `json:"url,omitzero"`
	} `json:"recommendation"`
}

type details struct {
	CVSS cvss `json:"cvss"`
}

type cvss struct {
	Adjustments []inspector2.Adjustment `json:"adjustments,omitzero"`
	Score       float64                 `json:"score"`
	Source      string                  `json:"scoreSource"`
	Vector      string                  `json:"scoringVector"`
	Version     string                  `json:"version"`
}

func (s *service) ask(c *wire.Call, in *input) []iam.Request {
	return c.Ask("arn:aws:ecr:" + c.Region + ":" + s.Account + ":repository/" + in.Repository)
}

func (s *service) describe(ctx context.Context, _ *wire.Call, in *input) (*output, error) {
	if in.Registry != "" && in.Registry != s.Account {
		return nil, wire.Errorf("RepositoryNotFoundException", "this server is of the account %s, not of %s", s.Account, in.Registry)
	}
	if in.Image.Digest == "" && in.Image.Tag == "" {
		return nil, fault.Invalid.Errorf("imageId needs imageTag or imageDigest")
	}
	t, image, err := s.find(ctx, in)
	if err != nil {
		return nil, err
	}
	found, err := inspector2.Findings(ctx, s.Config, hub.Filters{"RecordState": hub.Is("ACTIVE"), "ProductFields": {{Key: finding.FieldTarget, Value: t.Target, Comparison: "EQUALS"}}}, func(f *inspector2.Finding, of inspect.Thing) bool { return f.Status == "ACTIVE" && of.ID == t.ID })
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b inspector2.Finding) int {
		return cmp.Or(finding.Label(b.Severity).Rank()-finding.Label(a.Severity).Rank(), strings.Compare(a.ARN, b.ARN))
	})
	out := &output{Registry: s.Account, Repository: in.Repository, Image: imageID{image.Hash, in.Image.Tag}, Status: scanStatus{"ACTIVE", "Continuous scan is selected for image."}}
	if !t.Complete {
		out.Status = scanStatus{"FINDINGS_UNAVAILABLE", "The scan did not see everything: what is listed is not all."}
	}
	out.Findings = imageResult{Completed: t.At, Counts: map[string]int32{}, Enhanced: []enhanced{}}
	for i := range found {
		out.Findings.Counts[found[i].Severity]++
	}
	part, token, err := page(found, in.NextToken, in.MaxResults)
	for i := range part {
		out.Findings.Enhanced = append(out.Findings.Enhanced, enhancedOf(&part[i]))
	}
	out.NextToken = token
	return out, err
}

// find is the image by its repository and tag or digest, the latest scanned of several.
func (s *service) find(ctx context.Context, in *input) (t inspect.Thing, image inspector2.Image, err error) {
	things, err := s.Inspect.All(ctx)
	if err != nil {
		return t, image, err
	}
	repository, found := false, false
	for _, one := range things {
		i, ok := inspector2.ImageOf(one)
		if !ok || i.Repository != in.Repository {
			continue
		}
		repository = true
		if in.Image.Digest != "" && i.Hash != in.Image.Digest || in.Image.Tag != "" && !slices.Contains(i.Tags, in.Image.Tag) || found && one.At.Before(t.At) {
			continue
		}
		t, image, found = one, i, true
	}
	switch {
	case !repository:
		return t, image, wire.Errorf("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s': no image of it was scanned", in.Repository, s.Account)
	case !found:
		return t, image, fault.NotFound.Errorf("The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'", in.Image.Digest, in.Image.Tag, in.Repository, s.Account)
	}
	return t, image, nil
}

func enhancedOf(f *inspector2.Finding) enhanced {
	e := enhanced{Account: f.Account, Description: f.Description, ARN: f.ARN, First: f.First, Last: f.Last, Vulnerability: f.Vulnerability, Resources: f.Resources, Score: f.Score, Severity: f.Severity,
		Status: f.Status, Title: f.Title, Type: f.Type, Updated: f.Updated, Fix: f.Fix, Exploit: f.Exploit}
	e.Remediation.Recommendation.Text, e.Remediation.Recommendation.URL = f.Remediation.Recommendation.Text, f.Remediation.Recommendation.URL
	e.Resources = slices.Clone(e.Resources)
	for i := range e.Resources {
		e.Resources[i].Partition, e.Resources[i].Region = "", "" // which ECR has not
	}
	e.Vulnerability.Packages = slices.Clone(e.Vulnerability.Packages)
	for i := range e.Vulnerability.Packages {
		e.Vulnerability.Packages[i].Advice = "" // which ECR has not
	}
	if d := f.ScoreDetails; d != nil {
		e.Details = &details{cvss{d.Adjusted.Adjustments, d.Adjusted.Score, d.Adjusted.ScoreSource, d.Adjusted.Vector, d.Adjusted.Version}}
	}
	return e
}

// page is the part of a list that is asked for, and where the next begins.
func page(list []inspector2.Finding, token string, size int) ([]inspector2.Finding, string, error) {
	const most = 1000
	if size <= 0 || size > most {
		size = 100
	}
	start := 0
	if token != "" {
		text, err := base64.RawURLEncoding.Strict().DecodeString(token)
		n, e := strconv.Atoi(string(text))
		if err != nil || e != nil || n < 1 || strconv.Itoa(n) != string(text) {
			return nil, "", fault.Invalid.Errorf("nextToken is not of this list")
		}
		start = min(n, len(list))
	}
	end := min(start+size, len(list))
	if end == len(list) {
		return list[start:end], "", nil
	}
	return list[start:end], base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end))), nil
}
