package hooks

import (
	"context"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// review is an AdmissionReview.
type review struct {
	Version  string          `json:"apiVersion"`
	Kind     string          `json:"kind"`
	Request  *reviewRequest  `json:"request,omitzero"`
	Response *reviewResponse `json:"response,omitzero"`
}

type reviewRequest struct {
	UID         string         `json:"uid"`
	Operation   string         `json:"operation"`
	SubResource string         `json:"subResource"`
	Name        string         `json:"name"`
	Namespace   string         `json:"namespace"`
	Object      jsontext.Value `json:"object"`
	DryRun      bool           `json:"dryRun"`
}

type reviewResponse struct {
	UID      string        `json:"uid"`
	Allowed  bool          `json:"allowed"`
	Status   *reviewStatus `json:"status,omitzero"`
	Warnings []string      `json:"warnings,omitzero"`
}

type reviewStatus struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// kubernetes answers an AdmissionReview.
func (d *Door) kubernetes(ctx context.Context, body []byte) (any, error) {
	var q review
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fault.Invalid.Errorf("this is no AdmissionReview: %w", err)
	}
	if q.Version != "admission.k8s.io/v1" || q.Kind != "AdmissionReview" || q.Request == nil || q.Request.UID == "" {
		return nil, fault.Invalid.Errorf("this is no AdmissionReview of admission.k8s.io/v1 with a request")
	}
	allowed := review{Version: q.Version, Kind: q.Kind, Response: &reviewResponse{UID: q.Request.UID, Allowed: true}}
	made := slices.Contains([]string{"CREATE", "UPDATE"}, q.Request.Operation) && slices.Contains([]string{"", "ephemeralcontainers"}, q.Request.SubResource)
	if !made || len(q.Request.Object) == 0 || q.Request.Object.Kind() != '{' {
		return allowed, nil // nothing is made that could break a rule
	}
	docs, err := iac.Documents("object.json", q.Request.Object)
	if err != nil {
		return nil, err
	}
	j, err := d.judge(ctx, "kubernetes/"+q.Request.Namespace, docs, true, q.Request.DryRun)
	if err != nil {
		return nil, err
	}
	allowed.Response.Warnings = warnings(j.warns)
	if len(j.stops) > 0 {
		const longest = 4096
		allowed.Response.Allowed = false
		allowed.Response.Status = &reviewStatus{Code: http.StatusForbidden, Reason: "Forbidden", Message: message(j.stops, longest)}
	}
	return allowed, nil
}

// warnings are what the API server shows the one who asked: at most 4096 bytes in
// all, and 256 each. What cannot be known is left out: it would be said every time.
func warnings(all []finding.Finding) (lines []string) {
	const longest, most = 250, 15
	for _, f := range all {
		if f.Compliance.Status == finding.Failed && len(lines) < most {
			lines = append(lines, finding.Shorten(told(f), longest))
		}
	}
	return lines
}
