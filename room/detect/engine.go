package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/finding"
	"github.com/haechi-dev/haechi/word/record"
)

// An engine tells which rules a record fulfils. It holds no state of what it saw.
type engine struct {
	set   *sigma.Set
	event *sigma.Event
	about []about
	maker finding.Maker
}

// The fields of CloudTrail that findings speak of.
var spoken = []string{
	"eventID", "eventSource", "eventName", "awsRegion", "recipientAccountId", "sourceIPAddress", "userAgent", "errorCode", "resources.ARN",
	"userIdentity.type", "userIdentity.arn", "userIdentity.accountId", "userIdentity.userName", "userIdentity.invokedBy",
	"userIdentity.sessionContext.sessionIssuer.arn",
}

func newEngine(rules []*sigma.Rule, maker finding.Maker) (*engine, error) {
	e := &engine{maker: maker}
	wanted := append([]string(nil), spoken...)
	for _, r := range rules {
		a, err := aboutRule(r)
		if err != nil {
			return nil, err
		}
		for _, x := range []*resource{a.Resource, a.Other} {
			if x != nil {
				wanted = append(wanted, x.fields()...)
			}
		}
		e.about = append(e.about, a)
	}
	set, err := sigma.Compile(rules, wanted...)
	if err != nil {
		return nil, err
	}
	e.set, e.event = set, set.Event()
	return e, nil
}

// A hit is one record that fulfils one rule, with all that a finding says of it.
type hit struct {
	rule  int
	key   string // of this rule and this event, wherever and however often it comes in
	at    time.Time
	raise bool    // by itself, not only through a correlation
	said  details // of the record
	count []counting
}

// counting is a hit from the side of a correlation.
type counting struct {
	rule         int
	group, value string
	said         details
}

// details are what a finding of one rule says of one record.
type details struct {
	Account, Region, Partition string
	Actor, ActorType           string
	Resource, ResourceType     string
	API, Service, IP, Agent    string
	User, EventID, Evidence    string
	Group                      string
}

// look answers with the hits of a record, or with what is wrong with the record.
func (e *engine) look(r record.Record) ([]hit, error) {
	if strings.HasPrefix(r.Text, "{") {
		if err := e.event.Read(r.Text); err != nil {
			return nil, err
		}
	} else {
		e.event.ReadText(r.Text)
	}
	var hits []hit
	for _, i := range e.set.Match(r.Source, e.event) {
		h := hit{rule: i, key: e.key(i, r), at: r.Time, raise: !e.set.Quiet(i)}
		if h.raise {
			h.said = e.details(i, r)
		}
		for _, k := range e.set.Counted(i) {
			c := e.set.Rule(k).Correlation
			group := finding.Fingerprint(e.event.Group(c)...)
			said := e.details(k, r)
			said.Group = clean(strings.Join(e.event.Group(c), " "))
			h.count = append(h.count, counting{rule: k, group: group, value: e.event.Get(c.Field), said: said})
		}
		hits = append(hits, h)
	}
	return hits, nil
}

// name is what a rule is called in findings and in the database.
func (e *engine) name(i int) string {
	r := e.set.Rule(i)
	for _, s := range []string{r.Name, r.ID} {
		if s != "" {
			return s
		}
	}
	return r.Title
}

// key is the same for the same event, also when it comes from another file or stream.
func (e *engine) key(i int, r record.Record) string {
	id := e.event.Get("eventID")
	if id == "" {
		sum := sha256.Sum256([]byte(r.Text))
		id = hex.EncodeToString(sum[:])
	}
	return finding.Fingerprint(e.name(i), id, e.event.Get("recipientAccountId"))
}

func (e *engine) details(i int, r record.Record) details {
	get := func(field string) string { return clean(e.event.Get(field)) }
	d := details{
		Account: account(get("recipientAccountId"), get("userIdentity.accountId"), r.Fields["owner"], e.maker.Account), Region: get("awsRegion"),
		API: get("eventName"), Service: get("eventSource"), IP: get("sourceIPAddress"), Agent: get("userAgent"), User: get("userIdentity.userName"),
		EventID: get("eventID"), Evidence: cut(r.Text, maxField),
	}
	if !isRegion(d.Region) {
		d.Region = e.maker.Region
	}
	d.Partition = partition(get("userIdentity.arn"), d.Region)
	d.Actor, d.ActorType = actor(get, d)
	d.Resource, d.ResourceType = e.target(i, d)
	return d
}

// account is the first that is one.
func account(candidates ...string) string {
	for _, a := range candidates {
		if len(a) == 12 && strings.Trim(a, "0123456789") == "" {
			return a
		}
	}
	return "000000000000"
}

// clean is s without control characters: whoever sends a record shall not spoil what is said of it.
func clean(s string) string {
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

func isRegion(s string) bool {
	return s != "" && len(s) <= 25 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func partition(arn, region string) string {
	if parts := strings.SplitN(arn, ":", 3); len(parts) == 3 && parts[0] == "arn" && strings.HasPrefix(parts[1], "aws") {
		return parts[1]
	}
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// actor is who did it: a user, the role behind a session, or root.
func actor(get func(string) string, d details) (arn, kind string) {
	arn = get("userIdentity.arn")
	switch get("userIdentity.type") {
	case "Root":
		return "arn:" + d.Partition + ":iam::" + d.Account + ":root", "AwsAccount"
	case "IAMUser":
		return arn, "AwsIamUser"
	case "AssumedRole":
		if role := get("userIdentity.sessionContext.sessionIssuer.arn"); role != "" {
			arn = role
		}
		return arn, "AwsIamRole"
	}
	return arn, "Other"
}

// target is what it was done to: what the rule says, what the record says, who did it, or the account.
func (e *engine) target(i int, d details) (arn, kind string) {
	value := func(name string) string {
		switch name {
		case "partition":
			return d.Partition
		case "region":
			return d.Region
		case "account":
			return d.Account
		}
		return clean(e.event.Get(name))
	}
	for _, x := range []*resource{e.about[i].Resource, e.about[i].Other} {
		if x == nil {
			continue
		}
		if arn := x.fill(value); arn != "" {
			return arn, x.Type
		}
	}
	if arn := clean(e.event.Get("resources.ARN")); arn != "" {
		return arn, "Other"
	}
	if d.Actor != "" {
		return d.Actor, d.ActorType
	}
	return "arn:" + d.Partition + ":iam::" + d.Account + ":root", "AwsAccount"
}
