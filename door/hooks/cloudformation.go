package hooks

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func count(n int) string { return strconv.Itoa(n) }

// hookRequest is what CloudFormation gives the function of a Lambda hook.
type hookRequest struct {
	Token      string `json:"clientRequestToken"`
	Account    string `json:"awsAccountId"`
	Stack      string `json:"stackId"`
	ChangeSet  string `json:"changeSetId"`
	Invocation string `json:"actionInvocationPoint"`
	Data       struct {
		Name      string         `json:"targetName"`
		Type      string         `json:"targetType"`
		LogicalID string         `json:"targetLogicalId"`
		Model     hookModel      `json:"targetModel"`
		Payload   jsontext.Value `json:"payload"` // of a stack: where its template is, or that itself
	} `json:"requestData"`
}

type hookModel struct {
	Properties jsontext.Value `json:"resourceProperties"`
	Previous   jsontext.Value `json:"previousResourceProperties"`
}

// hookResponse is what CloudFormation expects.
type hookResponse struct {
	Status      string           `json:"hookStatus"`
	ErrorCode   *string          `json:"errorCode"`
	Message     string           `json:"message"`
	Token       string           `json:"clientRequestToken"`
	Context     jsontext.Value   `json:"callbackContext"`
	Delay       int              `json:"callbackDelaySeconds"`
	Annotations []hookAnnotation `json:"annotations,omitzero"`
}

type hookAnnotation struct {
	Name     string `json:"annotationName"`
	Status   string `json:"status"`
	Message  string `json:"statusMessage,omitzero"`
	Remedy   string `json:"remediationMessage,omitzero"`
	Link     string `json:"remediationLink,omitzero"`
	Severity string `json:"severityLevel,omitzero"`
}

// cloudFormation answers a Lambda hook's request, of a resource, a stack or a change set.
func (d *Door) cloudFormation(ctx context.Context, body []byte) (any, error) {
	var q hookRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fault.Invalid.Errorf("this is no request of a CloudFormation hook: %w", err)
	}
	if q.Data.Type == "" && q.Data.Name == "" {
		return nil, fault.Invalid.Errorf("this is no request of a CloudFormation hook: there is no requestData.targetName")
	}
	if strings.HasPrefix(q.Invocation, "DELETE") {
		return d.hookAnswer(q, judged{}), nil
	}
	docs, alone, err := d.hookDocuments(ctx, &q)
	if err != nil {
		return nil, err
	}
	target := "cloudformation/" + q.Account + "/" + stackName(q.Stack)
	j, err := d.judge(ctx, finding.Shorten(target, 256), docs, alone, q.ChangeSet != "" && q.Data.Type == "CHANGE_SET")
	if err != nil {
		return nil, err
	}
	return d.hookAnswer(q, j), nil
}

// stackName is the name in a stack's ARN.
func stackName(arn string) string {
	_, rest, ok := strings.Cut(arn, ":stack/")
	if !ok {
		return arn
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// hookDocuments are what a request is about: one resource, or a template.
func (d *Door) hookDocuments(ctx context.Context, q *hookRequest) (docs []*guard.Document, alone bool, err error) {
	if len(q.Data.Payload) > 0 && q.Data.Payload.Kind() != 'n' {
		template, err := d.payload(ctx, q.Data.Payload)
		if err != nil {
			return nil, false, err
		}
		docs, err = iac.Documents("template.yaml", template)
		return docs, false, err
	}
	properties := q.Data.Model.Properties
	if len(properties) == 0 || properties.Kind() != '{' {
		return nil, false, fault.Invalid.Errorf("the request has neither requestData.targetModel.resourceProperties nor requestData.payload")
	}
	kind := q.Data.Name
	if !strings.Contains(kind, "::") {
		kind = q.Data.Type
	}
	id := q.Data.LogicalID
	if id == "" {
		id = "Resource"
	}
	template, err := json.Marshal(map[string]any{"Resources": map[string]any{id: map[string]any{"Type": kind, "Properties": properties}}}, json.Deterministic(true))
	if err != nil {
		return nil, false, fault.Invalid.Errorf("the properties are no JSON: %w", err)
	}
	docs, err = iac.Documents("resource.json", template)
	return docs, true, err
}

// payload is the template of a stack's or change set's request: in the request, or
// where CloudFormation has put it.
func (d *Door) payload(ctx context.Context, v jsontext.Value) ([]byte, error) {
	var where string
	if v.Kind() == '"' {
		if err := json.Unmarshal(v, &where); err != nil {
			return nil, fault.Invalid.Errorf("requestData.payload: %w", err)
		}
		if !strings.HasPrefix(where, "https://") {
			v = jsontext.Value(where)
		} else {
			text, err := d.fetch(ctx, where)
			if err != nil {
				return nil, err
			}
			v = text
		}
	}
	var p struct {
		Template jsontext.Value `json:"template"`
	}
	if err := json.Unmarshal(v, &p); err != nil || len(p.Template) == 0 {
		return nil, fault.Invalid.Errorf("requestData.payload holds no template")
	}
	if p.Template.Kind() != '"' {
		return p.Template, nil
	}
	var text string
	if err := json.Unmarshal(p.Template, &text); err != nil {
		return nil, fault.Invalid.Errorf("requestData.payload: %w", err)
	}
	return []byte(text), nil
}

// fetch gets a payload from S3, and from nowhere else.
func (d *Door) fetch(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || !strings.HasSuffix(u.Hostname(), ".amazonaws.com") && !strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn") {
		return nil, fault.Invalid.Errorf("requestData.payload names no address of S3")
	}
	if d.Fetch == nil {
		return nil, fault.Unsupported.Errorf("the payload of a stack is not fetched here: let the function put it into the request")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fault.Invalid.Errorf("requestData.payload: %w", err)
	}
	resp, err := d.Fetch.Do(r)
	if err != nil {
		return nil, fault.Unavailable.Errorf("fetching the payload of a stack: let the function put it into the request, where this server reaches no S3: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fault.Unavailable.Errorf("fetching the payload of a stack: %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(text) > maxBody {
		return nil, fault.Limit.Errorf("the payload is larger than %d MB", maxBody>>20)
	}
	return text, err
}

// hookAnswer is the answer that CloudFormation expects.
func (d *Door) hookAnswer(q hookRequest, j judged) hookResponse {
	const longest, most = 4096, 20
	a := hookResponse{Status: "SUCCESS", Token: q.Token, Context: jsontext.Value("null"), Message: "the rules are kept"}
	if len(j.stops) > 0 {
		code := "NonCompliant"
		a.Status, a.ErrorCode, a.Message = "FAILED", &code, message(j.stops, longest)
	} else if len(j.warns) > 0 {
		a.Message = message(j.warns, longest)
	}
	for i, list := range [][]finding.Finding{j.stops, j.warns} {
		for _, f := range list[:min(len(list), most)] {
			status := "FAILED"
			if i == 1 && f.Compliance.Status == finding.Warning {
				status = "SKIPPED"
			}
			n := hookAnnotation{Name: finding.Shorten(strings.TrimPrefix(f.GeneratorID, "iac/"), 128), Status: status, Message: finding.Shorten(f.Description, 1024), Severity: string(f.Label())}
			if f.Remediation != nil && f.Remediation.Recommendation != nil {
				n.Remedy, n.Link = f.Remediation.Recommendation.Text, f.Remediation.Recommendation.URL
			}
			a.Annotations = append(a.Annotations, n)
		}
	}
	return a
}
