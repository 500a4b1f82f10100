package inspector2

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/finding"
)

// Finding is one of a package, in Inspector's shape.
type Finding struct {
	ARN           string        `json:"findingArn"`
	Account       string        `json:"awsAccountId"`
	Type          string        `json:"type"`
	Description   string        `json:"description"`
	Title         string        `json:"title"`
	Remediation   Remediation   `json:"remediation"`
	Severity      string        `json:"severity"`
	First         time.Time     `json:"firstObservedAt"`
	Last          time.Time     `json:"lastObservedAt"`
	Updated       time.Time     `json:"updatedAt"`
	Status        string        `json:"status"`
	Resources     []Resource    `json:"resources"`
	Score         float64       `json:"inspectorScore,omitzero"`
	ScoreDetails  *ScoreDetails `json:"inspectorScoreDetails,omitzero"`
	Vulnerability Vulnerability `json:"packageVulnerabilityDetails"`
	Fix           string        `json:"fixAvailable"`
	Exploit       string        `json:"exploitAvailable"`
	Exploited     *Exploited    `json:"exploitabilityDetails,omitzero"`
	EPSS          *EPSS         `json:"epss,omitzero"`
}

// Remediation is what to do.
type Remediation struct {
	Recommendation Recommendation `json:"recommendation,omitzero"`
}

// Recommendation is what to do, in words.
type Recommendation struct {
	Text string `json:"text,omitzero"`
	URL  string `json:"Url,omitzero"`
}

// Resource is what has the package.
type Resource struct {
	Type      string   `json:"type"`
	ID        string   `json:"id"`
	Partition string   `json:"partition,omitzero"`
	Region    string   `json:"region,omitzero"`
	Details   *Details `json:"details,omitzero"`
}

// Details are those of an image, or of a repository.
type Details struct {
	Image *Image `json:"awsEcrContainerImage,omitzero"`
	Code  *Code  `json:"codeRepository,omitzero"`
}

// Image is a container image.
type Image struct {
	Repository string   `json:"repositoryName"`
	Tags       []string `json:"imageTags,omitzero"`
	Hash       string   `json:"imageHash"`
	Registry   string   `json:"registry"`
}

// Code is a repository of code.
type Code struct {
	Project string `json:"projectName"`
}

// ScoreDetails say how the score came to be.
type ScoreDetails struct {
	Adjusted Adjusted `json:"adjustedCvss"`
}

// Adjusted is a CVSS score as it counts here.
type Adjusted struct {
	ScoreSource string       `json:"scoreSource"`
	CVSSSource  string       `json:"cvssSource"`
	Version     string       `json:"version"`
	Score       float64      `json:"score"`
	Vector      string       `json:"scoringVector"`
	Adjustments []Adjustment `json:"adjustments,omitzero"`
}

// Adjustment is a step to the score.
type Adjustment struct {
	Metric string `json:"metric"`
	Reason string `json:"reason"`
}

// Vulnerability is the bug.
type Vulnerability struct {
	ID             string    `json:"vulnerabilityId"`
	Packages       []Package `json:"vulnerablePackages"`
	Source         string    `json:"source"`
	CVSS           []CVSS    `json:"cvss,omitzero"`
	Related        []string  `json:"relatedVulnerabilities,omitzero"`
	SourceURL      string    `json:"sourceUrl,omitzero"`
	VendorSeverity string    `json:"vendorSeverity,omitzero"`
	References     []string  `json:"referenceUrls,omitzero"`
}

// Package is one that has the bug.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Layer   string `json:"sourceLayerHash,omitzero"`
	Arch    string `json:"arch,omitzero"`
	Manager string `json:"packageManager,omitzero"`
	File    string `json:"filePath,omitzero"`
	Fixed   string `json:"fixedInVersion,omitzero"`
	Advice  string `json:"remediation,omitzero"`
}

// CVSS is a score that somebody gives.
type CVSS struct {
	Score   float64 `json:"baseScore"`
	Vector  string  `json:"scoringVector"`
	Version string  `json:"version"`
	Source  string  `json:"source"`
}

// Exploited is since when a bug is known to be exploited.
type Exploited struct {
	Last time.Time `json:"lastKnownExploitAt"`
}

// EPSS is how likely a bug is exploited.
type EPSS struct {
	Score float64 `json:"score"`
}

// managers are the package managers that the model has.
var managers = []string{"BUNDLER", "CARGO", "COMPOSER", "NPM", "NUGET", "PIPENV", "POETRY", "YARN", "GOBINARY", "GOMOD", "JAR", "OS", "PIP", "PYTHONPKG", "NODEPKG", "POM", "GEMSPEC", "DOTNET_CORE"}

// Findings are the hub's findings on packages that narrow and keep let through;
// what narrow leaves out is not even read. Those that are closed are among them. A thing without a number is one
// that other tools alone have seen.
func Findings(ctx context.Context, c Config, narrow hub.Filters, keep func(*Finding, inspect.Thing) bool) (list []Finding, err error) {
	things, err := c.Inspect.All(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]inspect.Thing{}
	for _, t := range things {
		known[t.Target+"\n"+t.Branch] = t
		if _, ok := known[t.Target]; !ok {
			known[t.Target] = t
		}
	}
	q := hub.Query{Filters: hub.Filters{"Type": {{Value: "Software and Configuration Checks/Vulnerabilities", Comparison: "PREFIX"}}}, Limit: 1000}
	maps.Copy(q.Filters, narrow)
	for {
		found, err := c.Hub.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range found.Findings {
			f := &found.Findings[i]
			if len(f.Vulnerabilities) == 0 {
				continue
			}
			target := f.ProductFields[finding.FieldTarget]
			t, ok := known[target+"\n"+f.ProductFields[finding.FieldBranch]]
			if !ok {
				t, ok = known[target]
			}
			if !ok {
				t = inspect.Thing{Target: cmp.Or(target, f.Resources[0].ID), Kind: inspect.Source}
			}
			if one := c.findingOf(f, t); keep(&one, t) {
				list = append(list, one)
			}
		}
		if q.Token = found.Token; q.Token == "" {
			return list, nil
		}
	}
}

func (c Config) findingOf(f *finding.Finding, t inspect.Thing) Finding {
	v := f.Vulnerabilities[0]
	one := Finding{
		ARN:     "arn:aws:inspector2:" + c.Region + ":" + c.Account + ":finding/" + finding.Fingerprint(f.AccountID, f.ProductARN, f.ID)[:32],
		Account: f.AccountID, Type: "PACKAGE_VULNERABILITY", Description: finding.Shorten(cmp.Or(f.Description, f.Title), 1024), Title: f.Title, Severity: string(f.Label()),
		First: timeOf(f.FirstObservedAt, f.CreatedAt), Last: timeOf(f.LastObservedAt, f.UpdatedAt), Updated: timeOf(f.UpdatedAt), Status: statusOfFinding(f),
		Resources: []Resource{c.ResourceOf(t)}, Fix: cmp.Or(v.FixAvailable, "NO"), Exploit: cmp.Or(v.ExploitAvailable, "NO"),
		Vulnerability: vulnerabilityOf(f, v),
	}
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		one.Remediation.Recommendation = Recommendation{f.Remediation.Recommendation.Text, f.Remediation.Recommendation.URL}
	}
	if v.EpssScore != nil {
		one.EPSS = &EPSS{*v.EpssScore}
	}
	if at, err := time.Parse(time.DateOnly, f.ProductFields[finding.FieldExploited]); err == nil {
		one.Exploited = &Exploited{at}
	}
	one.score(f)
	return one
}

// score is the contextual score with its steps, else the CVSS score.
func (one *Finding) score(f *finding.Finding) {
	score, err := strconv.ParseFloat(f.ProductFields[finding.FieldScore], 64)
	if err != nil && len(one.Vulnerability.CVSS) > 0 {
		score = one.Vulnerability.CVSS[0].Score
	}
	one.Score = score
	if len(one.Vulnerability.CVSS) == 0 {
		return
	}
	base := one.Vulnerability.CVSS[0]
	one.ScoreDetails = &ScoreDetails{Adjusted{ScoreSource: "HAECHI", CVSSSource: base.Source, Version: base.Version, Score: score, Vector: base.Vector}}
	for step := range strings.SplitSeq(f.ProductFields[finding.FieldScoreWhy], "; ") {
		if step = strings.TrimSpace(step); step != "" {
			one.ScoreDetails.Adjusted.Adjustments = append(one.ScoreDetails.Adjusted.Adjustments, Adjustment{"Context", step})
		}
	}
}

func vulnerabilityOf(f *finding.Finding, v finding.Vulnerability) Vulnerability {
	out := Vulnerability{ID: finding.Shorten(v.ID, 128), Packages: []Package{}, Source: "OSV", SourceURL: f.SourceURL, Related: v.Related, References: v.ReferenceURLs}
	if f.Severity != nil {
		out.VendorSeverity = f.Severity.Original
	}
	if tool := f.ProductFields[finding.FieldTool]; tool != "" && tool != "deps" {
		out.Source = strings.ToUpper(tool)
	}
	layer := f.ProductFields[finding.FieldLayer]
	if !strings.HasPrefix(layer, "sha256:") || len(layer) != 71 {
		layer = ""
	}
	for _, p := range v.Packages {
		one := Package{Name: cmp.Or(p.Name, "unknown"), Version: cmp.Or(p.Version, "unknown"), Layer: layer, Arch: p.Architecture, Manager: p.PackageManager, File: p.FilePath, Fixed: p.FixedInVersion, Advice: p.Remediation}
		if !slices.Contains(managers, one.Manager) {
			one.Manager = ""
		}
		out.Packages = append(out.Packages, one)
	}
	var more struct {
		Cvss []struct {
			Version, BaseVector, Source string
			BaseScore                   float64
		}
	}
	if len(v.Extra) > 0 && json.Unmarshal(v.Extra, &more) == nil {
		for _, c := range more.Cvss {
			if c.BaseVector != "" && c.Version != "" {
				out.CVSS = append(out.CVSS, CVSS{c.BaseScore, c.BaseVector, c.Version, cmp.Or(c.Source, out.Source)})
			}
		}
	}
	return out
}

// statusOfFinding is Inspector's life of a finding.
func statusOfFinding(f *finding.Finding) string {
	switch {
	case f.RecordState == finding.Archived, f.Status() == finding.Resolved:
		return "CLOSED"
	case f.Status() == finding.Suppressed:
		return "SUPPRESSED"
	}
	return "ACTIVE"
}

func timeOf(texts ...string) time.Time {
	for _, text := range texts {
		if at, ok := finding.Time(text); ok {
			return at
		}
	}
	return time.Time{}
}

// ImageOf is what a thing is called as an image: its repository, tag and
// digest; ok is false where it is none.
func ImageOf(t inspect.Thing) (image Image, ok bool) {
	if t.Kind == inspect.Source || t.Kind == inspect.SBOM && !strings.ContainsAny(t.Target, "/:") {
		return image, false
	}
	name, digest, _ := strings.Cut(t.Target, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		image.Tags, name = []string{name[colon+1:]}, name[:colon]
	} else if t.Branch != "" {
		image.Tags = []string{t.Branch}
	}
	image.Registry, image.Repository = "", name
	if host, rest, ok := strings.Cut(name, "/"); ok && strings.ContainsAny(host, ".:") {
		image.Registry, image.Repository = host, rest
	}
	for _, d := range []string{digest, t.Digest} {
		if strings.HasPrefix(d, "sha256:") && len(d) == 71 && image.Hash == "" && (t.Kind == inspect.Image || d == digest) {
			image.Hash = d
		}
	}
	return image, image.Repository != ""
}

// ResourceOf is a thing as Inspector calls it.
func (c Config) ResourceOf(t inspect.Thing) Resource {
	r := Resource{Partition: "aws", Region: c.Region}
	image, ok := ImageOf(t)
	switch {
	case ok && image.Hash != "":
		image.Registry = cmp.Or(image.Registry, c.Account)
		r.Type, r.ID, r.Details = "AWS_ECR_CONTAINER_IMAGE", c.repository(image)+"/"+image.Hash, &Details{Image: &image}
	case ok:
		r.Type, r.ID = "AWS_ECR_REPOSITORY", c.repository(image)
	default:
		sum := finding.Fingerprint("project", t.Target, t.Branch)
		r.Type, r.ID = "CODE_REPOSITORY", "arn:aws:inspector2:"+c.Region+":"+c.Account+":codesecurity-integration/"+uuid(finding.Fingerprint("integration", c.Account))+"/project-"+uuid(sum)
		r.Details = &Details{Code: &Code{finding.Shorten(t.Target, 512)}}
	}
	return r
}

func (c Config) repository(i Image) string {
	return "arn:aws:ecr:" + c.Region + ":" + c.Account + ":repository/" + i.Repository
}

// uuid is a sum as UUIDs are written.
func uuid(sum string) string {
	return sum[:8] + "-" + sum[8:12] + "-" + sum[12:16] + "-" + sum[16:20] + "-" + sum[20:32]
}
