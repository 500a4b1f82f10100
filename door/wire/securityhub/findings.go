package securityhub

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// maxImportBytes is how much one import call takes.
const maxImportBytes = 6 << 20

type importInput struct {
	Findings []jsontext.Value

	read bool
	good []finding.Finding
	bad  []importFailure
}

type importFailure struct {
	ID           string `json:"Id"`
	ErrorCode    string
	ErrorMessage string
}

type importOutput struct {
	FailedCount    int
	SuccessCount   int
	FailedFindings []importFailure `json:"FailedFindings,omitzero"`
}

// parse reads the findings one by one, so that one that cannot be read costs that one alone.
func (in *importInput) parse(m *wire.Model) {
	if in.read {
		return
	}
	in.read = true
	for _, text := range in.Findings {
		f, err := finding.Parse(text)
		if err == nil {
			var problems []string
			if problems, err = m.CheckValue("AwsSecurityFinding", text); err == nil && len(problems) > 0 {
				err = fault.Invalid.Errorf("%s", strings.Join(problems, "; "))
			}
		}
		if err == nil {
			in.good = append(in.good, f)
			continue
		}
		in.bad = append(in.bad, importFailure{identify(text), hub.CodeInvalidInput, "Finding does not adhere to Amazon Finding Format. " + err.Error()})
	}
}

// identify finds the Id of what is no finding, if it has one.
func identify(text jsontext.Value) string {
	var f struct{ Id any }
	_ = json.Unmarshal(text, &f)
	if id, ok := f.Id.(string); ok && id != "" {
		return id
	}
	return "unknown"
}

func (s *service) askImport(c *wire.Call, in *importInput) []iam.Request {
	in.parse(s.model)
	if len(in.good) == 0 {
		return c.Ask(s.hub.OwnProductARN())
	}
	return hub.Asks(in.good...)
}

func (s *service) batchImport(ctx context.Context, _ *wire.Call, in *importInput) (*importOutput, error) {
	size := 0
	for _, f := range in.Findings {
		size += len(f)
	}
	if n := len(in.Findings); n < 1 || n > hub.MaxImport {
		return nil, fault.Invalid.Errorf("one call imports 1 to %d findings, not %d", hub.MaxImport, n)
	}
	if size > maxImportBytes {
		return nil, fault.Limit.Errorf("one call imports at most %d bytes, not %d", maxImportBytes, size)
	}
	in.parse(s.model)
	did, err := s.hub.Import(ctx, finding.Scan{}, in.good...)
	if err != nil {
		return nil, err
	}
	out := &importOutput{SuccessCount: did.Succeeded(), FailedFindings: in.bad}
	for _, f := range did.Failed {
		out.FailedFindings = append(out.FailedFindings, importFailure{f.ID, f.Code, f.Message})
	}
	out.FailedCount = len(out.FailedFindings)
	return out, nil
}

type getFindingsInput struct {
	Filters      hub.Filters
	SortCriteria []hub.Sort
	paging
}

func (in *getFindingsInput) query() hub.Query {
	return hub.Query{Filters: in.Filters, Sort: in.SortCriteria, Limit: in.MaxResults, Token: in.NextToken}
}

type getFindingsOutput struct {
	Findings  []jsontext.Value
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) getFindings(ctx context.Context, _ *wire.Call, in *getFindingsInput) (*getFindingsOutput, error) {
	found, token, err := s.hub.FindJSON(ctx, in.query())
	if err != nil {
		return nil, err
	}
	out := &getFindingsOutput{Findings: []jsontext.Value{}, NextToken: token}
	for _, text := range found {
		if text, err = s.readable(text); err != nil {
			return nil, err
		}
		out.Findings = append(out.Findings, text)
	}
	return out, nil
}

// readable is a finding as clients can read it. What came in by another door
// may hold members of another type than theirs; such a finding goes without
// the members that the hub itself does not read.
func (s *service) readable(text jsontext.Value) (jsontext.Value, error) {
	if _, err := s.model.CheckValue("AwsSecurityFinding", text); err == nil {
		return text, nil
	}
	f, err := finding.Parse(text)
	if err != nil {
		return nil, err
	}
	f.Extra = nil
	f.Resources = append([]finding.Resource{}, f.Resources...)
	for i := range f.Resources {
		f.Resources[i].Details, f.Resources[i].Extra = nil, nil
	}
	f.Vulnerabilities = append([]finding.Vulnerability{}, f.Vulnerabilities...)
	for i := range f.Vulnerabilities {
		f.Vulnerabilities[i].Extra = nil
	}
	if f.Compliance != nil {
		c := *f.Compliance
		c.Extra = nil
		f.Compliance = &c
	}
	return f.JSON(), nil
}

type batchUpdateInput struct {
	FindingIdentifiers []hub.Ref
	hub.Decision
}

func (in *batchUpdateInput) update(c *wire.Call) hub.Update {
	return hub.Update{Refs: in.FindingIdentifiers, Decision: in.Decision, By: c.Principal.ARN}
}

type unprocessedFinding struct {
	FindingIdentifier       hub.Ref
	ErrorCode, ErrorMessage string
}

type batchUpdateOutput struct {
	ProcessedFindings   []hub.Ref
	UnprocessedFindings []unprocessedFinding
}

func (s *service) askUpdate(c *wire.Call, _ *service, in *batchUpdateInput) []iam.Request {
	return in.update(c).Asks(s.hub)
}

func (s *service) batchUpdate(ctx context.Context, c *wire.Call, in *batchUpdateInput) (*batchUpdateOutput, error) {
	if n := len(in.FindingIdentifiers); n < 1 || n > hub.MaxUpdate {
		return nil, fault.Invalid.Errorf("one call updates 1 to %d findings, not %d", hub.MaxUpdate, n)
	}
	did, err := s.hub.Update(ctx, in.update(c))
	if err != nil {
		return nil, err
	}
	out := &batchUpdateOutput{ProcessedFindings: append([]hub.Ref{}, did.Done...), UnprocessedFindings: []unprocessedFinding{}}
	for _, f := range did.Failed {
		out.UnprocessedFindings = append(out.UnprocessedFindings, unprocessedFinding{f.Ref, f.Code, f.Message})
	}
	return out, nil
}

func (s *service) updateFindings(ctx context.Context, c *wire.Call, in *hub.FilterUpdate) (*none, error) {
	u := *in
	u.By = c.Principal.ARN
	_, err := s.hub.UpdateWhere(ctx, u)
	return nil, err
}

type historyInput struct {
	FindingIdentifier  hub.Ref
	StartTime, EndTime time.Time
	paging
}

type historyOutput struct {
	Records   []historyRecord
	NextToken string `json:"NextToken,omitzero"`
}

type historyRecord struct {
	FindingIdentifier hub.Ref
	UpdateTime        time.Time
	FindingCreated    bool
	UpdateSource      struct {
		Type     string
		Identity string `json:"Identity,omitzero"`
	}
	Updates []historyUpdate
}

type historyUpdate struct {
	UpdatedField string
	OldValue     string `json:"OldValue,omitzero"`
	NewValue     string `json:"NewValue,omitzero"`
}

// getHistory tells of imports and of decisions. What the deprecated
// UpdateFindings did is not in AWS's history, and so not here.
func (s *service) getHistory(ctx context.Context, _ *wire.Call, in *historyInput) (*historyOutput, error) {
	changes, token, err := s.hub.History(ctx, hub.HistoryQuery{Ref: in.FindingIdentifier, From: in.StartTime, To: in.EndTime, Limit: in.MaxResults, Token: in.NextToken})
	if err != nil {
		return nil, err
	}
	out := &historyOutput{Records: []historyRecord{}, NextToken: token}
	for _, c := range changes {
		kind := c.Kind
		switch kind {
		case "UPDATE_FINDINGS":
			continue
		case "BATCH_IMPORT_FINDINGS", "SCAN":
			kind = "BATCH_IMPORT_FINDINGS"
		default:
			kind = "BATCH_UPDATE_FINDINGS"
		}
		r := historyRecord{FindingIdentifier: c.Ref, UpdateTime: c.At, FindingCreated: c.Created, Updates: []historyUpdate{}}
		r.UpdateSource.Type, r.UpdateSource.Identity = kind, c.Who
		for _, f := range c.Fields {
			r.Updates = append(r.Updates, historyUpdate{f.Field, f.Old, f.New})
		}
		out.Records = append(out.Records, r)
	}
	return out, nil
}
