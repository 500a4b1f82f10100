package intake

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// features are the members by which records of the known kinds are told.
type features struct {
	EventSource  jsontext.Value `json:"eventSource"` // CloudTrail
	EventName    jsontext.Value `json:"eventName"`
	EventTime    jsontext.Value `json:"eventTime"`
	UserIdentity jsontext.Value `json:"userIdentity"`
	Type         jsontext.Value `json:"type"` // GuardDuty
	Service      jsontext.Value `json:"service"`
	AccountID    jsontext.Value `json:"accountId"`
	UpdatedAt    jsontext.Value `json:"updatedAt"`
	WebACL       jsontext.Value `json:"webaclId"` // WAF
	HTTPRequest  jsontext.Value `json:"httpRequest"`
	QueryName    jsontext.Value `json:"query_name"` // Route 53 Resolver
	QueryType    jsontext.Value `json:"query_type"`
	QueryTime    jsontext.Value `json:"query_timestamp"`
	AuditID      jsontext.Value `json:"auditID"` // Kubernetes
	Verb         jsontext.Value `json:"verb"`
	RequestURI   jsontext.Value `json:"requestURI"`
	Requested    jsontext.Value `json:"requestReceivedTimestamp"`
	Timestamp    jsontext.Value `json:"timestamp"`
	Time         jsontext.Value `json:"time"`
	AtTimestamp  jsontext.Value `json:"@timestamp"`
}

// recognise tells what kind of record it is, and from when.
func (f *features) recognise() (source string, at time.Time) {
	switch {
	case f.EventSource.Kind() == '"' && f.EventName.Kind() == '"' && f.UserIdentity != nil:
		return "aws.cloudtrail", timeOf(f.EventTime)
	case f.Type.Kind() == '"' && f.Service.Kind() == '{' && f.AccountID.Kind() == '"' && bytes.Contains(f.Service, []byte(`"guardduty"`)):
		return "aws.guardduty", timeOf(f.UpdatedAt)
	case f.WebACL.Kind() == '"' && f.HTTPRequest.Kind() == '{':
		return "aws.waf", timeOf(f.Timestamp)
	case f.QueryName.Kind() == '"' && f.QueryType.Kind() == '"':
		return "aws.route53resolver", timeOf(f.QueryTime)
	case f.AuditID.Kind() == '"' && f.Verb.Kind() == '"' && f.RequestURI.Kind() == '"':
		source = "kubernetes.audit"
	}
	for _, v := range []jsontext.Value{f.Requested, f.Timestamp, f.AtTimestamp, f.Time, f.EventTime} {
		if at = timeOf(v); !at.IsZero() {
			break
		}
	}
	return cmp.Or(source, "json"), at
}

// timeOf reads RFC 3339, or a number of seconds or milliseconds; zero if it is neither.
func timeOf(v jsontext.Value) time.Time {
	switch v.Kind() {
	case '"':
		if t, err := time.Parse(time.RFC3339Nano, unquote(v)); err == nil {
			return t.UTC()
		}
	case '0':
		if n, err := strconv.ParseFloat(string(v), 64); err == nil {
			return ofEpoch(n)
		}
	}
	return time.Time{}
}

func ofEpoch(n float64) time.Time {
	const latest = 1e11 // seconds; what is more is milliseconds
	switch {
	case n <= 0 || n >= latest*1000:
		return time.Time{}
	case n < latest:
		return time.UnixMicro(int64(n * 1e6)).UTC()
	}
	return time.UnixMicro(int64(n * 1e3)).UTC()
}

// recogniseText tells what kind of line it is.
func recogniseText(line []byte) (source string, at time.Time) {
	f := bytes.Fields(line[:min(len(line), 512)])
	switch {
	case len(f) == 14 && string(f[0]) == "2" && bytes.HasPrefix(f[2], []byte("eni-")):
		return "aws.vpcflow", epochText(f[10])
	case len(f) > 12 && isBalancer(string(f[0])) && bytes.HasPrefix(f[2], []byte("app/")):
		t, err := time.Parse(time.RFC3339Nano, string(f[1]))
		if err == nil {
			return "aws.alb", t.UTC()
		}
	}
	return "text", time.Time{}
}

func isBalancer(kind string) bool {
	switch kind {
	case "http", "https", "h2", "grpcs", "ws", "wss":
		return true
	}
	return false
}

func epochText(b []byte) time.Time {
	n, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return time.Time{}
	}
	return ofEpoch(n)
}

// isFlowHeader tells whether a line names the fields of VPC flow log lines.
func isFlowHeader(line []byte) bool {
	if !bytes.Contains(line, []byte("srcaddr")) || !bytes.Contains(line, []byte("dstaddr")) {
		return false
	}
	for _, f := range bytes.Fields(line) {
		for _, c := range f {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// flowTime is when a flow began, by the header's field start.
func flowTime(header string, line []byte) time.Time {
	values := bytes.Fields(line)
	for i, name := range strings.Fields(header) {
		if name == "start" && i < len(values) {
			return epochText(values[i])
		}
	}
	return time.Time{}
}
