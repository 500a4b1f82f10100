package detect

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/finding"
)

// Tool is who finds, in ids and ProductFields.
const Tool = "detect"

// Limits of the format.
const (
	maxField       = 2000 // of 2,048
	maxRegion      = 16
	maxTitle       = 256
	maxDescription = 1024
)

// identity is a finding's id: the rule, whom and what it is about, and the day, so that
// what happens again after it was resolved is told again. An episode of a correlation has its beginning instead.
func (e *engine) identity(rule int, d details, when string) string {
	scan := finding.Scan{Tool: Tool, Target: d.Account + "/" + d.Region}
	return scan.FindingID(finding.Fingerprint(e.name(rule), d.Actor, d.Resource, d.Group, when))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// occurrence is how often something was seen, and when.
type occurrence struct {
	Count       int
	First, Last time.Time
}

// finding says what happened. It depends on nothing but its arguments: the same records make the same finding.
func (e *engine) finding(rule int, id string, d details, o occurrence) finding.Finding {
	r, a := e.set.Rule(rule), e.about[rule]
	region := d.Region
	if len(region) > maxRegion {
		region = e.maker.Region
	}
	severity := finding.Severity{Label: label(r.Level), Original: r.Level}
	f := finding.Finding{
		ID: id, GeneratorID: Tool + "/" + e.name(rule), AccountID: d.Account, Region: region, Types: a.Types, Severity: &severity,
		Title: cut(r.Title, maxTitle), Description: cut(describe(r, d, o), maxDescription),
		FirstObservedAt: finding.Stamp(o.First), LastObservedAt: finding.Stamp(o.Last), CreatedAt: finding.Stamp(o.First),
		// A millisecond an occurrence: what happened in the same second is news too.
		UpdatedAt: finding.Stamp(o.Last.Add(time.Duration(min(o.Count-1, 999)) * time.Millisecond)),
		Resources: e.resources(d, region), ProductFields: fields(r, d, o), Extra: action(d, o),
	}
	if a.Remediation != "" {
		f.Remediation = &finding.Remediation{Recommendation: &finding.Recommendation{Text: cut(a.Remediation, 512), URL: a.URL}}
	}
	return e.maker.Own(finding.Scan{Tool: Tool, Target: d.Account + "/" + d.Region}, f, o.First)
}

func label(level string) finding.Label {
	if l := finding.Label(strings.ToUpper(level)); l.Rank() >= 0 {
		return l
	}
	return finding.Medium
}

func (e *engine) resources(d details, region string) []finding.Resource {
	partition := d.Partition
	if partition != "aws-cn" && partition != "aws-us-gov" {
		partition = "aws" // the format knows no others
	}
	all := []finding.Resource{{Type: d.ResourceType, ID: cut(d.Resource, 512), Partition: partition, Region: region, Role: "Target"}}
	if d.Actor != "" && d.Actor != d.Resource && d.Group == "" {
		all = append(all, finding.Resource{Type: d.ActorType, ID: cut(d.Actor, 512), Partition: partition, Region: region, Role: "Actor"})
	}
	return all
}

// describe is the rule's description and what happened.
func describe(r *sigma.Rule, d details, o occurrence) string {
	var b strings.Builder
	b.WriteString(cmp.Or(strings.TrimSpace(r.Description), r.Title+"."))
	if d.API == "" {
		return b.String()
	}
	who := d.Actor
	if d.Group != "" || who == "" {
		who = "Somebody"
	}
	fmt.Fprintf(&b, " %s called %s of %s", who, d.API, d.Service)
	if d.IP != "" {
		b.WriteString(" from " + d.IP)
	}
	if o.Count > 1 {
		fmt.Fprintf(&b, ", %d times from %s to %s.", o.Count, o.First.UTC().Format(time.RFC3339), o.Last.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintf(&b, " at %s.", o.First.UTC().Format(time.RFC3339))
	}
	return strings.TrimSpace(b.String())
}

func fields(r *sigma.Rule, d details, o occurrence) map[string]string {
	m := map[string]string{
		"haechi/detect/count": strconv.Itoa(o.Count), "haechi/detect/rule": r.ID, "haechi/detect/attack": strings.Join(attack(r.Tags), " "),
		"haechi/detect/falsePositives": strings.Join(r.FalsePositives, "\n"), "haechi/detect/actor": d.Actor, "haechi/detect/user": d.User,
		"haechi/detect/ip": d.IP, "haechi/detect/userAgent": d.Agent, "haechi/detect/api": d.API, "haechi/detect/service": d.Service,
		"haechi/detect/region": d.Region, "haechi/detect/group": d.Group, "haechi/detect/eventId": d.EventID, finding.FieldEvidence: d.Evidence,
	}
	for k, v := range m {
		if v == "" {
			delete(m, k)
		} else {
			m[k] = cut(v, maxField)
		}
	}
	return m
}

// attack is the tags that name tactics and techniques of ATT&CK.
func attack(tags []string) (all []string) {
	for _, t := range tags {
		if name, ok := strings.CutPrefix(t, "attack."); ok {
			all = append(all, name)
		}
	}
	return all
}

// action is ASFF's Action: the call.
func action(d details, o occurrence) jsontext.Value {
	if d.API == "" {
		return nil
	}
	call := map[string]any{
		"Api": d.API, "ServiceName": d.Service, "FirstSeen": finding.Stamp(o.First), "LastSeen": finding.Stamp(o.Last),
	}
	if d.IP != "" && strings.Trim(d.IP, "0123456789.") == "" {
		call["CallerType"], call["RemoteIpDetails"] = "remoteIp", map[string]any{"IpAddressV4": d.IP}
	}
	v, err := json.Marshal(map[string]any{"Action": map[string]any{"ActionType": "AWS_API_CALL", "AwsApiCallAction": call}}, json.Deterministic(true))
	if err != nil {
		return nil // texts that are no UTF-8; records are
	}
	return v
}

// cut is s, or the beginning of it in at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
