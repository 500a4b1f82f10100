package route

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Target is where deliveries go. Deliver is called from several goroutines. It
// returns nil once the receiver has taken the delivery. An error that is
// fault.Permanent ends the delivery as a dead letter; any other is tried again,
// later if it is a *Refusal that says when. It ends when ctx does.
type Target interface {
	Deliver(ctx context.Context, d Delivery) error
}

// Delivery is what a target gets: one item, or several if its kind takes digests.
type Delivery struct {
	ID      string // the same whenever the delivery is repeated
	Attempt int    // from 1
	Time    time.Time
	Items   []Item
}

// Item is one event on its way to one target.
type Item struct {
	Event   event.Event    `json:"event"`
	Bus     string         `json:"bus"`
	Rule    string         `json:"rule"` // ARN, or "" for what is told without a rule of its own
	To      RuleTarget     `json:"to"`
	Input   jsontext.Value `json:"-"`             // what the target's transform makes of the event
	Shaped  bool           `json:"-"`             // the target has a transform: Input is not the event
	Told    News           `json:"told,omitzero"` // for findings told of once
	Group   string         `json:"group,omitzero"`
	Hops    int            `json:"hops,omitzero"` // how many buses it has come over
	Came    time.Time      `json:"came"`          // when the router saw it
	Subject string         `json:"subject,omitzero"`
}

// News is what there is to say of a finding.
type News string

const (
	// Opened is a finding that is new, or new again.
	Opened News = "new"
	// Closed is a finding that was told of and is now resolved or gone.
	Closed News = "resolved"
)

// Finding is the finding that the item's event is about.
func (i *Item) Finding() (f finding.Finding, ok bool) { return findingIn(i.Event) }

// Refusal is a receiver's answer that is not a yes.
type Refusal struct {
	Kind   fault.Kind    // Permanent kinds are not tried again
	Status int           // of HTTP or SMTP, if there was one
	After  time.Duration // when it wants to be asked again
	Answer string        // an excerpt of what it said
	Err    error
}

func (r *Refusal) Error() string   { return r.Err.Error() }
func (r *Refusal) Unwrap() []error { return []error{r.Kind, r.Err} }

// Kind is a sort of target that can be configured under a name.
type Kind struct {
	Name   string
	Title  string
	Digest bool    // many events can go in one delivery
	Fields []Field // what has to be said about one
	// Open checks the settings and makes the target.
	Open func(Receiver, *Env) (Target, error)
}

// Field is one setting of a kind.
type Field struct {
	Name     string
	Help     string
	Secret   bool
	Required bool
}

// Kinds are the sorts of targets that come with Haechi. A new one is a file and a line here.
func Kinds() []Kind {
	return []Kind{slackKind(), slackBotKind(), webhookKind(), emailKind(), commandKind()}
}

// Env is what targets may use of the world.
type Env struct {
	HTTP     *http.Client                                                         // of base/outbound: refuses private addresses
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // the same for what is not HTTP
	Commands map[string]Command                                                   // that the server's configuration allows
	Link     func(*finding.Finding) string                                        // the console's page of a finding, or of all of them for nil; "" is none
	Page     func(path string) string                                             // where the console shows a path, or ""
	Log      *slog.Logger
	Now      func() time.Time
	threads  threads
}

// Room is a target that is another room: everything whose ARN begins with Prefix.
type Room struct {
	Prefix string // arn:aws:codepipeline:
	Target Target
}
