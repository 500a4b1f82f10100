package inspector2

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
)

type searchInput struct {
	Criteria struct {
		IDs []string `json:"vulnerabilityIds"`
	} `json:"filterCriteria"`
}

type searchOutput struct {
	Vulnerabilities []known `json:"vulnerabilities"`
}

// known is what is known of a bug, whether anything here has it or not.
type known struct {
	ID          string     `json:"id"`
	CWEs        []string   `json:"cwes,omitzero"`
	CISA        *cisa      `json:"cisaData,omitzero"`
	Source      string     `json:"source"`
	Description string     `json:"description,omitzero"`
	Severity    string     `json:"vendorSeverity,omitzero"`
	CVSS        *scored    `json:"cvss3,omitzero"`
	Related     []string   `json:"relatedVulnerabilities,omitzero"`
	Created     *time.Time `json:"vendorCreatedAt,omitzero"`
	Updated     *time.Time `json:"vendorUpdatedAt,omitzero"`
	References  []string   `json:"referenceUrls,omitzero"`
	EPSS        *EPSS      `json:"epss,omitzero"`
}

type cisa struct {
	Added  *time.Time `json:"dateAdded,omitzero"`
	Due    *time.Time `json:"dateDue,omitzero"`
	Action string     `json:"action,omitzero"`
}

type scored struct {
	Score  float64 `json:"baseScore"`
	Vector string  `json:"scoringVector"`
}

// search tells what the advisories say of a bug; of one that they do not know, nothing.
func (s *service) search(ctx context.Context, _ *wire.Call, in *searchInput) (*searchOutput, error) {
	out := &searchOutput{Vulnerabilities: []known{}}
	for _, id := range in.Criteria.IDs {
		b, _, err := s.Inspect.Bug(ctx, id)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Vulnerabilities = append(out.Vulnerabilities, knownOf(b.Match))
	}
	return out, nil
}

func knownOf(m advisory.Match) known {
	k := known{ID: m.ID, CWEs: cwesOf(m), CISA: cisaOf(m.Exploited), Source: "NVD", Severity: m.Severity.Label, Related: m.Names[1:]}
	for _, a := range m.Advisories {
		if k.Description == "" {
			k.Description = a.Details
		}
		k.Created, k.Updated = earliest(k.Created, timeOf(a.Published)), latest(k.Updated, timeOf(a.Modified))
		for _, link := range a.References {
			if len(k.References) < 100 && !slices.Contains(k.References, link) {
				k.References = append(k.References, link)
			}
		}
	}
	if strings.HasPrefix(m.Severity.Vector, "CVSS:3") {
		k.CVSS = &scored{m.Severity.Score, m.Severity.Vector}
	}
	if m.Odds != nil {
		k.EPSS = &EPSS{m.Odds.Score}
	}
	return k
}

func cwesOf(m advisory.Match) (all []string) {
	for _, a := range m.Advisories {
		all = append(all, a.CWEs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func cisaOf(x *advisory.Exploited) *cisa {
	if x == nil {
		return nil
	}
	return &cisa{earliest(nil, timeOf(x.Added)), earliest(nil, timeOf(x.Due)), x.Action}
}

func earliest(known *time.Time, at time.Time) *time.Time {
	if at.IsZero() || known != nil && !at.Before(*known) {
		return known
	}
	return &at
}

func latest(known *time.Time, at time.Time) *time.Time {
	if at.IsZero() || known != nil && !at.After(*known) {
		return known
	}
	return &at
}

type detailsInput struct {
	ARNs []string `json:"findingArns"`
}

type detailsOutput struct {
	Details []detail       `json:"findingDetails"`
	Errors  []detailFailed `json:"errors"`
}

type detail struct {
	ARN        string   `json:"findingArn"`
	CISA       *cisa    `json:"cisaData,omitzero"`
	References []string `json:"referenceUrls,omitzero"`
	CWEs       []string `json:"cwes,omitzero"`
	EPSS       float64  `json:"epssScore,omitzero"`
}

type detailFailed struct {
	ARN     string `json:"findingArn"`
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

// details tells more of findings, by what the advisories of today say of their bugs.
func (s *service) details(ctx context.Context, _ *wire.Call, in *detailsInput) (*detailsOutput, error) {
	found, err := Findings(ctx, s.Config, nil, func(f *Finding, _ inspect.Thing) bool { return slices.Contains(in.ARNs, f.ARN) })
	if err != nil {
		return nil, err
	}
	out := &detailsOutput{Details: []detail{}, Errors: []detailFailed{}}
	for _, arn := range in.ARNs {
		at := slices.IndexFunc(found, func(f Finding) bool { return f.ARN == arn })
		if at < 0 {
			out.Errors = append(out.Errors, detailFailed{arn, "FINDING_DETAILS_NOT_FOUND", "there is no such finding"})
			continue
		}
		f := &found[at]
		d := detail{ARN: arn, References: f.Vulnerability.References}
		b, _, err := s.Inspect.Bug(ctx, f.Vulnerability.ID)
		switch {
		case err == nil:
			d.CISA, d.CWEs = cisaOf(b.Exploited), cwesOf(b.Match)
		case !errors.Is(err, fault.NotFound):
			return nil, err
		}
		if f.EPSS != nil {
			d.EPSS = f.EPSS.Score
		}
		out.Details = append(out.Details, d)
	}
	return out, nil
}
