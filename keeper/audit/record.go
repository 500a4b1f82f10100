package audit

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/lang/iam"
)

// An Entry is one call at a door, and what came of it.
type Entry struct {
	Time      time.Time // now if zero
	Principal iam.Principal
	Key       string   // the access key, as claimed
	Action    string   // securityhub:BatchUpdateFindings
	Resources []string // ARNs, where the call names any
	Region    string   // the installation's if empty
	SourceIP  string
	UserAgent string
	RequestID string

	Parameters jsontext.Value // secrets in them are hidden, and what is long is cut, before they are kept
	Answer     jsontext.Value // of changes

	Code    string // of the error, or ""
	Reason  string // the error's words, as the caller got them
	Refused bool   // whoever asked is not known, or may not

	Read   bool              // changes nothing
	Data   bool              // log lines and the like, of which there are many: kept as reads are
	SignIn bool              // a sign-in to the console
	More   map[string]string // CloudTrail's additionalEventData
}

// The kinds of blocks. What the disk has no room for goes in their order, changes last.
const (
	kindRead     = "read"
	kindStranger = "stranger" // refusals of those nobody knows
	kindChange   = "change"   // and refusals of those we know
	kindAnchor   = "anchor"   // nothing but how far the others have come
	kindBreak    = "break"    // the node found its chain other than it had left it
)

func (e *Entry) batched() bool { return (e.Read || e.Data) && !e.Refused }

func (e *Entry) kind() string {
	switch {
	case e.batched():
		return kindRead
	case e.Refused && e.Principal.ARN == "":
		return kindStranger
	}
	return kindChange
}

// ReadOnly tells by its name whether an action changes nothing. What has an
// unusual name counts as a change.
func ReadOnly(action string) bool {
	_, name, _ := strings.Cut(action, ":")
	for _, verb := range []string{"Get", "List", "Describe", "BatchGet", "Lookup", "Search", "Simulate", "Validate", "Check", "Test", "Head", "Query", "Filter"} {
		if rest, ok := strings.CutPrefix(name, verb); ok && (rest == "" || rest[0] >= 'A' && rest[0] <= 'Z') {
			return name != "GetSessionToken" && name != "GetFederationToken" // these hand out credentials
		}
	}
	return name == "GitPull" || name == "StartQuery" || name == "StartLiveTail" // of logs: to look is what they start
}

// A Record is one entry as CloudTrail writes it.
type Record struct {
	Version    string            `json:"eventVersion"`
	Identity   Identity          `json:"userIdentity"`
	Time       string            `json:"eventTime"`
	Source     string            `json:"eventSource"`
	Name       string            `json:"eventName"`
	Region     string            `json:"awsRegion"`
	SourceIP   string            `json:"sourceIPAddress"`
	UserAgent  string            `json:"userAgent"`
	Code       string            `json:"errorCode,omitzero"`
	Reason     string            `json:"errorMessage,omitzero"`
	Parameters jsontext.Value    `json:"requestParameters"`
	Answer     jsontext.Value    `json:"responseElements"`
	More       map[string]string `json:"additionalEventData,omitzero"`
	RequestID  string            `json:"requestID"`
	ID         string            `json:"eventID"`
	ReadOnly   bool              `json:"readOnly"`
	Resources  []Resource        `json:"resources,omitzero"`
	Type       string            `json:"eventType"`
	Management bool              `json:"managementEvent"`
	Account    string            `json:"recipientAccountId"`
	Category   string            `json:"eventCategory"`
}

// Identity is who asked.
type Identity struct {
	Type     string   `json:"type"` // IAMUser, AssumedRole, Root, FederatedUser, WebIdentityUser, AWSService, Unknown
	ID       string   `json:"principalId,omitzero"`
	ARN      string   `json:"arn,omitzero"`
	Account  string   `json:"accountId,omitzero"`
	Key      string   `json:"accessKeyId,omitzero"`
	User     string   `json:"userName,omitzero"`
	Session  *Session `json:"sessionContext,omitzero"`
	Service  string   `json:"invokedBy,omitzero"`
	Provider string   `json:"identityProvider,omitzero"`
}

// Session is what a role session is of.
type Session struct {
	Issuer Issuer `json:"sessionIssuer"`
}

// Issuer is the role or the user of a session.
type Issuer struct {
	Type    string `json:"type"`
	ARN     string `json:"arn"`
	Account string `json:"accountId"`
	User    string `json:"userName"`
}

// Resource is what a call was about.
type Resource struct {
	ARN string `json:"ARN"`
}

const (
	maxAgent     = 512
	maxReason    = 1024
	maxResources = 50
)

// record is e as CloudTrail writes it.
func (t *Trail) record(e *Entry) Record {
	service, name, _ := strings.Cut(e.Action, ":")
	source := service + ".amazonaws.com"
	if service == "haechi" || service == "" {
		source = "haechi"
	}
	r := Record{
		Version: "1.11", Identity: identity(e), Time: e.Time.UTC().Format(time.RFC3339), Source: source, Name: cmp.Or(name, "Unknown"),
		Region: cmp.Or(e.Region, t.config.Region), SourceIP: e.SourceIP, UserAgent: clean(e.UserAgent, maxAgent),
		Code: e.Code, Reason: clean(e.Reason, maxReason), More: e.More, Parameters: hidden(e.Action, e.Parameters),
		RequestID: cmp.Or(e.RequestID, uuid()), ID: uuid(), ReadOnly: e.Read, Type: "AwsApiCall",
		Management: !e.Data, Account: t.config.Account, Category: "Management",
	}
	if e.Data {
		r.Category = "Data"
	}
	if !e.Read {
		r.Answer = hidden(e.Action, e.Answer)
	}
	if e.SignIn {
		r.Type, r.Source, r.Name = "AwsConsoleSignIn", "signin.amazonaws.com", "ConsoleLogin"
	}
	for _, arn := range e.Resources[:min(len(e.Resources), maxResources)] {
		if arn != "" && arn != "*" {
			r.Resources = append(r.Resources, Resource{clean(arn, maxReason)})
		}
	}
	return r
}

func identity(e *Entry) Identity {
	p := &e.Principal
	if p.ARN == "" && p.Type == "" && p.Service == "" {
		return Identity{Type: "Unknown", Key: clean(e.Key, 128), User: clean(p.Name, 128)}
	}
	i := Identity{Type: p.Type, ID: p.ID, ARN: p.ARN, Account: p.Account, Key: clean(e.Key, 128), User: p.Name, Service: p.Service, Provider: p.Provider}
	switch p.Type {
	case "User":
		i.Type = "IAMUser"
	case "Account":
		i.Type = "Root"
	case "AssumedRole":
		if p.Issuer != "" {
			i.Session = &Session{Issuer{Type: "Role", ARN: p.Issuer, Account: p.Account, User: p.Issuer[strings.LastIndexByte(p.Issuer, '/')+1:]}}
		}
	case "", "Anonymous":
		i.Type = "Unknown"
		if p.Service != "" {
			i.Type = "AWSService"
		}
	}
	return i
}

// lines are the entries as lines of JSON.
func (t *Trail) lines(entries []Entry) ([]byte, error) {
	var all []byte
	for i := range entries {
		text, err := json.Marshal(t.record(&entries[i]), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return nil, fmt.Errorf("writing a record of %s: %w", entries[i].Action, err)
		}
		all = append(append(all, text...), '\n')
	}
	return all, nil
}

// clean is text without control characters, masked, and no longer than n.
func clean(text string, n int) string {
	if text == "" {
		return ""
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return cut(mask.Text(text), n)
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
